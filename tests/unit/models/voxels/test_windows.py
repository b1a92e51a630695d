"""Windows lie where MONAI lays them, and their blend is its blend to the last bit."""

from __future__ import annotations

import threading
import tracemalloc
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data.utils import compute_importance_map, dense_patch_slices
from monai.inferers.utils import _get_scan_interval
from numpy.typing import NDArray

from models.errors import InferenceFailed, PatchRefused
from models.recipe import Windows
from models.runner import PatchInput, PatchOutputs
from models.voxels.windows import blended, importance, plan, run_windows
from tests.unit.models.monai_way import Network, TorchRunner, inferer

sides = st.tuples(*[st.integers(1, 40)] * 3)
patches = st.tuples(*[st.sampled_from([-1, 1, 4, 7, 8, 16])] * 3)
overlaps = st.tuples(*[st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 0.625, 0.7, 0.99])] * 3)


@given(sides, patches, overlaps)
@settings(max_examples=200, deadline=None)
def test_windows_lie_where_monai_lays_them_and_cover_all(
    shape: tuple[int, int, int],
    patch: tuple[int, int, int],
    overlap: tuple[float, float, float],
) -> None:
    lay = plan(shape, Windows(patch=patch, overlap=overlap))
    roi = tuple(side if side > 0 else size for side, size in zip(patch, shape, strict=True))
    image = tuple(max(a, b) for a, b in zip(shape, roi, strict=True))
    theirs = dense_patch_slices(image, roi, _get_scan_interval(image, roi, 3, overlap))
    assert list(lay.boxes()) == theirs
    assert len(lay) == len(theirs)
    assert lay.padded == image
    for starts, side, size in zip(lay.starts, lay.patch, lay.padded, strict=True):
        seen = np.zeros(size, bool)
        for start in starts:
            seen[start : start + side] = True
        assert seen.all()


@pytest.mark.parametrize("patch", [(96, 96, 96), (5, 8, 7), (1, 1, 1), (64, 96, 33)])
@pytest.mark.parametrize("sigma", [0.125, 0.3])
def test_weights_are_monais(patch: tuple[int, int, int], sigma: float) -> None:
    ours = importance(patch, Windows(patch=patch, blend="gaussian", sigma_scale=sigma))
    theirs = compute_importance_map(patch, mode="gaussian", sigma_scale=sigma).numpy()
    assert ours is not None
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert importance(patch, Windows(patch=patch)) is None


def ramps(patch: torch.Tensor) -> torch.Tensor:
    """Three channels that depend on the place in the patch."""
    x, y, z = (torch.linspace(0.5, 1.5, n) for n in patch.shape[2:])
    place = x[:, None, None] * y[:, None] + z
    return torch.cat([patch * place, patch - place, place.expand_as(patch) * 3], dim=1)


def at_three_scales(patch: torch.Tensor) -> tuple[torch.Tensor, ...]:
    dense = ramps(patch)
    pool = torch.nn.functional.avg_pool3d
    return dense, pool(dense, 2), pool(dense, (4, 4, 2))[:, :1]


def volume(shape: tuple[int, int, int], seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(1, *shape)).astype(np.float32)


def both(
    shape: tuple[int, int, int], windows: Windows, network: Network = ramps
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    voxels = volume(shape)
    theirs = inferer(windows)(torch.from_numpy(voxels)[None], network)
    theirs = theirs if isinstance(theirs, tuple) else (theirs,)
    ours = run_windows(voxels, windows, TorchRunner(network), in_flight=3)
    assert len(ours) == len(theirs)
    return [(a, b[0].numpy()) for a, b in zip(ours, theirs, strict=True)]


@pytest.mark.parametrize("blend", ["constant", "gaussian"])
@pytest.mark.parametrize("overlap", [(0.0, 0.0, 0.0), (0.25, 0.5, 0.625), (0.7, 0.7, 0.3)])
@pytest.mark.parametrize("shape", [(33, 21, 40), (16, 8, 12), (50, 13, 17)])
def test_the_blend_is_monais(
    shape: tuple[int, int, int], overlap: tuple[float, float, float], blend: Any
) -> None:
    windows = Windows(patch=(16, 8, 12), overlap=overlap, blend=blend)
    ((ours, theirs),) = both(shape, windows)
    if blend == "constant":
        assert np.array_equal(ours, theirs)
    else:
        # numpy's exp and torch's differ in their last bit.
        np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(
    ("padding", "fill"), [("constant", 0.0), ("constant", -1.0), ("replicate", 0), ("reflect", 0)]
)
def test_a_volume_smaller_than_the_patch_is_padded_and_cropped(padding: Any, fill: float) -> None:
    windows = Windows(patch=(16, 8, 12), padding=padding, fill=fill, blend="gaussian")
    ((ours, theirs),) = both((9, 21, 7), windows)
    assert ours.shape == (3, 9, 21, 7)
    np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("blend", ["constant", "gaussian"])
@pytest.mark.parametrize("shape", [(40, 24, 32), (37, 16, 9)])
def test_outputs_at_other_scales(shape: tuple[int, int, int], blend: Any) -> None:
    windows = Windows(patch=(16, 8, 16), overlap=(0.5, 0.5, 0.25), blend=blend)
    for ours, theirs in both(shape, windows, at_three_scales):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=2e-6)


