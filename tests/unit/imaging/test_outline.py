"""Outlines and axes, against brute force that shares nothing with the code."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from imaging.outline import axes, outlines

masks = arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9)))


def within(polygon: np.ndarray, column: float, row: float) -> bool:
    """Ray casting."""
    odd = False
    for (x1, y1), (x2, y2) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if (y1 > row) != (y2 > row) and column < x1 + (row - y1) / (y2 - y1) * (x2 - x1):
            odd = not odd
    return odd


def background(mask: np.ndarray) -> np.ndarray:
    """False pixels that touch the outside, by flooding; holes stay out of it.

    Pixels that touch at a corner only are apart for the flood as they are joined for no one.
    """
    outside = np.zeros(np.add(mask.shape, 2), bool)
    free = ~np.pad(mask, 1)
    outside[0, 0] = True
    while True:
        grown = outside.copy()
        grown[1:] |= outside[:-1]
        grown[:-1] |= outside[1:]
        grown[:, 1:] |= outside[:, :-1]
        grown[:, :-1] |= outside[:, 1:]
        grown &= free
        if np.array_equal(grown, outside):
            return outside[1:-1, 1:-1]
        outside = grown


@settings(max_examples=150, deadline=None)
@given(masks)
def test_outlines_hold_every_true_pixel_and_nothing_of_the_outside(mask: np.ndarray) -> None:
    polygons = outlines(mask)
    outside = background(mask)
    for row, column in np.ndindex(mask.shape):
        held = any(within(p, column + 0.5, row + 0.5) for p in polygons)
        if mask[row, column]:
            assert held, (row, column)
    # What 4-neighbours flood can only be larger where corners touch; those are not asserted.
    far = outside & ~touched(mask)
    for row, column in np.argwhere(far):
        assert not any(within(p, column + 0.5, row + 0.5) for p in polygons)


def touched(mask: np.ndarray) -> np.ndarray:
    """Pixels with a true pixel on opposite or adjoining sides, where a contour may bridge."""
    wide = np.pad(mask, 1)
    sides = [wide[:-2, 1:-1], wide[2:, 1:-1], wide[1:-1, :-2], wide[1:-1, 2:]]
    return np.sum(sides, axis=0) >= 2


def test_one_pixel_has_its_outline_half_way_to_its_neighbours() -> None:
    mask = np.zeros((5, 6), bool)
    mask[2, 3] = True
    (polygon,) = outlines(mask)
    assert sorted(map(tuple, polygon)) == [(3.0, 2.5), (3.5, 2.0), (3.5, 3.0), (4.0, 2.5)]


def test_a_mask_at_the_image_s_border_is_closed() -> None:
    (polygon,) = outlines(np.ones((4, 3), bool))
    assert polygon.min(axis=0) == pytest.approx([0, 0])
    assert polygon.max(axis=0) == pytest.approx([3, 4])


def test_holes_are_left_out_and_the_largest_comes_first() -> None:
    mask = np.zeros((20, 20), bool)
    mask[2:12, 2:12] = True
    mask[5:8, 5:8] = False
    mask[15:18, 15:18] = True
    big, small = outlines(mask)
    assert big[:, 0].max() == pytest.approx(12.0)
    assert small[:, 0].min() == pytest.approx(15.0)


def test_an_island_in_a_hole_is_an_outline_of_its_own() -> None:
    mask = np.ones((11, 11), bool)
    mask[2:9, 2:9] = False
    mask[4:7, 4:7] = True
    assert len(outlines(mask)) == 2


def test_nothing_has_no_outline() -> None:
    assert outlines(np.zeros((4, 4), bool)) == []


def boundary(polygon: np.ndarray, count: int = 40) -> np.ndarray:
    """Points all along the polygon."""
    after = np.roll(polygon, -1, axis=0)
    part = np.linspace(0, 1, count, endpoint=False)[:, None, None]
    return (polygon + part * (after - polygon)).reshape(-1, 2)


def star(radii: list[float]) -> np.ndarray:
    """A star-shaped polygon around the origin."""
    angle = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    return np.array(radii)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(2, 20), min_size=5, max_size=14))
def test_axes_equal_brute_force_over_the_boundary(radii: list[float]) -> None:
    polygon = star(radii)
    found = axes(polygon)
    points = boundary(polygon)
    longest = max(float(np.hypot(*(points - p).T).max()) for p in points)
    assert found.long_length == pytest.approx(longest, abs=1e-6)
    # Perpendicular to one another ...
    along = (found.long[1] - found.long[0]) / found.long_length
    across = found.short[1] - found.short[0]
    assert abs(float(along @ across)) < 1e-6 * max(found.short_length, 1)
    # ... and no pair of boundary points on a common perpendicular is farther apart.
    at = (points - found.long[0]) @ along
    height = (points - found.long[0]) @ np.array([-along[1], along[0]])
    bins = np.round(at / 0.05).astype(int)
    spans = [float(np.ptp(height[bins == b])) for b in np.unique(bins)]
    assert max(spans) <= found.short_length + 2.0
    assert found.short_length <= found.long_length + 1e-9


@pytest.mark.parametrize("degrees", [0, 17, 45, 90, 133])
def test_an_ellipse_has_its_axes(degrees: float) -> None:
    t = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    a = np.radians(degrees)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    found = axes(np.stack([12 * np.cos(t), 5 * np.sin(t)], axis=1) @ turn.T + 40)
    assert found.long_length == pytest.approx(24, abs=1e-3)
    assert found.short_length == pytest.approx(10, abs=0.05)
    direction = found.long[1] - found.long[0]
    assert abs(float(direction @ turn[:, 0])) == pytest.approx(24, abs=0.05)


def test_a_rectangle_s_short_axis_is_across_its_diagonal() -> None:
    """By hand: diagonal 5 of 4 x 3; the longest chord across it runs from corner to side."""
    found = axes(np.array([[0, 0], [4, 0], [4, 3], [0, 3]], float))
    assert found.long_length == pytest.approx(5)
    # Through (4, 0), direction (3, -4) or (-3, 4): leaves through y = 3 after 3.75.
    assert found.short_length == pytest.approx(3.75)
