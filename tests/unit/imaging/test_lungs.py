"""Lungs in drawn bodies: an ellipse of tissue with two ellipsoids of air, on a couch."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.geometry import Grid
from imaging.lungs import LungMask, lung_mask
from imaging.volume import Volume

SPACING = np.array([4.0, 2.5, 2.5])
SHAPE = (60, 120, 144)
LUNGS_X = (-75.0, 75.0)
LUNG_RADII = (95.0, 75.0, 52.0)


def points(shape: tuple[int, int, int] = SHAPE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """z, y, x in mm from the volume's middle, broadcastable."""
    z, y, x = ((np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, SPACING, strict=True))
    return z[:, None, None], y[None, :, None], x[None, None, :]


def body(*, lungs: bool = True) -> np.ndarray:
    z, y, x = points()
    hu = np.full(SHAPE, -1000, np.int16)
    hu[np.broadcast_to((y / 105) ** 2 + (x / 155) ** 2 < 1, SHAPE)] = 30
    couch = (np.abs(y - 130) < 12) & (np.abs(x) < 150) & (z < 1e9)
    hu[couch] = -930  # foam
    hu[couch & (np.abs(y - 130) > 8)] = 100  # its shell
    if lungs:
        for middle in LUNGS_X:
            hu[inside_lung(middle)] = -820
    return hu


def inside_lung(middle: float, shrink: float = 0.0) -> np.ndarray:
    z, y, x = points()
    a, b, c = (r - shrink for r in LUNG_RADII)
    return (z / a) ** 2 + (y / b) ** 2 + ((x - middle) / c) ** 2 < 1


def volume(hu: np.ndarray, affine: np.ndarray | None = None) -> Volume:
    if affine is None:
        affine = np.eye(4)
        affine[:3, :3] = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]]) * SPACING
        affine[:3, 3] = [-180, -150, -500]
    k, j, i = hu.shape
    return Volume(hu, Grid((k, j, i), affine))


def covered(found: LungMask, study: Volume, where: np.ndarray) -> float:
    return float(found.on(study.grid).voxels[where].mean())


def test_both_lungs_are_found_and_nothing_of_couch_or_room() -> None:
    study = volume(body())
    found = lung_mask(study)
    each = 4 / 3 * np.pi * np.prod(LUNG_RADII) / 1000
    assert found.right_ml == pytest.approx(each, rel=0.06)
    assert found.left_ml == pytest.approx(each, rel=0.06)
    assert found.volume_ml == pytest.approx(found.right_ml + found.left_ml)
    lungs = inside_lung(LUNGS_X[0]) | inside_lung(LUNGS_X[1])
    assert covered(found, study, lungs) > 0.97
    z, y, x = points()
    outside = np.broadcast_to((y / 105) ** 2 + (x / 155) ** 2 > 1.05, SHAPE)
    assert covered(found, study, outside) == 0
    assert found.touches_end == (False, False)


def test_right_is_the_patients_right_however_the_slices_are_stored() -> None:
    hu = body()
    hu[inside_lung(75.0)] = 30  # the left lung is full of fluid
    forward = lung_mask(volume(hu))
    assert forward.right_ml > 1000
    assert forward.left_ml < 20
    affine = volume(hu).grid.affine.copy()
    # The same patient stored from the head down and mirrored in i.
    turned = affine.copy()
    turned[:3, 0] *= -1
    turned[:3, 2] *= -1
    turned[:3, 3] = volume(hu).grid.to_lps([SHAPE[0] - 1, 0, SHAPE[2] - 1])
    backward = lung_mask(volume(hu[::-1, :, ::-1].copy(), turned))
    assert backward.right_ml == pytest.approx(forward.right_ml, rel=0.02)
    assert backward.left_ml < 20


def test_a_mass_on_the_pleura_lies_inside_the_mask() -> None:
    hu = body()
    z, y, x = points()
    # 22 mm, its centre 10 mm under the smooth lung border.
    mass = z**2 + y**2 + (x - (LUNGS_X[1] + LUNG_RADII[2] - 10)) ** 2 < 11**2
    hu[mass] = 40
    study = volume(hu)
    found = lung_mask(study)
    centre = study.grid.shape[0] // 2, study.grid.shape[1] // 2
    column = int(np.argmin(np.abs(x.ravel() - (LUNGS_X[1] + LUNG_RADII[2] - 10))))
    assert found.on(study.grid).voxels[(*centre, column)]


def test_a_nodule_within_the_lung_is_no_hole() -> None:
    hu = body()
    z, y, x = points()
    nodule = z**2 + y**2 + (x - LUNGS_X[0]) ** 2 < 15**2
    hu[nodule] = 40
    study = volume(hu)
    assert covered(lung_mask(study), study, nodule) > 0.99


def test_a_body_without_lungs_gives_an_empty_mask_and_no_volume() -> None:
    found = lung_mask(volume(body(lungs=False)))
    assert found.volume_ml == 0
    assert not found.mask.voxels.any()


def test_bowel_gas_and_a_paranasal_sinus_are_no_lung() -> None:
    hu = body(lungs=False)
    z, y, x = points()
    hu[z**2 + y**2 + (x - 40) ** 2 < 40**2] = -1000  # 270 ml of gas
    hu[(z - 60) ** 2 + y**2 + (x + 40) ** 2 < 18**2] = -850  # 24 ml
    assert lung_mask(volume(hu)).volume_ml == 0


def test_a_scan_that_cuts_the_lungs_says_so() -> None:
    cut = body()[20:]
    found = lung_mask(volume(cut))
    assert found.touches_end == (True, False)


def test_nothing_but_air_is_no_error() -> None:
    found = lung_mask(volume(np.full((10, 32, 32), -1000, np.int16)))
    assert found.volume_ml == 0
