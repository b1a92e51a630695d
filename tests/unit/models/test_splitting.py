"""A patch cut in two gives what the whole gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InferenceFailed
from models.runtime import Batch, Outputs
from models.splitting import Split, most_cuts, plan_cut, run_split
from tests.unit.models.peers import convolution


@given(
    st.sampled_from([1, 2, 4, 16]),
    st.integers(0, 9),
    st.lists(st.integers(1, 12), min_size=1, max_size=3),
    st.integers(1, 3),
)
def test_a_cut_covers_the_patch_and_saves(
    multiple: int, halo: int, sides: list[int], channels: int
) -> None:
    shape = (channels, *(side * multiple for side in sides))
    cut = plan_cut(shape, Split(multiple, halo))
    if cut is None:
        return
    length = shape[cut.axis]
    low, high = cut.middle + cut.halo, length - (cut.middle - cut.halo)
    assert cut.axis >= 1
    assert cut.halo >= halo
    assert low % multiple == high % multiple == cut.halo % multiple == 0
    assert 0 < cut.middle < length
    assert max(low, high) <= 0.75 * length


def test_the_longest_axis_that_can_be_cut_is_cut() -> None:
    assert plan_cut((9, 16, 64, 32), Split(8, 0)).axis == 2  # type: ignore[union-attr]
    # 20 is no multiple: the network would not take its halves.
    assert plan_cut((1, 16, 20, 16), Split(8, 0)).axis == 1  # type: ignore[union-attr]
    assert plan_cut((1, 16, 16, 16), Split(16, 0)) is None
    assert plan_cut((1, 32, 32, 32), Split(8, 16)) is None


def test_how_often_a_patch_can_be_halved() -> None:
    assert most_cuts((1, 32, 32, 32), None) == 0
    assert most_cuts((1, 32, 1), Split(8, 0)) == 2
    assert most_cuts((1, 32, 32), Split(16, 0)) == 2
    assert most_cuts((1, 96, 96, 96), Split(16, 16)) > 0


@pytest.mark.parametrize("cuts", [1, 2, 3, 5])
@pytest.mark.parametrize("shape", [(1, 16, 24, 32), (1, 40, 8, 8), (1, 20, 12, 16)])
def test_a_convolution_s_parts_join_to_the_whole(
    tmp_path: Path, shape: tuple[int, ...], cuts: int
) -> None:
    runtime = convolution(tmp_path)
    patch = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    split = Split(4, 1)
    sizes: list[int] = []

    def run(batch: Batch) -> Outputs:
        sizes.append(batch.size)
        return runtime.run(batch)

    cuts = min(cuts, most_cuts(shape, split))
    (whole,) = runtime.run(patch[np.newaxis])
    (joined,) = run_split(patch, split, cuts, run)
    assert joined == pytest.approx(whole, abs=1e-5)
    assert cuts
    assert max(sizes) <= 0.75**cuts * patch.size


def pooled(batch: Batch) -> Outputs:
    """Three outputs at several scales: half, as is, and two times as fine, along each axis."""
    n, c, k, j = batch.shape
    half = batch.reshape(n, c, k // 2, 2, j // 2, 2).mean(axis=(3, 5))
    return half, batch.copy(), batch.repeat(2, axis=2).repeat(2, axis=3)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 2))
def test_outputs_at_any_scale_are_joined(a: int, b: int, halo: int) -> None:
    patch = np.random.default_rng(a).integers(0, 99, (2, 8 * a, 8 * b)).astype(np.float32)
    split = Split(2, 2 * halo)
    for cuts in range(most_cuts(patch.shape, split) + 1):
        joined = run_split(patch, split, cuts, pooled)
        for part, whole in zip(joined, pooled(patch[np.newaxis]), strict=True):
            assert np.array_equal(part, whole)


@pytest.mark.parametrize(
    "run",
    [
        lambda batch: (batch.mean(axis=(2, 3)),),
        lambda batch: (batch[:, :, : 3 if batch.shape[2] == 8 else 2],),
        lambda batch: (batch[:, :, ::8],),
    ],
    ids=["no spatial axes", "no proportion", "stride beyond the halo"],
)
def test_outputs_that_are_no_grid_of_the_input_are_an_error(run: object) -> None:
    with pytest.raises(InferenceFailed, match="joined"):
        run_split(np.ones((1, 16, 4), np.float32), Split(4, 4), 1, run)  # type: ignore[arg-type]


def test_numbers_make_sense() -> None:
    for multiple, halo in ((0, 1), (1, -1)):
        with pytest.raises(ValueError, match="multiple"):
            Split(multiple, halo)
