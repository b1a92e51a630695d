"""Frames as pictures (PS3.18 10.4.1.1.3): windowed, cut out, scaled; JPEG, PNG or GIF."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi

from pacs_bridge.dicomweb.server.frames import Frames, NoFrame, Undecodable, frame_values, frames_of
from pacs_bridge.dicomweb.server.reading import Unreadable, read

_LARGEST = 4096
"""Pixels of a picture's side."""
THUMBNAIL = 200
FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF"}
"""Media types of pictures, the first where nothing is asked for (PS3.18 table 8.7.4-1)."""
_FUNCTIONS = ("linear", "linear-exact", "sigmoid")


_GRAMMAR = (
    "window=centre,width,linear|linear-exact|sigmoid; viewport=columns,rows,left,top,width,height; "
    "quality=1..100"
)
_IGNORED = ("annotation", "iccprofile")


class BadView(ValueError):
    """A rendering parameter can't be understood."""


@dataclass(frozen=True)
class Region:
    """Part of an image, in its pixels; a negative width or height mirrors it (8.3.5.1.3)."""

    left: float = 0.0
    top: float = 0.0
    width: float | None = None
    height: float | None = None
    """None: as far as the image goes."""

    def cut_from(self, image: Image.Image) -> Image.Image:
        """The part that lies in an image.

        Raises:
            BadView: none of it does.
        """
        width = image.width - self.left if self.width is None else self.width
        height = image.height - self.top if self.height is None else self.height
        box = (
            max(0, round(self.left)),
            max(0, round(self.top)),
            min(image.width, round(self.left + abs(width))),
            min(image.height, round(self.top + abs(height))),
        )
        if box[0] >= box[2] or box[1] >= box[3]:
            raise BadView(f"viewport: the image has {image.width} columns and {image.height} rows")
        cut = image.crop(box)
        if width < 0:
            cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if height < 0:
            cut = cut.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        return cut


@dataclass(frozen=True)
class View:
    """How a frame is to be shown."""

    window: tuple[float, float, str] | None = None
    """Centre, width and function in values after rescaling; None: the image's own."""
    size: tuple[int, int] | None = None
    """The picture fits into so many columns and rows; None: one for one."""
    quality: int = 90
    """Of a JPEG, 1 to 100."""
    region: Region | None = None
    """Shown instead of the whole image."""
    not_done: tuple[str, ...] = ()
    """What was asked for and is not done, for the Warning header."""


def view_of(parameters: Mapping[str, str]) -> View:
    """Take the query parameters apart (PS3.18 8.3.5).

    Raises:
        BadView: one of them is wrong, or asks for what is not done here.
    """
    size, region, quality = None, None, 90
    try:
        window = _window(parameters.get("window", ""))
        if given := parameters.get("viewport"):
            columns, rows, *place = given.split(",")
            size = (int(columns), int(rows))
            region = _region(place)
        if given := parameters.get("quality"):
            quality = int(given)
    except ValueError:
        raise BadView(_GRAMMAR) from None
    if not 1 <= quality <= 100:
        raise BadView(_GRAMMAR)
    if size is not None and not all(0 < side <= _LARGEST for side in size):
        raise BadView(f"viewport: sides of 1 to {_LARGEST} pixels")
    not_done = [
        f"The {name} parameter is not supported." for name in _IGNORED if name in parameters
    ]
    return View(window, size, quality, region, tuple(not_done))


def _window(given: str) -> tuple[float, float, str] | None:
    if not given:
        return None
    centre, width, *function = given.split(",")
    named = function[0].lower() if function else "linear"
    window = (float(centre), float(width), named)
    if named not in _FUNCTIONS or len(function) > 1 or not (isfinite(window[0]) and window[1] > 0):
        raise ValueError
    return window


def _region(given: list[str]) -> Region | None:
    """Of ``sx,sy,sw,sh``, each of which may be missing or empty."""
    if len(given) > 4:
        raise ValueError
    left, top, width, height = (float(each) if each else None for each in (given + [""] * 4)[:4])
    if any(each is not None and not isfinite(each) for each in (left, top, width, height)):
        raise ValueError
    if left is None and top is None and width is None and height is None:
        return None
    return Region(left or 0.0, top or 0.0, width, height)


