"""From files to headers: what is an image, what is not, and never a surprise exception."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from imaging.errors import FileError, MissingTag, NotDicom, TruncatedFile
from imaging.headers import Scan, read_header, scan_files, slices_of
from tests.unit.imaging.synthetic import INTERCEPT, make_images, random_hu, write

ONE = random_hu((1, 32, 28))


def told(scan: Scan) -> dict[str, str]:
    return {item.code: item.text.en for item in scan.notices}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write(tmp_path_factory.mktemp("good"), make_images(ONE))[0].read_bytes()


def test_the_fields_of_an_image(tmp_path: Path) -> None:
    def change(_: int, image: Dataset) -> None:
        image.AcquisitionNumber = 7
        image.ConvolutionKernel = ["B60f", "2"]

    (path,) = write(tmp_path, make_images(ONE, change=change))
    (image,) = slices_of(path, read_header(path))
    assert (image.rows, image.columns) == (32, 28)
    assert image.position == (-10, -20, -100)
    assert image.orientation == (1, 0, 0, 0, 1, 0)
    assert image.pixel_spacing == (0.8, 0.7)
    assert image.slice_thickness_mm == 2.5
    assert image.frame_number is None
    assert image.image_type == ("ORIGINAL", "PRIMARY", "AXIAL")
    assert dict(image.variant)["AcquisitionNumber"] == "7"
    assert "B60f" in dict(image.variant)["ConvolutionKernel"]


@pytest.mark.parametrize(
    "keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
)
def test_a_missing_uid_names_file_and_tag(tmp_path: Path, keyword: str) -> None:
    (path,) = write(tmp_path, make_images(ONE))
    header = read_header(path)
    delattr(header, keyword)
    with pytest.raises(MissingTag, match=rf"CT000\.dcm: {keyword} is missing.*Send"):
        list(slices_of(path, header))


@pytest.mark.parametrize(
    ("keyword", "value", "said"),
    [
        ("ImagePositionPatient", [1, 2], "(1.0, 2.0), not 3"),
        ("ImageOrientationPatient", [1, 0, 0], "not 6"),
        ("PixelSpacing", [0.7, 0.7, 0.7], "not 2"),
    ],
)
def test_a_wrong_length_names_tag_and_value(
    tmp_path: Path, keyword: str, value: list[float], said: str
) -> None:
    (path,) = write(tmp_path, make_images(ONE, change=lambda _, i: setattr(i, keyword, value)))
    scan = scan_files([path])
    assert scan.slices == ()
    text = told(scan)["unreadable-file"]
    assert path.name in text
    assert keyword in text
    assert said in text


def test_geometry_may_be_absent_until_somebody_needs_it(tmp_path: Path) -> None:
    def change(_: int, image: Dataset) -> None:
        del image.ImagePositionPatient
        image.PixelSpacing = None

    (image,) = scan_files(write(tmp_path, make_images(ONE, change=change))).slices
    assert image.position is None
    assert image.pixel_spacing is None


def test_text_and_empty_files_are_strangers(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "empty.dcm").write_bytes(b"")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4)
    paths = sorted(tmp_path.iterdir())
    scan = scan_files(paths)
    assert scan.slices == ()
    assert told(scan)["not-dicom"].startswith("3 file(s)")
    assert "empty.dcm" in told(scan)["not-dicom"]
    with pytest.raises(NotDicom, match=r"notes\.txt: is not a DICOM file"):
        read_header(tmp_path / "notes.txt")


def test_a_bare_data_set_without_preamble_is_read(tmp_path: Path) -> None:
    (image,) = make_images(ONE)
    image.save_as(tmp_path / "bare", implicit_vr=True, little_endian=True)
    assert (tmp_path / "bare").read_bytes()[128:132] != b"DICM"
    assert len(scan_files([tmp_path / "bare"]).slices) == 1


def test_objects_without_pixels_are_counted_not_blamed(tmp_path: Path) -> None:
    def change(_: int, image: Dataset) -> None:
        image.SOPClassUID = pydicom.uid.EnhancedSRStorage
        for keyword in ("Rows", "Columns", "PixelData"):
            delattr(image, keyword)

    scan = scan_files(write(tmp_path, make_images(ONE, change=change)))
    assert (scan.slices, scan.notices, scan.other_objects) == ((), (), 1)


def test_the_same_instance_twice_counts_once(tmp_path: Path) -> None:
    first = write(tmp_path / "a", make_images(random_hu((3, 32, 28))))
    again = write(tmp_path / "b", make_images(random_hu((3, 32, 28))))
    scan = scan_files([*first, *again])
    assert [image.path for image in scan.slices] == first
    assert told(scan)["same-instance-twice"].startswith("3 file(s)")


@pytest.mark.parametrize(
    ("keyword", "vr", "raw"),
    [
        ("Rows", "US", b""),
        ("Rows", "US", b"\x01"),
        ("Rows", "US", b"\x20\x00\x20\x00"),
        ("NumberOfFrames", "IS", b"many"),
        ("NumberOfFrames", "IS", b"1A"),
        ("ImagePositionPatient", "DS", b"a\\b\\c "),
        ("PixelSpacing", "DS", b"0,7\\0,7 "),
        ("SliceThickness", "DS", b"thin"),
        ("InstanceNumber", "IS", b"first "),
        ("AcquisitionNumber", "IS", b"1.5.2 "),
        ("SeriesNumber", "IS", b"three "),
        ("ImageType", "CS", b"\xff\xfe"),
    ],
)
def test_a_damaged_value_is_a_notice_and_never_another_exception(
    tmp_path: Path, keyword: str, vr: str, raw: bytes
) -> None:
    """Raw bytes as hostile or broken senders write them; pydicom parses them on access."""
    good, bad = tmp_path / "good.dcm", tmp_path / "bad.dcm"
    (image,) = make_images(ONE)
    (path,) = write(tmp_path, [image])
    path.rename(good)
    image.SOPInstanceUID += "9"
    tag = pydicom.tag.Tag(keyword)
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image[tag] = pydicom.DataElement(tag, "OB", raw + b"\0" * (len(raw) % 2))
    image.save_as(bad, enforce_file_format=True)
    # The VR goes back in by hand: pydicom would not write such a value.
    content = bad.read_bytes()
    wrong = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little") + b"OB\0\0"
    at = content.index(wrong)
    length = content[at + 8 : at + 10]
    content = content[: at + 4] + vr.encode() + length + content[at + 12 :]
    bad.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scan = scan_files([good, bad])
    assert scan.slices[0].path == good
    if len(scan.slices) == 1:
        text = told(scan)["unreadable-file"]
        assert "bad.dcm" in text


def test_deep_nesting_is_a_notice(tmp_path: Path) -> None:
    (image,) = make_images(ONE)
    depth = b""
    for _ in range(4000):
        depth += b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    (path,) = write(tmp_path, [image])
    content = path.read_bytes()
    at = content.index(b"\x28\x00\x02\x00US")
    path.write_bytes(content[:at] + depth + content[at:])
    scan = scan_files([path])
    assert scan.slices == ()
    assert path.name in " ".join(told(scan).values())


def test_an_image_cut_before_its_size_is_told(tmp_path: Path, good: bytes) -> None:
    """What looks like an object without pixels is an image that was cut short."""
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(good[: good.index(b"\x28\x00\x10\x00US")])
    scan = scan_files([cut])
    assert scan.slices == ()
    assert scan.other_objects == 0
    assert "cut.dcm" in told(scan)["unreadable-file"]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(part=st.floats(0, 1))
def test_a_file_cut_anywhere_gives_an_image_or_a_notice(
    tmp_path: Path, good: bytes, part: float
) -> None:
    header = good.index(b"\xe0\x7f\x10\x00")
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(good[: int(part * header)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scan = scan_files([cut])
    assert len(scan.slices) + len(scan.notices) == 1


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(at=st.floats(0, 1), junk=st.binary(min_size=1, max_size=6))
def test_bytes_overwritten_anywhere_give_an_image_or_a_notice(
    tmp_path: Path, good: bytes, at: float, junk: bytes
) -> None:
    place = 128 + int(at * (good.index(b"\xe0\x7f\x10\x00") - 128))
    bad = tmp_path / "bad.dcm"
    bad.write_bytes(good[:place] + junk + good[place + len(junk) :])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scan = scan_files([bad])
    files = {image.path for image in scan.slices}  # the bytes may say that it has many frames
    assert len(files) + len(scan.notices) + scan.other_objects == 1


def test_truncation_inside_the_meta_information(tmp_path: Path, good: bytes) -> None:
    path = tmp_path / "cut.dcm"
    path.write_bytes(good[:150])
    with pytest.raises(FileError) as caught:
        list(slices_of(path, read_header(path)))
    assert isinstance(caught.value, (TruncatedFile, NotDicom))
    assert str(path) in str(caught.value)


def test_frames_without_places_are_images_without_position(tmp_path: Path) -> None:
    def change(_: int, image: Dataset) -> None:
        image.NumberOfFrames = 3
        image.PixelData = np.repeat(ONE - INTERCEPT, 3, axis=0).astype("<u2").tobytes()

    scan = scan_files(write(tmp_path, make_images(ONE, change=change)))
    assert [image.frame_number for image in scan.slices] == [1, 2, 3]
    assert all(image.position is None for image in scan.slices)
