"""DICOM series with DICOM Segmentations beside them (PS3.3 A.51), as hospitals have them.

A Segmentation is joined to its series by its Referenced Series Sequence, wherever in the folder
both lie. Its segments are the model's labels by code (SRT and SNOMED CT codes of one concept
are the same) or by name. Frames are put slice by slice on the images' grid; nothing is
interpolated.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.utils import iter_pixels
from pydicom.sr.coding import Code
from pydicom.uid import SegmentationStorage

from imaging.errors import FileError
from imaging.geometry import Grid
from imaging.headers import Scan, read_header, scan_files
from imaging.load import load_series
from imaging.roles import choose_roles
from imaging.series import Series, group_series
from models.errors import DatasetError
from models.evaluation.labelled.case import (
    Case,
    Labelled,
    LabelledSet,
    LeftOut,
    Lesion,
    lesions_of,
    region_of,
)
from models.evaluation.labelled.files import files_under
from models.spec import ModelSpec

LAYOUT = "DICOM series with DICOM SEG"
_CLASSES = (SegmentationStorage, "1.2.840.10008.5.1.4.1.1.66.7")
"""Segmentation and Label Map Segmentation (pydicom 3.0 has no name for the second)."""
FARTHEST = 0.25
"""How far a segment's pixel may lie from the images' voxel, in voxels."""


def open_cases(path: Path, spec: ModelSpec) -> LabelledSet | None:
    """The series that a SEG refers to; None where the folder has no SEG.

    For a model that takes several series together, the studies with a SEG on one of them.
    """
    if not path.is_dir():
        return None
    files = files_under(path)
    segs = _segmentations(files)
    if not segs:
        return None
    drawn = {p for group in segs.values() for p in group}
    scan = scan_files(p for p in files if p not in drawn)
    everything = {each.uid: each for each in group_series(scan)}
    left_out = [LeftOut(path.name, notice.text.en) for notice in scan.notices]
    for uid in sorted(set(segs) - set(everything)):
        names = ", ".join(p.name for p in segs[uid])
        left_out.append(LeftOut(names, f"its series {uid} is not in the folder"))
    taken: list[tuple[Series, ...]] = []
    if len(spec.series) > 1:
        for study in sorted(
            {everything[uid].header.study_uid for uid in segs if uid in everything}
        ):
            across = spec.registration.across_frames
            plan = choose_roles(_study(scan, study), spec.series, spec.name, across_frames=across)
            if plan.roles:
                taken.append(tuple(everything[uid] for uid in plan.roles.values()))
            else:
                why = "; ".join(notice.text.en for notice in plan.notices)
                left_out.append(LeftOut(f"study {study}", why))
    else:
        taken = [(each,) for uid, each in everything.items() if uid in segs]
        for uid, each in everything.items():
            if uid not in segs:
                left_out.append(LeftOut(_name(each, path), "no SEG refers to this series"))
    cases = [Case(_name(each[0], path), partial(_load, each, segs, spec)) for each in taken]
    cases.sort(key=lambda case: case.name)
    return LabelledSet(str(path), LAYOUT, tuple(cases), tuple(left_out))


def _study(scan: Scan, uid: str) -> Scan:
    return replace(scan, slices=tuple(image for image in scan.slices if image.study_uid == uid))


def _name(series: Series, root: Path) -> str:
    folder = series.slices[0].path.parent.relative_to(root)
    return f"{folder}/{series.name}" if folder.parts else series.name


def _segmentations(files: Sequence[Path]) -> dict[str, list[Path]]:
    """SEG files by the SeriesInstanceUID that they refer to."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        try:
            header = read_header(path)
        except FileError:
            continue  # scan_files says so
        if header.get("SOPClassUID") not in _CLASSES:
            continue
        for item in header.get("ReferencedSeriesSequence") or ():
            found[str(item.SeriesInstanceUID)].append(path)
    return found


def _load(
    taken: tuple[Series, ...], segs: Mapping[str, Sequence[Path]], spec: ModelSpec
) -> Labelled:
    loaded = [load_series(series) for series in taken]
    grid = loaded[0].volume.grid
    notes = [notice.text.en for each in loaded for notice in each.notices]
    masks: dict[int, NDArray[np.bool_]] = {}
    for series, each in zip(taken, loaded, strict=True):
        for path in segs.get(series.uid, ()):
            if not each.volume.grid.same_as(grid, tolerance_mm=FARTHEST):
                raise DatasetError(
                    f"{path}: drawn on {series.name}, whose grid is not {taken[0].name}'s; segment "
                    "on the first series that the model takes, or give the case as NIfTI"
                )
            notes += _paint(path, grid, spec, masks)
    regions = {n: region_of(mask, grid) for n, mask in masks.items()}
    marked = {n: region for n, region in regions.items() if region is not None}
    lesions: list[Lesion] = []
    for label in spec.labels:
        if label.kind == "lesion" and label.index in marked:
            lesions += lesions_of(label.index, marked[label.index])
    return Labelled(tuple(each.volume for each in loaded), marked, tuple(lesions), tuple(notes))


