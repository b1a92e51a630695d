"""What lies beyond the lungs' own surroundings: the detector was never shown it.

It was trained on lungs cut out with 12 mm around them and soft tissue beyond. Bone and fat
there leave what it finds as it is (tried on held-out lungs), but the air outside a thin chest
wall, or in the bowel, makes false findings at the pleura.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from imaging.geometry import Grid
from imaging.lungs import SPACING_MM
from imaging.resample import resample_mask
from imaging.volume import Mask

REACH_MM = 12.0
AIR_BELOW_HU, TISSUE_HU = -300.0, 30.0


def without_outer_air(hu: NDArray[np.generic], grid: Grid, lungs: Mask) -> NDArray[np.float32]:
    """``hu`` [k, j, i] on ``grid`` with air farther than 12 mm from the lungs made soft tissue.

    Args:
        hu: Hounsfield units.
        grid: of ``hu``.
        lungs: on its own 2 mm grid.
    """
    image = sitk.GetImageFromArray(lungs.voxels.astype(np.uint8))
    far = sitk.SignedMaurerDistanceMap(image, insideIsPositive=False, squaredDistance=True)
    beyond = sitk.GetArrayFromImage(far) > (REACH_MM / SPACING_MM) ** 2
    outside = resample_mask(Mask(beyond, lungs.grid), grid).voxels
    filled = np.array(hu, np.float32)
    filled[outside & (filled < AIR_BELOW_HU)] = TISSUE_HU
    return filled
