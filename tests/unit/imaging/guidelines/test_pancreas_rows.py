"""Every row of the NCCN's table, and that more contact never gives a lower category."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from imaging.guidelines import pancreas_rows as rows
from imaging.guidelines import pancreas_table as table
from imaging.guidelines.pancreas_resectability import resectability
from imaging.guidelines.pancreas_table import GAPS, PUBLISHED, Row
from imaging.guidelines.pancreas_values import PancreasReading
from imaging.pancreatic import Part, Vessel

from .made_pancreas import free, lesion, pancreatic, vessel

SMA, CA, CHA, SMV, PV = Vessel.SMA, Vessel.COELIAC, Vessel.CHA, Vessel.SMV, Vessel.PV
HEAD, UNCINATE, BODY, TAIL = Part.HEAD, Part.UNCINATE, Part.BODY, Part.TAIL


def clear(which: Vessel, degrees: str, **changes: Any) -> Any:
    """A vessel touched so far, regular and patent."""
    return vessel(which, degrees, **({"contour_irregular": False, "thrombus": False} | changes))


# part, reading, row, category: the published table, row by row, for each place it is for.
TABLE: list[tuple[Part, PancreasReading, Row, str]] = [
    (HEAD, free(), table.ARTERIES_FREE, "resectable"),
    (TAIL, free(), table.VEINS_FREE, "resectable"),
    (HEAD, free(clear(SMV, "up-to-180")), table.VEIN_SMOOTH, "resectable"),
    (BODY, free(clear(PV, "up-to-180")), table.VEIN_SMOOTH, "resectable"),
    *(
        (part, free(vessel(CHA, degrees, extends_beyond=False, reconstructible=True)),
         table.CHA_SHORT, "borderline resectable")
        for part in (HEAD, UNCINATE)
        for degrees in ("up-to-180", "over-180")
    ),
    (HEAD, free(clear(SMA, "up-to-180")), table.SMA_ABUTTED, "borderline resectable"),
    (UNCINATE, free(clear(SMA, "up-to-180")), table.SMA_ABUTTED, "borderline resectable"),
    (HEAD, free(variant_artery_contact="up-to-180"), table.VARIANT_ARTERY,
     "borderline resectable"),
    (HEAD, free(variant_artery_contact="over-180"), table.VARIANT_ARTERY,
     "borderline resectable"),
    (BODY, free(clear(CA, "up-to-180")), table.COELIAC_ABUTTED, "borderline resectable"),
    (TAIL, free(clear(CA, "up-to-180")), table.COELIAC_ABUTTED, "borderline resectable"),
    (BODY, free(clear(CA, "over-180")), table.COELIAC_APPLEBY, "borderline resectable"),
    (TAIL, free(clear(CA, "over-180")), table.COELIAC_APPLEBY, "borderline resectable"),
    *(
        (part, free(clear(which, "over-180", reconstructible=True)), table.VEIN_ENCASED,
         "borderline resectable")
        for part in (HEAD, TAIL)
        for which in (SMV, PV)
    ),
    *(
        (HEAD, free(clear(which, "up-to-180", contour_irregular=True, reconstructible=True)),
         table.VEIN_IRREGULAR, "borderline resectable")
        for which in (SMV, PV)
    ),
    (HEAD, free(clear(SMV, "up-to-180", thrombus=True, reconstructible=True)),
     table.VEIN_BLOCKED, "borderline resectable"),
    (HEAD, free(clear(PV, "none", occluded=True, reconstructible=True)),
     table.VEIN_BLOCKED, "borderline resectable"),
    (HEAD, free(aorta_or_ivc_contact="ivc"), table.IVC, "borderline resectable"),
    *(
        (part, free(clear(SMA, "over-180")), table.SMA_ENCASED, "locally advanced")
        for part in (HEAD, UNCINATE, BODY, TAIL)
    ),
    (HEAD, free(clear(CA, "over-180")), table.COELIAC_ENCASED, "locally advanced"),
    (BODY, free(clear(CA, "over-180"), gda_contact=True), table.COELIAC_ENCASED,
     "locally advanced"),
    *(
        (part, free(clear(CA, degrees), aorta_or_ivc_contact="aorta"), table.COELIAC_AORTA,
         "locally advanced")
        for part in (BODY, TAIL)
        for degrees in ("up-to-180", "over-180")
    ),
    *(
        (part, free(clear(which, degrees, **facts, reconstructible=False)), table.VEIN_LOST,
         "locally advanced")
        for part in (HEAD, BODY)
        for which in (SMV, PV)
        for degrees, facts in (
            ("over-180", {}),
            ("up-to-180", {"contour_irregular": True}),
            ("none", {"thrombus": True}),
            ("none", {"thrombus": False, "occluded": True}),
        )
    ),
    (HEAD, free(liver_lesions="suspicious"), table.METASTATIC, "metastatic"),
    (HEAD, free(distant_nodes=True), table.METASTATIC, "metastatic"),
    (HEAD, free(peritoneal=True), table.METASTATIC, "metastatic"),
    (HEAD, free(other_metastases=True), table.METASTATIC, "metastatic"),
]  # fmt: skip

# What the table leaves open: the row as it is counted, and a word of the remark that says so.
OPEN: list[tuple[Part, PancreasReading, Row, str, str]] = [
    (BODY, free(clear(SMA, "up-to-180")), table.SMA_ABUTTED, "borderline resectable",
     "lists this row for the head"),
    (HEAD, free(clear(CA, "up-to-180")), table.COELIAC_ABUTTED, "borderline resectable",
     "lists this row for the body and tail"),
    (BODY, free(vessel(CHA, "up-to-180", extends_beyond=False, reconstructible=True)),
     table.CHA_SHORT,
     "borderline resectable", "lists this row for the head"),
    (TAIL, free(variant_artery_contact="up-to-180"), table.VARIANT_ARTERY,
     "borderline resectable", "lists this row for the head"),
    (HEAD, free(vessel(CHA, "up-to-180", extends_beyond=True)), table.CHA_LONG,
     "locally advanced", "has no row for this"),
    (HEAD, free(vessel(CHA, "over-180", extends_beyond=False, reconstructible=False)),
     table.CHA_LONG, "locally advanced", "has no row for this"),
    (HEAD, free(aorta_or_ivc_contact="aorta"), table.AORTA, "locally advanced",
     "has no row for this"),
    (BODY, free(aorta_or_ivc_contact="aorta"), table.AORTA, "locally advanced",
     "has no row for this"),
    (HEAD, free(vessel(SMA, "none", extends_beyond=True)), table.SMA_BRANCH,
     "borderline resectable", "jejunal branches no longer"),
    (HEAD, free(clear(SMV, "none", extends_beyond=True, reconstructible=True)),
     table.VEIN_BRANCH, "borderline resectable", "jejunal branches no longer"),
    (HEAD, free(clear(SMV, "none", extends_beyond=True, reconstructible=False)),
     table.VEIN_LOST, "locally advanced", "jejunal branches no longer"),
]  # fmt: skip


def staged(part: Part, reading: PancreasReading) -> Any:
    said = resectability([pancreatic(1, lesion(part=part))], reading)
    assert said is not None
    return said


@pytest.mark.parametrize(("part", "reading", "row", "category"), TABLE)
def test_every_published_row(part: Part, reading: PancreasReading, row: Row, category: str) -> None:
    said = staged(part, reading)
    assert (said.category, row.category) == (category, category)
    assert row.text.en in said.rule.en and row.text.zh in said.rule.zh
    assert said.missing == () and said.finding == 1
    assert "The NCCN lists this row" not in said.rule.en


@pytest.mark.parametrize(("part", "reading", "row", "category", "remark"), OPEN)
def test_what_the_table_leaves_open_says_so(
    part: Part, reading: PancreasReading, row: Row, category: str, remark: str
) -> None:
    said = staged(part, reading)
    assert (said.category, row.category) == (category, category)
    assert row.text.en in said.rule.en and remark in said.rule.en


def test_the_tables_rows_are_all_tried() -> None:
    tried = {row.key for _, _, row, _ in TABLE}
    assert tried == {row.key for row in PUBLISHED}
    assert {row.key for row in GAPS} <= {row.key for _, _, row, _, _ in OPEN}
    keys = [row.key for row in (*PUBLISHED, *GAPS)]
    assert len(keys) == len(set(keys))


def test_the_row_of_coeliac_axis_and_aorta_is_for_body_and_tail() -> None:
    both = free(clear(CA, "up-to-180"), aorta_or_ivc_contact="aorta")
    assert table.COELIAC_AORTA.text.en in staged(BODY, both).rule.en
    assert "has no row for this" not in staged(BODY, both).rule.en
    head = staged(HEAD, both)
    assert head.category == "locally advanced"
    assert table.COELIAC_AORTA.text.en not in head.rule.en and "has no row" in head.rule.en


def test_the_appleby_row_tells_of_the_dispute() -> None:
    assert "Part of the NCCN's panel" in staged(BODY, free(clear(CA, "over-180"))).rule.en
    assert "专家组部分成员" in staged(TAIL, free(clear(CA, "over-180"))).rule.zh


DEGREES = ("none", "up-to-180", "over-180")
LARGE = ("none", "ivc", "aorta")
EITHER = (False, True)
WORSE_FIRST = (True, False)
"""A vein that can be reconstructed is the milder one."""
RULES: list[tuple[Any, tuple[tuple[Any, ...], ...]]] = [
    (rows.sma, (DEGREES, EITHER)),
    (lambda *facts: rows.coeliac("head", *facts), (DEGREES, LARGE, EITHER)),
    (lambda *facts: rows.coeliac("body-tail", *facts), (DEGREES, LARGE, EITHER)),
    (rows.cha, (DEGREES, EITHER, WORSE_FIRST)),
    (rows.vein, (DEGREES, EITHER, EITHER, WORSE_FIRST, EITHER)),
    (rows.large_vessels, (LARGE,)),
    (rows.variant, (DEGREES,)),
]


@pytest.mark.parametrize(("rule", "domains"), RULES)
def test_worse_facts_never_give_a_lower_category(rule: Any, domains: Any) -> None:
    """Exhaustive: every fact, from every state of the others, one step worse."""
    for values in product(*domains):
        for place, domain in enumerate(domains):
            step = domain.index(values[place]) + 1
            if step == len(domain):
                continue
            worse = (*values[:place], domain[step], *values[place + 1 :])
            assert rule(*worse).rank >= rule(*values).rank, (values, worse)


def test_metastasis_stands_above_every_vessel() -> None:
    assert rows.metastases(False, False, False, False) is None
    for where in range(4):
        found = rows.metastases(*(place == where for place in range(4)))
        assert found is table.METASTATIC
    assert table.METASTATIC.rank > max(row.rank for row in GAPS)
