"""The findings drawn over the source images: Grayscale Softcopy Presentation State (PS3.3 A.33.1).

For viewers that show no segmentation and no structured report: nearly every one can draw a
presentation state. It holds the outline of each standing finding on every image that the finding
touches, its axes and a label on its key image, the outline of each structure on its key image, the
window in which the findings are seen, and on every image whose work this is.

What a presentation state says of grey values replaces what the images say (PS3.4 N.2): the rescale
and the polarity of the images are therefore repeated in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from highdicom import ModalityLUTTransformation, PresentationLUTTransformation
from highdicom.color import CIELabColor
from highdicom.content import ReferencedImageSequence
from highdicom.enum import PresentationLUTShapeValues
from highdicom.pr import (
    AnnotationUnitsValues,
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GraphicTypeValues,
    GrayscaleSoftcopyPresentationState,
    SoftcopyVOILUTTransformation,
    TextJustificationValues,
    TextObject,
)
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from imaging.draft import terms
from imaging.errors import NothingToEncode
from imaging.finding import Finding, ImageReference, Outline, Structure
from imaging.language import Language
from imaging.objects.key_images import WINDOW
from imaging.objects.source import (
    MANUFACTURER,
    NOT_FOR_CLINICAL_USE,
    Plane,
    evidence,
    finish,
    plane_of,
    reference_to,
    series_description,
    series_number,
)
from imaging.objects.wording import short_status
from imaging.report import Report

SERIES_NUMBER: Final = 9104

_LAYERS: Final = (
    ("STRUCTURES", "Outlines of structures", CIELabColor(75, -50, 40)),
    ("FINDINGS", "Outlines and labels of findings", CIELabColor(82, 10, 65)),
    ("AXES", "Long and short axes", CIELabColor(77, -25, -18)),
    ("STATUS", "What this is", CIELabColor(90, 0, 0)),
)
"""Bottom to top; the colours are those of the key images."""
_STATUS_BOX: Final = (0.01, 0.93, 0.75, 0.985)
"""Of the displayed area, left, top, right, bottom: the lower left, where viewers write least."""
_LABEL_SIZE: Final = (0.3, 0.035)
"""Width of a label's box, and height of one of its lines, as parts of the image."""


@dataclass
class _Marks:
    """What is drawn on one image or frame, by layer."""

    header: Dataset
    frame: int | None
    plane: Plane
    graphics: dict[str, list[GraphicObject]] = field(default_factory=dict)
    texts: dict[str, list[TextObject]] = field(default_factory=dict)


