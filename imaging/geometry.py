"""Where voxels are: index (k, j, i) to patient coordinates.

One frame for everything: DICOM's own patient coordinate system, **LPS in mm** (+x to the
patient's left, +y to the back, +z to the head; PS3.3 C.7.6.2.1.1). Indices are (k, j, i) =
(slice, row, column), zero-based, at voxel centres.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray

Shape3 = tuple[int, int, int]
"""Voxel counts along (k, j, i)."""

Point = tuple[float, float, float]
"""A point in LPS mm, (x, y, z)."""

Affine = Annotated[NDArray[np.float64], "4x4; (k, j, i, 1) -> LPS mm"]
Points = Annotated[NDArray[np.float64], "..., 3"]


@dataclass(frozen=True, eq=False)
class Grid:
    """A lattice of voxels in the patient.

    Args:
        shape: voxel counts along (k, j, i).
        affine: 4 x 4, float64, maps (k, j, i, 1) to LPS mm; copied and made read-only.

    Raises:
        ValueError: the affine is not 4 x 4, not finite, or not invertible.
    """

    shape: Shape3
    affine: Affine

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise ValueError(f"affine must be a finite 4x4 matrix, got {affine!r}")
        if abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise ValueError(f"affine is singular: {affine[:3, :3].tolist()}")
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))

    @classmethod
    def from_dicom(
        cls,
        shape: Shape3,
        first_position: ArrayLike,
        orientation: ArrayLike,
        pixel_spacing: ArrayLike,
        step: ArrayLike,
    ) -> Grid:
        """Build from DICOM's attributes.

        Args:
            shape: (k, j, i).
            first_position: ImagePositionPatient of slice 0, LPS mm.
            orientation: ImageOrientationPatient: direction of growing column index, then of
                growing row index.
            pixel_spacing: PixelSpacing in mm: between rows, then between columns.
            step: vector from one slice's first voxel to the next one's, LPS mm.

        Source: PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1.
        """
        cosines = np.asarray(orientation, dtype=np.float64)
        spacing = np.asarray(pixel_spacing, dtype=np.float64)
        affine = np.eye(4)
        affine[:3, 0] = np.asarray(step, dtype=np.float64)
        affine[:3, 1] = cosines[3:] * spacing[0]
        affine[:3, 2] = cosines[:3] * spacing[1]
        affine[:3, 3] = np.asarray(first_position, dtype=np.float64)
        return cls(shape, affine)

    @cached_property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along (k, j, i), mm; from the affine."""
        k, j, i = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(k), float(j), float(i)

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel, mm^3."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @cached_property
    def _inverse(self) -> NDArray[np.float64]:
        return np.asarray(np.linalg.inv(self.affine), dtype=np.float64)

    def to_lps(self, index: ArrayLike) -> Points:
        """(k, j, i) indices, shape (..., 3), fractions allowed, to LPS mm, shape (..., 3)."""
        points = np.asarray(index, dtype=np.float64)
        return points @ self.affine[:3, :3].T + self.affine[:3, 3]

    def to_index(self, lps_mm: ArrayLike) -> Points:
        """LPS mm, shape (..., 3), to fractional (k, j, i), shape (..., 3)."""
        points = np.asarray(lps_mm, dtype=np.float64)
        return points @ self._inverse[:3, :3].T + self._inverse[:3, 3]

    def crop(self, start: Shape3, shape: Shape3) -> Grid:
        """The grid of the box that begins at index ``start`` and has ``shape`` voxels."""
        affine = self.affine.copy()
        affine[:3, 3] = self.to_lps(start)
        return Grid(shape, affine)

    def is_orthogonal(self, tolerance: float = 1e-3) -> bool:
        """Whether the three axes are mutually perpendicular (cosines below ``tolerance``)."""
        axes = self.affine[:3, :3] / np.linalg.norm(self.affine[:3, :3], axis=0)
        return bool(np.abs(axes.T @ axes - np.eye(3)).max() < tolerance)

    def same_as(self, other: Grid, tolerance_mm: float = 1e-3) -> bool:
        """Whether both grids have the same voxels in the same places."""
        return self.shape == other.shape and bool(
            np.abs(self.affine - other.affine).max() < tolerance_mm
        )
