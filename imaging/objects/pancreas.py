"""A measured pancreas and a lesion in it as measurements and evaluations of an SR (TID 300).

The profile along the gland is too long for a document: its extremes stand here, the whole of it
in findings.json and the reports. Places of a research map are no measurements; where a site
switched them on, a comment names them as what they are.
"""

from __future__ import annotations

from highdicom.sr import FindingSite, Measurement, QualitativeEvaluation

from imaging.draft.gland import gland_sentences
from imaging.language import Language, Text
from imaging.objects import codes as c
from imaging.objects import nodule_codes as n
from imaging.objects import pancreas_codes as p
from imaging.objects.nodules import measured
from imaging.pancreatic import Gland, PancreaticLesion, Part, Phase, PhaseEstimate
from imaging.report import Report


def part_site(part: Part | None) -> FindingSite:
    """The part of the pancreas; the pancreas where none is known."""
    if part in p.PARTS:
        return FindingSite(p.PARTS[part])
    modifier = None if part is None else p.MODIFIERS[part]
    return FindingSite(p.PANCREAS, topographical_modifier=modifier)


def gland_measurements(gland: Gland) -> list[Measurement]:
    """What is measured of the gland beyond volume and mean density of its mask."""
    items = [
        measured(p.LENGTH, gland.length_mm, c.MM, digits=1),
        measured(c.ATTENUATION, gland.parenchyma_hu, c.HU, digits=1, derivation=n.MEDIAN),
        measured(
            c.ATTENUATION, gland.parenchyma_sd_hu, c.HU, digits=1, derivation=n.STANDARD_DEVIATION
        ),
    ]
    if gland.thinnest_mm is not None:
        items.append(measured(p.THICKNESS, gland.thinnest_mm, c.MM, digits=1, derivation=p.MINIMUM))
    if gland.duct.widest_mm is not None:
        items.append(_duct(gland.duct.widest_mm))
    return items


def gland_evaluations(gland: Gland) -> list[QualitativeEvaluation]:
    """The phase of contrast, where it could be told."""
    return _phase(gland.phase)


def gland_comments(report: Report, gland: Gland, language: Language) -> list[str]:
    """The gland in words, with what the series was not fit for and the research places."""
    told = [*gland_sentences(gland, report.slice_count), *gland.told]
    return list(dict.fromkeys(text.in_(language) for text in told))


def lesion_measurements(lesion: PancreaticLesion) -> list[Measurement]:
    """Its three axes, its density against the parenchyma, duct and gland upstream, the vessels.

    An unenhanced CT shows no vessel's wall: contact measured there counts for nothing.
    """
    axes = zip((p.LENGTH, p.WIDTH, p.DEPTH), lesion.axes_mm, strict=True)
    items = [measured(name, axis, c.MM, digits=1) for name, axis in axes]
    if lesion.delta_hu is not None:
        items.append(measured(p.DELTA, lesion.delta_hu, c.HU, digits=1))
    if lesion.duct_upstream_mm is not None:
        items.append(_duct(lesion.duct_upstream_mm))
    if lesion.thickness_upstream_mm is not None:
        thickness = lesion.thickness_upstream_mm
        items.append(
            measured(
                p.THICKNESS, thickness, c.MM, digits=1, derivation=n.MEDIAN, site=p.PANCREAS
            )
        )  # fmt: skip
    for contact in lesion.contacts:
        if contact.degrees is None or _plain(lesion):  # left to the reader
            continue
        site = p.VESSELS[contact.vessel]
        items.append(measured(p.ANGLE, contact.degrees, p.DEGREES, digits=0, site=site))
        if contact.length_mm is not None and contact.degrees > 0:
            length = contact.length_mm
            items.append(measured(p.CONTACT_LENGTH, length, c.MM, digits=1, site=site))
    return items


def lesion_evaluations(lesion: PancreaticLesion) -> list[QualitativeEvaluation]:
    """Hypo-, iso- or hyperattenuating or as dense as fluid, and in which phase."""
    told = []
    if lesion.attenuation is not None:
        value = p.ATTENUATIONS[lesion.attenuation]
        told.append(QualitativeEvaluation(p.ATTENUATION_KIND, value))
    return told + (_phase(lesion.phase) if lesion.phase is not None else [])


def lesion_comments(lesion: PancreaticLesion, language: Language) -> list[str]:
    """What a reader must know of these measurements."""
    told: list[Text] = []
    if not _plain(lesion):
        told += [contact.why for contact in lesion.contacts if contact.degrees]
        told += [
            Text(en=f"{u.label.en}: {u.why.en}", zh=f"{u.label.zh}：{u.why.zh}")
            for u in lesion.unnamed_contacts
        ]
    return [text.in_(language) for text in (*told, *lesion.told)]


def _plain(lesion: PancreaticLesion) -> bool:
    return lesion.phase is not None and lesion.phase.phase is Phase.PLAIN


def _duct(width_mm: float) -> Measurement:
    return measured(n.DIAMETER, width_mm, c.MM, digits=1, derivation=p.MAXIMUM, site=p.DUCT)


def _phase(estimate: PhaseEstimate) -> list[QualitativeEvaluation]:
    value = p.PHASES.get(estimate.phase)
    return [] if value is None else [QualitativeEvaluation(p.PHASE, value)]
