"""Why a place was flagged: the same place without the lesion, and which parts of it matter.

A counterfactual: the lesion is healed (``healing``) and the detector looks again at the crop
around it. Then columns of tissue, square in the plane of the key slice, are healed one by one;
how much the score falls says what it hangs on. The picture (``why_picture``) shows all three.

Everything runs on the 1 mm grid in the nets' units, axes (k, j, i) = (head, back, left), and is
deterministic. A finding of up to 24 mm costs the detector 27 crops of 48 mm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Grid, Shape3
from imaging.resample import resample_probability
from imaging.volume import Region
from models.lesions import Candidate, Why
from models.lungs import nodules
from models.lungs.healing import GROWN_MM, heal
from models.lungs.nodules import Float
from models.lungs.why_picture import Heat, draw

MOST_FINDINGS = 8
"""Of a study so many, the best scored, get a picture."""
CROP_MM, MARGIN_MM = (48, 96), 24.0
"""Side of the crop: least and most; it is at least the lesion's size and the margin."""
COLUMNS, LEAST_COLUMNS = 5, 3
"""In each direction of the key slice; larger crops get fewer, to cost about the same."""
AROUND_MM = 5.0
"""The columns reach so far beyond the lesion."""
BATCH_VOXELS = 1_000_000
"""The detector is given about so much at once."""
REACH_MM = 6.0
"""The score of a place is the best within this, or half the lesion's size, of its middle."""

Run = Callable[[Float], Float]
"""Crops [n, 1, k, j, i] to maps [n, 2, k/4, j/4, i/4], as ``nodules.find_candidates`` takes."""


@dataclass(frozen=True, eq=False)
class _Place:
    """A crop of the image around one lesion, and the lesion's share of each of its voxels."""

    start: Shape3
    share: Float

    @property
    def lesion(self) -> NDArray[np.bool_]:
        return self.share >= 0.5

    @property
    def bounds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The lesion's first voxel and the one beyond its last."""
        at = np.argwhere(self.lesion)
        return at.min(0), at.max(0) + 1

    @property
    def key_slice(self) -> int:
        """Where it is largest."""
        return int(np.count_nonzero(self.lesion, axis=(1, 2)).argmax())


def explain_best(
    candidates: Sequence[Candidate], image: Float, grid: Grid, run: Run
) -> list[Candidate]:
    """The candidates, the first :data:`MOST_FINDINGS` of them with their ``why``.

    Args:
        candidates: best first.
        image: [k, j, i] in the nets' units, on ``grid``.
        grid: 1 mm, its axes to the head, the back and the left.
        run: the detector.

    Raises:
        InferenceFailed: the detector could not be run.
    """
    best = [replace(c, why=explain(c, image, grid, run)) for c in candidates[:MOST_FINDINGS]]
    return [*best, *candidates[MOST_FINDINGS:]]


def explain(candidate: Candidate, image: Float, grid: Grid, run: Run) -> Why:
    """Why one candidate was flagged; arguments and errors as :func:`explain_best`'s.

    A healed score that is hardly lower than the score says that the detector looked at
    something else than the mask, or that the place could not be healed.
    """
    place = _place(candidate.region, grid)
    healed = heal(image, place.lesion, place.start)
    windows, rows, columns = _columns(place)
    changes = [healed.weight, *(window * healed.lung for window in windows)]
    logits = _logits([healed.image, *(healed.mixed(w) for w in changes)], place, run)
    # A crop shows the detector a little less than the scan does; what counts is the difference.
    falls = logits[0] - logits[1:]
    reported = float(np.clip(candidate.score, 1e-6, 1 - 1e-6))
    scores = _sigmoid(np.log(reported / (1 - reported)) - falls)
    k = place.key_slice
    picture = draw(
        healed.image[k],
        healed.whole[k],
        place.share[k],
        Heat(falls[1:].reshape(len(rows) - 1, len(columns) - 1), rows, columns),
        scores=(candidate.score, float(scores[1:].min()), float(scores[0])),
    )
    return Why(picture, candidate.score, float(scores[0]), float(scores[1:].min()))


