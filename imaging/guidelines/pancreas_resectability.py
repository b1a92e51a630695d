"""Resectability of a pancreatic cancer at diagnosis, after the NCCN: the worst contact decides.

Source: see :mod:`imaging.guidelines.pancreas_table`. The criteria are for ductal
adenocarcinoma; no model here tells what a lesion is, so every category is given under that
condition. Liver, nodes, peritoneum and other organs are the reader's alone, so that without a
reader nothing is ever called resectable.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from imaging.finding import Finding
from imaging.guidelines import pancreas_table as table
from imaging.guidelines.assessment import Assessment, joined, remarked
from imaging.guidelines.pancreas_facts import inputs_of, open_facts
from imaging.guidelines.pancreas_rows import Answer, answers
from imaging.guidelines.pancreas_table import ADVICE, CATEGORIES, ORDER, SOURCE, Row
from imaging.guidelines.pancreas_tumour import Staged, Tumour, staged
from imaging.guidelines.pancreas_values import PancreasReading
from imaging.guidelines.values import NCCN, Guidance
from imaging.language import Text
from imaging.pancreatic import Attenuation, Vessel

_METASTATIC: Final = ORDER.index("metastatic")
_FOR: Final = Text(
    en="Holds if the lesion is a ductal adenocarcinoma, at diagnosis",
    zh="仅适用于初诊时的胰腺导管腺癌",
)
_SAME: Final = Text(
    en="The category is the same whatever is not known", zh="未知项不影响分类"
)  # fmt: skip
_PLAIN: Final = Text(
    en="Contacts measured on an unenhanced CT do not count",
    zh="平扫 CT 所测的血管接触不计入",
)
_APPLEBY: Final = Text(
    en="Part of the NCCN's panel counts a coeliac axis encased by more than 180° as locally "
    "advanced even then",
    zh="即便如此，NCCN 专家组部分成员仍将腹腔干接触 >180° 归为局部进展期",
)
_BRANCH: Final = Text(
    en="The NCCN's table names the jejunal branches no longer; up to 2017 it called a tumour of "
    "the head that touches one locally advanced",
    zh="NCCN 现行表格已不再列出空肠支；2017 年及以前胰头肿瘤接触空肠支归为局部进展期",
)
_UNPROVEN: Final = Text(en="By imaging, not proven", zh="依据影像判断，未经病理证实")
_BEYOND: Final = Text(
    en="The NCCN has no row for this; it goes beyond what its borderline rows allow",
    zh="NCCN 无对应条目；已超出其交界可切除条目的范围",
)
_CYSTIC_SAID: Final = Text(
    en="the reader calls the lesion cystic, and the criteria are for solid tumours",
    zh="医师判定病灶为囊性，而该标准仅适用于实性肿瘤",
)
_CYSTIC_MEASURED: Final = Text(
    en="the lesion measures as fluid does, and whether it is a solid tumour is not said",
    zh="病灶测量呈液体密度，是否为实性肿瘤未说明",
)
_IF_SOLID: Final = Text(en="If it is a solid adenocarcinoma", zh="若为实性腺癌")


def resectability(findings: Sequence[Finding], reading: PancreasReading) -> Guidance | None:
    """The category of the lesion that is staged; None where there is no lesion.

    Args:
        findings: the pancreatic lesions that stand.
        reading: the reader's part of the template.
    """
    which = staged(findings, reading)
    return None if which is None else assess(which).guidance(NCCN, SOURCE)


def assess(which: Staged) -> Assessment:
    """As :func:`resectability`, not yet worded as guidance."""
    tumour = which.tumour
    if tumour.appearance is Attenuation.CYSTIC and tumour.appearance_by == "reader":
        return Assessment(
            category=None,
            label=Text.same(""),
            rule=remarked(_FOR, which.remarks),
            advice=Text(
                en="Cystic lesions are followed by other guidelines.",
                zh="囊性病变请参照相应指南处理。",
            ),
            inputs=inputs_of(tumour),
            missing=(_CYSTIC_SAID,),
            finding=tumour.number,
        )
    found = answers(tumour)
    low = max(answer.low.rank for answer in found)
    high = max(answer.high.rank for answer in found)
    result = _settled(which, found, low) if low == high else _open(which, found, low, high)
    if low == high == _METASTATIC:
        return result
    if which.open:
        number = tumour.number
        result = result.unless_known(
            which.open, Text(en=f"If it is finding {number}", zh=f"若为所见 {number}")
        )
    if tumour.appearance is Attenuation.CYSTIC:
        result = result.unless_known((_CYSTIC_MEASURED,), _IF_SOLID)
    return result


def _settled(which: Staged, found: Sequence[Answer], rank: int) -> Assessment:
    """The category is the same whatever is not known."""
    tumour, category = which.tumour, ORDER[rank]
    missing = open_facts(tumour, found)
    rows = _deciding(found, rank)
    remarks = [*_remarks(tumour, rows), *which.remarks, _FOR]
    if missing:
        remarks.insert(0, _SAME)
    return Assessment(
        category=category,
        label=CATEGORIES[category],
        rule=remarked(_told(rows), remarks),
        advice=ADVICE[category],
        inputs=inputs_of(tumour),
        missing=missing,
        finding=tumour.number,
    )


def _open(which: Staged, found: Sequence[Answer], low: int, high: int) -> Assessment:
    """Nothing settles it yet: what holds so far, and what is asked for."""
    tumour = which.tumour
    rows = _deciding(found, low) if low else []
    told, rule = _told(rows), _FOR
    if rows:
        rule = Text(en=f"At the least: {told.en}", zh=f"至少为：{told.zh}")
    least, most = CATEGORIES[ORDER[low]], CATEGORIES[ORDER[high]]
    advice = [
        Text(
            en=f"Possible so far: {least.en} to {most.en}.",
            zh=f"目前可能：{least.zh}至{most.zh}。",
        )
    ]
    local = [answer for answer in found if answer.about != "metastases"]
    least_local = max(answer.low.rank for answer in local)
    if least_local == max(answer.high.rank for answer in local):
        alone = CATEGORIES[ORDER[least_local]]
        advice.append(
            Text(en=f"By the vessels alone: {alone.en}.", zh=f"仅就血管而言：{alone.zh}。")
        )
    return Assessment(
        category=None,
        label=Text.same(""),
        rule=remarked(rule, [*_remarks(tumour, rows), *which.remarks]),
        advice=joined(advice, en=" ", zh=""),
        inputs=inputs_of(tumour),
        missing=open_facts(tumour, found, above=low),
        finding=tumour.number,
    )


Deciding = list[tuple[Row, ...]]


def _deciding(found: Sequence[Answer], rank: int) -> Deciding:
    """What surely comes to that rank: for each question the rows that are possible there."""
    sure = [
        tuple(row for row in answer.rows if row.rank == rank)
        for answer in found
        if answer.low.rank == rank
    ]
    once = list(dict.fromkeys(sure))
    for wider, narrower in _SAID_BY:
        if narrower in once and wider in once:
            once.remove(wider)
    return once


_SAID_BY: Final = (
    ((table.VEINS_FREE,), (table.VEIN_SMOOTH,)),
    ((table.AORTA,), (table.COELIAC_AORTA,)),
)
"""A row that need not be said beside another one."""


def _told(rows: Deciding) -> Text:
    return joined(joined((r.text for r in each), en=", or ", zh="，或") for each in rows)


def _remarks(tumour: Tumour, deciding: Deciding) -> list[Text]:
    """Where a row was stretched, where the table has none, and what is disputed in it."""
    remarks: list[Text] = []
    rows = [row for each in deciding for row in each]
    for row in rows:
        if row.where not in ("any", *tumour.sides):
            remarks.append(_elsewhere(row))
        if row is table.COELIAC_APPLEBY:
            remarks.append(_APPLEBY)
        elif row is table.METASTATIC:
            remarks.append(_UNPROVEN)
        elif row in (table.AORTA, table.CHA_LONG):
            remarks.append(_BEYOND)
    if any(tumour.vessel(which).extends_beyond for which in (Vessel.SMA, Vessel.SMV)):
        remarks.append(_BRANCH)
    if any(state.dropped for state in tumour.vessels):
        remarks.append(_PLAIN)
    return remarks


def _elsewhere(row: Row) -> Text:
    where = (
        Text(en="head and uncinate process", zh="胰头及钩突")
        if row.where == "head"
        else Text(en="body and tail", zh="胰体尾")
    )
    return Text(
        en=f"The NCCN lists this row for the {where.en} ({row.text.en}); counted alike here",
        zh=f"NCCN 仅对{where.zh}列有此条（{row.text.zh}），此处同等计入",
    )
