"""Noise of a simulated CT, correlated as filtered back-projection leaves it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def noise_block(pixels: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A periodic block of noise, standard deviation about one, (24, pixels, pixels).

    The spectrum within a slice is a ramp, rolled off; neighbouring slices share some of it.
    """
    shape = (24, pixels, pixels)
    white = np.fft.rfftn(rng.standard_normal(shape, np.float32), axes=(1, 2))
    j = np.fft.fftfreq(pixels).astype(np.float32)[:, None]
    i = np.fft.rfftfreq(pixels).astype(np.float32)[None, :]
    f = np.sqrt(j * j + i * i)
    white *= f * np.exp(-((f / np.float32(0.27)) ** 2))
    block = np.fft.irfftn(white, s=shape[1:], axes=(1, 2)).astype(np.float32)
    block /= block.std()
    mixed: NDArray[np.float32] = np.float32(0.88) * block
    mixed += np.float32(0.47) * np.roll(block, 1, axis=0)
    return mixed
