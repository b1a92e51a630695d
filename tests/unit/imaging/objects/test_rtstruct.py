"""Filled again from the file alone, the contours give back exactly the masks."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from imaging.errors import NothingToEncode
from imaging.objects import make_rtstruct, make_seg
from imaging.objects.contours import area, filled_contours
from imaging.objects.rtstruct import interpreted_type
from imaging.report import FindingReview, Report, Signature, Verdict
from imaging.volume import Region
from tests.unit.imaging.guidelines.made_pancreas import NEOPLASM
from tests.unit.imaging.objects.made import (
    AXIAL,
    CORONAL,
    CREATED,
    SAGITTAL,
    Study,
    block,
    make_study,
    two_findings,
    with_organ,
)

OBLIQUE = (0.8, 0.6, 0.0, 0.0, 0.0, -1.0)
SIGNATURE = Signature(name="Zhang^San", organization="County Hospital", signed_at=CREATED)


def made(study: Study, report: Report | None = None, **options: object) -> Dataset:
    arguments = {"slices": study.volume.sources, **options}
    struct = make_rtstruct(report or study.report(), study.regions, study.headers, **arguments)  # type: ignore[arg-type]
    out = io.BytesIO()
    struct.save_as(out, enforce_file_format=True)
    return dcmread(io.BytesIO(out.getvalue()))


def crossings(ring: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Signed crossings of a ray to the right: odd is inside, and so is a winding that isn't 0."""
    x, y = points[..., 0], points[..., 1]
    count = np.zeros(x.shape, dtype=int)
    winding = np.zeros(x.shape, dtype=int)
    for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        between = (min(y0, y1) <= y) & (y < max(y0, y1))
        beyond = between & (x0 + (y - y0) * (x1 - x0) / (y1 - y0) > x)
        count += beyond
        winding += np.where(beyond, np.sign(y1 - y0), 0).astype(int)
    return np.stack([count, winding])


def filled(struct: Dataset, number: int, study: Study) -> np.ndarray:
    """The ROI as a mask: contours placed by their own coordinates, filled by both rules."""
    grid = study.volume.grid
    mask = np.zeros(grid.shape, dtype=bool)
    rows, columns = np.indices(grid.shape[1:])
    centres = np.stack([columns, rows], axis=-1).astype(float)
    for item in struct.ROIContourSequence[number - 1].ContourSequence:
        points = np.array(item.ContourData, dtype=float).reshape(-1, 3)
        assert len(points) == item.NumberOfContourPoints
        index = grid.to_index(points)
        k = round(float(index[:, 0].mean()))
        assert np.abs(index[:, 0] - k).max() < 0.01  # coplanar, and on a slice
        count, winding = crossings(index[:, [2, 1]], centres)
        assert ((count % 2 == 1) == (winding != 0)).all()
        assert not (mask[k] & (winding != 0)).any()  # contours of a slice don't overlap
        mask[k] |= winding != 0
    return mask


def whole(region: Region) -> np.ndarray:
    mask = np.zeros(region.within.shape, dtype=bool)
    mask[region.box] = region.voxels
    return mask


def cheese(study: Study) -> np.ndarray:
    """A block with two holes, one with an island in it, and a second piece beside it."""
    voxels = block(study, slice(2, 5), slice(2, 20), slice(1, 13))
    voxels[3:5, 4:13, 3:12] = False
    voxels[3:5, 7:9, 6:9] = True
    voxels[4, 15:17, 4:6] = False
    voxels[2:4, 3:6, 16:19] = True
    return voxels


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, SAGITTAL, OBLIQUE])
def test_contours_with_holes_fill_back_to_the_masks(orientation: tuple[float, ...]) -> None:
    study = make_study(orientation=orientation)
    study.add(cheese(study))
    study.add_organ(block(study, slice(0, 6), slice(1, 24), slice(0, 20)))
    struct = made(study)
    for number, marked in enumerate([*study.findings, *study.structures], start=1):
        region = study.regions[marked.tracking_uid]
        assert (filled(struct, number, study) == whole(region)).all()


@given(arrays(np.bool_, (9, 11), elements=st.booleans()))
@settings(max_examples=60, deadline=None)
def test_any_mask_fills_back(mask: np.ndarray) -> None:
    rows, columns = np.indices(mask.shape)
    centres = np.stack([columns, rows], axis=-1).astype(float)
    back = np.zeros(mask.shape, dtype=bool)
    rings = filled_contours(mask)
    for ring in rings:
        count, winding = crossings(ring, centres)
        assert ((count % 2 == 1) == (winding != 0)).all()
        back ^= winding != 0
    assert (back == mask).all()
    sizes = [abs(area(ring)) for ring in rings]
    assert sizes == sorted(sizes, reverse=True)


def test_a_straight_edge_needs_no_points_between_its_ends() -> None:
    mask = np.zeros((40, 40), dtype=bool)
    mask[5:35, 5:35] = True
    (ring,) = filled_contours(mask)
    assert len(ring) == 8  # the corners are cut off half-way between pixels
    assert abs(area(ring)) == pytest.approx(900 - 4 / 8)


