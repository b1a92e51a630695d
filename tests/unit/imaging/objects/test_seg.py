"""The masks come back where they were, whatever the source's orientation and order."""

from __future__ import annotations

import io
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage

from imaging.errors import NothingToEncode
from imaging.objects import make_seg
from imaging.report import FindingReview, Report, Signature, Stage, Verdict
from imaging.volume import Region
from tests.unit.imaging.objects.made import (
    AXIAL,
    CORONAL,
    CREATED,
    SAGITTAL,
    Study,
    block,
    make_study,
    two_findings,
)


def encoded(dataset: Dataset) -> bytes:
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def reread(dataset: Dataset) -> Dataset:
    return dcmread(io.BytesIO(encoded(dataset)))


def made(study: Study, report: Report | None = None, **options: object) -> Dataset:
    arguments = {"slices": study.volume.sources, **options}
    return reread(
        make_seg(report or study.report(), study.regions, study.headers, **arguments)  # type: ignore[arg-type]
    )


def voxels_lps(seg: Dataset, number: int) -> np.ndarray:
    """Centres of a segment's voxels, LPS mm, read from the object's own geometry alone."""
    frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    shared = seg.SharedFunctionalGroupsSequence[0]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float)
    between_rows, between_columns = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    points = []
    for frame, group in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        source = group if "SegmentIdentificationSequence" in group else shared
        if source.SegmentIdentificationSequence[0].ReferencedSegmentNumber != number:
            continue
        origin = np.array(group.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        for row, column in np.argwhere(frame):
            points.append(
                origin + cosines[:3] * between_columns * column + cosines[3:] * between_rows * row
            )
    return np.array(sorted(map(tuple, np.round(points, 3))))


def region_lps(region: Region) -> np.ndarray:
    where = region.within.to_lps(np.argwhere(region.voxels) + region.start)
    return np.array(sorted(map(tuple, np.round(where, 3))))


def assert_same_place(seg: Dataset, study: Study) -> None:
    for number, finding in enumerate(study.findings, start=1):
        found = voxels_lps(seg, number)
        wanted = region_lps(study.regions[finding.tracking_uid])
        assert found.shape == wanted.shape
        # both sorted by rounded coordinates; ties within rounding are harmless
        assert np.abs(found - wanted).max() < 0.01


def tilted(x_degrees: float, y_degrees: float) -> tuple[float, ...]:
    a, b = np.radians([x_degrees, y_degrees])
    turn = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]) @ [
        [np.cos(b), 0, np.sin(b)],
        [0, 1, 0],
        [-np.sin(b), 0, np.cos(b)],
    ]
    return (*turn[:, 0], *turn[:, 1])


@pytest.mark.parametrize(
    ("orientation", "step"),
    [
        pytest.param(AXIAL, None, id="axial"),
        pytest.param(AXIAL, (0, 0, -2.5), id="axial, head first slice"),
        pytest.param((-1, 0, 0, 0, 1, 0), None, id="feet first: columns run to the right"),
        pytest.param((-1, 0, 0, 0, -1, 0), (0, 0, 2.5), id="prone"),
        pytest.param(CORONAL, None, id="coronal"),
        pytest.param(CORONAL, (0, -2.5, 0), id="coronal, back to front"),
        pytest.param(SAGITTAL, None, id="sagittal"),
        pytest.param(tilted(20, 0), (0, 0, 3.0), id="gantry tilt: sheared"),
        pytest.param(tilted(12, -31), None, id="oblique"),
    ],
)
def test_voxels_land_where_the_mask_was(orientation: tuple[float, ...], step: object) -> None:
    study = two_findings(orientation=orientation, step=step)
    assert_same_place(made(study), study)


