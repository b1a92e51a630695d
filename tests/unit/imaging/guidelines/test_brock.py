"""The Brock formula against sums made by hand from the published coefficients."""

from __future__ import annotations

import pytest

from imaging.guidelines.brock import brock, probability
from imaging.guidelines.values import Clinical
from imaging.nodule import Diameters, Lobe, Margin, NoduleType

from .made import nodule, place

KNOWN = Clinical(age_years=62, sex="M", family_history=False, emphysema=False)


def sized(long_mm: float) -> Diameters:
    return Diameters(long_mm=long_mm, short_mm=long_mm - 1, mean_mm=long_mm - 0.5, plane="axial")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        # 62 y, man, 4 mm: every term is at its centre; -6.7892 -> 1 / (1 + e^6.7892) = 0.001125
        ({"long_mm": 4.0}, 0.001125),
        # 10 mm: -5.3854 x (1 - 1.58113883) = 3.12966; -3.65954 -> 0.025098
        ({"long_mm": 10.0}, 0.025098),
        # woman, 70, family, emphysema, 10 mm, part-solid, upper lobe, 1 nodule, spiculated:
        # -6.7892 + 0.2296 + 0.6011 + 0.2961 + 0.2953 + 3.12966 + 0.377 + 0.6581 + 0.2472
        # + 0.7729 = -0.18224 -> 0.454566
        (
            {
                "age_years": 70, "female": True, "family_history": True, "emphysema": True,
                "long_mm": 10.0, "kind": NoduleType.PART_SOLID, "upper_lobe": True, "count": 1,
                "spiculated": True,
            },
            0.454566,
        ),
        # 55, 16 mm ground-glass, 8 nodules: 16 mm: -5.3854 x (0.790569 - 1.581139) = 4.257536;
        # -6.7892 - 0.2009 + 4.257536 - 0.1276 - 0.3296 = -3.189764 -> 0.039553
        ({"age_years": 55, "long_mm": 16.0, "kind": NoduleType.GROUND_GLASS, "count": 8}, 0.039553),
    ],
)  # fmt: skip
def test_by_hand(facts: dict[str, object], expected: float) -> None:
    centre = {
        "age_years": 62, "female": False, "family_history": False, "emphysema": False,
        "kind": NoduleType.SOLID, "upper_lobe": False, "count": 4, "spiculated": False,
    }  # fmt: skip
    assert probability(**(centre | facts)) == pytest.approx(expected, abs=2e-6)  # type: ignore[arg-type]


def test_of_a_nodule() -> None:
    lower = nodule(axial=sized(10.0), place=place(lobe=Lobe.LEFT_LOWER))
    hint = brock(lower, KNOWN, 4)
    assert hint.probability == pytest.approx(0.025098, abs=1e-6)
    assert not hint.missing


def test_spiculation_that_was_only_measured_gives_the_range() -> None:
    upper = nodule(axial=sized(10.0), place=place(lobe=Lobe.LEFT_UPPER), margin=Margin.SPICULATED)
    hint = brock(upper, KNOWN, 4)
    assert hint.probability is None
    assert "not confirmed" in hint.missing[0].en
    # -3.65954 + 0.6581 = -3.00144 -> 0.047361; + 0.7729 = -2.22854 -> 0.097217
    assert hint.low == pytest.approx(0.047361, abs=1e-6)
    assert hint.high == pytest.approx(0.097217, abs=1e-6)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"age_years": None}, "age"), ({"sex": None}, "sex"), ({"sex": "O"}, "sex"),
        ({"family_history": None}, "family history"), ({"emphysema": None}, "emphysema"),
    ],
)  # fmt: skip
def test_missing_facts_are_named(facts: dict[str, object], why: str) -> None:
    hint = brock(nodule(), KNOWN.model_copy(update=facts), 1)
    assert hint.probability is None
    assert [why in text.en for text in hint.missing] == [True]
    assert (hint.low is None) == (why == "age")


def test_an_unknown_lobe_gives_the_range() -> None:
    unsure = nodule(axial=sized(10.0), place=place(lobe=None))
    hint = brock(unsure, KNOWN, 4)
    assert hint.probability is None
    assert hint.missing[0].zh == "所在肺叶不明"
    assert hint.low == pytest.approx(0.025098, abs=1e-6)
    # -3.65954 + 0.6581 = -3.00144; e^3.00144 = 20.1145 -> 0.047361
    assert hint.high == pytest.approx(0.047361, abs=1e-6)


def test_not_for_benign_calcification() -> None:
    hint = brock(nodule(type=NoduleType.CALCIFIED), KNOWN, 1)
    assert hint.probability is None
    assert "calcified" in hint.missing[0].en


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        brock(nodule(), KNOWN, 0)
    with pytest.raises(ValueError, match="above 0 mm"):
        brock(nodule(axial=sized(0.0)), KNOWN, 1)
