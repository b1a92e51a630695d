"""Pixels to a volume in HU: values, order, gaps, copies, and files that can't be read."""

from __future__ import annotations

import shutil
import tarfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedCTImageStorage

from imaging import load as loading
from imaging.errors import InconsistentSeries, IrregularGeometry, PixelsUndecodable, SeriesError
from imaging.headers import read_header, scan_files, slices_of
from imaging.load import load_series
from imaging.resample import to_sitk
from imaging.series import group_series
from tests.unit.imaging.synthetic import (
    AXIAL,
    CORONAL,
    INTERCEPT,
    SHAPE,
    codes,
    load,
    make_images,
    random_hu,
    set_stored,
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


def test_gantry_tilt_is_refused(tmp_path: Path) -> None:
    paths = write(tmp_path, make_images(HU, step=(0, 2.5 * np.tan(np.radians(12)), 2.5)))
    with pytest.raises(IrregularGeometry, match=r"12\.0 degrees \(gantry tilt\)"):
        load(paths)


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


# -- values ------------------------------------------------------------------------------


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize("signed", [True, False])
def test_signed_and_unsigned_storage_mean_the_same_hu(
    tmp_path: Path, signed: bool, photometric: str
) -> None:
    """MONOCHROME1 is a way of display (PS3.3 C.7.6.3.1.2); the values stay HU."""

    def change(k: int, image: Dataset) -> None:
        image.PhotometricInterpretation = photometric
        image.RescaleIntercept = 0 if signed else INTERCEPT
        set_stored(image, HU[k] if signed else HU[k].astype(int) - INTERCEPT, signed=signed)

    assert np.array_equal(load(write(tmp_path, make_images(HU, change=change))).volume.voxels, HU)


def test_each_slice_has_its_own_rescale(tmp_path: Path) -> None:
    def change(k: int, image: Dataset) -> None:
        slope, intercept = 1 + k % 3, -1200 + 10 * k
        even = HU[k].astype(int) // slope * slope + intercept % slope
        wanted[k] = even
        image.RescaleSlope, image.RescaleIntercept = slope, intercept
        set_stored(image, (even - intercept) // slope)

    wanted = np.zeros(SHAPE, int)
    paths = write(tmp_path, make_images(HU, change=change))
    assert np.array_equal(load(paths).volume.voxels, wanted)


def test_a_fractional_slope_keeps_its_fractions(tmp_path: Path) -> None:
    def change(k: int, image: Dataset) -> None:
        image.RescaleSlope = "0.25"
        set_stored(image, (HU[k].astype(int) - INTERCEPT) * 4 + 1)

    voxels = load(write(tmp_path, make_images(HU, change=change))).volume.voxels
    assert voxels.dtype == np.float32
    assert voxels == pytest.approx(HU + 0.25)


@pytest.mark.parametrize("empty", [None, "absent"])
def test_no_rescale_means_stored_values(tmp_path: Path, empty: str | None) -> None:
    def change(k: int, image: Dataset) -> None:
        set_stored(image, HU[k], signed=True)
        for keyword in ("RescaleSlope", "RescaleIntercept"):
            if empty == "absent":
                delattr(image, keyword)
            else:
                setattr(image, keyword, None)

    assert np.array_equal(load(write(tmp_path, make_images(HU, change=change))).volume.voxels, HU)


@pytest.mark.parametrize("outside", [-2000, -3024])
def test_outside_the_circle_is_air(tmp_path: Path, outside: int) -> None:
    def change(k: int, image: Dataset) -> None:
        values = HU[k].copy()
        values[:4, :4] = outside
        image.RescaleIntercept = 0
        set_stored(image, values, signed=True)

    voxels = load(write(tmp_path, make_images(HU, change=change))).volume.voxels
    assert (voxels[:, :4, :4] == -1024).all()
    assert np.array_equal(voxels[:, 4:], HU[:, 4:])


def test_padding_is_air_even_where_its_value_is_bone(tmp_path: Path) -> None:
    def change(k: int, image: Dataset) -> None:
        values = HU[k].astype(int) - INTERCEPT
        values[:4, :4] = 4095
        image.add_new("PixelPaddingValue", "US", 4095)
        set_stored(image, values)

    voxels = load(write(tmp_path, make_images(HU, change=change))).volume.voxels
    assert (voxels[:, :4, :4] == -1024).all()
    assert np.array_equal(voxels[:, 4:], HU[:, 4:])


def test_a_range_of_padding(tmp_path: Path) -> None:
    def change(k: int, image: Dataset) -> None:
        values = HU[k].astype(int) - INTERCEPT
        values[0, :3] = 5000, 5005, 5010
        image.add_new("PixelPaddingValue", "US", 5010)
        image.add_new("PixelPaddingRangeLimit", "US", 5000)
        set_stored(image, values)

    voxels = load(write(tmp_path, make_images(HU, change=change))).volume.voxels
    assert (voxels[:, 0, :3] == -1024).all()
    assert np.array_equal(voxels[:, 1:], HU[:, 1:])


def test_magnetic_resonance_keeps_its_low_and_padding_values(tmp_path: Path) -> None:
    def change(k: int, image: Dataset) -> None:
        image.Modality = "MR"
        image.RescaleIntercept = -3000

    loaded = load(write(tmp_path, make_images(HU, change=change)))
    assert np.array_equal(loaded.volume.voxels, HU.astype(int) - INTERCEPT - 3000)
    assert loaded.notices == ()


def test_values_that_are_no_hu_are_doubted(tmp_path: Path) -> None:
    """Unsigned storage whose rescale intercept was lost: air at 0."""
    paths = write(tmp_path, make_images(HU, change=lambda k, i: setattr(i, "RescaleIntercept", 0)))
    assert codes(load(paths)) == ["implausible-values"]


# -- enhanced multi-frame ----------------------------------------------------------------


def enhanced(order: list[int]) -> Dataset:
    """The plain series as one Enhanced CT image, its frames in ``order``."""
    images = make_images(HU)
    whole = images[0]
    whole.SOPClassUID = EnhancedCTImageStorage
    whole.NumberOfFrames = len(order)
    shared, frames = Dataset(), []
    measures, turned = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = whole.PixelSpacing, whole.SliceThickness
    turned.ImageOrientationPatient = whole.ImageOrientationPatient
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([turned])
    for k in order:
        place, values, frame = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = images[k].ImagePositionPatient
        # Each frame has a rescale of its own, as Philips and others write it.
        values.RescaleSlope, values.RescaleIntercept = 1, INTERCEPT - k
        values.RescaleType = "HU"
        frame.PlanePositionSequence = Sequence([place])
        frame.PixelValueTransformationSequence = Sequence([values])
        frames.append(frame)
    whole.SharedFunctionalGroupsSequence = Sequence([shared])
    whole.PerFrameFunctionalGroupsSequence = Sequence(frames)
    stored = np.stack([HU[k].astype(int) - INTERCEPT + k for k in order])
    set_stored(whole, stored)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
                    "SliceThickness", "RescaleSlope", "RescaleIntercept"):  # fmt: skip
        delattr(whole, keyword)
    return whole


def test_an_enhanced_image_is_the_volume_of_its_frames(tmp_path: Path) -> None:
    order = [7, 0, 3, 11, 1, 2, 10, 4, 9, 5, 8, 6]
    loaded = load(write(tmp_path, [enhanced(order)]))
    assert np.array_equal(loaded.volume.voxels, HU)
    assert loaded.volume.grid.spacing_mm == pytest.approx((2.5, 0.8, 0.7))
    frames = [source and source.frame_number for source in loaded.volume.sources]
    assert frames == [order.index(k) + 1 for k in range(12)]
    assert loaded.notices == ()


@pytest.mark.parametrize(
    ("name", "shape", "spacing"),
    [
        ("nema_MR/BRTUM008", (24, 256, 256), (6.0, 0.820312, 0.820312)),
        ("dcm_qa_enh/Siemens/XA10/6_1.dcm", (6, 64, 64), (2.4, 3.375, 3.375)),
        ("dcm_qa_enh/Philips/IM_0027_fMAP.dcm", (32, 64, 64), (4.0, 4.0, 4.0)),
        ("dicom2nifti_philips_enhanced/anatomical/001/IM-0001-0170-0001.dcm", (8, 256, 256),
         (1.2, 1.0, 1.0)),
    ],
)  # fmt: skip
def test_real_enhanced_images(
    shared_data: Path, name: str, shape: tuple[int, ...], spacing: tuple[float, ...]
) -> None:
    path = shared_data / "protocol" / "enhanced_multiframe" / name
    volume = load([path]).volume
    assert volume.voxels.shape == shape
    assert volume.grid.spacing_mm == pytest.approx(spacing, abs=1e-3)
    stored = pydicom.dcmread(path)
    frames, groups = stored.pixel_array, stored.PerFrameFunctionalGroupsSequence
    for k, source in enumerate(volume.sources):
        assert source is not None
        assert source.frame_number is not None
        frame = groups[source.frame_number - 1]
        place = frame.PlanePositionSequence[0].ImagePositionPatient
        assert volume.grid.to_lps((k, 0, 0)) == pytest.approx(np.array(place, float), abs=0.01)
        transform = frame.get("PixelValueTransformationSequence")
        slope = float(transform[0].RescaleSlope) if transform else 1.0
        intercept = float(transform[0].RescaleIntercept) if transform else 0.0
        plane = frames[source.frame_number - 1] * slope + intercept
        assert np.allclose(volume.voxels[k], plane, rtol=1e-5, atol=1e-3)


# -- other people's files ----------------------------------------------------------------

LOSSLESS = [
    f"{image}_{how}"
    for image in ("CT1", "CT2", "MR1", "MR2", "MR3")
    for how in ("J2KR", "JLSL", "JPLL", "RLE")
    if (image, how) != ("MR2", "RLE")  # the twin that the others are compared with
]


def decoded(path: Path) -> np.ndarray:
    """One image through the decoding that every volume goes through."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        images = list(slices_of(path, read_header(path)))
        (plane,) = loading._decode(images).values()
    return plane


def twin(folder: Path, name: str) -> np.ndarray:
    uncompressed = folder / f"{name[:3]}_UNC"
    return decoded(uncompressed if uncompressed.exists() else folder / f"{name[:3]}_RLE")


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_syntaxes_decode_to_the_same_values(shared_data: Path, name: str) -> None:
    folder = shared_data / "protocol" / "transfer_syntaxes"
    plane = decoded(folder / name)
    assert np.array_equal(plane, twin(folder, name))
    assert np.ptp(plane) > 1000


@pytest.mark.parametrize("name", ["CT1_JLSN", "CT2_JLSN", "MR1_JLSN", "MR3_JLSN"])
def test_near_lossless_stays_near(shared_data: Path, name: str) -> None:
    """The streams say NEAR in their own header; no value may be farther off than that."""
    folder = shared_data / "protocol" / "transfer_syntaxes"
    content = (folder / name).read_bytes()
    scan = content.index(b"\xff\xda")  # SOS: length, count, (component, table), NEAR (T.87 C.2.3)
    near = content[scan + 7]
    slope = float(pydicom.dcmread(folder / name, stop_before_pixels=True).get("RescaleSlope", 1))
    assert 0 < near < 20
    assert np.abs(decoded(folder / name) - twin(folder, name)).max() <= near * slope


@pytest.mark.parametrize(
    "syntax", ["1.2.1.99", "1.2.4.57", "1.2.4.70", "1.2.4.81", "1.2.4.91", "1.2"]
)
def test_every_grey_syntax_decodes(shared_data: Path, syntax: str) -> None:
    folder = shared_data / "protocol" / "transfer_syntaxes"
    plane = decoded(folder / f"1.2.840.10008.{syntax}.dcm")
    header = pydicom.dcmread(folder / f"1.2.840.10008.{syntax}.dcm", force=True)
    assert plane.shape == (header.Rows, header.Columns)
    assert np.ptp(plane) > 100


@pytest.mark.parametrize(
    ("syntax", "said"),
    [("1.2.1", "Explicit VR Little Endian"), ("1.2.2", "Big Endian"), ("1.2.4.51", "12-bit")],
)
def test_what_can_not_be_decoded_names_file_syntax_and_remedy(
    shared_data: Path, syntax: str, said: str
) -> None:
    """Two colour images and a 12-bit lossy JPEG, which no decoder we install can read."""
    path = shared_data / "protocol" / "transfer_syntaxes" / f"1.2.840.10008.{syntax}.dcm"
    with pytest.raises(PixelsUndecodable, match=said) as caught:
        decoded(path)
    assert str(caught.value).startswith(f"{path}: its pixels can't be decoded")
    assert "Send the image again" in str(caught.value)


def test_nuclear_images_in_three_syntaxes_agree(shared_data: Path) -> None:
    folder = shared_data / "protocol" / "transfer_syntaxes"
    planes = [decoded(folder / f"1.2.840.10008.1.2.{n}.dcm") for n in ("4.80", "4.90", "5")]
    assert np.array_equal(planes[0], planes[1])
    assert np.array_equal(planes[0], planes[2])


def hostile_sets(data: Path) -> list[list[Path]]:
    protocol = data / "protocol"
    single = [[p] for p in sorted((protocol / "hostile").rglob("*")) if p.is_file()]
    folders = sorted((protocol / "geometry_tilt_gaps" / "dicom2nifti_failing").glob("*/*"))
    return [*single, *([p for p in sorted(f.rglob("*")) if p.is_file()] for f in folders)]


def test_hostile_and_irregular_files_give_a_notice_or_a_series_error(shared_data: Path) -> None:
    sets = hostile_sets(shared_data)
    assert len(sets) > 50
    for paths in sets:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scan = scan_files(paths)
            for series in group_series(scan):
                try:
                    loaded = load_series(series)
                except SeriesError as error:
                    assert len(str(error)) > 20, paths
                else:
                    assert loaded.volume.grid.is_orthogonal(), paths


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("gantrytilting", "gantry tilt"),
        ("notavolume", "one position"),
        ("sliceorientation", "different kinds"),
    ],
)
def test_known_bad_geometry_is_refused(shared_data: Path, folder: str, said: str) -> None:
    root = shared_data / "protocol" / "geometry_tilt_gaps" / "dicom2nifti_failing" / folder
    with pytest.raises(SeriesError, match=said):
        load(sorted(p for p in root.rglob("*") if p.is_file()))


def test_a_head_ct_with_three_slice_distances_is_refused(shared_data: Path, tmp_path: Path) -> None:
    archive = shared_data / "protocol" / "geometry_tilt_gaps" / "dcm_qa_ct_GE_tilt18.5_gap.tar.xz"
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    with pytest.raises(IrregularGeometry, match=r"1\.08 to 7\.00 mm"):
        load(sorted(p for p in tmp_path.rglob("*") if p.is_file()))


def test_file_names_are_never_trusted(plain: list[Path], tmp_path: Path) -> None:
    """Names with braces, brackets and other characters that mean something elsewhere."""
    names = ["[red]{0}.dcm", "a b;c.dcm", "ŝ切片.dcm"]
    paths = [Path(shutil.copy(p, tmp_path / n)) for p, n in zip(plain, names, strict=False)]
    assert np.array_equal(load(paths).volume.voxels, HU[:3])
