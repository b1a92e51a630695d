"""What can go wrong between DICOM objects and values.

::

    ImagingError
    ├── FileError            one file can't be used (names the file, the tag, the value)
    │   ├── NotDicom
    │   ├── TruncatedFile
    │   ├── MissingTag
    │   └── PixelsUndecodable
    ├── SeriesError          the files are fine, the series makes no volume
    │   ├── NoImages
    │   ├── IrregularGeometry
    │   └── InconsistentSeries
    ├── NothingToEncode      an object was asked for that would be empty
    ├── NoLung               places in the lungs were asked for where there is no lung
    ├── NotCharacterised     a nodule can't be described; the finding itself stands
    └── NotMeasured          a pancreas or a lesion in it can't be measured by its mask

Every message says what was found, where, and what a person can do about it. ``retryable``
says whether the same call can succeed later with nothing changed here; for this package it
never can, because its input is files that lie still.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar


class ImagingError(Exception):
    """Root of this package's errors."""

    retryable: ClassVar[bool] = False


class FileError(ImagingError):
    """One DICOM file can't be used.

    Args:
        path: the file.
        problem: what is wrong, with tag and value where there is one.
        remedy: what a person can do.
    """

    def __init__(self, path: Path, problem: str, remedy: str) -> None:
        super().__init__(f"{path}: {problem}. {remedy}")
        self.path = path
        self.problem = problem
        self.remedy = remedy


class NotDicom(FileError):
    """The file is not a DICOM file (PS3.10), nor a bare data set that can be read as one."""


class TruncatedFile(FileError):
    """The file ends before its data does."""


class MissingTag(FileError):
    """A tag that the work needs is absent, empty or not of its value representation."""


class PixelsUndecodable(FileError):
    """The pixel data can't be decoded (transfer syntax, damaged stream, size mismatch)."""


class SeriesError(ImagingError):
    """The series as a whole can't be made into a volume."""


class NoImages(SeriesError):
    """No image at all was found where images were expected."""


class IrregularGeometry(SeriesError):
    """Positions or orientations of the slices make no regular grid."""


class InconsistentSeries(SeriesError):
    """Slices of one series disagree on something they must share (size, pixel spacing)."""


class NothingToEncode(ImagingError):
    """A DICOM object was asked for with no content to put into it."""


class NoLung(ImagingError):
    """Places in the lungs were asked for, and the image shows no lung."""


class NotCharacterised(ImagingError):
    """A nodule can't be described by its mask; the finding itself stands."""


class NotMeasured(ImagingError):
    """A pancreas, or a lesion in it, can't be measured by its mask; the mask itself stands."""
