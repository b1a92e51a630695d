"""What a derived object takes from its source images: geometry, patient, study, character set.

highdicom copies patient and study from a source header and refuses headers with anything
missing or odd. Preread must answer such studies too, so it hands highdicom a clean header
(:func:`evidence`) and copies patient and study itself, unchanged (:func:`finish`).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import numpy as np
from pydicom.charset import python_encoding
from pydicom.config import RAISE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, MRImageStorage
from pydicom.valuerep import validate_value

from imaging.geometry import Points
from imaging.identity import derive_uid
from imaging.report import Report, Stage
from imaging.undeclared import understood
from imaging.volume import SourceSlice

MANUFACTURER = "Preread"
NOT_FOR_CLINICAL_USE = "NOT FOR CLINICAL USE"
UTF8 = "ISO_IR 192"

_EMPTY_IF_ABSENT = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber",
)  # fmt: skip
_IF_PRESENT = (
    "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "OtherPatientIDsSequence",
    "PatientBirthTime", "EthnicGroup", "PatientAge", "PatientSize", "PatientWeight",
    "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "IssuerOfAccessionNumberSequence", "StudyDescription", "TimezoneOffsetFromUTC",
    "ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID", "ClinicalTrialSiteName", "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID", "ClinicalTrialTimePointID",
)  # fmt: skip


@dataclass(frozen=True)
class Plane:
    """Where one image (or frame) lies.

    Attributes:
        position: centre of the first pixel, LPS mm.
        along_row: unit vector of growing column index; ``along_column``: of growing row index.
        spacing: PixelSpacing, mm: between rows, between columns.
        shape: rows, columns.
        thickness: SliceThickness, mm; None where absent.
    """

    position: tuple[float, ...]
    along_row: tuple[float, ...]
    along_column: tuple[float, ...]
    spacing: tuple[float, float]
    shape: tuple[int, int]
    thickness: float | None

    def to_image(self, lps_mm: Points) -> Points:
        """LPS mm, (..., 3), to SCOORD's (column, row), (..., 2); centres at .5 (C.18.6.1.1)."""
        offset = np.asarray(lps_mm, dtype=np.float64) - self.position
        column = offset @ np.asarray(self.along_row) / self.spacing[1]
        row = offset @ np.asarray(self.along_column) / self.spacing[0]
        return np.stack([column, row], axis=-1) + 0.5

    def to_lps(self, row: float, column: float) -> Points:
        """Centre of pixel (row, column) in LPS mm, (3,)."""
        step = np.asarray(self.along_column) * self.spacing[0] * row
        return np.asarray(self.position) + step + (
            np.asarray(self.along_row) * self.spacing[1] * column
        )  # fmt: skip


def _functional_group(header: Dataset, frame: int, sequence: str) -> Dataset:
    for group in (
        header.PerFrameFunctionalGroupsSequence[frame - 1],
        header.SharedFunctionalGroupsSequence[0],
    ):
        if group.get(sequence):
            found: Dataset = group[sequence].value[0]
            return found
    raise ValueError(f"{header.SOPInstanceUID}: frame {frame} has no {sequence}")


def plane_of(header: Dataset, frame: int | None = None) -> Plane:
    """Geometry of an image, or of one frame (one-based) of a multi-frame image.

    Raises:
        ValueError: the frame lacks the functional group that says it.
    """
    position: Dataset
    position = orientation = measures = header
    if frame is not None and "PerFrameFunctionalGroupsSequence" in header:
        position = _functional_group(header, frame, "PlanePositionSequence")
        orientation = _functional_group(header, frame, "PlaneOrientationSequence")
        measures = _functional_group(header, frame, "PixelMeasuresSequence")
    cosines = [float(v) for v in orientation.ImageOrientationPatient]
    spacing = [float(v) for v in measures.PixelSpacing]
    thickness = measures.get("SliceThickness")
    return Plane(
        position=tuple(float(v) for v in position.ImagePositionPatient),
        along_row=tuple(cosines[:3]),
        along_column=tuple(cosines[3:]),
        spacing=(spacing[0], spacing[1]),
        shape=(int(header.Rows), int(header.Columns)),
        thickness=None if thickness in (None, "") else float(thickness),
    )


def begin(
    report: Report, name: str, sop_class_uid: UID, series: int, transfer_syntax_uid: UID
) -> Dataset:
    """What an object begins with that highdicom has no class for; :func:`finish` adds the rest.

    Args:
        report: gives study, models and UIDs.
        name: what it is called in ``Report.uid_of``, and in capitals in its series' description.
        sop_class_uid: of it.
        series: number of its series for a preliminary report.
        transfer_syntax_uid: that it will be written in.
    """
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = transfer_syntax_uid
    made.file_meta.MediaStorageSOPClassUID = sop_class_uid
    made.file_meta.MediaStorageSOPInstanceUID = UID(report.uid_of(name))
    made.SOPClassUID = sop_class_uid
    made.SOPInstanceUID = report.uid_of(name)
    made.StudyInstanceUID = report.study_uid
    made.SeriesInstanceUID = report.uid_of(f"{name}-series")
    made.SeriesNumber = series_number(report, series)
    made.SeriesDescription = series_description(report, name.upper())
    made.InstanceNumber = 1
    made.Manufacturer = MANUFACTURER
    made.ManufacturerModelName = ", ".join(m.name for m in report.all_models)[:64]
    made.SoftwareVersions = report.model.version
    made.DeviceSerialNumber = report.model.sha256[:16] or "0"
    return made


