"""Fleischner 2017: what to do about nodules found by chance.

Source and table: :mod:`imaging.guidelines.fleischner_table`. It is for people of 35 years and
more without known cancer or immunosuppression, and not for screening. Benign calcified and
fat-containing nodules and typical perifissural ones are not counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Final

from imaging.guidelines import fleischner_table as table
from imaging.guidelines.assessment import (
    TYPE_TEXT,
    Assessment,
    joined,
    lesion_inputs,
    nodule_name,
    remarked,
    said,
)
from imaging.guidelines.fleischner_table import SOURCE, Row
from imaging.guidelines.follow_up import Timing
from imaging.guidelines.lesion import Lesion
from imaging.guidelines.rounding import to_whole
from imaging.guidelines.values import FLEISCHNER, Clinical, Guidance, Input
from imaging.language import Text
from imaging.nodule import NoduleType

YOUNGEST: Final = 35
MOST_UNKNOWN: Final = 4
"""Undescribed nodules of which all possible types are still tried."""
TWO_YEARS_DAYS, FIVE_YEARS_DAYS = 700, 1800
"""When a solid, a subsolid nodule has been followed long enough; a month of slack is ours."""
MASS_MM: Final = 30

RISK_UNKNOWN: Final = Text(
    en="the patient's risk of lung cancer is not known", zh="患者肺癌风险高低不明"
)
_SUBSOLID: Final = (NoduleType.PART_SOLID, NoduleType.GROUND_GLASS)


def fleischner(lesions: Sequence[Lesion], clinical: Clinical) -> Guidance:
    """What the guideline says of one examination's nodules.

    Args:
        lesions: all that stand, at least one.
        clinical: of the patient; whether it is a screening examination is not looked at.

    Raises:
        ValueError: there is no lesion; the guideline has nothing to say then.
    """
    return assess(lesions, clinical).guidance(FLEISCHNER, SOURCE)


def assess(lesions: Sequence[Lesion], clinical: Clinical) -> Assessment:
    """As :func:`fleischner`, not yet worded as guidance."""
    if not lesions:
        raise ValueError("Fleischner 2017 needs at least one nodule.")
    outside = tuple(_outside(clinical))
    if outside:
        return Assessment(
            category=None,
            label=Text(en="no category", zh="未分类"),
            rule=Text(en="outside the guideline's scope", zh="不属于该指南适用范围"),
            advice=Text(
                en="Manage by the patient's own situation.", zh="请结合患者具体情况个体化处理。"
            ),
            inputs=_patient(clinical),
            missing=outside,
        )
    result = _sized(lesions, clinical)
    unknown = tuple(_scope_unknown(clinical))
    if not unknown:
        return result
    return result.unless_known(
        unknown,
        Text(
            en="If the patient is 35 or older, without known cancer or immunosuppression",
            zh="若患者 ≥35 岁、无已知恶性肿瘤且无免疫抑制",
        ),
    )


def _outside(clinical: Clinical) -> Iterator[Text]:
    if clinical.age_years is not None and clinical.age_years < YOUNGEST:
        yield Text(en="the patient is younger than 35", zh="患者年龄 <35 岁")
    if clinical.known_cancer:
        yield Text(en="the patient has a known cancer", zh="患者有已知恶性肿瘤")
    if clinical.immunosuppressed:
        yield Text(en="the patient is immunosuppressed", zh="患者存在免疫抑制")


def _scope_unknown(clinical: Clinical) -> Iterator[Text]:
    if clinical.age_years is None:
        yield Text(en="the patient's age is not known", zh="患者年龄不明")
    if clinical.known_cancer is None:
        yield Text(en="whether there is a known cancer is not known", zh="有无已知恶性肿瘤不明")
    if clinical.immunosuppressed is None:
        yield Text(en="whether the patient is immunosuppressed is not known", zh="有无免疫抑制不明")


def _sized(lesions: Sequence[Lesion], clinical: Clinical) -> Assessment:
    unknown = [each for each in lesions if not _described(each)]
    missing = tuple(_undescribed(each) for each in unknown)
    if len(unknown) > MOST_UNKNOWN:
        return _open((), missing, lesions, clinical)
    rows = {
        row.category: (row, lesion)
        for filled in _filled(lesions)
        for row, lesion in [rows_of(filled)[0]]
    }
    if len(rows) > 1:
        return _open([row for row, _ in rows.values()], missing, lesions, clinical)
    row, lesion = next(iter(rows.values()))
    return _assigned(row, lesion, lesions, clinical, missing)


def rows_of(lesions: Sequence[Lesion]) -> list[tuple[Row, Lesion]]:
    """The rows that apply to described nodules, the most urgent first, each with its nodule.

    Solid and subsolid nodules each have their own row; at least one row is returned.
    """
    counted = [each for each in lesions if not _benign(each)]
    found: list[tuple[Row, Lesion]] = []
    solid = [each for each in counted if each.type is NoduleType.SOLID]
    if solid:
        largest = max(solid, key=_order)
        rows = table.SOLID_MULTIPLE if len(solid) > 1 else table.SOLID_SINGLE
        found.append((rows[_band(largest)], largest))
    subsolid = [each for each in counted if each.type in _SUBSOLID]
    if len(subsolid) > 1:
        largest = max(subsolid, key=lambda each: (_band(each) > 0, _solid_band(each), _order(each)))
        small = all(_band(each) == 0 for each in subsolid)
        row = table.SUBSOLID_MULTIPLE_SMALL if small else table.SUBSOLID_MULTIPLE
        found.append((row, largest))
    elif subsolid:
        found.append((_subsolid_row(subsolid[0]), subsolid[0]))
    if not found:
        found.append((table.BENIGN, max(lesions, key=_order)))
    return sorted(found, key=lambda pair: -pair[0].urgency)


def _subsolid_row(lesion: Lesion) -> Row:
    small = _band(lesion) == 0
    if lesion.type is NoduleType.GROUND_GLASS:
        return table.GROUND_GLASS_SMALL if small else table.GROUND_GLASS
    if small:
        return table.PART_SOLID_SMALL
    return table.PART_SOLID_LARGE if _solid_band(lesion) else table.PART_SOLID


def _band(lesion: Lesion) -> int:
    """0: under 6 mm (100 mm³), 1: 6 to 8 mm (100 to 250 mm³), 2: above."""
    if lesion.mean_mm is not None:
        whole = to_whole(lesion.mean_mm)
        return 0 if whole < 6 else 1 if whole <= 8 else 2
    if lesion.volume_mm3 is None:
        raise ValueError("A nodule with neither diameter nor volume; give one of them.")
    whole = to_whole(lesion.volume_mm3)
    return 0 if whole < 100 else 1 if whole <= 250 else 2


def _solid_band(lesion: Lesion) -> bool:
    """Whether the solid part is 6 mm or more."""
    return lesion.solid_mm is not None and to_whole(lesion.solid_mm) >= 6


def _order(lesion: Lesion) -> float:
    return lesion.mean_mm or ((lesion.volume_mm3 or 0.0) * 1.9099) ** (1 / 3)


def _perifissural(lesion: Lesion) -> bool:
    known = lesion.on_fissure and lesion.smooth and lesion.benign_shape
    return lesion.type is NoduleType.SOLID and bool(known)


def _benign(lesion: Lesion) -> bool:
    return lesion.benign or _perifissural(lesion)


def _described(lesion: Lesion) -> bool:
    if lesion.type is None or (lesion.mean_mm is None and lesion.volume_mm3 is None):
        return False
    if lesion.type is NoduleType.PART_SOLID and lesion.solid_mm is None:
        return _band(lesion) == 0
    return True


def _undescribed(lesion: Lesion) -> Text:
    name = nodule_name(lesion)
    if lesion.type is None:
        return Text(
            en=f"{name.en} was not characterised: its type is not known",
            zh=f"{name.zh}未作定性，类型不明",
        )
    if lesion.mean_mm is None and lesion.volume_mm3 is None:
        return Text(en=f"the size of {name.en} is not known", zh=f"{name.zh}大小不明")
    return Text(
        en=f"the size of the solid part of {name.en} is not known", zh=f"{name.zh}实性成分大小不明"
    )


def _filled(lesions: Sequence[Lesion]) -> Iterator[list[Lesion]]:
    """The lesions with every combination of what is not known filled in."""
    for filled in product(*(list(_variants(each)) for each in lesions)):
        yield list(filled)


def _variants(lesion: Lesion) -> Iterator[Lesion]:
    sized = lesion.mean_mm is not None or lesion.volume_mm3 is not None
    kinds = (lesion.type,) if lesion.type else tuple(NoduleType)
    sizes = (lesion.mean_mm,) if sized else (5.0, 7.0, 9.0)
    for kind, size in product(kinds, sizes):
        known = lesion.model_copy(update={"type": kind, "mean_mm": size})
        if kind is NoduleType.PART_SOLID and lesion.solid_mm is None:
            yield known.model_copy(update={"solid_mm": 4.0})
            if _band(known) > 0:
                yield known.model_copy(update={"solid_mm": 7.0})
        else:
            yield known


def _assigned(
    row: Row,
    lesion: Lesion,
    lesions: Sequence[Lesion],
    clinical: Clinical,
    missing: tuple[Text, ...],
) -> Assessment:
    advice = [_by_risk(row, clinical)]
    if row.low is not row.high and clinical.high_risk is None:
        missing = (*missing, RISK_UNKNOWN)
    remarks: list[Text] = []
    if all(_described(each) for each in lesions):
        for other, nodule in rows_of(lesions)[1:]:
            name, also = nodule_name(nodule), _by_risk(other, clinical)
            advice.append(
                Text(
                    en=f"Besides, for {name.en} ({other.text.en}): {also.en}",
                    zh=f"另，{name.zh}（{other.text.zh}）：{also.zh}",
                )
            )
    advice += _over_time(lesions)
    if row is table.SOLID_SINGLE[2] and (lesion.mean_mm or 0) > MASS_MM:
        advice.append(
            Text(en="Above 30 mm it is a mass: work up as suspected cancer.",
                 zh="直径 >30 mm 者为肿块，应按疑似恶性肿瘤进一步检查。")
        )  # fmt: skip
    if (
        lesion.type is NoduleType.SOLID
        and lesion.on_fissure
        and lesion.smooth
        and lesion.benign_shape is None
    ):
        remarks.append(
            Text(
                en="It lies on a fissure with a smooth margin: no follow-up, if the reader sees a "
                "typical perifissural nodule (oval, lentiform or triangular)",
                zh="该结节紧贴叶间裂且边缘光滑：若医师判断为典型叶间裂旁结节"
                "（椭圆形、透镜状或三角形），无需随访",
            )
        )
    return Assessment(
        category=row.category,
        label=row.text,
        rule=remarked(row.text, remarks),
        advice=joined(advice, " ", ""),
        inputs=(*lesion_inputs(lesion, whole_mm=True), *_by_volume(lesion, lesions, row),
                *_counts(lesions), *_patient(clinical)),
        missing=missing,
        finding=lesion.number,
    )  # fmt: skip


def _by_risk(row: Row, clinical: Clinical) -> Text:
    if row.low is row.high:
        return row.low
    if clinical.high_risk is not None:
        return row.high if clinical.high_risk else row.low
    return Text(
        en=f"At low risk: {row.low.en} At high risk: {row.high.en}",
        zh=f"低危患者：{row.low.zh}高危患者：{row.high.zh}",
    )


def _over_time(lesions: Sequence[Lesion]) -> Iterator[Text]:
    """The table is for first detection; what a comparison adds."""
    counted = [each for each in lesions if not _benign(each)]
    grown = [e for e in counted if e.timing in (Timing.GROWING, Timing.SLOW)]
    for each in grown:
        name = nodule_name(each)
        yield Text(
            en=f"Growth of {name.en} is suspicious and goes before the schedule: consider PET/CT, "
            "tissue sampling or resection.",
            zh=f"{name.zh}增大属可疑征象，应优先于上述随访安排处理，"
            "建议考虑 PET/CT、组织学活检或手术切除。",
        )
    if not grown and counted and all(_followed(each) for each in counted):
        yield Text(
            en="Unchanged over the whole follow-up that the guideline asks for (solid 2 years, "
            "subsolid 5 years): follow-up can end.",
            zh="已稳定至指南要求的随访期满（实性 2 年，亚实性 5 年），可结束随访。",
        )


def _followed(lesion: Lesion) -> bool:
    least = TWO_YEARS_DAYS if lesion.type is NoduleType.SOLID else FIVE_YEARS_DAYS
    return lesion.stable_days is not None and lesion.stable_days >= least


def _open(
    rows: Iterable[Row], missing: tuple[Text, ...], lesions: Sequence[Lesion], clinical: Clinical
) -> Assessment:
    """The row hangs on what is not known: say which there are."""
    ordered = sorted(rows, key=lambda row: row.urgency)
    which = joined(
        Text(en=f"{r.text.en}: {a.en}", zh=f"{r.text.zh}：{a.zh}")
        for r in ordered
        for a in [_by_risk(r, clinical)]
    )
    return Assessment(
        category=None,
        label=Text(en="no category", zh="未分类"),
        rule=joined((row.text for row in ordered), "; or ", "；或")
        if ordered
        else Text(en="no row", zh="无适用条目"),
        advice=Text(en=f"Possible: {which.en}", zh=f"可能为：{which.zh}")
        if ordered
        else Text(en="Characterise the nodules first.", zh="请先对结节定性。"),
        inputs=(*(i for each in lesions for i in lesion_inputs(each, whole_mm=True)),
                *_patient(clinical)),
        missing=missing,
        finding=max(lesions, key=_order).number,
    )  # fmt: skip


def _by_volume(lesion: Lesion, lesions: Sequence[Lesion], row: Row) -> Iterator[Input]:
    """The row by volume, where it is another than by diameter."""
    volumes = all(each.volume_mm3 is not None and each.type is not None for each in lesions)
    if not volumes or lesion.mean_mm is None or not all(_described(e) for e in lesions):
        return
    other, _ = rows_of([each.model_copy(update={"mean_mm": None}) for each in lesions])[0]
    if other is not row:
        yield said("By volume instead", "若按体积", other.text.en, other.text.zh, lesion.number)


def _counts(lesions: Sequence[Lesion]) -> Iterator[Input]:
    for kind in NoduleType:
        count = sum(each.type is kind for each in lesions)
        if count:
            text = TYPE_TEXT[kind]
            yield said(f"Nodules, {text.en}", f"{text.zh}结节数", str(count), str(count), None)


def _patient(clinical: Clinical) -> tuple[Input, ...]:
    told = []
    if clinical.age_years is not None:
        age = clinical.age_years
        told.append(said("Age", "年龄", f"{age} years", f"{age} 岁", None))
    for name_en, name_zh, fact in (
        ("High risk of lung cancer", "肺癌高危", clinical.high_risk),
        ("Known cancer", "已知恶性肿瘤", clinical.known_cancer),
        ("Immunosuppressed", "免疫抑制", clinical.immunosuppressed),
    ):
        if fact is not None:
            told.append(
                said(name_en, name_zh, "yes" if fact else "no", "是" if fact else "否", None)
            )
    return tuple(told)
