"""Voxels with their place in the patient, and where each slice came from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Grid, Point, Shape3

Voxels = Annotated[NDArray[np.float32] | NDArray[np.int16], "k, j, i; HU for CT, signal for MR"]
MaskVoxels = Annotated[NDArray[np.bool_], "k, j, i"]


@dataclass(frozen=True)
class SourceSlice:
    """The DICOM image (or frame of one) that slice k of a volume was read from.

    Slice and image share their pixels' directions and spacing. Mostly they are the same raster;
    a gantry tilt that was taken out moves the slice within the image's plane, and uneven slice
    distances that were brought to one leave it up to half a distance off that plane.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int | None = None
    """One-based frame of a multi-frame image; None for single-frame images."""
    first_row: float = 0.0
    """Row of the image, in pixels, that lies at row 0 of the slice."""
    first_column: float = 0.0
    above_mm: float = 0.0
    """How far the image's plane lies from the slice's, along the normal (row x column), mm."""

    @property
    def offset(self) -> tuple[int, int]:
        """(row, column) of the image at pixel (0, 0) of the slice, to the nearest pixel."""
        return math.floor(self.first_row + 0.5), math.floor(self.first_column + 0.5)


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels on a grid.

    Args:
        voxels: (k, j, i); HU for CT, stored signal for MR.
        grid: same shape; LPS mm.
        sources: one entry for each k, None for a slice that was interpolated; empty for a
            volume that was computed (resampled, simulated).

    Raises:
        ValueError: shapes disagree.
    """

    voxels: Voxels
    grid: Grid
    sources: tuple[SourceSlice | None, ...] = ()

    def __post_init__(self) -> None:
        if self.voxels.shape != self.grid.shape:
            raise ValueError(f"voxels {self.voxels.shape} do not fit the grid {self.grid.shape}")
        if self.sources and len(self.sources) != self.grid.shape[0]:
            raise ValueError(f"{len(self.sources)} sources for {self.grid.shape[0]} slices")

    def image_offset(self, k: int) -> tuple[float, float]:
        """(row, column) of slice k's image that lies at pixel (0, 0) of the slice.

        Added to a place on the slice it gives the place on the image; mostly it is (0, 0).
        """
        source = self.sources[k] if self.sources else None
        return (0.0, 0.0) if source is None else (source.first_row, source.first_column)


@dataclass(frozen=True, eq=False)
class Mask:
    """True where something is, on a grid of its own (often a small box of a volume's grid)."""

    voxels: MaskVoxels
    grid: Grid

    def __post_init__(self) -> None:
        if self.voxels.shape != self.grid.shape:
            raise ValueError(f"mask {self.voxels.shape} does not fit the grid {self.grid.shape}")
        if self.voxels.dtype != np.bool_:
            raise ValueError(f"a mask is boolean, not {self.voxels.dtype}")

    @property
    def volume_mm3(self) -> float:
        """Volume of the true voxels, mm^3."""
        return float(np.count_nonzero(self.voxels)) * self.grid.voxel_volume_mm3


@dataclass(frozen=True, eq=False)
class Region:
    """A mask that covers only a box of a larger grid, so that many findings stay small.

    Args:
        voxels: (k, j, i) of the box, bool.
        start: index of the box's first voxel in the larger grid.
        within: the larger grid.
    """

    voxels: MaskVoxels
    start: Shape3
    within: Grid

    @property
    def mask(self) -> Mask:
        """The box as a mask with its own grid."""
        k, j, i = self.voxels.shape
        return Mask(self.voxels, self.within.crop(self.start, (k, j, i)))

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """Slices that cut the box out of an array on the larger grid."""
        k, j, i = (slice(s, s + n) for s, n in zip(self.start, self.voxels.shape, strict=True))
        return k, j, i

    @property
    def centre_mm(self) -> Point:
        """The mean of the true voxels' centres, LPS mm; a region has some."""
        # Axis by axis: argwhere of a liver would list twenty million numbers.
        total = float(np.count_nonzero(self.voxels))
        centre = []
        for axis, length in enumerate(self.voxels.shape):
            others = tuple(n for n in range(3) if n != axis)
            counts = np.count_nonzero(self.voxels, axis=others)
            centre.append(float(counts @ np.arange(length)) / total)
        x, y, z = (float(value) for value in self.mask.grid.to_lps(centre))
        return x, y, z

    @property
    def points_mm(self) -> NDArray[np.float64]:
        """The true voxels' centres, LPS mm, [n, 3]."""
        return np.asarray(self.mask.grid.to_lps(np.argwhere(self.voxels)))