class Reversed:
    """Answers in the wrong order, from threads, and counts what waits."""

    name = device = "cpu"

    def __init__(self, together: int) -> None:
        self._pool = ThreadPoolExecutor(together)
        self._gate = threading.Barrier(together)
        self._runner = TorchRunner(ramps)
        self.waiting = self.most = 0
        self._lock = threading.Lock()

    def submit(self, patch: PatchInput) -> Future[PatchOutputs]:
        with self._lock:
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            turn = self.waiting
        return self._pool.submit(self._answer, patch, turn)

    def _answer(self, patch: PatchInput, turn: int) -> PatchOutputs:
        # The later ones of a batch come back first.
        threading.Event().wait(0.002 / turn)
        outputs = self._runner.submit(patch).result()
        with self._lock:
            self.waiting -= 1
        return outputs

    run = None

    def close(self) -> None:
        self._pool.shutdown()


def test_a_result_does_not_depend_on_the_order_of_answers() -> None:
    windows = Windows(patch=(8, 8, 8), overlap=(0.5, 0.5, 0.5), batch=4)
    voxels = volume((20, 18, 22))
    (alone,) = run_windows(voxels, windows, TorchRunner(ramps))
    runner = Reversed(4)
    told: list[tuple[int, int]] = []
    (together,) = run_windows(
        voxels, windows, runner, in_flight=4, progress=lambda done, of: told.append((done, of))
    )
    runner.close()
    assert np.array_equal(alone, together)
    assert 1 < runner.most <= 4
    count = len(plan((20, 18, 22), windows))
    assert told == [(n + 1, count) for n in range(count)]


class Failing(TorchRunner):
    """Fails at the third patch; the others wait for ever unless they are cancelled."""

    def __init__(self) -> None:
        super().__init__(ramps)
        self.given: list[Future[PatchOutputs]] = []

    def submit(self, patch: PatchInput) -> Future[PatchOutputs]:
        future: Future[PatchOutputs] = Future()
        self.given.append(future)
        if len(self.given) < 3:
            return super().submit(patch)
        if len(self.given) == 3:
            future.set_exception(InferenceFailed("the device went away"))
        return future


def test_a_failure_is_passed_on_and_what_waits_is_cancelled() -> None:
    runner = Failing()
    windows = Windows(patch=(8, 8, 8), batch=5)
    with pytest.raises(InferenceFailed, match="went away"):
        run_windows(volume((20, 20, 20)), windows, runner, in_flight=5)
    assert len(runner.given) > 3
    assert all(future.cancelled() for future in runner.given[3:])


def not_a_number(patch: torch.Tensor) -> torch.Tensor:
    output = ramps(patch)
    output[:, 1, 2, 2, 2] = torch.nan
    return output


def test_what_is_no_number_is_no_background() -> None:
    with pytest.raises(PatchRefused, match="not finite"):
        run_windows(volume((9, 9, 9)), Windows(patch=(8, 8, 8)), TorchRunner(not_a_number))


def test_huge_numbers_are_numbers() -> None:
    ((ours, theirs),) = both((9, 9, 9), Windows(patch=(8, 8, 8)), lambda p: ramps(p) * 3e36)
    assert np.array_equal(ours, theirs)


def test_outputs_that_change_are_refused() -> None:
    calls: list[int] = []

    def changing(patch: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return ramps(patch)[:, : 3 if len(calls) == 1 else 2]

    with pytest.raises(PatchRefused, match="the first had"):
        run_windows(volume((9, 9, 9)), Windows(patch=(8, 8, 8)), TorchRunner(changing))


def test_many_channels_are_never_whole_in_memory() -> None:
    channels = 40

    def many(patch: torch.Tensor) -> torch.Tensor:
        return patch.expand(-1, channels, -1, -1, -1).contiguous()

    shape = (64, 64, 32)
    voxels = volume(shape)
    windows = Windows(patch=(16, 16, 16), overlap=(0.25, 0.25, 0.25), batch=1)
    seen = np.zeros(shape, np.float32)
    tracemalloc.start()
    for block in blended(voxels, windows, TorchRunner(many), in_flight=2):
        seen[block.box] = block.values[channels - 1]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.allclose(seen, voxels[0], atol=1e-6)
    assert peak < channels * voxels.nbytes / 3
