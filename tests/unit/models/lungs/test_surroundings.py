"""Air beyond the lungs' surroundings is hidden from the detector, and nothing else is."""

from __future__ import annotations

import numpy as np

from imaging.geometry import Grid
from imaging.volume import Mask
from models.lungs.surroundings import REACH_MM, TISSUE_HU, without_outer_air


def _grid(side: int, spacing: float) -> Grid:
    affine = np.diag([0.0, 0.0, 0.0, 1.0])
    affine[0, 2] = affine[1, 1] = affine[2, 0] = spacing
    return Grid((side, side, side), affine)


def test_only_far_air_becomes_tissue() -> None:
    lungs = np.zeros((40, 40, 40), bool)
    lungs[16:24, 16:24, 16:24] = True  # 32 to 47 mm on each axis
    hu = np.full((80, 80, 80), -1000, np.int16)
    hu[:, :, 60:] = 700  # bone, far away
    seen = without_outer_air(hu, _grid(80, 1.0), Mask(lungs, _grid(40, 2.0)))
    middle = seen[40, 40]
    assert (middle[:18] == TISSUE_HU).all(), "air more than 12 mm to the right of the lung"
    assert (middle[20:59] == -1000).all(), "lung, and the air around it that training showed"
    assert (middle[60:] == 700).all(), "bone stays"
    assert hu[40, 40, 0] == -1000, "the caller's volume is left alone"


def test_the_corner_of_a_box_is_farther_than_its_side() -> None:
    lungs = np.zeros((40, 40, 40), bool)
    lungs[16:24, 16:24, 16:24] = True
    hu = np.full((80, 80, 80), -1000, np.float32)
    seen = without_outer_air(hu, _grid(80, 1.0), Mask(lungs, _grid(40, 2.0)))
    away = int(REACH_MM) - 2
    assert seen[40, 40, 32 - away] == -1000
    assert seen[32 - away, 32 - away, 32 - away] == TISSUE_HU
