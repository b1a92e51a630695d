"""The report as a value: its UIDs, verdicts, and JSON there and back."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest
from pydantic import ValidationError

from imaging.identity import derive_uid
from imaging.report import FindingReview, Report, Stage, Verdict
from tests.unit.imaging.objects.made import two_findings


@pytest.fixture(scope="module")
def report() -> Report:
    return two_findings().report()


def reviewed(report: Report, first: Verdict) -> Report:
    review = FindingReview(tracking_uid=report.findings[0].tracking_uid, verdict=first, text="as")
    return report.model_copy(update={"reviews": (review,)})


@pytest.mark.parametrize("what", ["sr", "seg", "sr-series"])
def test_uids_are_valid_and_the_same_again(report: Report, what: str) -> None:
    uid = report.uid_of(what)
    assert re.fullmatch(r"2\.25\.(0|[1-9]\d*)", uid)
    assert len(uid) <= 64
    assert two_findings().report().uid_of(what) == uid


def test_everything_that_makes_another_object_makes_another_uid(report: Report) -> None:
    changed = [
        report,
        report.model_copy(update={"revision": 2}),
        report.model_copy(update={"stage": Stage.FINAL}),
        report.model_copy(update={"series_uid": "1.2.3"}),
        report.model_copy(update={"study_uid": "1.2.3"}),
        report.model_copy(update={"model": report.model.model_copy(update={"version": "9"})}),
        report.model_copy(update={"model": report.model.model_copy(update={"name": "other"})}),
    ]
    uids = [each.uid_of(what) for each in changed for what in ("sr", "seg")]
    assert len(set(uids)) == len(uids)


def test_the_final_report_knows_its_predecessor(report: Report) -> None:
    final = report.model_copy(update={"stage": Stage.FINAL})
    assert final.preliminary_uid_of("sr") == report.uid_of("sr")
    assert final.preliminary_uid_of("sr") != final.uid_of("sr")


def test_parts_of_a_uid_do_not_run_together() -> None:
    assert derive_uid("a", "bc") != derive_uid("ab", "c")
    assert derive_uid("a", 1, 23) != derive_uid("a", 12, 3)


@pytest.mark.parametrize(
    ("verdict", "standing"), [(Verdict.REJECTED, [2]), (Verdict.ACCEPTED, [1, 2])]
)
def test_only_rejected_findings_fall(report: Report, verdict: Verdict, standing: list[int]) -> None:
    after = reviewed(report, verdict)
    assert [f.number for f in after.standing_findings] == standing
    assert after.review_of(after.findings[0]).text == "as"
    assert after.review_of(after.findings[1]).verdict is Verdict.PENDING


def test_json_there_and_back_is_the_same_value(report: Report) -> None:
    after = reviewed(report, Verdict.REJECTED)
    assert Report.model_validate_json(after.model_dump_json()) == after


def test_json_keeps_the_contract_s_names(report: Report) -> None:
    dumped = json.loads(report.model_dump_json())
    assert {"study_uid", "series_uid", "model", "warnings", "findings", "schema_version"} <= set(
        dumped
    )
    assert {"name", "version"} <= set(dumped["model"])
    wanted = {
        "tracking_uid", "label", "centre_lps_mm", "long_axis_mm", "short_axis_mm", "volume_mm3",
        "mean_hu", "score", "slices", "segment_number",
    }  # fmt: skip
    for finding in dumped["findings"]:
        assert wanted <= set(finding)


def test_another_schema_version_is_not_read_as_ours(report: Report) -> None:
    dumped = json.loads(report.model_dump_json()) | {"schema_version": "2.0"}
    with pytest.raises(ValidationError, match="schema_version"):
        Report.model_validate(dumped)


def test_key_outlines_lie_on_the_key_image(report: Report) -> None:
    finding = report.findings[0]
    other = finding.outlines[0].model_copy(
        update={"image": finding.key_image.model_copy(update={"sop_instance_uid": "1.9"})}
    )
    both = finding.model_copy(update={"outlines": (other, *finding.outlines)})
    assert both.key_outlines == finding.outlines


def test_findings_are_numbered_without_gaps(report: Report) -> None:
    numbers = [f.number for f in report.findings]
    assert numbers[0] == 1
    assert all(b - a == 1 for a, b in pairwise(numbers))
