"""Trains the organ net: which pixels of an axial slice are pancreas. Resumable.

python -m models.training.pancreas.organ --data ../shared/data/train --out .work/training/pancreas
"""

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.training import loop
from models.training.pancreas.appearance import CropMaker
from models.training.pancreas.chest import load_chest
from models.training.pancreas.data import Patient, load_patients
from models.training.pancreas.net import OrganNet
from models.training.pancreas.validation import dice_by_patient, logits_by_net
from models.training.schedule import Average

ENTROPY_WEIGHT = 2.0
NEGATIVES = 2
"""Chest slices in a batch."""


def batches(data: Path, size: int, seed: int) -> Iterator[loop.Example]:
    """What ``CropMaker`` makes of the training patients, whole batches of ``size``."""
    rng = np.random.default_rng(seed)
    yield from CropMaker(load_patients(data, "train"), load_chest(data), rng, size, NEGATIVES)


def organ_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """Twice the binary cross entropy plus the Dice of the whole batch.

    Of the batch, not of each slice: where a slice holds none or a few pixels its own Dice jumps.
    """
    p = torch.sigmoid(logits)
    dice = (2 * (p * mask).sum() + 1) / (p.sum() + mask.sum() + 1)
    return ENTROPY_WEIGHT * F.binary_cross_entropy_with_logits(logits, mask) + 1 - dice


def losses(logits: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """:func:`organ_loss` by its name."""
    return {"loss": organ_loss(logits, mask)}


def train(options: argparse.Namespace) -> None:
    """See :func:`models.training.loop.train`; prints Dice by patient as it goes."""
    choose = load_patients(options.data, "choose")
    training = loop.Training(
        net=OrganNet,
        examples=partial(batches, options.data, options.batch),
        losses=losses,
        peak_rate=2e-3,
        weight_decay=0.02,
        averaging=0.995,
        whole_batches=True,
    )
    average = loop.train(
        training, options, lambda average, *_: _look(average, choose), options.look_every
    )
    _look(average, choose)


def _look(average: Average, choose: list[Patient]) -> None:
    net = OrganNet()
    net.load_state_dict(average.state)
    found = dice_by_patient(choose, logits_by_net(net.eval()))
    words = " ".join(f"{name[-4:]} {value:.3f}" for name, value in found.items())
    print(f"  median {np.median(list(found.values())):.3f}  {words}", flush=True)


def main() -> None:
    """The command line."""
    parser = loop.arguments(
        __doc__, data="pancreas_nih/ and chest_volumes/", name="organ", minutes=60,
        seed=20261125, batch=12, unit="slices",
    )  # fmt: skip
    parser.add_argument("--look-every", type=float, default=8, help="minutes; default %(default)s")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
