"""Lung nodules: the detector's maps to candidates, and a candidate's cube to its mask.

Pure functions on arrays of the 1 mm grid, axes (k, j, i) = (head, posterior, left); positions are
(k, j, i) in voxels, which are mm. No session and no device here: the caller passes what runs the
mask net.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]

CLIP_HU = (-1000.0, 250.0)
STRIDE = 4  # mm a cell of the detector's maps
SIDE_MULTIPLE = 16  # the detector wants sides that are multiples of this

# False findings are mostly predicted at 4 mm: the score prefers what is larger, up to 12 mm.
SIZE_TERM_MM, SIZE_UNIT_MM = (3.0, 12.0), 6.0
SUPPRESS_MM, SUPPRESS_DIAMETERS = 8.0, 0.6
LUNG_REACH_DIAMETERS = 0.25

CUBE_SAMPLES = 32
CUBE_DIAMETERS, CUBE_SIDE_MM = 2.25, (24.0, 96.0)


@dataclass(frozen=True)
class Candidate:
    """A place that may be a nodule. ``centre`` in voxels (k, j, i) of the 1 mm grid."""

    centre: tuple[float, float, float]
    diameter_mm: float
    logit: float

    @property
    def score(self) -> float:
        """The logit with the size term: what the operating point is a threshold of."""
        size = min(max(self.diameter_mm, SIZE_TERM_MM[0]), SIZE_TERM_MM[1])
        return self.logit + float(np.log(size / SIZE_UNIT_MM))

    @property
    def probability(self) -> float:
        """The score as 0 to 1. It ranks findings; it is no calibrated probability."""
        return float(1 / (1 + np.exp(-self.score)))


@dataclass(frozen=True)
class Cube:
    """A cube around a candidate: ``values`` [S, S, S], and where they lie in the 1 mm grid.

    ``affine`` (4 x 4) takes (k, j, i, 1) of the cube to (k, j, i, 1) of the 1 mm grid. Compose
    ``grid.affine @ cube.affine`` to reach patient millimetres.
    """

    values: Float
    affine: NDArray[np.float64]

    @property
    def spacing_mm(self) -> float:
        """Distance between the cube's samples, mm."""
        return float(self.affine[0, 0])


def to_input(hu: NDArray[np.generic]) -> Float:
    """HU to both nets' input: (clip(HU, -1000, 250) + 500) / 400, float32."""
    scaled = np.clip(np.asarray(hu, np.float32), *CLIP_HU)
    scaled += np.float32(500)
    scaled /= np.float32(400)
    return scaled


def find_candidates(
    maps: Float, *, threshold: float, lung: NDArray[np.bool_] | None = None
) -> list[Candidate]:
    """Candidates with ``score >= threshold``, best first.

    ``maps`` [2, k/4, j/4, i/4]: centre logit and log diameter in mm. ``lung`` [k, j, i] at 1 mm:
    only centres in it, or nearer to it than a quarter of their diameter, count.
    """
    logits = np.asarray(maps[0], np.float32)
    log_d = np.asarray(maps[1], np.float32)
    # The size term adds at most ln 2.
    low = threshold - float(np.log(SIZE_TERM_MM[1] / SIZE_UNIT_MM))
    peaks = np.argwhere((logits >= low) & (logits == _maximum_3(logits)))
    found = []
    for peak in peaks:
        centre, diameter = _refine(logits, log_d, peak)
        # The middle of a large mass on the pleura can lie a little outside any lung mask.
        if lung is not None and not _inside(lung, centre, diameter * LUNG_REACH_DIAMETERS):
            continue
        candidate = Candidate(centre, diameter, float(logits[tuple(peak)]))
        if candidate.score >= threshold:
            found.append(candidate)
    return suppress(found)


