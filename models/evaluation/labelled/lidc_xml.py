"""What LIDC-IDRI's readers drew, from the XML that lies beside each series.

One file a CT series: ``LidcReadMessage``, in it a ``readingSession`` for each of up to four
readers of the unblinded phase (Armato et al. 2011, Medical Physics 38:915-931). A nodule of 3 mm
and more is outlined slice by slice (``roi``; its ``edgeMap`` points are columns and rows of the
first pixels outside the nodule; ``inclusion`` FALSE cuts a hole) and rated; a smaller nodule, and
what is no nodule, is one point.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.errors import DatasetError

ROOT = "LidcReadMessage"
LEAST_POINTS = 3
"""An outline of fewer points encloses nothing: the reader marked a place."""


@dataclass(frozen=True, eq=False)
class Outline:
    """One drawn line: ``points`` [n, 2], column and row of pixels just outside the nodule.

    Attributes:
        image_uid: SOPInstanceUID of the image that it was drawn on.
        z_mm: that image's z as the XML gives it.
        inclusion: False: what it encloses is not nodule.
    """

    image_uid: str
    z_mm: float
    inclusion: bool
    points: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Drawn:
    """One reader's nodule of 3 mm and more; ``texture`` 1 ground glass to 5 solid, or None."""

    reader: int
    name: str
    outlines: tuple[Outline, ...]
    texture: float | None


@dataclass(frozen=True)
class Pointed:
    """A place that a reader only pointed at: a nodule below 3 mm, or something that is none."""

    image_uid: str
    z_mm: float
    column: float
    row: float
    nodule: bool


@dataclass(frozen=True, eq=False)
class Readings:
    """One series' readings, all readers together."""

    path: Path
    series_uid: str
    readers: int
    drawn: tuple[Drawn, ...]
    pointed: tuple[Pointed, ...]


def read_readings(path: Path) -> Readings | None:
    """One XML file; None where it is something else than the readings of a CT.

    Raises:
        DatasetError: it is damaged; the message names the file, and the line or the element.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError) as error:
        raise DatasetError(f"{path}: cannot be read as XML ({error}); download it again") from error
    if _tag(root) != ROOT:
        return None  # of a chest X-ray, or no LIDC file
    uid = next((_text(e) for e in root.iter() if _tag(e).lower() == "seriesinstanceuid"), "")
    if not uid:
        raise DatasetError(f"{path}: has no SeriesInstanceUid; whose readings they are is unknown")
    drawn: list[Drawn] = []
    pointed: list[Pointed] = []
    sessions = [e for e in root if _tag(e) == "readingSession"]
    for reader, session in enumerate(sessions):
        for mark in session:
            if _tag(mark) == "unblindedReadNodule":
                outlines = tuple(_outlines(mark, path))
                if any(len(o.points) >= LEAST_POINTS for o in outlines):
                    name = _child(mark, "noduleID")
                    drawn.append(Drawn(reader, name, outlines, _texture(mark, path)))
                elif outlines:
                    o = outlines[0]
                    column, row = (float(v) for v in o.points.mean(0))
                    pointed.append(Pointed(o.image_uid, o.z_mm, column, row, nodule=True))
            elif _tag(mark) == "nonNodule":
                pointed.append(_non_nodule(mark, path))
    return Readings(path, uid, len(sessions), tuple(drawn), tuple(pointed))


def _outlines(mark: ElementTree.Element, path: Path) -> Iterator[Outline]:
    for roi in mark:
        if _tag(roi) != "roi":
            continue
        points = [
            (_number(_child(edge, "xCoord"), path, "xCoord"),
             _number(_child(edge, "yCoord"), path, "yCoord"))
            for edge in roi
            if _tag(edge) == "edgeMap"
        ]  # fmt: skip
        if points:
            yield Outline(
                image_uid=_child(roi, "imageSOP_UID"),
                z_mm=_number(_child(roi, "imageZposition"), path, "imageZposition"),
                inclusion=_child(roi, "inclusion").upper() != "FALSE",
                points=np.rint(np.array(points)).astype(np.int64),
            )


def _non_nodule(mark: ElementTree.Element, path: Path) -> Pointed:
    locus = next((e for e in mark if _tag(e) == "locus"), None)
    if locus is None:
        raise DatasetError(f"{path}: nonNodule {_child(mark, 'nonNoduleID')} has no locus")
    return Pointed(
        image_uid=_child(mark, "imageSOP_UID"),
        z_mm=_number(_child(mark, "imageZposition"), path, "imageZposition"),
        column=_number(_child(locus, "xCoord"), path, "xCoord"),
        row=_number(_child(locus, "yCoord"), path, "yCoord"),
        nodule=False,
    )


def _texture(mark: ElementTree.Element, path: Path) -> float | None:
    for part in mark:
        if _tag(part) == "characteristics":
            text = _child(part, "texture")
            value = _number(text, path, "texture") if text else 0.0
            return value if 1 <= value <= 5 else None  # 0 stands for not rated
    return None


def _tag(element: ElementTree.Element) -> str:
    """The name without its namespace."""
    return element.tag.rsplit("}", 1)[-1]


def _text(element: ElementTree.Element) -> str:
    return (element.text or "").strip()


def _child(element: ElementTree.Element, name: str) -> str:
    return next((_text(e) for e in element if _tag(e) == name), "")


def _number(text: str, path: Path, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise DatasetError(f"{path}: {name} is {text!r}, not a number") from None
