"""What is drawn over the images is what the report has, and the images look as they should."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage

from imaging.errors import NothingToEncode
from imaging.language import Language
from imaging.objects import make_gsps
from imaging.report import FindingReview, Report, Verdict
from tests.unit.imaging.objects.made import Study, block, make_study, two_findings, with_organ


def encoded(study: Study, report: Report | None = None, **options: object) -> bytes:
    state = make_gsps(report or study.report(), study.headers, **options)  # type: ignore[arg-type]
    out = io.BytesIO()
    state.save_as(out, enforce_file_format=True)
    return out.getvalue()


def made(study: Study, report: Report | None = None, **options: object) -> Dataset:
    return dcmread(io.BytesIO(encoded(study, report, **options)))


def drawn(state: Dataset, layer: str) -> list[tuple[str, int | None, Dataset]]:
    """Image, frame and item of everything that is drawn in a layer."""
    return [
        (image.ReferencedSOPInstanceUID, image.get("ReferencedFrameNumber"), item)
        for annotation in state.GraphicAnnotationSequence
        if annotation.GraphicLayer == layer
        for image in annotation.ReferencedImageSequence
        for kind in ("GraphicObjectSequence", "TextObjectSequence")
        for item in annotation.get(kind, [])
    ]


def points(item: Dataset) -> list[tuple[float, float]]:
    flat = np.array(item.GraphicData).reshape(-1, 2)
    assert len(flat) == item.NumberOfGraphicPoints
    assert item.GraphicAnnotationUnits == "PIXEL" and item.GraphicType == "POLYLINE"
    return [(float(x), float(y)) for x, y in flat]


def test_every_outline_is_drawn_closed_on_its_own_image() -> None:
    study = with_organ()
    state = made(study)
    outlines = {
        (outline.image.sop_instance_uid, marked.tracking_uid): outline.points
        for marked in (*study.findings, *study.structures)
        for outline in marked.outlines
    }
    found = {
        (image, item.TrackingUID): points(item)
        for layer in ("FINDINGS", "STRUCTURES")
        for image, _, item in drawn(state, layer)
        if "GraphicData" in item
    }
    assert found.keys() == outlines.keys()
    for key, ring in found.items():
        assert ring[0] == ring[-1] and ring[:-1] == [tuple(p) for p in outlines[key]]
    (series,) = state.ReferencedSeriesSequence
    assert {i.ReferencedSOPInstanceUID for i in series.ReferencedImageSequence} == {
        image for image, _ in outlines
    }


def test_axes_lie_where_they_were_measured_and_the_label_tells_them() -> None:
    study = two_findings()
    state, grid = made(study), study.volume.grid
    for finding in study.findings:
        ends = [
            points(item)
            for image, _, item in drawn(state, "AXES")
            if item.TrackingUID == finding.tracking_uid
            and image == finding.key_image.sop_instance_uid
        ]
        lengths = [
            np.linalg.norm(np.subtract(*(grid.to_lps((0, y - 0.5, x - 0.5)) for x, y in pair)))
            for pair in ends
        ]
        assert lengths == pytest.approx([finding.long_axis_mm, finding.short_axis_mm], abs=0.01)
    texts = [
        i.UnformattedTextValue for _, _, i in drawn(state, "FINDINGS") if "GraphicData" not in i
    ]
    assert texts == ["1: Nodule\r\n4.2 × 3.2 mm", "2: Nodule\r\n2.8 × 5.6 mm"]


def test_every_image_says_that_nobody_has_looked() -> None:
    study = two_findings()
    status = drawn(made(study), "STATUS")
    assert {image for image, _, _ in status} == {
        f.key_image.sop_instance_uid for f in study.findings
    }
    for _, _, item in status:
        assert item.UnformattedTextValue == "Preread: PRELIMINARY, not verified by a physician"
        assert item.BoundingBoxAnnotationUnits == "DISPLAY"
    fake = made(study, study.report(fake=True))
    assert "NOT FOR CLINICAL USE" in drawn(fake, "STATUS")[0][2].UnformattedTextValue
    assert fake.ContentLabel == "NOT_FOR_CLINICAL"


@pytest.mark.parametrize(("left", "side"), [(2, "LEFT"), (14, "RIGHT")])
def test_labels_stay_in_the_image_and_beside_the_outline(left: int, side: str) -> None:
    study = make_study()
    finding = study.add(block(study, slice(1, 4), slice(0, 24), slice(left, left + 6)))
    rows, columns = study.volume.grid.shape[1:]
    labels = [i for _, _, i in drawn(made(study), "FINDINGS") if "GraphicData" not in i]
    (outline,) = finding.outlines
    (label,) = labels
    x, y = label.BoundingBoxTopLeftHandCorner
    right, bottom = label.BoundingBoxBottomRightHandCorner
    assert 0 <= x < right <= columns and 0 <= y < bottom <= rows
    assert label.BoundingBoxTextHorizontalJustification == side
    across = [point[0] for point in outline.points]
    assert x >= max(across) if side == "LEFT" else right <= min(across)


def grey(state: Dataset, stored: float, image: str) -> float:
    """A stored value through the whole pipeline, 0 to 1, unclipped (PS3.4 N.2)."""
    value = stored * float(state.get("RescaleSlope", 1)) + float(state.get("RescaleIntercept", 0))
    for voi in state.SoftcopyVOILUTSequence:
        named = [i.ReferencedSOPInstanceUID for i in voi.get("ReferencedImageSequence", [])]
        if not named or image in named:
            value = (value - float(voi.WindowCenter)) / float(voi.WindowWidth) + 0.5
            break
    else:
        raise AssertionError(f"no window for {image}")
    return 1 - value if state.PresentationLUTShape == "INVERSE" else value


@pytest.mark.parametrize("differing", [False, True])
def test_images_show_in_the_window_of_the_report_whatever_their_rescale(differing: bool) -> None:
    study = two_findings()
    for k, header in enumerate(study.headers):
        header.RescaleSlope = 0.5 + (0.25 * k if differing else 0)
        header.RescaleIntercept = -100
    state = made(study, study.report(window=(40.0, 400.0)))
    assert ("RescaleSlope" in state) != differing
    for header in (study.headers[f.key_slice] for f in study.findings):
        stored = [(hu + 100) / float(header.RescaleSlope) for hu in (-160.0, 40.0, 240.0)]
        shown = [grey(state, value, header.SOPInstanceUID) for value in stored]
        assert shown == pytest.approx([0.0, 0.5, 1.0], abs=1e-6)


def test_an_image_whose_least_value_is_white_stays_so() -> None:
    study = two_findings()
    for header in study.headers:
        header.PhotometricInterpretation = "MONOCHROME1"
    assert made(study).PresentationLUTShape == "INVERSE"


def test_pixels_that_are_not_square_are_shown_as_they_are() -> None:
    (area,) = made(two_findings()).DisplayedAreaSelectionSequence
    assert area.PresentationPixelSpacing == [0.8, 0.7]
    assert area.DisplayedAreaBottomRightHandCorner == [20, 24]


def test_frames_of_a_multi_frame_image_are_named() -> None:
    study = two_findings()
    whole = study.headers[0]
    whole.SOPClassUID = EnhancedCTImageStorage
    whole.NumberOfFrames = len(study.headers)
    for finding in list(study.findings):
        image = finding.key_image.model_copy(
            update={
                "sop_class_uid": EnhancedCTImageStorage,
                "sop_instance_uid": str(whole.SOPInstanceUID),
                "frame_number": finding.key_slice + 1,
            }
        )
        outlines = tuple(o.model_copy(update={"image": image}) for o in finding.outlines)
        study.findings[finding.number - 1] = finding.model_copy(
            update={"key_image": image, "outlines": outlines}
        )
    study.headers = [whole]
    state = made(study)
    assert {(image, frame) for image, frame, _ in drawn(state, "AXES")} == {
        (whole.SOPInstanceUID, finding.key_slice + 1) for finding in study.findings
    }
    assert [(image, frame) for image, frame, _ in drawn(state, "STATUS")] == [
        (whole.SOPInstanceUID, None)
    ]


def test_what_was_rejected_is_not_drawn_and_nothing_makes_no_object() -> None:
    study = two_findings()
    gone, stays = study.findings
    reviews = tuple(
        FindingReview(tracking_uid=f.tracking_uid, verdict=v)
        for f, v in ((gone, Verdict.REJECTED), (stays, Verdict.ACCEPTED))
    )
    state = made(study, study.report(reviews=reviews))
    assert {item.TrackingUID for _, _, item in drawn(state, "FINDINGS")} == {stays.tracking_uid}
    with pytest.raises(NothingToEncode):
        make_gsps(study.report(findings=()), study.headers)


def test_the_same_report_makes_the_same_bytes() -> None:
    study = two_findings()
    assert encoded(study) == encoded(replace(study, headers=study.headers[::-1]))


def test_chinese_labels_change_the_character_set() -> None:
    state = made(two_findings(), language=Language.ZH)
    assert state.SpecificCharacterSet == "ISO_IR 192"
    assert "未经医师核实" in drawn(state, "STATUS")[0][2].UnformattedTextValue


def test_an_outline_on_an_image_that_nobody_has_is_a_mistake() -> None:
    study = two_findings()
    study.headers = study.headers[:2]
    with pytest.raises(ValueError, match="no header was given"):
        make_gsps(study.report(), study.headers)
