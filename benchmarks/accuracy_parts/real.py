"""Real series that no model here was trained on, with what their readers outlined."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
from pydantic import AliasChoices, BaseModel, Field

from benchmarks.archives import unpack
from imaging.geometry import Grid
from imaging.headers import scan_files
from imaging.load import load_series
from imaging.series import group_series
from imaging.volume import Volume
from models.evaluation.judging import Truth
from models.evaluation.labelled.case import region_of
from models.evaluation.nodule_figures import judged
from models.evaluation.nodules import Marked, MarkedScan, ScanRecord, run_scan
from models.evaluation.strata import size_groups, texture_groups
from models.loaded import LoadedModel
from models.pipeline import find_lesions

PATIENTS = ("LIDC-IDRI-0001", "LIDC-IDRI-0005")
LEAST_MM = 4.0
LEAST_READERS = 2


@dataclass(frozen=True)
class RealScan:
    """One series: as a marked scan, with the readers of each nodule, and how long reading took."""

    name: str
    scan: MarkedScan
    readers: tuple[int, ...]
    reading_seconds: float


class Outlined(BaseModel):
    """A nodule as the readers outlined it: centre in LPS mm, diameters in mm, one or one each."""

    readers: int
    centroid_lps_mm: tuple[float, float, float]
    diameter_mm: float | list[float]
    texture: float | list[float] | None = Field(
        default=None,
        validation_alias=AliasChoices("texture_1ggo_5solid", "texture"),
        description="1 ground-glass to 5 solid",
    )


class GroundTruth(BaseModel):
    """``ground_truth*.json`` beside a series."""

    nodules: list[Outlined]


def real_scans(chest: Path, scratch: Path) -> list[RealScan]:
    """The two LIDC series. Counted: 4 mm and more, outlined by two readers or more."""
    return [_scan(chest / name, scratch / name) for name in PATIENTS]


def run_real(
    scans: list[RealScan], model: LoadedModel
) -> tuple[list[ScanRecord], dict[str, object]]:
    """Each scan wide open for the curve, and once as the product would for what it reports."""
    records, rows = [], []
    for real in scans:
        record = run_scan(real.name, real.scan, model, model.runners)
        records.append(record)
        began = time.perf_counter()
        reported = find_lesions([real.scan.volume], model, model.runners)
        seconds = time.perf_counter() - began
        rows.append(_row(real, record, len(reported.candidates), seconds, model))
    return records, {"scans": rows}


def _row(
    real: RealScan, record: ScanRecord, reported: int, seconds: float, model: LoadedModel
) -> dict[str, object]:
    threshold = model.spec.operating_point.score_threshold
    # Judged with every nodule counted, so that the table shows those of one reader as well.
    every = record.model_copy(
        update={"nodules": tuple(m.model_copy(update={"counted": True}) for m in record.nodules)}
    )
    scan = judged(every)
    false = sum(score >= threshold for score in scan.false)
    print(
        f"{real.name}: {reported} findings, {false} false; read {real.reading_seconds:.1f} s, "
        f"found in {seconds:.1f} s"
    )
    nodules = []
    for nodule, mark, readers in zip(scan.nodules, record.nodules, real.readers, strict=True):
        found = nodule.score is not None and nodule.score >= threshold
        entry: dict[str, object] = {
            "diameter_mm": mark.diameter_mm, "readers": readers, "counted": mark.counted,
            "found": found, "score": nodule.score,
        }  # fmt: skip
        text = f"  {mark.diameter_mm:4.1f} mm, {readers} reader(s): "
        if nodule.finding is None or nodule.score is None:
            text += "missed at any threshold"
        else:
            at = record.findings[nodule.finding]
            text += f"{'found' if found else 'below the threshold'}, score {nodule.score:.2f}"
            text += f", measured {at.diameter_mm:.1f} mm"
            entry["measured_mm"] = at.diameter_mm
            if mark.dice is not None:
                entry["dice"] = mark.dice.get(nodule.finding, 0.0)
                text += f", mask Dice {entry['dice']:.2f} with the readers' majority"
        print(text)
        nodules.append(entry)
    return {
        "scan": real.name, "findings": reported, "false": false,
        "reading_seconds": round(real.reading_seconds, 2), "seconds": round(seconds, 2),
        "false_scores": [round(s, 3) for s in scan.false[:20]], "nodules": nodules,
    }  # fmt: skip


def unpacked(folder: Path, scratch: Path) -> list[Path]:
    """The DICOM files of a series' archive, laid out under ``scratch``."""
    archive = next(iter(sorted(folder.glob("*.tar.xz"))))
    unpack(archive, scratch)
    return sorted(p for p in scratch.rglob("*") if p.is_file())


