"""Real pancreases, cut out slice by slice: MSD task 07 with PANORAMA's labels.

Portal venous CTs of people with a mass, each slice cut tightly around the gland. CC BY-SA and
CC BY-NC: looked at here, never trained or chosen on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WINDOW_LOW_HU, WINDOW_HU = -150.0, 400.0
"""Codes 0 to 255 stand for -150 to 250 HU."""
LESION, VEINS, ARTERIES, PARENCHYMA = 1, 2, 3, 4
"""Among PANORAMA's labels."""

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Crop:
    """One slice, all arrays [j, i].

    Attributes:
        hu: -150 to 250.
        organ: MSD's pancreas with its tumour.
        labels: PANORAMA's.
    """

    hu: Floats
    organ: Bools
    labels: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class MsdCase:
    """One person.

    Attributes:
        name: MSD's.
        cancer: ductal adenocarcinoma by PANORAMA.
        pixel_mm: side of a pixel.
        apart_mm: from slice to slice.
        crops: by slice number.
    """

    name: str
    cancer: bool
    pixel_mm: float
    apart_mm: float
    crops: tuple[Crop, ...]


def read_cases(train: Path) -> Iterator[MsdCase]:
    """Everyone whom PANORAMA labelled; ``train`` holds ``pancreas_msd_crops``."""
    folder = train / "pancreas_msd_crops"
    with np.load(folder / "crops.npz") as arrays:
        for entry in json.loads((folder / "index.json").read_text())["cases"]:
            if not entry["panorama"]:
                continue
            name, zooms = entry["case"], entry["zooms"]
            labelled = f"{name}_pano_"
            numbers = sorted(
                int(key.removeprefix(labelled)) for key in arrays.files if key.startswith(labelled)
            )
            crops = tuple(
                Crop(
                    to_hu(arrays[f"{name}_img_{n}"]),
                    arrays[f"{name}_pan_{n}"] > 0,
                    arrays[f"{labelled}{n}"],
                )
                for n in numbers
            )
            cancer = entry["diagnosis"] == "PDAC"
            yield MsdCase(name, cancer, float(zooms[0]), float(zooms[2]), crops)


def to_hu(codes: NDArray[np.uint8]) -> Floats:
    """The crops' 8-bit codes as HU."""
    return (codes * (WINDOW_HU / 255) + WINDOW_LOW_HU).astype(np.float32)
