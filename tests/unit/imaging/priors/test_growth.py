"""Change against measurement noise, doubling time, and the growth rule of Lung-RADS."""

from __future__ import annotations

import math

import numpy as np
import pytest

from imaging.priors.growth import Size, growth, lung_rads_growth, volume_cv
from imaging.priors.values import Change


def ball(diameter_mm: float, slice_mm: float = 1.0, pixel_mm: float = 0.7) -> Size:
    return Size(diameter_mm, math.pi / 6 * diameter_mm**3, slice_mm, pixel_mm)


@pytest.mark.parametrize(
    ("diameter", "cv"),
    [(6, 0.29), (7, 0.23), (8, 0.19), (9, 0.16), (10, 0.14), (11, 0.12), (12, 0.11)],
)
def test_the_noise_is_that_of_the_profile(diameter: float, cv: float) -> None:
    assert volume_cv(ball(diameter)) == pytest.approx(cv, abs=0.0051)


def test_thicker_slices_are_noisier_and_small_nodules_more_so() -> None:
    noise = [volume_cv(ball(8, slice_mm)) for slice_mm in (0.6, 1.25, 2.5, 5.0)]
    assert noise[0] == noise[1] < noise[2] < noise[3]
    assert volume_cv(ball(5, 5.0)) > volume_cv(ball(12, 5.0))


def test_a_doubled_volume_doubles_in_the_time_between() -> None:
    then = ball(12)
    found = growth(ball(12 * 2 ** (1 / 3)), then, 180)
    assert found.change is Change.GROWN
    assert found.volume_percent == pytest.approx(100)
    assert found.doubling_days == pytest.approx(180)
    assert found.doubling_range_days is not None
    fast, slow = found.doubling_range_days
    assert 0 < fast < 180 < slow
    spread = 1.96 * math.hypot(volume_cv(then), volume_cv(ball(12 * 2 ** (1 / 3))))
    assert fast == pytest.approx(180 * math.log(2) / (math.log(2) + spread))


def test_a_halved_volume_has_a_negative_doubling_time() -> None:
    found = growth(ball(14), ball(14 * 2 ** (1 / 3)), 90)
    assert found.change is Change.SHRUNK
    assert found.doubling_days == pytest.approx(-90)
    assert found.lung_rads is False
    assert found.doubling_range_days is not None
    fast, slow = found.doubling_range_days
    assert slow < -90 < fast < 0


def test_within_noise_it_is_stable_and_has_no_doubling_time() -> None:
    found = growth(ball(6.4), ball(6.0), 365)
    assert found.change is Change.STABLE
    assert abs(found.volume_percent) < found.volume_noise_percent
    assert found.doubling_days is None and found.doubling_range_days is None


def test_repeats_exceed_the_stated_noise_once_in_twenty() -> None:
    rng = np.random.default_rng(0)
    for diameter in (6.0, 10.0, 20.0):
        true = ball(diameter)
        exceeded = 0
        for _ in range(2000):
            first, second = (
                Size(true.diameter_mm, true.volume_mm3 * factor, 1.0, 0.7)
                for factor in np.clip(rng.normal(1, volume_cv(true), 2), 0.1, None)
            )
            found = growth(first, second, 100)
            exceeded += abs(found.volume_percent) > found.volume_noise_percent
        assert 0.02 < exceeded / 2000 < 0.08


def test_lung_rads_growth_within_noise_is_called_and_said() -> None:
    found = growth(ball(6.6), ball(5.0), 200)
    assert abs(found.volume_percent) < found.volume_noise_percent
    assert found.lung_rads is True
    assert found.change is Change.GROWN
    assert not found.beyond_noise
    assert found.doubling_days is None


@pytest.mark.parametrize(
    ("by_mm", "days", "slice_mm", "expected"),
    [
        (1.5, 365, 1.0, False),  # more than 1.5 mm, not 1.5
        (1.51, 365, 1.0, True),
        (1.6, 30, 1.0, True),
        (1.6, 380, 1.0, True),  # 1.54 mm a year
        (1.6, 730, 1.0, None),  # slow, or fast and then still
        (3.1, 730, 1.0, True),  # somewhere in it were 12 months with more than 1.5 mm
        (1.2, 730, 1.0, False),
        (-3.0, 100, 1.0, False),
        (2.0, None, 1.0, None),
        (2.0, 0, 1.0, None),
        (2.0, 200, 2.5, True),
        (2.0, 200, 5.0, None),  # too thick for the rule
    ],
)
def test_growth_by_lung_rads(
    by_mm: float, days: int | None, slice_mm: float, expected: bool | None
) -> None:
    assert lung_rads_growth(by_mm, days, slice_mm) is expected


def test_without_dates_there_is_a_change_and_no_doubling_time() -> None:
    found = growth(ball(14), ball(10), None)
    assert found.change is Change.GROWN
    assert found.doubling_days is None and found.lung_rads is None


def test_a_nodule_has_a_size() -> None:
    with pytest.raises(ValueError, match="above zero"):
        growth(ball(6), Size(0.0, 0.0, 1.0, 0.7), 100)
