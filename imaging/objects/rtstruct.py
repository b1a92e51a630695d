"""A report's masks as RT Structure Set (PS3.3 A.19), for radiotherapy planning.

One ROI a standing finding, then one an organ, in the SEG's order. Contours lie in the planes of
the analysed slices, in the frame of reference of the source images.

What an ROI is to a planner stands in RT ROI Interpreted Type: an organ is ORGAN. A lesion that
software marked is no target volume, so its type stays empty; only a tumour that a radiologist
accepted in a signed report is GTV, and that radiologist its interpreter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    ImplicitVRLittleEndian,
    RTStructureSetStorage,
    SegmentationStorage,
)

from imaging import finding as values
from imaging.errors import NothingToEncode
from imaging.finding import Finding, Structure
from imaging.geometry import Grid, Points
from imaging.objects.codes import ABNORMAL_STRUCTURE, ANATOMICAL_STRUCTURE
from imaging.objects.contours import filled_contours
from imaging.objects.source import (
    NOT_FOR_CLINICAL_USE,
    begin,
    evidence,
    finish,
    reference_to,
    series_description,
)
from imaging.report import Report, Stage, Verdict
from imaging.volume import Region, SourceSlice

SERIES_NUMBER: Final = 9103

TUMOURS: Final = frozenset({"108369006", "363346000", "86049000"})
"""SNOMED CT: neoplasm, malignant neoplasm, primary malignant neoplasm."""

_DETACHED_STUDY: Final = "1.2.840.10008.3.1.2.3.1"
"""The retired SOP class that PS3.3 C.8.8.5.4 has for a reference to a whole study."""
_COLOURS: Final = (
    (255, 170, 0), (0, 200, 220), (90, 200, 60), (230, 80, 220), (90, 110, 255), (240, 70, 60),
)  # fmt: skip
"""RGB of neighbouring ROIs, in the SEG's order of colours."""


def make_rtstruct(
    report: Report,
    regions: Mapping[str, Region],
    source_headers: Sequence[Dataset],
    *,
    slices: Sequence[SourceSlice | None],
    seg: Dataset | None = None,
) -> Dataset:
    """Encode the masks of the standing findings and of the structures as contours.

    Args:
        report: gives findings, identity and times; the same report makes the same bytes.
        regions: mask of each of them by ``tracking_uid``, on the volume's grid.
        source_headers: one per source image, in any order, pixels not needed; all of them are
            referenced.
        slices: the analysed volume's ``sources``: the image of slice k, None where the slice
            was interpolated; a contour there stands without an image.
        seg: the report's Segmentation, named as what the contours were made from.

    Returns:
        An RT Structure Set in Implicit VR Little Endian: in Explicit VR a contour of more than
        64 KB can't be written (PS3.3 C.8.8.6, note on Contour Data).

    Raises:
        NothingToEncode: nothing that stands has a voxel.
        ValueError: a mask or a header does not fit (a mistake in our code).
    """
    if not source_headers:
        raise ValueError("an RTSTRUCT needs the header of at least one source image")
    drawn = [
        (marked, region)
        for marked, region in _with_masks(report, regions, slices)
        if region.voxels.any()
    ]
    if not drawn:
        raise NothingToEncode("nothing that stands has a voxel: there is no RTSTRUCT to make")
    headers = sorted(source_headers, key=lambda h: str(h.SOPInstanceUID))
    frame = UID(evidence(headers[0]).FrameOfReferenceUID)

    struct = _object(report, frame)
    struct.ReferencedFrameOfReferenceSequence = [_frame_of_reference(report, headers, frame)]
    if report.stage is Stage.FINAL:
        struct.PredecessorStructureSetSequence = [
            reference_to(RTStructureSetStorage, report.preliminary_uid_of("rtstruct"))
        ]
    struct.StructureSetROISequence = []
    struct.ROIContourSequence = []
    struct.RTROIObservationsSequence = []
    for number, (marked, _) in enumerate(drawn, start=1):
        struct.StructureSetROISequence.append(_roi(report, number, marked, frame, seg))
        struct.RTROIObservationsSequence.append(_observation(report, number, marked))
    finish(struct, headers[0], report)
    # After what walks through every element: the points stay as encoded.
    for number, (_, region) in enumerate(drawn, start=1):
        struct.ROIContourSequence.append(_contours(number, region, slices))
    for keyword in ("ContentDate", "ContentTime"):  # the IOD has Structure Set Date instead
        delattr(struct, keyword)
    struct.StructureSetDate, struct.StructureSetTime = struct.SeriesDate, struct.SeriesTime
    return struct


