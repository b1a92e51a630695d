"""A measured contact in the bands of the published tables."""

from __future__ import annotations

import pytest

from imaging.guidelines.pancreas_words import bands

NONE, UP, OVER = "none", "up-to-180", "over-180"


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [
        (0.0, (NONE,)), (0.49, (NONE,)), (0.5, (NONE, UP)), (29.49, (NONE, UP)), (29.5, (UP,)),
        (149.49, (UP,)), (149.5, (UP, OVER)), (180.0, (UP, OVER)), (210.49, (UP, OVER)),
        (210.5, (OVER,)), (360.0, (OVER,)),
    ],
)  # fmt: skip
def test_a_measured_contact_near_a_limit_may_lie_on_either_side(
    degrees: float, expected: tuple[str, ...]
) -> None:
    assert bands(degrees) == expected


@pytest.mark.parametrize("degrees", [-1.0, 361.0])
def test_a_contact_that_is_no_part_of_a_circle_is_refused(degrees: float) -> None:
    with pytest.raises(ValueError, match="must lie between 0 and 360"):
        bands(degrees)
