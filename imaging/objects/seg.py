"""A report's masks as DICOM Segmentation (PS3.3 A.51, binary).

One segment a standing finding, numbered 1, 2, ... in the report's order, then one an organ; a
rejected finding has none, so in a final report the numbers can differ from the preliminary
one's. What joins the two, and the SR, is the Tracking UID.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentationTypeValues, SegmentDescription
from highdicom.seg import Segmentation as HighdicomSegmentation
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from imaging.errors import NothingToEncode
from imaging.finding import Finding, Structure
from imaging.geometry import Grid
from imaging.identity import derive_uid
from imaging.language import Language
from imaging.objects.codes import (
    ABNORMAL_STRUCTURE,
    ANATOMICAL_STRUCTURE,
    ARTIFICIAL_INTELLIGENCE,
    concept,
)
from imaging.objects.source import (
    MANUFACTURER,
    NOT_FOR_CLINICAL_USE,
    Plane,
    evidence,
    finish,
    header_of,
    plane_of,
    series_description,
    series_number,
)
from imaging.report import Report
from imaging.volume import Region, SourceSlice

SERIES_NUMBER = 9101

_COLOURS = ((82, 10, 65), (77, -25, -18), (75, -50, 40), (60, 75, -40), (60, 0, -50), (60, 60, 40))
"""CIELab of neighbouring segments: amber, cyan, green, magenta, blue, red."""
_MOST_OVERLAP_BYTES = 2**29
"""Masks that overlap are stacked, a byte a voxel and segment; more than this is not."""


def make_seg(
    report: Report,
    regions: Mapping[str, Region],
    source_headers: Sequence[Dataset],
    *,
    slices: Sequence[SourceSlice | None],
) -> Dataset:
    """Encode the masks of the standing findings and of the structures.

    A lesion of one model may overlap an organ of another; both keep their voxels. Only where
    that would take more than half a gigabyte at work (a hundred organs of a whole body) the
    later segment gives way: what is a lesion's is then left out of the organ around it.

    Args:
        report: gives findings, identity and times; the same report makes the same bytes.
        regions: mask of each of them by ``tracking_uid``, on the volume's grid.
        source_headers: one per source image, in any order, pixels not needed.
        slices: the analysed volume's ``sources``: the image of slice k, None where the slice
            was interpolated; such slices have no image to lie on and are left out.

    Returns:
        A Segmentation with one frame per segment and touched image, on the images' own planes.

    Raises:
        NothingToEncode: nothing that stands touches a source image.
        ValueError: a mask, a header or the place of a slice does not fit (a mistake in our code).
    """
    marked = report.segmented
    for each in marked:
        if each.tracking_uid not in regions:
            raise ValueError(f"no mask was given for {each.tracking_id}")
    standing = [regions[each.tracking_uid] for each in marked]
    touched = _touched(standing, slices)
    if not touched:
        raise NothingToEncode("no standing finding touches a source image: there is no SEG to make")

    even = all(slice_ is None or not slice_.above_mm for slice_ in slices)
    planes: list[Plane] = []
    images: list[Dataset] = []
    origin: dict[str, SourceSlice] = {}
    for k, slice_ in touched:
        header = header_of(slice_, source_headers)
        plane = plane_of(header, slice_.frame_number)
        check_place(standing[0].within, k, plane, slice_)
        stand_in = _image(header, plane, slice_, standing[0].within if even else None)
        origin[stand_in.SOPInstanceUID] = slice_
        planes.append(plane)
        images.append(stand_in)

    first = header_of(touched[0][1], source_headers)
    seg = HighdicomSegmentation(
        source_images=images,
        pixel_array=_pixels(standing, touched, planes[0].shape),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_segment(report, n, m) for n, m in enumerate(marked, start=1)],
        series_instance_uid=report.uid_of("seg-series"),
        series_number=series_number(report, SERIES_NUMBER),
        sop_instance_uid=report.uid_of("seg"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=", ".join(m.name for m in report.all_models)[:64],
        software_versions=report.model.version,
        device_serial_number=report.model.sha256[:16] or "0",
        omit_empty_frames=True,
        content_label="NOT_FOR_CLINICAL" if report.fake else "PREREAD",
        content_description=_description(report),
        series_description=series_description(report, "SEG"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    seg.ContentCreatorName = ""
    _name_sources(seg, origin)
    _fix_dimension_uid(seg, report.uid_of("seg-dimensions"))
    finish(seg, first, report)
    return seg


def _description(report: Report) -> str:
    what = "Lesions" if not report.structures else "Structures"
    what = "Lesions and structures" if report.structures and report.standing_findings else what
    text = f"{what} marked by {report.model_names}, {report.stage.value}"
    return (f"{NOT_FOR_CLINICAL_USE}. {text}" if report.fake else text)[:64]


def _touched(
    regions: Sequence[Region], slices: Sequence[SourceSlice | None]
) -> list[tuple[int, SourceSlice]]:
    """Slices with an image that at least one mask touches, front to back."""
    hit: set[int] = set()
    for region in regions:
        if len(slices) != region.within.shape[0]:
            raise ValueError(f"{len(slices)} sources for {region.within.shape[0]} slices")
        if not region.within.same_as(regions[0].within):
            raise ValueError("the masks of one report must lie on one grid")
        hit.update(int(k) + region.start[0] for k in np.flatnonzero(region.voxels.any((1, 2))))
    return [(k, slice_) for k in sorted(hit) if (slice_ := slices[k]) is not None]


def check_place(grid: Grid, k: int, plane: Plane, slice_: SourceSlice) -> None:
    """Guard against masks mirrored or shifted against their images.

    Raises:
        ValueError: pixels of the image lie elsewhere than the slice says (a mistake in our code).
    """
    rows, columns = plane.shape
    for row, column in ((0, 0), (rows - 1, columns - 1), (0, columns - 1)):
        index = (k, row - slice_.first_row, column - slice_.first_column)
        away = float(np.linalg.norm(grid.to_lps(index) - plane.to_lps(row, column)))
        if away > 0.5 * max(grid.spacing_mm):
            raise ValueError(
                f"slice {k} lies {away:.1f} mm away from its image {slice_.sop_instance_uid}"
            )


def _image(header: Dataset, plane: Plane, slice_: SourceSlice, grid: Grid | None) -> Dataset:
    """The slice as a single-frame image; a frame of a multi-frame image gets a name of its own.

    Without ``grid`` the images have no one distance, and none is said.
    """
    image = evidence(header)
    if slice_.frame_number is not None:
        image.SOPInstanceUID = derive_uid(slice_.sop_instance_uid, slice_.frame_number)
    image.Rows, image.Columns = plane.shape
    image.PixelSpacing = list(plane.spacing)
    image.ImageOrientationPatient = [*plane.along_row, *plane.along_column]
    image.ImagePositionPatient = list(plane.position)
    image.SliceThickness = plane.thickness or ""
    if grid is not None:
        normal = np.cross(plane.along_row, plane.along_column)
        between = round(abs(float(normal @ grid.affine[:3, 0])), 6)
        image.SliceThickness = plane.thickness or between
        image.SpacingBetweenSlices = between
    image.LossyImageCompression = header.get("LossyImageCompression") or "00"
    return image


def _pixels(
    regions: Sequence[Region], slices: Sequence[tuple[int, SourceSlice]], shape: tuple[int, int]
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Label map (t, rows, columns); a stack of segments (..., segment) where masks overlap."""
    row = {k: t for t, (k, _) in enumerate(slices)}
    offset = {k: slice_.offset for k, slice_ in slices}
    labels = np.zeros((len(slices), *shape), dtype=np.uint8 if len(regions) < 256 else np.uint16)
    overlap = False
    # The first come last, so that they win where the stack would be too large.
    for number, region in reversed(list(enumerate(regions, start=1))):
        for k, j, part in _parts(region, offset, shape):
            box = labels[row[k]][j]
            overlap = overlap or bool(box[part].any())
            box[part] = number
    if not overlap or labels.size * len(regions) > _MOST_OVERLAP_BYTES:
        return labels
    stack = np.zeros((*labels.shape, len(regions)), dtype=np.uint8)
    for index, region in enumerate(regions):
        for k, j, part in _parts(region, offset, shape):
            stack[(row[k], *j, index)][part] = 1
    return stack


