"""`preread analyse` on a series that is read: its objects, its JSON and what they tell."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pydicom
import pytest

from imaging.report import Report
from pacs_bridge.cli import main
from tests.e2e.analysed import Analyse, copied, edited, zipped
from tests.unit.imaging.synthetic import CORONAL


@pytest.fixture(scope="module")
def good(chest: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of the whole chest, from a zip with its files in another order."""
    work = tmp_path_factory.mktemp("good")
    path = zipped(chest[::-1], work / "study.zip", prefix="DICOM/../x/")
    further = ["--rtstruct", "--gsps", "--sc", "--pdf"]
    options = ["--out", str(work / "out"), "--threads", "2", *further]
    assert main(["analyse", str(path), *options]) == 0
    return work / "out"


def test_every_object_is_written(good: Path) -> None:
    names = {path.name for path in good.iterdir()}
    assert {"findings.json", "sr.dcm", "report.html"} <= names
    report = Report.model_validate_json((good / "findings.json").read_text(encoding="utf-8"))
    for name in ("seg.dcm", "rtstruct.dcm", "gsps.dcm"):
        assert (name in names) == bool(report.findings)
    assert pydicom.dcmread(good / "pdf.dcm").Modality == "DOC"
    assert (good / "report.pdf").read_bytes().startswith(b"%PDF-")
    pictures = ZipFile(good / "sc.zip").namelist()
    assert pictures == [f"sc-{n}.dcm" for n in (0, *(f.number for f in report.findings))]
    assert (good / "why" / "scores.json").exists() == bool(report.findings)
    assert (good / "report.html").read_text(encoding="utf-8").lstrip().startswith("<!")
    assert pydicom.dcmread(good / "sr.dcm").Modality == "SR"


CONTRACT: dict[str, type | tuple[type, ...]] = {
    "tracking_uid": str,
    "label": dict,
    "centre_lps_mm": list,
    "long_axis_mm": float,
    "short_axis_mm": float,
    "volume_mm3": float,
    "mean_hu": float,
    "score": float,
    "slices": list,
    "segment_number": int,
}


def test_the_json_keeps_its_contract(good: Path, chest: list[Path]) -> None:
    found = json.loads((good / "findings.json").read_text(encoding="utf-8"))
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in chest]
    assert found["study_uid"] == headers[0].StudyInstanceUID
    assert found["series_uid"] == headers[0].SeriesInstanceUID
    assert found["model"]["name"] == "lung_nodule_reference"
    assert isinstance(found["model"]["version"], str)
    assert {item["code"] for item in found["warnings"]} >= {"reference-weights"}
    known = {header.SOPInstanceUID: header for header in headers}
    for n, finding in enumerate(found["findings"], start=1):
        for name, kind in CONTRACT.items():
            assert isinstance(finding[name], kind), name
        assert finding["segment_number"] == n
        assert set(finding["slices"]) <= set(known)
        assert 0 < finding["short_axis_mm"] <= finding["long_axis_mm"] + 1e-6
        assert 0 <= finding["score"] <= 1
        # Its centre lies between the lowest and the highest of its slices.
        heights = [float(known[uid].ImagePositionPatient[2]) for uid in finding["slices"]]
        assert min(heights) - 2.5 <= finding["centre_lps_mm"][2] <= max(heights) + 2.5
    uids = [finding["tracking_uid"] for finding in found["findings"]]
    assert len(set(uids)) == len(uids)
    scores = [finding["score"] for finding in found["findings"]]
    assert scores == sorted(scores, reverse=True)


