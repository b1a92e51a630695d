"""Whole lungs on a 1 mm grid: what nodules are inserted into, with their own real lesions.

Source: ``chest_volumes`` of the training data, public collections under CC BY 3.0 (the model card
names each). A volume is a lung cut out with 12 mm around it; ``code`` is HU = 6 x code - 1100, and
0 where nothing was kept.
"""

import io
import json
import lzma
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Scans that no weights and no mined negatives ever see: the operating point is chosen on them.
HELD_OUT = ("LIDC-IDRI-0028", "QIN-LSC-0014")

SOFT_TISSUE_HU, SOFT_TISSUE_SD = 30.0, 15.0


@dataclass(frozen=True)
class Lesion:
    """A marked lesion: centre in voxels (= mm) of the 1 mm grid, diameter in mm."""

    centre: tuple[float, float, float]
    diameter_mm: float


@dataclass(frozen=True)
class Lung:
    """One patient's lungs, axes (k, j, i) = (head, posterior, left), 1 mm isotropic.

    ``nodule_free`` says that tissue outside ``lesions`` was read and found free of nodules; where
    it is False an unmarked nodule may be there, and a strong false positive may be a true one.
    """

    name: str
    hu: NDArray[np.int16]
    mask: NDArray[np.bool_]
    share: NDArray[np.float16]  # share of readers who outlined the voxel, 0 to 1
    lesions: tuple[Lesion, ...]
    nodule_free: bool

    def places(self) -> NDArray[np.int32]:
        """Voxels of the lung mask, [n, 3], thinned to every second in each axis."""
        thin = np.argwhere(self.mask[::2, ::2, ::2]).astype(np.int32)
        return thin * 2


def load_lungs(data: Path, cache: Path, *, held_out: bool) -> list[Lung]:
    """The training lungs, or with ``held_out`` those kept for choosing the operating point.

    ``data`` is the folder that holds ``chest_volumes``; ``cache`` keeps the resampled arrays.
    """
    files = sorted((data / "chest_volumes").glob("*.npz.xz"))
    if not files:
        raise FileNotFoundError(f"no chest_volumes/*.npz.xz under {data}")
    return [_load(f, cache) for f in files if (_name(f) in HELD_OUT) == held_out]


def _name(path: Path) -> str:
    return path.name.removesuffix(".npz.xz")


def _load(path: Path, cache: Path) -> Lung:
    name = _name(path)
    kept = cache / f"{name}.npz"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _resample(path, kept)
    arrays = np.load(kept)
    about = json.loads(path.with_name(f"{name}.json").read_text())
    return Lung(
        name=name,
        hu=arrays["hu"],
        mask=arrays["mask"],
        share=arrays["share"],
        lesions=tuple(Lesion((row[0], row[1], row[2]), row[3]) for row in arrays["lesions"]),
        nodule_free=bool(about["unmarked_tissue_is_nodule_free"]),
    )


def _resample(path: Path, kept: Path) -> None:
    raw = np.load(io.BytesIO(lzma.decompress(path.read_bytes())))
    code, votes = raw["code"], raw["votes"]
    spacing = np.asarray(raw["spacing_kji"], float)
    shape = tuple(int(n) for n in np.floor((np.array(code.shape) - 1) * spacing) + 1)

    # What was cut away was chest wall or mediastinum, never air: say so, or the cut would be
    # learned as an anatomical edge.
    rng = np.random.default_rng(0)
    hu = code.astype(np.float32) * 6 - 1100
    far = code == 0
    hu[far] = rng.normal(SOFT_TISSUE_HU, SOFT_TISSUE_SD, int(far.sum()))
    linear = ndimage.affine_transform(hu, 1 / spacing, output_shape=shape, order=1, mode="nearest")

    readers = max(int(votes.max()), 1)
    share = ndimage.affine_transform(
        votes.astype(np.float32) / readers, 1 / spacing, output_shape=shape, order=1
    )

    lung_shape, factor = raw["lung_shape"], raw["lung_factor"]
    lung = np.unpackbits(raw["lung"])[: int(np.prod(lung_shape))].reshape(lung_shape).astype(bool)
    rows = [
        np.minimum((np.arange(n) / s / f).astype(int), m - 1)
        for n, s, f, m in zip(shape, spacing, factor, lung_shape, strict=True)
    ]
    mask = lung[np.ix_(*rows)] | (share > 0.5)

    np.savez(
        kept,
        hu=np.rint(linear).astype(np.int16),
        mask=mask,
        share=share.astype(np.float16),
        lesions=_lesions(votes, spacing),
    )


def _lesions(votes: NDArray[np.uint8], spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    """Components of the outlines, [n, 4]: centre k, j, i in mm from the first voxel, diameter.

    The diameter is the longest axial extent of what at least half the readers outlined, as LIDC
    measures it; where readers disagree wholly, of what any of them outlined.
    """
    found = []
    labels, count = ndimage.label(votes > 0, np.ones((3, 3, 3)))
    for n in range(1, count + 1):
        part = labels == n
        half = part & (votes * 2 >= votes[part].max())
        if half.sum() * np.prod(spacing) < 15:
            continue
        at = np.argwhere(half) * spacing
        centre = at.mean(0)
        longest = 0.0
        for k in np.unique(at[:, 0]):
            flat = at[at[:, 0] == k][:, 1:]
            angle = np.linspace(0, np.pi, 16, endpoint=False)
            along = flat @ np.stack([np.cos(angle), np.sin(angle)])
            longest = max(longest, float(np.ptp(along, axis=0).max()) + float(spacing[2]))
        found.append([*centre, longest])
    return np.array(found, float).reshape(-1, 4)
