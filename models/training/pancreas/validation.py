"""Dice by patient, for the patients that choose settings."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.training.nets import channels_last
from models.training.pancreas.data import Patient

Logits = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Slices [n, j, i] to logits of the same shape."""
BATCH = 8


def logits_by_net(net: nn.Module) -> Logits:
    """What ``net`` says of slices."""

    def run(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        parts = []
        for start in range(0, len(images), BATCH):
            x = torch.from_numpy(images[start : start + BATCH, None].astype(np.float32))
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
                parts.append(net(channels_last(x)).float()[:, 0].numpy())
        return np.concatenate(parts)

    return run


def dice(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Of all of a patient's slices together; 1 where both are empty."""
    total = int(found.sum()) + int(true.sum())
    return 2 * int((found & true).sum()) / total if total else 1.0


def dice_by_patient(
    patients: list[Patient], logits: Logits, threshold: float = 0.5
) -> dict[str, float]:
    """Dice of each patient's slices at a probability of ``threshold``."""
    level = float(np.log(threshold / (1 - threshold)))
    return {p.name: dice(logits(p.images) > level, p.masks) for p in patients}
