"""Every row of Lung-RADS v2022, each limit from just below, at and above."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.guidelines.follow_up import SINCE_EARLIER, Timing
from imaging.guidelines.lesion import Airway, Cyst, Lesion
from imaging.guidelines.lung_rads import lung_rads
from imaging.guidelines.lung_rads_table import ORDER
from imaging.guidelines.values import Clinical
from imaging.nodule import NoduleType

BASE = Clinical(screening=True, earlier_ct=False)
SOLID, PART, GGN = NoduleType.SOLID, NoduleType.PART_SOLID, NoduleType.GROUND_GLASS
B, NEW, GROWING, STABLE, SLOW = (
    Timing.BASELINE, Timing.NEW, Timing.GROWING, Timing.STABLE, Timing.SLOW,
)  # fmt: skip


def lesion(kind: NoduleType | None = SOLID, timing: Timing = B, **values: Any) -> Lesion:
    return Lesion(number=1, type=kind, timings=(timing,), **values)


def category(one: Lesion, **clinical: Any) -> str | None:
    return lung_rads([one], BASE.model_copy(update=clinical)).category


@pytest.mark.parametrize(
    ("timing", "mean_mm", "expected"),
    [
        # one decimal, halves up: 5.94 is 5.9, 5.95 is 6.0
        (B, 3.0, "2"), (B, 5.9, "2"), (B, 5.94, "2"), (B, 5.95, "3"), (B, 6.0, "3"), (B, 6.1, "3"),
        (B, 7.94, "3"), (B, 7.95, "4A"), (B, 8.0, "4A"), (B, 14.94, "4A"), (B, 14.95, "4B"),
        (B, 15.0, "4B"), (B, 40.0, "4B"),
        (NEW, 3.94, "2"), (NEW, 3.95, "3"), (NEW, 4.0, "3"), (NEW, 5.9, "3"), (NEW, 6.0, "4A"),
        (NEW, 7.9, "4A"), (NEW, 8.0, "4B"), (NEW, 15.0, "4B"),
        (GROWING, 3.0, "4A"), (GROWING, 7.9, "4A"), (GROWING, 8.0, "4B"), (GROWING, 20.0, "4B"),
        (SLOW, 5.0, "4B"), (SLOW, 9.0, "4B"),
    ],
)  # fmt: skip
def test_solid_by_diameter(timing: Timing, mean_mm: float, expected: str) -> None:
    assert category(lesion(timing=timing, mean_mm=mean_mm)) == expected


@pytest.mark.parametrize(
    ("timing", "volume", "expected"),
    [
        (B, 112.4, "2"), (B, 112.5, "3"), (B, 113, "3"), (B, 267, "3"), (B, 268, "4A"),
        (B, 1766, "4A"), (B, 1767, "4B"), (NEW, 33, "2"), (NEW, 34, "3"), (NEW, 112, "3"),
        (NEW, 113, "4A"), (NEW, 267, "4A"), (NEW, 268, "4B"), (GROWING, 267, "4A"),
        (GROWING, 268, "4B"),
    ],
)  # fmt: skip
def test_solid_by_volume(timing: Timing, volume: float, expected: str) -> None:
    assert category(lesion(timing=timing, volume_mm3=volume)) == expected


@pytest.mark.parametrize(
    ("timing", "mean_mm", "solid_mm", "expected"),
    [
        (B, 5.9, 3.0, "2"), (B, 6.0, 3.0, "3"), (B, 12.0, 5.9, "3"), (B, 12.0, 6.0, "4A"),
        (B, 12.0, 7.9, "4A"), (B, 12.0, 8.0, "4B"), (NEW, 5.9, 3.0, "3"), (NEW, 6.0, 3.9, "4A"),
        (NEW, 6.0, 4.0, "4B"), (GROWING, 5.0, 3.9, "4A"), (GROWING, 9.0, 3.9, "4A"),
        (GROWING, 9.0, 4.0, "4B"), (SLOW, 9.0, 3.0, "4B"),
    ],
)  # fmt: skip
def test_part_solid(timing: Timing, mean_mm: float, solid_mm: float, expected: str) -> None:
    assert category(lesion(PART, timing, mean_mm=mean_mm, solid_mm=solid_mm)) == expected


@pytest.mark.parametrize(
    ("timing", "size", "expected"),
    [
        (B, {"mean_mm": 29.94}, "2"), (B, {"mean_mm": 30.0}, "3"), (NEW, {"mean_mm": 29.9}, "2"),
        (NEW, {"mean_mm": 30.0}, "3"), (GROWING, {"mean_mm": 29.9}, "2"),
        (GROWING, {"mean_mm": 31.0}, "3"), (STABLE, {"mean_mm": 35.0}, "2"),
        (SLOW, {"mean_mm": 35.0}, "2"), (B, {"volume_mm3": 14136}, "2"),
        (B, {"volume_mm3": 14137}, "3"),
    ],
)  # fmt: skip
def test_ground_glass(timing: Timing, size: dict[str, float], expected: str) -> None:
    assert category(lesion(GGN, timing, **size)) == expected


@pytest.mark.parametrize("kind", [NoduleType.CALCIFIED, NoduleType.FAT])
@pytest.mark.parametrize("timing", list(Timing))
def test_benign_features_are_category_1(kind: NoduleType, timing: Timing) -> None:
    assert category(lesion(kind, timing, mean_mm=18.0)) == "1"


@pytest.mark.parametrize(
    ("mean_mm", "timing", "shape", "smooth", "expected"),
    [
        (9.9, B, True, True, "2"), (9.9, NEW, True, True, "2"), (9.9, STABLE, True, True, "2"),
        (10.0, B, True, True, "4A"), (9.9, B, False, True, "4A"), (9.9, B, True, False, "4A"),
        (9.9, GROWING, True, True, "4B"), (9.9, B, None, True, "4A"),
    ],
)  # fmt: skip
def test_juxtapleural(
    mean_mm: float, timing: Timing, shape: bool | None, smooth: bool, expected: str
) -> None:
    one = lesion(timing=timing, mean_mm=mean_mm, on_pleura=True, smooth=smooth, benign_shape=shape)
    assert category(one) == expected


def test_only_the_shape_is_left_to_the_reader() -> None:
    said = lung_rads([lesion(mean_mm=7, on_pleura=True, smooth=True)], BASE)
    assert said.category == "3"
    assert "lentiform" in said.rule.en
    assert "透镜状" in said.rule.zh


@pytest.mark.parametrize(
    ("where", "timing", "expected"),
    [
        (Airway.SUBSEGMENTAL, B, "2"), (Airway.SUBSEGMENTAL, NEW, "2"),
        (Airway.SUBSEGMENTAL, STABLE, "2"), (Airway.SUBSEGMENTAL, GROWING, "4A"),
        (Airway.PROXIMAL, B, "4A"), (Airway.PROXIMAL, NEW, "4A"), (Airway.PROXIMAL, STABLE, "4B"),
        (Airway.PROXIMAL, GROWING, "4B"),
    ],
)  # fmt: skip
def test_airway(where: Airway, timing: Timing, expected: str) -> None:
    assert category(lesion(None, timing, airway=where, mean_mm=5.0)) == expected


@pytest.mark.parametrize(
    ("cyst", "expected"),
    [
        (Cyst.THIN_UNILOCULAR, "1"), (Cyst.THICK, "4A"), (Cyst.MULTILOCULAR, "4A"),
        (Cyst.BECAME_MULTILOCULAR, "4A"), (Cyst.THICK_CAVITY_GREW, "3"),
        (Cyst.THICK_WALL_GREW, "4B"), (Cyst.MULTILOCULAR_GREW, "4B"),
        (Cyst.MULTILOCULAR_DENSER, "4B"),
    ],
)  # fmt: skip
def test_cysts(cyst: Cyst, expected: str) -> None:
    assert category(lesion(None, B, cyst=cyst)) == expected


@pytest.mark.parametrize(
    ("prior", "days", "expected"),
    [
        ("1", 365, "2"), ("2", 365, "2"), ("3", 182, "2"), ("3", 150, "2"), ("3", 149, "3"),
        ("4A", 91, "3"), ("4A", 75, "3"), ("4A", 74, "4A"), ("4B", 365, "4B"), ("4X", 90, "4X"),
        ("0", 60, "3"),
    ],
)  # fmt: skip
def test_stepped_management(prior: str, days: int, expected: str) -> None:
    one = lesion(timing=STABLE, mean_mm=7.0, days=days)
    assert category(one, earlier_ct=True, prior_lung_rads=prior) == expected


@pytest.mark.parametrize(("now", "expected"), [(5.9, "2"), (6.0, "3")])
def test_crossing_a_limit_counts_without_growth(now: float, expected: str) -> None:
    one = lesion(timing=STABLE, mean_mm=now, days=365, prior_mm=5.5, prior_now_mm=now)
    assert category(one, earlier_ct=True, prior_lung_rads="2") == expected


@pytest.mark.parametrize(
    ("mean_mm", "measured", "confirmed"), [(5.0, "2", "2"), (7.0, "3", "4X"), (16.0, "4B", "4X")]
)
def test_measured_spiculation_raises_only_where_the_reader_confirms(
    mean_mm: float, measured: str, confirmed: str
) -> None:
    one = lesion(mean_mm=mean_mm, spiculated=True)
    said = lung_rads([one], BASE)
    assert said.category == measured
    assert ("4X instead, if the reader confirms" in said.rule.en) == (measured != "2")
    assert category(one, suspicious_features=True) == confirmed
    denied = lung_rads([one], BASE.model_copy(update={"suspicious_features": False}))
    assert denied.category == measured
    assert "4X" not in denied.rule.en


def test_a_ground_glass_nodule_that_doubles_in_a_year() -> None:
    assert category(lesion(GGN, GROWING, mean_mm=31.0, doubled_in_a_year=True)) == "4X"
    small = lung_rads([lesion(GGN, GROWING, mean_mm=12.0, doubled_in_a_year=True)], BASE)
    assert small.category == "2"
    assert "4X" in small.rule.en


def test_what_the_reader_alone_can_tell() -> None:
    seven = lesion(mean_mm=7.0)
    assert category(seven, suspicious_features=True) == "4X"
    assert category(lesion(mean_mm=3.0), suspicious_features=True) == "2"
    assert category(seven, infection_suspected=True) == "0"
    assert category(lesion(mean_mm=3.0), lungs_incomplete=True) == "0"
    assert category(seven, lungs_incomplete=True) == "3"
    assert category(seven, significant_other=True) == "3S"


def test_no_nodule() -> None:
    assert lung_rads([], BASE).category == "1"
    assert lung_rads([], Clinical()).category == "1"
    assert lung_rads([], Clinical(lungs_incomplete=True)).category == "0"


def test_the_most_suspicious_decides_and_is_named() -> None:
    said = lung_rads([lesion(mean_mm=4), lesion(mean_mm=9).model_copy(update={"number": 2})], BASE)
    assert (said.category, said.finding) == ("4A", 2)
    assert {i.finding for i in said.inputs} == {1, 2}
    assert "PET/CT" in said.recommendation.en
    assert "3 个月" in said.recommendation.zh


def test_unknown_whether_an_earlier_ct_exists() -> None:
    said = lung_rads([Lesion(number=1, type=SOLID, mean_mm=7.0)], Clinical())
    assert said.category is None
    assert "earlier chest CT" in said.missing[0].en
    assert said.recommendation.en.startswith("Cannot be assigned, because whether an earlier")
    assert "category 3" in said.recommendation.en
    assert "无法分类" in said.recommendation.zh


def test_unknown_that_does_not_matter() -> None:
    said = lung_rads([Lesion(number=1, type=GGN, mean_mm=12.0)], Clinical())
    assert said.category == "2"
    assert "same whatever" in said.rule.en


def test_an_earlier_ct_that_was_not_compared() -> None:
    one = Lesion(number=1, type=SOLID, mean_mm=7.0, timings=SINCE_EARLIER)
    assert lung_rads([one], Clinical(earlier_ct=True)).category == "0"
    glass = one.model_copy(update={"type": GGN})
    assert lung_rads([glass], Clinical(earlier_ct=True)).category == "2"


def test_stable_with_an_unknown_earlier_category() -> None:
    said = lung_rads([lesion(timing=STABLE, mean_mm=7.0, days=200)], Clinical(earlier_ct=True))
    assert said.category is None
    assert "previous screening" in said.missing[0].en
    assert "category 3 if previously 4A" in said.recommendation.en


def test_unknown_type_and_unknown_solid_part() -> None:
    said = lung_rads([lesion(None, mean_mm=7.0)], BASE)
    assert said.category is None
    assert "nodule 1 was not characterised" in said.recommendation.en
    assert category(lesion(PART, mean_mm=5.0)) == "2"
    core = lung_rads([lesion(PART, mean_mm=7.0)], BASE)
    assert core.category is None
    assert "4B" not in core.recommendation.en  # a 7 mm nodule has no 8 mm solid part


def test_an_unknown_is_outweighed() -> None:
    large = lesion(mean_mm=20.0).model_copy(update={"number": 2})
    said = lung_rads([lesion(None, mean_mm=7.0), large], BASE)
    assert (said.category, said.finding) == ("4B", 2)
    assert said.missing


def test_volume_that_says_otherwise_is_told() -> None:
    said = lung_rads([lesion(mean_mm=8.1, volume_mm3=240.0)], BASE)
    assert said.category == "4A"
    assert any("240 mm³: category 3" in i.value.en for i in said.inputs)


@given(st.floats(1, 40), st.floats(0, 10), st.sampled_from([B, NEW, GROWING]), st.booleans())
def test_a_bigger_solid_nodule_is_never_lower(
    mean_mm: float, more: float, timing: Timing, rough: bool
) -> None:
    small, big = (
        ORDER.index(category(lesion(timing=timing, mean_mm=mm, spiculated=rough)))  # type: ignore[arg-type]
        for mm in (mean_mm, mean_mm + more)
    )
    assert small <= big


@given(st.floats(6, 40), st.floats(1, 20), st.floats(0, 10), st.sampled_from([B, NEW, GROWING]))
def test_a_bigger_solid_part_is_never_lower(
    mean_mm: float, core: float, more: float, timing: Timing
) -> None:
    small, big = (
        ORDER.index(category(lesion(PART, timing, mean_mm=mean_mm, solid_mm=mm)))  # type: ignore[arg-type]
        for mm in (core, core + more)
    )
    assert small <= big
