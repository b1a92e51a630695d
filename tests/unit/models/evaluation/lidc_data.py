"""LIDC-IDRI and LUNA16 as they are published, made on the spot from masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<LidcReadMessage uid="1.2.3" '
    'xmlns="http://www.nih.gov" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n'
)


@dataclass(frozen=True)
class Mark:
    """One reader's nodule: for each image's UID and z the lines drawn on it."""

    rois: Sequence[tuple[str, float, bool, Sequence[tuple[int, int]]]]
    texture: int = 5
    rated: bool = True


@dataclass(frozen=True)
class Session:
    nodules: Sequence[Mark] = ()
    others: Sequence[tuple[str, float, int, int]] = field(default=())


def write_readings(path: Path, series_uid: str, sessions: Sequence[Session]) -> Path:
    """The XML of one series."""
    text = HEAD + f"<ResponseHeader><SeriesInstanceUid>{series_uid}</SeriesInstanceUid>"
    text += "<TaskDescription>Second unblinded read</TaskDescription></ResponseHeader>\n"
    for session in sessions:
        text += "<readingSession><annotationVersion>3.12</annotationVersion>"
        text += "<servicingRadiologistID>anonymous</servicingRadiologistID>\n"
        text += "".join(_nodule(n, mark) for n, mark in enumerate(session.nodules))
        for n, (uid, z, column, row) in enumerate(session.others):
            text += (
                f"<nonNodule><nonNoduleID>{n}</nonNoduleID><imageZposition>{z}</imageZposition>"
                f"<imageSOP_UID>{uid}</imageSOP_UID><locus><xCoord>{column}</xCoord>"
                f"<yCoord>{row}</yCoord></locus></nonNodule>\n"
            )
        text += "</readingSession>\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "</LidcReadMessage>\n", encoding="utf-8")
    return path


def _nodule(number: int, mark: Mark) -> str:
    text = f"<unblindedReadNodule><noduleID>{number}</noduleID>"
    if mark.rated:
        text += "<characteristics><subtlety>5</subtlety><calcification>6</calcification>"
        text += f"<texture>{mark.texture}</texture><malignancy>3</malignancy></characteristics>"
    for uid, z, inclusion, points in mark.rois:
        text += f"<roi><imageZposition>{z}</imageZposition><imageSOP_UID>{uid}</imageSOP_UID>"
        text += f"<inclusion>{str(inclusion).upper()}</inclusion>"
        for column, row in points:
            text += f"<edgeMap><xCoord>{column}</xCoord><yCoord>{row}</yCoord></edgeMap>"
        text += "</roi>"
    return text + "</unblindedReadNodule>\n"


def line_around(mask: np.ndarray) -> list[tuple[int, int]]:
    """The first pixels outside a blob (row, column), walked round it, as LIDC's readers drew.

    Columns and rows. Moore's neighbour tracing of the mask grown by one pixel.
    """
    grown = np.pad(mask, 2)
    grown = sum(
        (np.roll(grown, (a, b), (0, 1)) for a, b in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))),
        np.zeros(grown.shape, int),
    ).astype(bool)
    around = [(0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1)]
    first = tuple(int(v) for v in np.argwhere(grown)[0])
    at, back = first, 0
    line = [first]
    while True:
        for turn in range(1, 9):
            way = (back + turn) % 8
            step = (at[0] + around[way][0], at[1] + around[way][1])
            if grown[step]:
                break
        if step == first and len(line) > 2:
            break
        # seen from the new pixel, the last free neighbour
        free = around[(way - 1) % 8]
        back = around.index((at[0] + free[0] - step[0], at[1] + free[1] - step[1]))
        at = step
        line.append(at)
    return [(column - 2, row - 2) for row, column in line]


def rois_of(
    mask: np.ndarray, uids: Mapping[int, str], z: Mapping[int, float]
) -> list[tuple[str, float, bool, list[tuple[int, int]]]]:
    """One line for each slice of a mask (k, row, column)."""
    return [
        (uids[int(k)], z[int(k)], True, line_around(mask[k]))
        for k in np.flatnonzero(mask.any(axis=(1, 2)))
    ]


def write_table(path: Path, rows: Sequence[tuple[str, float, float, float, float]]) -> Path:
    """A table of LUNA16."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["seriesuid,coordX,coordY,coordZ,diameter_mm"]
    lines += [",".join(str(value) for value in row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
