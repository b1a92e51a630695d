"""`preread analyse` on what people really give it: never a traceback, always a reason."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from benchmarks.archives import unpack
from tests.e2e.analysed import Analyse, copied, edited, said, zipped
from tests.unit.imaging.synthetic import CORONAL, make_images, random_hu, write

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
    run = analyse(unpack(archive, tmp_path / "head"))
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
    assert run.status == 1
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
    run = analyse(copied(chest, tmp_path / "gap", but=(30, 31, 32)))
    assert run.status == 1
    assert "3 in a row" in said(run)
    assert "Send the study again" in said(run)


def test_one_bad_study_stops_no_other(
    analyse: Analyse, bright: str, coarse: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "both"
    folder.mkdir()
    for n, path in enumerate(coarse):
        shutil.copy(path, folder)
        if n not in (20, 21, 22):  # the other study has a gap
            other = {"StudyInstanceUID": "1.2.3.4", "SeriesInstanceUID": "1.2.3.5"}
            edited(path, folder / f"other{n}.dcm", **other)
    run = analyse(folder, "--config", bright)
    assert run.status == 1
    assert "not analysed: study 1.2.3.4" in said(run)
    assert "3 in a row" in said(run)
    (made,) = tmp_path.glob("out/*/findings.json")
    assert made.parent.name == pydicom.dcmread(coarse[0]).StudyInstanceUID


# -- zips ----------------------------------------------------------------------------------


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
