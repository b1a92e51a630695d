"""The order of a series, its gaps, copies and intruders; on headers alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaging.arrange import Stack, arrange
from imaging.errors import InconsistentSeries, IrregularGeometry, NoImages
from imaging.headers import ImageSlice

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


def image(
    z: float,
    *,
    x: float = -10.0,
    y: float = -20.0,
    rows: int = 32,
    orientation: tuple[float, ...] = AXIAL,
    name: str | None = None,
    **variant: str,
) -> ImageSlice:
    return ImageSlice(
        path=Path(name or f"z{z:g}.dcm"),
        frame_number=None,
        sop_class_uid="1.2",
        sop_instance_uid=f"1.{abs(hash((z, name, tuple(variant.items()))))}",
        study_uid="1.3",
        series_uid="1.4",
        modality="CT",
        instance_number=0,
        image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
        rows=rows,
        columns=28,
        position=(x, y, z),
        orientation=orientation,  # type: ignore[arg-type]
        pixel_spacing=(0.8, 0.7),
        slice_thickness_mm=2.5,
        variant=tuple(variant.items()),
    )


def heights(stack: Stack) -> list[float | None]:
    return [s and s.position and s.position[2] for s in stack.slices]


def told(stack: Stack) -> dict[str, str]:
    return {item.code: item.text.en for item in stack.notices}


TWELVE = [image(-100 + 2.5 * k) for k in range(12)]


@settings(deadline=None)
@given(st.permutations(TWELVE))
def test_any_order_makes_the_same_stack(shuffled: list[ImageSlice]) -> None:
    stack = arrange(tuple(shuffled))
    assert list(stack.slices) == TWELVE
    assert stack.grid.same_as(arrange(tuple(TWELVE)).grid)
    assert stack.notices == ()


@pytest.mark.parametrize(
    ("orientation", "first_z"),
    [
        (AXIAL, -100.0),
        # prone: both directions turned, the normal still towards the head
        ((-1.0, 0.0, 0.0, 0.0, -1.0, 0.0), -100.0),
        # columns mirrored: the normal towards the feet, so slice 0 is the highest
        ((-1.0, 0.0, 0.0, 0.0, 1.0, 0.0), -72.5),
    ],
)
def test_k_grows_along_the_normal(orientation: tuple[float, ...], first_z: float) -> None:
    stack = arrange(tuple(image(-100 + 2.5 * k, orientation=orientation) for k in range(12)))
    assert stack.grid.affine[2, 3] == first_z
    assert np.linalg.det(stack.grid.affine[:3, :3]) < 0  # (k, j, i) of a right-handed (i, j, k)
    for k, at in enumerate(stack.slices):
        assert at is not None
        assert stack.grid.to_lps((k, 0, 0)) == pytest.approx(np.array(at.position))


@pytest.mark.parametrize("gone", [[4], [4, 5], [1, 8]])
def test_short_gaps_stay_open_with_a_notice(gone: list[int]) -> None:
    sixty = [image(-100 + 2.5 * k) for k in range(60)]
    stack = arrange(tuple(s for k, s in enumerate(sixty) if k not in gone))
    assert len(stack.slices) == 60
    assert [k for k, s in enumerate(stack.slices) if s is None] == gone
    assert stack.grid.spacing_mm[0] == pytest.approx(2.5)
    text = told(stack)["missing-slices"]
    assert text.startswith(f"{len(gone)} slice(s)")
    for k in (gone[0], gone[-1]):
        assert f"{-100 + 2.5 * k:g}" in text


def test_one_missing_slice_of_few_is_filled() -> None:
    stack = arrange(tuple(s for k, s in enumerate(TWELVE) if k != 6))
    assert heights(stack)[6] is None
    assert "z = -85" in told(stack)["missing-slices"]


def test_three_missing_in_a_row_are_too_many() -> None:
    hundred = [image(-100 + 2.5 * k) for k in range(100)]
    with pytest.raises(IrregularGeometry, match=r"3 in a row.*z-92\.5\.dcm.*z-82\.5\.dcm.*Send"):
        arrange(tuple(s for k, s in enumerate(hundred) if k not in (4, 5, 6)))


def test_many_single_gaps_are_too_many() -> None:
    sixty = [image(-100 + 2.5 * k) for k in range(60)]
    with pytest.raises(IrregularGeometry, match=r"5 slice\(s\) are missing, up to 1 in a row"):
        arrange(tuple(s for k, s in enumerate(sixty) if k not in (5, 15, 25, 35, 45)))


@pytest.mark.parametrize(
    "z",
    [
        [0, 1.0, 2.0, 3.0, 7.0, 11.0, 18.0],
        [0, 2.5, 5, 7.5, 10, 10.5, 12.5, 15],
        [0, 8, 16, 24, 32, 44, 56],
        [0, 0.5, 0.55, 1.0, 1.5],
    ],
)
def test_steps_that_are_too_uneven_are_refused(z: list[float]) -> None:
    with pytest.raises(IrregularGeometry, match=r"uneven.*\.dcm"):
        arrange(tuple(image(at) for at in z))


@pytest.mark.parametrize("distance", [0.625, 0.75, 1.25, 2.34])
def test_rounded_positions_are_no_uneven_steps(distance: float) -> None:
    """Positions rounded to 0.1 mm, as some archives keep them."""
    stack = arrange(tuple(image(round(distance * k, 1)) for k in range(80)))
    assert len(stack.slices) == 80
    assert None not in stack.slices
    assert stack.grid.spacing_mm[0] == pytest.approx(distance, abs=0.002)


@pytest.mark.parametrize(
    "z",
    [
        [0, 2.5, 5, 7.5, 11.25, 13.75, 16.25, 18.75],
        # each step is nearly right, the sum of the errors is three slices
        [2.0 * k if k < 20 else 40 + 2.16 * (k - 20) for k in range(60)],
        # a head: thin slices through the skull's base, thick ones above
        [*np.arange(0, 50, 2.5), *np.arange(50, 120, 5.0)],
    ],
)
def test_uneven_steps_are_brought_to_the_smallest_and_said(z: list[float]) -> None:
    thick = {at: max(2.5, after - at) for at, after in zip(z, [*z[1:], z[-1] + 5], strict=True)}
    images = [replace(image(at), slice_thickness_mm=thick[at]) for at in z]
    stack = arrange(tuple(images))
    smallest = min(np.diff(z))
    assert 0.9 * smallest <= stack.grid.spacing_mm[0] <= smallest + 1e-9
    assert "uneven-spacing" in told(stack)
    assert f"{max(np.diff(z)):.2f} mm" in told(stack)["uneven-spacing"]
    # Every image keeps a slice of its own, and no slice lies more than half a distance off.
    assert [s for s in stack.slices if s is not None] == images
    for n, (one, place) in enumerate(zip(stack.images, stack.places, strict=True)):
        k = stack.layers.sources.index(n)
        height = float(stack.grid.to_lps((k, 0, 0))[2])
        assert one.position
        assert height + place.above_mm == pytest.approx(one.position[2], abs=1e-4)
        assert abs(place.above_mm) <= stack.grid.spacing_mm[0] / 2 + 1e-6


def test_every_second_slice_lost_is_no_other_protocol() -> None:
    """The thickness tells a head's two distances from slices that never came."""
    z = [*np.arange(0, 50, 2.5), *np.arange(50, 120, 5.0)]
    with pytest.raises(IrregularGeometry, match="missing, up to 1 in a row"):
        arrange(tuple(image(at) for at in z))