def interpreted_type(report: Report, marked: Finding | Structure) -> str:
    """RT ROI Interpreted Type (PS3.3 C.8.8.8.1); empty where nobody has said."""
    if isinstance(marked, Structure):
        return "ORGAN"
    verified = report.stage is Stage.FINAL and report.review_of(marked).verdict is Verdict.ACCEPTED
    tumour = marked.label.scheme == "SCT" and marked.label.value in TUMOURS
    return "GTV" if verified and tumour else ""


def _with_masks(
    report: Report, regions: Mapping[str, Region], slices: Sequence[SourceSlice | None]
) -> Iterator[tuple[Finding | Structure, Region]]:
    first: Grid | None = None
    for marked in report.segmented:
        region = regions.get(marked.tracking_uid)
        if region is None:
            raise ValueError(f"no mask was given for {marked.tracking_id}")
        if len(slices) != region.within.shape[0]:
            raise ValueError(f"{len(slices)} sources for {region.within.shape[0]} slices")
        first = first or region.within
        if not region.within.same_as(first):
            raise ValueError("the masks of one report must lie on one grid")
        yield marked, region


def _object(report: Report, frame: str) -> Dataset:
    """Everything above the ROIs; patient and study come with :func:`finish`."""
    struct = begin(report, "rtstruct", RTStructureSetStorage, SERIES_NUMBER, ImplicitVRLittleEndian)
    struct.Modality = "RTSTRUCT"
    struct.OperatorsName = ""
    struct.FrameOfReferenceUID = frame
    struct.PositionReferenceIndicator = ""
    struct.StructureSetLabel = "NOT_FOR_CLINICAL" if report.fake else "PREREAD"
    struct.StructureSetName = series_description(report)
    struct.StructureSetDescription = _description(report)
    # Of the plan: signing the report approves no structure set for treatment.
    struct.ApprovalStatus = "UNAPPROVED"
    return struct


def _description(report: Report) -> str:
    text = f"Marked by {report.model_names}, {report.stage.value}"
    if report.stage is not Stage.FINAL:
        text += ", not verified by a physician"
    return f"{NOT_FOR_CLINICAL_USE}. {text}" if report.fake else text


def _frame_of_reference(report: Report, headers: Sequence[Dataset], frame: str) -> Dataset:
    """The frame, and in it the study, the series and every image of it."""
    series = Dataset()
    series.SeriesInstanceUID = report.series_uid
    series.ContourImageSequence = [reference_to(h.SOPClassUID, h.SOPInstanceUID) for h in headers]
    study = reference_to(_DETACHED_STUDY, report.study_uid)
    study.RTReferencedSeriesSequence = [series]
    item = Dataset()
    item.FrameOfReferenceUID = frame
    item.RTReferencedStudySequence = [study]
    return item


def _roi(
    report: Report, number: int, marked: Finding | Structure, frame: str, seg: Dataset | None
) -> Dataset:
    model = report.model_of(marked)
    roi = Dataset()
    roi.ROINumber = number
    roi.ReferencedFrameOfReferenceUID = frame
    roi.ROIName = marked.tracking_id[:64]
    roi.ROIDescription = f"Tracking UID {marked.tracking_uid}"
    roi.ROIVolume = f"{marked.volume_mm3 / 1000:.3f}"
    roi.ROIGenerationAlgorithm = "AUTOMATIC"
    roi.ROIGenerationDescription = f"{model.name} {model.version}"[:64]
    source = _segment(marked, seg)
    if source is not None:
        roi.DefinitionSourceSequence = [source]
    return roi


