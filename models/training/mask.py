"""Trains the mask net: which voxels of a cube around a finding belong to it. Resumable.

python -m models.training.mask --data ../shared/data/train --out .work/training
"""

import argparse
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor

from models.training import loop
from models.training.losses import mask_loss
from models.training.lungs_data import Lung, load_lungs
from models.training.mask_crops import CubeMaker
from models.training.nets import MaskNet
from models.training.nodules_data import Nodule, load_nodules


def cubes(lungs: list[Lung], nodules: list[Nodule], seed: int) -> Iterator[loop.Example]:
    """Image and share of ``CubeMaker``, each [1, k, j, i]."""
    for image, share in CubeMaker(lungs, nodules, np.random.default_rng(seed)):
        yield torch.from_numpy(image[None]), torch.from_numpy(share[None])


def dice(logits: Tensor, share: Tensor) -> Tensor:
    """Mean Dice of the masks at one half, over the batch."""
    found, true = logits > 0, share >= 0.5
    both = (found & true).sum((1, 2, 3, 4))
    return (2 * both / (found.sum((1, 2, 3, 4)) + true.sum((1, 2, 3, 4)) + 1e-6)).mean()


def losses(logits: Tensor, share: Tensor) -> dict[str, Tensor]:
    """:func:`models.training.losses.mask_loss`, and the Dice to look at."""
    return {"loss": mask_loss(logits, share), "Dice": dice(logits, share)}


def train(options: argparse.Namespace) -> None:
    """See :func:`models.training.loop.train`."""
    lungs = load_lungs(options.data, options.out / "data", held_out=False)
    nodules = load_nodules(options.data, held_out=False)
    training = loop.Training(
        net=MaskNet,
        examples=partial(cubes, lungs, nodules),
        losses=losses,
        peak_rate=2e-3,
        weight_decay=0.01,
        averaging=0.998,
    )
    loop.train(training, options)


def main() -> None:
    """The command line."""
    parser = loop.arguments(
        __doc__, data="chest_volumes/", name="mask", minutes=30, seed=20261123, batch=16,
        unit="cubes",
    )  # fmt: skip
    train(parser.parse_args())


if __name__ == "__main__":
    main()