def test_every_contour_names_its_image_and_all_images_are_named() -> None:
    study = two_findings()
    struct = made(study)
    (frame,) = struct.ReferencedFrameOfReferenceSequence
    assert frame.FrameOfReferenceUID == study.headers[0].FrameOfReferenceUID
    (series,) = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence
    assert series.SeriesInstanceUID == study.headers[0].SeriesInstanceUID
    named = {item.ReferencedSOPInstanceUID for item in series.ContourImageSequence}
    assert named == {header.SOPInstanceUID for header in study.headers}
    by_place = {float(h.ImagePositionPatient[2]): h.SOPInstanceUID for h in study.headers}
    for item in struct.ROIContourSequence:
        for contour in item.ContourSequence:
            z = float(contour.ContourData[2])
            assert contour.ContourImageSequence[0].ReferencedSOPInstanceUID == by_place[z]


def test_an_interpolated_slice_has_a_contour_and_no_image() -> None:
    study = two_findings()
    slices = list(study.volume.sources)
    slices[2] = None
    contours = made(study, slices=slices).ROIContourSequence[0].ContourSequence
    assert [len(c.get("ContourImageSequence", [])) for c in contours] == [1, 0, 1]


def test_frames_of_a_multi_frame_image_are_named() -> None:
    study = two_findings()
    first = study.volume.sources[0]
    assert first is not None
    slices = [replace(first, frame_number=k + 1) for k in range(len(study.volume.sources))]
    struct = made(study, slices=slices)
    images = [c.ContourImageSequence[0] for c in struct.ROIContourSequence[0].ContourSequence]
    assert [image.ReferencedFrameNumber for image in images] == [2, 3, 4]


def test_only_an_accepted_tumour_of_a_signed_report_is_a_target() -> None:
    study = with_organ()
    study.findings[0] = study.findings[0].model_copy(update={"label": NEOPLASM})
    first, second = study.findings
    reviews = tuple(
        FindingReview(tracking_uid=f.tracking_uid, verdict=Verdict.ACCEPTED) for f in study.findings
    )
    preliminary = study.report(reviews=reviews)
    final = study.report(reviews=reviews).signed(SIGNATURE)
    assert interpreted_type(preliminary, first) == ""
    assert interpreted_type(final, first) == "GTV"
    assert interpreted_type(final, second) == ""  # a nodule is no tumour yet
    assert interpreted_type(final, study.structures[0]) == "ORGAN"
    observed = made(study, final).RTROIObservationsSequence
    assert [o.RTROIInterpretedType for o in observed] == ["GTV", "", "ORGAN"]
    assert [str(o.ROIInterpreter) for o in observed] == ["Zhang^San", "", ""]
    assert observed[0].RTROIIdentificationCodeSequence[0].CodeValue == NEOPLASM.value
    assert observed[2].RTROIIdentificationCodeSequence[0].CodeValue == "78961009"


def test_a_final_set_names_its_predecessor_and_leaves_out_what_was_rejected() -> None:
    study = two_findings()
    first, second = study.findings
    review = FindingReview(tracking_uid=first.tracking_uid, verdict=Verdict.REJECTED)
    final = study.report().with_review(review).signed(SIGNATURE)
    before, after = made(study), made(study, final)
    assert [roi.ROIName for roi in before.StructureSetROISequence] == [
        first.tracking_id, second.tracking_id,
    ]  # fmt: skip
    assert [roi.ROIName for roi in after.StructureSetROISequence] == [second.tracking_id]
    named = after.PredecessorStructureSetSequence[0].ReferencedSOPInstanceUID
    assert named == before.SOPInstanceUID != after.SOPInstanceUID
    assert "PredecessorStructureSetSequence" not in before
    assert after.ApprovalStatus == "UNAPPROVED"  # of a plan, which nobody here approves


def test_the_segment_it_was_made_from_is_named() -> None:
    study = with_organ()
    seg = make_seg(study.report(), study.regions, study.headers, slices=study.volume.sources)
    rois = made(study, seg=seg).StructureSetROISequence
    sources = [roi.DefinitionSourceSequence[0] for roi in rois]
    assert {s.ReferencedSOPInstanceUID for s in sources} == {seg.SOPInstanceUID}
    assert [s.ReferencedSegmentNumber for s in sources] == [1, 2, 3]


def test_the_same_report_makes_the_same_bytes_and_can_hold_long_contours() -> None:
    study = make_study((2, 400, 400))
    comb = np.zeros((2, 400, 400), dtype=bool)
    comb[0, 10:390:2, 10:390] = True
    comb[0, :, 10:12] = True
    study.add(comb)
    struct = made(study)
    assert struct.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    longest = max(len(c.ContourData) for c in struct.ROIContourSequence[0].ContourSequence)
    assert longest > 3 * 700
    assert (filled(struct, 1, study) == comb).all()
    assert struct == made(study)


def test_a_report_of_a_stand_in_says_so() -> None:
    study = two_findings()
    struct = made(study, study.report(fake=True))
    assert struct.StructureSetLabel == "NOT_FOR_CLINICAL"
    assert "NOT FOR CLINICAL USE" in struct.StructureSetDescription
    assert "NOT FOR CLINICAL USE" in struct.SeriesDescription


def test_nothing_that_stands_makes_no_set() -> None:
    study = make_study()
    with pytest.raises(NothingToEncode):
        made(study)


def test_a_mask_that_is_not_there_is_a_mistake() -> None:
    study = two_findings()
    study.regions.pop(study.findings[0].tracking_uid)
    with pytest.raises(ValueError, match="no mask"):
        made(study)
