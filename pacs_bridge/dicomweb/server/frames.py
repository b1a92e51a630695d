"""Single frames of a file: as they are stored, decoded to little-endian values, or compressed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.encoders.base import get_encoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
)

from pacs_bridge.dicomweb.server.reading import Unreadable, read, syntax_of

OCTETS = "application/octet-stream"
_MEDIA = {
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg",
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.92": "image/jpx",
    "1.2.840.10008.1.2.4.93": "image/jpx",
    "1.2.840.10008.1.2.4.201": "image/jphc",
    "1.2.840.10008.1.2.4.202": "image/jphc",
    "1.2.840.10008.1.2.4.203": "image/jphc",
    "1.2.840.10008.1.2.5": "image/dicom-rle",
}
"""Media type of a compressed frame (PS3.18 table 8.7.3-5)."""
LOSSLESS = {str(syntax): _MEDIA[syntax] for syntax in (JPEGLSLossless, JPEG2000Lossless)}
"""Transfer syntaxes that frames are compressed into on demand, and the media type of each."""
_TAGS = ("NumberOfFrames", "Rows", "Columns", "BitsAllocated", "SamplesPerPixel", "BitsStored",
         "PixelRepresentation", "PhotometricInterpretation", "ExtendedOffsetTable",
         "ExtendedOffsetTableLengths")  # fmt: skip


class NoFrame(LookupError):
    """There is no such frame; the message says what there is."""


class Undecodable(Exception):
    """A frame can't be decoded here."""


class Unencodable(Exception):
    """A frame can't be compressed here without loss."""


@dataclass(frozen=True)
class Frames:
    """The frames of one file.

    Args:
        path: the file.
        syntax: its transfer syntax.
        offset: where the value of Pixel Data begins; -1 in a deflated file.
        count: how many there are.
        bits: of one frame, not compressed.
        table: Extended Offset Table and its lengths, where the file has them.
        grey: what an encoder has to know of grey values of 8 or 16 bits; None: of others.
    """

    path: Path
    syntax: UID
    offset: int
    count: int
    bits: int
    table: tuple[bytes, bytes] | None = None
    grey: Mapping[str, Any] | None = None

    @property
    def compressed(self) -> bool:
        """Whether each frame is a stream of its own."""
        return self.syntax.is_encapsulated

    @property
    def media_type(self) -> str:
        """Of a frame as it is stored."""
        return _MEDIA.get(str(self.syntax), OCTETS)

    @property
    def plain(self) -> bool:
        """Whether a stored frame is the same as a decoded one."""
        return self.syntax in (
            ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian
        )  # fmt: skip

    def stored(self, index: int) -> bytes:
        """A frame as the file has it.

        Args:
            index: from 0.

        Raises:
            NoFrame: there are fewer.
            Unreadable: the file is damaged.
        """
        self._check(index)
        try:
            return self._stored(index)
        except Exception as error:
            # Nothing narrower: over damaged fragments pydicom raises anything.
            raise Unreadable(f"frame {index + 1}: {error}") from error

    def decoded(self, index: int) -> bytes:
        """A frame's values, little endian, as BitsAllocated says.

        Raises:
            NoFrame: there are fewer.
            Unreadable: the file is damaged.
            Undecodable: no decoder here knows it, or it is damaged.
        """
        self._check(index)
        if self.plain:
            return self.stored(index)
        values = frame_values(self.path, index if self.count > 1 else 0, raw=True)
        return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()

    def encoded(self, index: int, syntax: str) -> bytes:
        """A frame compressed without loss.

        Args:
            index: from 0.
            syntax: of :data:`LOSSLESS`.

        Raises:
            NoFrame, Unreadable, Undecodable: as :meth:`decoded`.
            Unencodable: it is in colour or of single bits, or uses bits that it says it doesn't.
        """
        if self.grey is None:
            raise Unencodable("only grey values of 8 or 16 bits are compressed here")
        kind = "i" if self.grey["pixel_representation"] else "u"
        values = np.frombuffer(self.decoded(index), f"<{kind}{self.grey['bits_allocated'] // 8}")
        values = values.reshape(self.grey["rows"], self.grey["columns"])
        try:
            encoder = get_encoder(UID(syntax))
            made = encoder.encode(values, number_of_frames=1, samples_per_pixel=1, **self.grey)
            return bytes(made)
        except Exception as error:
            # Nothing narrower: the libraries behind pydicom's encoders share no base.
            raise Unencodable(f"frame {index + 1}: {error}") from error

    # inside ------------------------------------------------------------------------------

    def _check(self, index: int) -> None:
        if not 0 <= index < self.count:
            raise NoFrame(f"frame {index + 1}: there are {self.count}")

    def _stored(self, index: int) -> bytes:
        first, last = self.bits * index // 8, -(-self.bits * (index + 1) // 8)
        if self.offset < 0:
            pixels = bytes(read(self.path, pixels=True).PixelData)
            return self._cut(pixels[first:last], index)
        with self.path.open("rb") as file:
            if self.compressed:
                file.seek(self.offset)
                return get_frame(
                    file, index, extended_offsets=self.table, number_of_frames=self.count
                )
            file.seek(self.offset + first)
            content = file.read(last - first)
        if len(content) < last - first:
            raise EOFError("the pixels are cut off")
        return self._cut(content, index)

    def _cut(self, content: bytes, index: int) -> bytes:
        """Frames of single bits need not begin with a byte (PS3.5 8.1.1)."""
        shift = self.bits * index % 8
        if not shift and not self.bits % 8:
            return content
        bits = np.unpackbits(np.frombuffer(content, np.uint8), bitorder="little")
        return np.packbits(bits[shift : shift + self.bits], bitorder="little").tobytes()


