"""How the images of a series lie: their normal, their plane, their distances; headers alone.

Source: PS3.3 C.7.6.2 (Image Plane).
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from imaging.image_slice import ImageSlice

_NORMAL_AXIS = {"sagittal": 0, "coronal": 1, "axial": 2}
"""Which LPS axis a slice of that name lies across."""


def is_localizer(image: ImageSlice) -> bool:
    """Whether ImageType says that it is a scout (PS3.3 C.8.2.1.1.1)."""
    return not {"LOCALIZER", "SCOUT"}.isdisjoint(image.image_type)


def prevailing(slices: tuple[ImageSlice, ...]) -> tuple[ImageSlice, ...]:
    """The images of the commonest kind: a scout inside a series does not decide about it."""

    def kind(image: ImageSlice) -> tuple[str, ...]:
        axes = [str(round(x, 1) + 0.0) for x in image.orientation or ()]
        scout = str(is_localizer(image))
        return image.modality, scout, str(image.rows), str(image.columns), *axes

    counts = Counter(kind(image) for image in slices)
    most = max(counts, key=lambda each: (counts[each], each))
    return tuple(image for image in slices if kind(image) == most)


def slice_normal(image: ImageSlice) -> np.ndarray:
    """Unit vector across the slice, (3,), LPS; row direction x column direction."""
    cosines = np.asarray(image.orientation, dtype=np.float64)
    normal = np.cross(cosines[:3], cosines[3:])
    return np.asarray(normal / max(float(np.linalg.norm(normal)), 1e-12))


def plane_angle_degrees(image: ImageSlice, plane: str) -> float:
    """Angle between the slice and the axial, coronal or sagittal plane, degrees, 0 to 90."""
    across = abs(float(slice_normal(image)[_NORMAL_AXIS[plane]]))
    return float(np.degrees(np.arccos(min(across, 1.0))))


def covered_mm(slices: tuple[ImageSlice, ...]) -> float:
    """From the edge of the first slice to that of the last, mm; slices are placed."""
    depths = _depths(slices)
    return float(depths.max() - depths.min()) + (slices[0].slice_thickness_mm or 0.0)


def slice_distance_mm(slices: tuple[ImageSlice, ...]) -> float:
    """Median distance of neighbouring distinct positions along the normal, mm; 0 if only one."""
    steps = np.diff(np.unique(np.round(_depths(slices), 3)))
    return float(np.median(steps)) if steps.size else 0.0


def _depths(slices: tuple[ImageSlice, ...]) -> np.ndarray:
    """Along the first one's normal, mm, (n,)."""
    positions = np.asarray([image.position for image in slices], dtype=np.float64)
    return np.asarray(positions @ slice_normal(slices[0]))
