"""DICOM headers as values: what a file is, and where each image in it lies.

The edge of this package: pydicom data sets come in, :class:`ImageSlice` values go out.
"""

from __future__ import annotations

import logging
import math
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError

from imaging.errors import FileError, MissingTag, NotDicom, TruncatedFile
from imaging.frame_kinds import Kind, kind_of
from imaging.image_slice import ImageSlice as ImageSlice
from imaging.image_slice import Orientation as Orientation
from imaging.image_slice import SeriesHeader as SeriesHeader
from imaging.mr_facts import MrFacts, read_facts
from imaging.notices import Notice, notice
from imaging.undeclared import text_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scan:
    """What a set of files holds."""

    slices: tuple[ImageSlice, ...]
    series: dict[str, SeriesHeader]
    notices: tuple[Notice, ...]
    """Files that are not used, each with its reason."""
    other_objects: int
    """DICOM files without pixels (reports, presentation states, a DICOMDIR)."""
    frames: dict[tuple[str, Kind], SeriesHeader] = field(default_factory=dict)
    """Of enhanced images: what the first frame of each kind says, by SeriesInstanceUID."""


_VARIANT_KEYWORDS = (
    "AcquisitionNumber", "AcquisitionTime", "ComplexImageComponent", "ContrastBolusAgent",
    "ContrastBolusAgentPhase", "ConvolutionKernel", "DiffusionBValue", "DiffusionDirectionality",
    "DiffusionGradientOrientation", "EchoNumbers", "EchoTime", "EffectiveEchoTime",
    "FrameAcquisitionNumber", "InversionTime", "KVP", "NominalPercentageOfCardiacPhase", "StackID",
    "TemporalPositionIdentifier", "TemporalPositionIndex", "TriggerTime",
)  # fmt: skip
_OF_THE_STACK = {"StackID", "InStackPositionNumber", "ImagePositionPatient", "SliceLocation"}
"""Dimensions along which one stack extends; along any other lies another stack."""


_UNPARSABLE: tuple[type[Exception], ...] = (
    ArithmeticError, AttributeError, EOFError, LookupError, NotImplementedError, OSError,
    RecursionError, TypeError, ValueError, BytesLengthException, struct.error, zlib.error,
)  # fmt: skip
"""What pydicom raises over damaged or hostile bytes, when it reads or when a value is asked for.

It lets Python's own errors through, whose only common base is Exception: a number that is none is
a ValueError, a sequence without items an IndexError, nesting without end a RecursionError.
"""


def read_header(path: Path) -> Dataset:
    """The data set of a DICOM file without its pixels.

    Files without PS3.10 preamble or meta information are read when they are plainly DICOM.

    Raises:
        NotDicom: it is something else.
        TruncatedFile: it ends inside its header.
    """
    try:
        return pydicom.dcmread(path, stop_before_pixels=True)
    except InvalidDicomError:
        pass
    except EOFError as error:
        raise TruncatedFile(path, f"ends inside its header ({error})", "Send it again.") from error
    except _UNPARSABLE as error:
        raise NotDicom(path, f"cannot be read as DICOM ({error})", "Send it again.") from error
    try:
        bare = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        if "SOPClassUID" in bare and "SOPInstanceUID" in bare:
            return bare
    except _UNPARSABLE:
        pass
    raise NotDicom(path, "is not a DICOM file", "Take it out of the folder.")


def scan_files(paths: Iterable[Path]) -> Scan:
    """Read the headers of files; a file that can't be used becomes a notice, never an error."""
    slices: list[ImageSlice] = []
    series: dict[str, SeriesHeader] = {}
    frames: dict[tuple[str, Kind], SeriesHeader] = {}
    notices: list[Notice] = []
    strangers: list[Path] = []
    seen: set[str] = set()
    repeated = others = 0
    for path in paths:
        try:
            header = read_header(path)
            images = list(slices_of(path, header))
            described = _series_header(header)
            by_kind = {
                kind: _series_header(header, first.frame_number or 1)
                for kind, first in _first_of_each(images).items()
            }
        except NotDicom:
            log.warning("%s: not a DICOM file, passed over", path)
            strangers.append(path)
            continue
        except FileError as error:
            log.warning("%s", error)
            notices.append(notice("unreadable-file", file=path.name, problem=error.problem))
            continue
        except _UNPARSABLE as error:
            log.warning("%s: %s", path, error)
            problem = f"a value in its header can't be read ({error})"
            notices.append(notice("unreadable-file", file=path.name, problem=problem))
            continue
        if not images:
            others += 1
            continue
        if images[0].sop_instance_uid in seen:
            repeated += 1
            continue
        seen.add(images[0].sop_instance_uid)
        slices += images
        series.setdefault(images[0].series_uid, described)
        for kind, told in by_kind.items():
            frames.setdefault((images[0].series_uid, kind), told)
    if strangers:
        notices.append(notice("not-dicom", count=len(strangers), first=strangers[0].name))
    if repeated:
        notices.append(notice("same-instance-twice", count=repeated))
    return Scan(tuple(slices), series, tuple(notices), others, frames)


