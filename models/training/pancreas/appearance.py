"""The same slice in another patient, phase, dose and posture: the training crops.

Everything is HU clipped to 0 to 255, axes (j, i) = (back, left). Nothing is ever mirrored: the
liver's side is what tells the head from the tail.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from models.training.pancreas.data import SIDE, Patient
from models.training.pancreas.disease import diseased

FloatImage = NDArray[np.float32]
Mask = NDArray[np.bool_]

CROP = 192
DISEASED = 0.4
"""Share of the slices with gland that get a lesion or a wide duct."""


class CropMaker:
    """Endless batches (images [n, 1, 192, 192] float32, masks alike) of ``size`` slices.

    Patients are drawn evenly, so one with many slices doesn't count more. ``chest`` slices make
    up ``negatives`` of each batch.
    """

    def __init__(
        self,
        patients: list[Patient],
        chest: NDArray[np.uint8],
        rng: np.random.Generator,
        size: int,
        negatives: int,
    ) -> None:
        self._patients, self._chest, self._rng = patients, chest, rng
        self._size, self._negatives = size, negatives

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            pairs = [self._gland() for _ in range(self._size - self._negatives)]
            pairs += [self._empty() for _ in range(self._negatives)]
            images, masks = (
                torch.from_numpy(np.stack(each)[:, None]) for each in zip(*pairs, strict=True)
            )
            yield images, masks

    def _gland(self) -> tuple[FloatImage, FloatImage]:
        rng = self._rng
        patient = self._patients[rng.integers(len(self._patients))]
        n = rng.integers(len(patient.images))
        image, gland = patient.images[n].astype(np.float32), patient.masks[n]
        if rng.random() < 0.5:
            image = shift_gland(image, gland, rng)
        if rng.random() < 0.25:
            image = arterial(image, gland, rng)
        if rng.random() < DISEASED:
            image, gland, _ = diseased(image, gland, rng)
        return self._finish(image, gland)

    def _empty(self) -> tuple[FloatImage, FloatImage]:
        image = self._chest[self._rng.integers(len(self._chest))].astype(np.float32)
        return self._finish(image, np.zeros(image.shape, bool))

    def _finish(self, image: FloatImage, gland: Mask) -> tuple[FloatImage, FloatImage]:
        rng = self._rng
        if rng.random() < 0.15:
            image = plain(image, rng)
        image, mask = moved(image, gland, rng)
        return scanned(image, rng), mask


def shift_gland(image: FloatImage, gland: Mask, rng: np.random.Generator) -> FloatImage:
    """The gland alone brighter or darker than its neighbours: another phase, fat, fibrosis."""
    share = ndimage.gaussian_filter(gland.astype(np.float32), 0.7)
    # Fat between the lobules stays fat.
    share *= np.clip(image / 40, 0, 1)
    shifted: FloatImage = np.clip(image + share * np.float32(rng.uniform(-35, 55)), 0, 255)
    return shifted


def arterial(image: FloatImage, gland: Mask, rng: np.random.Generator) -> FloatImage:
    """Bright vessels and kidneys, a liver and bowel wall that have taken up little yet."""
    smooth = ndimage.gaussian_filter(image, 0.8)
    bright = np.clip((smooth - 130) / 30, 0, 1) * np.float32(rng.uniform(20, 120))
    beyond = 1 - ndimage.gaussian_filter(gland.astype(np.float32), 0.7)
    tissue = np.clip((smooth - 60) / 20, 0, 1) * np.clip((150 - smooth) / 20, 0, 1) * beyond
    dim = tissue * (smooth - 65) * np.float32(rng.uniform(0.1, 0.9))
    changed: FloatImage = np.clip(image + bright * beyond - dim, 0, 255).astype(np.float32)
    return changed


def plain(image: FloatImage, rng: np.random.Generator) -> FloatImage:
    """As without contrast: soft tissues within a few tens of HU, bone as it was."""
    keep = np.float32(rng.uniform(0.12, 0.5))
    soft = 30 + (image - 30) * keep
    top = 30 + 170 * keep
    bone = top + (image - 200) * (255 - top) / 55
    return np.where(image < 30, image, np.where(image < 200, soft, bone)).astype(np.float32)


def moved(
    image: FloatImage, gland: Mask, rng: np.random.Generator
) -> tuple[FloatImage, FloatImage]:
    """Turned, scaled, sheared and bent, then cut to ``CROP`` near the middle."""
    turn = rng.normal(0, 0.12)
    scale = np.exp(rng.uniform(np.log(0.78), np.log(1.28)))
    wide = np.exp(rng.normal(0, 0.06))
    shear = rng.normal(0, 0.05)
    cos, sin = np.cos(turn) / scale, np.sin(turn) / scale
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.array([[wide, shear], [0, 1 / wide]])
    shift = rng.normal(0, 10, 2) / (SIDE / 2)
    theta = np.concatenate([matrix * CROP / SIDE, shift[:, None]], 1).astype(np.float32)
    grid = F.affine_grid(torch.from_numpy(theta)[None], [1, 1, CROP, CROP], align_corners=False)
    bend = torch.from_numpy(rng.normal(0, 0.02, (1, 2, 5, 5)).astype(np.float32))
    bend = F.interpolate(bend, size=(CROP, CROP), mode="bicubic", align_corners=True)
    grid = grid + bend.permute(0, 2, 3, 1)
    both = torch.from_numpy(np.stack([image, gland.astype(np.float32)])[None])
    out = F.grid_sample(both, grid, mode="bilinear", align_corners=False)[0].numpy()
    return out[0], (out[1] > 0.5).astype(np.float32)


def scanned(image: FloatImage, rng: np.random.Generator) -> FloatImage:
    """Another scanner's gain, offset, kernel, noise and field of view."""
    gain = np.exp(np.clip(rng.normal(0, 0.16), -0.36, 0.3))
    # Fat and air were clipped to 0, far below it: no offset and no noise lifts them.
    shown = np.clip(image / 8, 0, 1)
    image = (image * gain + shown * rng.normal(0, 12)).astype(np.float32)
    if rng.random() < 0.4:
        image = ndimage.gaussian_filter(image, rng.uniform(0.3, 1.1))
    elif rng.random() < 0.3:
        soft = ndimage.gaussian_filter(image, 0.8)
        image = image + np.float32(rng.uniform(0.2, 0.9)) * (image - soft)
    if rng.random() < 0.5:
        noise = rng.standard_normal(image.shape).astype(np.float32)
        if rng.random() < 0.5:
            noise = ndimage.gaussian_filter(noise, 0.7) * np.float32(2.2)
        image = (image + shown * noise * abs(rng.normal(0, 14))).astype(np.float32)
    image = np.clip(image, 0, 255)
    if rng.random() < 0.15:
        edge = int(rng.uniform(0, CROP * 0.14))
        kept = np.zeros_like(image)
        inner = slice(edge, CROP - edge)
        kept[inner, inner] = image[inner, inner]
        image = kept
    return image.astype(np.float32)