@settings(max_examples=40, deadline=None)
@given(
    base=st.sampled_from([AXIAL, CORONAL, SAGITTAL, tilted(17, 4), tilted(-8, 25)]),
    flip_row=st.booleans(),
    flip_column=st.booleans(),
    along=st.sampled_from([-3.0, -1.25, 1.25, 3.0]),
    shear=st.tuples(st.floats(-1, 1), st.floats(-1, 1)),
    order=st.randoms(use_true_random=False),
    seed=st.integers(0, 10_000),
)
def test_any_regular_series_in_any_order(
    base: tuple[float, ...],
    flip_row: bool,
    flip_column: bool,
    along: float,
    shear: tuple[float, float],
    order: random.Random,
    seed: int,
) -> None:
    cosines = np.array(base) * np.repeat([-1 if flip_row else 1, -1 if flip_column else 1], 3)
    normal = np.cross(cosines[:3], cosines[3:])
    step = np.round(along * normal + shear[0] * cosines[:3] + shear[1] * cosines[3:], 3)
    study = make_study((7, 12, 10), orientation=tuple(cosines), step=step)
    rng = np.random.default_rng(seed)
    for _ in range(3):  # scattered voxels, overlapping between findings
        voxels = rng.random(study.volume.grid.shape) < 0.05
        voxels[rng.integers(7), rng.integers(12), rng.integers(10)] = True
        study.add(voxels)
    order.shuffle(study.headers)
    assert_same_place(made(study), study)


def test_frames_name_their_source_image() -> None:
    study = two_findings()
    study.headers.reverse()
    seg = made(study)
    by_uid = {h.SOPInstanceUID: h for h in study.headers}
    for group in seg.PerFrameFunctionalGroupsSequence:
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        wanted = by_uid[source.ReferencedSOPInstanceUID].ImagePositionPatient
        assert group.PlanePositionSequence[0].ImagePositionPatient == pytest.approx(wanted)
        assert "ReferencedFrameNumber" not in source
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == study.report().series_uid


def test_only_touched_frames_are_stored() -> None:
    seg = made(two_findings())
    assert seg.NumberOfFrames == 6
    spacing = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert float(spacing.SpacingBetweenSlices) == pytest.approx(2.5)


def test_spacing_between_sheared_slices_is_along_the_normal() -> None:
    study = two_findings(orientation=tilted(20, 0), step=(0, 0, 3.0))
    spacing = made(study).SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert float(spacing.SpacingBetweenSlices) == pytest.approx(3 * np.cos(np.radians(20)))


def test_interpolated_slices_are_left_out_and_nothing_moves() -> None:
    study = two_findings()
    sources = list(study.volume.sources)
    sources[2] = None  # in the middle of the first finding
    study.headers.pop(2)
    seg = made(study, slices=sources)
    assert seg.NumberOfFrames == 5
    for number, finding in enumerate(study.findings, start=1):
        region = study.regions[finding.tracking_uid]
        kept = region.voxels.copy()
        if number == 1:
            kept[2 - region.start[0]] = False
        wanted = region_lps(Region(kept, region.start, region.within))
        assert np.abs(voxels_lps(seg, number) - wanted).max() < 0.01


def test_the_same_report_makes_the_same_bytes() -> None:
    study = two_findings()
    first = encoded(
        make_seg(study.report(), study.regions, study.headers, slices=study.volume.sources)
    )
    shuffled = study.headers[::-1]
    again = make_seg(study.report(), study.regions, shuffled, slices=study.volume.sources)
    assert encoded(again) == first


def test_segments_carry_tracking_codes_and_algorithm() -> None:
    study = two_findings()
    seg = made(study)
    for segment, finding in zip(seg.SegmentSequence, study.findings, strict=True):
        assert segment.SegmentNumber == finding.segment_number
        assert segment.TrackingUID == finding.tracking_uid
        assert segment.TrackingID == finding.tracking_id
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "27925004"
        assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
        assert segment.AnatomicRegionSequence[0].CodeValue == "39607008"
        algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
        assert algorithm.AlgorithmFamilyCodeSequence[0].CodeValue == "123110"
        assert algorithm.AlgorithmVersion == "1.2.3"


def test_rejected_findings_are_left_out_and_the_rest_renumbered() -> None:
    study = two_findings()
    rejected, kept = study.findings
    report = study.report(
        stage=Stage.FINAL,
        signature=Signature(name="Zhang^San", organization="H", signed_at=CREATED),
        reviews=(FindingReview(tracking_uid=rejected.tracking_uid, verdict=Verdict.REJECTED),),
    )
    seg = made(study, report)
    assert [(s.SegmentNumber, s.TrackingUID) for s in seg.SegmentSequence] == [
        (1, kept.tracking_uid)
    ]
    wanted = region_lps(study.regions[kept.tracking_uid])
    assert np.abs(voxels_lps(seg, 1) - wanted).max() < 0.01
    assert seg.SOPInstanceUID != report.preliminary_uid_of("seg")
    assert seg.SeriesDescription == "Preread Lung nodules SEG (final)"


