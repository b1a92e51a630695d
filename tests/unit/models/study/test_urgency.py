"""The study's urgent flag: findings against an operating point that an operator validated."""

from __future__ import annotations

from pathlib import Path

import pytest

from imaging.report import FindingReview, Report, Verdict
from models.loaded import LoadedModel
from models.spec import ModelSpec, read_spec
from models.study.urgency import urgency_of
from tests.unit.models.made import BrightDetector, BrightMask, write_model
from tests.unit.models.study.test_study import read, write_chest
from tests.unit.models.validated_made import validate


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Two nodules of a chest, read by a model whose operating point is validated."""
    folder = tmp_path_factory.mktemp("models")
    spec = read_spec(validate(write_model(folder / "bright")))
    model = LoadedModel(spec, {"detector": BrightDetector(), "mask": BrightMask()})
    return read(write_chest(tmp_path_factory.mktemp("chest")), model).report


def spec_of(folder: Path, threshold: float, name: str = "bright") -> ModelSpec:
    return read_spec(validate(write_model(folder / name), threshold=threshold))


def verdict(report: Report, number: int, verdict: Verdict) -> Report:
    (finding,) = [f for f in report.findings if f.number == number]
    return report.with_review(FindingReview(tracking_uid=finding.tracking_uid, verdict=verdict))


def test_a_reading_is_flagged_and_says_by_whom_and_why(report: Report) -> None:
    assert report.urgent and report.urgency is not None
    (raised,) = report.urgency.raised_by
    assert (raised.model, raised.version, raised.findings) == ("bright", "1.0", (1, 2))
    assert (raised.validated_by, raised.patients) == ("County Hospital, Radiology", 400)
    why = report.urgency.why
    assert "Findings 1, 2 reach the operating point of bright 1.0 (score 0.7)" in why.en
    assert "sensitivity 93.0%, specificity 97.5% (QA-2026-014)" in why.en
    assert "no diagnosis" in why.en and "并非诊断" in why.zh and "93.0%" in why.zh


def test_only_findings_that_reach_the_point_count(report: Report, tmp_path: Path) -> None:
    scores = [finding.score for finding in report.findings]
    between = sum(scores) / 2
    assert scores[1] < between < scores[0]
    flagged = urgency_of([spec_of(tmp_path / "a", between)], report.findings)
    assert flagged is not None and flagged.findings == (1,)
    exactly = urgency_of([spec_of(tmp_path / "b", scores[1])], report.findings)
    assert exactly is not None and exactly.findings == (1, 2)
    assert urgency_of([spec_of(tmp_path / "c", 1.0)], report.findings) is None


def test_who_may_not_ask_is_not_heard(report: Report, tmp_path: Path) -> None:
    bare = read_spec(write_model(tmp_path / "a" / "bright"))
    assert urgency_of([bare], report.findings) is None
    other = spec_of(tmp_path / "b", 0.7, "other")
    assert urgency_of([other], report.findings) is None
    spec = spec_of(tmp_path / "c", 0.7)
    # Such a spec can't be read from a file; whoever makes one in a program gets no further.
    for change in ({"reference_weights": True}, {"fake": True}):
        assert urgency_of([spec.model_copy(update=change)], report.findings) is None


def test_only_the_labels_that_were_validated_count(report: Report, tmp_path: Path) -> None:
    spec = spec_of(tmp_path, 0.7)
    (label,) = spec.labels
    elsewhere = label.site.model_copy(update={"value": "10200004"})
    for place in ("site", "code"):
        moved = spec.model_copy(update={"labels": (label.model_copy(update={place: elsewhere}),)})
        assert urgency_of([moved], report.findings) is None


def test_two_models_raise_it_together(report: Report, tmp_path: Path) -> None:
    second = report.findings[1].model_copy(update={"model": "second"})
    specs = [spec_of(tmp_path, 0.7), spec_of(tmp_path, 0.7, "second")]
    flagged = urgency_of(specs, [report.findings[0], second])
    assert flagged is not None
    assert [(r.model, r.findings) for r in flagged.raised_by] == [
        ("bright", (1,)),
        ("second", (2,)),
    ]
    assert flagged.models == "bright 1.0, second 1.0"
    assert not flagged.judged(frozenset({1})).taken_back
    assert flagged.judged(frozenset({1, 2})).taken_back


def test_it_is_taken_back_with_the_last_finding_that_raised_it(report: Report) -> None:
    one = verdict(report, 1, Verdict.REJECTED)
    assert one.urgent
    both = verdict(one, 2, Verdict.REJECTED)
    assert not both.urgent and both.urgency is not None
    assert "taken back" in both.urgency.why.en and "撤销" in both.urgency.why.zh
    assert verdict(both, 2, Verdict.PENDING).urgent
    again = Report.model_validate_json(both.model_dump_json())
    assert not again.urgent and again.urgency == both.urgency


def test_a_report_without_it_is_not_urgent(report: Report) -> None:
    calm = report.model_copy(update={"urgency": None})
    assert not calm.urgent
    assert verdict(calm, 1, Verdict.REJECTED).urgency is None