@pytest.mark.parametrize("degrees", [0.3, 2.0, 18.5, -18.5])
def test_gantry_tilt_is_taken_out_and_said(degrees: float) -> None:
    slope = np.tan(np.radians(degrees))
    stack = arrange(tuple(image(2.5 * k, y=2.5 * k * slope) for k in range(12)))
    assert stack.grid.is_orthogonal(1e-9)
    assert stack.grid.spacing_mm == pytest.approx((2.5, 0.8, 0.7))
    assert f"tilted by {abs(degrees):.1f} degrees" in told(stack)["gantry-tilt"]
    moved = 27.5 * abs(slope)
    assert stack.grid.shape == (12, 32 + int(np.ceil(moved / 0.8)), 28)
    for k, (at, place) in enumerate(zip(stack.slices, stack.places, strict=True)):
        assert at is not None
        assert at.position is not None
        # pixel (0, 0) of the slice is pixel (row, column) of the image, and in its plane
        where = np.array(at.position) + np.array([0.7 * place.column, 0.8 * place.row, 0])
        assert stack.grid.to_lps((k, 0, 0)) == pytest.approx(where, abs=0.001)


@pytest.mark.parametrize("drift", [0.05, 0.1])
def test_rounded_positions_are_no_tilt(drift: float) -> None:
    """The last of a short stack, rounded to 0.1 mm, leans the whole of it."""
    stack = arrange(tuple(image(2.5 * k, y=-20 + drift * (k == 11)) for k in range(12)))
    assert stack.grid.is_orthogonal(1e-9)
    assert stack.notices == ()
    assert stack.grid.shape == (12, 32, 28)


def test_pixels_so_small_that_a_tilt_would_take_all_memory_are_refused() -> None:
    tilted = [image(2.5 * k, y=1.0 * k) for k in range(12)]
    with pytest.raises(IrregularGeometry, match=r"z0\.dcm.*PixelSpacing.*0\.0001"):
        arrange(tuple(replace(each, pixel_spacing=(0.0001, 0.7)) for each in tilted))