def test_the_json_is_what_the_schema_says(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every key of the file is in the printed schema, and every required one in the file."""
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    found = json.loads((good / "findings.json").read_text(encoding="utf-8"))

    def check(value: Any, part: dict[str, Any], at: str) -> None:
        if "$ref" in part:
            part = schema["$defs"][part["$ref"].rsplit("/", 1)[-1]]
        if "anyOf" in part:
            part = next(p for p in part["anyOf"] if (p == {"type": "null"}) is (value is None))
            return check(value, part, at)
        kinds: dict[str, type | tuple[type, ...]] = {
            "object": dict, "array": list, "string": str, "integer": int, "boolean": bool,
            "number": (int, float), "null": type(None),
        }  # fmt: skip
        if "type" in part:
            assert isinstance(value, kinds[part["type"]]), at
        if "enum" in part:
            assert value in part["enum"], at
        if "properties" in part:
            assert set(value) <= set(part["properties"]), at
            assert set(part.get("required", ())) <= set(value), at
            for key, item in value.items():
                check(item, part["properties"][key], f"{at}.{key}")
        if isinstance(value, list):
            items = part.get("prefixItems") or [part.get("items", {})] * len(value)
            for n, (item, rule) in enumerate(zip(value, items, strict=True)):
                check(item, rule, f"{at}[{n}]")
        return None

    check(found, schema, "findings.json")


def test_seg_and_sr_name_the_same_findings(good: Path) -> None:
    found = json.loads((good / "findings.json").read_text(encoding="utf-8"))
    uids = {finding["tracking_uid"] for finding in found["findings"]}
    if uids:
        seg = pydicom.dcmread(good / "seg.dcm")
        numbers = {s.TrackingUID: s.SegmentNumber for s in seg.SegmentSequence}
        assert numbers == {f["tracking_uid"]: f["segment_number"] for f in found["findings"]}
    text = str(pydicom.dcmread(good / "sr.dcm"))
    assert all(uid in text for uid in uids)
    assert "PRELIMINARY" in text
    assert "UNVERIFIED" in text


def test_a_missing_and_a_truncated_slice_are_told_in_the_result(
    analyse: Analyse, bright: str, coarse: list[Path], tmp_path: Path
) -> None:
    folder = copied(coarse, tmp_path / "hurt", but=(20,))
    cut = folder / coarse[30].name
    cut.write_bytes(cut.read_bytes()[:-3000])
    (folder / "note.txt").write_text("hello")
    run = analyse(folder, "--json", "--config", bright)
    assert run.status == 0
    assert json.loads(run.out) == run.findings
    told = run.warnings()
    assert told["missing-slices"].startswith("2 slice(s)")
    assert cut.name in told["unreadable-file"]
    assert "note.txt" in told["not-dicom"]
    assert run.findings["slice_count"] == 44
    assert run.findings["spacing_mm"][0] == pytest.approx(4.0)
    lost = {pydicom.dcmread(coarse[n], stop_before_pixels=True).SOPInstanceUID for n in (20, 30)}
    assert run.findings["findings"]
    for finding in run.findings["findings"]:
        assert not lost & set(finding["slices"])


def test_copies_a_scout_and_another_series_are_told_in_the_result(
    analyse: Analyse, bright: str, coarse: list[Path], tmp_path: Path
) -> None:
    folder = copied(coarse, tmp_path / "mixed")
    edited(coarse[30], folder / "AAA copy.dcm")
    scout = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
    edited(coarse[0], folder / "AAA scout.dcm", ImageOrientationPatient=list(CORONAL),
           SliceThickness="500", **scout)  # fmt: skip
    edited(coarse[20], folder / "other.dcm", SeriesInstanceUID="1.2.3.4", **scout)
    shutil.copy(coarse[10], folder / "same file.dcm")
    run = analyse(folder, "--config", bright)
    assert run.status == 0
    told = run.warnings()
    assert "exact copies" in told["duplicate-positions"]
    assert "45 of 46" in told["inconsistent-images"]
    assert told["several-series"].startswith("the study has 2 series")
    assert told["same-instance-twice"].startswith("1 file(s)")
    assert run.findings["slice_count"] == 44
    for text in (told["duplicate-positions"], told["several-series"]):
        assert text in " ".join(run.out.split())
