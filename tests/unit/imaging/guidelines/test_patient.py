"""Age and sex from the header; what can't be true is not known."""

from __future__ import annotations

import pytest

from imaging.guidelines.patient import clinical_from
from imaging.guidelines.rounding import to_tenth, to_whole


@pytest.mark.parametrize(
    ("born", "then", "age", "expected"),
    [
        ("19700102", "20260101", "", 55), ("19700102", "20260102", "", 56),
        ("19720229", "20250228", "", 52), ("19720229", "20250301", "", 53),
        ("1970.01.02", "20260102", "", 56), ("20260101", "20260102", "", 0),
        ("19700102", "", "", None), ("", "20260102", "", None), ("19701302", "20260102", "", None),
        ("1970", "20260102", "", None), ("20270101", "20260102", "", None),
        ("18000101", "20260102", "", None), ("", "", "045Y", 45), ("", "", "030M", 2),
        ("", "", "104W", 1), ("", "", "400D", 1), ("", "", "45Y", None), ("", "", "xyz", None),
        ("", "", "999Y", None), ("19700102", "20260102", "044Y", 56),
        ("19701302", "20260102", "044Y", 44), ("20260101", "20260102", "001D", 0),
    ],
)  # fmt: skip
def test_age(born: str, then: str, age: str, expected: int | None) -> None:
    assert clinical_from(born, then, "M", age).age_years == expected


@pytest.mark.parametrize(
    ("said", "expected"), [("M", "M"), (" f ", "F"), ("O", "O"), ("", None), ("X", None)]
)
def test_sex(said: str, expected: str | None) -> None:
    assert clinical_from("", "", said).sex == expected


@pytest.mark.parametrize(
    ("value", "tenth", "whole"),
    [(5.94, 5.9, 6), (5.95, 6.0, 6), (6.5, 6.5, 7), (5.4999999999, 5.5, 6), (5.49, 5.5, 5)],
)
def test_halves_go_up(value: float, tenth: float, whole: int) -> None:
    assert (to_tenth(value), to_whole(value)) == (tenth, whole)
