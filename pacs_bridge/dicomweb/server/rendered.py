"""Frames as pictures (PS3.18 10.4.1.1.3): windowed, scaled, JPEG or PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
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
_FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG"}
_FUNCTIONS = ("linear", "linear-exact", "sigmoid")


class BadView(ValueError):
    """A rendering parameter can't be understood."""


@dataclass(frozen=True)
class View:
    """How a frame is to be shown."""

    window: tuple[float, float, str] | None = None
    """Centre, width and function in values after rescaling; None: the image's own."""
    size: tuple[int, int] | None = None
    """The picture fits into so many columns and rows; None: one for one."""
    quality: int = 90
    """Of a JPEG, 1 to 100."""


def view_of(parameters: Mapping[str, str]) -> View:
    """Take the query parameters apart (PS3.18 8.3.5).

    Raises:
        BadView: one of them is wrong, or asks for what is not done here.
    """
    window, size, quality = None, None, 90
    try:
        if given := parameters.get("window"):
            centre, width, *function = given.split(",")
            named = function[0].lower() if function else "linear"
            if named not in _FUNCTIONS or len(function) > 1 or float(width) <= 0:
                raise ValueError
            window = (float(centre), float(width), named)
        if given := parameters.get("viewport"):
            columns, rows, *region = given.split(",")
            if any(region):
                raise BadView("viewport: a region of the image can't be cut out here")
            size = (int(columns), int(rows))
            if not all(0 < side <= _LARGEST for side in size):
                raise BadView(f"viewport: sides of 1 to {_LARGEST} pixels")
        if given := parameters.get("quality"):
            quality = int(given)
            if not 1 <= quality <= 100:
                raise ValueError
    except BadView:
        raise
    except ValueError:
        raise BadView(
            "window=centre,width,linear|linear-exact|sigmoid; viewport=columns,rows; quality=1..100"
        ) from None
    return View(window, size, quality)


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
        size = view.size or image.size
        if size != image.size:
            scale = min(size[0] / image.width, size[1] / image.height)
            fitted = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            image = image.resize(fitted, Image.Resampling.BILINEAR)
        buffer = io.BytesIO()
        image.save(buffer, _FORMATS[media_type], quality=view.quality)
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
