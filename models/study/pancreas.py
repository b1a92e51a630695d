"""What is said of the pancreas and of each lesion in it, whichever models marked them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from pydicom.dataset import Dataset

from imaging.errors import NotMeasured
from imaging.finding import Finding, Structure
from imaging.language import Text
from imaging.notices import Notice, notice
from imaging.pancreas import (
    Anatomy,
    Around,
    Unnamed,
    Vessels,
    anatomy_of,
    describe_lesion,
    measure_gland,
)
from imaging.pancreas.aorta import aorta_left_mm
from imaging.pancreas.fitness import judge_fitness
from imaging.pancreas.phase import estimate_phase
from imaging.pancreatic import Gland, PhaseEstimate, Vessel
from imaging.volume import Region, Volume
from models.clock import Clock
from models.lesions import HeatMap
from models.pancreas.places import places

log = logging.getLogger(__name__)

PANCREAS: Final = "15776009"
DUCT: Final = "69930009"
BILE_DUCT: Final = "79741001"
AORTAE: Final = ("7832008", "15825003")
"""SNOMED CT's codes: abdominal aorta, aorta."""
NAMED: Final = {
    "42258001": Vessel.SMA,
    "57850000": Vessel.COELIAC,
    "66559000": Vessel.CHA,
    "90771006": Vessel.SMV,
    "32764006": Vessel.PV,
}
"""SNOMED CT's codes of the vessels that decide on resection (DICOM CID 3827)."""
ARTERIES: Final = frozenset({Vessel.SMA, Vessel.COELIAC, Vessel.CHA})
VEINS: Final = frozenset({Vessel.SMV, Vessel.PV})
PORTAL_AND_SPLENIC: Final = "110765007"
SEVERAL: Final = {
    PORTAL_AND_SPLENIC: (Text(en="portal and splenic vein", zh="门静脉和脾静脉"), VEINS),
    "29092000": (Text(en="veins around the pancreas", zh="胰周静脉"), VEINS),
    "51114001": (Text(en="arteries around the pancreas", zh="胰周动脉"), ARTERIES),
}
"""Codes of masks that hold several vessels, and which may be among them. Vein and artery count only
at the pancreas, as in PANORAMA's labels."""


def describe_pancreas(
    volume: Volume,
    header: Dataset,
    findings: Sequence[Finding],
    structures: Sequence[Structure],
    regions: Mapping[str, Region],
    heat: HeatMap | None,
    told: list[Notice],
    seconds: dict[str, float],
) -> tuple[tuple[Finding, ...], Gland | None]:
    """Measure the pancreas, and describe the lesions in it.

    The gland is the first structure with the pancreas' code. What can't be measured is told in
    ``told``; findings then stay as they were. Without a pancreas and without a lesion of it
    nothing is done.

    Args:
        volume: CT in HU, with sources.
        header: of one of its images.
        findings: all of the study.
        structures: all of the study.
        regions: their masks by tracking UID, on the volume's grid.
        heat: the research map, where the site switched it on.
        told: gets the notices.
        seconds: gets the steps ``phase``, ``pancreas``, ``places`` and ``lesions``.

    Returns:
        The findings, those of the pancreas with ``pancreatic``; and the gland.
    """
    gland = next((s for s in structures if s.label.value == PANCREAS), None)
    lesions = [f for f in findings if f.site.value == PANCREAS]
    if gland is None and not lesions:
        return tuple(findings), None
    clock = Clock(seconds)
    masks = _Masks(structures, regions)
    region = None if gland is None else regions[gland.tracking_uid]
    phase = masks.phase(volume, region)
    clock.lap("phase")
    measured: Gland | None = None
    anatomy: Anatomy | None = None
    if gland is not None and region is not None:
        try:
            around = masks.around([regions[f.tracking_uid] for f in lesions])
            if around.aorta is None:
                around = replace(around, aorta_left_mm=aorta_left_mm(volume, region))
            anatomy = anatomy_of(volume, region, around)
            fitness = judge_fitness(volume, header, region, phase=phase)
            measured = measure_gland(
                volume, region, tracking_uid=gland.tracking_uid, phase=phase, fitness=fitness,
                anatomy=anatomy,
            )  # fmt: skip
        except NotMeasured as error:
            log.warning("the pancreas is not measured: %s", error)
            told.append(notice("pancreas-not-measured", problem=error))
        clock.lap("pancreas")
    if measured is not None and anatomy is not None and heat is not None:
        shown = places(volume, anatomy.region, heat, anatomy.part_of)
        measured = measured.model_copy(update={"places": shown, "places_shown": True})
        clock.lap("places")
    if not lesions:
        return tuple(findings), measured
    described = tuple(
        _described(volume, f, regions[f.tracking_uid], anatomy, phase, masks.vessels(), told)
        if f.site.value == PANCREAS
        else f
        for f in findings
    )
    clock.lap("lesions")
    return described, measured


def _described(
    volume: Volume,
    finding: Finding,
    region: Region,
    anatomy: Anatomy | None,
    phase: PhaseEstimate,
    vessels: Vessels,
    told: list[Notice],
) -> Finding:
    try:
        lesion = describe_lesion(volume, region, anatomy, phase=phase, vessels=vessels)
    except NotMeasured as error:
        log.warning("finding %d is not described: %s", finding.number, error)
        told.append(notice("lesion-not-described", number=finding.number))
        return finding
    return finding.model_copy(update={"pancreatic": lesion})


class _Masks:
    """The masks of a study by what they are."""

    def __init__(self, structures: Sequence[Structure], regions: Mapping[str, Region]) -> None:
        self._structures = structures
        self._regions = regions

    def around(self, lesions: Sequence[Region]) -> Around:
        """What was segmented near the gland."""
        veins = [self._of(code) for code, name in NAMED.items() if name in VEINS]
        several = [u.region for u in self.vessels().unnamed if u.holds & VEINS]
        return Around(
            lesions=lesions,
            duct=self._of(DUCT),
            bile_duct=self._of(BILE_DUCT),
            vein=next((v for v in reversed(veins) if v is not None), None),
            confluence=next(iter(several), None),
            aorta=next((a for a in map(self._of, AORTAE) if a is not None), None),
        )

    def phase(self, volume: Volume, gland: Region | None) -> PhaseEstimate:
        """The phase, by the masks of vessels where there are any."""
        around = self.around(())
        veins = around.vein or around.confluence
        return estimate_phase(volume, gland, arteries=around.aorta, veins=veins)

    def vessels(self) -> Vessels:
        """The vessels, those with a name of their own and those in one mask."""
        named = {
            vessel: mask for code, vessel in NAMED.items() if (mask := self._of(code)) is not None
        }
        unnamed = []
        for structure in self._structures:
            several = SEVERAL.get(structure.label.value)
            at_pancreas = structure.site.value in (PANCREAS, PORTAL_AND_SPLENIC)
            if several is not None and at_pancreas:
                label, holds = several
                region = self._regions[structure.tracking_uid]
                unnamed.append(Unnamed(label, region, holds))
        return Vessels(named, unnamed)

    def _of(self, code: str) -> Region | None:
        for structure in self._structures:
            if structure.label.value == code:
                return self._regions[structure.tracking_uid]
        return None
