"""The report's PDF as a DICOM object: Encapsulated PDF (PS3.3 A.45.1).

For archives that file documents beside the images, and readers who open them there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import (
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
)

from imaging.objects.source import (
    NOT_FOR_CLINICAL_USE,
    begin,
    finish,
    reference_to,
)
from imaging.report import Report, Stage

SERIES_NUMBER: Final = 9106

_TITLE: Final = ("18748-4", "LN", "Diagnostic Imaging Report")
"""CID 7000, Diagnostic Imaging Report Document Titles."""


def make_encapsulated_pdf(report: Report, pdf: bytes, source_headers: Sequence[Dataset]) -> Dataset:
    """Wrap the PDF of a report.

    Args:
        report: that the PDF was made of; gives identity and times.
        pdf: see :func:`imaging.objects.report_pdf.render_pdf`.
        source_headers: one per source image, any order, pixels not needed; all of them are named
            as what the document was made from.

    Returns:
        UNVERIFIED, or VERIFIED for a signed report. The same report and PDF make the same bytes.

    Raises:
        ValueError: it is no PDF, or there is no header (a mistake in our code).
    """
    if not source_headers:
        raise ValueError("an encapsulated PDF needs the header of at least one source image")
    if not pdf.startswith(b"%PDF-"):
        raise ValueError("the document is no PDF: it does not begin with %PDF-")
    headers = sorted(source_headers, key=lambda h: str(h.SOPInstanceUID))
    document = begin(report, "pdf", EncapsulatedPDFStorage, SERIES_NUMBER, ExplicitVRLittleEndian)
    document.Modality = "DOC"
    document.ConversionType = "WSD"  # made by a workstation
    document.BurnedInAnnotation = "YES"  # the pages say who the patient is
    document.SourceInstanceSequence = [
        reference_to(h.SOPClassUID, h.SOPInstanceUID) for h in headers
    ]
    document.AcquisitionDateTime = ""
    document.DocumentTitle = _document_title(report)
    document.ConceptNameCodeSequence = [_code(*_TITLE)]
    document.VerificationFlag = "VERIFIED" if report.stage is Stage.FINAL else "UNVERIFIED"
    document.MIMETypeOfEncapsulatedDocument = "application/pdf"
    document.EncapsulatedDocumentLength = len(pdf)
    finish(document, headers[0], report)
    document.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    return document


def _document_title(report: Report) -> str:
    title = f"{report.title.en} ({report.stage.value})"
    return f"{NOT_FOR_CLINICAL_USE} {title}" if report.fake else title


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
