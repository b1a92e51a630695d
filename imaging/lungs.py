"""Where the lungs are in a CT, and whether there are any.

Works at 2 mm, about a second a scan: air inside the body, joined over nodules, vessels and the
hilum so that a mass on the pleura lies inside the mask and not beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from imaging.body import Bools, body_mask, fill_slices, grown
from imaging.geometry import Grid
from imaging.resample import resample_mask, to_isotropic
from imaging.volume import Mask, Volume, Voxels

SPACING_MM = 2.0
AIR_HU = -450.0
"""Below: aerated lung, or other air."""
GAS_HU = -960.0
"""A piece whose median lies below is free gas (bowel, stomach, trachea alone): lung holds blood."""
LEAST_PIECE_ML = 40.0
LEAST_SHARE = 0.05
"""Pieces smaller than this share of the largest one are not lung."""
CLOSING_MM = 16.0
CUT_MM2 = 1000.0
"""More air than this in an end slice is cut lung; a windpipe has 200 to 400 mm2."""


@dataclass(frozen=True, eq=False)
class LungMask:
    """The lungs of one CT.

    Attributes:
        mask: both lungs with what lies in and between their folds, on a 2 mm grid along +S, +P, +L.
        right_ml: aerated lung right of the body's middle, ml.
        left_ml: aerated lung left of it, ml.
        touches_end: (feet, head): whether lung reaches the scan's lowest and highest slice.
    """

    mask: Mask
    right_ml: float
    left_ml: float
    touches_end: tuple[bool, bool]

    @property
    def volume_ml(self) -> float:
        """Aerated lung in view, ml. An adult's is 3,000 to 6,000; 0 means there is no lung."""
        return self.right_ml + self.left_ml

    def on(self, grid: Grid) -> Mask:
        """The mask on another grid, nearest neighbour."""
        return resample_mask(self.mask, grid)


def lung_mask(volume: Volume) -> LungMask:
    """Find the lungs.

    Args:
        volume: CT in HU, any spacing and orientation, the axes orthogonal.

    Returns:
        The mask and how much lung there is. A CT without lung (a head, a pelvis) gives an empty
        mask and 0 ml; nothing is raised.
    """
    coarse = to_isotropic(volume, SPACING_MM)
    hu = coarse.voxels
    body = body_mask(hu)
    raw = _lung_pieces(hu, body)
    if not raw.any():
        return LungMask(Mask(raw, coarse.grid), 0.0, 0.0, (False, False))
    # The middle of the body, not of the air: one lung may be collapsed.
    columns = np.flatnonzero(body[raw.any((1, 2))].any((0, 1)))
    middle = int(columns[0] + columns[-1] + 1) // 2
    ml = coarse.grid.voxel_volume_mm3 / 1000
    return LungMask(
        mask=Mask(_closed(raw), coarse.grid),
        right_ml=float(np.count_nonzero(raw[:, :, :middle])) * ml,
        left_ml=float(np.count_nonzero(raw[:, :, middle:])) * ml,
        touches_end=(_cut(raw[0]), _cut(raw[-1])),
    )


def _cut(end_slice: Bools) -> bool:
    """Whether more than a windpipe is seen in an end slice."""
    return float(np.count_nonzero(end_slice)) * SPACING_MM**2 > CUT_MM2


def _lung_pieces(hu: Voxels, body: Bools) -> Bools:
    """Pieces of air in the body that are lung."""
    # One voxel off the body's skin: its partial volume is below the threshold as well.
    inner = ~grown((hu >= AIR_HU) | ~body)
    labels = sitk.RelabelComponent(
        sitk.ConnectedComponent(sitk.GetImageFromArray(inner.astype(np.uint8))),
        int(LEAST_PIECE_ML * 1000 / SPACING_MM**3),
    )
    found = sitk.GetArrayFromImage(labels)
    sizes = np.bincount(found.ravel())
    lung = np.zeros(found.shape, bool)
    largest = 0
    for label in range(1, len(sizes)):
        piece = found == label
        if np.median(hu[piece]) < GAS_HU:
            continue
        largest = max(largest, int(sizes[label]))
        if sizes[label] >= LEAST_SHARE * largest:
            lung |= piece
    aerated: Bools = hu < AIR_HU
    return grown(lung) & aerated & body


def _closed(raw: Bools) -> Bools:
    """Closing and hole filling of each slice, no farther than 16 mm from aerated lung."""
    radius = round(CLOSING_MM / SPACING_MM)
    box = tuple(slice(int(at.min()), int(at.max()) + 1) for at in np.nonzero(raw))
    pad = radius + 2
    wide = np.pad(raw[box], ((0, 0), (pad, pad), (pad, pad)))
    near = _within(wide, radius)
    filled = fill_slices(~_within(~near, radius)) & near
    closed = raw.copy()
    # What the padding holds beyond the volume's own border is cut off by the slices.
    low = [max(b.start - pad, 0) for b in box[1:]]
    high = [min(b.stop + pad, n) for b, n in zip(box[1:], raw.shape[1:], strict=True)]
    own = tuple(
        slice(a - (b.start - pad), c - (b.start - pad))
        for a, c, b in zip(low, high, box[1:], strict=True)
    )
    closed[box[0], low[0] : high[0], low[1] : high[1]] |= filled[:, own[0], own[1]]
    return closed


def _within(mask: Bools, radius: float) -> Bools:
    """Voxels no farther than ``radius`` voxels in their own slice from a true one.

    By a distance map, whose cost does not grow with the radius; slices are put far apart.
    """
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing((1.0, 1.0, 1000.0))
    far = sitk.SignedMaurerDistanceMap(
        image, insideIsPositive=False, squaredDistance=True, useImageSpacing=True
    )
    near: Bools = sitk.GetArrayFromImage(far) <= radius**2
    return near
