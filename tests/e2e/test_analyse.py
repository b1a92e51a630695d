"""`preread analyse` on what people really give it: never a traceback, always a reason."""

from __future__ import annotations

import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

from imaging.phantom import make_phantom
from imaging.phantom_series import write_series
from imaging.report import Report
from pacs_bridge.cli import main
from tests.unit.imaging.synthetic import CORONAL, make_images, random_hu, write


@dataclass(frozen=True)
class Run:
    """What a run of the command left behind."""

    status: int
    out: str
    err: str
    folder: Path

    @property
    def findings(self) -> dict[str, Any]:
        """findings.json."""
        return json.loads((self.folder / "findings.json").read_text(encoding="utf-8"))

    def warnings(self) -> dict[str, str]:
        """Code and English text of each warning in findings.json."""
        return {item["code"]: item["text"]["en"] for item in self.findings["warnings"]}


Analyse = Callable[..., Run]


@pytest.fixture
def analyse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Analyse:
    """Runs the command; whatever happens, no traceback may show."""

    def run(path: Path, *options: str) -> Run:
        folder = tmp_path / "out"
        status = main(["analyse", str(path), "--out", str(folder), "--threads", "2", *options])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err + captured.out
        return Run(status, captured.out, captured.err, folder)

    return run


@pytest.fixture(scope="module")
def chest(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A simulated chest CT: 120 slices of 256 x 256."""
    folder = tmp_path_factory.mktemp("chest")
    return write_series(make_phantom(3, slices=120, pixels=256), folder)


def copied(files: list[Path], folder: Path, *, but: tuple[int, ...] = ()) -> Path:
    """The series in a folder of its own, some slices left out."""
    folder.mkdir()
    for n, path in enumerate(files):
        if n not in but:
            shutil.copy(path, folder)
    return folder


def edited(source: Path, target: Path, **values: object) -> Path:
    """A copy of a DICOM file with other values and a UID of its own."""
    image = pydicom.dcmread(source)
    image.SOPInstanceUID += ".7"
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    for keyword, value in values.items():
        setattr(image, keyword, value)
    image.save_as(target, enforce_file_format=True)
    return target


def said(run: Run) -> str:
    """Standard error as one line."""
    return " ".join(run.err.split())


# -- nothing to read -----------------------------------------------------------------------


def test_a_path_that_does_not_exist(analyse: Analyse, tmp_path: Path) -> None:
    run = analyse(tmp_path / "nowhere")
    assert run.status == 2
    assert "nowhere: no such file or folder" in said(run)


def test_an_empty_folder(analyse: Analyse, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    run = analyse(tmp_path / "empty")
    assert run.status == 2
    assert "empty: no DICOM images in it (0 file(s)" in said(run)
    assert not run.folder.exists()


def test_files_that_are_no_dicom(analyse: Analyse, tmp_path: Path) -> None:
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "letter.txt").write_text("Dear colleague")
    (folder / "scan.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(200))
    run = analyse(folder)
    assert run.status == 2
    assert "2 file(s) are not DICOM" in said(run)
    assert "letter.txt" in said(run)


@pytest.mark.parametrize("name", ["a[/b]c", "[bold]x", "[/]", "[red"])
def test_brackets_in_a_path_are_no_markup(analyse: Analyse, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name.replace("/", "\u2215")
    run = analyse(folder)
    assert run.status == 2
    assert folder.name in said(run)
    missing = analyse(tmp_path / "x [" / name)
    assert missing.status == 2
    assert str(Path("x [") / name) in said(missing)


def test_brackets_in_a_description_are_no_markup(analyse: Analyse, tmp_path: Path) -> None:
    def name(_: int, image: Dataset) -> None:
        image.SeriesDescription = "[/red] lung [bold]"

    write(tmp_path / "few", make_images(change=name))
    run = analyse(tmp_path / "few")
    assert run.status == 1
    assert "[/red] lung [bold]" in said(run)


# -- series that no model suits ------------------------------------------------------------


def test_the_8_mm_series_is_refused(analyse: Analyse, lung_dx_a0002: Path) -> None:
    run = analyse(lung_dx_a0002)
    assert run.status == 1
    assert "not analysed" in said(run)
    assert "slices are 8 mm apart or thick, at most 5 mm can be analysed" in said(run)
    assert not (run.folder / "findings.json").exists()


def test_the_reason_in_chinese(analyse: Analyse, tmp_path: Path) -> None:
    write(tmp_path / "thick", make_images(random_hu((24, 8, 8)), step=(0, 0, 8.0)))
    run = analyse(tmp_path / "thick", "--language", "zh")
    assert run.status == 1
    assert "最大可分析 5 mm" in said(run)


def test_a_scout_alone(analyse: Analyse, tmp_path: Path) -> None:
    def scout(_: int, image: Dataset) -> None:
        image.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

    write(tmp_path / "scout", make_images(random_hu((1, 32, 32)), change=scout))
    run = analyse(tmp_path / "scout")
    assert run.status == 1
    assert "a localizer (scout), not a volume" in said(run)


def test_json_of_nothing_is_still_json(analyse: Analyse, tmp_path: Path) -> None:
    write(tmp_path / "few", make_images())
    run = analyse(tmp_path / "few", "--json")
    assert run.status == 1
    assert json.loads(run.out) == []


def test_a_tilted_head_with_three_slice_distances(
    analyse: Analyse, shared_data: Path, tmp_path: Path
) -> None:
    archive = shared_data / "protocol" / "geometry_tilt_gaps" / "dcm_qa_ct_GE_tilt18.5_gap.tar.xz"
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "head", filter="data")
    run = analyse(tmp_path / "head")
    assert run.status in (1, 2)
    assert any(word in said(run) for word in ("uneven", "tilt", "apart or thick", "lung in view"))
    assert not (run.folder / "findings.json").exists()


def test_two_series_mixed_half_and_half(analyse: Analyse, tmp_path: Path) -> None:
    """30 axial and 28 coronal images under one SeriesInstanceUID."""

    def other(k: int, image: Dataset) -> None:
        image.SOPInstanceUID = f"1.2.3.{k}"

    write(tmp_path / "mix", make_images(random_hu((30, 16, 16))), "A")
    coronal = make_images(random_hu((28, 16, 16)), orientation=CORONAL, change=other)
    write(tmp_path / "mix", coronal, "B")
    run = analyse(tmp_path / "mix")
    assert run.status == 2
    assert "images of different kinds: 30 of 16x16" in said(run)


def test_other_pixels_at_one_position(analyse: Analyse, chest: list[Path], tmp_path: Path) -> None:
    folder = copied(chest, tmp_path / "double")
    image = pydicom.dcmread(chest[40])
    edited(chest[40], folder / "again.dcm", PixelData=bytes(len(image.PixelData)))
    run = analyse(folder)
    assert run.status == 2
    assert "again.dcm" in said(run)
    assert "Remove the copies" in said(run)


def test_three_missing_slices(analyse: Analyse, chest: list[Path], tmp_path: Path) -> None:
    run = analyse(copied(chest, tmp_path / "gap", but=(50, 51, 52)))
    assert run.status == 2
    assert "3 in a row" in said(run)
    assert "Send the study again" in said(run)


def test_one_bad_study_stops_no_other(analyse: Analyse, chest: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "both"
    folder.mkdir()
    for n, path in enumerate(chest):
        shutil.copy(path, folder)
        if n not in (50, 51, 52):  # the other study has a gap
            other = {"StudyInstanceUID": "1.2.3.4", "SeriesInstanceUID": "1.2.3.5"}
            edited(path, folder / f"other{n}.dcm", **other)
    run = analyse(folder)
    assert run.status == 1
    assert "not analysed: study 1.2.3.4" in said(run)
    assert "3 in a row" in said(run)
    (made,) = tmp_path.glob("out/*/findings.json")
    assert made.parent.name == pydicom.dcmread(chest[0]).StudyInstanceUID


# -- zips ----------------------------------------------------------------------------------


def zipped(files: list[Path], path: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, prefix + file.name)
    return path


@pytest.mark.parametrize("places", [8, 40])
def test_a_damaged_zip(analyse: Analyse, tmp_path: Path, places: int) -> None:
    """Its directory is whole, its content is not."""
    files = write(tmp_path / "few", make_images())
    path = zipped(files, tmp_path / "study.zip")
    content = bytearray(path.read_bytes())
    content[120 : 120 + places] = bytes(255 - n % 7 for n in range(places))
    path.write_bytes(content)
    run = analyse(path)
    assert run.status == 2
    assert "study.zip: the zip can't be unpacked" in said(run)


def test_a_zip_cut_short(analyse: Analyse, tmp_path: Path) -> None:
    path = zipped(write(tmp_path / "few", make_images()), tmp_path / "study.zip")
    path.write_bytes(path.read_bytes()[:-400])
    run = analyse(path)
    assert run.status == 2
    assert "study.zip" in said(run)


def test_names_in_a_zip_do_not_leave_its_folder(analyse: Analyse, tmp_path: Path) -> None:
    files = write(tmp_path / "few", make_images())
    outside = tmp_path / "caught"
    path = zipped(files, tmp_path / "study.zip", prefix=f"../../../../../../..{outside}/../")
    absolute = tmp_path / "absolute.zip"
    with zipfile.ZipFile(absolute, "w") as archive:
        archive.write(files[0], f"{outside}/CT000.dcm")
        archive.write(files[1], "..\\..\\CT001.dcm")
    before = sorted(tmp_path.rglob("*"))
    for each in (path, absolute):
        run = analyse(each)
        assert run.status == 1
        assert "at least 20 are needed" in said(run)
    assert sorted(tmp_path.rglob("*")) == before


# -- what is read --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def good(chest: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of the whole chest, from a zip with its files in another order."""
    work = tmp_path_factory.mktemp("good")
    path = zipped(chest[::-1], work / "study.zip", prefix="DICOM/../x/")
    assert main(["analyse", str(path), "--out", str(work / "out"), "--threads", "2"]) == 0
    return work / "out"


def test_every_object_is_written(good: Path) -> None:
    names = {path.name for path in good.iterdir()}
    assert {"findings.json", "sr.dcm", "report.html"} <= names
    report = Report.model_validate_json((good / "findings.json").read_text(encoding="utf-8"))
    assert ("seg.dcm" in names) == bool(report.findings)
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
    analyse: Analyse, chest: list[Path], tmp_path: Path
) -> None:
    folder = copied(chest, tmp_path / "hurt", but=(20,))
    cut = folder / chest[70].name
    cut.write_bytes(cut.read_bytes()[:-9000])
    (folder / "note.txt").write_text("hello")
    run = analyse(folder, "--json")
    assert run.status == 0
    assert json.loads(run.out) == run.findings
    told = run.warnings()
    assert told["missing-slices"].startswith("2 slice(s)")
    assert cut.name in told["unreadable-file"]
    assert "note.txt" in told["not-dicom"]
    assert run.findings["slice_count"] == 120
    assert run.findings["spacing_mm"][0] == pytest.approx(2.5)
    lost = {pydicom.dcmread(chest[n], stop_before_pixels=True).SOPInstanceUID for n in (20, 70)}
    for finding in run.findings["findings"]:
        assert not lost & set(finding["slices"])


def test_copies_a_scout_and_another_series_are_told_in_the_result(
    analyse: Analyse, chest: list[Path], tmp_path: Path
) -> None:
    folder = copied(chest, tmp_path / "mixed")
    edited(chest[30], folder / "AAA copy.dcm")
    scout = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
    edited(chest[0], folder / "AAA scout.dcm", ImageOrientationPatient=list(CORONAL),
           SliceThickness="500", **scout)  # fmt: skip
    edited(chest[60], folder / "other.dcm", SeriesInstanceUID="1.2.3.4", **scout)
    shutil.copy(chest[10], folder / "same file.dcm")
    run = analyse(folder)
    assert run.status == 0
    told = run.warnings()
    assert "exact copies" in told["duplicate-positions"]
    assert "120 of 121" in told["inconsistent-images"]
    assert told["several-series"].startswith("the study has 2 series")
    assert told["same-instance-twice"].startswith("1 file(s)")
    assert run.findings["slice_count"] == 120
    for text in (told["duplicate-positions"], told["several-series"]):
        assert text in " ".join(run.out.split())
