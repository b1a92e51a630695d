"""What is said of each lung nodule beyond its axes: place, character, hints."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from imaging.character import characterise
from imaging.errors import NoLung, NotCharacterised
from imaging.finding import Finding
from imaging.lobes import LobeMap, map_lobes
from imaging.lungs import LungMask, lung_mask
from imaging.notices import Notice, notice
from imaging.volume import Region, Volume
from models.character import hints
from models.clock import Clock
from models.errors import SpecError

log = logging.getLogger(__name__)

LUNG = "39607008"
"""SNOMED CT's code of the lung."""


def describe_nodules(
    volume: Volume,
    findings: Sequence[Finding],
    regions: Mapping[str, Region],
    lungs: LungMask | None,
    told: list[Notice],
    seconds: dict[str, float],
) -> tuple[Finding, ...]:
    """The findings, with ``nodule`` filled in for those that lie in the lung.

    The lobes are looked for once, and only where there is a finding in the lung. What can't be
    described is told in ``told``; the finding stays as it was.

    Args:
        volume: CT in HU.
        findings: all of the study.
        regions: their masks by tracking UID, on the volume's grid.
        lungs: of the volume, where somebody found them already.
        told: gets the notices.
        seconds: gets the steps ``lobes`` and ``character``.
    """
    if not any(finding.site.value == LUNG for finding in findings):
        return tuple(findings)
    clock = Clock(seconds)
    try:
        lobes = map_lobes(volume, lungs or lung_mask(volume))
    except NoLung as error:
        log.warning("nodules are not described: %s", error)
        told.append(notice("no-lobes"))
        return tuple(findings)
    clock.lap("lobes")
    described = tuple(
        _described(volume, finding, regions[finding.tracking_uid], lobes, told)
        if finding.site.value == LUNG
        else finding
        for finding in findings
    )
    clock.lap("character")
    return described


def _described(
    volume: Volume, finding: Finding, region: Region, lobes: LobeMap, told: list[Notice]
) -> Finding:
    try:
        nodule = characterise(volume, region, lobes.place(volume, region))
    except NotCharacterised as error:
        log.warning("finding %d is not described: %s", finding.number, error)
        told.append(notice("nodule-not-described", number=finding.number))
        return finding
    try:
        nodule = nodule.model_copy(update={"hints": hints(volume, region, nodule)})
    except SpecError as error:
        # Measurements do not depend on the hint's networks.
        log.error("finding %d has no hint: %s", finding.number, error)
        told.append(notice("no-hint", number=finding.number))
    return finding.model_copy(update={"nodule": nodule})