def largest_series(files: list[Path]) -> Volume:
    """The volume of the series with the most slices."""
    series = max(group_series(scan_files(files)), key=lambda s: len(s.slices))
    return load_series(series).volume


def arterial_abdomen(data: Path) -> Volume:
    """TCGA-LIHC-BC-A3KF, 37 slices of 5 mm, from ``abdomen/`` in ``data``; nobody outlined it."""
    with np.load(data / "abdomen" / "TCGA-LIHC-BC-A3KF.npz") as stored:
        hu, z_mm, pixel_mm = stored["hu"], stored["z_mm"], stored["pixel_mm"]
    step = (0.0, 0.0, float(z_mm[1] - z_mm[0]))
    first = (0.0, 0.0, float(z_mm[0]))
    return Volume(hu, Grid.from_dicom(hu.shape, first, (1, 0, 0, 0, 1, 0), pixel_mm, step))


def _scan(folder: Path, scratch: Path) -> RealScan:
    files = unpacked(folder, scratch)
    began = time.perf_counter()
    volume = largest_series(files)
    seconds = time.perf_counter() - began
    truth = GroundTruth.model_validate_json(
        next(iter(sorted(folder.glob("ground_truth*.json")))).read_bytes()
    )
    marked = [_marked(nodule) for nodule in truth.nodules]
    masks = _reader_masks(folder, volume)
    if masks and len(marked) == 1:  # each mask is one reader's outline of the only nodule
        majority = np.sum(masks, axis=0) * 2 > len(masks)
        marked = [replace(marked[0], region=region_of(majority, volume.grid))]
    readers = tuple(nodule.readers for nodule in truth.nodules)
    return RealScan(folder.name, MarkedScan(volume, tuple(marked)), readers, seconds)


def _marked(nodule: Outlined) -> Marked:
    diameter = float(np.median(nodule.diameter_mm))
    texture = None if nodule.texture is None else float(np.mean(nodule.texture))
    counted = nodule.readers >= LEAST_READERS and diameter >= LEAST_MM
    return Marked(
        Truth(
            nodule.centroid_lps_mm,
            diameter,
            counted,
            (*size_groups(diameter), *texture_groups(texture)),
        )
    )


def _reader_masks(folder: Path, volume: Volume) -> list[np.ndarray]:
    """One mask a reader on the scan's grid, from the published DICOM SEG objects."""
    masks = []
    for path in sorted((folder / "derived_QIICR").glob("SEG_*.dcm")):
        seg = pydicom.dcmread(path)
        frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
        shared = seg.SharedFunctionalGroupsSequence[0]
        orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
        spacing = shared.PixelMeasuresSequence[0].PixelSpacing
        mask = np.zeros(volume.grid.shape, bool)
        for frame, group in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
            position = group.PlanePositionSequence[0].ImagePositionPatient
            shape = (1, frame.shape[0], frame.shape[1])
            step = np.cross(orientation[:3], orientation[3:])
            grid = Grid.from_dicom(shape, position, orientation, spacing, step)
            at = np.argwhere(frame[np.newaxis] > 0)
            index = np.rint(volume.grid.to_index(grid.to_lps(at))).astype(int)
            mask[tuple(index.T)] = True
        masks.append(mask)
    return masks