def _place(region: Region, grid: Grid) -> _Place:
    """The crop: its sides are multiples of 16, and it begins where a cell of the maps does."""
    at = np.argwhere(region.voxels) + np.asarray(region.start)
    index = grid.to_index(region.within.to_lps(at))
    low, high = index.min(0) - 0.5, index.max(0) + 0.5
    sides = np.ceil((high - low + MARGIN_MM) / nodules.SIDE_MULTIPLE) * nodules.SIDE_MULTIPLE
    sides[1:] = sides[1:].max()  # the picture is a square
    sides = np.clip(sides, *CROP_MM)
    first = np.rint(((low + high) / 2 - sides / 2) / nodules.STRIDE) * nodules.STRIDE
    start, shape = _triple(first), _triple(sides)
    own = Region(np.pad(region.voxels, 1), _triple(np.asarray(region.start) - 1), region.within)
    crop = grid.crop(start, shape)
    share = resample_probability(own.voxels, own.mask.grid, crop)
    if share.max() < 0.5:  # finer than the working grid
        nearest = np.rint(index.mean(0) - first).astype(int)
        share[tuple(np.clip(nearest, 0, np.array(shape) - 1))] = 1.0
    return _Place(start, share)


def _columns(
    place: _Place,
) -> tuple[list[Float], NDArray[np.float64], NDArray[np.float64]]:
    """Windows [k, j, i] of 0 to 1, row by row, and the edges of rows and of columns, voxels."""
    shape = place.share.shape
    budget = COLUMNS**2 * CROP_MM[0] ** 3
    count = int(np.clip(np.sqrt(budget / np.prod(shape)), LEAST_COLUMNS, COLUMNS))
    low, high = place.bounds
    deep = _window(shape[0], low[0] - GROWN_MM, high[0] + GROWN_MM)
    rows, columns = (
        np.linspace(max(low[a] - AROUND_MM, 0), min(high[a] + AROUND_MM, shape[a]), count + 1)
        for a in (1, 2)
    )
    windows = [
        (
            deep[:, None, None]
            * _window(shape[1], rows[r], rows[r + 1])[:, None]
            * _window(shape[2], columns[c], columns[c + 1])
        )
        for r in range(count)
        for c in range(count)
    ]
    return windows, rows, columns


def _window(length: int, low: float, high: float) -> Float:
    """1 between ``low`` and ``high`` (voxel edges), falling to 0 over a voxel on either side."""
    at = np.arange(length) + 0.5
    return np.asarray(np.clip(np.minimum(at - low, high - at) + 0.5, 0, 1), np.float32)


def _logits(crops: Sequence[Float], place: _Place, run: Run) -> NDArray[np.float64]:
    """The score of the place, as a logit, in each version of the crop."""
    batch = max(1, BATCH_VOXELS // place.share.size)
    maps = np.concatenate(
        [
            np.asarray(run(np.stack(crops[n : n + batch])[:, None]), np.float64)
            for n in range(0, len(crops), batch)
        ]
    )
    sizes = np.clip(np.exp(np.clip(maps[:, 1], -5, 10)), *nodules.SIZE_TERM_MM)
    scores = maps[:, 0] + np.log(sizes / nodules.SIZE_UNIT_MM)
    at = np.stack(np.meshgrid(*(np.arange(n) for n in scores.shape[1:]), indexing="ij"), -1)
    low, high = place.bounds
    away = np.linalg.norm(
        at * nodules.STRIDE + (nodules.STRIDE - 1) / 2 - (low + high - 1) / 2, axis=-1
    )
    near = away <= max(REACH_MM, float((high - low).max()) / 2)
    return np.asarray(scores[:, near].max(axis=1))


def _sigmoid(logit: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * logit))


def _triple(values: NDArray[np.generic]) -> Shape3:
    k, j, i = (int(v) for v in values)
    return k, j, i
