"""Nodules that radiologists outlined, cut out of their scans (LIDC-IDRI, CC BY 3.0).

The source patches hold only the outlined slices, and each slice was scaled to 0..255 on its own,
so HU is known only as about gain x code - 982 with a gain of 7.6 to 9.6.
"""

import io
import json
import lzma
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Kept out of everything: the two scans the shipped model is judged on, and the patients whose
# whole lungs are held out.
NEVER_TRAINED = ("LIDC-IDRI-0001", "LIDC-IDRI-0005", "LIDC-IDRI-0028")
# One patient in ten supplies the nodules that simulations on the held-out lungs use.
HELD_OUT_SHARE = 10


@dataclass(frozen=True)
class Nodule:
    """One outlined nodule in its own slices, native spacing, axes (k, j, i)."""

    key: str
    patient: str
    code: NDArray[np.uint8]
    share: NDArray[np.float32]  # share of its readers who outlined the voxel
    spacing: tuple[float, float, float]
    diameter_mm: float
    texture: float  # 1 ground glass to 5 solid

    @property
    def solid(self) -> bool:
        """Whether most of its readers called it solid."""
        return self.texture >= 4.5


def is_held_out(patient: str) -> bool:
    """Whether this patient's nodules are for simulations on the held-out lungs only."""
    return int(patient.rsplit("-", 1)[1]) % HELD_OUT_SHARE == 3


def load_nodules(data: Path, *, held_out: bool) -> list[Nodule]:
    """Nodules of the training patients, or with ``held_out`` of the patients kept apart."""
    folder = data / "lidc_nodules"
    index = json.loads(lzma.decompress((folder / "index.json.xz").read_bytes()))["nodules"]
    arrays = np.load(io.BytesIO(lzma.decompress((folder / "patches.npz.xz").read_bytes())))
    nodules = []
    for row in index:
        if row["patient"] in NEVER_TRAINED or is_held_out(row["patient"]) != held_out:
            continue
        bits = arrays[f"{row['key']}_readers"]
        n = max(int(row["readers"]), 1)
        count = sum((bits >> bit & 1).astype(np.float32) for bit in range(8))
        share = np.asarray(count, np.float32) / max(n, float(np.max(count)))
        if not (share >= 0.5).any():
            continue
        k, j, i = row["spacing_kji"]
        nodules.append(
            Nodule(
                key=row["key"],
                patient=row["patient"],
                code=arrays[f"{row['key']}_img"],
                share=share,
                spacing=(float(k), float(j), float(i)),
                diameter_mm=float(row["diameter_mm"]),
                texture=float(row["texture"]),
            )
        )
    return nodules


def sampling_weights(nodules: list[Nodule]) -> NDArray[np.float64]:
    """How often to draw each: large and non-solid nodules are rare.

    They are drawn a little more often than they come; much more, and half the draws would be
    masses while small nodules, the hard ones, were hardly learned.
    """
    weight = np.array(
        [
            (1.5 if n.diameter_mm >= 15 else 1.0)
            * (1.7 if n.diameter_mm >= 25 else 1.0)
            * (2.0 if n.texture < 3.5 else 1.0)
            for n in nodules
        ]
    )
    return np.asarray(weight / weight.sum())
