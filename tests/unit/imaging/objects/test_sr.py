"""The SR says what the report says, in the groups that viewers look for."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from highdicom.sr import ComprehensiveSR
from pydicom import dcmread
from pydicom.dataset import Dataset

from imaging.finding import Finding, ImageReference, Outline
from imaging.language import Language
from imaging.notices import notice
from imaging.objects import make_seg, make_sr
from imaging.report import FindingReview, Report, Signature, Stage, Verdict
from tests.unit.imaging.objects.made import (
    CORONAL,
    CREATED,
    Study,
    make_study,
    two_findings,
)

SIGNED = datetime(2026, 2, 1, 9, 30, tzinfo=timezone(timedelta(hours=8)))


def reread(dataset: Dataset) -> Dataset:
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return dcmread(io.BytesIO(out.getvalue()))


def made(study: Study, report: Report | None = None, **options: object) -> Dataset:
    report = report or study.report()
    seg = None
    if report.standing_findings and options.pop("with_seg", True):
        seg = make_seg(report, study.regions, study.headers, slices=study.volume.sources)
    return reread(make_sr(report, study.headers, seg, **options))  # type: ignore[arg-type]


def final(study: Study, **changes: object) -> Report:
    signature = Signature(name="Zhang^San", organization="County Hospital", signed_at=SIGNED)
    return study.report(**{"stage": Stage.FINAL, "signature": signature, **changes})


def items(parent: Dataset, code: str | None = None) -> list[Dataset]:
    """Children of a content item, those with a concept name of this value only."""
    return [
        child
        for child in parent.get("ContentSequence", [])
        if code is None or child.ConceptNameCodeSequence[0].CodeValue == code
    ]


def groups(sr: Dataset, template: str) -> list[Dataset]:
    return [
        group
        for container in items(sr, "126010")
        for group in items(container, "125007")
        if group.ContentTemplateSequence[0].TemplateIdentifier == template
    ]


def number(group: Dataset, code: str) -> tuple[float, str]:
    (item,) = items(group, code)
    value = item.MeasuredValueSequence[0]
    return float(value.NumericValue), value.MeasurementUnitsCodeSequence[0].CodeValue


def texts(parent: Dataset) -> Iterator[str]:
    for child in parent.get("ContentSequence", []):
        if child.ValueType == "TEXT":
            yield child.TextValue
        yield from texts(child)


def test_root_is_the_one_that_viewers_read() -> None:
    sr = made(two_findings())
    assert sr.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.33"
    assert sr.ConceptNameCodeSequence[0].CodeValue == "126000"
    template = sr.ContentTemplateSequence[0]
    assert (template.MappingResource, template.TemplateIdentifier) == ("DCMR", "1500")


def test_preliminary_flags() -> None:
    sr = made(two_findings())
    assert (sr.PreliminaryFlag, sr.VerificationFlag, sr.CompletionFlag) == (
        "PRELIMINARY", "UNVERIFIED", "COMPLETE",
    )  # fmt: skip
    assert "PredecessorDocumentsSequence" not in sr
    assert sr.SeriesDescription == "Preread Lung nodules (preliminary)"
    assert any("not verified by a physician" in text for text in texts(sr))


def test_all_images_and_the_seg_are_evidence() -> None:
    study = two_findings()
    sr = made(study)
    (request,) = sr.CurrentRequestedProcedureEvidenceSequence
    named = {
        instance.ReferencedSOPInstanceUID: series.SeriesInstanceUID
        for series in request.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    report = study.report()
    wanted = {str(h.SOPInstanceUID): report.series_uid for h in study.headers}
    assert named == {**wanted, report.uid_of("seg"): report.uid_of("seg-series")}


def test_each_finding_has_a_volumetric_group_on_its_segment() -> None:
    study = two_findings()
    report = study.report()
    for group, finding in zip(groups(made(study), "1411"), study.findings, strict=True):
        assert finding.tracking_uid == items(group, "112040")[0].UID
        assert items(group, "112039")[0].TextValue == finding.tracking_id
        reference = items(group, "121191")[0].ReferencedSOPSequence[0]
        assert reference.ReferencedSOPInstanceUID == report.uid_of("seg")
        assert reference.ReferencedSegmentNumber == finding.segment_number
        assert report.series_uid == items(group, "121232")[0].UID
        assert items(group, "121071")[0].ConceptCodeSequence[0].CodeValue == "27925004"
        assert items(group, "363698007")[0].ConceptCodeSequence[0].CodeValue == "39607008"
        assert number(group, "118565006") == (pytest.approx(finding.volume_mm3, abs=0.05), "mm3")
        assert number(group, "112031") == (pytest.approx(finding.mean_hu, abs=0.05), "[hnsf'U]")
        assert number(group, "111012") == (pytest.approx(87.5), "%")


def test_tracking_uid_is_the_first_uid_of_a_group() -> None:
    """OHIF takes the first UIDREF of a group for the tracking UID."""
    sr = made(two_findings())
    for group in groups(sr, "1411") + groups(sr, "1410"):
        first = next(item for item in items(group) if item.ValueType == "UIDREF")
        assert first.ConceptNameCodeSequence[0].CodeValue == "112040"


def test_each_finding_has_a_planar_group_with_a_closed_outline() -> None:
    study = two_findings()
    for group, finding in zip(groups(made(study), "1410"), study.findings, strict=True):
        assert finding.tracking_uid == items(group, "112040")[0].UID
        (region,) = items(group, "111030")
        assert (region.ValueType, region.GraphicType) == ("SCOORD", "POLYLINE")
        points = np.array(region.GraphicData).reshape(-1, 2)
        assert points[0].tolist() == points[-1].tolist()
        assert points[:-1] == pytest.approx(np.array(finding.key_outlines[0].points))
        source = region.ContentSequence[0]
        assert source.RelationshipType == "SELECTED FROM"
        assert (
            source.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
            == finding.key_image.sop_instance_uid
        )
        assert number(group, "103339001")[0] == pytest.approx(finding.long_axis_mm, abs=0.005)
        assert number(group, "103340004")[0] == pytest.approx(finding.short_axis_mm, abs=0.005)


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), CORONAL, (-1, 0, 0, 0, 1, 0)])
def test_axis_lines_lie_on_the_measured_voxels(orientation: tuple[float, ...]) -> None:
    study = two_findings(orientation=orientation)
    for group, finding in zip(groups(made(study), "1410"), study.findings, strict=True):
        for code, ends in (
            ("103339001", finding.long_axis_lps_mm),
            ("103340004", finding.short_axis_lps_mm),
        ):
            (line,) = [c for c in items(items(group, code)[0]) if c.ValueType == "SCOORD"]
            assert line.RelationshipType == "INFERRED FROM"
            index = study.volume.grid.to_index(np.array(ends))
            wanted = index[:, [2, 1]] + 0.5
            assert np.array(line.GraphicData).reshape(-1, 2) == pytest.approx(wanted, abs=1e-3)


def test_groups_merged_by_tracking_uid_make_one_lesion() -> None:
    """What OHIF does before it draws: one outline and all numbers for each tracking UID."""
    study = two_findings()
    sr = made(study)
    merged: dict[str, list[Dataset]] = {}
    for group in groups(sr, "1411") + groups(sr, "1410"):
        merged.setdefault(items(group, "112040")[0].UID, []).extend(items(group))
    assert list(merged) == [f.tracking_uid for f in study.findings]
    for content in merged.values():
        assert [c.ValueType for c in content].count("SCOORD") == 1
        numbers = {c.ConceptNameCodeSequence[0].CodeValue for c in content if c.ValueType == "NUM"}
        assert numbers == {"118565006", "112031", "111012", "103339001", "103340004"}


def test_the_biggest_part_is_the_region_where_the_mask_falls_apart() -> None:
    study = two_findings()
    finding = study.findings[0]
    speck = Outline(image=finding.key_image, points=((0, 0), (1, 0), (1, 1), (0, 1)))
    both = finding.model_copy(update={"outlines": (speck, *finding.outlines)})
    group = groups(made(study, study.report(findings=(both,))), "1410")[0]
    assert len(items(group, "111030")) == 1
    assert list(items(group, "111030")[0].GraphicData[:2]) == list(finding.outlines[0].points[0])


def test_without_a_seg_everything_stands_in_the_planar_group() -> None:
    sr = made(two_findings(), with_seg=False)
    assert groups(sr, "1411") == []
    assert len(groups(sr, "1410")) == 2
    assert number(groups(sr, "1410")[0], "118565006")[1] == "mm3"


def test_without_an_outline_everything_stands_in_the_volumetric_group() -> None:
    study = two_findings()
    bare = tuple(f.model_copy(update={"outlines": ()}) for f in study.findings)
    sr = made(study, study.report(findings=bare))
    assert groups(sr, "1410") == []
    assert number(groups(sr, "1411")[0], "103339001")[1] == "mm"


def test_no_findings_is_a_report_too() -> None:
    sr = made(make_study())
    assert items(sr, "126010") == []
    (evaluations,) = items(sr, "C0034375")
    assert items(evaluations, "111017")[0].ConceptCodeSequence[0].CodeValue == "111241"
    assert "marked no finding" in " ".join(texts(evaluations))
    assert len(sr.CurrentRequestedProcedureEvidenceSequence) == 1


def test_final_report() -> None:
    study = two_findings()
    kept, rejected = study.findings
    report = final(
        study,
        impression="One nodule in the lung.",
        reviews=(
            FindingReview(tracking_uid=kept.tracking_uid, verdict=Verdict.ACCEPTED, text="Round."),
            FindingReview(tracking_uid=rejected.tracking_uid, verdict=Verdict.REJECTED),
        ),
    )
    sr = made(study, report)
    assert (sr.PreliminaryFlag, sr.VerificationFlag, sr.CompletionFlag) == (
        "FINAL", "VERIFIED", "COMPLETE",
    )  # fmt: skip
    (observer,) = sr.VerifyingObserverSequence
    assert observer.VerifyingObserverName == "Zhang^San"
    assert observer.VerifyingOrganization == "County Hospital"
    assert observer.VerificationDateTime == "20260201093000.000000+0800"
    (before,) = sr.PredecessorDocumentsSequence
    (series,) = before.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == report.preliminary_uid_of("sr-series")
    (instance,) = series.ReferencedSOPSequence
    assert instance.ReferencedSOPInstanceUID == made(study).SOPInstanceUID
    assert items(sr, "121073")[0].TextValue == "One nodule in the lung."
    assert items(sr, "121008")[0].PersonName == "Zhang^San"
    assert [items(g, "112040")[0].UID for g in groups(sr, "1411")] == [kept.tracking_uid]
    assert "Round." in list(texts(groups(sr, "1411")[0]))
    assert "The reader rejected 1 finding of the preliminary result." in list(texts(sr))
    assert not any("not verified" in text for text in texts(sr))


def test_all_rejected_is_said() -> None:
    study = two_findings()
    report = final(
        study,
        reviews=tuple(
            FindingReview(tracking_uid=f.tracking_uid, verdict=Verdict.REJECTED)
            for f in study.findings
        ),
    )
    sr = made(study, report)
    (evaluations,) = items(sr, "C0034375")
    assert items(evaluations, "111017")[0].ConceptCodeSequence[0].CodeValue == "111242"
    assert "No finding of the software stands" in " ".join(texts(evaluations))


def test_segment_numbers_follow_the_seg_after_a_rejection() -> None:
    study = two_findings()
    first, second = study.findings
    report = final(
        study,
        reviews=(FindingReview(tracking_uid=first.tracking_uid, verdict=Verdict.REJECTED),),
    )
    reference = items(groups(made(study, report), "1411")[0], "121191")[0]
    assert second.segment_number == 2
    assert reference.ReferencedSOPSequence[0].ReferencedSegmentNumber == 1


def test_device_observer_names_model_and_version() -> None:
    sr = made(two_findings())
    assert items(sr, "121005")[0].ConceptCodeSequence[0].CodeValue == "121007"
    assert items(sr, "121013")[0].TextValue == "Preread"
    assert items(sr, "121015")[0].TextValue == "lung-nodules 1.2.3"


def test_warnings_are_in_the_content() -> None:
    warning = notice("missing-slices", count=2, where="-120 to -115")
    sr = made(two_findings(), two_findings().report(warnings=(warning,)))
    assert warning.text.en in list(texts(sr))


def test_fake_is_said_in_series_and_content() -> None:
    study = two_findings()
    sr = made(study, study.report(fake=True))
    assert sr.SeriesDescription.startswith("NOT FOR CLINICAL USE")
    assert "NOT FOR CLINICAL USE" in list(texts(sr))
    assert "NOT FOR CLINICAL USE" not in list(texts(made(study)))


def test_chinese_document_and_english_one_after_it() -> None:
    study = two_findings()
    chinese = made(study, language=Language.ZH)
    assert chinese.SpecificCharacterSet == "ISO_IR 192"  # the source's Latin-1 can't hold it
    assert items(chinese, "121049")[0].ConceptCodeSequence[0].CodeValue == "zh"
    finding = items(groups(chinese, "1411")[0], "121071")[0]
    assert finding.ConceptCodeSequence[0].CodeMeaning == "结节"
    assert finding.ConceptNameCodeSequence[0].CodeMeaning == "所见"
    assert any("未经医师核实" in text for text in texts(chinese))
    english = made(study)
    assert english.SpecificCharacterSet == "ISO_IR 100"
    assert str(english).isascii()  # no Chinese meaning leaked into shared codes


def test_the_same_report_makes_the_same_bytes() -> None:
    study = two_findings()

    def encoded(headers: list[Dataset]) -> bytes:
        report = final(study)
        seg = make_seg(report, study.regions, headers, slices=study.volume.sources)
        out = io.BytesIO()
        make_sr(report, headers, seg).save_as(out, enforce_file_format=True)
        return out.getvalue()

    assert encoded(study.headers) == encoded(study.headers[::-1])


def test_highdicom_reads_its_groups_back() -> None:
    study = two_findings()
    sr = ComprehensiveSR.from_dataset(made(study))
    volumetric = sr.content.get_volumetric_roi_measurement_groups()
    planar = sr.content.get_planar_roi_measurement_groups()
    assert [g.tracking_uid for g in volumetric] == [f.tracking_uid for f in study.findings]
    assert [g.tracking_uid for g in planar] == [f.tracking_uid for f in study.findings]


def test_mistakes_are_refused() -> None:
    study = two_findings()
    report = study.report()
    seg = make_seg(report, study.regions, study.headers, slices=study.volume.sources)
    with pytest.raises(ValueError, match="signed"):
        make_sr(study.report(stage=Stage.FINAL), study.headers, seg)
    with pytest.raises(ValueError, match="at least one source image"):
        make_sr(report, [], seg)
    stranger = _elsewhere(study.findings[0])
    with pytest.raises(ValueError, match="key image"):
        make_sr(study.report(findings=(stranger,)), study.headers, seg)
    del seg.SegmentSequence[0].TrackingUID
    with pytest.raises(ValueError, match="no segment with the tracking UID"):
        make_sr(report, study.headers, seg)


def _elsewhere(finding: Finding) -> Finding:
    image = ImageReference(sop_class_uid="1.2", sop_instance_uid="1.2.3.4")
    outlines = tuple(o.model_copy(update={"image": image}) for o in finding.outlines)
    return finding.model_copy(update={"key_image": image, "outlines": outlines})


def test_times_follow_the_source_time_zone() -> None:
    study = two_findings()
    for header in study.headers:
        header.TimezoneOffsetFromUTC = "+0800"
    sr = made(study)
    assert CREATED.hour == 8
    assert (sr.ContentDate, sr.ContentTime) == ("20260131", "161530.250000")
    assert sr.TimezoneOffsetFromUTC == "+0800"


def predecessors(sr: Dataset) -> list[str]:
    return [
        instance.ReferencedSOPInstanceUID
        for study in sr.PredecessorDocumentsSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    ]


def test_a_revision_names_the_document_of_the_one_it_takes_the_place_of() -> None:
    study = two_findings()
    first = study.report()
    second = study.report(revision=2, supersedes=first.as_superseded)
    sr = made(study, second)
    assert predecessors(sr) == [made(study, first).SOPInstanceUID] != [sr.SOPInstanceUID]
    assert any("Supersedes revision 1 (preliminary)" in text for text in texts(sr))
    signed = final(study, revision=2, supersedes=final(study).as_superseded)
    assert predecessors(made(study, signed)) == [
        second.uid_of("sr"), final(study).uid_of("sr"),
    ]  # fmt: skip