def test_a_position_far_out_is_refused_before_anything_is_counted() -> None:
    """A header that is wrong by its exponent: 40 thousand million slices would be missing."""
    with pytest.raises(IrregularGeometry, match=r"missing, up to \d{10,} in a row"):
        arrange((*TWELVE, image(1e11)))


def test_more_than_a_gantry_can_tilt_is_refused() -> None:
    with pytest.raises(IrregularGeometry, match="40.0 degrees, more than a gantry"):
        arrange(tuple(image(2.5 * k, y=2.5 * k * np.tan(np.radians(40))) for k in range(12)))


def test_cosines_that_rounding_left_oblique_make_an_orthogonal_grid() -> None:
    turned = (0.998, 0.06, 0.0, -0.066, 0.998, 0.0)
    stack = arrange(tuple(image(2.5 * k, orientation=turned) for k in range(12)))
    assert stack.grid.is_orthogonal()
    assert stack.grid.spacing_mm == pytest.approx((2.5, 0.8, 0.7))


def test_a_stack_that_jumps_sideways_is_refused() -> None:
    """The table moved, or two scans were joined: no regular grid holds both halves."""
    with pytest.raises(IrregularGeometry, match=r"z20\.dcm|z22\.5\.dcm"):
        arrange(tuple(image(2.5 * k, x=-10.0 if k < 9 else -2.0) for k in range(12)))


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_images_make_no_stack(count: int) -> None:
    with pytest.raises(NoImages, match=f"{count} image"):
        arrange(tuple(TWELVE[:count]))


def test_all_images_at_one_place_make_no_stack() -> None:
    """Whatever tells them apart (here the acquisition), one position is no volume."""
    images = [image(5.0, name=f"a{n}", AcquisitionNumber=str(n)) for n in range(4)]
    with pytest.raises(NoImages, match="one position"):
        arrange(tuple(images))


def test_two_acquisitions_are_told_apart_and_one_is_used() -> None:
    first = [image(2.5 * k, name=f"a{k}", AcquisitionNumber="1") for k in range(10)]
    second = [image(2.5 * k, name=f"b{k}", AcquisitionNumber="2") for k in range(12)]
    stack = arrange((*second, *first))
    assert list(stack.slices) == second
    text = told(stack)["duplicate-positions"]
    assert "10 image(s)" in text
    assert "12 of 22" in text
    assert "AcquisitionNumber = 2" in text


def test_a_differing_agent_is_enough_even_where_other_attributes_differ_on_every_slice() -> None:
    plain = [image(2.5 * k, name=f"p{k}", AcquisitionTime=f"{k}") for k in range(12)]
    enhanced = [
        image(2.5 * k, name=f"e{k}", AcquisitionTime=f"9{k}", ContrastBolusAgent="OMNIPAQUE")
        for k in range(12)
    ]
    stack = arrange((*plain, *enhanced))
    assert len({bool(dict(s.variant).get("ContrastBolusAgent")) for s in stack.slices if s}) == 1
    assert "ContrastBolusAgent" in told(stack)["duplicate-positions"]


def test_copies_that_nothing_tells_apart_are_refused() -> None:
    again = image(-90.0, name="again.dcm")
    with pytest.raises(InconsistentSeries, match=r"1 image.*again\.dcm.*z-90\.dcm.*Remove"):
        arrange((*TWELVE, again))


def test_two_kinds_half_and_half_are_refused() -> None:
    others = [image(2.5 * k, rows=64) for k in range(10)]
    with pytest.raises(InconsistentSeries, match=r"12 of 32x28.*10 of 64x28.*series of its own"):
        arrange((*TWELVE, *others))


@pytest.mark.parametrize("first", [True, False])
def test_a_lone_scout_is_left_out_wherever_it_comes(first: bool) -> None:
    scout = image(0.0, rows=80, orientation=CORONAL, name="scout")
    stack = arrange((scout, *TWELVE) if first else (*TWELVE, scout))
    assert list(stack.slices) == TWELVE
    assert "12 of 13" in told(stack)["inconsistent-images"]


def test_header_rounding_of_the_orientation_makes_no_second_kind() -> None:
    """Cosines on both sides of a decimal's edge are still one orientation."""
    edge = (1.0, 0.0004999, 0.0, -0.0004999, 1.0, 0.0)
    other = (1.0, 0.0005001, 0.0, -0.0005001, 1.0, 0.0)
    images = [image(2.5 * k, orientation=edge if k % 2 else other) for k in range(12)]
    assert None not in arrange(tuple(images)).slices
