"""A report as Comprehensive SR, template TID 1500 "Measurement Report" (PS3.16).

Each standing finding has two measurement groups with one Tracking Unique Identifier, because
viewers read different halves: a volumetric group (TID 1411) that points at the SEG's segment,
and a planar group (TID 1410) with the outline on the key image as SCOORD. A viewer that merges
groups by that UID sees one lesion with all its measurements. An organ has the volumetric group
alone, its finding category "Anatomical Structure".

What TID 1500 has no row for (the statement that software wrote this, warnings, the reader's
impression) stands as TEXT under the root; the template is extensible.
"""

from __future__ import annotations

from collections.abc import Sequence

from highdicom.sr import (
    CodeContentItem,
    ComprehensiveSR,
    ContainerContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    LanguageOfContentItemAndDescendants,
    ObserverContext,
    PersonObserverIdentifyingAttributes,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian

from imaging.identity import derive_uid
from imaging.language import Language
from imaging.objects import codes as c
from imaging.objects.groups import lesion_groups, organ_group
from imaging.objects.guidance import guidance_items
from imaging.objects.source import (
    MANUFACTURER,
    NOT_FOR_CLINICAL_USE,
    evidence,
    finish,
    local_time,
    series_description,
    series_number,
)
from imaging.objects.urgent import urgency_items
from imaging.objects.wording import (
    no_findings,
    preliminary_statement,
    rejected_statement,
    supersedes_statement,
    verified_statement,
)
from imaging.report import Report, Stage

SERIES_NUMBER = 9102


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
        PRELIMINARY and UNVERIFIED, or FINAL and VERIFIED; what it takes the place of (the
        preliminary one, that of an earlier revision) is named as its predecessor.

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
        manufacturer_model_name=", ".join(m.name for m in report.all_models)[:64],
        software_versions=report.model.version,
        device_serial_number=report.model.sha256[:16] or "0",
        series_description=series_description(report),
        is_complete=True,
        is_final=final,
        is_verified=final,
        verifying_observer_name=report.signature.name if final and report.signature else None,
        verifying_organization=_organization(report) if final else None,
        previous_versions=_predecessors(report) or None,
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    if final and report.signature is not None:
        signed = local_time(report.signature.signed_at, headers[0])
        sr.VerifyingObserverSequence[0].VerificationDateTime = signed.strftime("%Y%m%d%H%M%S.%f%z")
    finish(sr, headers[0], report)
    return sr


def _organization(report: Report) -> str:
    return (report.signature.organization if report.signature else "") or "-"


def _predecessors(report: Report) -> list[Dataset]:
    """The documents that this one takes the place of: preliminary, and of an earlier revision."""
    uids = []
    if report.stage is Stage.FINAL:
        uids.append((report.preliminary_uid_of("sr"), report.preliminary_uid_of("sr-series")))
    if report.supersedes is not None:
        uids.append((report.supersedes.sr_uid, report.supersedes.sr_series_uid))
    found = []
    for instance, series in uids:
        before = Dataset()
        before.SOPClassUID = ComprehensiveSRStorage
        before.SOPInstanceUID = instance
        before.StudyInstanceUID = report.study_uid
        before.SeriesInstanceUID = series
        found.append(before)
    return found


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
    if report.segmented:
        measurements = _container(c.IMAGING_MEASUREMENTS)
        for finding in findings:
            for group in lesion_groups(report, finding, headers, seg, language):
                measurements.ContentSequence.extend(group)
        for structure in report.structures:
            measurements.ContentSequence.extend(organ_group(report, structure, seg, language))
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
    evaluations.ContentSequence.extend(urgency_items(report, language))
    evaluations.ContentSequence.extend(guidance_items(report, language))
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
    if report.supersedes is not None:
        sentences.append(supersedes_statement(report.supersedes).in_(language))
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
        model_name=report.model_names,
        serial_number=report.model.sha256 or None,
    )
    items.extend(ObserverContext(codes.DCM.Device, device))
    return items


def _container(name: Code) -> ContainerContentItem:
    item = ContainerContentItem(name=name, relationship_type=RelationshipTypeValues.CONTAINS)
    item.ContentSequence = ContentSequence()
    return item


def _text(name: Code, value: str) -> TextContentItem:
    return TextContentItem(
        name=name, value=value, relationship_type=RelationshipTypeValues.CONTAINS
    )
