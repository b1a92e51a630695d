"""LIDC-IDRI as TCIA gives it: folders of DICOM with the readers' XML beside each CT series."""

from __future__ import annotations

import os
from collections import Counter
from functools import partial
from pathlib import Path

from imaging.errors import FileError
from imaging.headers import read_header, scan_files
from imaging.load import load_series
from imaging.series import group_series
from models.errors import DatasetError
from models.evaluation.labelled.case import LeftOut
from models.evaluation.labelled.lidc_marks import marked_nodules
from models.evaluation.labelled.lidc_xml import Readings, read_readings
from models.evaluation.nodules import Listed, MarkedScan, NoduleCase

READERS = 2
HEADERS_TRIED = 3


def open_lidc(folder: Path, *, readers: int = READERS) -> Listed:
    """List the CT series under ``folder`` that have readings.

    One header a folder is read here; images are read when a case's turn comes.

    Args:
        folder: anything above the series' folders.
        readers: that must have outlined a nodule for it to count.

    Returns:
        The cases by patient, and what was left out with the reason.

    Raises:
        DatasetError: there is no such folder, or no series with readings in it.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; name the one that holds LIDC-IDRI-0001 etc.")
    series, tables = _listed(folder)
    left_out: list[LeftOut] = []
    readings: dict[str, Readings] = {}
    for path in tables:
        try:
            found = read_readings(path)
        except DatasetError as error:
            left_out.append(LeftOut(str(path.relative_to(folder)), str(error)))
            continue
        if found is None:
            continue
        if found.series_uid in readings:
            first = readings[found.series_uid].path
            if first.read_bytes() != path.read_bytes():
                reason = f"other readings of the same series are in {first}; those are used"
                left_out.append(LeftOut(str(path.relative_to(folder)), reason))
            continue
        readings[found.series_uid] = found
    patients = Counter(patient for uid, (_, patient) in series.items() if uid in readings)
    cases = []
    for uid, (where, patient) in series.items():
        if uid not in readings:
            reason = "CT series without readings: no XML names it"
            left_out.append(LeftOut(str(where.relative_to(folder)), reason))
            continue
        name = patient if patients[patient] == 1 else f"{patient} {uid}"
        load = partial(_load, where, readings[uid], readers)
        cases.append(NoduleCase(name, load))
    for uid in readings.keys() - series.keys():
        where = readings[uid].path
        left_out.append(LeftOut(str(where.relative_to(folder)), f"its series {uid} is not here"))
    if not cases:
        raise DatasetError(
            f"{folder}: no CT series with readings in it: {len(series)} CT series, "
            f"{len(readings)} XML files of readings. TCIA gives the XML apart from the images "
            "(LIDC-XML-only.zip): unpack it anywhere under this folder"
        )
    cases.sort(key=lambda case: case.name)
    return tuple(cases), tuple(sorted(left_out, key=lambda each: each.name))


def _listed(folder: Path) -> tuple[dict[str, tuple[Path, str]], list[Path]]:
    """CT series by UID with their folder and patient, and all XML files."""
    series: dict[str, tuple[Path, str]] = {}
    tables: list[Path] = []
    for top, folders, names in os.walk(folder):
        folders.sort()
        tables += [Path(top, n) for n in sorted(names) if n.lower().endswith(".xml")]
        others = [Path(top, n) for n in sorted(names) if not n.lower().endswith((".xml", ".csv"))]
        for path in others[:HEADERS_TRIED]:
            try:
                header = read_header(path)
            except FileError:
                continue
            if str(header.get("Modality")) == "CT":
                patient = str(header.get("PatientID") or Path(top).name)
                series.setdefault(str(header.get("SeriesInstanceUID")), (Path(top), patient))
            break
    return series, tables


def _load(folder: Path, readings: Readings, readers: int) -> MarkedScan:
    scan = scan_files(p for p in sorted(folder.iterdir()) if p.suffix.lower() != ".xml")
    series = next((s for s in group_series(scan) if s.uid == readings.series_uid), None)
    if series is None:
        raise DatasetError(f"{folder}: holds no images of series {readings.series_uid}")
    loaded = load_series(series)
    thickness = series.slices[0].slice_thickness_mm or loaded.volume.grid.spacing_mm[0]
    nodules, notes = marked_nodules(loaded.volume, readings, thickness, readers)
    told = [notice.text.en for notice in loaded.notices]
    return MarkedScan(loaded.volume, nodules, (*told, *notes))
