"""Tiles: every voxel once, and the tiled result is the whole one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.lungs.tiling import Tiling, plan_tiles, run_tiled
from models.runtime import Batch, Outputs
from tests.unit.models.made import Here


@st.composite
def tilings(draw: st.DrawFn) -> Tiling:
    stride = draw(st.sampled_from([1, 2, 4]))
    multiple = stride * draw(st.sampled_from([1, 2, 4]))
    margin = stride * draw(st.integers(0, 3))
    least = -(-(2 * margin + 1) // multiple)
    k, j, i = (multiple * draw(st.integers(least, least + 3)) for _ in range(3))
    return Tiling((k, j, i), margin, multiple, stride)


shapes = st.tuples(*[st.integers(1, 45)] * 3)


@settings(deadline=None)
@given(shapes, tilings())
def test_kept_boxes_cover_every_voxel_once(shape: tuple[int, int, int], tiling: Tiling) -> None:
    seen = np.zeros(shape, int)
    for tile in plan_tiles(shape, tiling):
        for (low, high), n in zip(tile.keep, shape, strict=True):
            assert 0 <= low < high <= n
        seen[tuple(slice(low, high) for low, high in tile.keep)] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize(
    ("stride", "multiple", "margin"),
    [(4, 16, 0), (4, 16, 4), (4, 16, 8), (4, 16, 12), (4, 16, 32), (2, 8, 2), (1, 4, 1), (1, 1, 1)],
)
def test_every_length_is_covered(stride: int, multiple: int, margin: int) -> None:
    """Every length up to a few tiles, where ends and paddings fall in all possible ways."""
    least = multiple * (2 * margin // multiple + 1)
    for side in (least, least + multiple):
        tiling = Tiling((side, side, side), margin, multiple, stride)
        for length in range(1, 6 * multiple + 2 * side):
            ends = [tile.keep[0] for tile in plan_tiles((length, 1, 1), tiling)]
            assert ends[0][0] == 0
            assert ends[-1][1] == length
            assert all(a[1] == b[0] for a, b in pairwise(ends))


@settings(deadline=None)
@given(shapes, tilings())
def test_tiles_are_within_size_and_keep_their_margins(
    shape: tuple[int, int, int], tiling: Tiling
) -> None:
    for tile in plan_tiles(shape, tiling):
        for start, size, (low, high), n, most in zip(
            tile.start, tile.shape, tile.keep, shape, tiling.tile, strict=True
        ):
            assert size <= most
            assert size % tiling.multiple == 0
            assert start % tiling.stride == 0
            # What is kept saw a margin of input on each side, or the volume's own border.
            assert low == 0 or low - start >= tiling.margin
            assert high == n or start + size - high >= tiling.margin


class Local(Here):
    """A network that looks one cell around: the mean over 3 x 3 x 3 cells of cell means.

    Beyond its input it sees zeros, as a padded convolution does.
    """

    def __init__(self, stride: int) -> None:
        self.stride = stride
        self.shapes: list[tuple[int, ...]] = []

    def run(self, batch: Batch) -> Outputs:
        self.shapes.append(batch.shape)
        s = self.stride
        k, j, i = (n // s for n in batch.shape[2:])
        cells = batch[0, 0].reshape(k, s, j, s, i, s).mean(axis=(1, 3, 5))
        wide = np.pad(cells, 1)
        around = sum(
            wide[a : a + k, b : b + j, c : c + i]
            for a in range(3) for b in range(3) for c in range(3)
        )  # fmt: skip
        return (np.stack([cells, np.asarray(around)])[None].astype(np.float32),)


@settings(deadline=None, max_examples=60)
@given(st.tuples(*[st.integers(1, 40)] * 3), tilings().filter(lambda t: t.margin >= t.stride))
def test_tiled_equals_whole(shape: tuple[int, int, int], tiling: Tiling) -> None:
    """One pass over everything, padded with the same fill, must give the same numbers."""
    voxels = np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)
    network = Local(tiling.stride)
    tiled = run_tiled(voxels, network, tiling, fill=0.0)
    padded = np.pad(voxels, [(0, -n % tiling.multiple) for n in shape])
    cells = tuple(slice(0, -(-n // tiling.stride)) for n in shape)
    (outputs,) = Local(tiling.stride).run(padded[None, None])
    whole = outputs[0][(slice(None), *cells)]
    assert tiled.shape == whole.shape
    assert np.allclose(tiled, whole, atol=1e-5)
    for seen in network.shapes:
        assert seen[:2] == (1, 1)
        assert all(n <= most for n, most in zip(seen[2:], tiling.tile, strict=True))


def test_beyond_the_end_is_the_fill() -> None:
    voxels = np.full((5, 5, 5), 3.0, np.float32)
    result = run_tiled(voxels, Local(4), Tiling((8, 8, 8), 0, 8, 4), fill=-1.0)
    # The last cell of an axis holds one voxel of data and three of fill: 3/4 * -1 + 1/4 * 3 = 0.
    assert result[0, 0, 0, 0] == 3.0
    assert result[0, 1, 0, 0] == 0.0
    assert result[0, 1, 1, 1] == pytest.approx(-1 + 4 / 64)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        (((12, 16, 16), 0, 16, 4), r"\(12, 16, 16\) is no multiple of 16"),
        (((16, 16, 16), 2, 16, 4), "stride"),
        (((18, 18, 18), 4, 6, 4), "stride"),
        (((16, 16, 16), 8, 16, 4), "margins of 8"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(
    numbers: tuple[tuple[int, int, int], int, int, int], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        Tiling(*numbers)
