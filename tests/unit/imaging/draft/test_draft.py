"""The draft says what the nodules are, in words a radiologist would use, in both languages."""

from __future__ import annotations

import re

import pytest

from imaging.draft import character, deciding, draft_of, headline, sentence_of, terms
from imaging.draft.facts import change_badge, change_figures, hint_value
from imaging.draft.sentences import LISTED
from imaging.guidelines.values import FLEISCHNER, Guidance, Override
from imaging.language import Language, Text
from imaging.nodule import Calcification, Interval, NoduleType
from imaging.priors.values import Change
from imaging.report import FindingReview, Report, Verdict
from tests import described as d
from tests.unit.imaging.objects.made import block, make_study, two_findings


def reported(*nodules: object, **changes: object) -> Report:
    report = two_findings().report()
    findings = d.described(report.findings, *(nodules or (d.nodule(), d.part_solid())))
    return report.model_copy(update={"findings": findings, **changes})


def rejecting(report: Report, number: int) -> Report:
    uid = report.findings[number - 1].tracking_uid
    return report.with_review(FindingReview(tracking_uid=uid, verdict=Verdict.REJECTED))


def test_a_solid_nodule_that_grew() -> None:
    report = reported()
    since = (d.comparison(d.grown(report.findings[0])),)
    report = report.model_copy(update={"comparisons": since})
    said = sentence_of(report, report.findings[0])
    assert said.en == (
        "Solid nodule in the right upper lobe, 8.2 × 7.0 mm (mean 7.6 mm), 214 mm³, smooth margin, "
        "subpleural, 4 mm from the pleura, 6 mm from the fissure; grown from 6.0 mm on 2025-03-02, "
        "volume +112 %, doubling time 190 days (slice 3 of 9)."
    )
    assert said.zh == (
        "右肺上叶实性结节，大小约 8.2 × 7.0 mm（平均 7.6 mm），体积约 214 mm³，边缘光滑，胸膜下，"
        "距胸膜 4 mm，距叶间裂 6 mm；较 2025-03-02（6.0 mm）增大，体积 +112%，倍增时间 190 天"
        "（第 3 / 9 层）。"
    )


def test_a_part_solid_nodule_tells_its_solid_part_and_no_lobe_that_is_not_sure() -> None:
    report = reported()
    said = sentence_of(report, report.findings[1])
    assert said.en.startswith("Part-solid nodule in the middle third of the left lung")
    assert "solid part 5.6 × 4.6 mm (mean 5.1 mm)" in said.en
    assert "左肺中部部分实性结节" in said.zh and "实性成分 5.6 × 4.6 mm" in said.zh
    assert "lobe" not in said.en and "fissure" not in said.en


@pytest.mark.parametrize(
    ("change", "en", "zh"),
    [
        (Change.NEW, "new since 2025-03-02", "较 2025-03-02 为新发"),
        (Change.STABLE, "unchanged since 2025-03-02 (5.0 mm)", "相比无明显变化"),
        (Change.SHRUNK, "decreased since 2025-03-02", "较 2025-03-02缩小"),
        (Change.UNMATCHED, "not comparable with 2025-03-02: cut off", "无法比较：cut off"),
    ],
)
def test_what_became_of_it(change: Change, en: str, zh: str) -> None:
    report = reported()
    since = d.comparison(d.changed(report.findings[0], change, "cut off"), resolved=False)
    report = report.model_copy(update={"comparisons": (since,)})
    said = sentence_of(report, report.findings[0])
    assert en in said.en and zh in said.zh


def test_a_finding_that_is_no_described_nodule_keeps_its_axes() -> None:
    report = two_findings().report()
    finding = report.findings[0]
    said = sentence_of(report, finding)
    assert said.en.startswith(f"Nodule, lung, {finding.long_axis_mm:.1f} ×")
    assert said.zh.startswith("肺结节，大小约")


