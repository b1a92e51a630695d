"""A report as Comprehensive SR, template TID 1500 "Measurement Report" (PS3.16).

Each standing finding has two measurement groups with one Tracking Unique Identifier, because
viewers read different halves: a volumetric group (TID 1411) that points at the SEG's segment,
and a planar group (TID 1410) with the outline on the key image as SCOORD. A viewer that merges
groups by that UID sees one lesion with all its measurements.

What TID 1500 has no row for (the statement that software wrote this, warnings, the reader's
impression) stands as TEXT under the root; the template is extensible.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    CodedConcept,
    ComprehensiveSR,
    ContainerContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    LanguageOfContentItemAndDescendants,
    Measurement,
    ObserverContext,
    PersonObserverIdentifyingAttributes,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    ReferencedSegment,
    RelationshipTypeValues,
    ScoordContentItem,
    SourceImageForRegion,
    SourceSeriesForSegmentation,
    TextContentItem,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian

from imaging.finding import Finding, ImageReference, Outline
from imaging.geometry import Point
from imaging.identity import derive_uid
from imaging.language import Language
from imaging.objects import codes as c
from imaging.objects.source import (
    MANUFACTURER,
    NOT_FOR_CLINICAL_USE,
    Plane,
    evidence,
    finish,
    local_time,
    plane_of,
    series_description,
    series_number,
)
from imaging.objects.wording import (
    no_findings,
    preliminary_statement,
    rejected_statement,
    verified_statement,
)
from imaging.report import Report, Stage

SERIES_NUMBER = 9102


class _Shared(TypedDict):
    tracking_identifier: TrackingIdentifier
    finding_type: CodedConcept
    finding_sites: list[FindingSite]
    algorithm_id: AlgorithmIdentification


def make_sr(
    report: Report,
    source_headers: Sequence[Dataset],
    seg: Dataset | None,
    *,
    language: Language = Language.EN,
) -> Dataset:
    """Encode the report as a document to read and to compute with.

    Args:
        report: the same report makes the same bytes.
        source_headers: one per source image of the analysed series, any order, pixels not
            needed; all of them become Current Requested Procedure Evidence.
        seg: the report's Segmentation; None when there is none to point at, then the volume
            stands in the planar group.
        language: of the document's own sentences and code meanings.

    Returns:
        PRELIMINARY and UNVERIFIED, or FINAL and VERIFIED with its predecessor named.

    Raises:
        ValueError: a final report without signature, a finding whose segment ``seg`` lacks or
            whose key image is not among the headers, or no header at all (a mistake in our code).
    """
    if not source_headers:
        raise ValueError("an SR needs the header of at least one source image")
    final = report.stage is Stage.FINAL
    if final and report.signature is None:
        raise ValueError("a final report must be signed before it becomes an SR")
    headers = sorted(source_headers, key=lambda h: str(h.SOPInstanceUID))
    content = _document(report, headers, seg, language)
    if language is Language.ZH:
        c.translate_meanings(content)

    sources = [evidence(header) for header in headers]
    for stand_in, header in zip(sources, headers, strict=True):
        stand_in.SOPClassUID = header.SOPClassUID
    sr = ComprehensiveSR(
        evidence=[*sources, seg] if seg is not None else sources,
        content=content,
        series_instance_uid=report.uid_of("sr-series"),
        series_number=series_number(report, SERIES_NUMBER),
        sop_instance_uid=report.uid_of("sr"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=report.model.name,
        software_versions=report.model.version,
        device_serial_number=report.model.sha256[:16] or "0",
        series_description=series_description(report),
        is_complete=True,
        is_final=final,
        is_verified=final,
        verifying_observer_name=report.signature.name if final and report.signature else None,
        verifying_organization=_organization(report) if final else None,
        previous_versions=[_predecessor(report)] if final else None,
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    if final and report.signature is not None:
        signed = local_time(report.signature.signed_at, headers[0])
        sr.VerifyingObserverSequence[0].VerificationDateTime = signed.strftime("%Y%m%d%H%M%S.%f%z")
    finish(sr, headers[0], report)
    return sr


def _organization(report: Report) -> str:
    return (report.signature.organization if report.signature else "") or "-"


def _predecessor(report: Report) -> Dataset:
    before = Dataset()
    before.SOPClassUID = ComprehensiveSRStorage
    before.SOPInstanceUID = report.preliminary_uid_of("sr")
    before.StudyInstanceUID = report.study_uid
    before.SeriesInstanceUID = report.preliminary_uid_of("sr-series")
    return before


def _document(
    report: Report, headers: Sequence[Dataset], seg: Dataset | None, language: Language
) -> Dataset:
    """The content tree in TID 1500's row order, our own rows after the template's."""
    root = ContainerContentItem(name=c.MEASUREMENT_REPORT, template_id="1500")
    items = ContentSequence()
    items.extend(LanguageOfContentItemAndDescendants(c.language_code(language)))
    items.extend(_observers(report))
    items.append(
        CodeContentItem(
            name=c.PROCEDURE_REPORTED,
            value=c.PROCEDURES.get(report.modality, c.IMAGING_PROCEDURE),
            relationship_type=RelationshipTypeValues.HAS_CONCEPT_MOD,
        )
    )
    findings = report.standing_findings
    if findings:
        measurements = _container(c.IMAGING_MEASUREMENTS)
        for finding in findings:
            for group in _groups(report, finding, headers, seg, language):
                measurements.ContentSequence.extend(group)
        items.append(measurements)
    evaluations = _container(c.QUALITATIVE_EVALUATIONS)
    evaluations.ContentSequence.append(
        CodeContentItem(
            name=c.FINDINGS_SUMMARY,
            value=c.WITH_FINDINGS if report.findings else c.WITHOUT_FINDINGS,
            relationship_type=RelationshipTypeValues.CONTAINS,
        )
    )
    if not findings:
        evaluations.ContentSequence.append(_text(c.COMMENT, no_findings(report).in_(language)))
    items.append(evaluations)
    for sentence in _statements(report, language):
        items.append(_text(c.COMMENT, sentence))
    if report.impression.strip():
        items.append(_text(c.IMPRESSION, report.impression))
    root.ContentSequence = items
    return root


def _statements(report: Report, language: Language) -> list[str]:
    """What a reader must know about this document, the gravest first."""
    sentences: list[str] = [NOT_FOR_CLINICAL_USE] if report.fake else []
    if report.stage is Stage.PRELIMINARY:
        sentences.append(preliminary_statement(report).in_(language))
    else:
        sentences.append(verified_statement(report).in_(language))
        rejected = rejected_statement(report)
        if rejected is not None:
            sentences.append(rejected.in_(language))
    return sentences + [warning.text.in_(language) for warning in report.warnings]


def _observers(report: Report) -> ContentSequence:
    """TID 1001: the device that read and, in a final report, the person who verified."""
    items = ContentSequence()
    if report.signature is not None and report.stage is Stage.FINAL:
        person = PersonObserverIdentifyingAttributes(
            name=report.signature.name, organization_name=report.signature.organization or None
        )
        items.extend(ObserverContext(codes.DCM.Person, person))
    device = DeviceObserverIdentifyingAttributes(
        uid=derive_uid("device", report.model.name, report.model.version, report.model.sha256),
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=f"{report.model.name} {report.model.version}",
        serial_number=report.model.sha256 or None,
    )
    items.extend(ObserverContext(codes.DCM.Device, device))
    return items


def _groups(
    report: Report,
    finding: Finding,
    headers: Sequence[Dataset],
    seg: Dataset | None,
    language: Language,
) -> list[ContentSequence]:
    """TID 1411 on the SEG's segment and TID 1410 on the key image."""
    sizes = [
        _measured(c.VOLUME, finding.volume_mm3, c.MM3, digits=1),
        _measured(c.ATTENUATION, finding.mean_hu, c.HU, digits=1, derivation=c.MEAN),
        _measured(c.CERTAINTY, 100 * finding.score, c.PERCENT, digits=1),
    ]
    axes = [
        _measured(c.LONG_AXIS, finding.long_axis_mm, c.MM, digits=2),
        _measured(c.SHORT_AXIS, finding.short_axis_mm, c.MM, digits=2),
    ]
    outline = _largest(finding.key_outlines)
    groups: list[ContentSequence] = []
    if seg is not None:
        volumetric = VolumetricROIMeasurementsAndQualitativeEvaluations(
            **_identity(report, finding, language),
            referenced_segment=ReferencedSegment(
                sop_class_uid=seg.SOPClassUID,
                sop_instance_uid=seg.SOPInstanceUID,
                segment_number=_segment_number(seg, finding),
                source_series=SourceSeriesForSegmentation(report.series_uid),
            ),
            measurements=sizes if outline is not None else [*sizes, *axes],
        )
        groups.append(volumetric)
    if outline is not None:
        plane = _key_plane(finding, headers)
        planar = PlanarROIMeasurementsAndQualitativeEvaluations(
            **_identity(report, finding, language),
            referenced_region=_region(outline),
            measurements=axes if seg is not None else [*sizes, *axes],
        )
        _draw(planar, c.LONG_AXIS, finding.long_axis_lps_mm, plane, finding.key_image)
        _draw(planar, c.SHORT_AXIS, finding.short_axis_lps_mm, plane, finding.key_image)
        groups.append(planar)
    if not groups:
        raise ValueError(f"{finding.tracking_id} has neither a segment nor an outline to refer to")
    words = report.review_of(finding).text.strip()
    if words:
        groups[0][0].ContentSequence.append(_text(c.COMMENT, words))
    return groups


