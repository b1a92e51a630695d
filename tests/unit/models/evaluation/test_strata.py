"""The groups that nodules are reported in."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.geometry import Grid
from imaging.lungs import LungMask
from imaging.volume import Mask
from models.evaluation.strata import (
    ALL_FROM,
    ORDER,
    Places,
    size_groups,
    sphere_mm,
    texture_groups,
)


@pytest.mark.parametrize(
    ("mm", "group"),
    [
        (3.9, "size below 4 mm"), (4.0, "size 4 to 6 mm"), (6.0, "size 6 to 8 mm"),
        (9.99, "size 8 to 10 mm"), (10.0, "size 10 to 20 mm"), (64.0, "size from 20 mm"),
    ],
)  # fmt: skip
def test_sizes_leave_no_gap(mm: float, group: str) -> None:
    assert size_groups(mm)[-1] == group
    assert (ALL_FROM in size_groups(mm)) is (mm >= 6)
    assert set(size_groups(mm)) <= set(ORDER)


def test_textures() -> None:
    named = {rating: texture_groups(rating) for rating in (1.0, 1.49, 1.5, 3.0, 4.49, 4.5, 5.0)}
    words = [group.removeprefix("texture ") for (group,) in named.values()]
    assert words == [*["ground glass"] * 2, *["part solid"] * 3, *["solid"] * 2]
    assert texture_groups(None) == () == texture_groups(float("nan"))


def lungs() -> LungMask:
    """A box of lung, 120 mm high, 80 mm deep and wide, its middle at (10, 20, 30) mm."""
    voxels = np.zeros((80, 60, 60), bool)
    voxels[10:70, 10:50, 10:50] = True
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 2.0], [0, 2.0, 0], [2.0, 0, 0]])
    affine[:3, 3] = np.array([10, 20, 30]) - affine[:3, :3] @ np.array([39.5, 29.5, 29.5])
    mask = Mask(voxels, Grid((80, 60, 60), affine))
    return LungMask(mask, 1000.0, 1000.0, (False, False))


@pytest.mark.parametrize(
    ("at", "diameter", "depth", "third"),
    [
        ((10, 20, 30), 8.0, "central", "middle third"),
        ((10 + 34, 20, 30 + 45), 8.0, "attached to the wall", "upper third"),
        ((10, 20 - 30, 30 - 45), 8.0, "subpleural (< 10 mm)", "lower third"),
        ((10, 20 + 25, 30), 8.0, "central", "middle third"),
        ((10 + 60, 20, 30), 8.0, "attached to the wall", "middle third"),  # beyond the mask
    ],
)
def test_places(at: tuple[float, float, float], diameter: float, depth: str, third: str) -> None:
    groups = Places(lungs()).groups(sphere_mm(at, diameter))
    assert groups == (f"place {depth}", f"place {third}")
    assert set(groups) <= set(ORDER)


def test_without_lung_there_is_no_place() -> None:
    empty = lungs()
    none = LungMask(Mask(np.zeros_like(empty.mask.voxels), empty.mask.grid), 0, 0, (False, False))
    assert Places(none).groups(sphere_mm((0, 0, 0), 8.0)) == ()


def test_a_ball_has_the_size_asked_for() -> None:
    points = sphere_mm((5.0, -3.0, 2.0), 12.0)
    assert points.mean(0) == pytest.approx([5.0, -3.0, 2.0])
    assert len(points) == pytest.approx(4 / 3 * np.pi * 6**3, rel=0.05)
    assert sphere_mm((5.0, -3.0, 2.0), 0.5) == pytest.approx(np.array([[5.0, -3.0, 2.0]]))
