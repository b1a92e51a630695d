"""Lesions drawn into a real gland, and the controls that keep a net from learning the drawing.

Everything works on one axial slice as a density map: HU less the patient's own parenchyma, inside
the outlined organ. A solid lesion is an uneven ellipse of 6 to 35 mm, 10 to 60 HU darker, with a
blurred edge; the slice's own noise stays. It may bulge out of the gland: the organ then grows by
it, filled with the gland's own texture mirrored across its border. A *null paste* is the same
drawing, evened and bulging alike, without the darkening. Cysts are darker and sharper. Wide ducts
and a bile duct in cross section are no lesions; a duct drawn from a lesion on goes to one side
only, as behind an obstruction.
Needs SciPy, not PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.training.pancreas.data import PIXEL_MM

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Kind = Literal["none", "solid", "null", "cyst"]

SOLID_MM, CYST_MM = (6.0, 35.0), (10.0, 30.0)
SOLID_HU, CYST_HU = (-60.0, -10.0), (-110.0, -60.0)
DUCT_HU, DUCT_MM = (-90.0, -45.0), (2.5, 7.0)
BILE_MM = (4.0, 9.0)
UNEVEN_HU = 8.0
"""Within a solid lesion, standard deviation."""
BULGES = 0.5
"""How often a solid lesion or a null paste may reach out of the gland."""


@dataclass(frozen=True, eq=False)
class Slice:
    """One axial slice of a gland, (j, i) at about 1.6 mm.

    Attributes:
        delta: HU less the patient's parenchyma, all of the slice.
        organ: the gland with whatever was drawn in it.
        lesion: what was drawn as a lesion; empty in a control.
        kind: what was drawn; a wide duct may be there beside any.
        place: where it was drawn, a control too.
        diameter_mm: of the drawing, sqrt of its axes' product; 0 where there is none.
        contrast_hu: how much darker it was drawn; 0 for a control.
    """

    delta: Floats
    organ: Bools
    lesion: Bools
    kind: Kind
    place: Bools
    diameter_mm: float = 0.0
    contrast_hu: float = 0.0


def untouched(delta: Floats, organ: Bools) -> Slice:
    """A slice as it is."""
    return Slice(delta, organ, np.zeros_like(organ), "none", np.zeros_like(organ))


def draw(
    delta: Floats, organ: Bools, rng: np.random.Generator, kind: Kind, *,
    diameter_mm: float | None = None, contrast_hu: float | None = None,
    bulging: bool | None = None,
) -> Slice:  # fmt: skip
    """A slice with a lesion or a control in it.

    Args:
        delta: HU less the parenchyma, [j, i].
        organ: the outlined gland, not empty.
        kind: ``none`` leaves the slice as it is.
        diameter_mm, contrast_hu, bulging: at random where None; a cyst never bulges.
    """
    if kind == "none":
        return untouched(delta, organ)
    sizes, levels = (CYST_MM, CYST_HU) if kind == "cyst" else (SOLID_MM, SOLID_HU)
    size = diameter_mm or float(np.exp(rng.uniform(*np.log(sizes))))
    level = float(rng.uniform(*levels)) if contrast_hu is None else contrast_hu
    shape = _blob(organ, size, rng)
    grown, field = organ, delta
    bulges = rng.random() < BULGES if bulging is None else bulging
    if kind != "cyst" and bulges:
        beyond = (shape > 0.5) & ~organ
        field = np.where(beyond, mirrored(delta, organ), delta).astype(np.float32)
        grown = organ | beyond
    inside = shape * grown
    if kind != "cyst":
        # A tumour has no lobules with fat between them; a null paste is evened in the same way.
        coarse = np.asarray(_within(field, grown, 2.0), np.float32)
        field = field - inside * np.float32(rng.uniform(0.0, 0.8)) * coarse
    place = (inside > 0.5) & grown
    if kind == "null":
        return Slice(field, grown, np.zeros_like(organ), "null", place, size)
    depth = np.float32(level) + _uneven(organ.shape, rng) * (kind == "solid")
    return Slice(field + inside * depth, grown, place, kind, place, size, level)


def with_duct(drawn: Slice, rng: np.random.Generator) -> Slice:
    """The slice with a wide duct along its gland, from the lesion on where there is one.

    The duct is no part of ``lesion``.
    """
    line = _axis(drawn.organ, rng)
    if len(line) < 8:
        return drawn
    if drawn.lesion.any():
        at = np.argwhere(drawn.lesion).mean(0)
        nearest = int(np.argmin(((line - at) ** 2).sum(1)))
        longer = nearest < len(line) / 2
        line = line[nearest:] if longer else line[: nearest + 1]
    j, i = np.indices(drawn.organ.shape)
    away = np.full(drawn.organ.shape, np.inf)
    for y, x in line:
        away = np.minimum(away, (j - y) ** 2 + (i - x) ** 2)
    radius = rng.uniform(*DUCT_MM) / 2 / PIXEL_MM
    shape = np.clip(radius + 0.5 - np.sqrt(away), 0, 1)
    shape = ndimage.gaussian_filter(shape, 0.5) * drawn.organ * ~drawn.lesion
    delta = drawn.delta + np.float32(rng.uniform(*DUCT_HU)) * shape.astype(np.float32)
    return replace(drawn, delta=delta)


def with_bile_duct(drawn: Slice, rng: np.random.Generator) -> Slice:
    """The slice with a round spot of fluid, 4 to 9 mm, outside the lesion; no part of it."""
    room = np.argwhere(drawn.organ & ~drawn.lesion)
    if not len(room):
        return drawn
    y, x = room[rng.integers(len(room))]
    j, i = np.indices(drawn.organ.shape)
    radius = rng.uniform(*BILE_MM) / 2 / PIXEL_MM
    shape = np.clip(radius + 0.5 - np.hypot(j - y, i - x), 0, 1)
    shape = ndimage.gaussian_filter(shape, 0.5) * drawn.organ * ~drawn.lesion
    delta = drawn.delta + np.float32(rng.uniform(*CYST_HU)) * shape.astype(np.float32)
    return replace(drawn, delta=delta)


def mirrored(delta: Floats, organ: Bools) -> Floats:
    """The gland's own texture continued beyond its border, each place from its mirror image."""
    near = ndimage.distance_transform_edt(~organ, return_distances=False, return_indices=True)
    grid = np.indices(organ.shape)
    far = 2 * near - grid
    for axis, length in enumerate(organ.shape):
        np.clip(far[axis], 0, length - 1, out=far[axis])
    usable = organ[far[0], far[1]]
    found: Floats = np.where(usable, delta[far[0], far[1]], delta[near[0], near[1]])
    return found


def _blob(organ: Bools, size_mm: float, rng: np.random.Generator) -> Floats:
    """An uneven ellipse about a place in the gland, 0 to 1 with a blurred edge."""
    depth = ndimage.distance_transform_edt(organ)
    chance = np.where(organ, depth, 0).ravel()
    at = rng.choice(chance.size, p=chance / chance.sum())
    centre = np.unravel_index(at, organ.shape)
    stretch = np.sqrt(rng.uniform(1.0, 1.8))
    a, b = size_mm / 2 / PIXEL_MM * stretch, size_mm / 2 / PIXEL_MM / stretch
    turn = rng.uniform(0, np.pi)
    j, i = (g - c for g, c in zip(np.indices(organ.shape), centre, strict=True))
    u, v = np.cos(turn) * i + np.sin(turn) * j, np.cos(turn) * j - np.sin(turn) * i
    radius = np.sqrt((u / a) ** 2 + (v / b) ** 2)
    angle = np.arctan2(v / b, u / a)
    for waves in (2, 3, 5):
        radius = radius * (
            1 + rng.normal(0, 0.25 / waves) * np.cos(waves * angle + rng.uniform(0, 7))
        )
    edge = np.clip((1 - radius) * np.sqrt(a * b) + 0.5, 0, 1)
    # A small lesion would vanish in the widest blur.
    blur = rng.uniform(0.5, min(2.2, 0.4 * np.sqrt(a * b)))
    blurred: Floats = ndimage.gaussian_filter(edge, blur).astype(np.float32)
    # The rim of a spot in a thin strand may lie half outside; its middle is always in it.
    blurred[centre] = max(float(blurred[centre]), 0.6)
    return blurred


def _uneven(shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Coarse unevenness of a tumour, HU."""
    coarse = ndimage.gaussian_filter(rng.standard_normal(shape), 3.0)
    coarse *= rng.uniform(0, UNEVEN_HU) / max(float(coarse.std()), 1e-6)
    return np.asarray(coarse, np.float32)


def _within(values: Floats, organ: Bools, sigma: float) -> NDArray[np.float64]:
    """Smoothed over the organ's own pixels only; 0 outside."""
    weight = ndimage.gaussian_filter(organ.astype(np.float64), sigma)
    total = ndimage.gaussian_filter(np.where(organ, values, 0).astype(np.float64), sigma)
    return np.where(organ, total / np.maximum(weight, 1e-6), 0)


def _axis(organ: Bools, rng: np.random.Generator) -> NDArray[np.float64]:
    """A line along the largest piece of the gland, [n, 2]: its middle at every step."""
    labels, count = ndimage.label(organ)
    if not count:
        return np.zeros((0, 2))
    piece = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    at = np.argwhere(piece).astype(np.float64)
    if len(at) < 40:
        return np.zeros((0, 2))
    weight = ndimage.distance_transform_edt(piece)[piece] ** 2
    mean = at.mean(0)
    _, _, axes = np.linalg.svd(at - mean, full_matrices=False)
    along = (at - mean) @ axes[0]
    steps = np.arange(along.min() + 1, along.max(), 1.0)
    line = [
        np.average(at[near], axis=0, weights=weight[near])
        for near in (np.abs(along - step) < 1.5 for step in steps)
        if near.any()
    ]
    line_ = np.array(line)
    if len(line_) < 3:
        return np.zeros((0, 2))
    shift = rng.uniform(0.5, 2.0)
    smooth = np.asarray(ndimage.gaussian_filter1d(line_, shift, axis=0, mode="nearest"))
    # Points close enough that their discs touch.
    fine = np.linspace(0, len(smooth) - 1, 2 * len(smooth))
    return np.stack([np.interp(fine, np.arange(len(smooth)), smooth[:, n]) for n in (0, 1)], 1)
