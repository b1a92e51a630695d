"""What the benchmark of inference computes besides time."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.sidebyside.monai_way import _upright
from benchmarks.sidebyside.timed import agreement


def test_agreement_by_hand() -> None:
    a, b = np.zeros((2, 2, 5), np.uint8), np.zeros((2, 2, 5), np.uint8)
    a[0, 0, :4], b[0, 0, 2:] = 1, 1
    found = agreement(a, b)
    assert found["voxels_that_differ"] == 3
    assert found["share_equal"] == pytest.approx(17 / 20)
    assert found["dice"] == pytest.approx(2 * 2 / 7)
    assert agreement(a, a)["dice"] == 1.0
    with pytest.raises(ValueError, match="other slices"):
        agreement(a, b[:1])


@pytest.mark.parametrize("flips", [(), (0,), (1, 2), (0, 1, 2)])
def test_masks_are_turned_to_head_back_and_left(flips: tuple[int, ...]) -> None:
    wanted = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    # (x, y, z) = (i, j, k); in RAS mm left and back are negative
    signs = [-1.0, -1.0, 1.0]
    array = wanted.transpose(2, 1, 0)
    for axis in flips:
        array, signs[axis] = np.flip(array, axis), -signs[axis]
    affine = np.diag([*(s * mm for s, mm in zip(signs, (0.7, 0.7, 2.0), strict=True)), 1.0])
    assert np.array_equal(_upright(array, affine), wanted)


def test_tilted_masks_are_not_compared() -> None:
    affine = np.eye(4)
    affine[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    with pytest.raises(ValueError, match="not the patient's"):
        _upright(np.zeros((2, 2, 2), np.uint8), affine)
