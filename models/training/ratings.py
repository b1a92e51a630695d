"""LIDC-IDRI's nodules with what their readers thought of them, as tables of features.

Each nodule comes in several versions: its readers' majority, and outlines as a mask net might
draw them (grown, shrunk, uneven, a slice more or less) in HU that are as uncertain as the
source's.
"""

from __future__ import annotations

import json
import lzma
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.character.features import MARGIN_MM, Crop, in_plane_distance, measure_features
from models.training.nodules_data import Nodule, load_nodules

GAIN, LEAST_GAIN, MOST_GAIN = 8.3, 7.2, 11.0
"""HU a code: as measured where it could be, and its range over scans."""
OFFSET_HU = -982.0

Bits = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Rated:
    """Nodules as numbers.

    Attributes:
        features: [nodules, versions, features]; version 0 is the readers' majority.
        rating: mean malignancy, 1 to 5.
        patient: of each nodule.
        diameter_mm: as LIDC's readers outlined it.
    """

    features: NDArray[np.float64]
    rating: NDArray[np.float64]
    patient: NDArray[np.str_]
    diameter_mm: NDArray[np.float64]


def load_rated(data: Path, *, held_out: bool, versions: int, seed: int) -> Rated:
    """The nodules of the training patients, or of those kept apart.

    Args:
        data: the folder that holds ``lidc_nodules``.
        held_out: patients whose number ends in 3.
        versions: of each nodule, at least 1.
        seed: of the versions.
    """
    rating = load_ratings(data)
    nodules = load_nodules(data, held_out=held_out)
    rng = np.random.default_rng(seed)
    rows = []
    for nodule in nodules:
        drawn = [majority(nodule), *(version(nodule, rng) for _ in range(versions - 1))]
        rows.append([measure_features(crop) for crop in drawn])
    return Rated(
        np.array(rows),
        np.array([rating[n.key] for n in nodules]),
        np.array([n.patient for n in nodules]),
        np.array([n.diameter_mm for n in nodules]),
    )


def load_ratings(data: Path) -> dict[str, float]:
    """Mean malignancy of each nodule's readers, 1 to 5, by the nodule's key."""
    packed = (data / "lidc_nodules" / "index.json.xz").read_bytes()
    rows = json.loads(lzma.decompress(packed))["nodules"]
    return {row["key"]: float(row["malignancy"]) for row in rows}


def majority(nodule: Nodule) -> Crop:
    """What at least half of the readers outlined, HU by the usual gain."""
    hu = nodule.code.astype(np.float32) * np.float32(GAIN) + np.float32(OFFSET_HU)
    return _crop(hu, nodule.share >= 0.5, nodule.spacing)


def version(nodule: Nodule, rng: np.random.Generator) -> Crop:
    """An outline as a mask net might draw it, HU by a gain that may be true."""
    gain = rng.triangular(LEAST_GAIN, GAIN, MOST_GAIN) * rng.normal(1, 0.02, len(nodule.code))
    hu = nodule.code * gain[:, None, None] + OFFSET_HU + rng.normal(0, 15)
    mask: Bits = nodule.share >= rng.uniform(0.3, 0.9)
    if not mask.any():
        mask = nodule.share >= 0.5
    mask = _redrawn(mask, nodule.spacing, rng)
    return _crop(hu.astype(np.float32), mask, nodule.spacing)


def _redrawn(mask: Bits, spacing: tuple[float, float, float], rng: np.random.Generator) -> Bits:
    """Grown or shrunk by up to 0.8 mm, uneven by 0.4 mm, without an end slice in one of four."""
    pixel = (spacing[1] + spacing[2]) / 2
    uneven = ndimage.gaussian_filter(rng.standard_normal(mask.shape), (0.7, *[2 / pixel] * 2))
    uneven *= 0.4 / max(float(uneven.std()), 1e-6)
    filled: Bits = np.asarray(mask.any(axis=(1, 2)))
    distance = in_plane_distance(mask, spacing) + uneven
    drawn = (distance < rng.uniform(-0.8, 0.8)) & filled[:, None, None]
    slices = np.flatnonzero(drawn.any(axis=(1, 2)))
    if len(slices) >= 3 and rng.random() < 0.25:
        drawn[slices[0] if rng.random() < 0.5 else slices[-1]] = False
    pieces, count = ndimage.label(drawn)
    if not count:
        return mask
    largest: Bits = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    return largest


def _crop(hu: NDArray[np.float32], mask: Bits, spacing: tuple[float, float, float]) -> Crop:
    """As :func:`models.character.features.cut` would cut it out of a scan."""
    at = np.argwhere(mask)
    margin = np.ceil(np.array([0, MARGIN_MM / spacing[1], MARGIN_MM / spacing[2]])).astype(int)
    low = np.maximum(at.min(0) - margin, 0)
    high = at.max(0) + 1 + margin
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    filled = mask[box].any(axis=(1, 2))
    return Crop(hu[box][filled], mask[box][filled], spacing)
