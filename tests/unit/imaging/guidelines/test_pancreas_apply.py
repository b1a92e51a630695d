"""Pancreas guidance on a whole report: only where a pancreatic lesion stands."""

from __future__ import annotations

from datetime import UTC, datetime

from imaging.guidelines import (
    LUNG_RADS,
    NCCN,
    SAR_APA,
    Clinical,
    Override,
    guidance_of,
    guided,
    overridden,
    pancreatic_lesions,
    staged_lesion,
    with_clinical,
    with_override,
    with_pancreas_reading,
    without_override,
)
from imaging.guidelines.pancreas_values import PancreasReading
from imaging.pancreatic import Vessel
from imaging.report import FindingReview, Report, Verdict

from .made import finding, nodule, report
from .made_pancreas import PANCREAS, free, gland, lesion, pancreatic, place, vessel

MODEL = report().model.model_copy(update={"name": "pancreas", "sites": (PANCREAS.value,)})
SCREENING = Clinical(screening=True, earlier_ct=False)


def names(of: Report) -> list[str]:
    return [guidance.guideline for guidance in guidance_of(of)]


def test_both_guidelines_where_a_lesion_stands() -> None:
    for found in (pancreatic(1), pancreatic(1, lesion())):
        made = report(found, model=MODEL)
        assert names(made) == [SAR_APA, NCCN]
        assert pancreatic_lesions(made) == (found,)
        assert staged_lesion(made) is not None
        assert all(guidance.finding == 1 for guidance in guidance_of(made))


def test_nothing_without_a_lesion() -> None:
    assert names(report(model=MODEL)) == []
    assert names(report(pancreatic(1, lesion()), model=MODEL, modality="MR")) == []
    assert staged_lesion(report(pancreatic(1, lesion()), model=MODEL, modality="MR")) is None
    liver = PANCREAS.model_copy(update={"value": "10200004"})
    assert names(report(finding(1, site=liver), model=MODEL)) == []
    other = PANCREAS.model_copy(update={"scheme": "99LOCAL"})
    assert names(report(finding(1, site=other), model=MODEL)) == []


def test_nothing_from_the_places_of_our_own_research_map() -> None:
    places = (place(1), place(2, darkness=1.0, learned=1.0))
    made = report(gland=gland(places=places, places_shown=True), model=MODEL)
    assert guidance_of(made) == ()
    assert staged_lesion(made) is None
    said = with_pancreas_reading(made, free(vessel(Vessel.SMA, "over-180")))
    assert said.guidance == ()


def test_a_rejected_lesion_does_not_count() -> None:
    made = report(pancreatic(1, lesion()), pancreatic(2, lesion()), model=MODEL)
    for number in (1, 2):
        review = FindingReview(tracking_uid=f"1.2.{number}", verdict=Verdict.REJECTED)
        made = made.with_review(review)
        left = 2 - number
        assert len(pancreatic_lesions(made)) == left
        assert names(made) == [SAR_APA, NCCN] * bool(left)


def test_lung_and_pancreas_stand_side_by_side() -> None:
    both = report(finding(1, nodule(7.0)), pancreatic(2, lesion()), clinical=SCREENING)
    lung, template, stage = guidance_of(both)
    assert (lung.guideline, lung.category, lung.finding) == (LUNG_RADS, "3", 1)
    assert (template.guideline, template.finding) == (SAR_APA, 2)
    assert (stage.guideline, stage.finding) == (NCCN, 2)
    assert names(report(pancreatic(2, lesion()), clinical=SCREENING, model=MODEL)) == [
        SAR_APA, NCCN,
    ]  # fmt: skip


def test_the_readers_part_is_kept_and_applied() -> None:
    made = guided(report(pancreatic(1, lesion()), model=MODEL))
    assert made.guidance[1].category is None
    said = with_pancreas_reading(made, free(vessel(Vessel.SMA, "up-to-180")))
    assert said.pancreas_reading.of(Vessel.SMA).degrees == "up-to-180"
    assert said.guidance[1].category == "borderline resectable"
    back = with_pancreas_reading(said, PancreasReading())
    assert back == made
    # clinical facts leave it as it is
    assert with_clinical(said, SCREENING).guidance == said.guidance


def test_an_override_stays_beside_the_computed_category() -> None:
    made = with_pancreas_reading(report(pancreatic(1, lesion()), model=MODEL), free())
    mine = Override(
        guideline=NCCN, category="locally advanced", reason="seen at EUS", by="Zhang^San",
        at=datetime(2026, 2, 1, tzinfo=UTC),
    )  # fmt: skip
    over = with_override(made, mine)
    assert overridden(over, NCCN) == mine and overridden(over, SAR_APA) is None
    assert over.guidance[1].category == "resectable"
    again = with_pancreas_reading(over, PancreasReading())
    assert overridden(again, NCCN) == mine and again.guidance[1].category is None
    assert without_override(again, NCCN).overrides == ()


def test_it_survives_json() -> None:
    reading = free(vessel(Vessel.SMV, "over-180", reconstructible=True), other="-")
    made = with_pancreas_reading(
        report(pancreatic(1, lesion({Vessel.SMA: 10.0})), gland=gland(), model=MODEL), reading
    )
    assert Report.model_validate_json(made.model_dump_json()) == made


def test_an_older_report_is_read_without_the_pancreas() -> None:
    old = report(finding(1, nodule(7.0))).model_dump(mode="json")
    for name in ("gland", "pancreas_reading", "urgency"):
        del old[name]
    old["schema_version"] = "1.2"
    read = Report.model_validate(old)
    assert read.pancreas_reading == PancreasReading() and read.gland is None
