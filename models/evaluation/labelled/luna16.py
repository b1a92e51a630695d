"""LUNA16 as published: ``subset0`` to ``subset9`` with MetaImages, and tables of the nodules.

``annotations.csv`` holds the nodules that count (3 mm and more, three readers or more),
``annotations_excluded.csv``, from the evaluation script, what is neither hit nor false; both with
``seriesuid,coordX,coordY,coordZ,diameter_mm`` in LPS mm. Each subset is a fold of the ten-fold
cross-validation (Setio et al. 2017, Medical Image Analysis 42:1-13): a model trained on the other
nine is honest on it, and only on it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from imaging.geometry import Point
from models.errors import DatasetError
from models.evaluation.judging import Truth
from models.evaluation.labelled.case import LeftOut
from models.evaluation.labelled.files import read_volume
from models.evaluation.labelled.points import read_marks
from models.evaluation.nodules import Listed, Marked, MarkedScan, NoduleCase
from models.evaluation.strata import size_groups

COUNTED = "annotations.csv"
EXCLUDED = "annotations_excluded.csv"
UNKNOWN_MM = 10.0
"""Diameter that LUNA16's script takes where the table says -1."""
FOLDS = 10
SUBSET = re.compile(r"subset(\d+)$")


def open_luna16(folder: Path, *, folds: Sequence[int] = ()) -> Listed:
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
    table, exclusions = _table(folder, COUNTED), _table(folder, EXCLUDED)
    if table is None:
        raise DatasetError(f"{folder}: no {COUNTED} in it; LUNA16 gives it beside the subsets")
    counted = _truths(table, counted=True)
    others: dict[str, list[Truth]] = {}
    left_out: list[LeftOut] = []
    if exclusions is not None:
        others = _truths(exclusions, counted=False)
    else:
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


def _table(folder: Path, name: str) -> Path | None:
    """The nearest file of that name; None where there is none."""
    found = sorted(folder.rglob(name), key=lambda path: (len(path.parts), path))
    return found[0] if found else None


def _truths(table: Path, *, counted: bool) -> dict[str, list[Truth]]:
    """The rows by series. Only what is left out may have an unknown diameter."""
    return {
        uid: [_truth(centre, diameter, counted) for centre, diameter in marks]
        for uid, marks in read_marks(table, sized=counted).items()
    }


def _truth(centre: Point, diameter_mm: float, counted: bool) -> Truth:
    diameter_mm = diameter_mm if diameter_mm > 0 else UNKNOWN_MM
    return Truth(centre, diameter_mm, counted, size_groups(diameter_mm))


def _load(image: Path, truths: Sequence[Truth]) -> MarkedScan:
    volume = read_volume(image)
    grid = volume.grid
    for truth in truths:
        index = grid.to_index(truth.centre_mm)
        if truth.counted and (
            (index < -0.5).any() or (index > [n - 0.5 for n in grid.shape]).any()
        ):
            raise DatasetError(
                f"{image}: the nodule at {truth.centre_mm} mm lies outside; coordinates are LPS mm"
                f" (see {COUNTED})"
            )
    return MarkedScan(volume, tuple(Marked(truth) for truth in truths))