def _first_of_each(images: list[ImageSlice]) -> dict[Kind, ImageSlice]:
    """The first frame of each kind; of one kind the series' own header says it all."""
    found: dict[Kind, ImageSlice] = {}
    for image in images:
        found.setdefault(kind_of(image), image)
    return found if len(found) > 1 else {}


def slices_of(path: Path, header: Dataset) -> Iterator[ImageSlice]:
    """The images a data set holds: one, one a frame, or none at all.

    Raises:
        MissingTag: an attribute that every image must have is absent or unusable.
        TruncatedFile: an image that ends before its size is said.
    """
    if "Rows" not in header or "Columns" not in header:
        _must_be_no_image(path, header)
        return
    frames = _count(path, header, "NumberOfFrames") if header.get_item("NumberOfFrames") else 1
    per_frame = header.get("PerFrameFunctionalGroupsSequence")
    if per_frame:
        for number, groups in enumerate(per_frame, start=1):
            yield _slice(path, header, number, _Groups(groups, header))
    elif frames > 1:
        for number in range(1, frames + 1):
            yield _slice(path, header, number, header, located=False)
    else:
        yield _slice(path, header, None, header)


class _Groups:
    """Looks a keyword up in the functional groups of a frame (PS3.3 C.7.6.16)."""

    def __init__(self, frame: Dataset, root: Dataset) -> None:
        shared = (root.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
        self._places = [item for groups in (frame, shared) for item in self._items(groups)]
        self._places.append(root)

    @staticmethod
    def _items(groups: Dataset) -> list[Dataset]:
        return [item for element in groups if element.VR == "SQ" for item in element.value[:1]]

    def get(self, keyword: str, default: Any = None) -> Any:
        for place in self._places:
            if keyword in place:
                return place.get(keyword)
        return default


def _slice(
    path: Path, header: Dataset, frame: int | None, place: Any, *, located: bool = True
) -> ImageSlice:
    image_type = place.get("FrameType") or header.get("ImageType") or ()
    position = _floats(path, place, "ImagePositionPatient", 3) if located else None
    orientation = _floats(path, place, "ImageOrientationPatient", 6) if located else None
    spacing = _floats(path, place, "PixelSpacing", 2)
    thickness = _floats(path, place, "SliceThickness", 1)
    return ImageSlice(
        path=path,
        frame_number=frame,
        sop_class_uid=_required(path, header, "SOPClassUID"),
        sop_instance_uid=_required(path, header, "SOPInstanceUID"),
        study_uid=_required(path, header, "StudyInstanceUID"),
        series_uid=_required(path, header, "SeriesInstanceUID"),
        modality=str(header.get("Modality") or ""),
        instance_number=_integer(header.get("InstanceNumber")),
        image_type=tuple(str(value).upper() for value in _listed(image_type)),
        rows=_count(path, header, "Rows"),
        columns=_count(path, header, "Columns"),
        position=(position[0], position[1], position[2]) if position else None,
        orientation=_six(orientation) if orientation else None,
        pixel_spacing=(spacing[0], spacing[1]) if spacing else None,
        slice_thickness_mm=thickness[0] if thickness else None,
        variant=_variant(header, place),
        images_in_acquisition=_integer(header.get("ImagesInAcquisition")),
    )


def _variant(header: Dataset, place: Any) -> tuple[tuple[str, str], ...]:
    """What can tell an image from others at its position.

    Of an enhanced image also its values along the dimensions that its maker named (PS3.3
    C.7.6.17), private ones among them.
    """
    found = [
        (keyword, "\\".join(str(part) for part in _listed(value)))
        for keyword in _VARIANT_KEYWORDS
        if (value := place.get(keyword)) not in (None, "")
    ]
    values = _listed(place.get("DimensionIndexValues"))
    for item, value in zip(header.get("DimensionIndexSequence") or (), values, strict=False):
        pointer = item.get("DimensionIndexPointer")
        name = pydicom.datadict.keyword_for_tag(pointer or 0) or str(pointer)
        if name not in _OF_THE_STACK:
            found.append((f"dimension {name}", str(value)))
    return tuple(found)


def _six(numbers: tuple[float, ...]) -> Orientation:
    a, b, c, d, e, f = numbers
    return a, b, c, d, e, f


def _must_be_no_image(path: Path, header: Dataset) -> None:
    """A data set without Rows is a report or the like, or an image that was cut short."""
    meta = getattr(header, "file_meta", None) or Dataset()
    named = [header.get("SOPClassUID"), meta.get("MediaStorageSOPClassUID")]
    names = [pydicom.uid.UID(str(uid)).name for uid in named if uid]
    image = any(name.endswith("Image Storage") for name in names)
    nameless = not named[0] and "Media Storage Directory Storage" not in names
    if image or nameless:
        missing = "Rows" if image else "SOPClassUID"
        problem = f"ends inside its header, or {missing} was left out"
        raise TruncatedFile(path, problem, "Send the image again.")


def _series_header(header: Dataset, frame: int = 1) -> SeriesHeader:
    def text(keyword: str) -> str:
        return text_of(header, keyword)

    frames = header.get("PerFrameFunctionalGroupsSequence")
    place: Dataset | _Groups = _Groups(frames[frame - 1], header) if frames else header
    return SeriesHeader(
        study_uid=text("StudyInstanceUID"),
        series_uid=text("SeriesInstanceUID"),
        modality=text("Modality"),
        number=text("SeriesNumber"),
        description=text("SeriesDescription"),
        body_part=text("BodyPartExamined") or _meaning(place, "AnatomicRegionSequence"),
        kernel=text("ConvolutionKernel"),
        contrast=text("ContrastBolusAgent") or _agent(place),
        protocol=text("ProtocolName"),
        study_description=text("StudyDescription"),
        frame_of_reference=text("FrameOfReferenceUID"),
        station=text("StationName"),
        maker=" ".join(filter(None, (text("Manufacturer"), text("ManufacturerModelName")))),
        mr=read_facts(place.get) if text("Modality") == "MR" else MrFacts(),
    )


def _agent(place: Dataset | _Groups) -> str:
    """The contrast agent of an enhanced image, if one was in the patient when it was made.

    ContrastBolusAgentSequence names what was given at any time; the frame's
    ContrastBolusUsageSequence says whether it was there yet (PS3.3 C.7.6.16.2.12).
    """
    given = str(place.get("ContrastBolusAgentAdministered") or "").upper()
    phase = str(place.get("ContrastBolusAgentPhase") or "").upper()
    if given == "NO" or phase == "PRE_CONTRAST":
        return ""
    return _meaning(place, "ContrastBolusAgentSequence")


def _meaning(place: Dataset | _Groups, keyword: str) -> str:
    """CodeMeaning of the first item of a sequence of codes."""
    items = place.get(keyword)
    return str(items[0].get("CodeMeaning") or "").strip() if items else ""


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple, pydicom.multival.MultiValue)) else [value]


def _required(path: Path, header: Dataset, keyword: str) -> str:
    value = str(header.get(keyword) or "").strip()
    if not value:
        raise MissingTag(path, f"{keyword} is missing or empty", "Send the image again.")
    return value


def _count(path: Path, header: Dataset, keyword: str) -> int:
    """A whole number above 0."""
    try:
        value = header.get(keyword)
        number = int(value)
    except (TypeError, ValueError) as error:
        problem = f"{keyword} is no whole number ({error})"
        raise MissingTag(path, problem, "Send the image again.") from error
    if number < 1:
        raise MissingTag(path, f"{keyword} is {number}, not above 0", "Send the image again.")
    return number


def _floats(path: Path, place: Any, keyword: str, length: int) -> tuple[float, ...] | None:
    try:
        value = place.get(keyword)
        if value is None or value == "":
            return None
        numbers = tuple(float(part) for part in _listed(value))
    except (TypeError, ValueError) as error:
        raise MissingTag(path, f"{keyword} is not a number ({error})", "Correct it.") from error
    if len(numbers) != length or not all(map(math.isfinite, numbers)):
        problem = f"{keyword} is {numbers}, not {length} finite number(s)"
        raise MissingTag(path, problem, "Correct it.")
    return numbers


def _integer(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0
