"""Nodules made ready for insertion, used again in other orientations: making one is what costs."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.training.insertion import Patch, make_patch
from models.training.nodules_data import Nodule

POOL = 1500  # nodules kept at 1 mm
POOL_REUSED = 0.85


@dataclass
class PatchPool:
    """Up to ``POOL`` nodules at 1 mm.

    Attributes:
        nodules: to draw from; one of them at least can be inserted.
        weights: [n], how often each is drawn; they add up to 1.
        scales: bounds of the factor a nodule is resized by.
    """

    nodules: list[Nodule]
    weights: NDArray[np.float64]
    scales: tuple[float, float]
    _kept: list[Patch] = field(default_factory=list, init=False)

    def draw(self, rng: np.random.Generator) -> Patch:
        """A nodule, turned at random: a new one until the pool is full, then mostly a kept one."""
        if len(self._kept) >= POOL and rng.random() < POOL_REUSED:
            return self._kept[rng.integers(POOL)].turned(rng)
        patch = None
        while patch is None:  # of some too little is left at 1 mm
            nodule = self.nodules[rng.choice(len(self.nodules), p=self.weights)]
            patch = make_patch(nodule, rng, self.scales)
        if len(self._kept) < POOL:
            self._kept.append(patch)
        else:
            self._kept[rng.integers(POOL)] = patch
        return patch.turned(rng)