def test_findings_are_sorted_and_rejected_ones_left_out() -> None:
    report = reported()
    assert "Part-solid" in draft_of(report).findings[0].en  # the larger
    decided = report.model_copy(update={"guidance": (d.LUNG_RADS,)})
    assert "Solid nodule in the right" in draft_of(decided).findings[0].en  # decides
    grown = (d.comparison(d.grown(report.findings[0]), resolved=False),)
    moved = report.model_copy(update={"comparisons": grown})
    assert "grown" in draft_of(moved).findings[0].en
    left = draft_of(rejecting(report, 2))
    assert len(left.findings) == 1 and "Part-solid" not in left.findings_in(Language.EN)


def test_many_findings_are_counted() -> None:
    study = make_study(shape=(9, 24, 40))
    for column in range(LISTED + 2):
        study.add(block(study, slice(1, 3), slice(3, 8), slice(3 * column, 3 * column + 2)))
    said = draft_of(study.report()).findings
    assert len(said) == LISTED + 1
    assert said[-1].en.startswith("2 further findings, mean diameter up to ")
    assert said[-1].zh.startswith("另有 2 处病灶")


def test_further_findings_that_are_new_are_told_as_new() -> None:
    report = two_findings().report()
    new = d.grown(report.findings[0]).model_copy(
        update={"change": Change.NEW, "tracking_uid": report.findings[0].tracking_uid}
    )
    told = report.model_copy(
        update={"comparisons": (d.comparison(new, resolved=False),), "guidance": (
            d.LUNG_RADS.model_copy(update={"finding": report.findings[1].number}),
        )}
    )  # fmt: skip
    draft = draft_of(told)
    assert draft.impression[1].en.startswith("1 further finding (1 new), mean diameter")
    assert draft.impression[1].zh.startswith("另有 1 处病灶（新发 1 处）")


def test_a_hint_that_lacks_a_fact_says_between_which_bounds_it_lies() -> None:
    bounded = d.BROCK_MISSING.model_copy(update={"low": 0.025, "high": 0.12})
    assert hint_value(bounded) == Text(
        en="between 2.5 % and 12 %: age; emphysema", zh="介于 2.5% 与 12% 之间：年龄；肺气肿"
    )


def test_the_impression_leads_with_the_finding_that_decides() -> None:
    report = reported(guidance=(d.LUNG_RADS, d.FLEISCHNER))
    assert draft_of(report).impression_in(Language.EN).splitlines() == [
        "1. Solid nodule in the right upper lobe, mean diameter 7.6 mm.",
        "2. 1 further finding, mean diameter up to 12.6 mm.",
        "3. Lung-RADS 2022: 4A. Low-dose CT in 3 months.",
    ]
    chinese = draft_of(report).impression_in(Language.ZH)
    assert "Lung-RADS 2022：4A。3 个月后复查低剂量 CT。" in chinese


def test_the_readers_own_category_stands_beside_the_computed_one() -> None:
    report = reported(guidance=(d.LUNG_RADS,), overrides=(d.OVERRIDE,))
    last = draft_of(report).impression[-1]
    assert last.en == (
        "Lung-RADS 2022: 3, by the reader (computed: 4A). Scar, unchanged on outside CT."
    )
    assert "由医师判定（软件计算：4A）" in last.zh
    assert headline(report) == "Lung-RADS 3"
    assert headline(reported(guidance=(d.LUNG_RADS,))) == "Lung-RADS 4A"
    assert headline(reported(guidance=(d.FLEISCHNER,))) == ""


def test_fleischner_is_told_by_what_to_do() -> None:
    rule = Guidance(
        guideline=FLEISCHNER, source="-", category="solid, single, 6-8 mm", finding=1,
        recommendation=Text(en="CT at 6 to 12 months.", zh="6~12 个月复查 CT。"),
        rule=Text(en="solid, single, 6 to 8 mm", zh="实性、单发、6~8 mm"),
    )  # fmt: skip
    report = reported(guidance=(rule,))
    assert draft_of(report).impression[-1].en == "Fleischner 2017: CT at 6 to 12 months."
    assert deciding(report, report.findings[0]) == (rule,)
    own = Override(guideline=FLEISCHNER, category="no follow-up", by="x", at=d.OVERRIDE.at)
    overridden = report.model_copy(update={"overrides": (own,)})
    assert "no follow-up, by the reader" in draft_of(overridden).impression[-1].en


