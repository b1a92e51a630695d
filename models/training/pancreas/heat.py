"""Trains the heat net: where in a gland a slice is darker than it should be. Resumable.

python -m models.training.pancreas.heat --data ../shared/data/train --out .work/training/pancreas

It learns on lesions drawn into healthy glands (``lesions``), so its values are a research map and
no probability of anything in a patient.
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
from models.training.pancreas.data import load_patients
from models.training.pancreas.heat_net import HeatNet
from models.training.pancreas.lesion_crops import GlandCrops

SMALL = 50.0
"""Pixels; a lesion of this size weighs 1, smaller ones more and larger ones less."""


def crops(data: Path, seed: int) -> Iterator[loop.Example]:
    """What ``GlandCrops`` makes of the training patients."""
    rng = np.random.default_rng(seed)
    for image, lesion, organ in GlandCrops(load_patients(data, "train"), rng):
        yield torch.from_numpy(image), torch.from_numpy(lesion), torch.from_numpy(organ)


def heat_loss(logits: Tensor, lesion: Tensor, organ: Tensor) -> Tensor:
    """Binary cross entropy inside the organ for ``logits`` [n, 1, j, i]; the rest [n, j, i].

    A lesion weighs by the root of its area, or the few large ones would be all that counts.
    """
    area = lesion.sum((1, 2), keepdim=True)
    weight = organ * torch.where(lesion > 0, (SMALL / area.clamp(min=1)).sqrt().clamp(0.5, 2), 1.0)
    entropy = F.binary_cross_entropy_with_logits(logits[:, 0], lesion, reduction="none")
    return (entropy * weight).sum() / weight.sum()


def losses(logits: Tensor, lesion: Tensor, organ: Tensor) -> dict[str, Tensor]:
    """:func:`heat_loss` by its name."""
    return {"loss": heat_loss(logits, lesion, organ)}


def train(options: argparse.Namespace) -> None:
    """See :func:`models.training.loop.train`."""
    training = loop.Training(
        net=HeatNet,
        examples=partial(crops, options.data),
        losses=losses,
        peak_rate=2e-3,
        weight_decay=0.02,
        averaging=0.995,
    )
    loop.train(training, options)


def main() -> None:
    """The command line."""
    parser = loop.arguments(
        __doc__, data="pancreas_nih/", name="heat", minutes=25, seed=20261125, batch=24,
        unit="slices",
    )  # fmt: skip
    train(parser.parse_args())


if __name__ == "__main__":
    main()
