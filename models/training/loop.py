"""The loop that trains every net here: bound by the clock, resumable, on a CPU in bfloat16.

One process makes examples, one trains. What is evaluated and exported is the average of the
weights; it lies in the checkpoint beside what a resumed run needs (``schedule``).
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from models.training import schedule
from models.training.nets import channels_last, count_parameters

Example = tuple[Tensor, ...]
"""The net's input, then what the losses take; without the axis n unless it is a whole batch."""

SAVE_EVERY_S = 120.0
LOG_EVERY = 50
"""Steps; a line holds their means."""
LARGEST_GRADIENT = 5.0
"""Norm over all weights."""


@dataclass(frozen=True)
class Training:
    """What tells one net's training from another's.

    Args:
        net: makes it, with fresh weights.
        examples: from a seed, without end; called in the loader's process.
        losses: from the net's output in float32 and the rest of a batch; ``loss`` is minimised,
            all are logged.
        peak_rate: of AdamW, see :meth:`models.training.schedule.Clock.rate`.
        weight_decay: of AdamW.
        averaging: decay of the average of the weights.
        whole_batches: an example is a whole batch, not one of ``--batch``.
    """

    net: Callable[[], nn.Module]
    examples: Callable[[int], Iterator[Example]]
    losses: Callable[..., dict[str, Tensor]]
    peak_rate: float
    weight_decay: float
    averaging: float
    whole_batches: bool = False


Look = Callable[[schedule.Average, schedule.Clock, int], None]
"""Looks at the average so far: takes it, the clock and the steps done."""


class _Endless(IterableDataset[Example]):
    def __init__(self, examples: Callable[[int], Iterator[Example]], seed: int) -> None:
        self._examples, self._seed = examples, seed

    def __iter__(self) -> Iterator[Example]:
        torch.set_num_threads(1)
        return self._examples(self._seed)


def train(
    training: Training,
    options: argparse.Namespace,
    look: Look | None = None,
    look_every: float = 0.0,
) -> schedule.Average:
    """Trains until the budget of minutes is spent; leaves ``<name>.pt`` in ``options.out``.

    Takes up where such a file left off, with other examples.

    Args:
        training: the net, its examples and its losses.
        options: as :func:`arguments` reads them.
        look: called every ``look_every`` minutes.

    Returns:
        The average of the weights.
    """
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / f"{options.name}.pt"

    net = training.net()
    for weight in net.parameters():
        if weight.dim() > 3:
            weight.data = channels_last(weight.data)
    optimiser = torch.optim.AdamW(
        net.parameters(), lr=training.peak_rate, weight_decay=training.weight_decay
    )
    average = schedule.Average(net, training.averaging)
    clock = schedule.Clock(options.minutes, training.peak_rate)
    step = schedule.resume(checkpoint, net, average, optimiser, clock)
    print(f"{count_parameters(net)} parameters, from step {step}", flush=True)

    loader = DataLoader(
        _Endless(training.examples, options.seed + step),
        None if training.whole_batches else options.batch,
        num_workers=1,
        prefetch_factor=3,
    )
    saved = looked = clock.spent_s
    recent: list[dict[str, float]] = []
    for image, *truth in loader:
        if clock.tick() >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = clock.rate(step)
        with torch.autocast("cpu", torch.bfloat16):
            found = net(channels_last(image))
        losses = training.losses(found.float(), *truth)
        optimiser.zero_grad(set_to_none=True)
        losses["loss"].backward()  # type: ignore[no-untyped-call]  # untyped in PyTorch
        torch.nn.utils.clip_grad_norm_(net.parameters(), LARGEST_GRADIENT)
        optimiser.step()
        average.update(net, step)
        step += 1
        recent.append({name: float(value.detach()) for name, value in losses.items()})
        if len(recent) == LOG_EVERY:
            words = [f"{name} {np.mean([one[name] for one in recent]):.4f}" for name in recent[0]]
            print(f"step {step}  min {clock.spent_s / 60:.1f}  {'  '.join(words)}", flush=True)
            recent = []
        if clock.spent_s - saved > SAVE_EVERY_S:
            schedule.save(checkpoint, net, average, optimiser, clock, step)
            saved = clock.spent_s
        if look and clock.spent_s - looked > look_every * 60:
            look(average, clock, step)
            looked = clock.spent_s
    schedule.save(checkpoint, net, average, optimiser, clock, step)
    return average


def arguments(
    description: str | None,
    *,
    data: str,
    name: str,
    minutes: float,
    seed: int,
    batch: int,
    unit: str,
) -> argparse.ArgumentParser:
    """The options every training has; the keywords are their help and defaults.

    ``data`` says what lies in the folder, ``unit`` what a batch is counted in.
    """
    found = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("--data", type=Path, required=True, help=f"folder with {data}")
    found.add_argument("--out", type=Path, required=True, help="where the checkpoint is kept")
    found.add_argument("--name", default=name, help="checkpoint's name; default %(default)s")
    found.add_argument(
        "--minutes",
        type=float,
        default=minutes,
        help="wall-clock budget over all restarts; default %(default)s",
    )
    found.add_argument("--seed", type=int, default=seed, help="default %(default)s")
    found.add_argument("--threads", type=int, default=1, help="default %(default)s")
    found.add_argument(
        "--batch", type=int, default=batch, help=f"{unit} a step; default %(default)s"
    )
    return found
