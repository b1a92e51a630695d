"""Enhanced multi-frame images and other people's files: syntaxes, bad geometry, hostile bytes."""

from __future__ import annotations

import subprocess
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedCTImageStorage

from benchmarks.archives import unpack
from imaging.errors import IrregularGeometry, PixelsUndecodable, SeriesError
from imaging.headers import read_header, scan_files, slices_of
from imaging.load import load_series
from imaging.pixels import decode_frames
from imaging.series import group_series
from tests.unit.imaging.synthetic import (
    INTERCEPT,
    load,
    make_images,
    random_hu,
    set_stored,
    write,
)

HU = random_hu()

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
        (plane,) = decode_frames(images).values()
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
    [("1.2.1", "Explicit VR Little Endian"), ("1.2.2", "Big Endian")],
)
def test_images_in_colour_are_refused_with_file_syntax_and_remedy(
    shared_data: Path, syntax: str, said: str
) -> None:
    path = shared_data / "protocol" / "transfer_syntaxes" / f"1.2.840.10008.{syntax}.dcm"
    with pytest.raises(PixelsUndecodable, match=said) as caught:
        decoded(path)
    assert str(caught.value).startswith(f"{path}: its pixels are in colour")
    assert "Send the original images" in str(caught.value)


def test_a_lossy_jpeg_of_12_bits_is_what_dcmtk_makes_of_it(
    shared_data: Path, tmp_path: Path
) -> None:
    path = shared_data / "protocol" / "transfer_syntaxes" / "1.2.840.10008.1.2.4.51.dcm"
    theirs = tmp_path / "theirs.dcm"
    subprocess.run(["dcmdjpeg", str(path), str(theirs)], check=True, capture_output=True)
    assert np.array_equal(decoded(path), pydicom.dcmread(theirs).pixel_array)


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
    unpack(archive, tmp_path)
    with pytest.raises(IrregularGeometry, match=r"1\.08 to 7\.00 mm"):
        load(sorted(p for p in tmp_path.rglob("*") if p.is_file()))