def make_gsps(
    report: Report, source_headers: Sequence[Dataset], *, language: Language = Language.EN
) -> Dataset:
    """Encode what stands as drawings over the source images.

    Args:
        report: gives findings, window, identity and times; the same report makes the same bytes.
        source_headers: one per source image, any order, pixels not needed; the images that
            nothing is drawn on are not referenced.
        language: of the labels.

    Returns:
        A presentation state over every image that something is drawn on.

    Raises:
        NothingToEncode: no finding stands and no structure was outlined.
        ValueError: an outline lies on an image that is not among the headers (a mistake in our
            code).
    """
    marks = _marks(report, source_headers, language)
    if not marks:
        raise NothingToEncode("no finding stands and no structure has an outline: nothing to draw")
    headers = {str(m.header.SOPInstanceUID): m.header for m in marks.values()}
    images = {uid: _image(headers[uid]) for uid in sorted(headers)}
    modality_lut, vois = _grey(report, list(headers.values()), images)
    inverse = all(h.get("PhotometricInterpretation") == "MONOCHROME1" for h in headers.values())
    state = GrayscaleSoftcopyPresentationState(
        referenced_images=list(images.values()),
        series_instance_uid=report.uid_of("gsps-series"),
        series_number=series_number(report, SERIES_NUMBER),
        sop_instance_uid=report.uid_of("gsps"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=", ".join(m.name for m in report.all_models)[:64],
        software_versions=report.model.version,
        device_serial_number=report.model.sha256[:16] or "0",
        content_label="NOT_FOR_CLINICAL" if report.fake else "PREREAD",
        content_description=_description(report),
        graphic_layers=[
            GraphicLayer(name, order, description, colour)
            for order, (name, description, colour) in enumerate(_LAYERS, start=1)
        ],
        graphic_annotations=[*_annotations(marks, images), _status(report, images, language)],
        modality_lut_transformation=modality_lut,
        voi_lut_transformations=vois,
        presentation_lut_transformation=PresentationLUTTransformation(
            PresentationLUTShapeValues.INVERSE if inverse else PresentationLUTShapeValues.IDENTITY
        ),
        series_description=series_description(report, "GSPS"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    state.ContentCreatorName = ""
    state.Laterality = ""  # of a paired part: unknown
    _show_whole(state, next(iter(marks.values())).plane)
    if modality_lut is None:  # highdicom puts that of the images in
        for keyword in ("RescaleSlope", "RescaleIntercept", "RescaleType"):
            state.pop(keyword, None)
    finish(state, next(iter(headers.values())), report)
    state.PresentationCreationDate, state.PresentationCreationTime = (
        state.ContentDate, state.ContentTime,
    )  # fmt: skip
    for keyword in ("ContentDate", "ContentTime"):  # the IOD has the two above instead
        delattr(state, keyword)
    return state


def _description(report: Report) -> str:
    text = f"Findings of {report.model_names}, {report.stage.value}"
    return (f"{NOT_FOR_CLINICAL_USE}. {text}" if report.fake else text)[:64]


# what is drawn -------------------------------------------------------------------------------


def _marks(
    report: Report, headers: Sequence[Dataset], language: Language
) -> dict[tuple[str, int], _Marks]:
    """Everything that is drawn, by image and frame, in the order of the report."""
    found: dict[tuple[str, int], _Marks] = {}
    by_uid = {str(header.SOPInstanceUID): header for header in headers}

    def on(image: ImageReference) -> _Marks:
        key = (image.sop_instance_uid, image.frame_number or 0)
        if key not in found:
            header = by_uid.get(image.sop_instance_uid)
            if header is None:
                raise ValueError(f"no header was given for source image {image.sop_instance_uid}")
            found[key] = _Marks(header, image.frame_number, plane_of(header, image.frame_number))
        return found[key]

    for structure in report.structures:
        for outline in structure.outlines:
            here = on(outline.image)
            here.graphics.setdefault("STRUCTURES", []).append(_outline(outline, structure))
    for finding in report.standing_findings:
        for outline in finding.outlines:
            here = on(outline.image)
            here.graphics.setdefault("FINDINGS", []).append(_outline(outline, finding))
        key = on(finding.key_image)
        key.graphics.setdefault("AXES", []).extend(_axes(finding, key.plane))
        for image in dict.fromkeys(outline.image for outline in finding.outlines):
            here = on(image)
            lines = _label(finding, image == finding.key_image, language)
            here.texts.setdefault("FINDINGS", []).append(
                _text_beside(finding, image, here.plane, lines)
            )
    return found


def _outline(outline: Outline, marked: Finding | Structure) -> GraphicObject:
    points = np.asarray(outline.points, dtype=np.float64)
    return GraphicObject(
        GraphicTypeValues.POLYLINE,
        np.concatenate([points, points[:1]]),  # closed: the first point once more
        AnnotationUnitsValues.PIXEL,
        tracking_id=marked.tracking_id,
        tracking_uid=marked.tracking_uid,
    )


def _axes(finding: Finding, plane: Plane) -> Iterator[GraphicObject]:
    for ends in (finding.long_axis_lps_mm, finding.short_axis_lps_mm):
        rows, columns = plane.shape
        points: NDArray[np.float64] = plane.to_image(np.asarray(ends))
        yield GraphicObject(
            GraphicTypeValues.POLYLINE,
            np.clip(points, 0, (columns, rows)),  # an end on the rim, by rounding outside it
            AnnotationUnitsValues.PIXEL,
            tracking_id=finding.tracking_id,
            tracking_uid=finding.tracking_uid,
        )


def _label(finding: Finding, on_key_image: bool, language: Language) -> list[str]:
    """Number and name; with the axes on the key image."""
    if not on_key_image:
        return [str(finding.number)]
    kind = terms.kind(finding.nodule) if finding.nodule else finding.label.meaning
    name = kind.in_(language)
    return [f"{finding.number}: {name}", terms.size(finding.long_axis_mm, finding.short_axis_mm)]


def _text_beside(
    finding: Finding, image: ImageReference, plane: Plane, lines: Sequence[str]
) -> TextObject:
    """To the right of the finding's outline on that image, or to the left where there is room."""
    points = np.concatenate([np.asarray(o.points) for o in finding.outlines if o.image == image])
    rows, columns = plane.shape
    width, height = _LABEL_SIZE[0] * columns, max(_LABEL_SIZE[1] * rows, 1.0) * len(lines)
    gap = 0.01 * columns
    right = float(points[:, 0].max()) + gap
    if right + width > columns:
        right = max(0.0, float(points[:, 0].min()) - gap - width)
    left_out = right + width <= float(points[:, 0].min())
    top = min(max(0.0, float(points[:, 1].min()) - height / 2), rows - height)
    return TextObject(
        "\r\n".join(lines),
        AnnotationUnitsValues.PIXEL,
        bounding_box=(right, top, min(right + width, float(columns)), top + height),
        text_justification=(
            TextJustificationValues.RIGHT if left_out else TextJustificationValues.LEFT
        ),
        tracking_id=finding.tracking_id,
        tracking_uid=finding.tracking_uid,
    )


def _annotations(
    marks: dict[tuple[str, int], _Marks], images: dict[str, Dataset]
) -> Iterator[GraphicAnnotation]:
    for order, (name, _, _) in enumerate(_LAYERS, start=1):
        for each in marks.values():
            graphics, texts = each.graphics.get(name), each.texts.get(name)
            if graphics or texts:
                yield GraphicAnnotation(
                    [images[str(each.header.SOPInstanceUID)]],
                    GraphicLayer(name, order),
                    referenced_frame_number=each.frame,
                    graphic_objects=graphics,
                    text_objects=texts,
                )


def _status(report: Report, images: dict[str, Dataset], language: Language) -> GraphicAnnotation:
    """On every image that is drawn on: whose work it is, and whether anybody has looked."""
    words = short_status(report).in_(language)
    text = TextObject(
        f"{MANUFACTURER}: {words}",
        AnnotationUnitsValues.DISPLAY,
        bounding_box=_STATUS_BOX,
        text_justification=TextJustificationValues.LEFT,
    )
    first = next(iter(images.values()))
    annotation = GraphicAnnotation(
        [first], GraphicLayer("STATUS", len(_LAYERS)), text_objects=[text]
    )
    # highdicom takes one multi-frame image an annotation; the standard has no such bound.
    annotation["ReferencedImageSequence"].value = [
        reference_to(i.SOPClassUID, i.SOPInstanceUID) for i in images.values()
    ]
    return annotation


# images and grey values ----------------------------------------------------------------------


def _image(header: Dataset) -> Dataset:
    """What highdicom wants of an image, and nothing odd."""
    image = evidence(header)
    image.SOPClassUID = header.SOPClassUID
    image.Rows, image.Columns = header.Rows, header.Columns
    image.SamplesPerPixel = 1
    if int(header.get("NumberOfFrames") or 1) > 1:
        image.NumberOfFrames = int(header.NumberOfFrames)
    return image


def _show_whole(state: Dataset, plane: Plane) -> None:
    """The whole image, its pixels as wide and high as they are in the patient (C.10.4)."""
    (area,) = state.DisplayedAreaSelectionSequence
    for keyword in ("PixelOriginInterpretation", "PresentationPixelAspectRatio"):
        area.pop(keyword, None)  # of slides; square pixels
    area.PresentationPixelSpacing = [f"{mm:.10g}"[:16] for mm in plane.spacing]


def _grey(
    report: Report, headers: Sequence[Dataset], images: dict[str, Dataset]
) -> tuple[ModalityLUTTransformation | None, list[SoftcopyVOILUTTransformation]]:
    """Rescale and window.

    The IOD has one Modality LUT for all images. Where their rescales differ (as in some MR), it
    is left out, which makes it the identity, and each image gets the window in stored values.
    """
    centre, width = report.window or WINDOW
    rescales = {str(header.SOPInstanceUID): _rescale(header) for header in headers}
    if len(set(rescales.values())) == 1:
        slope, intercept = next(iter(rescales.values()))
        kind = "HU" if report.modality == "CT" else "US"  # unspecified
        lut = ModalityLUTTransformation(
            rescale_slope=slope, rescale_intercept=intercept, rescale_type=kind
        )
        return lut, [SoftcopyVOILUTTransformation(window_center=centre, window_width=width)]
    vois = []
    for uid in sorted(rescales):
        slope, intercept = rescales[uid]
        vois.append(
            SoftcopyVOILUTTransformation(
                window_center=float(f"{(centre - intercept) / slope:.8g}"),
                window_width=float(f"{width / slope:.8g}"),
                voi_lut_function="LINEAR_EXACT",  # a width in stored values can be below 1
                referenced_images=ReferencedImageSequence([images[uid]]),
            )
        )
    return None, vois


def _rescale(header: Dataset) -> tuple[float, float]:
    """Slope and intercept of an image; of a multi-frame image, those of its first frame."""
    place = header
    for groups in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        for group in (header.get(groups) or ())[:1]:
            if group.get("PixelValueTransformationSequence"):
                place = group.PixelValueTransformationSequence[0]
    slope, intercept = place.get("RescaleSlope"), place.get("RescaleIntercept")
    return (
        1.0 if slope in (None, "") else float(slope) or 1.0,
        0.0 if intercept in (None, "") else float(intercept),
    )