def _identity(report: Report, finding: Finding, language: Language) -> _Shared:
    """What both groups of a finding share."""
    return {
        "tracking_identifier": TrackingIdentifier(
            uid=finding.tracking_uid, identifier=finding.tracking_id
        ),
        "finding_type": c.concept(finding.label, language),
        "finding_sites": [FindingSite(anatomic_location=c.concept(finding.site, language))],
        "algorithm_id": AlgorithmIdentification(
            name=report.model.name,
            version=report.model.version,
        ),
    }


def _segment_number(seg: Dataset, finding: Finding) -> int:
    for segment in seg.SegmentSequence:
        if segment.get("TrackingUID") == finding.tracking_uid:
            return int(segment.SegmentNumber)
    raise ValueError(f"the SEG has no segment with the tracking UID of {finding.tracking_id}")


def _measured(
    name: Code,
    value: float,
    unit: Code,
    *,
    digits: int,
    derivation: Code | None = None,
) -> Measurement:
    return Measurement(
        name=name, value=round(float(value), digits), unit=unit, derivation=derivation
    )


def _area(outline: Outline) -> float:
    x, y = np.asarray(outline.points, dtype=np.float64).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def _largest(outlines: Sequence[Outline]) -> Outline | None:
    """TID 1410 takes one region: the biggest part where the mask falls apart on the image."""
    drawable = [o for o in outlines if len(o.points) >= 3]
    return max(drawable, key=_area, default=None)


