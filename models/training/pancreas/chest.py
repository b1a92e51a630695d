"""Chest slices: where no pancreas may be drawn.

Source: ``chest_volumes``, lungs cut out with 12 mm around them, public collections under CC BY 3.0.
Only slices high up in the lung are taken: the pancreas reaches the costophrenic angles, and a low
slice that shows it unlabelled would teach the opposite.
"""

import io
import lzma
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.training.pancreas.data import PIXEL_MM, SIDE

LEAST_SHARE = 0.7
"""Of the largest lung area of the volume: slices from the apex down to where less is seen."""
SOFT_TISSUE_HU, SOFT_TISSUE_SD = 40.0, 15.0


def load_chest(data: Path, per_volume: int = 24) -> NDArray[np.uint8]:
    """Chest slices [n, 256, 256] as :class:`models.training.pancreas.data.Patient` keeps its own.

    Raises:
        FileNotFoundError: ``data`` holds no ``chest_volumes``.
    """
    files = sorted((data / "chest_volumes").glob("*.npz.xz"))
    if not files:
        raise FileNotFoundError(f"no chest_volumes/*.npz.xz under {data}")
    return np.concatenate([_slices(path, per_volume) for path in files])


def _slices(path: Path, most: int) -> NDArray[np.uint8]:
    raw = np.load(io.BytesIO(lzma.decompress(path.read_bytes())))
    code = raw["code"]
    shape = raw["lung_shape"]
    lung = np.unpackbits(raw["lung"])[: int(np.prod(shape))].reshape(shape).astype(bool)
    area = lung.sum((1, 2))
    # Axis 0 runs to the head: from the top down to the last slice that is still full of lung.
    full = np.flatnonzero(area >= LEAST_SHARE * area.max())
    first = int(full.min() * raw["lung_factor"][0])
    chosen = np.linspace(first, len(code) - 1, most).astype(int)
    rng = np.random.default_rng(0)
    spacing = np.asarray(raw["spacing_kji"], float)[1:]
    return np.stack([_render(code[k], spacing, rng) for k in chosen])


def _render(
    code: NDArray[np.uint8], spacing: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.uint8]:
    hu = code.astype(np.float32) * 6 - 1100
    # What was cut away inside the body was soft tissue; a black hole there gives the chest away.
    inside = ndimage.binary_fill_holes(code > 0)
    cut = (code == 0) & inside
    hu[cut] = rng.normal(SOFT_TISSUE_HU, SOFT_TISSUE_SD, int(cut.sum()))
    step = PIXEL_MM / spacing
    offset = (np.array(hu.shape) - 1) / 2 - step * (SIDE - 1) / 2
    out = ndimage.affine_transform(
        ndimage.gaussian_filter(np.clip(hu, 0, 255), step / 4),
        step,
        offset=offset,
        output_shape=(SIDE, SIDE),
        order=1,
    )
    rounded: NDArray[np.uint8] = np.rint(out).astype(np.uint8)
    return rounded
