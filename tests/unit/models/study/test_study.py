"""A study's files to a report: what was read, found, numbered, and what a reader is told."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest

from imaging.errors import InconsistentSeries
from imaging.geometry import Point
from imaging.volume import Region
from models.errors import InputRefused
from models.loaded import LoadedModel
from models.pipeline import Candidate, Lesions
from models.study.reading import StudyReading, plan_study, read_study
from tests.unit.imaging.synthetic import make_images, write
from tests.unit.models.made import CHEST_MM, bright_model, chest, chest_grid

LEFT: Point = (50.0, 4.0, 12.0)
RIGHT: Point = (-44.0, -20.0, -30.0)
BALLS = ((LEFT, 20.0, 180), (RIGHT, 20.0, 250))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return bright_model(tmp_path_factory.mktemp("models") / "bright")


def write_chest(folder: Path, *, name: str = "chest") -> list[Path]:
    volume = chest(chest_grid(), BALLS)
    images = make_images(
        volume.voxels,
        first=volume.grid.affine[:3, 3],
        spacing=CHEST_MM[1:],
        step=(0, 0, CHEST_MM[0]),
        name=name,
    )
    return write(folder, images)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_chest(tmp_path_factory.mktemp("chest"))


def read(paths: list[Path], model: LoadedModel, revision: int = 1) -> StudyReading:
    scan, plan = plan_study(paths, model.spec)
    return read_study(scan, plan, model, revision=revision)


@pytest.fixture(scope="module")
def reading(files: list[Path], model: LoadedModel) -> StudyReading:
    return read(files, model)


def warned(reading: StudyReading) -> list[str]:
    return [notice.code for notice in reading.report.warnings]


def test_the_report_says_whose_and_what(reading: StudyReading, files: list[Path]) -> None:
    header = pydicom.dcmread(files[0], stop_before_pixels=True)
    report = reading.report
    assert report.study_uid == header.StudyInstanceUID
    assert report.series_uid == header.SeriesInstanceUID
    assert (report.patient.patient_id, report.patient.patient_name) == ("S1", "Synthetic^One")
    assert (report.accession_number, report.study_date) == ("A1", "20260105")
    assert report.modality == "CT"
    assert report.slice_count == len(files)
    assert report.spacing_mm == pytest.approx(CHEST_MM)
    assert (report.model.name, report.model.version) == ("bright", "1.0")
    assert len(report.model.sha256) == 64
    assert report.stage == "preliminary"
    assert report.created_at.tzinfo is not None


def test_findings_are_numbered_by_score_and_measured(
    reading: StudyReading, files: list[Path]
) -> None:
    first, second = reading.report.findings
    assert [first.number, second.number] == [1, 2]
    assert [first.segment_number, second.segment_number] == [1, 2]
    assert first.score > second.score
    for finding, centre, hu in ((first, RIGHT, 250), (second, LEFT, 180)):
        assert np.linalg.norm(np.subtract(finding.centre_lps_mm, centre)) < 2
        assert finding.long_axis_mm == pytest.approx(20, abs=4.3)
        assert finding.volume_mm3 == pytest.approx(4189, rel=0.25)
        assert finding.mean_hu == pytest.approx(hu, abs=150)
        known = {
            pydicom.dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID for path in files
        }
        assert set(finding.slices) <= known
        assert 3 <= len(finding.slices) <= 7
        assert finding.key_image.sop_instance_uid in finding.slices
    assert set(reading.regions) == {first.tracking_uid, second.tracking_uid}


def test_the_same_again_has_the_same_uids_and_a_revision_others(
    reading: StudyReading, files: list[Path], model: LoadedModel
) -> None:
    again, revised = read(files[::-1], model), read(files, model, revision=2)
    first = [f.tracking_uid for f in reading.report.findings]
    assert [f.tracking_uid for f in again.report.findings] == first
    assert not set(first) & {f.tracking_uid for f in revised.report.findings}
    same = {"created_at": reading.report.created_at}
    assert again.report.model_copy(update=same) == reading.report


def test_strangers_gaps_and_other_series_are_told(
    files: list[Path], model: LoadedModel, tmp_path: Path
) -> None:
    paths = [Path(shutil.copy(path, tmp_path)) for n, path in enumerate(files) if n != 3]
    (tmp_path / "readme.txt").write_text("not an image")
    short = write(tmp_path / "short", make_images(name="short"))
    told = read([*paths, tmp_path / "readme.txt", *short], model)
    assert {"not-dicom", "missing-slices", "several-series"} <= set(warned(told))
    assert told.volume.sources[3] is None
    assert len(told.report.findings) == 2


@pytest.mark.parametrize(
    ("flag", "code"), [("fake", "fake-model"), ("reference_weights", "reference-weights")]
)
def test_what_the_model_is_stands_on_every_result(
    files: list[Path], model: LoadedModel, flag: str, code: str
) -> None:
    other = LoadedModel(model.spec.model_copy(update={flag: True}), model.networks)
    told = read(files, other)
    assert code in warned(told)
    assert told.report.fake == (flag == "fake")


def test_without_flags_nothing_of_the_kind_is_said(reading: StudyReading) -> None:
    assert not {"fake-model", "reference-weights"} & set(warned(reading))


def test_a_lesion_between_slices_is_told_and_takes_no_number(
    files: list[Path], model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lesions(volume: object, *_: object, **__: object) -> Lesions:
        grid = chest_grid()
        one = np.ones((1, 3, 3), bool)
        between = Candidate(Region(one, (3, 20, 20), grid), 0.9)
        shown = Candidate(Region(one, (10, 20, 20), grid), 0.7)
        return Lesions((between, shown), (), {})

    monkeypatch.setattr("models.study.reading.find_lesions", lesions)
    told = read([path for n, path in enumerate(files) if n != 3], model)
    (finding,) = told.report.findings
    assert (finding.number, finding.segment_number, finding.score) == (1, 1, 0.7)
    assert "finding-between-slices" in warned(told)
    assert any("0.90" in n.text.en for n in told.report.warnings)


def test_a_plan_without_a_series_can_not_be_read(model: LoadedModel, tmp_path: Path) -> None:
    scan, plan = plan_study(write(tmp_path, make_images()), model.spec)
    assert plan.chosen is None
    with pytest.raises(ValueError, match="no series"):
        read_study(scan, plan, model)


def test_no_lung_and_no_volume_are_their_own_errors(
    files: list[Path], model: LoadedModel, tmp_path: Path
) -> None:
    solid = np.full((24, 40, 40), 40, np.int16)
    with pytest.raises(InputRefused, match="lung"):
        read(write(tmp_path / "solid", make_images(solid)), model)
    other = pydicom.dcmread(files[4])
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    other.PixelData = pydicom.dcmread(files[9]).PixelData
    other.save_as(tmp_path / "other.dcm")
    with pytest.raises(InconsistentSeries, match=r"other\.dcm"):
        read([*files, tmp_path / "other.dcm"], model)


def test_a_failed_study_leaves_the_model_free(
    files: list[Path], model: LoadedModel, tmp_path: Path
) -> None:
    solid = np.full((24, 40, 40), 40, np.int16)
    with pytest.raises(InputRefused):
        read(write(tmp_path, make_images(solid)), model)
    assert not model.lock.locked()
    assert len(read(files, model).report.findings) == 2
