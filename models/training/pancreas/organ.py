"""Trains the organ net: which pixels of an axial slice are pancreas. Resumable.

python -m models.training.pancreas.organ --data ../shared/data/train --out .work/training/pancreas
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset

from models.training import schedule
from models.training.nets import count_parameters
from models.training.pancreas.appearance import CropMaker
from models.training.pancreas.chest import load_chest
from models.training.pancreas.data import Patient, load_patients
from models.training.pancreas.net import OrganNet
from models.training.pancreas.validation import dice_by_patient, logits_by_net

PEAK_RATE = 2e-3
ENTROPY_WEIGHT = 2.0
NEGATIVES = 2
"""Chest slices in a batch."""


class Crops(IterableDataset[tuple[Tensor, Tensor]]):
    """``CropMaker`` as PyTorch wants it; an item is a whole batch."""

    def __init__(self, data: Path, seed: int, size: int) -> None:
        self._data, self._seed, self._size = data, seed, size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        torch.set_num_threads(1)
        rng = np.random.default_rng(self._seed)
        patients = load_patients(self._data, "train")
        yield from CropMaker(patients, load_chest(self._data), rng, self._size, NEGATIVES)


def organ_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Twice the binary cross entropy plus the Dice of the whole batch.

    Of the batch, not of each slice: where a slice holds none or a few pixels its own Dice jumps.
    """
    p = torch.sigmoid(logits)
    dice = (2 * (p * mask).sum() + 1) / (p.sum() + mask.sum() + 1)
    return ENTROPY_WEIGHT * F.binary_cross_entropy_with_logits(logits, mask) + 1 - dice


def train(options: argparse.Namespace) -> None:
    """Trains until the minutes are spent and leaves ``<name>.pt`` in ``options.out``."""
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / f"{options.name}.pt"

    net = OrganNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(net.parameters(), lr=PEAK_RATE, weight_decay=0.02)
    average = schedule.Average(net, 0.995)
    clock = schedule.Clock(options.minutes, PEAK_RATE)
    step = schedule.resume(checkpoint, net, average, optimiser, clock)
    print(f"{count_parameters(net)} parameters, from step {step}", flush=True)

    choose = load_patients(options.data, "choose")
    # A resumed run sees new crops.
    crops = Crops(options.data, options.seed + step, options.batch)
    loader = DataLoader(crops, None, num_workers=1, prefetch_factor=4)
    saved = looked = clock.spent_s
    recent: list[float] = []
    for image, mask in loader:
        if clock.tick() >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = clock.rate(step)
        with torch.autocast("cpu", torch.bfloat16):
            logits = net(image.contiguous(memory_format=torch.channels_last))
        loss = organ_loss(logits.float(), mask)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        average.update(net, step)
        step += 1
        recent.append(float(loss.detach()))
        if len(recent) == 50:
            print(
                f"step {step}  min {clock.spent_s / 60:.1f}  loss {np.mean(recent):.4f}",
                flush=True,
            )
            recent = []
        if clock.spent_s - saved > 120:
            schedule.save(checkpoint, net, average, optimiser, clock, step)
            saved = clock.spent_s
        if clock.spent_s - looked > options.look_every * 60:
            _look(average, choose)
            looked = clock.spent_s
    schedule.save(checkpoint, net, average, optimiser, clock, step)
    _look(average, choose)


def _look(average: schedule.Average, choose: list[Patient]) -> None:
    net = OrganNet()
    net.load_state_dict(average.state)
    found = dice_by_patient(choose, logits_by_net(net.eval()))
    words = " ".join(f"{name[-4:]} {value:.3f}" for name, value in found.items())
    print(f"  median {np.median(list(found.values())):.3f}  {words}", flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with pancreas_nih/ and chest_volumes/"
    )
    parser.add_argument("--out", type=Path, required=True, help="where the checkpoint is kept")
    parser.add_argument("--name", default="organ", help="checkpoint's name; default organ")
    parser.add_argument(
        "--minutes", type=float, default=60, help="wall-clock budget over all restarts; default 60"
    )
    parser.add_argument("--seed", type=int, default=20261125)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=12, help="slices a step; default 12")
    parser.add_argument("--look-every", type=float, default=8, help="minutes; default 8")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
