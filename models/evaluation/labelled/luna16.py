"""LUNA16 as published: ``subset0`` to ``subset9`` with MetaImages, and tables of the nodules.

``annotations.csv`` holds the nodules that count (3 mm and more, three readers or more),
``annotations_excluded.csv``, from the evaluation script, what is neither hit nor false; both with
``seriesuid,coordX,coordY,coordZ,diameter_mm`` in LPS mm. Each subset is a fold of the ten-fold
cross-validation (Setio et al. 2017, Medical Image Analysis 42:1-13): a model trained on the other
nine is honest on it, and only on it.
"""

from __future__ import annotations

import csv
import math
import re
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from models.errors import DatasetError
from models.evaluation.froc import Truth
from models.evaluation.labelled.case import LeftOut
from models.evaluation.labelled.files import read_volumes
from models.evaluation.labelled.points import COLUMNS
from models.evaluation.nodules import Marked, MarkedScan, NoduleCase
from models.evaluation.strata import size_groups

COUNTED = "annotations.csv"
EXCLUDED = "annotations_excluded.csv"
UNKNOWN_MM = 10.0
"""Diameter that LUNA16's script takes where the table says -1."""
FOLDS = 10
SUBSET = re.compile(r"subset(\d+)$")

Found = tuple[tuple[NoduleCase, ...], tuple[LeftOut, ...]]


def open_luna16(folder: Path, *, folds: Sequence[int] = ()) -> Found:
    """List the scans of LUNA16.

    Args:
        folder: holds ``subset0`` and so on, and the tables, directly or in a folder below.
        folds: which subsets; none: all that are there.

    Returns:
        The cases by fold, and what was left out with the reason.

    Raises:
        DatasetError: a table or a subset is missing or damaged.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; name the one that holds subset0/ etc.")
    subsets = {
        int(match[1]): path
        for path in sorted(folder.rglob("subset*"))
        if path.is_dir() and (match := SUBSET.fullmatch(path.name))
        if any(path.glob("*.mhd"))
    }
    wanted = sorted(set(folds)) if folds else sorted(subsets)
    missing = [n for n in wanted if n not in subsets]
    if missing or not wanted:
        names = ", ".join(f"subset{n}" for n in missing) or "subset0 to subset9"
        here = ", ".join(f"subset{n}" for n in sorted(subsets)) or "none"
        raise DatasetError(
            f"{folder}: no .mhd in {names} (there: {here}); unpack the subset's zip here, or name "
            "other folds"
        )
    counted = _read(_table(folder, COUNTED))
    others: dict[str, list[Truth]] = {}
    left_out: list[LeftOut] = []
    try:
        others = _read(_table(folder, EXCLUDED), counted=False)
    except FileNotFoundError:
        reason = (
            "not there, so findings on what the challenge leaves out count as false; take it from "
            "LUNA16's evaluation script"
        )
        left_out.append(LeftOut(EXCLUDED, reason))
    cases: list[NoduleCase] = []
    for n in wanted:
        for image in sorted(subsets[n].glob("*.mhd")):
            uid = image.stem
            truths = (*counted.get(uid, ()), *others.get(uid, ()))
            cases.append(NoduleCase(uid, partial(_load, image, truths), fold=f"fold {n}"))
    known = {case.name for case in cases}
    if len(wanted) == FOLDS:
        for uid in sorted(set(counted) - known):
            left_out.append(LeftOut(uid, f"{COUNTED} names it, its image is in no subset"))
    return tuple(cases), tuple(left_out)


def _table(folder: Path, name: str) -> Path:
    found = sorted(folder.rglob(name), key=lambda path: (len(path.parts), path))
    if found:
        return found[0]
    if name == COUNTED:
        raise DatasetError(f"{folder}: no {name} in it; LUNA16 gives it beside the subsets")
    raise FileNotFoundError(name)


def _read(path: Path, *, counted: bool = True) -> dict[str, list[Truth]]:
    """The rows by series.

    Raises:
        DatasetError: a column is missing, or a row holds no numbers.
    """
    rows: dict[str, list[Truth]] = defaultdict(list)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            missing = [c for c in COLUMNS if c not in (table.fieldnames or ())]
            if missing:
                raise DatasetError(f"{path}: has no column {', '.join(missing)}")
            for number, row in enumerate(table, start=2):
                rows[str(row["seriesuid"])].append(_truth(path, number, row, counted))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: cannot be read as CSV ({error})") from error
    return dict(rows)


def _truth(path: Path, number: int, row: dict[str, str], counted: bool) -> Truth:
    try:
        x, y, z, diameter = (float(row[column]) for column in COLUMNS[1:])
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{path}: line {number}: {error}") from error
    if not all(map(math.isfinite, (x, y, z, diameter))) or (counted and diameter <= 0):
        raise DatasetError(
            f"{path}: line {number}: a centre is three numbers in mm and a diameter above 0"
        )
    if diameter <= 0:
        diameter = UNKNOWN_MM
    return Truth((x, y, z), diameter, counted, size_groups(diameter))


def _load(image: Path, truths: Sequence[Truth]) -> MarkedScan:
    volumes = read_volumes(image)
    if len(volumes) != 1:
        raise DatasetError(f"{image}: holds {len(volumes)} volumes, one is needed")
    grid = volumes[0].grid
    for truth in truths:
        index = grid.to_index(truth.centre_mm)
        if truth.counted and (
            (index < -0.5).any() or (index > [n - 0.5 for n in grid.shape]).any()
        ):
            raise DatasetError(
                f"{image}: the nodule at {truth.centre_mm} mm lies outside; coordinates are LPS mm"
            )
    return MarkedScan(volumes[0], tuple(Marked(truth) for truth in truths))
