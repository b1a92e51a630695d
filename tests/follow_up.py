"""One simulated patient at two dates: the same chest, its nodules of other sizes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pydicom

from imaging.geometry import Grid, Point
from imaging.identity import derive_uid
from imaging.phantom import Phantom, make_phantom
from imaging.phantom_series import write_series
from imaging.volume import Volume

THEN, NOW = "20250110", "20260105"
SLICES, SLICE_MM = 120, 2.5
"""Thin enough for growth to be judged."""
RIGHT: Point = (-87.5, -8.6, 35.6)
LOW: Point = (-72.8, -61.2, -39.4)
LEFT: Point = (98.9, 21.2, -24.0)
"""Places inside the lungs of the chest below, LPS mm."""
Nodules = dict[Point, float]
"""Diameter, mm, by centre."""


@cache
def _chest(slices: int) -> Phantom:
    return make_phantom(3, slices=slices, pixels=192, height_mm=slices * SLICE_MM, nodules=())


def write_examination(
    folder: Path,
    date: str,
    nodules: Nodules,
    *,
    shift_mm: Point = (0.0, 0.0, 0.0),
    slices: int = SLICES,
) -> list[Path]:
    """The chest with solid nodules, as a CT of that date, the patient lying elsewhere.

    Fewer ``slices`` make a shorter chest, which is read sooner.
    """
    chest = _chest(slices)
    grid = chest.volume.grid
    voxels = chest.volume.voxels.astype(np.float32)
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    at = grid.to_lps(index)
    for centre, diameter in nodules.items():
        distance = np.linalg.norm(at - np.array(centre), axis=-1)
        inside = np.clip(0.5 - (distance - diameter / 2) / 1.9, 0, 1)
        voxels += inside * np.maximum(30 - voxels, 0)
    affine = grid.affine.copy()
    affine[:3, 3] += shift_mm
    volume = Volume(np.rint(voxels).astype(np.int16), Grid(grid.shape, affine))
    paths = write_series(replace(chest, volume=volume), folder)
    for path in paths:
        image = pydicom.dcmread(path)
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            setattr(image, keyword, derive_uid("follow-up", date, getattr(image, keyword)))
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        image.FrameOfReferenceUID = derive_uid("follow-up", date)
        for part in ("Study", "Series", "Acquisition", "Content"):
            setattr(image, f"{part}Date", date)
        image.save_as(path, enforce_file_format=True)
    return paths


def write_both(folder: Path) -> tuple[list[Path], list[Path]]:
    """Then and now: one nodule grew from 10 to 14 mm, one stayed at 11, one of 12 is new."""
    then = write_examination(
        folder / THEN, THEN, {RIGHT: 10.0, LOW: 11.0}, shift_mm=(4.0, -6.0, 9.0)
    )
    now = write_examination(folder / NOW, NOW, {RIGHT: 14.0, LOW: 11.0, LEFT: 12.0})
    return then, now


def study_of(paths: list[Path]) -> str:
    """StudyInstanceUID."""
    return str(pydicom.dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID)
