"""NIH Pancreas-CT slices with the radiologists' outline of the gland, by patient.

Source: TCIA Pancreas-CT (Roth et al. 2016, doi:10.7937/K9/TCIA.2016.tNB1kqBU), CC BY 3.0: portal
venous phase, people without pancreatic disease. A slice is clip(HU, 0, 255), 512 x 512 averaged to
256 x 256; its pixel was not recorded (0.66 to 0.98 mm before averaging). Slices are a sample that
all hold pancreas, not neighbours. Axes (j, i) = (back, left).
"""

import io
import json
import lzma
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SIDE = 256
PIXEL_MM = 1.6
"""Of a slice, as near as is known; training varies the scale by a quarter about it."""

Part = Literal["train", "choose", "held-back"]


@dataclass(frozen=True)
class Patient:
    """One person's slices.

    Args:
        name: as the collection names them, ``PANCREAS_0001``.
        images: uint8 [n, 256, 256], clip(HU, 0, 255).
        masks: bool, the same shape: the outlined gland.
        fields: [n], side in pixels of the central square that is image; 0 was stored outside it.
    """

    name: str
    images: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    fields: tuple[int, ...]


def part_of(name: str) -> Part:
    """What a patient is for, by the number in the name and nothing else.

    Divisible by 5: held back, 10 patients of 53, to say how good the weights are; nothing is
    chosen on them. Ending in 7: 6 patients, never trained on, to choose settings. The other 37
    train.
    """
    number = int(name.rsplit("_", 1)[1])
    if number % 5 == 0:
        return "held-back"
    return "choose" if number % 10 == 7 else "train"


def load_patients(data: Path, *parts: Part) -> list[Patient]:
    """The patients of these parts (all where none is named), in order of name.

    ``data`` is the folder that holds ``pancreas_nih``.

    Raises:
        FileNotFoundError: the slices are not there.
    """
    folder = data / "pancreas_nih"
    archive = folder / "slices.npz.xz"
    if not archive.exists():
        raise FileNotFoundError(f"{archive} is missing; --data names the folder of pancreas_nih/")
    arrays = np.load(io.BytesIO(lzma.decompress(archive.read_bytes())))
    patients = []
    for case in json.loads((folder / "index.json").read_text())["cases"]:
        name = case["patient"]
        if parts and part_of(name) not in parts:
            continue
        patients.append(
            Patient(
                name=name,
                images=arrays[f"{name}_img"],
                masks=arrays[f"{name}_mask"] > 0,
                fields=tuple(field // 2 for field in case["fov_px"]),
            )
        )
    return sorted(patients, key=lambda patient: patient.name)
