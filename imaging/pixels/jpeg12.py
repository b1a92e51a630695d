"""JPEG Extended with 12 bits (Process 4): GDCM reads it from a file, not from a lone frame."""

from __future__ import annotations

from pathlib import Path

import gdcm
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import JPEGExtended12Bit


def is_jpeg12(dataset: Dataset) -> bool:
    """Whether pydicom's plugins would refuse these pixels (their GDCM one, for its frame way)."""
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    return bool(syntax == JPEGExtended12Bit and dataset.get("BitsStored") != 8)


def read_jpeg12(path: Path, dataset: Dataset) -> NDArray[np.uint16] | NDArray[np.int16]:
    """Stored values of every frame, (frame, row, column).

    Raises:
        ValueError: GDCM can't read it, or it is not what its header says.
    """
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    if not reader.Read():
        raise ValueError("the JPEG stream is damaged")
    text = reader.GetImage().GetBuffer()
    # GDCM hands bytes over as text, one way of encoding undecodable ones.
    raw = text.encode("utf-8", "surrogateescape")
    signed = dataset.get("PixelRepresentation") == 1
    frames = int(dataset.get("NumberOfFrames") or 1)
    shape = (frames, int(dataset.Rows), int(dataset.Columns))
    if len(raw) != 2 * int(np.prod(shape)):
        raise ValueError(f"{len(raw)} bytes of pixels, {shape} of 16 bits were said")
    return np.frombuffer(raw, "<i2" if signed else "<u2").reshape(shape)
