"""Trains the mask net: which voxels of a cube around a finding belong to it. Resumable.

python -m models.training.mask --data ../shared/data/train --out .work/training
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from models.training import schedule
from models.training.losses import mask_loss
from models.training.lungs_data import Lung, load_lungs
from models.training.mask_crops import CubeMaker
from models.training.nets import MaskNet, channels_last, count_parameters
from models.training.nodules_data import Nodule, load_nodules

PEAK_RATE = 2e-3


class Cubes(IterableDataset[tuple[Tensor, Tensor]]):
    """``CubeMaker`` as PyTorch wants it."""

    def __init__(self, lungs: list[Lung], nodules: list[Nodule], seed: int) -> None:
        self._arguments = (lungs, nodules, seed)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        lungs, nodules, seed = self._arguments
        torch.set_num_threads(1)
        for image, share in CubeMaker(lungs, nodules, np.random.default_rng(seed)):
            yield torch.from_numpy(image[None]), torch.from_numpy(share[None])


def dice(logits: Tensor, share: Tensor) -> float:
    """Mean Dice of the masks at one half, over the batch."""
    found, true = logits > 0, share >= 0.5
    both = (found & true).sum((1, 2, 3, 4))
    return float((2 * both / (found.sum((1, 2, 3, 4)) + true.sum((1, 2, 3, 4)) + 1e-6)).mean())


def train(options: argparse.Namespace) -> None:
    """Trains until the budget of minutes is spent, and leaves ``mask.pt`` in ``options.out``."""
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / f"{options.name}.pt"

    lungs = load_lungs(options.data, out / "data", held_out=False)
    nodules = load_nodules(options.data, held_out=False)
    net = MaskNet().to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(net.parameters(), lr=PEAK_RATE, weight_decay=0.01)
    average = schedule.Average(net, 0.998)
    clock = schedule.Clock(options.minutes, PEAK_RATE)
    step = schedule.resume(checkpoint, net, average, optimiser, clock)
    print(f"{count_parameters(net)} parameters, from step {step}", flush=True)

    # A resumed run sees new cubes.
    cubes = Cubes(lungs, nodules, options.seed + step)
    loader = DataLoader(cubes, options.batch, num_workers=1, prefetch_factor=3)
    saved = clock.spent_s
    recent: list[tuple[float, float]] = []
    for image, share in loader:
        if clock.tick() >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = clock.rate(step)
        with torch.autocast("cpu", torch.bfloat16):
            logits = net(channels_last(image))
        logits = logits.float()
        loss = mask_loss(logits, share)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        average.update(net, step)
        step += 1
        recent.append((float(loss.detach()), dice(logits.detach(), share)))
        if len(recent) == 50:
            mean_loss, mean_dice = np.mean(recent, 0)
            print(
                f"step {step}  min {clock.spent_s / 60:.1f}  loss {mean_loss:.4f}  "
                f"Dice {mean_dice:.3f}",
                flush=True,
            )
            recent = []
        if clock.spent_s - saved > 120:
            schedule.save(checkpoint, net, average, optimiser, clock, step)
            saved = clock.spent_s
    schedule.save(checkpoint, net, average, optimiser, clock, step)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with chest_volumes/")
    parser.add_argument("--out", type=Path, required=True, help="checkpoints and the data cache")
    parser.add_argument("--name", default="mask", help="checkpoint's name; default mask")
    parser.add_argument(
        "--minutes", type=float, default=30, help="wall-clock budget over all restarts; default 30"
    )
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=16, help="cubes a step; default 16")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
