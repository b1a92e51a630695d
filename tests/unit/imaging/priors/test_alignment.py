"""The map from one examination to the other, and back."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.geometry import Grid
from imaging.priors.alignment import Alignment, sample

GRID = Grid((12, 14, 16), np.array([[0, 0, 3, -20], [0, 3, 0, 5], [3, 0, 0, -7], [0, 0, 0, 1.0]]))


def motion() -> np.ndarray:
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    out = np.eye(4)
    out[:3, :3] = turn
    out[:3, 3] = (4, -3, 9)
    return out


def points() -> np.ndarray:
    index = np.random.default_rng(0).uniform(1, 10, (50, 3))
    return GRID.to_lps(index)


def test_trilinear_values_are_exact_for_a_linear_field() -> None:
    index = np.stack(np.meshgrid(*[np.arange(n) for n in GRID.shape], indexing="ij"), -1)
    at = GRID.to_lps(index)
    field = np.stack([2 * at[..., 0] - at[..., 2], at[..., 1] + 1], axis=-1)
    x, y, z = points().T
    assert np.allclose(sample(field, GRID, points()), np.stack([2 * x - z, y + 1], axis=-1))
    corner = GRID.to_lps((-5, -5, -5))
    assert np.allclose(sample(field, GRID, corner), field[0, 0, 0]), "the border holds outside"


def test_there_and_back() -> None:
    rng = np.random.default_rng(3)
    smooth = np.cumsum(rng.normal(0, 0.4, (*GRID.shape, 3)), axis=0).astype(np.float32)
    bent = Alignment(motion(), GRID, 0.5 * smooth)
    there = bent.to_prior(points())
    assert np.abs(bent.to_current(there) - points()).max() < 0.05
    rigid = bent.rigid
    assert np.allclose(rigid.to_current(rigid.to_prior(points())), points())
    assert np.abs(there - rigid.to_prior(points())).max() > 0.5


def test_a_bend_needs_its_own_grid() -> None:
    with pytest.raises(ValueError, match="grid"):
        Alignment(np.eye(4), GRID)
    with pytest.raises(ValueError, match="does not fit"):
        Alignment(np.eye(4), GRID, np.zeros((2, 2, 2, 3), np.float32))
