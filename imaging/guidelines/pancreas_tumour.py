"""A pancreatic lesion as the rules see it: what was measured, and what the reader says instead.

A vessel's contact counts where a model segmented the vessel in a contrast-enhanced CT and the
figure is clear of the table's limits, or where the reader says it. Everything else stays open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from imaging.finding import Finding
from imaging.guidelines import pancreas_words as words
from imaging.guidelines.pancreas_values import Degrees, PancreasReading, VesselReading
from imaging.language import Text
from imaging.pancreatic import Attenuation, Contact, PancreaticLesion, Part, Phase, Vessel
from imaging.pancreatic_names import ATTENUATIONS, MEASURED_ATTENUATIONS

Side = Literal["head", "body-tail"]
By = Literal["measured", "reader"]

_SIDES: Final[dict[Part, Side]] = {
    Part.HEAD: "head",
    Part.UNCINATE: "head",
    Part.BODY: "body-tail",
    Part.TAIL: "body-tail",
}
_APPEARANCES: Final = {
    "hypo": Attenuation.HYPO,
    "iso": Attenuation.ISO,
    "hyper": Attenuation.HYPER,
    "cystic": Attenuation.CYSTIC,
}
BY_READER: Final = Text(en="reader", zh="医师填写")
MEASURED: Final = Text(en="measured", zh="测量所得")


@dataclass(frozen=True)
class VesselState:
    """One vessel. None: neither measured nor said.

    Attributes:
        degrees: the reader's band, else that of the measured contact where it is sure.
        bands: those that are possible, the least first; all where nothing is known.
        by: whose it is.
        told: the contact in words, with who says so; None where it is not known.
        dropped: the contact was measured, but in an unenhanced CT, which shows no vessel wall.
        blocked: thrombosed (by tumour or bland) or occluded.
        extends_beyond: see :class:`VesselReading`.
    """

    vessel: Vessel
    degrees: Degrees | None = None
    bands: tuple[Degrees, ...] = get_args(Degrees)
    by: By | None = None
    told: Text | None = None
    dropped: bool = False
    irregular: bool | None = None
    blocked: bool | None = None
    reconstructible: bool | None = None
    extends_beyond: bool | None = None


@dataclass(frozen=True)
class Tumour:
    """One lesion with everything known of it.

    Attributes:
        number: of the finding; None where it was made by hand.
        part: None where it is not known.
        appearance: None where it is not known.
        phase: in which it was measured.
        vessels: one for each of :class:`Vessel`.
        reading: the reader's part as it counts for this lesion.
    """

    number: int | None
    part: Part | None
    part_by: By | None
    appearance: Attenuation | None
    appearance_by: By | None
    phase: Phase
    vessels: tuple[VesselState, ...]
    reading: PancreasReading

    @property
    def appearance_name(self) -> Text | None:
        """Its appearance in words; None where it is not known."""
        if self.appearance is None:
            return None
        by_reader = self.appearance_by == "reader"
        return (ATTENUATIONS if by_reader else MEASURED_ATTENUATIONS)[self.appearance]

    @property
    def sides(self) -> tuple[Side, ...]:
        """On which side of the table it may stand; both for the neck and where it is not known.

        The SAR/APA template draws the line at the right border of the SMV, over which the neck
        lies; the NCCN has no rows for it.
        """
        side = None if self.part is None else _SIDES.get(self.part)
        return ("head", "body-tail") if side is None else (side,)

    def vessel(self, which: Vessel) -> VesselState:
        """One of its vessels."""
        return next(state for state in self.vessels if state.vessel is which)


def tumour_of(finding: Finding, reading: PancreasReading) -> Tumour:
    """A finding with what the reader says of it.

    Args:
        finding: a lesion of the pancreas, described or not.
        reading: about this finding; see :func:`staged`.
    """
    lesion = finding.pancreatic
    part, appearance = reading.part, reading.appearance
    measured = None if lesion is None else lesion.attenuation
    phase = None if lesion is None else lesion.phase
    known = Phase.UNKNOWN if phase is None else phase.phase
    return Tumour(
        number=finding.number,
        part=part or (None if lesion is None else lesion.part),
        part_by=_by(part, None if lesion is None else lesion.part),
        appearance=_APPEARANCES[appearance] if appearance else measured,
        appearance_by=_by(appearance, measured),
        phase=known,
        vessels=tuple(
            _state(reading.of(vessel), _contact(lesion, vessel), known) for vessel in Vessel
        ),
        reading=reading,
    )


def _by(said: object, measured: object) -> By | None:
    if said is not None:
        return "reader"
    return None if measured is None else "measured"


def _contact(lesion: PancreaticLesion | None, vessel: Vessel) -> Contact | None:
    if lesion is None:
        return None
    return next((c for c in lesion.contacts if c.vessel is vessel and c.degrees is not None), None)


def _state(said: VesselReading, contact: Contact | None, phase: Phase) -> VesselState:
    degrees, dropped = said.degrees, False
    possible: tuple[Degrees, ...] = get_args(Degrees)
    by: By | None = None
    told: Text | None = None
    measured = None if contact is None else contact.degrees
    figure = None
    if contact is not None and measured is not None:
        figure = words.measured_contact(measured, contact.length_mm)
    if degrees is not None:
        possible = (degrees,)
        by, told = "reader", _told(words.CONTACTS[degrees], figure)
    elif measured is not None and figure is not None:
        if phase is Phase.PLAIN:
            dropped = True
        else:
            possible, by = words.bands(measured), "measured"
            degrees = possible[0] if len(possible) == 1 else None
            told = Text(en=f"{figure.en} ({MEASURED.en})", zh=f"{figure.zh}（{MEASURED.zh}）")
    blocked = [each for each in (said.occluded, said.thrombus) if each is not None]
    return VesselState(
        vessel=said.vessel,
        degrees=degrees,
        bands=possible,
        by=by,
        told=told,
        dropped=dropped,
        irregular=said.contour_irregular,
        blocked=any(blocked) if blocked else None,
        reconstructible=said.reconstructible,
        extends_beyond=said.extends_beyond,
    )


def _told(said: Text, figure: Text | None) -> Text:
    beside = Text.same("")
    if figure is not None:
        beside = Text(en=f"; {MEASURED.en}: {figure.en}", zh=f"；{MEASURED.zh}：{figure.zh}")
    return Text(
        en=f"{said.en} ({BY_READER.en}{beside.en})", zh=f"{said.zh}（{BY_READER.zh}{beside.zh}）"
    )


@dataclass(frozen=True)
class Staged:
    """The lesion that is staged, and what is not sure about its being that one.

    Attributes:
        tumour: with the reader's part as far as it is about this lesion.
        finding: the same as a finding.
        open: clauses; where there are any, no category is given but "metastatic".
        remarks: what a reader must know, as sentences without their full stop.
    """

    tumour: Tumour
    finding: Finding
    open: tuple[Text, ...] = ()
    remarks: tuple[Text, ...] = ()


def staged(findings: Sequence[Finding], reading: PancreasReading) -> Staged | None:
    """Which of the lesions is staged; None where there is none.

    The one the reader names; else the only one; else the longest, and the reader has to say.
    What the reader said of a lesion that does not stand holds of no other one.

    Args:
        findings: the pancreatic lesions that stand.
        reading: the reader's part of the template.
    """
    if not findings:
        return None
    named = next((f for f in findings if f.number == reading.lesion), None)
    if named is not None:
        return Staged(tumour_of(named, reading), named)
    longest = max(findings, key=lambda f: (f.long_axis_mm, -f.number))
    remarks: list[Text] = []
    if reading.lesion is not None:
        gone = reading.lesion
        remarks.append(
            Text(
                en=f"The reader's entries are about finding {gone}, which does not stand",
                zh=f"医师所填内容针对所见 {gone}，该所见未被保留",
            )
        )
    if len(findings) == 1:
        about = reading if reading.lesion is None else reading.of_the_patient
        return Staged(tumour_of(longest, about), longest, remarks=tuple(remarks))
    numbers = [str(f.number) for f in findings]
    unsaid = Text(
        en=f"which of findings {', '.join(numbers)} is the tumour to be staged is not said",
        zh=f"未指明所见 {'、'.join(numbers)} 中哪一个为待分期的肿瘤",
    )
    about = reading.of_the_patient
    return Staged(tumour_of(longest, about), longest, (unsaid,), tuple(remarks))
