"""Trains the heat net: where in a gland a slice is darker than it should be. Resumable.

python -m models.training.pancreas.heat --data ../shared/data/train --out .work/training/pancreas

It learns on lesions drawn into healthy glands (``lesions``), so its values are a research map and
no probability of anything in a patient.
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
from models.training.pancreas.data import load_patients
from models.training.pancreas.heat_net import HeatNet
from models.training.pancreas.lesion_crops import GlandCrops

PEAK_RATE = 2e-3
SMALL = 50.0
"""Pixels; a lesion of this size weighs 1, smaller ones more and larger ones less."""


class Crops(IterableDataset[tuple[Tensor, Tensor, Tensor]]):
    """``GlandCrops`` as PyTorch wants it."""

    def __init__(self, data: Path, seed: int) -> None:
        self._data, self._seed = data, seed

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        torch.set_num_threads(1)
        rng = np.random.default_rng(self._seed)
        for image, lesion, organ in GlandCrops(load_patients(self._data, "train"), rng):
            yield torch.from_numpy(image), torch.from_numpy(lesion), torch.from_numpy(organ)


def heat_loss(logits: Tensor, lesion: Tensor, organ: Tensor) -> Tensor:
    """Binary cross entropy inside the organ for ``logits`` [n, 1, j, i]; the rest [n, j, i].

    A lesion weighs by the root of its area, or the few large ones would be all that counts.
    """
    area = lesion.sum((1, 2), keepdim=True)
    weight = organ * torch.where(lesion > 0, (SMALL / area.clamp(min=1)).sqrt().clamp(0.5, 2), 1.0)
    entropy = F.binary_cross_entropy_with_logits(logits[:, 0], lesion, reduction="none")
    return (entropy * weight).sum() / weight.sum()


def train(options: argparse.Namespace) -> None:
    """Trains until the minutes are spent and leaves ``<name>.pt`` in ``options.out``."""
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / f"{options.name}.pt"

    net = HeatNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(net.parameters(), lr=PEAK_RATE, weight_decay=0.02)
    average = schedule.Average(net, 0.995)
    clock = schedule.Clock(options.minutes, PEAK_RATE)
    step = schedule.resume(checkpoint, net, average, optimiser, clock)
    print(f"{count_parameters(net)} parameters, from step {step}", flush=True)

    # A resumed run sees new crops.
    loader = DataLoader(
        Crops(options.data, options.seed + step), options.batch, num_workers=1, prefetch_factor=3
    )
    saved = clock.spent_s
    recent: list[float] = []
    for image, lesion, organ in loader:
        if clock.tick() >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = clock.rate(step)
        with torch.autocast("cpu", torch.bfloat16):
            logits = net(image.contiguous(memory_format=torch.channels_last))
        loss = heat_loss(logits.float(), lesion, organ)
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
        if clock.spent_s - saved > 90:
            schedule.save(checkpoint, net, average, optimiser, clock, step)
            saved = clock.spent_s
    schedule.save(checkpoint, net, average, optimiser, clock, step)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with pancreas_nih/")
    parser.add_argument("--out", type=Path, required=True, help="where the checkpoint is kept")
    parser.add_argument("--name", default="heat", help="checkpoint's name; default heat")
    parser.add_argument(
        "--minutes", type=float, default=25, help="wall-clock budget over all restarts; default 25"
    )
    parser.add_argument("--seed", type=int, default=20261125)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=24, help="slices a step; default 24")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