def reference_to(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    """An item that names an object (PS3.3 table 10-11, SOP Instance Reference Macro)."""
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    return item


def header_of(slice_: SourceSlice, headers: Sequence[Dataset]) -> Dataset:
    """The header of the image that a slice came from.

    Raises:
        ValueError: it is not among ``headers``.
    """
    for header in headers:
        if header.SOPInstanceUID == slice_.sop_instance_uid:
            return header
    raise ValueError(f"no header was given for source image {slice_.sop_instance_uid}")


def evidence(header: Dataset) -> Dataset:
    """A clean single-frame stand-in for ``header``: identity and nothing odd."""
    clean = Dataset()
    clean.SOPClassUID = MRImageStorage if header.get("Modality") == "MR" else CTImageStorage
    clean.SOPInstanceUID = header.SOPInstanceUID
    clean.StudyInstanceUID = header.StudyInstanceUID
    clean.SeriesInstanceUID = header.SeriesInstanceUID
    clean.FrameOfReferenceUID = header.get("FrameOfReferenceUID") or derive_uid(
        header.SeriesInstanceUID, "frame-of-reference"
    )
    clean.PositionReferenceIndicator = ""
    clean.Modality = header.get("Modality", "CT")
    for keyword in _EMPTY_IF_ABSENT:
        setattr(clean, keyword, "")
    return clean


def local_time(moment: datetime, header: Dataset) -> datetime:
    """``moment`` as the wall clock that the object's DA and TM are in.

    With a TimezoneOffsetFromUTC in the source that offset, otherwise the offset ``moment``
    comes with: writing UTC would put our time beside a StudyTime in local time.
    """
    offset = str(header.get("TimezoneOffsetFromUTC") or "")
    if moment.tzinfo is None or len(offset) != 5 or not offset[1:].isdigit():
        return moment
    minutes = int(offset[1:3]) * 60 + int(offset[3:5])
    sign = -1 if offset[0] == "-" else 1
    return moment.astimezone(timezone(sign * timedelta(minutes=minutes)))


def series_description(report: Report, what: str = "") -> str:
    """For instance ``Preread Lung nodules SEG (preliminary)``; 64 characters at most (LO)."""
    prefix = f"{NOT_FOR_CLINICAL_USE} " if report.fake else ""
    suffix = f"{' ' + what if what else ''} ({report.stage.value})"
    title = report.title.en.replace("\\", " ")
    head = f"{prefix}{MANUFACTURER} "
    return head + title[: 64 - len(head) - len(suffix)].rstrip() + suffix


def series_number(report: Report, first: int) -> int:
    """Above any scanner's own; the final report's series follow the preliminary one's."""
    return first + (10 if report.stage is Stage.FINAL else 0)


def _texts(dataset: Dataset) -> Iterable[str]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _texts(item)
        elif element.VR in ("LO", "LT", "PN", "SH", "ST", "UC", "UT"):
            yield str(element.value)


def _holds(charset: Sequence[str], texts: Iterable[str]) -> bool:
    """Whether ``texts`` can be written in the source's character set."""
    text = "".join(texts)
    if text.isascii():
        return True  # every DICOM repertoire holds ASCII
    if list(charset) == ["ISO_IR 13"]:  # one byte each; pydicom reads kanji there, writes "?"
        return all(letter.isascii() or "\uff61" <= letter <= "\uff9f" for letter in text)
    codec = python_encoding.get(charset[0] if len(charset) == 1 else "")
    if not codec or charset[0] in ("", "ISO_IR 6"):
        return False
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def _is_valid(element: DataElement) -> bool:
    """Whether an optional attribute is worth copying: ``0Y`` for an age is not."""
    try:
        validate_value(element.VR, element.value, RAISE)
    except ValueError:
        return False
    return True


def _copied(header: Dataset, keyword: str, guess: bool) -> DataElement:
    element = copy.deepcopy(header[keyword])
    if element.VR == "SQ":
        for item in element.value:
            item.decode()
    elif guess and element.VR in ("LO", "LT", "PN", "SH", "ST", "UC", "UT"):
        element.value = understood(str(element.value))
    return element


def finish(dataset: Dataset, header: Dataset, report: Report) -> None:
    """Patient and study from the source, character set, fixed times, all versions; in place.

    The source's SpecificCharacterSet is kept when it can hold what Preread itself wrote;
    otherwise the whole object becomes ISO_IR 192.
    """
    texts = list(_texts(dataset))
    declared = header.get("SpecificCharacterSet") or ""
    charset = [declared] if isinstance(declared, str) else [str(c) for c in declared]
    if declared and len(charset) == 1:
        texts += [str(header[k].value) for k in ("PatientName", "StudyDescription") if k in header]
    keep = _holds(charset, texts)
    if not keep:
        dataset.SpecificCharacterSet = UTF8
    elif declared:
        dataset.SpecificCharacterSet = declared
    else:
        dataset.pop("SpecificCharacterSet", None)
    guess = not keep and not declared
    for keyword in _EMPTY_IF_ABSENT:
        if keyword in header:
            dataset.add(_copied(header, keyword, guess))
        else:
            setattr(dataset, keyword, "")
    for keyword in _IF_PRESENT:
        if keyword in header and _is_valid(header[keyword]):
            dataset.add(_copied(header, keyword, guess))
    created = local_time(report.created_at, header)
    for prefix in ("InstanceCreation", "Content", "Series"):
        setattr(dataset, f"{prefix}Date", created.strftime("%Y%m%d"))
        setattr(dataset, f"{prefix}Time", created.strftime("%H%M%S.%f"))
    if len(report.all_models) > 1:
        dataset.SoftwareVersions = [model.version for model in report.all_models]
    for equipment in dataset.get("ContributingEquipmentSequence") or ():
        equipment.ContributionDateTime = created.strftime("%Y%m%d%H%M%S.%f")
