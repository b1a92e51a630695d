"""Where the best match lies, and which places are sought."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.block_matching import best_match, cube_offsets, evenly_along, strongest_of_cells


def test_the_best_match_is_found_to_a_part_of_a_voxel() -> None:
    k, j, i = np.meshgrid(*[np.arange(9.0)] * 3, indexing="ij")
    off, edge = best_match(-((k - 5.25) ** 2) - (j - 3) ** 2 - (i - 6.4) ** 2)
    assert off == pytest.approx([2.4, -1.0, 1.25])  # x, y, z from the middle, (4, 4, 4)
    assert not edge


def test_a_best_match_at_the_edge_says_so() -> None:
    off, edge = best_match(np.arange(27.0).reshape(3, 3, 3))
    assert edge and off.tolist() == [1, 1, 1]


def test_one_place_of_each_cell_strongest_first() -> None:
    strength = np.zeros((4, 4, 8))
    strength[1, 2, 3], strength[0, 0, 0], strength[3, 3, 7] = 5, 4, 6
    assert strongest_of_cells(strength, 4) == [(6.0, 3, 3, 7), (5.0, 1, 2, 3)]


def test_places_are_spread_over_the_ranking() -> None:
    ranking = [(9.0 - n, n, n, n) for n in range(9)]
    assert evenly_along(ranking, 3)[:, 0].tolist() == [0, 3, 6]
    assert evenly_along(ranking, 20)[:, 0].tolist() == list(range(9))
    assert evenly_along([], 3).shape == (0, 3)


def test_a_cube_s_offsets_are_x_y_z() -> None:
    offsets = cube_offsets(3)
    assert offsets[1, 1, 1].tolist() == [0, 0, 0]
    assert offsets[2, 1, 0].tolist() == [-1, 0, 1]
