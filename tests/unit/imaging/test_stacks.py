"""Several stacks under one series: which one makes the volume, and how that is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaging.headers import ImageSlice
from imaging.notices import Notice
from imaging.stacks import by_position, one_stack
from tests.unit.imaging.synthetic import load
from tests.unit.imaging.test_arrange import image


def stack(name: str, count: int = 12, kind: str = "", **variant: str) -> list[ImageSlice]:
    made = [image(2.5 * k, name=f"{name}{k}", **variant) for k in range(count)]
    return [replace(s, image_type=("ORIGINAL", "PRIMARY", kind)) for s in made] if kind else made


def how(notices: list[Notice]) -> str:
    (told,) = notices
    assert told.code == "duplicate-positions"
    return told.text.en


def test_one_image_a_position_is_left_alone() -> None:
    alone = tuple(stack("a"))
    assert one_stack(alone) == (alone, [])


@pytest.mark.parametrize(
    ("keyword", "wanted", "other"),
    [
        ("EchoTime", "9", "108"),
        ("DiffusionBValue", "0", "1000"),
        ("TemporalPositionIndex", "2", "10"),
        ("ConvolutionKernel", "Br40d\\2", "Bl64d\\2"),
        ("ContrastBolusAgent", "OMNIPAQUE", ""),
        ("InversionTime", "400", "2500"),
        ("dimension (2005,1011)", "1", "2"),
    ],
)
def test_of_two_whole_stacks_the_same_one_whatever_the_order(
    keyword: str, wanted: str, other: str
) -> None:
    one, two = stack("a", **{keyword: wanted}), stack("b", **{keyword: other})
    for mixed in (
        (*one, *two),
        (*two, *one),
        tuple(x for p in zip(two, one, strict=True) for x in p),
    ):
        kept, notices = one_stack(mixed)
        assert sorted(s.path for s in kept) == sorted(s.path for s in one)
        assert f"12 of 24 images were used ({keyword} = {wanted})" in how(notices)


@pytest.mark.parametrize("other", ["P", "FIELD_MAP", "I", "VELOCITY"])
def test_magnitude_comes_before_phase_and_maps(other: str) -> None:
    phase, magnitude = stack("a", kind=other), stack("b", kind="M")
    kept, _ = one_stack((*phase, *magnitude))
    assert list(kept) == magnitude


def test_two_attributes_together_tell_six_stacks_apart() -> None:
    """Two echoes at three times; neither attribute alone leaves one image a position."""
    every = [
        s
        for echo in ("9", "80")
        for time in ("1", "2", "3")
        for s in stack(f"e{echo}t{time}", EchoTime=echo, TemporalPositionIndex=time)
    ]
    kept, notices = one_stack(tuple(every))
    assert [s.path.name for s in kept] == [f"e9t1{k}" for k in range(12)]
    assert "12 of 72 images were used (EchoTime = 9, TemporalPositionIndex = 1)" in how(notices)


def test_the_longer_of_two_stacks() -> None:
    short, long = stack("a", 11, EchoTime="9"), stack("b", 12, EchoTime="80")
    kept, _ = one_stack((*short, *long))
    assert list(kept) == long


def test_what_differs_on_every_slice_tells_nothing() -> None:
    images = [replace(s, variant=(("AcquisitionTime", f"{n}"),)) for n, s in
              enumerate([*stack("a"), *stack("b")])]  # fmt: skip
    kept, notices = one_stack(tuple(images))
    assert len(kept) == 24
    assert notices == []


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_order_and_any_mixture_give_one_answer(data: st.DataObject) -> None:
    echoes = data.draw(st.lists(st.integers(1, 99), min_size=1, max_size=3, unique=True))
    times = data.draw(st.integers(1, 3))
    every = [
        s
        for echo in echoes
        for time in range(times)
        for s in stack(f"{echo}-{time}-", 5, EchoTime=str(echo), AcquisitionNumber=str(time))
    ]
    kept, _ = one_stack(tuple(every))
    again, _ = one_stack(tuple(data.draw(st.permutations(every))))
    assert {s.path for s in kept} == {s.path for s in again}
    assert len(kept) == len(by_position(kept)) == 5
    assert kept[0].path.name.startswith(f"{min(echoes)}-0-")


# -- real ones ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        ("dicom2nifti_philips_enhanced/dti/001/IM-0001-3835-0001.dcm", (8, 128, 128),
         "DiffusionBValue = 0"),
        ("dicom2nifti_philips_enhanced/fmri/001/IM-0001-9600-0001.dcm", (8, 64, 64),
         "TemporalPositionIdentifier = 1"),
    ],
)  # fmt: skip
def test_real_enhanced_images_with_several_stacks(
    shared_data: Path, name: str, shape: tuple[int, ...], said: str
) -> None:
    path = shared_data / "protocol" / "enhanced_multiframe" / name
    loaded = load([path])
    assert loaded.volume.voxels.shape == shape
    assert any(said in n.text.en for n in loaded.notices)
    stored = pydicom.dcmread(path)
    for k, source in enumerate(loaded.volume.sources):
        assert source is not None
        assert source.frame_number is not None
        groups = stored.PerFrameFunctionalGroupsSequence[source.frame_number - 1]
        value = groups.PixelValueTransformationSequence[0]
        plane = stored.pixel_array[source.frame_number - 1] * float(value.RescaleSlope)
        plane += float(value.RescaleIntercept)
        assert np.allclose(loaded.volume.voxels[k], plane, rtol=1e-5, atol=1e-3)


def test_four_files_of_one_time_each_are_one_time(shared_data: Path) -> None:
    """Siemens XA writes each volume of a time series as an enhanced image of its own."""
    folder = shared_data / "protocol" / "enhanced_multiframe" / "dcm_qa_enh" / "Siemens" / "XA10"
    loaded = load(sorted(folder.iterdir(), reverse=True))
    assert loaded.volume.voxels.shape == (6, 64, 64)
    assert {s.path.name for s in loaded.volume.sources if s} == {"6_1.dcm"}
    (told,) = loaded.notices
    assert "6 of 24 images were used (TemporalPositionIndex = 1)" in told.text.en
