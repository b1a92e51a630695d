"""The report as plain pictures: Secondary Capture images (PS3.3 A.8.1), one series.

What every archive and viewer takes, also those that show neither segmentations nor structured
reports. First a card that sums up, also where nothing was marked; then the key image of each
standing finding, then that of the measured pancreas. Single-frame images of the oldest class: the
multi-frame ones are taken by fewer.

Drawings and captions are in the pixels, and Derivation Description says so. Burned In Annotation
asks whether the pixels tell who the patient is (C.7.6.1.1.4): they do not, unless the source's do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from highdicom import CoordinateSystemNames, PhotometricInterpretationValues
from highdicom.sc import SCImage
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from imaging.finding import Finding, Structure
from imaging.geometry import Grid
from imaging.language import Language
from imaging.objects.captioned import CARD_SIZE, Pixels, captioned, card, measured_glands
from imaging.objects.key_images import screen_orientation
from imaging.objects.source import (
    MANUFACTURER,
    NOT_FOR_CLINICAL_USE,
    evidence,
    finish,
    reference_to,
    series_description,
    series_number,
)
from imaging.report import Report

SERIES_NUMBER: Final = 9105

Marked = Finding | Structure | None
"""What an image shows; None: the card."""
_PURPOSE: Final = ("121322", "DCM", "Source image for image processing operation")
"""CID 7202: what the referenced image was to ours."""


def make_secondary_captures(
    report: Report,
    pictures: Mapping[str, bytes],
    source_headers: Sequence[Dataset],
    grid: Grid,
    *,
    language: Language = Language.EN,
) -> dict[str, Dataset]:
    """Encode the card and the key images of the standing findings.

    Args:
        report: gives findings, identity and times; the same report makes the same bytes.
        pictures: key image, PNG, of each standing finding by ``tracking_uid``, and of the
            measured gland where there is one.
        source_headers: one per source image, any order, pixels not needed.
        grid: of the analysed volume; it tells which way the pictures lie.
        language: of the words in the pixels; Chinese where the machine has a font for it.

    Returns:
        The images by what each is called in ``Report.uid_of``: ``sc-0`` is the card, others
        have the number of their finding, ``sc-gland`` is the pancreas.

    Raises:
        ValueError: no header, or something marked without picture or without header of its key
            image (a mistake in our code).
    """
    if not source_headers:
        raise ValueError("a secondary capture needs the header of at least one source image")
    by_uid = {str(header.SOPInstanceUID): header for header in source_headers}
    first = by_uid[min(by_uid)]
    made = {_name(None): _capture(report, None, card(report, CARD_SIZE, language), first, grid)}
    shown: tuple[Finding | Structure, ...] = (*report.standing_findings, *measured_glands(report))
    for marked in shown:
        if marked.tracking_uid not in pictures:
            raise ValueError(f"no picture was given for {marked.tracking_id}")
        if marked.key_image.sop_instance_uid not in by_uid:
            raise ValueError(f"no header was given for the key image of {marked.tracking_id}")
        pixels = captioned(report, marked, pictures[marked.tracking_uid], language)
        header = by_uid[marked.key_image.sop_instance_uid]
        made[_name(marked)] = _capture(report, marked, pixels, header, grid)
    return made


def _name(marked: Marked) -> str:
    if isinstance(marked, Finding):
        return f"sc-{marked.number}"
    return "sc-gland" if marked else "sc-0"


def _instance_number(report: Report, marked: Marked) -> int:
    if isinstance(marked, Finding):
        return marked.number + 1
    return len(report.findings) + 2 if marked else 1


def _capture(
    report: Report, marked: Marked, pixels: Pixels, header: Dataset, grid: Grid
) -> Dataset:
    image = SCImage.from_ref_dataset(
        evidence(header),
        np.ascontiguousarray(pixels),
        PhotometricInterpretationValues.RGB,
        bits_allocated=8,
        coordinate_system=CoordinateSystemNames.PATIENT,
        series_instance_uid=report.uid_of("sc-series"),
        series_number=series_number(report, SERIES_NUMBER),
        sop_instance_uid=report.uid_of(_name(marked)),
        instance_number=_instance_number(report, marked),
        manufacturer=MANUFACTURER,
        manufacturer_model_name=", ".join(m.name for m in report.all_models)[:64],
        software_versions=report.model.version,
        device_serial_number=report.model.sha256[:16] or "0",
        patient_orientation=screen_orientation(grid),
        series_description=series_description(report, "SC"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    if marked is None:
        image["PatientOrientation"].value = []  # words lie no way in a patient
    else:
        image.SourceImageSequence = [_source(marked)]
    image.Laterality = ""  # of a paired part: unknown
    image.ConversionType = "WSD"  # made by a workstation; highdicom says a digital interface
    image.BurnedInAnnotation = "YES" if header.get("BurnedInAnnotation") == "YES" else "NO"
    image.DerivationDescription = _derivation(report, marked)
    image.ImageComments = image.DerivationDescription
    finish(image, header, report)
    image.DateOfSecondaryCapture = image.ContentDate
    image.TimeOfSecondaryCapture = image.ContentTime
    return image


def _derivation(report: Report, marked: Marked) -> str:
    what = "Summary of the report as text"
    if marked is not None:
        drawn = (
            "outline, axes and caption" if isinstance(marked, Finding) else "outline and caption"
        )
        what = f"Key image of {marked.tracking_id}: {drawn} are in the pixels"
    told = f"{what}. By {report.model_names}, {report.stage.value}. Not for measurement."
    return f"{NOT_FOR_CLINICAL_USE}. {told}" if report.fake else told


def _source(marked: Finding | Structure) -> Dataset:
    item = reference_to(marked.key_image.sop_class_uid, marked.key_image.sop_instance_uid)
    if marked.key_image.frame_number is not None:
        item.ReferencedFrameNumber = marked.key_image.frame_number
    purpose = Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = _PURPOSE
    item.PurposeOfReferenceCodeSequence = [purpose]
    return item
