"""Pictures of findings, PNG: the key slice with the lesion marked, and any slice on its own.

Display follows radiological convention whatever way the scanner stored the slice: axial with
the patient's right on the left and the front on top; coronal right on the left and head on
top; sagittal front on the left and head on top. Pixels become square, and everything drawn
(outline, axes, scale bar, letters) is drawn after enlarging, so that it stays crisp.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from imaging.finding import Finding, Outline
from imaging.geometry import Grid, Point
from imaging.volume import Volume

WINDOW = (-600.0, 1500.0)
"""Lung window: centre and width, HU (PS3.3 C.11.2.1.2)."""

_LETTERS = (("R", "L"), ("A", "P"), ("F", "H"))
_OUTLINE = (255, 196, 61)
_AXIS = (105, 210, 231)
_ORGAN = (110, 205, 130)
_TEXT = (225, 232, 236)
_SMOOTH = 2
"""Lines are drawn on a canvas this many times larger and reduced, which smooths them."""


@dataclass(frozen=True)
class Circle:
    """A place to look at, that is no finding."""

    centre_lps_mm: Point
    radius_mm: float


@dataclass(frozen=True)
class _View:
    """One slice's place on a square-pixel canvas.

    ``affine`` (2 x 3) maps SCOORD (column, row) to canvas pixels (x, y); ``px_per_mm`` is the
    canvas's scale; ``right`` and ``down`` are the canvas axes' unit vectors in LPS.
    """

    affine: NDArray[np.float64]
    size: tuple[int, int]
    px_per_mm: float
    right: NDArray[np.float64]
    down: NDArray[np.float64]

    def place(self, columns_rows: NDArray[np.float64]) -> list[tuple[float, float]]:
        xy = columns_rows @ self.affine[:, :2].T + self.affine[:, 2]
        return [(float(x), float(y)) for x, y in xy]


def render_key_image(
    volume: Volume,
    finding: Finding,
    *,
    window: tuple[float, float] = WINDOW,
    side_mm: float | None = None,
    draw_outline: bool = True,
    height_px: int = 640,
) -> bytes:
    """The key slice twice, side by side: whole with the place marked, and enlarged.

    Args:
        volume: the analysed volume; HU or signal.
        finding: its ``key_slice``, outlines and axes are drawn.
        window: centre and width in the volume's unit.
        side_mm: side of the enlarged square, mm; by default two and a half times the long
            axis, at least 40 mm.
        draw_outline: False leaves the enlarged image without outline and axes.
        height_px: height of the picture.

    Returns:
        PNG bytes.
    """
    k = finding.key_slice
    grid = volume.grid
    side = side_mm or max(40.0, 2.5 * finding.long_axis_mm)
    centre = _to_image(grid, np.asarray(finding.long_axis_lps_mm).mean(axis=0, keepdims=True))[0]
    whole = _whole_view(grid, height_px)
    close = _close_view(grid, centre, side, height_px)

    left = _canvas(volume, k, whole, window)
    marks = _Pen(left)
    x, y = whole.place(centre[None])[0]
    half = side / 2 * whole.px_per_mm
    marks.square(x, y, half)
    for outline in finding.key_outlines if draw_outline else ():
        marks.outline(whole.place(_on_slice(outline, volume, k)), width=1.4)
    marks.letters(whole)
    marks.label(_slice_label(volume, k))
    left = marks.done()

    right = _canvas(volume, k, close, window)
    marks = _Pen(right)
    if draw_outline:
        for outline in finding.key_outlines:
            marks.outline(close.place(_on_slice(outline, volume, k)), width=2.2)
        for ends in (finding.long_axis_lps_mm, finding.short_axis_lps_mm):
            marks.line(close.place(_to_image(grid, np.asarray(ends))))
        marks.label(f"{finding.long_axis_mm:.1f} x {finding.short_axis_mm:.1f} mm")
    marks.scale_bar(close)
    right = marks.done()

    gap = 6
    page = Image.new("RGB", (left.width + gap + right.width, height_px), (0, 0, 0))
    page.paste(left, (0, 0))
    page.paste(right, (left.width + gap, 0))
    return _png(page)


def render_slice(
    volume: Volume,
    k: int,
    outlines: Sequence[Outline] = (),
    *,
    organs: Sequence[Outline] = (),
    circles: Sequence[Circle] = (),
    window: tuple[float, float] = WINDOW,
    height_px: int = 768,
    annotate: bool = True,
) -> bytes:
    """One whole slice.

    Args:
        volume: HU or signal.
        k: slice index.
        outlines: drawn where they belong to this slice's image; with a computed volume (no
            sources) all of them.
        organs: outlines of structures, drawn alike in another colour.
        circles: places to look at, drawn dashed and without colour where the slice meets them.
        window: centre and width.
        height_px: height of the picture; the width follows from the slice.
        annotate: letters, scale bar and slice label.

    Returns:
        PNG bytes.

    Raises:
        IndexError: the volume has no slice ``k``.
    """
    if not 0 <= k < volume.grid.shape[0]:
        raise IndexError(f"slice {k} of {volume.grid.shape[0]}")
    view = _whole_view(volume.grid, height_px)
    pen = _Pen(_canvas(volume, k, view, window))
    for drawn, colour in ((organs, _ORGAN), (outlines, _OUTLINE)):
        for outline in drawn:
            if _lies_on(outline, volume, k):
                pen.outline(view.place(_on_slice(outline, volume, k)), width=1.6, colour=colour)
    for circle in circles:
        at = volume.grid.to_index(np.asarray(circle.centre_lps_mm))
        if abs(at[0] - k) * volume.grid.spacing_mm[0] <= circle.radius_mm:
            (middle,) = view.place(np.asarray([[at[2] + 0.5, at[1] + 0.5]]))
            pen.dashed(middle, circle.radius_mm * view.px_per_mm)
    if annotate:
        pen.letters(view)
        pen.scale_bar(view)
        pen.label(_slice_label(volume, k))
    return _png(pen.done())


def screen_orientation(grid: Grid) -> tuple[str, str]:
    """Which way the pictures' rows and columns run: Patient Orientation (PS3.3 C.7.6.1.1.1)."""
    mm = np.array([grid.spacing_mm[2], grid.spacing_mm[1]])
    axes = grid.affine[:3, [2, 1]] / mm
    right, down = (_letter(axes @ way) for way in _screen_axes(grid))
    return right, down


