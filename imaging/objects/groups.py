"""The measurement groups of an SR (PS3.16 TID 1410 and 1411), a lesion's and an organ's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ContentSequence,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
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
from pydicom.sr.coding import Code

from imaging.draft import sentence_of
from imaging.finding import Finding, ImageReference, Outline, Structure
from imaging.geometry import Point
from imaging.language import Language
from imaging.objects import codes as c
from imaging.objects.nodules import (
    character_of,
    comments_on,
    evaluations_of,
    mean_diameter_of,
    measured,
    place_of,
    volume_of,
)
from imaging.objects.pancreas import (
    gland_comments,
    gland_evaluations,
    gland_measurements,
    lesion_comments,
    lesion_evaluations,
    lesion_measurements,
    part_site,
)
from imaging.objects.source import Plane, plane_of
from imaging.report import Report


class _Shared(TypedDict):
    tracking_identifier: TrackingIdentifier
    finding_type: CodedConcept
    finding_sites: list[FindingSite]
    algorithm_id: AlgorithmIdentification


def lesion_groups(
    report: Report,
    finding: Finding,
    headers: Sequence[Dataset],
    seg: Dataset | None,
    language: Language,
) -> list[ContentSequence]:
    """TID 1411 on the SEG's segment and TID 1410 on the key image.

    What is known of a lung nodule or a lesion of the pancreas beyond its axes stands in the
    first of them.
    """
    sizes = [
        *_size(finding),
        measured(c.CERTAINTY, 100 * finding.score, c.PERCENT, digits=1),
    ]
    axes = [
        measured(c.LONG_AXIS, finding.long_axis_mm, c.MM, digits=2),
        measured(c.SHORT_AXIS, finding.short_axis_mm, c.MM, digits=2),
    ]
    told: list[QualitativeEvaluation] = []
    comments = []
    if finding.nodule is not None:
        told, figures = evaluations_of(report, finding, finding.nodule)
        sizes += [*character_of(finding.nodule), *figures]
        axes.append(mean_diameter_of(finding.nodule))
        comments.append(sentence_of(report, finding).in_(language))
        comments += comments_on(finding.nodule, language)
    elif finding.pancreatic is not None:
        told = lesion_evaluations(finding.pancreatic)
        sizes += lesion_measurements(finding.pancreatic)
        comments.append(sentence_of(report, finding).in_(language))
        comments += lesion_comments(finding.pancreatic, language)
    comments.append(report.review_of(finding).text.strip())
    outline = _largest(finding.key_outlines)
    groups: list[ContentSequence] = []
    if seg is not None:
        volumetric = VolumetricROIMeasurementsAndQualitativeEvaluations(
            **_identity(report, finding, language),
            referenced_segment=_referenced(report, finding, seg),
            measurements=sizes if outline is not None else [*sizes, *axes],
            qualitative_evaluations=told,
        )
        groups.append(volumetric)
    if outline is not None:
        plane = _key_plane(finding, headers)
        planar = PlanarROIMeasurementsAndQualitativeEvaluations(
            **_identity(report, finding, language),
            referenced_region=_region(outline),
            measurements=axes if seg is not None else [*sizes, *axes],
            qualitative_evaluations=told if seg is None else None,
        )
        _draw(planar, c.LONG_AXIS, finding.long_axis_lps_mm, plane, finding.key_image)
        _draw(planar, c.SHORT_AXIS, finding.short_axis_lps_mm, plane, finding.key_image)
        groups.append(planar)
    if not groups:
        raise ValueError(f"{finding.tracking_id} has neither a segment nor an outline to refer to")
    _comment(groups[0], comments)
    return groups


def organ_group(
    report: Report, structure: Structure, seg: Dataset | None, language: Language
) -> ContentSequence:
    """TID 1411 on the organ's segment: how large and how dense it is, and more of a pancreas."""
    if seg is None:
        raise ValueError(f"{structure.tracking_id} has no segment to refer to")
    sizes = _size(structure)
    told: list[QualitativeEvaluation] = []
    comments: list[str] = []
    gland = report.gland
    if gland is not None and gland.tracking_uid == structure.tracking_uid:
        sizes += gland_measurements(gland)
        told = gland_evaluations(gland)
        comments = gland_comments(report, gland, language)
    group = VolumetricROIMeasurementsAndQualitativeEvaluations(
        **_identity(report, structure, language),
        finding_category=CodedConcept.from_code(c.ANATOMICAL_STRUCTURE),
        referenced_segment=_referenced(report, structure, seg),
        measurements=sizes,
        qualitative_evaluations=told,
    )
    _comment(group, comments)
    return group


def _comment(group: ContentSequence, comments: Sequence[str]) -> None:
    """Words under a group's own container; in place."""
    for words in filter(None, comments):
        group[0].ContentSequence.append(
            TextContentItem(
                name=c.COMMENT, value=words, relationship_type=RelationshipTypeValues.CONTAINS
            )
        )


def _size(marked: Finding | Structure) -> list[Measurement]:
    """Volume, and mean density where the values are HU."""
    nodule = marked.nodule if isinstance(marked, Finding) else None
    if nodule is not None:
        volume = volume_of(nodule)
    else:
        volume = measured(c.VOLUME, marked.volume_mm3, c.MM3, digits=1)
    if marked.mean_hu is None:
        return [volume]
    return [volume, measured(c.ATTENUATION, marked.mean_hu, c.HU, digits=1, derivation=c.MEAN)]


def _referenced(report: Report, marked: Finding | Structure, seg: Dataset) -> ReferencedSegment:
    return ReferencedSegment(
        sop_class_uid=seg.SOPClassUID,
        sop_instance_uid=seg.SOPInstanceUID,
        segment_number=_segment_number(seg, marked),
        source_series=SourceSeriesForSegmentation(report.series_uid),
    )


def _identity(report: Report, finding: Finding | Structure, language: Language) -> _Shared:
    """What every group of a finding or a structure has."""
    model = report.model_of(finding)
    if isinstance(finding, Finding) and finding.nodule is not None:
        site = place_of(finding.nodule)
    elif isinstance(finding, Finding) and finding.pancreatic is not None:
        site = part_site(finding.pancreatic.part)
    else:
        site = FindingSite(anatomic_location=c.concept(finding.site, language))
    return {
        "tracking_identifier": TrackingIdentifier(
            uid=finding.tracking_uid, identifier=finding.tracking_id
        ),
        "finding_type": c.concept(finding.label, language),
        "finding_sites": [site],
        "algorithm_id": AlgorithmIdentification(name=model.name, version=model.version),
    }


def _segment_number(seg: Dataset, finding: Finding | Structure) -> int:
    for segment in seg.SegmentSequence:
        if segment.get("TrackingUID") == finding.tracking_uid:
            return int(segment.SegmentNumber)
    raise ValueError(f"the SEG has no segment with the tracking UID of {finding.tracking_id}")


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