def frames_of(path: Path) -> Frames:
    """The frames of a file.

    Raises:
        NoFrame: it has no pixels.
        OSError, Unreadable: it can't be read.
    """
    syntax = syntax_of(path)
    with path.open("rb") as file:
        header = read(file, tags=_TAGS)
        if "Rows" not in header or "BitsAllocated" not in header:
            raise NoFrame("the object has no frames")
        if syntax == DeflatedExplicitVRLittleEndian:
            offset = -1
        elif len(file.read(8)) < 8:
            raise NoFrame("the object has no pixels")
        else:
            offset = file.tell() + (0 if syntax.is_implicit_VR else 4)
    try:
        samples = int(header.get("SamplesPerPixel") or 1)
        bits = int(header.Rows) * int(header.Columns) * int(header.BitsAllocated) * samples
        count = max(1, int(header.get("NumberOfFrames") or 1))
        table = None
        if "ExtendedOffsetTable" in header:
            table = (header.ExtendedOffsetTable, header.ExtendedOffsetTableLengths)
        grey = _grey(header) if samples == 1 else None
    except Exception as error:
        # Nothing narrower: over a damaged value pydicom raises anything.
        raise Unreadable(f"its pixels are not described: {error}") from error
    return Frames(path, syntax, offset, count, bits, table, grey)


def _grey(header: Dataset) -> dict[str, Any] | None:
    allocated = int(header.BitsAllocated)
    if allocated not in (8, 16):
        return None
    return {
        "rows": int(header.Rows),
        "columns": int(header.Columns),
        "bits_allocated": allocated,
        "bits_stored": int(header.get("BitsStored") or allocated),
        "pixel_representation": int(header.get("PixelRepresentation") or 0),
        "photometric_interpretation": str(header.get("PhotometricInterpretation", "")),
    }


def frame_values(path: Path, index: int, *, raw: bool) -> np.ndarray[Any, Any]:
    """A frame's stored values, (row, column) or (row, column, sample).

    Args:
        path: the file.
        index: from 0.
        raw: False turns colours into RGB.

    Raises:
        Undecodable: no decoder here knows it, or it is damaged.
    """
    try:
        return pixel_array(path, index=index, raw=raw)
    except Exception as error:
        # Nothing narrower: pydicom's decoders and the libraries behind them share no base. It
        # becomes a named error, which the caller is told.
        raise Undecodable(f"frame {index + 1} can't be decoded: {error}") from error
