"""The studies that are read: a simulated chest CT, or real DICOM."""

from __future__ import annotations

from pathlib import Path

from imaging.headers import scan_files
from imaging.load import load_series
from imaging.phantom import make_phantom
from imaging.phantom_series import write_series
from imaging.series import group_series
from imaging.volume import Volume


def write_studies(folder: Path, count: int, slices: int) -> list[Path]:
    """The same simulated chest, 512 x 512, as several patients' studies."""
    phantom = make_phantom(slices=slices)
    folders = []
    for number in range(1, count + 1):
        place = folder / f"study{number}"
        write_series(phantom, place, patient_id=f"BENCH-{number}")
        folders.append(place)
    return folders


def load_volume(study: Path) -> Volume:
    """The largest series of a folder."""
    series = group_series(scan_files(sorted(p for p in study.rglob("*") if p.is_file())))
    return load_series(max(series, key=lambda each: len(each.slices))).volume
