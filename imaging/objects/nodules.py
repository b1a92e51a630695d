"""A nodule's character and its change as measurements and evaluations of an SR (TID 300)."""

from __future__ import annotations

from collections.abc import Iterator

from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ContentSequence,
    FindingSite,
    Measurement,
    NumContentItem,
    QualitativeEvaluation,
    RelationshipTypeValues,
)
from pydicom.sr.coding import Code

from imaging.draft import changes_of
from imaging.draft.facts import hint_value
from imaging.draft.terms import date
from imaging.finding import Finding
from imaging.language import Language, Text
from imaging.nodule import Density, Diameters, Hint, Nodule
from imaging.objects import codes as c
from imaging.objects import nodule_codes as n
from imaging.report import Report


def measured(
    name: Code,
    value: float,
    unit: Code,
    *,
    digits: int,
    derivation: Code | None = None,
    method: Code | None = None,
    site: Code | None = None,
    algorithm: AlgorithmIdentification | None = None,
) -> Measurement:
    """One NUM item of TID 300 with its modifiers."""
    return Measurement(
        name=name,
        value=round(float(value), digits),
        unit=unit,
        derivation=derivation,
        method=method,
        finding_sites=None if site is None else [FindingSite(anatomic_location=site)],
        algorithm_id=algorithm,
    )


def place_of(nodule: Nodule) -> FindingSite:
    """The lobe; where it is not sure, the zone with its side. Subpleural as a modifier."""
    place = nodule.place
    modifier = n.SUBPLEURAL if place.subpleural else None
    if place.lobe is not None:
        return FindingSite(n.LOBES[place.lobe], topographical_modifier=modifier)
    return FindingSite(
        n.ZONES[place.third], laterality=n.SIDES[place.side], topographical_modifier=modifier
    )


def volume_of(nodule: Nodule) -> Measurement:
    """The volume with its 95 % interval, as distances above and below (PS3.16 CID 225)."""
    volume = nodule.volume_mm3
    item = measured(c.VOLUME, volume.value, c.MM3, digits=1)
    bounds = (
        (n.UPPER_UNCERTAINTY, volume.high - volume.value),
        (n.LOWER_UNCERTAINTY, volume.value - volume.low),
    )
    item[0].ContentSequence = ContentSequence(
        [
            NumContentItem(
                name=name,
                value=round(max(distance, 0.0), 1),
                unit=c.MM3,
                relationship_type=RelationshipTypeValues.HAS_PROPERTIES,
            )
            for name, distance in bounds
        ]
    )
    return item


def character_of(nodule: Nodule) -> list[Measurement]:
    """What is measured beyond volume, mean density and the axial axes."""
    place = nodule.place
    items = [
        measured(n.MASS, nodule.mass_mg, n.MG, digits=1),
        measured(n.SPHERICITY, nodule.sphericity, n.NO_UNITS, digits=3),
        *_attenuation(nodule.density),
        measured(n.DISTANCE, place.pleura_mm, c.MM, digits=1, site=n.PLEURA),
    ]
    if place.fissure_mm is not None:
        items.append(measured(n.DISTANCE, place.fissure_mm, c.MM, digits=1, site=n.FISSURE))
    if nodule.largest.plane != nodule.axial.plane:
        items += _plane(nodule.largest)
    if nodule.solid_core is not None:
        core, site = nodule.solid_core, n.SOLID_COMPONENT
        items += [
            measured(n.MAJOR_AXIS, core.long_mm, c.MM, digits=2, site=site),
            measured(n.MINOR_AXIS, core.short_mm, c.MM, digits=2, site=site),
            measured(n.DIAMETER, core.mean_mm, c.MM, digits=2, derivation=c.MEAN, site=site),
        ]
    return [*items, *(item for hint in nodule.hints for item in _hint(hint))]


def mean_diameter_of(nodule: Nodule) -> Measurement:
    """Mean of the axial long and short axis; guidelines go by that of the largest plane."""
    return measured(n.DIAMETER, nodule.axial.mean_mm, c.MM, digits=2, derivation=c.MEAN)


def _plane(diameters: Diameters) -> list[Measurement]:
    plane = n.PLANES.get(diameters.plane)
    return [
        measured(n.MAJOR_AXIS, diameters.long_mm, c.MM, digits=2, method=plane),
        measured(n.MINOR_AXIS, diameters.short_mm, c.MM, digits=2, method=plane),
        measured(n.DIAMETER, diameters.mean_mm, c.MM, digits=2, derivation=c.MEAN, method=plane),
    ]


def _attenuation(density: Density) -> list[Measurement]:
    """The quartiles have no code; findings.json and the report tell them."""
    values = (
        (density.median_hu, n.MEDIAN),
        (density.sd_hu, n.STANDARD_DEVIATION),
        (density.p5_hu, n.FIFTH_PERCENTILE),
        (density.p95_hu, n.NINETY_FIFTH_PERCENTILE),
    )
    return [measured(c.ATTENUATION, value, c.HU, digits=1, derivation=how) for value, how in values]


def _hint(hint: Hint) -> Iterator[Measurement]:
    if hint.probability is None:
        return
    name = n.PROBABILITY_OF_CANCER if hint.method in n.CANCER_METHODS else n.PROBABILITY
    parameters = [f"{what.en} = {value.en}" for what, value in hint.inputs]
    how = AlgorithmIdentification(
        name=hint.method, version=hint.title.en, parameters=parameters or None
    )
    yield measured(name, 100 * hint.probability, c.PERCENT, digits=2, algorithm=how)


def evaluations_of(
    report: Report, finding: Finding, nodule: Nodule
) -> tuple[list[QualitativeEvaluation], list[Measurement]]:
    """What it is made of, how its border runs, and what became of it since the last time."""
    told = [
        QualitativeEvaluation(n.COMPOSITION, n.TYPES[nodule.type]),
        QualitativeEvaluation(n.MARGIN, n.MARGINS[nodule.margin]),
    ]
    figures: list[Measurement] = []
    for comparison, change in changes_of(report, finding)[:1]:
        if change.change in n.CHANGES:
            value = n.CHANGES[change.change]
            told.append(QualitativeEvaluation(n.QUALITATIVE_DIFFERENCE, value))
        since = AlgorithmIdentification(
            name="comparison",
            version=date(comparison.study_date),
            parameters=[f"Study Instance UID = {comparison.study_uid}"],
        )
        for name, number, unit in (
            (n.DIFFERENCE_IN_SIZE, change.diameter_change_mm, c.MM),
            (n.VOLUME_CHANGE, change.volume_change_percent, c.PERCENT),
            (n.DOUBLING_TIME, change.doubling_time_days, n.DAYS),
        ):
            if number is not None:
                figures.append(measured(name, number, unit, digits=2, algorithm=since))
    return told, figures


def comments_on(nodule: Nodule, language: Language) -> list[str]:
    """The sentence that must stand beside each hint: its method, its value, what it is not."""
    return [
        Text(
            en=f"{hint.title.en}: {hint_value(hint).en}. {hint.meaning.en}",
            zh=f"{hint.title.zh}：{hint_value(hint).zh}。{hint.meaning.zh}",
        ).in_(language)
        for hint in nodule.hints
    ]


def concept(code: Code) -> CodedConcept:
    """A code as highdicom's content items want it."""
    return CodedConcept(code.value, code.scheme_designator, code.meaning)
