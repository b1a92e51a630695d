"""Which earlier studies, and which of their series, are worth fetching."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacs_bridge.priors.choice import (
    EarlierSeries,
    EarlierStudy,
    candidates,
    may_be_chest,
    order_series,
    parse_date,
    period,
)
from pacs_bridge.priors.person import Person

P1 = Person("P1", birth_date="19700102")
OLD = EarlierStudy("1.1", "20250110", P1, "CT chest", ("CT",))


def chosen(*found: EarlierStudy, years: float = 5) -> list[str]:
    return [s.study_uid for s in candidates(P1, "1.9", "20260105", found, years).chosen]


def test_the_latest_comes_first() -> None:
    older, newest = replace(OLD, study_uid="1.0", study_date="20240101"), OLD
    assert chosen(older, newest) == ["1.1", "1.0"]


@pytest.mark.parametrize(
    ("change", "taken"),
    [
        ({"study_date": "20260104"}, True),
        ({"study_date": "20260105"}, False),
        ({"study_date": "20260106"}, False),
        ({"study_date": "20210105"}, True),
        ({"study_date": "20210104"}, False),
        ({"study_date": "2025.01.10"}, True),
        ({"study_date": ""}, False),
        ({"study_date": "20251340"}, False),
        ({"study_uid": "1.9"}, False),
        ({"modalities": ("CT", "SR")}, True),
        ({"modalities": ("MR",)}, False),
        ({"modalities": ()}, True),
        ({"description": "Head CT"}, False),
        ({"description": "CT abdomen and chest"}, True),
        ({"description": "胸部平扫"}, True),
        ({"description": "头颅平扫"}, False),
        ({"description": "routine"}, True),
        ({"description": ""}, True),
    ],
)
def test_what_is_taken(change: dict[str, object], taken: bool) -> None:
    assert (chosen(replace(OLD, **change)) != []) is taken  # type: ignore[arg-type]


def test_another_patient_is_refused_with_the_reason() -> None:
    other = replace(OLD, person=replace(P1, birth_date="19800102"))
    found = candidates(P1, "1.9", "20260105", [other], 5)
    assert found.chosen == ()
    ((study, reason),) = found.refused
    assert study is other and "PatientBirthDate" in reason.en


def test_found_in_both_places_it_counts_as_held() -> None:
    held = replace(OLD, held=True)
    for found in ([OLD, held], [held, OLD]):
        assert candidates(P1, "1.9", "20260105", found, 5).chosen == (held,)


def test_a_study_without_a_date_has_no_earlier_one() -> None:
    assert period("", 5) is None
    assert candidates(P1, "1.9", "", [OLD], 5).chosen == ()


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.floats(0.1, 30))
def test_the_period_ends_the_day_before(day: date, years: float) -> None:
    span = period(day.strftime("%Y%m%d"), years)
    assert span is not None
    first, last = map(parse_date, span)
    assert first is not None and last is not None
    assert (day - last).days == 1
    assert abs((day - first).days - years * 365.25) <= 0.5


SERIES = (
    EarlierSeries("2.1", "CT", "Topogram", "CHEST", 2),
    EarlierSeries("2.2", "CT", "Lung 1.0", "CHEST", 320),
    EarlierSeries("2.3", "CT", "Mediastinum 5.0", "CHEST", 64),
    EarlierSeries("2.4", "CT", "Lung MIP cor", "CHEST", 400),
    EarlierSeries("2.5", "SR", "Dose", "", 1),
    EarlierSeries("2.6", "CT", "Abdomen 1.0", "ABDOMEN", 500),
    EarlierSeries("2.7", "CT", "Lung 0.3", "CHEST", 2000),
)


def ordered(like: str, *more: EarlierSeries) -> list[str]:
    return [s.series_uid for s in order_series((*SERIES, *more), like, 1500)]


def test_the_thinnest_chest_series_comes_first() -> None:
    assert ordered("Thorax") == ["2.2", "2.3"]


def test_the_same_kind_of_series_comes_before_it() -> None:
    assert ordered("mediastinum 5.0") == ["2.3", "2.2"]


def test_a_series_that_says_nothing_comes_last_and_is_not_left_out() -> None:
    assert ordered("", EarlierSeries("2.8", "CT"))[-1] == "2.8"


@pytest.mark.parametrize(
    "text", ["CT Thorax", "LUNG LOW DOSE", "胸", "chest/abdomen", "T\u00f3rax"]
)
def test_chest_is_known_by_its_names(text: str) -> None:
    assert may_be_chest(text)
