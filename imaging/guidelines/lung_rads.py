"""Lung-RADS v2022 for a whole screening examination: the most suspicious lesion decides.

Source: see :mod:`imaging.guidelines.lung_rads_table`. What a reader alone can tell (infection,
lungs that can't be judged, further suspicious features, other significant findings) counts
where it is said in ``Clinical``; where nothing is said nothing is made of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from imaging.guidelines import lung_rads_table as table
from imaging.guidelines.assessment import (
    Assessment,
    joined,
    lesion_inputs,
    nodule_name,
    remarked,
    said,
)
from imaging.guidelines.follow_up import ANY_TIMING, Timing
from imaging.guidelines.lesion import Lesion
from imaging.guidelines.lung_rads_rows import (
    EARLIER_CT_UNKNOWN,
    RAISED_BY_FEATURES,
    Outcome,
    may_be_juxtapleural,
    outcomes,
    solid_of_8mm,
)
from imaging.guidelines.lung_rads_table import ORDER, SOURCE, Row, management
from imaging.guidelines.rounding import to_whole
from imaging.guidelines.values import LUNG_RADS, Clinical, Guidance, Input
from imaging.language import Text
from imaging.nodule import NoduleType

Rated = tuple[Lesion, tuple[Outcome, ...]]
_MOST_LISTED: Final = 4


def lung_rads(lesions: Sequence[Lesion], clinical: Clinical) -> Guidance:
    """The category of a screening examination.

    Args:
        lesions: all that stand; none means that no nodule was found.
        clinical: of the patient; whether it is a screening examination is not looked at.
    """
    return assess(lesions, clinical).guidance(LUNG_RADS, SOURCE)


def assess(lesions: Sequence[Lesion], clinical: Clinical) -> Assessment:
    """As :func:`lung_rads`, not yet worded as guidance."""
    if clinical.infection_suspected:
        return _zero(table.INFECTION, lesions, clinical)
    rated = [(lesion, outcomes(lesion, clinical.prior_lung_rads)) for lesion in lesions]
    if not rated:
        row = table.INCOMPLETE if clinical.lungs_incomplete else table.NO_NODULE
        return _assigned(row, row.category, None, (), (), clinical)
    low = max(min(each.rank for each in found) for _, found in rated)
    high = max(max(each.rank for each in found) for _, found in rated)
    missing = _missing(rated)
    if low == high:
        result = _settled(rated, high, missing, clinical)
        if clinical.lungs_incomplete and result.category in ("1", "2"):
            return _zero(table.INCOMPLETE, lesions, clinical)
        return result
    if clinical.lungs_incomplete and ORDER[high] in ("1", "2"):
        return _zero(table.INCOMPLETE, lesions, clinical)
    uncompared = all(
        lesion.days is None for lesion, found in rated if len({o.rank for o in found}) > 1
    )
    if clinical.earlier_ct and uncompared:
        return _zero(table.PRIOR_AWAITED, lesions, clinical)
    if any(set(lesion.timings) == set(ANY_TIMING) for lesion in lesions):
        return _if_baseline(lesions, clinical)
    return _open(rated, low, missing, clinical)


def _settled(
    rated: Sequence[Rated], rank: int, missing: tuple[Text, ...], clinical: Clinical
) -> Assessment:
    """The category is the same whatever is not known."""
    deciding = [(lesion, found) for lesion, found in rated if max(o.rank for o in found) == rank]
    lesion, found = max(deciding, key=lambda pair: pair[0].mean_mm or 0.0)
    outcome = max(found, key=lambda each: each.rank)
    category: str = outcome.category
    remarks = list(_remarks(lesion, outcome, rated))
    if missing:
        whatever = joined(missing)
        remarks.append(
            Text(
                en=f"The category is the same whatever is not known ({whatever.en})",
                zh=f"以下未知项不影响分类：{whatever.zh}",
            )
        )
    remarks += _unconfirmed(rated, clinical)
    if clinical.suspicious_features and category in RAISED_BY_FEATURES:
        category = "4X"
        remarks.append(
            Text(
                en="Raised to 4X by the reader's suspicious features",
                zh="因医师所见可疑征象升为 4X 类",
            )
        )
    return _assigned(outcome.row, category, lesion, rated, remarks, clinical, missing)


def _assigned(
    row: Row,
    category: str,
    lesion: Lesion | None,
    rated: Sequence[Rated],
    remarks: Iterable[Text],
    clinical: Clinical,
    missing: tuple[Text, ...] = (),
) -> Assessment:
    solid = any(solid_of_8mm(each) for each, _ in rated)
    modified = category + ("S" if clinical.significant_other else "")
    advice = management(row, category=category, solid_8mm=solid)
    if clinical.significant_other:
        advice = Text(
            en=advice.en + " Modifier S: manage the other significant finding on its own account.",
            zh=advice.zh + "S 修饰：其他有临床意义的所见另行处理。",
        )
    return Assessment(
        category=modified,
        label=Text(en=f"category {modified}", zh=f"{modified} 类"),
        rule=remarked(row.text, remarks),
        advice=advice,
        inputs=_inputs(lesion, rated, clinical),
        missing=missing,
        finding=lesion.number if lesion else None,
    )


def _zero(row: Row, lesions: Sequence[Lesion], clinical: Clinical) -> Assessment:
    rated = [(lesion, outcomes(lesion, clinical.prior_lung_rads)) for lesion in lesions]
    return _assigned(row, row.category, None, rated, (), clinical)


def _if_baseline(lesions: Sequence[Lesion], clinical: Clinical) -> Assessment:
    """Nobody said whether there is an earlier CT: what holds if there is none."""
    first = [
        lesion.model_copy(update={"timings": (Timing.BASELINE,)})
        if set(lesion.timings) == set(ANY_TIMING)
        else lesion
        for lesion in lesions
    ]
    result = assess(first, clinical).unless_known(
        (EARLIER_CT_UNKNOWN,),
        Text(en="If there is none (baseline)", zh="若无既往胸部 CT（基线检查）"),
    )
    compare = management(table.PRIOR_AWAITED, category="0", solid_8mm=False)
    advice = Text(
        en=f"{result.advice.en} If there is one, category 0: {compare.en}",
        zh=f"{result.advice.zh}若有既往胸部 CT，暂为 0 类：{compare.zh}",
    )
    return Assessment(
        category=None, label=result.label, rule=result.rule, advice=advice,
        inputs=result.inputs, missing=result.missing, finding=result.finding,
    )  # fmt: skip


def _open(
    rated: Sequence[Rated], low: int, missing: tuple[Text, ...], clinical: Clinical
) -> Assessment:
    """The category hangs on what is not known: say what would follow from what."""
    lesion, found = max(
        rated, key=lambda pair: (max(o.rank for o in pair[1]), pair[0].mean_mm or 0.0)
    )
    name = nodule_name(lesion)
    lines: list[Text] = []
    for rank in sorted({max(each.rank, low) for each in found}):
        assumed = [
            joined((then for _, then in each.assumed), ", ", "，")
            for each in found
            if max(each.rank, low) == rank
        ]
        condition = joined(assumed, " or ", "或")
        if len(set(assumed)) > _MOST_LISTED:
            condition = Text(en="in the other cases", zh="其余情况")
            lines.append(Text(en=f"category {ORDER[rank]}", zh=f"{ORDER[rank]} 类"))
            continue
        lines.append(
            Text(
                en=f"category {ORDER[rank]} if {condition.en}",
                zh=f"若{condition.zh}，为 {ORDER[rank]} 类",
            )
        )
    which = joined(lines)
    rows = joined((each.row.text for each in found), "; or ", "；或")
    return Assessment(
        category=None,
        label=Text(en="no category", zh="未分类"),
        rule=remarked(rows, _unconfirmed(rated, clinical)),
        advice=Text(en=f"Possible for {name.en}: {which.en}.", zh=f"{name.zh}可能为：{which.zh}。"),
        inputs=_inputs(lesion, rated, clinical),
        missing=missing,
        finding=lesion.number,
    )


def _missing(rated: Sequence[Rated]) -> tuple[Text, ...]:
    unknown = (u for _, found in rated for each in found for u, _ in each.assumed)
    return tuple(dict.fromkeys(unknown))


def _unconfirmed(rated: Sequence[Rated], clinical: Clinical) -> Iterable[Text]:
    """Margins measured as spiculated, of which the reader said neither yes nor no."""
    if clinical.suspicious_features is not None:
        return
    for lesion, found in rated:
        if lesion.spiculated and any(each.category in RAISED_BY_FEATURES for each in found):
            name = nodule_name(lesion)
            yield Text(
                en=f"The margin of {name.en} was measured as spiculated: category 4X instead, if "
                "the reader confirms it",
                zh=f"{name.zh}边缘经测量提示毛刺：若医师确认，则为 4X 类",
            )


def _remarks(lesion: Lesion, outcome: Outcome, rated: Sequence[Rated]) -> Iterable[Text]:
    if outcome.raised:
        why = joined(outcome.raised, ", ", "、")
        yield Text(en=f"Raised to 4X by: {why.en}", zh=f"因{why.zh}升为 4X 类")
    early = lesion.timing in (Timing.BASELINE, Timing.NEW)
    if outcome.category not in ("1", "2") and early and may_be_juxtapleural(lesion):
        yield Text(
            en="It lies on the pleura with a smooth margin: category 2 instead, if the reader sees "
            "an oval, lentiform or triangular shape",
            zh="该结节紧贴胸膜且边缘光滑：若医师判断其呈椭圆形、透镜状或三角形，则为 2 类",
        )
    if outcome.row is table.BENIGN:
        yield Text(en="The pattern is for the reader to confirm", zh="良性征象须由医师确认")
    if outcome.category == "2" and lesion.doubled_in_a_year:
        yield Text(
            en="Its volume doubled within a year, which the reader may hold suspicious (4X)",
            zh="其体积一年内倍增，医师可视为可疑征象（4X）",
        )
    new = [each for each, _ in rated if each.timing is Timing.NEW]
    if len(new) > 6 or any(each.type is NoduleType.SOLID and solid_of_8mm(each) for each in new):
        yield Text(
            en="Category 0 with low-dose CT in 1 to 3 months instead, where infection or "
            "inflammation is suspected",
            zh="若怀疑感染或炎症，可改为 0 类，1～3 个月后复查 LDCT",
        )


def _inputs(lesion: Lesion | None, rated: Sequence[Rated], clinical: Clinical) -> tuple[Input, ...]:
    told: list[Input] = []
    if lesion is not None:
        told += lesion_inputs(lesion)
        told += _by_volume(lesion, clinical)
    for other, found in rated:
        if other is not lesion:
            ranks = sorted({each.rank for each in found})
            each = " / ".join(ORDER[rank] for rank in ranks)
            told.append(said("Category by itself", "单独分类", each, each, other.number))
    if clinical.prior_lung_rads is not None:
        before = clinical.prior_lung_rads
        told.append(
            said("Previous screening examination", "上次筛查", f"category {before}",
                 f"{before} 类", None)
        )  # fmt: skip
    if clinical.significant_other:
        told.append(
            said("Modifier S", "S 修饰", "another significant finding", "另有临床意义的所见", None)
        )
    return tuple(told)


def _by_volume(lesion: Lesion, clinical: Clinical) -> Iterable[Input]:
    """The category by volume, where it is another than by diameter."""
    if lesion.mean_mm is None or lesion.volume_mm3 is None:
        return
    prior = clinical.prior_lung_rads
    by_mm = outcomes(lesion, prior)
    by_mm3 = outcomes(lesion.model_copy(update={"mean_mm": None}), prior)
    if len(by_mm) == len(by_mm3) == 1 and by_mm[0].category != by_mm3[0].category:
        category = by_mm3[0].category
        volume = to_whole(lesion.volume_mm3)
        yield said(
            "By volume instead", "若按体积", f"{volume} mm³: category {category}",
            f"{volume} mm³：{category} 类", lesion.number,
        )  # fmt: skip