def _source_image(image: ImageReference) -> SourceImageForRegion:
    return SourceImageForRegion(
        referenced_sop_class_uid=image.sop_class_uid,
        referenced_sop_instance_uid=image.sop_instance_uid,
        referenced_frame_numbers=None if image.frame_number is None else [image.frame_number],
    )


def _region(outline: Outline) -> ImageRegion:
    """The closed outline; its first point again at the end, as PS3.3 C.18.6.1.2 wants it."""
    points = np.asarray([*outline.points, outline.points[0]], dtype=np.float64)
    return ImageRegion(GraphicTypeValues.POLYLINE, points, _source_image(outline.image))


def _key_plane(finding: Finding, headers: Sequence[Dataset]) -> Plane:
    for header in headers:
        if header.SOPInstanceUID == finding.key_image.sop_instance_uid:
            return plane_of(header, finding.key_image.frame_number)
    raise ValueError(f"no header was given for the key image of {finding.tracking_id}")


def _draw(
    planar: ContentSequence,
    name: Code,
    ends: tuple[Point, Point],
    plane: Plane,
    image: ImageReference,
) -> None:
    """Hang the line that was measured under its number (INFERRED FROM SCOORD); in place."""
    columns_rows = np.maximum(plane.to_image(np.asarray(ends, dtype=np.float64)), 0.0)
    line = ScoordContentItem(
        name=c.PATH,
        graphic_type=GraphicTypeValues.POLYLINE,
        graphic_data=columns_rows,
        relationship_type=RelationshipTypeValues.INFERRED_FROM,
    )
    line.ContentSequence = ContentSequence([_source_image(image)])
    for item in planar[0].ContentSequence:
        if item.name == name:
            children = list(item.get("ContentSequence") or [])
            item.ContentSequence = ContentSequence([*children, line])


def _container(name: Code) -> ContainerContentItem:
    item = ContainerContentItem(name=name, relationship_type=RelationshipTypeValues.CONTAINS)
    item.ContentSequence = ContentSequence()
    return item


def _text(name: Code, value: str) -> TextContentItem:
    return TextContentItem(
        name=name, value=value, relationship_type=RelationshipTypeValues.CONTAINS
    )
