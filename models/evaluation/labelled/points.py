"""Lesions as a CSV of centres and diameters, in the layout of LUNA16's ``annotations.csv``.

Columns ``seriesuid,coordX,coordY,coordZ,diameter_mm``, LPS mm, one row a lesion. An image is a
DICOM series with that SeriesInstanceUID or a file of that name (``.mhd``, ``.nii.gz``, ...),
anywhere in the CSV's folder. An image without a row has no lesion: its findings are false.
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from imaging.geometry import Grid, Point, Shape3
from imaging.headers import scan_files
from imaging.load import load_series
from imaging.series import Series, group_series
from imaging.volume import Region, Volume
from models.errors import DatasetError
from models.evaluation.labelled.case import Case, Labelled, LabelledSet, LeftOut, Lesion
from models.evaluation.labelled.files import files_under, read_volume, stem
from models.spec import ModelSpec

LAYOUT = "centres and diameters in a CSV"
COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm")

Mark = tuple[Point, float]
"""Centre, LPS mm, and diameter, mm."""


def open_cases(path: Path, spec: ModelSpec) -> LabelledSet | None:
    """The images beside an annotations CSV; None where there is no such CSV.

    Raises:
        DatasetError: the CSV can't be used, or the model has several kinds of lesion.
    """
    table = _table(path)
    if table is None:
        return None
    lesions = [label.index for label in spec.labels if label.kind == "lesion"]
    if len(lesions) != 1:
        raise DatasetError(
            f"{table}: its rows are lesions of one kind, {spec.name} has {len(lesions)} lesion "
            "labels; give masks instead (NIfTI or DICOM SEG)"
        )
    marks = read_marks(table)
    folder = table.parent
    others = [p for p in files_under(folder) if p.suffix.lower() != ".csv"]
    images: dict[str, Callable[[], Volume]] = {}
    dicom = []
    for file in others:
        name = stem(file)
        if name is None:
            dicom.append(file)
        else:
            images[name] = partial(read_volume, file)
    # .raw and .zraw are the voxels of an .mhd
    scan = scan_files(p for p in dicom if p.suffix.lower() not in (".raw", ".zraw"))
    for series in group_series(scan):
        images[series.uid] = partial(_from_series, series)
    left_out = [LeftOut(folder.name, notice.text.en) for notice in scan.notices]
    for uid in sorted(set(marks) - set(images)):
        left_out.append(LeftOut(uid, f"{table.name} names it, its image is not in {folder}"))
    cases = tuple(
        Case(uid, partial(_load, images[uid], tuple(marks.get(uid, ())), lesions[0], table))
        for uid in sorted(images)
    )
    return LabelledSet(str(table), LAYOUT, cases, tuple(left_out))


def _table(path: Path) -> Path | None:
    """The CSV with our columns, or None.

    Raises:
        DatasetError: there are several.
    """
    if path.is_file():
        if path.suffix.lower() != ".csv":
            return None
        return path
    found = [p for p in sorted(path.glob("*.csv")) if set(COLUMNS) <= set(_header(p))]
    if len(found) > 1:
        names = ", ".join(p.name for p in found)
        raise DatasetError(f"{path}: several annotation tables ({names}); name the one to use")
    return found[0] if found else None


def _header(path: Path) -> list[str]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: cannot be read as CSV ({error})") from error


def read_marks(path: Path, *, sized: bool = True) -> dict[str, list[Mark]]:
    """The rows of a table with our columns, by series.

    Args:
        path: the CSV.
        sized: False where a diameter of 0 or below stands for an unknown one, and is kept.

    Raises:
        DatasetError: it can't be read, a column is missing, or a row holds no mark.
    """
    missing = [column for column in COLUMNS if column not in _header(path)]
    if missing:
        raise DatasetError(
            f"{path}: has no column {', '.join(missing)}; it needs {','.join(COLUMNS)}"
        )
    marks: dict[str, list[Mark]] = defaultdict(list)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for number, row in enumerate(csv.DictReader(file), start=2):
                marks[str(row["seriesuid"])].append(_mark(path, number, row, sized))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: cannot be read as CSV ({error})") from error
    return dict(marks)


def _mark(path: Path, number: int, row: Mapping[str, str], sized: bool) -> Mark:
    try:
        x, y, z, diameter = (float(row[column]) for column in COLUMNS[1:])
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{path}: line {number}: {error}") from error
    if not all(map(math.isfinite, (x, y, z, diameter))) or (sized and diameter <= 0):
        raise DatasetError(
            f"{path}: line {number}: a centre is three numbers in mm and a diameter above "
            f"0, not {x}, {y}, {z} and {diameter}"
        )
    return (x, y, z), diameter


def _from_series(series: Series) -> Volume:
    return load_series(series).volume


def _load(image: Callable[[], Volume], marks: Sequence[Mark], label: int, table: Path) -> Labelled:
    volume = image()
    lesions = []
    for centre, diameter in marks:
        region = _ball(volume.grid, centre, diameter / 2)
        if region is None:
            raise DatasetError(
                f"{table}: the lesion at {centre} mm lies outside its image; coordinates are LPS mm"
            )
        lesions.append(Lesion(label, centre, diameter / 2, region))
    return Labelled((volume,), None, tuple(lesions))


def _ball(grid: Grid, centre: Point, radius_mm: float) -> Region | None:
    """Voxels within the radius, the centre's own in any case; None where that is no voxel."""
    middle = grid.to_index(centre)
    nearest = np.rint(middle).astype(int)
    if (nearest < 0).any() or (nearest >= grid.shape).any():
        return None
    reach = np.ceil(radius_mm / np.asarray(grid.spacing_mm)).astype(int)
    low = np.maximum(nearest - reach, 0)
    high = np.minimum(nearest + reach + 1, grid.shape)
    box = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
    at = grid.to_lps(np.stack(np.meshgrid(*box, indexing="ij"), axis=-1))
    inside = np.asarray(np.linalg.norm(at - np.asarray(centre), axis=-1) <= radius_mm)
    inside[tuple(nearest - low)] = True
    start: Shape3 = (int(low[0]), int(low[1]), int(low[2]))
    return Region(inside, start, grid)
