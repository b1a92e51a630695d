"""Guidelines on a whole report: which applies, what comparisons add, overrides kept."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import pytest

from imaging.guidelines import (
    FLEISCHNER,
    LUNG_RADS,
    Clinical,
    Override,
    guidance_of,
    guided,
    overridden,
    with_clinical,
    with_override,
    without_override,
)
from imaging.guidelines.follow_up import ANY_TIMING, SINCE_EARLIER, Timing, follow_up
from imaging.guidelines.lesion import lesion_of
from imaging.nodule import Margin, NoduleType
from imaging.priors.values import Change, Comparison
from imaging.report import FindingReview, Report, Verdict

from .made import change, compared, finding, nodule, place, prior, report

SCREENING = Clinical(screening=True, earlier_ct=False)
INCIDENTAL = Clinical(
    screening=False, age_years=60, known_cancer=False, immunosuppressed=False, high_risk=True
)


def only(given: Report) -> tuple[str, str | None]:
    (said,) = guidance_of(given)
    return said.guideline, said.category


@pytest.mark.parametrize("first", ["imaging.report", "imaging.guidelines", "imaging.priors.values"])
def test_no_import_cycle(first: str) -> None:
    subprocess.run([sys.executable, "-c", f"import {first}"], check=True)


def test_which_guideline_applies() -> None:
    one = finding(1, nodule(7.0))
    assert only(report(one, clinical=SCREENING)) == (LUNG_RADS, "3")
    assert only(report(one, clinical=INCIDENTAL)) == (FLEISCHNER, "solid, single, 6-8 mm")
    lung, other = guidance_of(report(one, clinical=Clinical(earlier_ct=False)))
    assert (lung.category, other.category) == (None, None)
    assert "screening" in lung.missing[0].en
    assert "If this is a screening examination, category 3" in lung.recommendation.en
    assert "若为筛查检查，3 类" in lung.recommendation.zh
    assert "If this is no screening examination" in other.recommendation.en


def test_where_no_guideline_applies() -> None:
    one = finding(1, nodule())
    assert guidance_of(report(one, modality="MR", clinical=SCREENING)) == ()
    elsewhere = report().model.model_copy(update={"sites": ("15776009",)})
    assert guidance_of(report(model=elsewhere, clinical=SCREENING)) == ()
    assert guidance_of(report(clinical=INCIDENTAL)) == ()
    assert only(report(clinical=SCREENING)) == (LUNG_RADS, "1")


def test_a_rejected_finding_does_not_count() -> None:
    made = report(finding(1, nodule(20.0)), finding(2, nodule(4.0)), clinical=SCREENING)
    assert only(made) == (LUNG_RADS, "4B")
    rejected = made.with_review(FindingReview(tracking_uid="1.2.1", verdict=Verdict.REJECTED))
    assert only(rejected) == (LUNG_RADS, "2")


def test_a_finding_that_was_not_described_is_said() -> None:
    (said,) = guidance_of(report(finding(3), clinical=SCREENING))
    assert said.category is None
    assert "nodule 3 was not characterised" in said.missing[0].en
    assert "3 号结节未作定性" in said.missing[0].zh


def test_a_measured_nodule_becomes_a_lesion() -> None:
    near = nodule(
        9.0, margin=Margin.SMOOTH, place=place(pleura_mm=8.0, fissure_mm=0.5, subpleural=True)
    )
    one = lesion_of(finding(1, near), (), False)
    assert (one.on_pleura, one.on_fissure, one.smooth) == (True, True, True)
    assert one.timings == (Timing.BASELINE,)
    unseen = lesion_of(finding(1, nodule(place=place(fissure_mm=None))))
    assert (unseen.on_pleura, unseen.on_fissure) == (None, None)
    assert unseen.timings == ANY_TIMING


@pytest.mark.parametrize(
    ("comparisons", "expected"),
    [
        ([compared(change(Change.NEW))], (Timing.NEW,)),
        ([compared(change(Change.STABLE, lung_rads_growth=False))], (Timing.STABLE,)),
        ([compared(change(Change.SHRUNK))], (Timing.STABLE,)),
        ([compared(change(Change.GROWN, lung_rads_growth=True))], (Timing.GROWING,)),
        ([compared(change(Change.GROWN, lung_rads_growth=False))], (Timing.STABLE,)),
        # the comparison could not say (thick slices): neither is it said here, whatever the mm
        (
            [compared(change(Change.GROWN, diameter_change_mm=1.0))],
            (Timing.GROWING, Timing.STABLE),
        ),
        (
            [compared(change(Change.GROWN, diameter_change_mm=4.0))],
            (Timing.GROWING, Timing.STABLE),
        ),
        # within noise, but the noise is wider than the rule
        (
            [compared(change(Change.STABLE, diameter_change_mm=1.6))],
            (Timing.GROWING, Timing.STABLE),
        ),
        ([compared(change(Change.STABLE, diameter_change_mm=1.5))], (Timing.STABLE,)),
        # 2 mm in two years may or may not have been more than 1.5 mm within one
        (
            [compared(change(Change.GROWN, diameter_change_mm=2.0), days=730)],
            (Timing.GROWING, Timing.STABLE),
        ),
        ([compared(change(Change.UNMATCHED))], SINCE_EARLIER),
        ([compared(change(Change.STABLE, 2))], SINCE_EARLIER),
        # the latest can't be compared, the one before can
        ([compared(change(Change.UNMATCHED)), compared(change(Change.NEW))], (Timing.NEW,)),
        # larger each year by 1 mm: slow growth
        (
            [
                compared(
                    change(
                        Change.GROWN,
                        lung_rads_growth=False,
                        diameter_change_mm=1.0,
                        prior=prior(7.0),
                    )
                ),
                compared(change(Change.GROWN, diameter_change_mm=2.0, prior=prior(6.0)), days=730),
            ],
            (Timing.SLOW,),
        ),
    ],
)
def test_timing(comparisons: list[Comparison], expected: tuple[Timing, ...]) -> None:
    assert follow_up(finding(1, nodule()), comparisons, None).timings == expected


def test_growth_that_the_comparison_could_not_judge_leaves_no_category() -> None:
    thick = compared(change(Change.GROWN, diameter_change_mm=3.0, prior=prior(6.0)))
    made = report(finding(1, nodule(9.0)), clinical=SCREENING, comparisons=(thick,))
    (said,) = guidance_of(made)
    assert said.category is None
    assert "how nodule 1 changed is not sure (growing or no growth" in said.missing[0].en
    assert "category 4B if growing" in said.recommendation.en


def test_growth_decides_and_is_told() -> None:
    grew = compared(
        change(Change.GROWN, lung_rads_growth=True, diameter_change_mm=2.0, prior=prior(5.0))
    )
    made = report(finding(1, nodule(7.0)), clinical=SCREENING, comparisons=(grew,))
    (said,) = guidance_of(made)
    assert said.category == "4A"
    told = next(i.value for i in said.inputs if i.name.en == "Over time")
    assert told.en == "growing, compared with 2025-01-31: 5.0 mm then, +2.0 mm"
    assert "增大" in told.zh


def test_a_comparison_means_there_is_an_earlier_ct() -> None:
    old = compared(change(Change.UNMATCHED))
    made = report(finding(1, nodule(7.0)), clinical=Clinical(screening=True), comparisons=(old,))
    assert only(made) == (LUNG_RADS, "0")


def test_stepped_management_from_a_report() -> None:
    old = compared(change(Change.STABLE), days=92)
    made = report(
        finding(1, nodule(9.0)),
        clinical=Clinical(screening=True, prior_lung_rads="4A"),
        comparisons=(old,),
    )
    assert only(made) == (LUNG_RADS, "3")


def test_an_override_stays_beside_the_computed_category() -> None:
    made = guided(report(finding(1, nodule(7.0)), clinical=SCREENING))
    mine = Override(
        guideline=LUNG_RADS, category="4A", reason="lobulated", by="Zhang^San",
        at=datetime(2026, 2, 1, tzinfo=UTC),
    )  # fmt: skip
    over = with_override(made, mine)
    assert overridden(over, LUNG_RADS) == mine
    assert overridden(over, FLEISCHNER) is None
    assert over.guidance == made.guidance
    again = with_override(over, mine.model_copy(update={"category": "2"}))
    assert [o.category for o in again.overrides] == ["2"]
    changed = with_clinical(again, INCIDENTAL)
    assert changed.guidance[0].guideline == FLEISCHNER
    assert overridden(changed, LUNG_RADS) is not None
    assert without_override(changed, LUNG_RADS).overrides == ()


def test_it_survives_json() -> None:
    made = guided(report(finding(1, nodule(7.0, type=NoduleType.GROUND_GLASS))))
    assert Report.model_validate_json(made.model_dump_json()) == made
