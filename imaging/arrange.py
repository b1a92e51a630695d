"""The order of a series: which images make the stack, where the gaps are, what to leave out.

Pure geometry on headers; no pixels are read here. Source: PS3.3 C.7.6.2 (Image Plane).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.errors import InconsistentSeries, IrregularGeometry, NoImages
from imaging.geometry import Grid
from imaging.headers import ImageSlice
from imaging.notices import Notice, notice
from imaging.planes import slice_normal
from imaging.spacing import ROUNDING_MM, Layers, even_layers, uneven_layers
from imaging.stacks import by_position, one_stack

MOST_STRAY = 0.2
"""How far an image may lie sideways of a straight stack, as a part of the slice distance ..."""
LEAST_STRAY_MM = 0.5
"""... but so much is always allowed, mm."""
SAME_COSINE = 0.002
SAME_SPACING_MM = 0.0002
"""Headers are rounded: orientations and pixel spacings nearer than this are the same."""
LEAST_SHEAR = 0.0005
"""A slope below this (0.03 degrees) leaves a grid as good as orthogonal; above, the slices are
moved back, where they moved by more than positions are rounded."""
MOST_WIDENED = 8
"""Times the size of the images, to which a tilt may widen the grid: 2 m at 35 degrees stay below.
More is a PixelSpacing that is wrong, and no memory would hold it."""
MOST_TILT_DEGREES = 35.0
"""Gantries tilt by 30 degrees at most; beyond this the positions are wrong."""


@dataclass(frozen=True)
class Place:
    """Where the image of a slice lies against the slice, which a tilt or a new spacing moves.

    Attributes:
        row, column: which (fractional) pixel of the image lies at pixel (0, 0) of the slice.
        above_mm: how far the image's plane lies from the slice's, along the normal.
    """

    row: float = 0.0
    column: float = 0.0
    above_mm: float = 0.0


@dataclass(frozen=True)
class Stack:
    """A regular stack of images, and how to make it of them.

    Attributes:
        grid: where the voxels will be, LPS mm; index k grows along the slices' normal.
        images: those that are used, by their depth along the normal.
        places: of each image.
        layers: which images make slice k, and in which parts.
        notices: what had to be left out, moved or will be interpolated.
    """

    grid: Grid
    images: tuple[ImageSlice, ...]
    places: tuple[Place, ...]
    layers: Layers
    notices: tuple[Notice, ...]

    @property
    def slices(self) -> tuple[ImageSlice | None, ...]:
        """For each k the image that lies there, or None where one is interpolated."""
        return tuple(None if n is None else self.images[n] for n in self.layers.sources)


def arrange(slices: tuple[ImageSlice, ...]) -> Stack:
    """Order the images of one series into a regular stack, whatever order they came in.

    A gantry tilt is taken out: every slice is to be moved within its own plane until the stack
    is straight. Slice distances that are uneven within a bound are brought to the smallest.

    Args:
        slices: images with position, orientation and pixel spacing.

    Raises:
        NoImages: fewer than two images.
        InconsistentSeries: sizes or orientations are mixed and no group prevails, or several
            images share a position and nothing tells which to use.
        IrregularGeometry: steps that are too uneven, long gaps, or a stack that jumps sideways.
    """
    if len(slices) < 2:
        raise NoImages(f"{len(slices)} image(s) make no volume; at least 2 are needed")
    slices, notices = one_shape(slices)
    slices, more = _one_per_position(slices)
    notices += more
    normal = slice_normal(slices[0])
    images = tuple(sorted(slices, key=lambda s: float(normal @ np.asarray(s.position))))
    positions = np.array([image.position for image in images], dtype=np.float64)
    depths = positions @ normal
    layers = even_layers(depths, images)
    if layers is None:
        layers, told = uneven_layers(depths, images)
        notices.append(told)
    sideways = _sideways(positions, depths, normal, images, layers.step_mm)
    straight = _straight(images[0], sideways, layers)
    if straight.notice is not None:
        notices.append(straight.notice)
    places = tuple(
        Place(*straight.shift[n], round(above, 6)) for n, above in enumerate(layers.above_mm)
    )
    if layers.missing:
        z = [round(float(straight.grid.to_lps((k, 0, 0))[2]), 1) for k in layers.missing]
        where = f"{min(z):g} .. {max(z):g} (z)" if len(z) > 1 else f"z = {z[0]:g}"
        notices.append(notice("missing-slices", count=len(layers.missing), where=where))
    return Stack(straight.grid, images, places, layers, tuple(notices))


def foreseen(slices: tuple[ImageSlice, ...]) -> Stack:
    """The stack that :func:`arrange` will make once the pixels are known, as far as headers tell.

    Images of one position that no header tells apart count as one: copies, which pixels show.

    Raises:
        SeriesError: as :func:`arrange` does.
    """
    kept, _ = one_shape(slices)
    if any(image.position is None or image.orientation is None for image in kept):
        raise NoImages("images without position; send the original images")
    chosen, _ = one_stack(kept)
    return arrange(tuple(images[0] for images in by_position(chosen).values()))


def one_shape(slices: tuple[ImageSlice, ...]) -> tuple[tuple[ImageSlice, ...], list[Notice]]:
    """Images that share size, pixel spacing and orientation; a small minority is left out.

    Raises:
        InconsistentSeries: no kind prevails.
    """
    kinds: list[list[ImageSlice]] = []
    for image in slices:
        for kind in kinds:
            if _same_shape(image, kind[0]):
                kind.append(image)
                break
        else:
            kinds.append([image])
    if len(kinds) == 1:
        return slices, []
    kinds.sort(key=len, reverse=True)
    kept = tuple(kinds[0])
    if len(kept) < 0.7 * len(slices):
        found = "; ".join(
            f"{len(kind)} of {kind[0].rows}x{kind[0].columns} pixels, spacing "
            f"{kind[0].pixel_spacing}, orientation {kind[0].orientation}"
            for kind in kinds[:4]
        )
        raise InconsistentSeries(
            f"one SeriesInstanceUID holds images of different kinds: {found}. "
            "Send each kind as a series of its own"
        )
    how = "the prevailing size and orientation"
    dropped = len(slices) - len(kept)
    told = notice("inconsistent-images", count=dropped, kept=len(kept), of=len(slices), how=how)
    return kept, [told]


def _same_shape(a: ImageSlice, b: ImageSlice) -> bool:
    def near(x: tuple[float, ...] | None, y: tuple[float, ...] | None, tolerance: float) -> bool:
        if x is None or y is None:
            return x is y
        return max(abs(p - q) for p, q in zip(x, y, strict=True)) <= tolerance

    return (
        (a.rows, a.columns, a.position is None) == (b.rows, b.columns, b.position is None)
        and near(a.pixel_spacing, b.pixel_spacing, SAME_SPACING_MM)
        and near(a.orientation, b.orientation, SAME_COSINE)
    )


def _one_per_position(
    slices: tuple[ImageSlice, ...],
) -> tuple[tuple[ImageSlice, ...], list[Notice]]:
    """One image a position, by what the headers tell apart."""
    if len(by_position(slices)) < 2:
        raise NoImages(
            f"all {len(slices)} images lie at one position, {slices[0].position}, e.g. "
            f"{slices[0].path.name}; a volume needs at least 2 positions"
        )
    kept, notices = one_stack(slices)
    positions = by_position(kept)
    doubled = len(kept) - len(positions)
    if not doubled:
        return kept, notices
    example = next(images for images in positions.values() if len(images) > 1)
    raise InconsistentSeries(
        f"{doubled} image(s) lie at the position of another, e.g. {example[0].path.name} and "
        f"{example[1].path.name} at {example[0].position}, and no attribute tells them apart. "
        "Remove the copies, or send each acquisition as a series of its own"
    )


def _sideways(
    positions: NDArray[np.float64],
    depths: NDArray[np.float64],
    normal: NDArray[np.float64],
    images: tuple[ImageSlice, ...],
    step_mm: float,
) -> NDArray[np.float64]:
    """How far the stack moves within the slices' plane for each mm along the normal, (3,).

    A table that moved, or two scans that were joined, jump instead: no one slope says it.
    """
    depth = depths - depths[0]
    moved = positions - positions[0] - np.outer(depth, normal)
    slope = np.asarray(moved[-1] / depth[-1])
    stray = np.linalg.norm(moved - np.outer(depth, slope), axis=1)
    if stray.max() > max(LEAST_STRAY_MM, MOST_STRAY * step_mm):
        worst = int(stray.argmax())
        raise IrregularGeometry(
            f"slice positions are uneven: up to {stray.max():.1f} mm off a straight stack with a "
            f"slice distance of {step_mm:.2f} mm, e.g. {images[worst].path.name} at "
            f"{images[worst].position}. Reconstruct with one slice distance and table position"
        )
    return slope


@dataclass(frozen=True)
class _Straight:
    grid: Grid
    shift: list[tuple[float, float]]
    notice: Notice | None


def _straight(image: ImageSlice, slope: NDArray[np.float64], layers: Layers) -> _Straight:
    """The orthogonal grid of the stack, and the (row, column) of each image at its origin.

    Args:
        image: the lowest.
        slope: movement within the plane for each mm along the normal, LPS.
        layers: depths of the images and distance of the slices.
    """
    along_row, along_column = _cosines(image)
    normal = np.cross(along_row, along_column)
    row_mm, column_mm = image.pixel_spacing or (0.0, 0.0)
    steep = float(np.linalg.norm(slope))
    sheared = steep > LEAST_SHEAR and steep * layers.depths[-1] > ROUNDING_MM
    angle = float(np.degrees(np.arctan(steep)))
    if angle > MOST_TILT_DEGREES:
        raise IrregularGeometry(
            f"the slices are shifted against one another by {angle:.1f} degrees, more than a "
            f"gantry can tilt ({MOST_TILT_DEGREES:g}). Check ImagePositionPatient and "
            "ImageOrientationPatient, or send a reconstruction without tilt"
        )
    step = layers.step_mm * (normal if steep > LEAST_SHEAR else normal + slope)
    shape, first = (image.rows, image.columns), np.asarray(image.position, dtype=np.float64)
    shift = [(0.0, 0.0)] * len(layers.depths)
    told = None
    if sheared:
        # Where each image's first pixel lies, in pixels from that of the lowest.
        depths = np.asarray(layers.depths)
        rows = depths * float(slope @ along_column) / row_mm
        columns = depths * float(slope @ along_row) / column_mm
        low = np.floor([np.min(rows) + 1e-6, np.min(columns) + 1e-6])
        high = np.ceil([np.max(rows) - 1e-6, np.max(columns) - 1e-6])
        shape = (shape[0] + int(high[0] - low[0]), shape[1] + int(high[1] - low[1]))
        if shape[0] > MOST_WIDENED * image.rows or shape[1] > MOST_WIDENED * image.columns:
            raise IrregularGeometry(
                f"a tilt of {angle:.1f} degrees would widen the slices to {shape[0]} rows and "
                f"{shape[1]} columns, e.g. {image.path.name}, whose PixelSpacing is "
                f"{image.pixel_spacing} mm. Check PixelSpacing and ImagePositionPatient"
            )
        first = first + along_column * row_mm * low[0] + along_row * column_mm * low[1]
        shift = [
            (_whole(low[0] - r), _whole(low[1] - c)) for r, c in zip(rows, columns, strict=True)
        ]
        told = notice("gantry-tilt", angle=angle, moved=steep * layers.depths[-1])
    grid = Grid.from_dicom(
        (len(layers.sources), *shape), first, [*along_row, *along_column], (row_mm, column_mm), step
    )
    return _Straight(grid, shift, told)


def _whole(pixels: float) -> float:
    """A shift in pixels; a thousandth of one is rounding and not worth interpolating for."""
    nearest = float(np.rint(pixels))
    return nearest if abs(pixels - nearest) < 1e-3 else float(pixels)


def _cosines(image: ImageSlice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """ImageOrientationPatient's two directions; made perpendicular where rounding left them not."""
    along_row, along_column = np.reshape(np.asarray(image.orientation, dtype=np.float64), (2, 3))
    lengths = np.linalg.norm(along_row), np.linalg.norm(along_column)
    off = max(abs(float(along_row @ along_column)), *(abs(float(n) - 1) for n in lengths))
    if off < LEAST_SHEAR:
        return along_row, along_column
    along_row = along_row / lengths[0]
    along_column = along_column - (along_column @ along_row) * along_row
    return along_row, np.asarray(along_column / np.linalg.norm(along_column))
