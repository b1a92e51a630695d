"""From the logits of every class to one label a voxel, without holding them all at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class Classes:
    """The largest of several logits, and its softmax, seen one channel at a time."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.labels = np.zeros(shape, np.uint16)
        self._best = np.full(shape, -np.inf, np.float32)
        self._total = np.zeros(shape, np.float32)
        """Sum over the channels so far of exp(logit - best)."""

    def add(self, channel: int, logits: NDArray[np.float32]) -> None:
        """Take the next channel's logits, of the whole shape, into account."""
        for k, values in enumerate(logits):
            best, total = self._best[k], self._total[k]
            larger = values > best
            ratio = np.exp(-np.abs(values - best))
            total[...] = np.where(larger, total * ratio + 1, total + ratio)
            np.copyto(best, values, where=larger)
            self.labels[k][larger] = channel

    def confidence(self) -> NDArray[np.uint8]:
        """Softmax of the chosen channel, x 255; 0 on the background."""
        return np.where(self.labels > 0, np.rint(255 / self._total), 0).astype(np.uint8)


class Regions:
    """Overlapping regions: the last one in the class order whose probability is above a half."""

    def __init__(self, shape: tuple[int, ...], order: Sequence[int]) -> None:
        self.labels = np.zeros(shape, np.uint16)
        self._order = order
        self._chosen = np.zeros(shape, np.float32)

    def add(self, channel: int, logits: NDArray[np.float32]) -> None:
        """Take the next region's logits, of the whole shape, into account."""
        import torch

        for k, values in enumerate(logits):
            probability = torch.from_numpy(np.ascontiguousarray(values)).sigmoid().numpy()
            inside = probability > 0.5
            self.labels[k][inside] = self._order[channel]
            np.copyto(self._chosen[k], probability, where=inside)

    def confidence(self) -> NDArray[np.uint8]:
        """Probability of the chosen region, x 255; 0 on the background."""
        confidence: NDArray[np.uint8] = np.rint(self._chosen * 255).astype(np.uint8)
        return confidence
