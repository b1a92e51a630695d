"""Tumours, cysts and wide ducts drawn into a gland, which all belong to it.

NIH's patients have healthy glands, and a net that saw only those leaves a tumour out of the organ.
Shapes and densities are drawn from what is usual: a hypo-attenuating mass 10 to 70 HU below the
gland, a cyst of -5 to 25 HU, a hyper-attenuating one (neuroendocrine), a duct of 4 to 10 mm.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.training.pancreas.data import PIXEL_MM

FloatImage = NDArray[np.float32]
Mask = NDArray[np.bool_]
Kind = Literal["dark", "cyst", "bright", "duct"]

LEAST_PIXELS = 30
"""Of a slice's gland: in less no lesion is drawn."""
MARGIN = 16
"""Pixels around the gland that a lesion may reach into."""


def diseased(
    image: FloatImage, gland: Mask, rng: np.random.Generator
) -> tuple[FloatImage, Mask, Mask]:
    """A slice with one or two lesions in its gland, a wide duct, or both.

    Args:
        image: HU, [j, i], clipped to 0 to 255.
        gland: the outlined pancreas.

    Returns:
        The slice; the gland with what grew out of it; what was drawn.
    """
    drawn = np.zeros_like(gland)
    if rng.random() < 0.25:
        image, gland, drawn = with_lesion(image, gland, rng, "duct")
    if not drawn.any() or rng.random() < 0.6:
        for _ in range(1 + int(rng.random() < 0.2)):
            draw = rng.random()
            kind: Kind = "dark" if draw < 0.55 else "cyst" if draw < 0.88 else "bright"
            bulging = bool(rng.random() < 0.5)
            image, gland, more = with_lesion(image, gland, rng, kind, bulging=bulging)
            drawn = drawn | more
    return image, gland, drawn


def with_lesion(
    image: FloatImage,
    gland: Mask,
    rng: np.random.Generator,
    kind: Kind,
    *,
    sizes_mm: tuple[float, float] = (7.0, 45.0),
    bulging: bool = False,
) -> tuple[FloatImage, Mask, Mask]:
    """A slice with one lesion, or a wide duct, in its gland.

    Args:
        image, gland: as in :func:`diseased`; neither is changed.
        kind: ``dark``: 10 to 70 HU below the gland; ``cyst``; ``bright``: 15 to 80 HU above it.
        sizes_mm: of the longest axis, from which it is drawn.
        bulging: it may grow 2 to 14 mm out of the gland.

    Returns:
        As :func:`diseased`; unchanged where the slice shows too little gland.
    """
    image, whole = image.copy(), gland.copy()
    drawn = np.zeros_like(gland)
    if int(gland.sum()) < LEAST_PIXELS:
        return image, whole, drawn
    at = np.argwhere(gland)
    low, high = np.maximum(at.min(0) - MARGIN, 0), at.max(0) + MARGIN + 1
    box = slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))
    part, shape = image[box], gland[box]
    if kind == "duct":
        drawn[box] = _wide_duct(part, shape, rng)
    else:
        drawn[box] = _lesion(part, shape, rng, kind, sizes_mm, bulging)
    return image, whole | drawn, drawn


def _lesion(
    image: FloatImage,
    gland: Mask,
    rng: np.random.Generator,
    kind: Kind,
    sizes_mm: tuple[float, float],
    bulging: bool,
) -> Mask:
    """Draws one ellipse with an uneven edge into ``image``, in place."""
    at = np.argwhere(gland)
    centre = at[rng.integers(len(at))] + rng.uniform(-0.5, 0.5, 2)
    size_mm = float(np.exp(rng.uniform(*np.log(sizes_mm))))
    ratio = rng.uniform(0.6, 1.0)
    turn = rng.uniform(0, np.pi)
    j, i = np.indices(image.shape)
    y, x = (j - centre[0]) * PIXEL_MM, (i - centre[1]) * PIXEL_MM
    along = np.cos(turn) * x + np.sin(turn) * y
    across = -np.sin(turn) * x + np.cos(turn) * y
    angle = np.arctan2(across, along)
    phase = rng.uniform(0, 2 * np.pi, 2)
    edge = 1 + 0.15 * np.cos(2 * angle + phase[0]) + 0.08 * np.cos(5 * angle + phase[1])
    # Distance to the edge, roughly, in mm: positive inside.
    radius = np.hypot(along / (size_mm / 2), across / (size_mm * ratio / 2))
    depth = (edge - radius) * size_mm * np.sqrt(ratio) / 2
    # A mass may grow out of the gland into fat and vessels around it, not far.
    reach = rng.uniform(2, 14) if bulging else 0.0
    near = ndimage.distance_transform_edt(~gland) * PIXEL_MM <= reach
    level = float(np.median(image[gland]))
    if kind == "dark":
        goal = level - rng.uniform(10, 70)
    elif kind == "cyst":
        goal = rng.uniform(-5, 25)
    else:
        goal = level + rng.uniform(15, 80)
    share = np.clip(depth / rng.uniform(1.0, 5.0) + 0.5, 0, 1)
    # No edge against fat where the gland itself ends: the partial volume there stays as it is.
    share = (share * ndimage.gaussian_filter(near.astype(np.float32), 0.6)).astype(np.float32)
    # The noise of the place is kept; what lay there becomes one density.
    image += share * (np.float32(goal) - ndimage.gaussian_filter(image, 1.5))
    np.clip(image, 0, 255, out=image)
    lesion: Mask = (depth > 0) & near
    return lesion


def _wide_duct(image: FloatImage, gland: Mask, rng: np.random.Generator) -> Mask:
    """Darkens the middle of the gland along its length; what is left is a thin rim."""
    depth = ndimage.distance_transform_edt(gland) * PIXEL_MM
    around = ndimage.maximum_filter(depth, 9)
    half_mm = rng.uniform(2, 5)
    duct: Mask = (depth > np.maximum(around - half_mm, 1.5)) & (around > 4) & gland
    # Over part of the gland only: upstream of a place to one side of it.
    at = np.argwhere(gland)
    low, high = np.percentile(at[:, 1], [0, 100])
    cut = rng.uniform(low, high)
    columns = np.arange(image.shape[1])[None]
    duct &= (columns >= cut) if rng.random() < 0.8 else (columns <= cut)
    share = ndimage.gaussian_filter(duct.astype(np.float32), 0.7)
    image += share * (rng.uniform(0, 25) - ndimage.gaussian_filter(image, 1.0))
    np.clip(image, 0, 255, out=image)
    return duct
