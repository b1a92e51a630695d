"""A nodule model on scans with marked nodules: everything it would mark, measured once a scan.

A scan is run far below the model's operating point and without its cap on findings, so that one
run gives the whole FROC curve and the operating point on it. What came out of a scan is a
:class:`ScanRecord`: enough to judge it again by another rule, without another run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydantic import BaseModel, ConfigDict, Field

from imaging.character.diameters import axial
from imaging.errors import NotCharacterised
from imaging.geometry import Point
from imaging.volume import Region, Volume
from models.errors import SpecError
from models.evaluation.agreement import common_voxels, dice
from models.evaluation.judging import Truth
from models.evaluation.labelled.case import LeftOut
from models.evaluation.strata import Places, sphere_mm
from models.lesions import Candidate, Lesions
from models.loaded import LoadedModel
from models.pipeline import find_lesions
from models.runner import Runner
from models.spec import ModelSpec

LOWEST_SCORE = 0.02
"""Of 0 to 1. What scores lower comes after eight false findings a scan, or it never does."""
MOST_FINDINGS = 100
"""A scan; as many as LUNA16 takes."""


@dataclass(frozen=True)
class Marked:
    """A nodule marked in a scan.

    Attributes:
        truth: where, how large, whether it counts, and its groups but for the place.
        region: its mask on the volume's grid; None where only a centre and a diameter are known.
    """

    truth: Truth
    region: Region | None = field(default=None, compare=False)


@dataclass(frozen=True, eq=False)
class MarkedScan:
    """A volume with all nodules marked in it; ``notes`` is what a reader of figures must know."""

    volume: Volume
    nodules: tuple[Marked, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class NoduleCase:
    """A scan on disk; ``load`` reads it. ``fold`` is the part of a cross-validation it is in.

    ``load`` raises :class:`models.errors.DatasetError` or an
    :class:`imaging.errors.ImagingError`; both name the file.
    """

    name: str
    load: Callable[[], MarkedScan] = field(repr=False)
    fold: str = ""


Listed = tuple[tuple[NoduleCase, ...], tuple[LeftOut, ...]]
"""The cases of a set, and what of it could not be one, with the reason."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class FoundRecord(_Value):
    """One finding: centre in LPS mm, longest axial diameter of its mask in mm."""

    centre_mm: Point
    score: float
    diameter_mm: float


class MarkRecord(_Value):
    """One marked nodule, with the Dice of each finding whose mask meets its own."""

    centre_mm: Point
    diameter_mm: float
    counted: bool
    groups: tuple[str, ...] = ()
    dice: dict[int, float] | None = Field(default=None, description="by finding; None: no mask")


class ScanRecord(_Value):
    """What came out of one scan."""

    name: str
    fold: str = ""
    seconds: float = 0.0
    findings: tuple[FoundRecord, ...] = ()
    nodules: tuple[MarkRecord, ...] = ()
    notes: tuple[str, ...] = ()


def check_task(spec: ModelSpec) -> None:
    """Raise where the model looks for something else than lung nodules.

    Raises:
        SpecError: it does.
    """
    if spec.task != "lung-nodules":
        raise SpecError(
            f"{spec.name}: task = {spec.task!r}; lung nodules are looked for by task = "
            "'lung-nodules'. Without --dataset any model is evaluated, at its operating point"
        )


def wide_open(spec: ModelSpec) -> ModelSpec:
    """The model's spec with its threshold far down and no cap that matters.

    Raises:
        SpecError: it is no nodule model.
    """
    check_task(spec)
    point = spec.operating_point.model_copy(
        update={"score_threshold": LOWEST_SCORE, "most_findings": MOST_FINDINGS}
    )
    return spec.model_copy(update={"operating_point": point})


def all_findings(volume: Volume, model: LoadedModel, networks: Mapping[str, Runner]) -> Lesions:
    """All that the model sees in a volume, by the product's own path.

    Raises:
        InputRefused, InferenceFailed, SpecError: see :func:`models.pipeline.find_lesions`.
    """
    opened = replace(model, spec=wide_open(model.spec))
    return find_lesions([volume], opened, networks, explained=False)


def run_scan(
    name: str,
    scan: MarkedScan,
    model: LoadedModel,
    networks: Mapping[str, Runner],
    *,
    fold: str = "",
) -> ScanRecord:
    """Run the model over one scan and keep what came out.

    Raises:
        InputRefused, InferenceFailed, SpecError: see :func:`models.pipeline.find_lesions`.
    """
    began = time.perf_counter()
    with model.lock:
        lesions = all_findings(scan.volume, model, networks)
    seconds = time.perf_counter() - began
    places = Places(lesions.lungs) if lesions.lungs is not None and scan.nodules else None
    return ScanRecord(
        name=name,
        fold=fold,
        seconds=round(seconds, 3),
        findings=tuple(_found(candidate) for candidate in lesions.candidates),
        nodules=tuple(_mark(each, lesions.candidates, places) for each in scan.nodules),
        notes=(*scan.notes, *(notice.text.en for notice in lesions.notices)),
    )


def _found(candidate: Candidate) -> FoundRecord:
    region = candidate.region
    x, y, z = (round(value, 2) for value in region.centre_mm)
    try:
        diameter = axial(region.voxels, region.within.spacing_mm).long_mm
    except NotCharacterised:
        diameter = 0.0
    return FoundRecord(
        centre_mm=(x, y, z), score=round(candidate.score, 6), diameter_mm=round(diameter, 2)
    )


def _mark(marked: Marked, found: Sequence[Candidate], places: Places | None) -> MarkRecord:
    truth, region = marked.truth, marked.region
    overlaps: dict[int, float] | None = None
    if region is not None:
        overlaps = {}
        for n, candidate in enumerate(found):
            if common_voxels(candidate.region, region):
                overlaps[n] = round(dice(candidate.region, region) or 0.0, 4)
    groups = truth.groups
    if places is not None:
        if region is None:
            points = sphere_mm(truth.centre_mm, truth.diameter_mm)
        else:
            points = region.points_mm
        groups += places.groups(points)
    return MarkRecord(
        centre_mm=truth.centre_mm,
        diameter_mm=truth.diameter_mm,
        counted=truth.counted,
        groups=groups,
        dice=overlaps,
    )