@dataclass(frozen=True)
class Slide:
    """An image that can be shown; its header is read once, however many frames it has.

    Args:
        frames: its frames.
        header: all of it but the pixels.
    """

    frames: Frames
    header: Dataset

    def picture(self, index: int, view: View, media_type: str) -> bytes:
        """A frame as a picture.

        Args:
            index: frame, from 0.
            view: how.
            media_type: image/jpeg or image/png.

        Raises:
            NoFrame: there is no such frame.
            Undecodable: its pixels can't be decoded, or its header says nothing of use.
        """
        if not 0 <= index < self.frames.count:
            raise NoFrame(f"frame {index + 1}: there are {self.frames.count}")
        try:
            image = Image.fromarray(self._shown(index, view).astype(np.uint8))
        except (Undecodable, Unreadable):
            raise
        except Exception as error:
            # Nothing narrower: over damaged values of a header pydicom and NumPy raise anything.
            raise Undecodable(f"frame {index + 1} can't be shown: {error}") from error
        if view.region is not None:
            image = view.region.cut_from(image)
        size = view.size or image.size
        if size != image.size:
            scale = min(size[0] / image.width, size[1] / image.height)
            fitted = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            image = image.resize(fitted, Image.Resampling.BILINEAR)
        buffer = io.BytesIO()
        image.save(buffer, FORMATS[media_type], quality=view.quality)
        return buffer.getvalue()

    def _shown(self, index: int, view: View) -> NDArray[Any]:
        values = self._values(index)
        if values.ndim == 3:
            return values
        return _grey(values, _of_frame(self.header, index), view.window)

    def _values(self, index: int) -> NDArray[Any]:
        head = self.header
        bits = int(head.BitsAllocated)
        if not self.frames.plain or int(head.get("SamplesPerPixel") or 1) > 1 or bits % 8:
            return frame_values(self.frames.path, index, raw=False)
        kind = "i" if int(head.get("PixelRepresentation") or 0) else "u"
        stored = np.frombuffer(self.frames.stored(index), f"<{kind}{bits // 8}")
        return stored.reshape(int(head.Rows), int(head.Columns))


def slide_of(path: Path) -> Slide:
    """An image to show.

    Raises:
        NoFrame: it has no pixels.
        OSError, Unreadable: it can't be read.
    """
    return Slide(frames_of(path), read(path))


def _of_frame(header: Dataset, index: int) -> Dataset:
    """The header, with what the functional groups say of one frame (PS3.3 C.7.6.16)."""
    merged = Dataset()
    merged.update(header)
    shared = header.get("SharedFunctionalGroupsSequence") or []
    each = header.get("PerFrameFunctionalGroupsSequence") or []
    for group in (*shared[:1], *each[index : index + 1]):
        for name in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            for item in (group.get(name) or [])[:1]:
                merged.update(item)
    return merged


def _grey(
    stored: NDArray[Any], header: Dataset, window: tuple[float, float, str] | None
) -> NDArray[np.float64]:
    """0 black to 255 white."""
    values = apply_modality_lut(stored, header).astype(np.float64)
    shown: NDArray[np.float64]
    if window is None:
        window = _own_window(header)
    if window is None and header.get("VOILUTSequence"):
        shown = _stretched(apply_voi(values.astype(stored.dtype), header).astype(np.float64))
    elif window is None:
        shown = _stretched(values)
    else:
        shown = _windowed(values, *window)
    return 255 - shown if header.get("PhotometricInterpretation") == "MONOCHROME1" else shown


def _own_window(header: Dataset) -> tuple[float, float, str] | None:
    def first(keyword: str) -> Any:
        value = header.get(keyword)
        return value[0] if isinstance(value, list | tuple) or hasattr(value, "append") else value

    centre, width = first("WindowCenter"), first("WindowWidth")
    function = str(header.get("VOILUTFunction") or "linear").lower().replace("_", "-")
    if centre in (None, "") or width in (None, "") or float(width) <= 0:
        return None
    return float(centre), float(width), function if function in _FUNCTIONS else "linear"


def _windowed(
    values: NDArray[np.float64], centre: float, width: float, function: str
) -> NDArray[np.float64]:
    """PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    if function == "sigmoid":
        return 255 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
    if function == "linear-exact":
        return np.clip((values - centre) / width + 0.5, 0, 1) * 255
    return np.clip((values - (centre - 0.5)) / max(width - 1, 1e-6) + 0.5, 0, 1) * 255


def _stretched(values: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low or 1.0) * 255