def _letter(way: NDArray[np.float64]) -> str:
    axis = int(np.argmax(np.abs(way)))
    return _LETTERS[axis][int(way[axis] > 0)]


def _lies_on(outline: Outline, volume: Volume, k: int) -> bool:
    if not volume.sources:
        return True
    source, image = volume.sources[k], outline.image
    return source is not None and (image.sop_instance_uid, image.frame_number) == (
        source.sop_instance_uid, source.frame_number,
    )  # fmt: skip


def _on_slice(outline: Outline, volume: Volume, k: int) -> NDArray[np.float64]:
    """The outline's points as (column, row) of the slice, against which a tilt moves its image."""
    points = np.asarray(outline.points, dtype=np.float64)
    return points - np.array(volume.image_offset(k)[::-1], dtype=np.float64)


def _to_image(grid: Grid, lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """LPS mm (n, 3) to SCOORD (column, row), (n, 2)."""
    return grid.to_index(lps_mm)[:, [2, 1]] + 0.5


def _screen_axes(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Index directions, as signed (column, row) unit vectors, that go right and down."""
    column = grid.affine[:3, 2] / np.linalg.norm(grid.affine[:3, 2])
    row = grid.affine[:3, 1] / np.linalg.norm(grid.affine[:3, 1])
    across = int(np.argmax(np.abs(np.cross(column, row))))
    wanted_right, wanted_down = {
        2: ((1, 0, 0), (0, 1, 0)),  # axial
        1: ((1, 0, 0), (0, 0, -1)),  # coronal
        0: ((0, 1, 0), (0, 0, -1)),  # sagittal
    }[across]
    along = np.array([column @ wanted_right, row @ wanted_right])
    if abs(along[0]) >= abs(along[1]):
        right = np.array([np.sign(along[0]), 0.0])
        down = np.array([0.0, np.sign(row @ wanted_down) or 1.0])
    else:
        right = np.array([0.0, np.sign(along[1])])
        down = np.array([np.sign(column @ wanted_down) or 1.0, 0.0])
    return right, down


def _view(
    grid: Grid, middle: NDArray[np.float64], width_mm: float, height_mm: float, height_px: int
) -> _View:
    """Canvas of the given size in mm around ``middle`` (SCOORD column, row)."""
    right, down = _screen_axes(grid)
    scale = height_px / height_mm
    mm = np.array([grid.spacing_mm[2], grid.spacing_mm[1]])
    linear = np.stack([right, down]) * mm * scale
    size = (max(1, round(width_mm * scale)), height_px)
    shift = np.array(size) / 2 - linear @ middle
    axes = grid.affine[:3, [2, 1]] / mm
    return _View(np.column_stack([linear, shift]), size, scale, axes @ right, axes @ down)


def _whole_view(grid: Grid, height_px: int) -> _View:
    _, rows, columns = grid.shape
    extent = np.array([columns * grid.spacing_mm[2], rows * grid.spacing_mm[1]])
    right, down = _screen_axes(grid)
    middle = np.array([columns / 2, rows / 2])
    width, height = float(abs(right) @ extent), float(abs(down) @ extent)
    return _view(grid, middle, width, height, height_px)


def _close_view(grid: Grid, centre: NDArray[np.float64], side_mm: float, side_px: int) -> _View:
    return _view(grid, centre, side_mm, side_mm, side_px)


def _canvas(volume: Volume, k: int, view: _View, window: tuple[float, float]) -> Image.Image:
    """The slice through the window, resampled (bicubic) onto the canvas; black outside."""
    centre, width = window
    low = centre - width / 2
    grey = np.clip((volume.voxels[k].astype(np.float32) - low) / width, 0, 1) * 255
    source = Image.fromarray(np.ascontiguousarray(grey.astype(np.uint8)))
    inverse = np.linalg.inv(np.vstack([view.affine, [0, 0, 1]]))[:2].ravel()
    canvas = source.transform(
        view.size,
        Image.Transform.AFFINE,
        tuple(float(v) for v in inverse),
        resample=Image.Resampling.BICUBIC,
    )
    return canvas.convert("RGB")


def _slice_label(volume: Volume, k: int) -> str:
    centre = volume.grid.to_lps((k, volume.grid.shape[1] / 2, volume.grid.shape[2] / 2))
    axis = int(np.argmax(np.abs(np.cross(volume.grid.affine[:3, 1], volume.grid.affine[:3, 2]))))
    return f"{k + 1}/{volume.grid.shape[0]}   {'xyz'[axis]} {centre[axis]:.1f} mm"


class _Pen:
    """Draws on an enlarged transparent layer and lays it over the picture."""

    def __init__(self, picture: Image.Image) -> None:
        self._picture = picture
        size = (picture.width * _SMOOTH, picture.height * _SMOOTH)
        self._layer = Image.new("RGBA", size, (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self._layer)
        self._unit = picture.height / 640 * _SMOOTH

    def _scaled(self, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(x * _SMOOTH, y * _SMOOTH) for x, y in points]

    def outline(
        self,
        points: Sequence[tuple[float, float]],
        width: float,
        colour: tuple[int, int, int] = _OUTLINE,
    ) -> None:
        closed = self._scaled([*points, points[0], points[1 % len(points)]])
        thick = max(1, round(width * self._unit))
        self._draw.line(closed, fill=(0, 0, 0, 150), width=thick + 2 * _SMOOTH, joint="curve")
        self._draw.line(closed, fill=(*colour, 255), width=thick, joint="curve")

    def dashed(self, middle: tuple[float, float], radius: float) -> None:
        """A circle in sixteen dashes."""
        radius = max(radius, 6.0)
        thick = max(1, round(1.4 * self._unit))
        for turn in np.linspace(0, 2 * np.pi, 16, endpoint=False):
            dash = np.linspace(turn, turn + np.pi / 14, 5)
            arc = [(middle[0] + radius * np.cos(a), middle[1] + radius * np.sin(a)) for a in dash]
            self._draw.line(self._scaled(arc), fill=(*_TEXT, 255), width=thick)

    def line(self, points: Sequence[tuple[float, float]]) -> None:
        ends = self._scaled(points)
        thick = max(1, round(1.6 * self._unit))
        self._draw.line(ends, fill=(0, 0, 0, 150), width=thick + _SMOOTH)
        self._draw.line(ends, fill=(*_AXIS, 255), width=thick)
        (x0, y0), (x1, y1) = ends
        length = max(float(np.hypot(x1 - x0, y1 - y0)), 1e-6)
        tick = 4.0 * self._unit / length
        for x, y in ends:
            across = ((y1 - y0) * tick, -(x1 - x0) * tick)
            self._draw.line(
                [(x - across[0], y - across[1]), (x + across[0], y + across[1])],
                fill=(*_AXIS, 255),
                width=thick,
            )

    def square(self, x: float, y: float, half: float) -> None:
        """Four corners, so that nothing inside is hidden."""
        arm = half * 0.4
        for sx in (-1, 1):
            for sy in (-1, 1):
                corner = (x + sx * half, y + sy * half)
                path = [
                    (corner[0] - sx * arm, corner[1]),
                    corner,
                    (corner[0], corner[1] - sy * arm),
                ]
                width = max(1, round(1.6 * self._unit))
                self._draw.line(self._scaled(path), fill=(*_OUTLINE, 255), width=width)

    def text(self, x: float, y: float, words: str, anchor: str, size: float = 17) -> None:
        """Words on a dark plate, so that they read on air and on bone."""
        font = ImageFont.load_default(size * self._unit)
        at = (x * _SMOOTH, y * _SMOOTH)
        left, top, right, bottom = self._draw.textbbox(at, words, font=font, anchor=anchor)
        edge = 5 * self._unit
        self._draw.rounded_rectangle(
            (left - edge, top - edge, right + edge, bottom + edge),
            radius=edge,
            fill=(0, 0, 0, 150),
        )
        self._draw.text(at, words, font=font, fill=(*_TEXT, 255), anchor=anchor)

    def label(self, words: str) -> None:
        margin = 10 * self._unit / _SMOOTH
        self.text(margin, self._picture.height - margin, words, "ls")

    def letters(self, view: _View) -> None:
        width, height = self._picture.size
        margin = 10 * self._unit / _SMOOTH
        for x, y, anchor, way in (
            (margin, height / 2, "lm", -view.right),
            (width - margin, height / 2, "rm", view.right),
            (width / 2, margin, "ma", -view.down),
            (width / 2, height - margin, "ms", view.down),
        ):
            self.text(x, y, _letter(way), anchor)

    def scale_bar(self, view: _View) -> None:
        width, height = self._picture.size
        room = width / view.px_per_mm * 0.3
        length = max((mm for mm in (1, 2, 5, 10, 20, 50, 100) if mm <= room), default=1)
        margin = 14 * self._unit / _SMOOTH
        right, bottom = width - margin, height - margin
        left = right - length * view.px_per_mm
        thick = max(1, round(3 * self._unit))
        bar = self._scaled([(left, bottom), (right, bottom)])
        self._draw.line(bar, fill=(0, 0, 0, 190), width=3 * thick)
        self._draw.line(bar, fill=(*_TEXT, 255), width=thick)
        words = f"{length / 10:g} cm" if length >= 10 else f"{length} mm"
        self.text(right - margin / 3, bottom - margin, words, "rs", size=15)

    def done(self) -> Image.Image:
        layer = self._layer.resize(self._picture.size, Image.Resampling.LANCZOS)
        return Image.alpha_composite(self._picture.convert("RGBA"), layer).convert("RGB")


def _png(picture: Image.Image) -> bytes:
    out = BytesIO()
    picture.save(out, "PNG", optimize=False, compress_level=6)
    return out.getvalue()
