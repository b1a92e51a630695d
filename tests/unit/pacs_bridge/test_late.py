"""Pictures that come after a study was read: which make a new revision, and which don't."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pydicom
import pytest

from imaging.input_rule import InputRule
from models.spec import CATALOG, ModelSpec, read_spec
from pacs_bridge.late import leave_pictures
from pacs_bridge.records import Instance, Study
from pacs_bridge.revisions import revisions_of
from pacs_bridge.store import Store, open_store
from tests.unit.imaging.synthetic import make_images, write

STUDY = "1.2.3"
CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@pytest.fixture
def spec() -> ModelSpec:
    """A model that takes what these tests make: a dozen slices."""
    found = read_spec(CATALOG / "lung_nodule_reference")
    rule = InputRule(modality="CT", minimum_slices=10, orientation="any")
    return found.model_copy(update={"input": rule})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"sqlite:///{tmp_path}/preread.sqlite")


def receive(store: Store, files: list[Path]) -> None:
    for path in files:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        store.record_instance(
            Instance(
                STUDY, str(header.SeriesInstanceUID), str(header.SOPInstanceUID),
                str(header.SOPClassUID), path, digest, 1, "CT",
            ),
            Study(STUDY, source_ae="CT"),
            arrived_at=time.time(),
        )  # fmt: skip


def changed(path: Path, folder: Path, number: int, **values: object) -> Path:
    """A copy of an image as another one of another series, with some attributes otherwise."""
    image = pydicom.dcmread(path)
    folder.mkdir(exist_ok=True)
    image.SOPInstanceUID = f"1.2.3.99.{number}"
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.SeriesInstanceUID = "1.2.3.98"
    image.SeriesNumber = "901"
    image.SeriesDescription = "LATE"
    for keyword, value in values.items():
        if value is None:
            delattr(image, keyword)
        else:
            setattr(image, keyword, value)
    made = folder / f"{number}.dcm"
    image.save_as(made)
    return made


@pytest.fixture
def files(store: Store, tmp_path: Path) -> list[Path]:
    """The images of a study that is read."""
    found = write(tmp_path / "ct", make_images(name="first"))
    receive(store, found)
    assert store.open_reading(STUDY, "one") == 1
    return found


def told(store: Store) -> list[str]:
    return [e.detail for e in store.events_of(STUDY) if e.what == "late-left-alone"]


def capture(path: Path, folder: Path, number: int) -> Path:
    return changed(
        path, folder, number, SOPClassUID=CAPTURE, Modality="OT", ImagePositionPatient=None,
        ImageOrientationPatient=None, ImageType=["DERIVED", "SECONDARY"],
    )  # fmt: skip


def mip(path: Path, folder: Path, number: int) -> Path:
    return changed(path, folder, number, ImageType=["DERIVED", "SECONDARY", "AXIAL", "MIP"])


@pytest.mark.parametrize("make", [capture, mip])
def test_pictures_that_no_model_takes_make_no_revision(
    store: Store, files: list[Path], tmp_path: Path, spec: ModelSpec, make: type
) -> None:
    late = [make(path, tmp_path / "late", n) for n, path in enumerate(files)]
    receive(store, late)
    assert store.has_unread(STUDY)
    assert leave_pictures(store, STUDY, [spec])
    assert not store.has_unread(STUDY)
    assert store.open_reading(STUDY, "two") is None
    (why,) = told(store)
    assert why.startswith("12 late picture(s), no new revision: series 901 LATE: ")
    assert len(store.instances_of(STUDY)) == 24, "they are kept"
    (only,) = revisions_of(store, STUDY)
    assert (only.number, only.new_images) == (1, 12)
    receive(store, late)  # sent again
    assert not store.has_unread(STUDY)


def test_pictures_that_a_model_takes_are_read(
    store: Store, files: list[Path], tmp_path: Path, spec: ModelSpec
) -> None:
    receive(store, [mip(path, tmp_path / "late", n) for n, path in enumerate(files)])
    taking = spec.input.model_copy(update={"derived": True})
    assert not leave_pictures(store, STUDY, [spec.model_copy(update={"input": taking})])
    assert store.open_reading(STUDY, "two") == 2
    assert told(store) == []


def test_a_late_image_of_the_scan_is_read_and_pictures_with_it(
    store: Store, files: list[Path], tmp_path: Path, spec: ModelSpec
) -> None:
    late = changed(files[0], tmp_path / "late", 1, SeriesNumber="3")
    receive(store, [late, capture(files[1], tmp_path / "late", 2)])
    assert not leave_pictures(store, STUDY, [spec])
    assert store.open_reading(STUDY, "two") == 2
    assert revisions_of(store, STUDY)[0].new_images == 2


def test_a_picture_that_comes_first_is_read(store: Store, tmp_path: Path, spec: ModelSpec) -> None:
    """Nothing was said of the study yet: why nothing suits is said on its page."""
    images = write(tmp_path / "ct", make_images(name="first"))
    receive(store, [capture(images[0], tmp_path / "late", 1)])
    assert not leave_pictures(store, STUDY, [spec])
    assert store.open_reading(STUDY, "one") == 1


def test_what_cannot_be_looked_at_is_read(
    store: Store, files: list[Path], tmp_path: Path, spec: ModelSpec
) -> None:
    late = mip(files[0], tmp_path / "late", 1)
    receive(store, [late])
    late.write_bytes(b"damaged")
    assert not leave_pictures(store, STUDY, [spec])
    late.unlink()
    assert not leave_pictures(store, STUDY, [spec])
    assert store.has_unread(STUDY)
