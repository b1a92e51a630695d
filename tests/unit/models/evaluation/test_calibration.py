"""Patches kept for calibration: a fair sample, within limits."""

from __future__ import annotations

from concurrent.futures import Future

import numpy as np

from models.evaluation.calibration import Recorder, recorded
from models.runner import PatchInput, PatchOutputs
from models.runtime import Batch, Outputs


class Echo:
    name = "echo"
    device = "cpu"

    def __init__(self) -> None:
        self.closed = False

    def run(self, batch: Batch) -> Outputs:
        return (batch,)

    def submit(self, patch: PatchInput) -> Future[PatchOutputs]:
        future: Future[PatchOutputs] = Future()
        future.set_result((patch,))
        return future

    def close(self) -> None:
        self.closed = True


def patch(value: float) -> np.ndarray:
    return np.full((1, 2, 2, 2), value, np.float32)


def test_few_patches_are_all_kept_and_pass_through() -> None:
    echo = Echo()
    recorder = Recorder(echo)
    (out,) = recorder.run(np.stack([patch(0), patch(1)]))
    assert out.shape == (2, 1, 2, 2, 2)
    assert recorder.submit(patch(2)).result()[0][0, 0, 0, 0] == 2
    assert [p.flat[0] for p in recorder.patches] == [0, 1, 2]
    assert all(p.shape == (1, 1, 2, 2, 2) for p in recorder.patches)
    recorder.close()
    assert echo.closed


def test_what_is_kept_is_a_copy() -> None:
    recorder = Recorder(Echo())
    mine = patch(1)
    recorder.submit(mine)
    mine[:] = 7
    assert recorder.patches[0].flat[0] == 1


def test_every_patch_has_the_same_chance() -> None:
    kept = np.zeros(40)
    for seed in range(300):
        recorder = Recorder(Echo(), most_patches=8, seed=seed)
        for n in range(40):
            recorder.submit(patch(n))
        values = [int(p.flat[0]) for p in recorder.patches]
        assert len(set(values)) == 8
        kept[values] += 1
    # 60 of 300 expected for each, standard deviation 6.9
    assert kept.min() > 35
    assert kept.max() < 85


def test_large_patches_are_few() -> None:
    recorder = Recorder(Echo(), most_bytes=70)  # 32 bytes each
    for n in range(10):
        recorder.submit(patch(n))
    assert len(recorder.patches) == 2
    tiny = Recorder(Echo(), most_bytes=1)
    tiny.submit(patch(0))
    assert len(tiny.patches) == 1


def test_one_for_each_role() -> None:
    both = recorded({"a": Echo(), "b": Echo()})
    both["a"].submit(patch(1))
    assert (len(both["a"].patches), len(both["b"].patches)) == (1, 0)
    assert both["b"].name == "echo"
