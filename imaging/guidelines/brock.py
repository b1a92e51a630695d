"""The published Brock (PanCan) model: how likely a nodule is cancer, full model.

Source: McWilliams et al., N Engl J Med 2013;369:910-919, model 2b (with spiculation). Made on
baseline screening of smokers for cancer within 2 to 4 years; elsewhere it is less certain.
"""

from __future__ import annotations

from itertools import product
from math import exp
from typing import Final

from imaging.guidelines.values import Clinical
from imaging.language import Text
from imaging.nodule import Hint, Lobe, Margin, Nodule, NoduleType

CONSTANT: Final = -6.7892
AGE: Final = 0.0287
AGE_CENTRE: Final = 62
FEMALE: Final = 0.6011
FAMILY_HISTORY: Final = 0.2961
EMPHYSEMA: Final = 0.2953
SIZE: Final = -5.3854
SIZE_CENTRE: Final = 1.58113883
TYPE: Final = {
    NoduleType.SOLID: 0.0,
    NoduleType.PART_SOLID: 0.377,
    NoduleType.GROUND_GLASS: -0.1276,
}
UPPER_LOBE: Final = 0.6581
COUNT: Final = -0.0824
COUNT_CENTRE: Final = 4
SPICULATION: Final = 0.7729

_TITLE: Final = Text(en="Brock (PanCan) model", zh="Brock（PanCan）模型")
_MEANING: Final = Text(
    en="Probability of cancer within 2 to 4 years by a published formula, made from screened "
    "smokers. It supports the reader's judgement and is no diagnosis.",
    zh="按已发表公式估算的 2～4 年内恶性概率，源自吸烟人群筛查数据，仅供医师参考，不是诊断。",
)
_UNKNOWN: Final = {
    "sex": Text(en="the patient's sex is not known", zh="患者性别不明"),
    "family": Text(en="a family history of lung cancer is not known", zh="肺癌家族史不明"),
    "emphysema": Text(en="whether there is emphysema is not known", zh="有无肺气肿不明"),
    "upper": Text(en="the lobe is not known", zh="所在肺叶不明"),
    "spiculated": Text(
        en="the spiculation that was measured is not confirmed by a reader",
        zh="测量所得毛刺征未经医师确认",
    ),
}


def brock(nodule: Nodule, clinical: Clinical, count: int) -> Hint:
    """The hint of one nodule.

    Size is the longest axial diameter, mm. Where a yes-or-no fact is missing there is no
    probability, and ``low`` and ``high`` say between which it lies whatever the fact is. A
    margin measured as spiculated counts as such a missing fact: the measure calls too many.

    Args:
        nodule: described.
        clinical: of the patient; age, sex, family history and emphysema are used.
        count: nodules in the examination, this one included.

    Raises:
        ValueError: ``count`` is less than 1.
    """
    if count < 1:
        raise ValueError(f"count is {count}; it includes the nodule itself, so at least 1.")
    if nodule.type not in TYPE:
        return _none(
            Text(
                en="the model is not for calcified or fat-containing nodules",
                zh="该模型不适用于钙化或含脂肪的结节",
            )
        )
    lobe = nodule.place.lobe
    facts: dict[str, bool | None] = {
        "sex": {"F": True, "M": False}.get(clinical.sex or ""),
        "family": clinical.family_history,
        "emphysema": clinical.emphysema,
        "upper": None if lobe is None else lobe in (Lobe.RIGHT_UPPER, Lobe.LEFT_UPPER),
        "spiculated": None if nodule.margin is Margin.SPICULATED else False,
    }
    missing = [_UNKNOWN[name] for name, fact in facts.items() if fact is None]
    if clinical.age_years is None:
        missing.insert(0, Text(en="the patient's age is not known", zh="患者年龄不明"))
    inputs = _inputs(nodule, clinical, facts, count)
    if clinical.age_years is None:
        return _none(*missing, inputs=inputs)
    choices = ((False, True) if fact is None else (fact,) for fact in facts.values())
    chances = [
        probability(
            age_years=clinical.age_years, female=female, family_history=family,
            emphysema=emphysema, long_mm=nodule.axial.long_mm, kind=nodule.type,
            upper_lobe=upper, count=count, spiculated=spiculated,
        )
        for female, family, emphysema, upper, spiculated in product(*choices)
    ]  # fmt: skip
    if not missing:
        return Hint(
            method="brock", title=_TITLE, probability=chances[0], inputs=inputs, meaning=_MEANING
        )
    return Hint(
        method="brock", title=_TITLE, low=min(chances), high=max(chances), inputs=inputs,
        missing=tuple(missing), meaning=_MEANING,
    )  # fmt: skip


def probability(
    *,
    age_years: int,
    female: bool,
    family_history: bool,
    emphysema: bool,
    long_mm: float,
    kind: NoduleType,
    upper_lobe: bool,
    count: int,
    spiculated: bool,
) -> float:
    """The formula itself, 0 to 1.

    Raises:
        ValueError: ``long_mm`` is not positive.
        KeyError: the model has no term for ``kind``.
    """
    if long_mm <= 0:
        raise ValueError(f"long_mm is {long_mm}; a nodule has a size above 0 mm.")
    odds = (
        CONSTANT
        + AGE * (age_years - AGE_CENTRE)
        + FEMALE * female
        + FAMILY_HISTORY * family_history
        + EMPHYSEMA * emphysema
        + SIZE * ((long_mm / 10) ** -0.5 - SIZE_CENTRE)
        + TYPE[kind]
        + UPPER_LOBE * upper_lobe
        + COUNT * (count - COUNT_CENTRE)
        + SPICULATION * spiculated
    )
    return 1 / (1 + exp(-odds))


def _none(*missing: Text, inputs: tuple[tuple[Text, Text], ...] = ()) -> Hint:
    return Hint(method="brock", title=_TITLE, inputs=inputs, missing=missing, meaning=_MEANING)


_NOT_KNOWN: Final = Text(en="not known", zh="不明")
_FACT: Final = {True: Text(en="yes", zh="是"), False: Text(en="no", zh="否"), None: _NOT_KNOWN}
_UNCONFIRMED: Final = Text(en="measured, not confirmed", zh="测量提示，未确认")
_TYPE: Final = {
    NoduleType.SOLID: Text(en="solid", zh="实性"),
    NoduleType.PART_SOLID: Text(en="part-solid", zh="部分实性"),
    NoduleType.GROUND_GLASS: Text(en="ground-glass", zh="磨玻璃"),
}


def _inputs(
    nodule: Nodule, clinical: Clinical, facts: dict[str, bool | None], count: int
) -> tuple[tuple[Text, Text], ...]:
    age = clinical.age_years
    told = (
        ("age, years", "年龄，岁", _NOT_KNOWN if age is None else Text.same(str(age))),
        ("female", "女性", _FACT[facts["sex"]]),
        ("family history", "肺癌家族史", _FACT[facts["family"]]),
        ("emphysema", "肺气肿", _FACT[facts["emphysema"]]),
        ("longest diameter, mm", "最长径，mm", Text.same(f"{nodule.axial.long_mm:.1f}")),
        ("type", "类型", _TYPE[nodule.type]),
        ("upper lobe", "位于上叶", _FACT[facts["upper"]]),
        ("nodules", "结节数", Text.same(str(count))),
        ("spiculation", "毛刺征", _FACT[False] if facts["spiculated"] is False else _UNCONFIRMED),
    )
    return tuple((Text(en=en, zh=zh), value) for en, zh, value in told)