def _segment(marked: Finding | Structure, seg: Dataset | None) -> Dataset | None:
    if seg is None:
        return None
    for segment in seg.SegmentSequence:
        if segment.get("TrackingUID") == marked.tracking_uid:
            item = reference_to(SegmentationStorage, seg.SOPInstanceUID)
            item.ReferencedSegmentNumber = int(segment.SegmentNumber)
            return item
    return None


def _contours(number: int, region: Region, slices: Sequence[SourceSlice | None]) -> Dataset:
    item = Dataset()
    item.ReferencedROINumber = number
    item.ROIDisplayColor = list(_COLOURS[(number - 1) % len(_COLOURS)])
    item.ContourSequence = []
    _, first_row, first_column = region.start
    # A contour lies in its image's plane (PS3.3 C.8.8.6.2), where uneven distances left that.
    up = region.within.affine[:3, 0] / region.within.spacing_mm[0]
    for k, mask in enumerate(region.voxels, start=region.start[0]):
        for ring in filled_contours(mask):
            index = np.empty((len(ring), 3))
            index[:, 0] = k
            index[:, 1] = ring[:, 1] + first_row
            index[:, 2] = ring[:, 0] + first_column
            points = region.within.to_lps(index)
            slice_ = slices[k]
            if slice_ is not None and slice_.above_mm:
                points = points + slice_.above_mm * up
            contour = _contour(points, slice_)
            contour.ContourNumber = len(item.ContourSequence) + 1
            item.ContourSequence.append(contour)
    return item


def _contour(points: Points, slice_: SourceSlice | None) -> Dataset:
    contour = Dataset()
    if slice_ is not None:
        image = reference_to(slice_.sop_class_uid, slice_.sop_instance_uid)
        if slice_.frame_number is not None:
            image.ReferencedFrameNumber = slice_.frame_number
        contour.ContourImageSequence = [image]
    contour.ContourGeometricType = "CLOSED_PLANAR"
    contour.NumberOfContourPoints = len(points)
    # Encoded here: pydicom looks at each number on its own, a minute for a large organ.
    data = _decimal(points)
    tag = Tag("ContourData")
    contour[tag] = RawDataElement(tag, "DS", len(data), data, 0, True, True)
    return contour


def _decimal(points: Points) -> bytes:
    """As DS: micrometres are enough and fit its 16 characters; no ``-0.000``."""
    flat: NDArray[np.float64] = np.round(points.ravel(), 3) + 0.0
    text = "\\".join([f"{value:.3f}" for value in flat.tolist()])
    return (text + " " * (len(text) % 2)).encode("ascii")


def _observation(report: Report, number: int, marked: Finding | Structure) -> Dataset:
    kind = interpreted_type(report, marked)
    organ = isinstance(marked, Structure)
    item = Dataset()
    item.ObservationNumber = number
    item.ReferencedROINumber = number
    item.ROIObservationLabel = marked.tracking_id[:16]
    item.SegmentedPropertyCategoryCodeSequence = [
        _code(ANATOMICAL_STRUCTURE if organ else ABNORMAL_STRUCTURE)
    ]
    item.RTROIIdentificationCodeSequence = [_code(_english(marked.label))]
    item.RTROIInterpretedType = kind
    reader = report.signature if kind == "GTV" else None
    item.ROIInterpreter = "" if reader is None else reader.name
    return item


def _english(code: values.Code) -> Code:
    return Code(code.value, code.scheme, code.meaning.en)


def _code(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning[:64]
    return item
