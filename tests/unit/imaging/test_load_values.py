"""Stored values to HU: rescale, signedness, padding, and what is no HU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from tests.unit.imaging.synthetic import (
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


@pytest.mark.parametrize("vr", ["US", "SS"])
@pytest.mark.parametrize("signed", [True, False])
def test_padding_is_known_by_its_bits_whatever_its_vr(
    tmp_path: Path, vr: str, signed: bool
) -> None:
    """63536 as US is -2000 of a signed image; writers mix the two up (PS3.3 C.7.5.1.1.2)."""

    def change(k: int, image: Dataset) -> None:
        values = HU[k].astype(int) if signed else HU[k].astype(int) + 1024
        padding = 900 if not signed else -2000
        values[:4, :4] = padding
        values[4:][values[4:] == padding] += 1
        wanted[k] = values if signed else values - 1024
        image.RescaleIntercept = 0 if signed else INTERCEPT
        # As it comes from a file of the other VR: the same two bytes.
        image.add_new(
            "PixelPaddingValue",
            vr,
            padding % 65536 if vr == "US" else (padding + 2**15) % 65536 - 2**15,
        )
        set_stored(image, values, signed=signed)

    wanted = np.zeros(SHAPE, int)
    voxels = load(write(tmp_path, make_images(HU, change=change))).volume.voxels
    assert (voxels[:, :4, :4] == -1024).all()
    assert np.array_equal(voxels[:, 4:], np.maximum(wanted, -1024)[:, 4:])


@pytest.mark.parametrize("padding", [0, 65535])
def test_padding_of_magnetic_resonance_is_its_lowest_signal(tmp_path: Path, padding: int) -> None:
    """65535 around a signal of a few hundred would drown it in any normalisation."""

    def change(k: int, image: Dataset) -> None:
        values = HU[k].astype(int) + 1100
        values[:, :5] = padding
        image.Modality = "MR"
        image.add_new("PixelPaddingValue", "US", padding)
        del image.RescaleIntercept, image.RescaleSlope
        set_stored(image, values)

    voxels = load(write(tmp_path, make_images(HU, change=change))).volume.voxels
    assert np.array_equal(voxels[:, :, 5:], HU[:, :, 5:].astype(int) + 1100)
    for plane in voxels:
        assert (plane[:, :5] == plane[:, 5:].min()).all()


def test_a_lookup_table_instead_of_a_rescale(tmp_path: Path) -> None:
    """PS3.3 C.11.1: one of the two."""

    def change(k: int, image: Dataset) -> None:
        table = Dataset()
        table.LUTDescriptor = [4096, 0, 16]
        table.add_new("LUTData", "OW", (np.arange(4096)[::-1]).astype("<u2").tobytes())
        table.ModalityLUTType = "US"
        image.Modality = "MR"
        image.ModalityLUTSequence = [table]
        del image.RescaleIntercept, image.RescaleSlope
        set_stored(image, HU[k].astype(int) + 1100)

    voxels = load(write(tmp_path, make_images(HU, change=change))).volume.voxels
    assert np.array_equal(voxels, 4095 - (HU.astype(int) + 1100))


def test_float_pixels(tmp_path: Path) -> None:
    """Float Pixel Data (PS3.3 C.7.6.24): parametric maps, and some research scanners."""

    def change(k: int, image: Dataset) -> None:
        del image.PixelData, image.PixelRepresentation, image.BitsStored, image.HighBit
        del image.RescaleIntercept, image.RescaleSlope
        image.BitsAllocated = 32
        image.FloatPixelData = (HU[k] + np.float32(0.5)).astype("<f4").tobytes()

    voxels = load(write(tmp_path, make_images(HU, change=change))).volume.voxels
    assert voxels.dtype == np.float32
    assert np.array_equal(voxels, HU + np.float32(0.5))