def test_what_is_gone_is_told_even_where_nothing_is_left() -> None:
    report = make_study().report(comparisons=(d.comparison(),))
    said = draft_of(report)
    assert [text.en for text in said.findings] == [
        "No finding is described.",
        "A nodule of 4.4 mm seen on 2025-03-02 is no longer seen.",
    ]
    assert said.impression_in(Language.EN) == "No finding is described."  # no number for one


def test_the_rows_of_a_nodule() -> None:
    rows = {fact.key: fact for fact in character(d.part_solid())}
    assert rows["type"].value.en == "Part-solid" and rows["type"].note is not None
    assert rows["solid-core"].value.en == "5.6 × 4.6 mm (mean 5.1 mm)"
    assert "largest" not in rows  # it is the axial one
    assert rows["volume"].note == Text(en="95 %: 176 – 259 mm³", zh="95%：176 – 259 mm³")
    assert "median \u221212" in rows["density"].value.en
    assert "\u2212402" in rows["density"].note.en  # type: ignore[union-attr]
    solid = {fact.key: fact for fact in character(d.nodule())}
    assert solid["largest"].label.en == "Largest plane, coronal"
    calcium = Calcification(pattern="central", volume_mm3=31.0, share=0.18)
    rows = {
        fact.key: fact
        for fact in character(d.nodule(type=NoduleType.CALCIFIED, calcification=calcium))
    }
    assert rows["calcium"].value == Text(en="central, 31 mm³", zh="中心性，31 mm³")


@pytest.mark.parametrize("nodule", [d.nodule(), d.part_solid(), d.ground_glass()])
def test_every_row_is_in_both_languages(nodule: object) -> None:
    for fact in character(nodule):  # type: ignore[arg-type]
        assert re.search("[\u4e00-\u9fff]", fact.label.zh)
        for text in (fact.label, fact.value):
            assert text.en.strip() and text.zh.strip()
            assert not re.search("[\u4e00-\u9fff]", text.en)


def test_a_hint_that_could_not_be_computed_says_why() -> None:
    assert hint_value(d.RATING).en == "41 % (95 %: 28 % – 56 %)"
    assert hint_value(d.BROCK).zh == "7.8%"
    assert hint_value(d.BROCK_MISSING) == Text(
        en="not computed: age; emphysema", zh="未计算：年龄；肺气肿"
    )


def test_a_change_in_figures() -> None:
    finding = two_findings().findings[0]
    grown = d.grown(finding)
    assert change_badge(grown).en == "Grown +1.6 mm"
    assert change_figures(grown).en == "+1.6 mm (±1.0), volume +112 % (±25), doubling time 190 days"
    halving = grown.model_copy(update={"change": Change.SHRUNK, "doubling_time_days": -80.0,
                                       "diameter_change_mm": -2.0})  # fmt: skip
    assert change_badge(halving).zh == "缩小 \u22122.0 mm"
    assert "halving time 80 days" in change_figures(halving).en
    assert change_figures(d.changed(finding, Change.NEW)).en == ""


def test_numbers_for_people() -> None:
    assert terms.number(-0.3) == "0" and terms.number(-12.6) == "\u221213"
    assert terms.volume(9_999.4) == "9,999 mm³" and terms.volume(12_340) == "12.3 ml"
    assert terms.volume_range(Interval(value=12_340, low=9_000, high=15_000)) == "9.0 – 15.0 ml"
    assert terms.percent(0.078).en == "7.8 %" and terms.percent(1.12, sign=True).zh == "+112%"
    assert terms.days(1).en == "1 day" and terms.date("2025") == "2025"
    mass = d.nodule(axial=d.diameters(31.0, 24.0))
    assert terms.kind(mass) == Text(en="Solid mass", zh="实性肿块")
    touching = d.UPPER_LOBE.model_copy(update={"pleura_mm": 0.0, "segment": "S2"})
    assert terms.pleura(touching).en == "touching the pleura, 6 mm from the fissure"
    assert terms.place(touching).zh == "右肺上叶（S2）"