def _parts(
    region: Region, offset: Mapping[int, tuple[int, int]], shape: tuple[int, int]
) -> Iterator[tuple[int, tuple[slice, slice], NDArray[np.bool_]]]:
    """Per slice with an image the box of the mask on that image, and what is true in it.

    What a tilt moved beyond the image's edge has no pixel there and is left out.
    """
    for k, plane in enumerate(region.voxels, start=region.start[0]):
        if k not in offset:
            continue
        top, left = (s + o for s, o in zip(region.start[1:], offset[k], strict=True))
        j = slice(max(top, 0), min(top + plane.shape[0], shape[0]))
        i = slice(max(left, 0), min(left + plane.shape[1], shape[1]))
        if j.stop > j.start and i.stop > i.start:
            yield k, (j, i), plane[j.start - top : j.stop - top, i.start - left : i.stop - left]


def _segment(report: Report, number: int, marked: Finding | Structure) -> SegmentDescription:
    model = report.model_of(marked)
    algorithm = AlgorithmIdentificationSequence(
        name=model.name,
        family=ARTIFICIAL_INTELLIGENCE,
        version=model.version,
        source=MANUFACTURER,
    )
    organ = isinstance(marked, Structure)
    # Of a spleen there is no more to say than that it is one.
    lies_in = not organ or marked.site.value != marked.label.value
    return SegmentDescription(
        segment_number=number,
        segment_label=marked.tracking_id[:64],
        segmented_property_category=ANATOMICAL_STRUCTURE if organ else ABNORMAL_STRUCTURE,
        segmented_property_type=concept(marked.label, Language.EN),
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        tracking_uid=marked.tracking_uid,
        tracking_id=marked.tracking_id,
        anatomic_regions=[concept(marked.site, Language.EN)] if lies_in else None,
        display_color=CIELabColor(*_COLOURS[(number - 1) % len(_COLOURS)]),
    )


def _name_sources(dataset: Dataset, origin: Mapping[str, SourceSlice]) -> None:
    """Put the true class, UID and frame number into every reference to a stand-in; in place."""
    for element in dataset:
        if element.VR != "SQ":
            continue
        seen: set[str] = set()
        kept: list[Dataset] = []
        for item in element.value:
            slice_ = origin.get(item.get("ReferencedSOPInstanceUID", ""))
            if slice_ is not None:
                item.ReferencedSOPClassUID = slice_.sop_class_uid
                item.ReferencedSOPInstanceUID = slice_.sop_instance_uid
                if slice_.frame_number is not None and element.keyword == "SourceImageSequence":
                    item.ReferencedFrameNumber = slice_.frame_number
                if slice_.sop_instance_uid in seen:
                    continue
                seen.add(slice_.sop_instance_uid)
            _name_sources(item, origin)
            kept.append(item)
        if len(kept) < len(element.value):
            element.value = kept


def _fix_dimension_uid(seg: Dataset, uid: str) -> None:
    """highdicom draws this UID at random; a retry must make the same object."""
    for item in (*seg.DimensionOrganizationSequence, *seg.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid
