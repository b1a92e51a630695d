"""A one-stage box detector over one patient's volumes: prepare, run, boxes, and their masks.

The way of MONAI's ``RetinaNetDetector`` in a bundle: the image is padded to what the network
divides by, run whole where it has fewer voxels than a window and in windows otherwise, and the
maps become boxes (:mod:`models.detection.boxes`). A detector gives boxes only; the mask of a
finding is the ellipsoid that fills its box, which a notice says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from imaging.geometry import Grid, Point
from imaging.volume import Region, Volume
from models.clock import Clock
from models.detection.boxes import Found, Selection, find_boxes
from models.errors import PatchRefused
from models.lesions import Candidate
from models.recipe import PrepareStep, Windows
from models.runner import Runner
from models.spec import ModelSpec
from models.voxels.frames import LPS_TO_RAS, image_of
from models.voxels.prepare import prepare
from models.voxels.windows import run_windows

Anchor = tuple[float, float, float, float, float, float]
Channels = Annotated[NDArray[np.float32], "c, x, y, z"]


class DetectionPlan(BaseModel):
    """How a detector is run.

    The network takes (n, channels, x, y, z) and gives the class maps of all levels, then their
    box maps.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: int = Field(default=1, ge=1, description="series that are stacked as input")
    prepare: tuple[PrepareStep, ...]
    windows: Windows
    always_windows: bool = Field(
        default=False, description="windows also for an image of fewer voxels than one"
    )
    divisible: tuple[int, int, int] = Field(description="the input's sides are multiples of it")
    anchors: tuple[tuple[Anchor, ...], ...] = Field(
        description="for each level, about a place's centre: lowest x, y, z, then highest, voxels"
    )
    classes: int = Field(ge=1)
    weights: Anchor = Field(
        default=(1.0,) * 6, description="the box regression was multiplied by them in training"
    )
    selection: Selection = Selection()


@dataclass(frozen=True, eq=False)
class Box:
    """A box in the patient; it lies along the axes of the grid that the network worked on.

    Args:
        centre: LPS mm.
        half_axes: 3 x 3, LPS mm; columns lead from the centre to the middle of three sides.
        score: 0 to 1.
        class_number: from 0; the label's index in ``preread.toml`` is one more.
    """

    centre: Point
    half_axes: NDArray[np.float64]
    score: float
    class_number: int

    @property
    def corners(self) -> tuple[Point, Point]:
        """Lowest and highest x, y, z of two opposite corners, LPS mm.

        Where the grid is not oblique this is the box.
        """
        out = np.abs(self.half_axes.sum(axis=1))
        return _point(self.centre - out), _point(self.centre + out)


def detect(
    volumes: Sequence[Volume],
    plan: DetectionPlan,
    runner: Runner,
    progress: Callable[[str], None] = lambda step: None,
    seconds: dict[str, float] | None = None,
) -> list[Box]:
    """Find boxes, best first.

    Args:
        volumes: one for each of the plan's channels, in their order; HU where the modality is
            CT.
        runner: what runs the network.
        progress: called with ``prepare``, ``network`` and ``finish`` as each begins.
        seconds: how long each of these took is written into it.

    Raises:
        ValueError: the number of volumes is not the plan's.
        PatchRefused: an output isn't what the plan expects, or not finite.
        ModelError: the network could not be run.
    """
    if len(volumes) != plan.channels:
        raise ValueError(f"{len(volumes)} volumes for a detector of {plan.channels} channels")
    clock = Clock({} if seconds is None else seconds)
    progress("prepare")
    prepared = prepare(image_of(volumes), plan.prepare)
    size = prepared.voxels.shape[1:]
    padded = _padded(prepared.voxels, plan.divisible)
    affine = LPS_TO_RAS @ prepared.affine
    del prepared
    clock.lap("prepare")
    progress("network")
    windows = plan.windows
    if not plan.always_windows and math.prod(size) < math.prod(windows.patch):
        windows = windows.model_copy(update={"patch": (-1, -1, -1)})
    maps = run_windows(padded, windows, runner, in_flight=2 * windows.batch)
    clock.lap("network")
    progress("finish")
    found = _found(maps, plan, padded.shape[1:], size)
    boxes = [
        _box(box, affine, float(score), int(kind))
        for box, score, kind in zip(found.boxes, found.scores, found.classes, strict=True)
    ]
    clock.lap("finish")
    return boxes


def candidates(boxes: Sequence[Box], grid: Grid, spec: ModelSpec) -> list[Candidate]:
    """The boxes that the spec reports, each with the ellipsoid that fills it as its mask.

    Args:
        boxes: best first.
        grid: of the volume that was read; the masks lie on it.
        spec: its labels say which classes are lesions, its operating point from which score.
    """
    found = []
    for box in boxes:
        label = spec.label_of(box.class_number + 1)
        if label is None or label.kind == "ignored":
            continue
        if box.score < spec.operating_point.score_threshold:
            continue
        region = ellipsoid(box, grid)
        if np.count_nonzero(region.voxels) * grid.voxel_volume_mm3 >= label.minimum_mm3:
            found.append(Candidate(region, box.score, label.index))
    return found[: spec.operating_point.most_findings]


def ellipsoid(box: Box, grid: Grid) -> Region:
    """Voxels of ``grid`` whose centre lies in the ellipsoid that touches all six sides.

    At least one: the one nearest to the box's centre.
    """
    to_index = np.linalg.inv(grid.affine[:3, :3])
    centre = grid.to_index(box.centre)
    axes = to_index @ box.half_axes
    reach = np.linalg.norm(axes, axis=1)
    nearest = np.clip(np.rint(centre), 0, np.array(grid.shape) - 1).astype(int)
    low = np.minimum(np.maximum(np.ceil(centre - reach).astype(int), 0), nearest)
    high = np.maximum(np.minimum(np.floor(centre + reach).astype(int) + 1, grid.shape), nearest + 1)
    at = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), axis=-1)
    inside = np.linalg.norm((at - centre) @ np.linalg.inv(axes).T, axis=-1) <= 1
    inside[tuple(nearest - low)] = True
    return Region(inside, (int(low[0]), int(low[1]), int(low[2])), grid)


def _padded(voxels: Channels, divisible: Sequence[int]) -> Channels:
    """Zeros after the last voxels, up to the next multiples."""
    short = [(0, -size % unit) for size, unit in zip(voxels.shape[1:], divisible, strict=True)]
    return np.pad(voxels, [(0, 0), *short]) if any(map(any, short)) else voxels


def _found(
    maps: tuple[Channels, ...], plan: DetectionPlan, padded: Sequence[int], size: Sequence[int]
) -> Found:
    levels = len(plan.anchors)
    if len(maps) != 2 * levels:
        raise PatchRefused(f"the network gave {len(maps)} maps, not {2 * levels}")
    anchors = [np.array(level, np.float32) for level in plan.anchors]
    wanted = [len(level) * plan.classes for level in anchors]
    if [len(each) for each in maps[:levels]] != wanted:
        raise PatchRefused(
            f"class maps of {[len(each) for each in maps[:levels]]} channels, expected {wanted}"
        )
    try:
        return find_boxes(
            maps[:levels], maps[levels:], anchors, padded=padded, size=size,
            selection=plan.selection, weights=plan.weights,
        )  # fmt: skip
    except ValueError as error:
        raise PatchRefused(str(error)) from error


def _box(box: NDArray[np.float32], affine: NDArray[np.float64], score: float, kind: int) -> Box:
    """A box in voxels to the patient.

    Args:
        affine: (x, y, z, 1) to LPS mm.
    """
    low, high = box[:3].astype(np.float64), box[3:].astype(np.float64)
    centre = affine[:3, :3] @ ((low + high) / 2) + affine[:3, 3]
    return Box(_point(centre), affine[:3, :3] * ((high - low) / 2), score, kind)


def _point(values: NDArray[np.float64]) -> Point:
    x, y, z = (float(v) for v in values)
    return x, y, z
