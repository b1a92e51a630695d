"""From a label map to findings: connected pieces of lesions, organs as a whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from imaging.geometry import Grid, Shape3
from imaging.volume import Region, Volume
from models.lesions import Candidate
from models.sections import Label
from models.spec import ModelSpec
from models.voxels.labelmap import LabelMap

Box = tuple[slice, slice, slice]

SLAB = 8
"""Planes counted at a time."""


@dataclass(frozen=True, eq=False)
class _Pieces:
    """The connected pieces of one label: numbers from 1 on in a box, and each one's size."""

    numbers: NDArray[np.uint8] | NDArray[np.uint32]
    start: Shape3
    voxels: NDArray[np.int64]
    scores: NDArray[np.float64]
    """Index 0, what lies around them, means nothing in both."""


def candidates(volume: Volume, label_map: LabelMap, spec: ModelSpec) -> list[Candidate]:
    """What a model's labels make of a label map.

    A label of kind *lesion*: each connected piece (voxels that touch at a corner are one
    piece) of at least ``minimum_mm3`` whose score reaches the operating point; its score is the
    mean confidence, 1 where the network gives none. The best ``most_findings`` of all labels
    are kept. Of kind *organ*: the pieces of at least ``minimum_mm3`` as one structure, or the
    largest alone. *Ignored* labels and those the spec does not describe give nothing.

    Args:
        volume: what was read; the label map lies on its grid.

    Returns:
        Lesions, best first, then organs in the spec's order; boxes are tight.

    Raises:
        ValueError: the label map lies on another grid.
    """
    if not label_map.grid.same_as(volume.grid):
        raise ValueError("the label map is not on the volume's grid")
    boxes = _boxes(label_map.labels)
    found: list[tuple[Candidate, int]] = []
    organs: list[Candidate] = []
    for label in spec.labels:
        if label.kind == "ignored" or label.index not in boxes:
            continue
        pieces = _pieces(label_map, label, boxes[label.index])
        if label.kind == "organ":
            organs += _organ(pieces, label, label_map)
        else:
            found += _lesions(pieces, label, label_map.grid, spec)
    # Of equally sure ones the larger first.
    found.sort(key=lambda item: (-item[0].score, -item[1]))
    return [lesion for lesion, _ in found[: spec.operating_point.most_findings]] + organs


def _boxes(labels: NDArray[np.generic]) -> dict[int, Box]:
    """The smallest box around each label, in one pass."""
    shapes = sitk.LabelShapeStatisticsImageFilter()
    shapes.ComputePerimeterOff()
    shapes.Execute(sitk.GetImageFromArray(labels))
    found = {}
    for number in shapes.GetLabels():
        x, y, z, wide, high, deep = shapes.GetBoundingBox(number)
        found[int(number)] = (slice(z, z + deep), slice(y, y + high), slice(x, x + wide))
    return found


def _pieces(label_map: LabelMap, label: Label, box: Box) -> _Pieces:
    mask = (label_map.labels[box] == label.index).view(np.uint8)
    numbers: NDArray[np.uint8] | NDArray[np.uint32] = mask
    # An organ that is kept whole is one piece, however many there are.
    if label.kind == "lesion" or label.largest_only or label.minimum_mm3:
        joined = sitk.ConnectedComponent(sitk.GetImageFromArray(mask), True)
        numbers = sitk.GetArrayFromImage(joined)
        del joined
    voxels, sums = _counted(
        numbers, None if label_map.confidence is None else label_map.confidence[box]
    )
    scores = np.ones(len(voxels)) if sums is None else sums / np.maximum(voxels, 1) / 255
    k, j, i = (side.start for side in box)
    return _Pieces(numbers, (k, j, i), voxels, scores)


def _counted(
    numbers: NDArray[np.uint8] | NDArray[np.uint32], confidence: NDArray[np.uint8] | None
) -> tuple[NDArray[np.int64], NDArray[np.float64] | None]:
    """Voxels of each number, and their summed confidence; slab by slab.

    At once, ``np.bincount`` would copy both to eight bytes a voxel: more memory than the rest
    of a study, and ten times slower.
    """
    count = int(numbers.max(initial=0)) + 1
    voxels = np.zeros(count, np.int64)
    sums = None if confidence is None else np.zeros(count)
    for start in range(0, len(numbers), SLAB):
        slab = numbers[start : start + SLAB].ravel()
        voxels += np.bincount(slab, minlength=count)
        if sums is not None and confidence is not None:
            weights = confidence[start : start + SLAB].ravel()
            sums += np.bincount(slab, weights=weights, minlength=count)
    return voxels, sums


def _large_enough(pieces: _Pieces, label: Label, grid: Grid) -> list[int]:
    """Numbers of the pieces that count, the largest first."""
    order = np.argsort(-pieces.voxels[1:], kind="stable") + 1
    if label.largest_only:
        order = order[:1]
    least = label.minimum_mm3 / grid.voxel_volume_mm3
    return [int(n) for n in order if pieces.voxels[n] >= least]


def _lesions(
    pieces: _Pieces, label: Label, grid: Grid, spec: ModelSpec
) -> list[tuple[Candidate, int]]:
    """With each one's number of voxels."""
    point = spec.operating_point
    numbers = [
        n for n in _large_enough(pieces, label, grid) if pieces.scores[n] >= point.score_threshold
    ]
    # Noise can leave thousands of pieces; only those that may be kept are cut out.
    numbers.sort(key=lambda n: (-pieces.scores[n], -pieces.voxels[n]))
    numbers = numbers[: point.most_findings]
    if not numbers:
        return []
    boxes = _boxes(pieces.numbers)
    found = []
    for n in numbers:
        region = _region(pieces.numbers[boxes[n]] == n, boxes[n], pieces.start, grid)
        score = min(float(pieces.scores[n]), 1.0)
        found.append((Candidate(region, score, label.index), int(pieces.voxels[n])))
    return found


def _organ(pieces: _Pieces, label: Label, label_map: LabelMap) -> list[Candidate]:
    numbers = _large_enough(pieces, label, label_map.grid)
    if not numbers:
        return []
    kept = np.zeros(len(pieces.voxels), bool)
    kept[numbers] = True
    mask = kept[pieces.numbers]
    (box,) = _boxes(mask.view(np.uint8)).values()
    weights = pieces.voxels[numbers]
    score = float((pieces.scores[numbers] * weights).sum() / weights.sum())
    region = _region(mask[box], box, pieces.start, label_map.grid)
    return [Candidate(region, min(score, 1.0), label.index)]


def _region(mask: NDArray[np.bool_], box: Box, start: Shape3, grid: Grid) -> Region:
    k, j, i = (side.start + first for side, first in zip(box, start, strict=True))
    return Region(mask.copy(), (k, j, i), grid)
