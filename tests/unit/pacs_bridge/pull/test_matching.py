"""What a rule wants, held against what archives answer."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pydicom.dataset import Dataset

from pacs_bridge.pull.hours import date_range, open_at
from pacs_bridge.pull.matching import (
    agrees,
    image_agrees,
    keys_of,
    level_of,
    series_refusal,
    study_refusal,
)
from pacs_bridge.pull.values import FoundSeries, FoundStudy
from pacs_bridge.settings import PullSettings

PACS = {"ae_title": "PACS", "host": "pacs", "port": 104}
STUDY = FoundStudy("1.2", "20260105", "CT chest", ("CT",), 100)


def rule(**values: Any) -> PullSettings:
    return PullSettings.model_validate({"name": "r", "source": PACS} | values)


def match(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("keyword", "value", "wanted", "expected"),
    [
        ("BodyPartExamined", "CHEST", "chest", True), ("BodyPartExamined", "CHEST", "CH*", True),
        ("BodyPartExamined", "CHEST", "C?EST", True), ("BodyPartExamined", "CHEST", "HEAD", False),
        ("SeriesDescription", "a[1]b", "a[1]*", True), ("SeriesDescription", "a1b", "a[1]b", False),
        ("StudyDate", "20260105", "20260101-20260131", True),
        ("StudyDate", "20260205", "20260101-20260131", False),
        ("StudyDate", "2026.01.05", "20260101-20260131", True),
        ("StudyDate", "20260105", "-20260104", False), ("StudyDate", "20260105", "20260105-", True),
        ("StudyTime", "083000.12", "080000-0900", True),
        ("StudyTime", "093000", "0800-0900", False),
        ("AccessionNumber", "12-34", "12-34", True), ("AccessionNumber", "20", "12-34", False),
        ("StudyInstanceUID", "1.2.3", "1.2\\1.2.3", True),
        ("StudyInstanceUID", "1.2.4", "1.2\\1.2.3", False),
        ("ModalitiesInStudy", ["CT", "SR"], "SR", True),
        ("ModalitiesInStudy", ["CT", "SR"], "MR", False), ("PatientName", "张三", "张*", True),
        ("PatientName", "Zhang^San=张^三", "张*", True),
        ("PatientName", "Zhang^San=张^三", "zhang^san", True),
        ("PatientName", "Li^Si=李^四", "张*", False), ("PatientName", "LI^SI^^", "Li^Si", True),
        ("StudyDescription", "a=b", "b", False),
        ("PatientID", "", "anything", True), ("PatientID", None, "anything", True),
    ],
)  # fmt: skip
def test_values_match_as_the_standard_says(
    keyword: str, value: Any, wanted: str, expected: bool
) -> None:
    assert agrees(keyword, value, wanted) is expected


def test_a_study_is_judged_by_what_its_own_level_tells() -> None:
    wanted = rule(study_descriptions=["*chest*", "*胸*"], query=["PatientID=A*", "StationName=CT2"])
    told = match(StudyDate="20260105", PatientID="A17")
    assert study_refusal(wanted, told, STUDY, "20260105") == ""
    assert study_refusal(wanted, told, STUDY, "20260106") == "StudyDate = 20260105"
    other = match(StudyDate="20260105", PatientID="B17")
    assert study_refusal(wanted, other, STUDY, "20260105") == "PatientID = B17"
    chinese = FoundStudy("1.2", "20260105", "胸部平扫", (), None)
    assert study_refusal(wanted, told, chinese, "") == ""
    head = FoundStudy("1.2", "20260105", "CT head", ("CT",))
    assert study_refusal(wanted, told, head, "") == "StudyDescription = 'CT head'"
    mr = FoundStudy("1.2", "20260105", "MR chest", ("MR", "PR"))
    assert study_refusal(wanted, told, mr, "") == "modalities MR, PR"


@pytest.mark.parametrize(
    ("values", "series", "why"),
    [
        ({}, FoundSeries("1", "CT", "lung", images=100), ""),
        ({}, FoundSeries("1", "SR", "dose", images=1), "Modality SR"),
        ({"modalities": []}, FoundSeries("1", "SEG", "ours", images=1), "Modality SEG: no images"),
        ({"modalities": []}, FoundSeries("1", "MR", "t1", images=9), ""),
        ({"body_parts": ["CHEST"]}, FoundSeries("1", "CT", "x", "ABDOMEN"),
         "BodyPartExamined = 'ABDOMEN'"),
        ({"body_parts": ["chest"]}, FoundSeries("1", "CT", "x"), ""),  # the study says so
        ({"body_parts": ["THORAX"]}, FoundSeries("1", "CT", "x", protocol="Thorax Routine"), ""),
        ({"body_parts": ["HEAD"]}, FoundSeries("1", "CT", "x"), "BodyPartExamined = ''"),
        ({"not_series_descriptions": ["*scout*"]}, FoundSeries("1", "CT", "Scout AP"),
         "in not_series_descriptions"),
        ({"series_descriptions": ["*1.25*"]}, FoundSeries("1", "CT", "CHEST 5.0"),
         "not in series_descriptions"),
        ({"fewest_images": 20}, FoundSeries("1", "CT", "x", images=2),
         "2 images, fewest_images = 20"),
        ({"most_images": 20}, FoundSeries("1", "CT", "x", images=21),
         "21 images, most_images = 20"),
        ({"fewest_images": 20}, FoundSeries("1", "CT", "x"), ""),
    ],
)  # fmt: skip
def test_a_series_is_taken_or_left_out_with_the_reason(
    values: dict[str, Any], series: FoundSeries, why: str
) -> None:
    assert series_refusal(rule(**values), match(), series, STUDY) == why


def test_keys_go_to_the_level_they_belong_to() -> None:
    wanted = rule(query=["AccessionNumber=A1", "StationName=CT*", "ConvolutionKernel=B*"])
    assert keys_of(wanted, "STUDY") == {"AccessionNumber": "A1"}
    assert keys_of(wanted, "SERIES") == {"StationName": "CT*"}
    assert keys_of(wanted, "IMAGE") == {"ConvolutionKernel": "B*"}
    assert level_of("PatientName") == "STUDY"
    series = FoundSeries("1", "CT", "x")
    told = match(StationName="MR1")
    assert series_refusal(wanted, told, series, STUDY) == "StationName = MR1"
    assert image_agrees(wanted, match(ConvolutionKernel="B31f"))
    assert not image_agrees(wanted, match(ConvolutionKernel="H60s"))


def at(clock: str) -> datetime:
    return datetime.strptime(f"2026-01-05 {clock}", "%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("hours", "clock", "expected"),
    [
        ([], "12:00", True), (["08:00-18:00"], "08:00", True), (["08:00-18:00"], "18:00", False),
        (["19:00-07:00"], "23:59", True), (["19:00-07:00"], "06:59", True),
        (["19:00-07:00"], "07:00", False), (["00:00-24:00"], "23:59", True),
        (["12:00-13:00", "19:00-07:00"], "12:30", True), (["05:00-05:00"], "04:00", True),
    ],
)  # fmt: skip
def test_hours_of_the_day(hours: list[str], clock: str, expected: bool) -> None:
    assert open_at(rule(hours=hours).hours, at(clock)) is expected


@given(st.integers(0, 1439), st.integers(0, 1439), st.integers(0, 1439))
def test_a_span_and_its_reverse_share_no_minute(first: int, last: int, minute: int) -> None:
    def clock(at: int) -> str:
        return f"{at // 60:02}:{at % 60:02}"

    now = at(clock(minute))
    there = open_at([f"{clock(first)}-{clock(last)}"], now)
    back = open_at([f"{clock(last)}-{clock(first)}"], now)
    assert there != back or first == last


def test_days_with_today_among_them() -> None:
    now = at("00:05")
    assert date_range(0, now) == ""
    assert date_range(1, now) == "20260105"
    assert date_range(7, now) == "20251230-20260105"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"source": None}, "needs source"),
        ({"method": "dicomweb"}, "needs dicomweb_url"),
        ({"hours": ["7-19"]}, "write 19:00-07:00"),
        ({"hours": ["25:00-26:00"]}, "write 19:00-07:00"),
        ({"query": ["Patient=1"]}, "write Keyword=value"),
        ({"query": ["PatientID"]}, "write Keyword=value"),
        ({"dicomweb_url": "ftp://x"}, "http"),
        ({"name": ""}, "at least 1"),
    ],
)
def test_a_rule_that_can_not_be_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        rule(**values)
