"""Earlier examinations that a person names on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from imaging.errors import NoImages
from imaging.headers import Scan, scan_files
from imaging.identity import derive_uid
from pacs_bridge.priors.named import named_priors, suiting
from tests.unit.imaging.synthetic import make_images, write


def study(folder: Path, date: str, **changes: Any) -> list[Path]:
    def change(k: int, image: Dataset) -> None:
        image.StudyInstanceUID = derive_uid("named", date)
        image.SOPInstanceUID = derive_uid("named", date, k)
        image.StudyDate = date
        for keyword, value in changes.items():
            setattr(image, keyword, value)

    return write(folder / date, make_images(name=date, change=change))


@pytest.fixture
def now(tmp_path: Path) -> Scan:
    return scan_files(study(tmp_path, "20260105"))


def test_the_latest_comes_first_and_the_study_itself_is_none(tmp_path: Path, now: Scan) -> None:
    for date in ("20230101", "20250101"):
        study(tmp_path, date)
    named = named_priors(sorted(tmp_path.rglob("*.dcm")), tmp_path)
    taken, told = suiting(named, now)
    assert [images.study_date for images in taken] == ["20250101", "20230101"]
    assert [len(images.paths) for images in taken] == [12, 12]
    assert told == []


@pytest.mark.parametrize(
    ("date", "changes", "said"),
    [
        ("20250101", {"PatientBirthDate": "19990101"}, "PatientBirthDate differs"),
        ("20250101", {"PatientSex": "F"}, "PatientSex differs"),
        ("20260106", {}, "StudyDate is not earlier"),
        ("20250101", {"PatientID": "OTHER"}, ""),
    ],
)
def test_what_a_person_names_must_still_agree(
    tmp_path: Path, now: Scan, date: str, changes: dict[str, str], said: str
) -> None:
    taken, told = suiting(named_priors(study(tmp_path, date, **changes), tmp_path), now)
    assert bool(taken) is (said == "")
    assert [n.code for n in told] == (["prior-refused"] if said else [])
    if said:
        assert said in told[0].text.en


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(NoImages, match="no DICOM images in it to compare with"):
        named_priors(tmp_path.iterdir(), tmp_path)
