"""What headers tell of images that are still on their way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.headers import ImageSlice, Scan, SeriesHeader, scan_files
from imaging.wholeness import Doubt, Kind, doubts_about
from tests.unit.imaging.synthetic import AXIAL, CORONAL

HEADER = SeriesHeader(
    study_uid="1", series_uid="1.1", modality="CT", number="3", description="CHEST",
    body_part="", kernel="", contrast="",
)  # fmt: skip


def image(n: int, depth: float, **values: object) -> ImageSlice:
    made = ImageSlice(
        path=Path("-"), frame_number=None, sop_class_uid="", sop_instance_uid=f"1.1.{n}",
        study_uid="1", series_uid="1.1", modality="CT", instance_number=n,
        image_type=("ORIGINAL", "PRIMARY", "AXIAL"), rows=512, columns=512,
        position=(0.0, 0.0, depth), orientation=AXIAL, pixel_spacing=(0.8, 0.8),
        slice_thickness_mm=2.5, variant=(),
    )  # fmt: skip
    return replace(made, **values)  # type: ignore[arg-type]


def doubts(images: Sequence[ImageSlice]) -> tuple[Doubt, ...]:
    return doubts_about(Scan(tuple(images), {"1.1": HEADER}, (), 0))


WHOLE = [image(n, 2.5 * n) for n in range(40)]


def test_a_whole_scan_leaves_no_doubt() -> None:
    assert doubts(WHOLE) == ()
    assert doubts([]) == ()


@given(st.permutations(range(40)), st.sets(st.integers(1, 38), min_size=1, max_size=3))
def test_slices_that_miss_between_others_are_counted_in_any_order(
    order: list[int], gone: set[int]
) -> None:
    (found,) = doubts([WHOLE[n] for n in order if n not in gone])
    assert (found.kind, found.images, found.waits) == (Kind.GAP, len(gone), True)
    assert "series 3 CHEST" in found.text.en and "3 CHEST" in found.text.zh


def test_the_place_of_a_gap_is_told() -> None:
    (found,) = doubts(WHOLE[:10] + WHOLE[12:])
    assert "22 .. 30 mm" in found.text.en and "22 .. 30 mm" in found.text.zh


@pytest.mark.parametrize(
    "images",
    [
        WHOLE[:-3],  # the end leaves no trace
        WHOLE[:4],
        # a head in two parts, and distances that are no whole number of slices
        [image(n, 2.5 * n if n < 20 else 50 + 5.0 * (n - 20)) for n in range(40)],
        [image(n, 2.5 * n + (4.1 if n >= 20 else 0)) for n in range(40)],
        [replace(each, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER")) for each in WHOLE[::3]],
        [replace(each, position=None) for each in WHOLE],
        WHOLE[:10] + WHOLE[11:20] + [replace(WHOLE[20], position=None)],
    ],
)  # fmt: skip
def test_what_says_nothing_is_no_doubt(images: list[ImageSlice]) -> None:
    assert doubts(images) == ()


def phases(count: int) -> list[ImageSlice]:
    """Every position ``count`` times."""
    return [image(100 * t + n, 2.5 * n) for t in range(count) for n in range(20)]


def test_time_points_and_echoes_that_are_not_whole() -> None:
    assert doubts(phases(3)) == ()
    (found,) = doubts(phases(3)[:-6])
    assert (found.kind, found.images, found.waits) == (Kind.UNEVEN, 6, True)
    assert "6 position(s) have fewer than the 3 images" in found.text.en


def test_what_came_twice_is_told_and_not_waited_for() -> None:
    (found,) = doubts([*WHOLE, image(900, 25.0), image(901, 30.0)])
    assert (found.kind, found.images, found.waits) == (Kind.TWICE, 2, False)


def test_images_that_lie_otherwise() -> None:
    (found,) = doubts([*WHOLE, image(900, 25.0, orientation=CORONAL)])
    assert (found.kind, found.images, found.waits) == (Kind.OTHERWISE, 1, False)
    planes = [image(900 + n, 2.5 * n, orientation=CORONAL) for n in range(40)]
    assert doubts([*WHOLE, *planes]) == (), "a second part"


NUMBERED = [image(n, 2.5 * n) for n in range(1, 41)]


def test_the_first_slices_are_missed_by_their_numbers() -> None:
    assert doubts(NUMBERED) == ()
    (found,) = doubts(NUMBERED[3:])
    assert (found.kind, found.images, found.waits) == (Kind.ENDS, 3, True)
    assert "begins at 4: the first 3 image(s) are missing" in found.text.en
    assert "缺少最前 3 幅" in found.text.zh


def test_the_last_slices_are_missed_where_the_scanner_counted() -> None:
    counted = [replace(each, images_in_acquisition=40) for each in NUMBERED]
    assert doubts(counted) == ()
    (found,) = doubts(counted[:-5])
    assert (found.kind, found.images, found.waits) == (Kind.ENDS, 5, True)
    assert "ImagesInAcquisition counts 40 image(s), 35 are here" in found.text.en
    twins = [replace(each, images_in_acquisition=80) for each in NUMBERED]
    assert doubts(twins) == (), "two series were made of the acquisition"
    assert [each.images for each in doubts(twins[1:])] == [1]


@pytest.mark.parametrize(
    "images",
    [
        [image(n, 2.5 * n) for n in range(61, 101)],  # they go on from another series
        [image(2 * n, 2.5 * n) for n in range(1, 41)],  # numbers of two series in turn
        [image(9, 2.5 * n) for n in range(40)],
        [image(n, 2.5 * n, frame_number=n) for n in range(4, 41)],  # one file is whole
        [replace(each, images_in_acquisition=40 + n % 2) for n, each in enumerate(NUMBERED)],
        # a localiser is number 1 of the series
        [*NUMBERED[1:], image(1, 50.0, orientation=CORONAL, image_type=("ORIGINAL", "LOCALIZER"))],
    ],
)
def test_numbers_that_say_nothing_are_no_doubt(images: list[ImageSlice]) -> None:
    assert Kind.ENDS not in {doubt.kind for doubt in doubts(images)}


def test_overlapping_parts_have_no_rule() -> None:
    odd = [image(500 + n, 2.5 * n) for n in range(20)]
    assert [d.kind for d in doubts([*WHOLE, *odd])] == []


def test_a_real_scan(lidc_0001: Path) -> None:
    files = sorted(p for p in lidc_0001.rglob("*") if p.is_file())
    scan = scan_files(files)
    assert doubts_about(scan) == ()
    ordered = sorted(scan.slices, key=lambda s: s.position[2] if s.position else 0.0)
    (found,) = doubts_about(replace(scan, slices=(*ordered[:40], *ordered[43:])))
    assert (found.kind, found.images) == (Kind.GAP, 3)
