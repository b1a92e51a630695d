"""Every cell of the Fleischner 2017 table, edges, scope, risk and what is not known."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.guidelines.fleischner import fleischner, rows_of
from imaging.guidelines.follow_up import Timing
from imaging.guidelines.lesion import Lesion
from imaging.guidelines.values import Clinical, Guidance
from imaging.nodule import NoduleType

SOLID, PART, GGN = NoduleType.SOLID, NoduleType.PART_SOLID, NoduleType.GROUND_GLASS
LOW = Clinical(age_years=60, high_risk=False, known_cancer=False, immunosuppressed=False)
HIGH = LOW.model_copy(update={"high_risk": True})
OPEN = LOW.model_copy(update={"high_risk": None})


def lesion(kind: NoduleType | None = SOLID, mean_mm: float | None = 7.0, **values: Any) -> Lesion:
    return Lesion(number=values.pop("number", 1), type=kind, mean_mm=mean_mm, **values)


def of(*lesions: Lesion, clinical: Clinical = LOW) -> Guidance:
    return fleischner(lesions, clinical)


@pytest.mark.parametrize(
    ("mean_mm", "low", "high"),
    [
        (3.0, "No routine", "optional"), (5.49, "No routine", "optional"),
        (5.5, "6 to 12 months, then consider", "6 to 12 months, then CT"),
        (6.0, "6 to 12 months, then consider", "6 to 12 months, then CT"),
        (8.49, "6 to 12 months, then consider", "6 to 12 months, then CT"),
        (8.5, "CT at 3 months", "CT at 3 months"), (12.0, "PET/CT", "tissue sampling"),
    ],
)  # fmt: skip
def test_single_solid(mean_mm: float, low: str, high: str) -> None:
    assert low in of(lesion(mean_mm=mean_mm)).recommendation.en
    assert high in of(lesion(mean_mm=mean_mm), clinical=HIGH).recommendation.en


@pytest.mark.parametrize(
    ("mean_mm", "low", "high"),
    [
        (5.4, "No routine", "optional"),
        (5.5, "3 to 6 months, then consider", "3 to 6 months, then CT"),
        (8.4, "3 to 6 months, then consider", "3 to 6 months, then CT"),
        (8.5, "3 to 6 months, then consider", "3 to 6 months, then CT"),
    ],
)
def test_multiple_solid(mean_mm: float, low: str, high: str) -> None:
    both = (lesion(mean_mm=3.0), lesion(mean_mm=mean_mm, number=2))
    assert low in of(*both).recommendation.en
    assert of(*both).finding == 2
    assert high in of(*both, clinical=HIGH).recommendation.en


@pytest.mark.parametrize(
    ("volume", "expected"), [(99, "<6"), (100, "6-8"), (250, "6-8"), (251, ">8")]
)
def test_by_volume(volume: float, expected: str) -> None:
    said = of(lesion(mean_mm=None, volume_mm3=volume)).category
    assert said is not None
    assert expected in said


@pytest.mark.parametrize(
    ("kind", "mean_mm", "solid_mm", "expected"),
    [
        (GGN, 5.4, None, "No routine"), (GGN, 5.5, None, "every 2 years"),
        (GGN, 20.0, None, "every 2 years"), (PART, 5.4, 3.0, "No routine"),
        (PART, 5.5, 3.0, "every year for 5 years"), (PART, 12.0, 5.4, "every year for 5 years"),
        (PART, 12.0, 5.5, "highly suspicious"), (PART, 12.0, 9.0, "highly suspicious"),
    ],
)  # fmt: skip
def test_single_subsolid(
    kind: NoduleType, mean_mm: float, solid_mm: float | None, expected: str
) -> None:
    for clinical in (LOW, HIGH, OPEN):  # risk doesn't matter here
        said = of(lesion(kind, mean_mm, solid_mm=solid_mm), clinical=clinical)
        assert expected in said.recommendation.en
        assert not said.missing


def test_multiple_subsolid() -> None:
    small = of(lesion(GGN, 5.0), lesion(GGN, 4.0, number=2))
    assert "2 and 4 years" in small.recommendation.en
    large = of(lesion(GGN, 5.0), lesion(PART, 9.0, solid_mm=4.0, number=2))
    assert "most suspicious" in large.recommendation.en
    assert large.finding == 2


def test_solid_and_subsolid_together() -> None:
    said = of(lesion(SOLID, 10.0), lesion(GGN, 8.0, number=2))
    assert said.category == "solid, single, >8 mm"
    assert "Besides, for nodule 2" in said.recommendation.en


def test_benign_ones_are_not_counted() -> None:
    assert of(lesion(NoduleType.CALCIFIED, 12.0)).category == "benign"
    fissural = {"on_fissure": True, "smooth": True, "benign_shape": True}
    assert of(lesion(mean_mm=8.0, **fissural)).category == "benign"
    said = of(lesion(mean_mm=7.0), lesion(NoduleType.FAT, 12.0, number=2))
    assert said.category == "solid, single, 6-8 mm"


def test_a_perifissural_shape_is_left_to_the_reader() -> None:
    said = of(lesion(on_fissure=True, smooth=True))
    assert said.category == "solid, single, 6-8 mm"
    assert "perifissural" in said.rule.en


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"age_years": 34}, "younger than 35"), ({"known_cancer": True}, "known cancer"),
        ({"immunosuppressed": True}, "immunosuppressed"),
    ],
)  # fmt: skip
def test_outside_the_scope(facts: dict[str, Any], why: str) -> None:
    said = of(lesion(), clinical=LOW.model_copy(update=facts))
    assert said.category is None
    assert why in said.recommendation.en
    assert of(lesion(), clinical=LOW.model_copy(update={"age_years": 35})).category


@pytest.mark.parametrize("fact", ["age_years", "known_cancer", "immunosuppressed"])
def test_unknown_scope(fact: str) -> None:
    said = of(lesion(), clinical=LOW.model_copy(update={fact: None}))
    assert said.category is None
    assert len(said.missing) == 1
    assert "6 to 12 months" in said.recommendation.en


def test_unknown_risk() -> None:
    small = of(lesion(mean_mm=4.0), clinical=OPEN)
    assert small.category == "solid, single, <6 mm"
    assert "At low risk: No routine" in small.recommendation.en
    assert "高危患者" in small.recommendation.zh
    assert small.missing
    assert not of(lesion(mean_mm=12.0), clinical=OPEN).missing


def test_unknown_type_and_solid_part() -> None:
    said = of(lesion(None, 7.0))
    assert said.category is None
    assert "not characterised" in said.recommendation.en
    core = of(lesion(PART, 9.0))
    assert core.category is None
    assert "every year for 5 years" in core.recommendation.en
    assert of(lesion(PART, 5.0)).category == "part-solid, single, <6 mm"
    many = [lesion(None, 7.0, number=n) for n in range(1, 7)]
    assert of(*many).category is None


def test_over_time() -> None:
    grown = of(lesion(timings=(Timing.GROWING,)))
    assert "Growth of nodule 1" in grown.recommendation.en
    done = of(lesion(timings=(Timing.STABLE,), stable_days=730))
    assert "follow-up can end" in done.recommendation.en
    glass = of(lesion(GGN, timings=(Timing.STABLE,), stable_days=730))
    assert "can end" not in glass.recommendation.en


def test_a_mass_and_a_volume_that_says_otherwise() -> None:
    assert "mass" in of(lesion(mean_mm=34.0)).recommendation.en
    said = of(lesion(mean_mm=5.9, volume_mm3=90.0))
    assert any(i.name.en == "By volume instead" for i in said.inputs)


def test_no_nodule_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        fleischner([], LOW)


@given(st.floats(1, 40), st.floats(0, 10), st.sampled_from([SOLID, GGN]))
def test_a_bigger_nodule_is_never_less_urgent(
    mean_mm: float, more: float, kind: NoduleType
) -> None:
    small, big = (rows_of([lesion(kind, mm)])[0][0].urgency for mm in (mean_mm, mean_mm + more))
    assert small <= big
