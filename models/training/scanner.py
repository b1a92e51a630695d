"""The same anatomy as another scanner would show it: slice thickness, kernel, dose, calibration."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Float = NDArray[np.float32]


def another_scanner(hu: Float, rng: np.random.Generator, heavy: float = 1.0) -> Float:
    """``hu`` [k, j, i] at 1 mm, changed at random; ``heavy`` 0 leaves it as it is.

    Slices of 2 to 3 mm in part of them, a sharper or softer kernel, white or coarse noise, a
    gain of up to 8 % and an offset.
    """
    draw = rng.random()
    if draw < 0.25 * heavy:
        hu = ndimage.uniform_filter1d(hu, 3, axis=0)
    elif draw < 0.45 * heavy:
        hu = thick_slices(hu, int(rng.integers(2, 4)))
    if rng.random() < 0.4 * heavy:
        soft = ndimage.uniform_filter(hu, 3)
        sharpen = rng.uniform(0.2, 1.0) if rng.random() < 0.6 else rng.uniform(-0.6, -0.2)
        hu = hu + np.float32(sharpen) * (hu - soft)
    if rng.random() < 0.6 * heavy:
        noise = rng.standard_normal(hu.shape, np.float32)
        if rng.random() < 0.4:  # a soft kernel's noise is coarse
            noise = ndimage.uniform_filter(noise, 2) * np.float32(2.8)
        hu = hu + noise * np.float32(abs(rng.normal(0, 30)))
    if rng.random() < 0.5 * heavy:
        hu = (hu + 1000) * np.float32(rng.uniform(0.92, 1.08)) - 1000
        hu = hu + np.float32(rng.normal(0, 12))
    return hu


def thick_slices(hu: Float, thickness: int) -> Float:
    """As if scanned in slices of ``thickness`` mm and interpolated back to 1 mm along k."""
    slices = hu.shape[0] // thickness
    mean = hu[: slices * thickness].reshape(slices, thickness, *hu.shape[1:]).mean(1)
    at = (np.arange(hu.shape[0]) - (thickness - 1) / 2) / thickness
    low = np.clip(np.floor(at).astype(int), 0, slices - 2)
    part = np.clip(at - low, 0, 1).astype(np.float32)[:, None, None]
    thick: Float = mean[low] * (1 - part) + mean[low + 1] * part
    return thick