def _paint(
    path: Path, grid: Grid, spec: ModelSpec, masks: dict[int, NDArray[np.bool_]]
) -> list[str]:
    """Add a SEG's segments to the masks; gives notes on segments that are not the model's."""
    try:
        seg = pydicom.dcmread(path)
        meanings = {int(s.SegmentNumber): _label(s, spec) for s in seg.SegmentSequence}
        if not any(meanings.values()):
            names = ", ".join(str(s.get("SegmentLabel")) for s in seg.SegmentSequence)
            wanted = ", ".join(f"{x.name.en} ({x.code.value} {x.code.scheme})" for x in spec.labels)
            raise DatasetError(
                f"{path}: none of its segments ({names}) is a label of {spec.name} ({wanted}); "
                "give a segment the label's code or its name"
            )
        for number, frame in enumerate(iter_pixels(seg)):
            for segment, mask in _segments(seg, number, frame):
                index = meanings.get(segment)
                if index is None or not mask.any():
                    continue
                place = masks.setdefault(index, np.zeros(grid.shape, np.bool_))
                place[_voxels(path, seg, number, mask, grid)] = True
    except DatasetError:
        raise
    except Exception as error:  # pydicom and decoders share no base; named here
        raise DatasetError(f"{path}: cannot be read as a DICOM SEG ({error!r})") from error
    others = [str(s.SegmentLabel) for s in seg.SegmentSequence if not meanings[s.SegmentNumber]]
    return [f"{path.name}: {spec.name} has no label for {', '.join(others)}"] if others else []


def _label(segment: Dataset, spec: ModelSpec) -> int | None:
    """The index of the spec's label that a segment is: by code, else by name."""
    types = segment.get("SegmentedPropertyTypeCodeSequence") or ()
    for label in spec.labels:
        wanted = Code(label.code.value, label.code.scheme, label.code.meaning.en)
        for item in types:
            found = Code(item.CodeValue, item.CodingSchemeDesignator, item.get("CodeMeaning", ""))
            if found == wanted:
                return label.index
    name = str(segment.get("SegmentLabel", "")).strip().casefold()
    for label in spec.labels:
        if name in (label.name.en.casefold(), label.name.zh.casefold()):
            return label.index
    return None


def _groups(seg: Dataset, frame: int) -> tuple[Dataset, Dataset]:
    shared = (seg.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    return seg.PerFrameFunctionalGroupsSequence[frame], shared


def _of(seg: Dataset, frame: int, keyword: str) -> Dataset:
    """The functional group of a frame, from itself or from what all frames share."""
    for place in _groups(seg, frame):
        if place.get(keyword):
            item: Dataset = place[keyword].value[0]
            return item
    raise ValueError(f"frame {frame + 1} has no {keyword}")


def _segments(
    seg: Dataset, number: int, frame: NDArray[Any]
) -> list[tuple[int, NDArray[np.bool_]]]:
    """(segment number, where it is) of a frame (row, column)."""
    kind = str(seg.get("SegmentationType", "BINARY"))
    if kind == "LABELMAP":
        return [(int(value), frame == value) for value in np.unique(frame) if value]
    segment = int(_of(seg, number, "SegmentIdentificationSequence").ReferencedSegmentNumber)
    half = float(seg.MaximumFractionalValue) / 2 if kind == "FRACTIONAL" else 0.5
    return [(segment, frame >= half)]


def _voxels(
    path: Path, seg: Dataset, number: int, mask: NDArray[np.bool_], grid: Grid
) -> tuple[NDArray[np.int64], ...]:
    """Indices (k, j, i) on the images' grid of a frame's true pixels.

    Raises:
        DatasetError: the frame lies beside the images' voxels, or beyond them.
    """
    orientation = _of(seg, number, "PlaneOrientationSequence").ImageOrientationPatient
    position = _of(seg, number, "PlanePositionSequence").ImagePositionPatient
    spacing = _of(seg, number, "PixelMeasuresSequence").PixelSpacing
    normal = np.cross(orientation[:3], orientation[3:])
    plane = Grid.from_dicom((1, *mask.shape), position, orientation, spacing, normal)
    at = np.argwhere(mask)
    exact = grid.to_index(plane.to_lps(np.column_stack([np.zeros(len(at)), at])))
    index = np.rint(exact).astype(np.int64)
    away = float(np.abs(exact - index).max())
    if away > FARTHEST:
        raise DatasetError(
            f"{path}: frame {number + 1} lies {away:.2f} voxels beside the images' own; "
            "segment on the images' grid, or give the case as NIfTI"
        )
    if (index < 0).any() or (index >= grid.shape).any():
        raise DatasetError(f"{path}: frame {number + 1} reaches beyond the images of its series")
    return tuple(index.T)
