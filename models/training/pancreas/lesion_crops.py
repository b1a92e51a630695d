"""Training crops for the heat net: glands with lesions and controls, seen by other scanners."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.pancreas.heat import to_input
from models.training.pancreas.data import Patient
from models.training.pancreas.lesions import (
    Bools,
    Floats,
    Kind,
    Slice,
    draw,
    with_bile_duct,
    with_duct,
)

SIDE = 96
KINDS: tuple[tuple[Kind, float], ...] = (
    ("none", 0.25), ("null", 0.2), ("solid", 0.45), ("cyst", 0.1),
)  # fmt: skip
DUCTS, DUCTS_BEHIND_A_LESION, BILE_DUCTS = 0.15, 0.35, 0.2
LEAST_PIXELS = 30
"""Of a gland in a slice; smaller ends of it are left out."""


class GlandCrops:
    """Crops without end: input of the net, lesion, and the organ in which the loss counts."""

    def __init__(self, patients: list[Patient], rng: np.random.Generator) -> None:
        self._rng = rng
        self._slices = [
            (image.astype(np.float32) - parenchyma(patient), mask)
            for patient in patients
            for image, mask in zip(patient.images, patient.masks, strict=True)
            if mask.sum() >= LEAST_PIXELS
        ]

    def __iter__(self) -> Iterator[tuple[Floats, Floats, Floats]]:
        """Arrays [2, 96, 96], [96, 96] weights of the lesion, [96, 96] the organ."""
        while True:
            drawn = self.one()
            lesion = drawn.lesion.astype(np.float32)
            yield to_input(drawn.delta, drawn.organ), lesion, drawn.organ.astype(np.float32)

    def one(self) -> Slice:
        """One crop, drawn and seen through another scanner."""
        rng = self._rng
        while True:
            delta, organ = self._slices[rng.integers(len(self._slices))]
            delta, organ = _placed(delta, organ, rng)
            if organ.sum() >= LEAST_PIXELS:
                break
        delta = _scanned(delta, rng)
        kinds = [kind for kind, _ in KINDS]
        kind = kinds[rng.choice(len(kinds), p=[share for _, share in KINDS])]
        drawn = draw(delta, organ, rng, kind)
        if rng.random() < (DUCTS_BEHIND_A_LESION if kind == "solid" else DUCTS):
            drawn = with_duct(drawn, rng)
        if rng.random() < BILE_DUCTS:
            drawn = with_bile_duct(drawn, rng)
        shown = drawn.delta * np.float32(rng.uniform(0.75, 1.35)) + np.float32(rng.normal(0, 7))
        edge = _edge(drawn.organ, rng)
        return replace(drawn, delta=shown, organ=edge, lesion=drawn.lesion & edge)


def parenchyma(patient: Patient) -> np.float32:
    """Median over the patient's gland, HU."""
    return np.float32(np.median(patient.images[patient.masks]))


def _placed(delta: Floats, organ: Bools, rng: np.random.Generator) -> tuple[Floats, Bools]:
    """A crop of 96 about the gland: another size and turn, mirrored in half of them."""
    at = np.argwhere(organ)
    centre = (at.min(0) + at.max(0)) / 2 + rng.uniform(-6, 6, 2)
    turn, scale = rng.normal(0, 0.2), 1 / rng.uniform(0.8, 1.25)
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    if rng.random() < 0.5:
        matrix = matrix @ np.diag([1, -1])
    if rng.random() < 0.5:
        matrix = matrix @ np.diag([-1, 1])
    offset = centre - matrix @ np.full(2, (SIDE - 1) / 2)
    if rng.random() < 0.5 and abs(turn) < 0.1:
        # Without interpolation the noise stays as the scanner made it.
        low = np.clip(np.rint(centre).astype(int) - SIDE // 2, 0, organ.shape[0] - SIDE)
        box = tuple(slice(int(n), int(n) + SIDE) for n in low)
        return delta[box].copy(), organ[box].copy()
    image = ndimage.affine_transform(delta, matrix, offset, (SIDE, SIDE), order=1, mode="nearest")
    mask = ndimage.affine_transform(organ.astype(np.float32), matrix, offset, (SIDE, SIDE), order=1)
    return image, mask > 0.5


def _scanned(delta: Floats, rng: np.random.Generator) -> Floats:
    """Another kernel, slice thickness or dose."""
    draw_ = rng.random()
    if draw_ < 0.35:
        delta = ndimage.gaussian_filter(delta, rng.uniform(0.3, 1.0))
    elif draw_ < 0.45:
        delta = delta + np.float32(rng.uniform(0.2, 0.7)) * (
            delta - ndimage.uniform_filter(delta, 3)
        )
    if rng.random() < 0.35:
        noise: NDArray[np.float64] = rng.standard_normal(delta.shape)
        if rng.random() < 0.5:
            noise = ndimage.gaussian_filter(noise, 0.7) * 2.4
        delta = delta + (abs(rng.normal(0, 14)) * noise).astype(np.float32)
    return delta


def _edge(organ: Bools, rng: np.random.Generator) -> Bools:
    """The outline as a segmenter may draw it: a pixel more or less in part of them."""
    draw_ = rng.random()
    if draw_ < 0.2:
        return np.asarray(ndimage.binary_dilation(organ))
    if draw_ < 0.4:
        thinner = ndimage.binary_erosion(organ)
        return np.asarray(thinner) if thinner.sum() >= LEAST_PIXELS else organ
    return organ
