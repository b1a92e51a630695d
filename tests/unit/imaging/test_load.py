"""Slices to a volume: order, gaps, copies, and files that can't be read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from imaging.errors import InconsistentSeries, IrregularGeometry, SeriesError
from imaging.resample import to_sitk
from tests.unit.imaging.synthetic import (
    AXIAL,
    CORONAL,
    SHAPE,
    codes,
    load,
    make_images,
    random_hu,
    write,
)

HU = random_hu()
OBLIQUE = tuple(np.round([np.cos(0.3), np.sin(0.3), 0, -np.sin(0.3) * np.cos(0.2),
                          np.cos(0.3) * np.cos(0.2), np.sin(0.2)], 9))  # fmt: skip


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """An untroubled axial series."""
    return write(tmp_path_factory.mktemp("plain"), make_images(HU))


# -- place and order ---------------------------------------------------------------------


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(order=st.permutations(range(SHAPE[0])))
def test_any_order_of_files_makes_the_same_volume(plain: list[Path], order: list[int]) -> None:
    loaded = load([plain[n] for n in order])
    assert np.array_equal(loaded.volume.voxels, HU)
    assert [s and s.path for s in loaded.volume.sources] == plain
    assert loaded.notices == ()


def reversed_numbers(k: int, image: Dataset) -> None:
    image.InstanceNumber = SHAPE[0] - k


@pytest.mark.parametrize("way", ["up", "down", "numbers reversed"])
def test_position_decides_and_neither_direction_nor_number(tmp_path: Path, way: str) -> None:
    """The same patient, stored three ways: the same voxels at the same places."""
    options: dict[str, Any] = {"up": {}, "numbers reversed": {"change": reversed_numbers}}.get(
        way, {}
    )
    images = make_images(HU, **options)
    paths = write(tmp_path, images[::-1] if way == "down" else images)
    volume = load(paths).volume
    assert np.array_equal(volume.voxels, HU)
    assert volume.grid.to_lps((3, 4, 5)) == pytest.approx(
        np.array([-10 + 5 * 0.7, -20 + 4 * 0.8, -100 + 3 * 2.5])
    )
    assert volume.voxels.dtype == np.int16


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, OBLIQUE, (-1.0, 0, 0, 0, 1.0, 0)])
def test_geometry_and_values_are_simpleitk_s(
    tmp_path: Path, orientation: tuple[float, ...]
) -> None:
    """Another reader of the same files puts every value at the same place in the patient."""
    paths = write(tmp_path, make_images(HU, orientation=orientation))
    volume = load(paths).volume
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(path) for path in paths])
    theirs = reader.Execute()
    values = sitk.GetArrayFromImage(theirs)
    for k in (0, 5, 11):
        for j in (0, 13, 31):
            for i in (0, 9, 27):
                point = theirs.TransformIndexToPhysicalPoint((i, j, k))
                ours = volume.grid.to_index(point)
                assert ours == pytest.approx(np.rint(ours), abs=1e-3)
                mine = volume.voxels[tuple(np.rint(ours).astype(int))]
                assert mine == values[k, j, i]
    # ... and what we hand to SimpleITK lies where its own reader put it.
    back = to_sitk(volume.voxels, volume.grid)
    assert back.GetSpacing() == pytest.approx(theirs.GetSpacing(), abs=1e-4)
    corner = theirs.TransformIndexToPhysicalPoint((27, 31, 0))
    assert back.TransformIndexToPhysicalPoint((27, 31, 0)) == pytest.approx(corner, abs=1e-3)


def test_spacing_comes_from_positions_not_from_the_thickness(tmp_path: Path) -> None:
    def thin(_: int, image: Dataset) -> None:
        image.SliceThickness = 1.0
        image.SpacingBetweenSlices = 1.0

    loaded = load(write(tmp_path, make_images(HU, change=thin)))
    assert loaded.volume.grid.spacing_mm == pytest.approx((2.5, 0.8, 0.7))
    assert codes(loaded) == ["thickness-differs"]
    assert "1 mm" in loaded.notices[0].text.en
    assert "2.5 mm" in loaded.notices[0].text.en


# -- gaps and copies ---------------------------------------------------------------------


@pytest.mark.parametrize("gone", [(4,), (4, 5)])
def test_missing_slices_are_interpolated_and_said(tmp_path: Path, gone: tuple[int, ...]) -> None:
    hu = random_hu((60, 8, 8))
    paths = write(tmp_path, make_images(hu))
    loaded = load([p for k, p in enumerate(paths) if k not in gone])
    voxels, sources = loaded.volume.voxels, loaded.volume.sources
    assert voxels.shape == hu.shape
    assert [k for k, source in enumerate(sources) if source is None] == list(gone)
    low, high = hu[3].astype(float), hu[gone[-1] + 1].astype(float)
    for n, k in enumerate(gone, start=1):
        expected = low + (high - low) * n / (len(gone) + 1)
        assert np.abs(voxels[k] - expected).max() <= 0.5
    rest = [k for k in range(60) if k not in gone]
    assert np.array_equal(voxels[rest], hu[rest])
    (item,) = loaded.notices
    assert item.code == "missing-slices"
    assert f"{-100 + 2.5 * gone[0]:g}" in item.text.en


def test_three_missing_in_a_row_are_refused(tmp_path: Path) -> None:
    paths = write(tmp_path, make_images(random_hu((80, 8, 8))))
    with pytest.raises(IrregularGeometry, match=r"3 in a row.*CT003\.dcm.*CT007\.dcm"):
        load([p for k, p in enumerate(paths) if k not in (4, 5, 6)])


def test_exact_copies_are_dropped_and_said(tmp_path: Path) -> None:
    images = make_images(HU)
    copies = make_images(HU, change=lambda k, i: setattr(i, "SOPInstanceUID", f"1.2.{k}"))[3:5]
    loaded = load(write(tmp_path, [*images, *copies]))
    assert np.array_equal(loaded.volume.voxels, HU)
    (item,) = loaded.notices
    assert item.code == "duplicate-positions"
    assert item.text.en.startswith("2 image(s)")
    assert "12 of 14" in item.text.en


def test_other_pixels_at_the_same_place_are_refused(tmp_path: Path) -> None:
    images = make_images(HU)
    (other,) = make_images(HU[:1] + 1, change=lambda k, i: setattr(i, "SOPInstanceUID", "1.2.3"))
    paths = write(tmp_path, [*images, other])
    with pytest.raises(InconsistentSeries, match=r"CT000\.dcm and CT012\.dcm"):
        load(paths)


@pytest.mark.parametrize("keyword", ["AcquisitionNumber", "EchoTime", "ContrastBolusAgent"])
def test_two_acquisitions_in_one_series_are_not_mixed(tmp_path: Path, keyword: str) -> None:
    def tagged(value: str, uid: str) -> Any:
        def change(k: int, image: Dataset) -> None:
            setattr(image, keyword, value)
            image.SOPInstanceUID = f"{uid}.{k}"

        return change

    other = random_hu(seed=2)
    one = make_images(HU, change=tagged("1", "1.2.1"))
    two = make_images(other, change=tagged("2", "1.2.2"))
    mixed = [image for pair in zip(one, two, strict=True) for image in pair]
    loaded = load(write(tmp_path, mixed))
    assert any(np.array_equal(loaded.volume.voxels, whole) for whole in (HU, other))
    (item,) = loaded.notices
    assert item.code == "duplicate-positions"
    assert keyword in item.text.en


def test_two_series_under_one_uid_are_refused(tmp_path: Path) -> None:
    coronal = make_images(
        HU, orientation=CORONAL, change=lambda k, i: setattr(i, "SOPInstanceUID", f"1.2.{k}")
    )
    paths = write(tmp_path, [*make_images(HU), *coronal])
    with pytest.raises(InconsistentSeries, match="different kinds"):
        load(paths)


@pytest.mark.parametrize("first", [True, False])
def test_a_scout_inside_is_left_out_and_said(tmp_path: Path, first: bool) -> None:
    scout = make_images(
        random_hu((1, 64, 28)),
        orientation=CORONAL,
        change=lambda k, i: setattr(i, "SOPInstanceUID", "1.2.3"),
    )
    images = make_images(HU)
    loaded = load(write(tmp_path, [*scout, *images] if first else [*images, *scout]))
    assert np.array_equal(loaded.volume.voxels, HU)
    assert codes(loaded) == ["inconsistent-images"]


# -- files that can't be used ------------------------------------------------------------


def test_a_truncated_file_is_named_and_its_slice_filled(tmp_path: Path) -> None:
    paths = write(tmp_path, make_images(HU))
    content = paths[6].read_bytes()
    paths[6].write_bytes(content[: len(content) - 700])
    loaded = load(paths)
    assert codes(loaded) == ["unreadable-file", "missing-slices"]
    assert "CT006.dcm" in loaded.notices[0].text.en
    assert "z = -85" in loaded.notices[1].text.en
    assert loaded.volume.sources[6] is None


def test_a_damaged_compressed_stream_is_named(tmp_path: Path) -> None:
    def compress(_: int, image: Dataset) -> None:
        image.file_meta = pydicom.dataset.FileMetaDataset()
        image.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        image.compress(pydicom.uid.JPEG2000Lossless)

    images = make_images(random_hu((30, 64, 64)), change=compress)
    paths = []
    for n, image in enumerate(images):
        image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        paths.append(tmp_path / f"CT{n:03d}.dcm")
        image.save_as(paths[-1], enforce_file_format=True)
    content = bytearray(paths[6].read_bytes())
    at = content.index(b"\xff\x4f\xff\x51")
    content[at : at + 60] = bytes(60)
    paths[6].write_bytes(content)
    loaded = load(paths)
    assert codes(loaded) == ["unreadable-file", "missing-slices"]
    text = loaded.notices[0].text.en
    assert "CT006.dcm" in text
    assert "JPEG 2000" in text
    rest = [k for k in range(30) if k != 6]
    assert np.array_equal(loaded.volume.voxels[rest], random_hu((30, 64, 64))[rest])


def test_when_no_file_is_readable_the_cause_is_said(tmp_path: Path) -> None:
    paths = write(tmp_path, make_images(HU))
    for path in paths:
        path.write_bytes(path.read_bytes()[:-700])
    with pytest.raises(SeriesError, match=r"none of the 12 images.*CT000\.dcm.*decoded"):
        load(paths)


def test_pixels_that_do_not_fit_the_header_are_not_used(tmp_path: Path) -> None:
    """More rows said than stored."""

    def change(k: int, image: Dataset) -> None:
        if k == 6:
            image.PixelData = image.PixelData[: 20 * 28 * 2]

    loaded = load(write(tmp_path, make_images(HU, change=change)))
    assert codes(loaded) == ["unreadable-file", "missing-slices"]


def test_file_names_are_never_trusted(plain: list[Path], tmp_path: Path) -> None:
    """Names with braces, brackets and other characters that mean something elsewhere."""
    names = ["[red]{0}.dcm", "a b;c.dcm", "ŝ切片.dcm"]
    paths = [Path(shutil.copy(p, tmp_path / n)) for p, n in zip(plain, names, strict=False)]
    assert np.array_equal(load(paths).volume.voxels, HU[:3])
