"""Contact of a lesion with vessels of known course: degrees and length."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.geometry import Grid
from imaging.pancreas.contact import touch
from imaging.volume import Region

LENGTH_MM = 20.0


def sector(
    degrees: float,
    way: tuple[float, float, float],
    spacing: tuple[float, float, float],
    *,
    radius: float = 4.0,
    gap: float = 0.0,
) -> tuple[Region, Region]:
    """A lesion that lies round a straight vessel over an angle and 20 mm, and the vessel."""
    k, j, i = spacing
    shape = (round(52 / k), round(52 / j), round(52 / i))
    grid = Grid.from_dicom(shape, (0, 0, 0), (1, 0, 0, 0, 1, 0), (j, i), (0, 0, k))
    points = grid.to_lps(np.moveaxis(np.indices(shape), 0, -1))
    points = points - grid.to_lps((np.array(shape) - 1) / 2)
    axis = np.array(way) / np.linalg.norm(way)
    first = np.cross(axis, (0.0, 0.0, 1.0) if abs(axis[2]) < 0.9 else (1.0, 0.0, 0.0))
    first /= np.linalg.norm(first)
    second = np.cross(axis, first)
    u, v, along = points @ first, points @ second, points @ axis
    far, turn = np.hypot(u, v), np.degrees(np.arctan2(v, u)) % 360
    lesion = (far >= radius + gap) & (far < radius + 12) & (turn < degrees)
    lesion &= np.abs(along) < LENGTH_MM / 2
    return Region(lesion, (0, 0, 0), grid), Region(far < radius, (0, 0, 0), grid)


@pytest.mark.parametrize(
    ("degrees", "way", "spacing", "within"),
    [(90.0, (0, 0, 1), (1.0, 0.8, 0.8), 12), (180.0, (0, 0, 1), (1.0, 0.8, 0.8), 12),
     (270.0, (0, 0, 1), (1.0, 0.8, 0.8), 12), (180.0, (0, 0, 1), (5.0, 0.8, 0.8), 15),
     (90.0, (1, 0.2, 0.1), (1.0, 0.8, 0.8), 18), (180.0, (1, 0.2, 0.1), (2.5, 0.8, 0.8), 28),
     (270.0, (1, 1, 1), (2.5, 0.8, 0.8), 22)],
)  # fmt: skip
def test_degrees_round_a_cylinder(
    degrees: float,
    way: tuple[float, float, float],
    spacing: tuple[float, float, float],
    within: float,
) -> None:
    found = touch(*sector(degrees, way, spacing))
    assert found.degrees == pytest.approx(degrees, abs=within)
    assert found.length_mm == pytest.approx(LENGTH_MM, abs=max(3.0, spacing[0]))


def test_an_encased_vessel_is_touched_all_round() -> None:
    assert touch(*sector(360.0, (0, 0, 1), (1.0, 0.8, 0.8))).degrees == 360


def test_a_fat_plane_of_three_millimetres_is_no_contact() -> None:
    found = touch(*sector(180.0, (0, 0, 1), (1.0, 0.8, 0.8), gap=3.0))
    assert (found.degrees, found.length_mm) == (0.0, 0.0)


def test_a_vessel_far_away_is_not_touched() -> None:
    lesion, vessel = sector(90.0, (0, 0, 1), (1.0, 0.8, 0.8))
    shifted = Grid((lesion.within.shape[0], lesion.within.shape[1], 400), lesion.within.affine)
    far = Region(vessel.voxels, (0, 0, 300), shifted)
    near = Region(lesion.voxels, (0, 0, 0), shifted)
    assert touch(near, far).degrees == 0.0
