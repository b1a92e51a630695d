"""The one training loop: it learns, saves, resumes and keeps the average. Needs PyTorch."""

from __future__ import annotations

import argparse
import contextlib
import io
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs preread[monai]")

from torch import Tensor, nn  # noqa: E402 - after the check for torch

from models.training import loop, schedule  # noqa: E402
from models.training.nets import channels_last  # noqa: E402

SEED = 11


def _pictures(seed: int) -> Iterator[loop.Example]:
    """Noise, what a sharpening makes of it, and the seed they came from."""
    made = torch.Generator().manual_seed(seed)
    while True:
        image = torch.randn(1, 8, 8, generator=made)
        yield image, 2 * image, torch.tensor(float(seed))


def _net() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1))


class _Told:
    """The losses that a run went through, and the seeds of its examples."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.seeds: set[float] = set()

    def __call__(self, found: Tensor, wanted: Tensor, seed: Tensor) -> dict[str, Tensor]:
        assert found.dtype == torch.float32
        loss = (found - wanted).square().mean()
        self.losses.append(float(loss.detach()))
        self.seeds |= set(seed.tolist())
        return {"loss": loss, "double": 2 * loss}


def _options(out: Path, *more: str) -> argparse.Namespace:
    parser = loop.arguments(
        None, data="nothing", name="tiny", minutes=5, seed=SEED, batch=4, unit="pictures"
    )
    return parser.parse_args(["--data", ".", "--out", str(out), *more])


def _training(told: _Told) -> loop.Training:
    return loop.Training(
        net=_net,
        examples=_pictures,
        losses=told,
        peak_rate=0.05,
        weight_decay=0.01,
        averaging=0.9,
    )


@dataclass(frozen=True)
class _Runs:
    """Two runs over one checkpoint, as a process of their own tells of them."""

    first: _Told
    second: _Told
    looks: list[tuple[int, bool]]
    """Step, and whether a checkpoint lay there."""
    average: dict[str, Tensor]
    held: dict[str, Any]
    """The checkpoint between the runs."""
    said: str


def _two_runs(folder: Path) -> _Runs:
    """5 minutes, then a sixth, by a clock by which every step takes 3 s."""

    def tick(clock: schedule.Clock) -> float:
        clock.spent_s += 3.0
        return min(clock.spent_s / (clock.minutes * 60), 1.0)

    schedule.Clock.tick = tick  # type: ignore[method-assign]
    first, second = _Told(), _Told()
    checkpoint = folder / "tiny.pt"
    looks: list[tuple[int, bool]] = []

    def look(_average: schedule.Average, _clock: schedule.Clock, step: int) -> None:
        looks.append((step, checkpoint.exists()))

    with contextlib.redirect_stdout(io.StringIO()) as said:
        average = loop.train(_training(first), _options(folder), look, 1.0)
        held = torch.load(checkpoint, weights_only=True)
        loop.train(_training(second), _options(folder, "--minutes", "6"))
    return _Runs(first, second, looks, average.state, held, said.getvalue())


def test_a_run_learns_and_a_second_one_goes_on_from_it(tmp_path: Path) -> None:
    # Its loader forks, which a process with other tests' threads does not always survive.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        runs = process.submit(_two_runs, tmp_path).result(timeout=240)
    first, second, held = runs.first, runs.second, runs.held

    # 5 minutes of 3 s, a look after more than each whole one, a checkpoint after the second.
    assert held["step"] == len(first.losses) == 99
    assert runs.looks == [(21, False), (42, True), (63, True), (84, True)]
    assert first.losses[-1] < first.losses[0] / 4
    # The checkpoint holds the average, and it is none of the last weights.
    assert all(torch.equal(held["average"][key], runs.average[key]) for key in runs.average)
    assert not torch.equal(held["average"]["0.weight"], held["net"]["0.weight"])
    # The second run starts as good as the first ended, on other examples, within what is left.
    assert second.losses[0] < first.losses[0] / 4
    assert first.seeds == {SEED} and second.seeds == {SEED + 99}
    resumed = torch.load(tmp_path / "tiny.pt", weights_only=True)
    assert resumed["step"] == 99 + len(second.losses) == 118
    assert (held["spent_s"], resumed["spent_s"]) == (300, 360)
    assert "from step 99" in runs.said and "step 50  min 2.5  loss " in runs.said
    assert "  double " in runs.said
    assert not list(tmp_path.glob("*.part"))


def test_a_checkpoint_is_taken_up_weight_by_weight(tmp_path: Path) -> None:
    net, other = _net(), _net()
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.1)
    average = schedule.Average(net, 0.5)
    net(torch.randn(2, 1, 8, 8)).square().mean().backward()
    optimiser.step()
    average.update(net, 20)
    clock = schedule.Clock(1.0, 0.1, spent_s=7.0)
    schedule.save(tmp_path / "a.pt", net, average, optimiser, clock, 21)

    taken = schedule.Average(other)
    taken_by = torch.optim.AdamW(other.parameters(), lr=0.1)
    taken_clock = schedule.Clock(1.0, 0.1)
    assert schedule.resume(tmp_path / "a.pt", other, taken, taken_by, taken_clock) == 21
    assert taken_clock.spent_s == 7.0
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(taken.state[key], average.state[key]) for key in average.state)
    moments = [by.state_dict()["state"][0]["exp_avg"] for by in (optimiser, taken_by)]
    assert moments[0].any() and torch.equal(*moments)
    assert schedule.resume(tmp_path / "none.pt", other, taken, taken_by, taken_clock) == 0


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 3, 4, 5, 6)])
def test_slices_and_volumes_get_their_layout(shape: tuple[int, ...]) -> None:
    x = torch.rand(shape)
    y = channels_last(x)
    assert torch.equal(x, y) and y.stride(1) == 1