def suppress(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The best of each neighbourhood of max(8 mm, 0.6 diameters), best first."""
    kept: list[Candidate] = []
    for new in sorted(candidates, key=lambda c: -c.score):
        for old in kept:
            reach = max(SUPPRESS_MM, SUPPRESS_DIAMETERS * max(old.diameter_mm, new.diameter_mm))
            if np.linalg.norm(np.subtract(new.centre, old.centre)) < reach:
                break
        else:
            kept.append(new)
    return kept


def cube_side_mm(diameter_mm: float) -> float:
    """Side of the mask net's cube: 2.25 diameters, 24 to 96 mm, so that a 60 mm mass fits."""
    return float(np.clip(CUBE_DIAMETERS * diameter_mm, *CUBE_SIDE_MM))


def extract_cube(image: Float, candidate: Candidate, samples: int = CUBE_SAMPLES) -> Cube:
    """The cube around ``candidate``, resampled linearly; the volume's edge is repeated outside.

    ``image`` [k, j, i] at 1 mm, in HU or already in the nets' units.
    """
    affine = cube_affine(candidate, samples)
    axes = [affine[a, 3] + affine[a, a] * np.arange(samples) for a in range(3)]
    return Cube(_linear(image, axes), affine)


def cube_affine(candidate: Candidate, samples: int = CUBE_SAMPLES) -> NDArray[np.float64]:
    """Index of the candidate's cube to index of the 1 mm grid, 4 x 4."""
    spacing = cube_side_mm(candidate.diameter_mm) / samples
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = np.asarray(candidate.centre) - spacing * (samples - 1) / 2
    return affine


def segment(
    image: Float,
    candidates: Sequence[Candidate],
    run: Callable[[Float], Float],
    *,
    batch: int = 8,
) -> list[Cube]:
    """For each candidate the probability that a voxel of its cube belongs to it, 0 to 1.

    ``image`` [k, j, i] in the nets' units (``to_input``); ``run`` takes crops [n, 1, S, S, S] to
    logits of the same shape. Threshold at 0.5 with ``connected`` for the mask.
    """
    cubes = [extract_cube(image, c) for c in candidates]
    masks: list[Cube] = []
    for at in range(0, len(cubes), batch):
        part = cubes[at : at + batch]
        logits = run(np.stack([c.values[None] for c in part]))
        for cube, logit in zip(part, logits[:, 0], strict=True):
            masks.append(Cube(_sigmoid(np.asarray(logit, np.float32)), cube.affine))
    return masks


def connected(cube: Cube, threshold: float = 0.5) -> NDArray[np.bool_]:
    """The piece of ``cube`` above ``threshold`` that holds its centre, or lies nearest to it.

    A neighbouring nodule or vessel in the same cube is another finding's business.
    """
    above = cube.values >= threshold
    if not above.any():
        return above
    middle = (np.array(above.shape) - 1) / 2
    at = np.argwhere(above)
    seed = at[np.argmin(((at - middle) ** 2).sum(1))]
    piece = np.zeros(above.shape, np.bool_)
    piece[tuple(seed)] = True
    while True:  # at most a cube's diagonal of cheap passes
        grown = _grow(piece) & above
        if np.array_equal(grown, piece):
            return piece
        piece = grown


def pad_to_multiple(image: Float, multiple: int = SIDE_MULTIPLE) -> Float:
    """Pads the far end of each axis by its edge, so that every side is a multiple."""
    short = [(0, -n % multiple) for n in image.shape]
    return np.pad(image, short, mode="edge")


def _refine(
    logits: Float, log_d: Float, peak: NDArray[np.intp]
) -> tuple[tuple[float, float, float], float]:
    """Centre and diameter averaged over the peak's neighbourhood, by probability."""
    low = np.maximum(peak - 1, 0)
    box = tuple(slice(int(a), int(p) + 2) for a, p in zip(low, peak, strict=True))
    weight = _sigmoid(logits[box])
    weight /= weight.sum()
    at = np.stack(np.meshgrid(*(np.arange(n) for n in weight.shape), indexing="ij"), -1)
    cell = (at * weight[..., None]).sum((0, 1, 2)) + low
    k, j, i = (float(c) for c in cell * STRIDE + (STRIDE - 1) / 2)
    return (k, j, i), float(np.exp((log_d[box] * weight).sum()))


def _sigmoid(logit: Float) -> Float:
    # tanh neither overflows nor warns.
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * logit), np.float32)


def _inside(lung: NDArray[np.bool_], centre: tuple[float, float, float], reach: float) -> bool:
    """Whether lung lies within ``reach`` mm along each axis of the centre."""
    box = []
    for c, n in zip(centre, lung.shape, strict=True):
        low = int(np.clip(round(c - reach), 0, n - 1))
        box.append(slice(low, max(round(c + reach), low) + 1))
    return bool(lung[tuple(box)].any())


def _maximum_3(a: Float) -> Float:
    """The maximum over 3 x 3 x 3 neighbours."""
    for axis in range(a.ndim):
        pad = [(1, 1) if n == axis else (0, 0) for n in range(a.ndim)]
        wide = np.moveaxis(np.pad(a, pad, constant_values=-np.inf), axis, 0)
        a = np.moveaxis(np.maximum(np.maximum(wide[:-2], wide[1:-1]), wide[2:]), 0, axis)
    return a


def _grow(a: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Adds the six face neighbours."""
    grown = a.copy()
    grown[1:] |= a[:-1]
    grown[:-1] |= a[1:]
    grown[:, 1:] |= a[:, :-1]
    grown[:, :-1] |= a[:, 1:]
    grown[:, :, 1:] |= a[:, :, :-1]
    grown[:, :, :-1] |= a[:, :, 1:]
    return grown


def _linear(image: Float, axes: Sequence[NDArray[np.float64]]) -> Float:
    """``image`` at the outer product of ``axes`` (voxels), linearly, edges repeated."""
    out = np.asarray(image, np.float32)
    for axis, at in enumerate(axes):
        at = np.clip(at, 0, image.shape[axis] - 1)
        low = np.minimum(at.astype(np.intp), max(image.shape[axis] - 2, 0))
        high = np.minimum(low + 1, image.shape[axis] - 1)
        part = (at - low).astype(np.float32)
        shape = [-1 if n == axis else 1 for n in range(3)]
        part = part.reshape(shape)
        out = out.take(low, axis) * (1 - part) + out.take(high, axis) * part
    return out