def test_nothing_to_encode() -> None:
    study = make_study()
    with pytest.raises(NothingToEncode):
        made(study)
    study.add(block(study, slice(4, 5), slice(3, 8), slice(2, 9)))
    sources = list(study.volume.sources)
    sources[4] = None
    with pytest.raises(NothingToEncode):
        made(study, slices=sources)


def test_a_mirrored_mapping_is_refused() -> None:
    study = two_findings()
    with pytest.raises(ValueError, match="mm away from its image"):
        made(study, slices=study.volume.sources[::-1])


def test_missing_mask_and_missing_header_are_refused() -> None:
    study = two_findings()
    with pytest.raises(ValueError, match="no mask was given for Lung nodule 1"):
        make_seg(study.report(), {}, study.headers, slices=study.volume.sources)
    with pytest.raises(ValueError, match="no header was given"):
        make_seg(study.report(), study.regions, study.headers[:3], slices=study.volume.sources)


def test_headers_with_holes_and_oddities_still_give_a_seg() -> None:
    study = two_findings()
    for header in study.headers:
        for keyword in ("StudyID", "StudyTime", "ReferringPhysicianName", "AccessionNumber",
                        "SliceThickness", "FrameOfReferenceUID"):  # fmt: skip
            del header[keyword]
        header.add_new("PatientBirthDate", "LO", "about 1950")
        header["PatientBirthDate"].VR = "DA"
        header.PatientSex = "X"
    seg = made(study)
    assert_same_place(seg, study)
    assert seg.PatientSex == "X"
    assert seg.StudyID == ""
    assert seg.FrameOfReferenceUID


def test_fake_is_said_where_people_look() -> None:
    study = two_findings()
    seg = made(study, study.report(fake=True))
    assert seg.SeriesDescription.startswith("NOT FOR CLINICAL USE")
    assert seg.ContentLabel == "NOT_FOR_CLINICAL"
    assert seg.ContentDescription.startswith("NOT FOR CLINICAL USE")


def test_frames_of_an_enhanced_image() -> None:
    study = two_findings()
    enhanced = _enhanced(study)
    sources = tuple(
        replace(
            source,
            sop_class_uid=EnhancedCTImageStorage,
            sop_instance_uid=enhanced.SOPInstanceUID,
            frame_number=len(study.headers) - k,  # stored back to front
        )
        for k, source in enumerate(study.volume.sources)
        if source is not None
    )
    seg = reread(make_seg(study.report(), study.regions, [enhanced], slices=sources))
    assert_same_place(seg, study)
    (instance,) = seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert instance.ReferencedSOPInstanceUID == enhanced.SOPInstanceUID
    assert instance.ReferencedSOPClassUID == EnhancedCTImageStorage
    for group in seg.PerFrameFunctionalGroupsSequence:
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        assert source.ReferencedSOPInstanceUID == enhanced.SOPInstanceUID
        frame = enhanced.PerFrameFunctionalGroupsSequence[source.ReferencedFrameNumber - 1]
        wanted = frame.PlanePositionSequence[0].ImagePositionPatient
        assert group.PlanePositionSequence[0].ImagePositionPatient == pytest.approx(wanted)


def _enhanced(study: Study) -> Dataset:
    first = study.headers[0]
    enhanced = Dataset()
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Modality",
                    "PatientName", "PatientID", "Rows", "Columns"):  # fmt: skip
        setattr(enhanced, keyword, first[keyword].value)
    enhanced.SOPClassUID = EnhancedCTImageStorage
    enhanced.SOPInstanceUID = "2.25.77"
    enhanced.NumberOfFrames = len(study.headers)
    measures, orientation = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = first.PixelSpacing, first.SliceThickness
    orientation.ImageOrientationPatient = first.ImageOrientationPatient
    shared = Dataset()
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    enhanced.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for header in reversed(study.headers):
        position, frame = Dataset(), Dataset()
        position.ImagePositionPatient = header.ImagePositionPatient
        frame.PlanePositionSequence = [position]
        frames.append(frame)
    enhanced.PerFrameFunctionalGroupsSequence = frames
    return enhanced
