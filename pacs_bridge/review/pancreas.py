"""The pancreas on the page: the gland's card, a lesion's, and what the reader says of that.

The questions are the fields of :class:`PancreasReading`, in the order of the structured template;
a vessel is asked only what holds for it. What is empty is not said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from pydantic import ValidationError

from imaging.draft.pancreas_panel import (
    NO_PLACES,
    RESEARCH_PLACES,
    gland_facts,
    lesion_facts,
    part_named,
    place_told,
)
from imaging.finding import Finding
from imaging.guidelines import pancreas_words as words
from imaging.guidelines import pancreatic_lesions
from imaging.guidelines.pancreas_values import Degrees, PancreasReading, VesselReading
from imaging.language import Language, Text
from imaging.objects.profile_chart import profile_chart
from imaging.pancreatic import Contact, Part, Vessel
from imaging.report import Report
from pacs_bridge.review.editing import NotAccepted

YES, NO = "yes", "no"
_DEGREES: Final = tuple(get_args(Degrees))
_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "part": tuple(part.value for part in Part),
    "appearance": ("hypo", "iso", "hyper", "cystic"),
    "variant_artery_contact": _DEGREES,
    "aorta_or_ivc_contact": ("none", "ivc", "aorta"),
    "liver_lesions": ("none", "likely-benign", "indeterminate", "suspicious"),
    "degrees": _DEGREES,
    "hazy": _DEGREES,
}
_TUMOUR: Final = frozenset(
    {
        "lesion",
        "part",
        "appearance",
        "duct_dilated",
        "duct_cut_off",
        "atrophy_upstream",
        "bile_duct_dilated",
    }
)
"""What is asked of the tumour itself; the rest is asked after the vessels."""
_TEXTS: Final = ("other", "variant")
_TEXT_LIMIT: Final = 2_000
_ARTERIES, _VEINS = frozenset(words.ARTERIES), frozenset(words.VEINS)
_ASKED_OF: Final[dict[str, frozenset[Vessel]]] = {
    "degrees": _ARTERIES | _VEINS,
    "hazy": _ARTERIES | _VEINS,
    "contour_irregular": _ARTERIES | _VEINS,
    "occluded": _VEINS,
    "thrombus": _VEINS,
    "reconstructible": _VEINS | {Vessel.CHA},
    "extends_beyond": frozenset({Vessel.SMA, Vessel.CHA, Vessel.SMV}),
    "variant": _ARTERIES | _VEINS,
}
"""Which vessels each item is asked of."""


@dataclass(frozen=True)
class Question:
    """One field of the form; ``kind`` is "choice", "yes-no", "number" or "text".

    ``key`` names its labels; ``name`` is the field, with the vessel before it where it is one's.
    """

    name: str
    key: str
    kind: str
    value: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class VesselRow:
    """What is asked of one vessel, and what was measured of it."""

    vessel: Vessel
    name: Text
    measured: Text | None
    why: Text | None
    questions: tuple[Question, ...]


def gland_card(report: Report, language: Language) -> dict[str, Any] | None:
    """What the gland's card shows; None where no pancreas was measured."""
    gland = report.gland
    if gland is None:
        return None
    return {
        "gland": gland,
        "facts": gland_facts(gland),
        "chart": profile_chart(gland.profile, language),
        "places": [(place, place_told(place)) for place in gland.places],
        "research": RESEARCH_PLACES,
        "no_places": NO_PLACES,
    }


def lesion_card(finding: Finding) -> dict[str, Any]:
    """What a finding's card shows of a pancreatic lesion; empty parts where it is none."""
    lesion = finding.pancreatic
    return {
        "pancreatic": lesion,
        "part": part_named(lesion.part) if lesion and lesion.part else None,
        "pancreatic_facts": lesion_facts(lesion) if lesion else (),
    }


def pancreas_form(report: Report, reading: PancreasReading | None = None) -> dict[str, Any] | None:
    """The reader's form; None where no lesion of the pancreas stands.

    Args:
        report: gives what was measured.
        reading: shown instead of the report's own (what was typed and refused).
    """
    found = pancreatic_lesions(report)
    if not found or report.modality != "CT":
        return None
    said = reading or report.pancreas_reading
    numbers = tuple(str(finding.number) for finding in found)
    about = next((f for f in found if f.number == said.lesion), found[0])
    contacts = about.pancreatic.contacts if about.pancreatic else ()
    asked = _questions(said, numbers)
    return {
        "tumour": [q for q in asked if q.key in _TUMOUR],
        "vessels": tuple(_row(said.of(vessel), contacts) for vessel in Vessel),
        "beyond": [q for q in asked if q.key not in _TUMOUR],
        "open": said != PancreasReading(),
    }


def reading_of(fields: Mapping[str, str]) -> PancreasReading:
    """What a form that was sent says; what is empty or absent is not said.

    Raises:
        NotAccepted: a value that is none.
    """
    said = {q.name: _said(fields, q) for q in _questions(PancreasReading(), ())}
    vessels = []
    for vessel in Vessel:
        row = _row(VesselReading(vessel=vessel), ())
        told = {q.key: _said(fields, q) for q in row.questions}
        if any(value not in (None, "") for value in told.values()):
            vessels.append({"vessel": vessel, **told})
    try:
        return PancreasReading.model_validate({**said, "vessels": vessels})
    except ValidationError as error:
        raise NotAccepted(str(error), "bad-request") from error


def _questions(said: PancreasReading, numbers: tuple[str, ...]) -> tuple[Question, ...]:
    return tuple(
        _question(name, name, getattr(said, name), numbers)
        for name in PancreasReading.model_fields
        if name != "vessels"
    )


def _row(said: VesselReading, contacts: tuple[Contact, ...]) -> VesselRow:
    vessel = said.vessel
    measured = next((c for c in contacts if c.vessel is vessel), None)
    told = None
    if measured is not None and measured.degrees is not None:
        told = words.measured_contact(measured.degrees, measured.length_mm)
    return VesselRow(
        vessel=vessel,
        name=words.VESSELS[vessel],
        measured=told,
        why=None if measured is None else measured.why,
        questions=tuple(
            _question(f"{vessel.value}.{name}", name, getattr(said, name), ())
            for name, asked_of in _ASKED_OF.items()
            if vessel in asked_of
        ),
    )


def _question(name: str, key: str, value: Any, numbers: tuple[str, ...]) -> Question:
    shown = "" if value is None else str(value)
    if key == "lesion":
        return Question(name, key, "number", shown, numbers)
    if key in _CHOICES:
        return Question(name, key, "choice", shown, _CHOICES[key])
    if key in _TEXTS:
        return Question(name, key, "text", shown)
    return Question(name, key, "yes-no", {"True": YES, "False": NO}.get(shown, ""), (YES, NO))


def _said(fields: Mapping[str, str], question: Question) -> Any:
    sent = fields.get(question.name, "").strip()
    if question.kind == "text":
        return sent[:_TEXT_LIMIT]
    if not sent:
        return None
    if question.choices and sent not in question.choices:
        raise NotAccepted(
            f"{question.name} = {sent!r} is none of {question.choices}", "bad-request"
        )
    return {YES: True, NO: False}[sent] if question.kind == "yes-no" else sent
