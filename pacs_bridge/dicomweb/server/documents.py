"""What can be shown of objects that are no images (PS3.18 8.7.4): PDFs, our own reports."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.uid import EncapsulatedPDFStorage

from pacs_bridge.dicomweb.server.held import Held, Holdings
from pacs_bridge.dicomweb.server.reading import Unreadable, read

PDF, HTML = "application/pdf", "text/html"


@dataclass(frozen=True)
class Document:
    """Something to be shown as it is."""

    content: bytes
    media_type: str


def document_of(held: Held, holdings: Holdings) -> Document | None:
    """The PDF inside an object, or the page of the report that an SR of ours tells; else None.

    Raises:
        Unreadable: it can't be read.
        OSError: the page can't be.
    """
    if held.sop_class_uid == EncapsulatedPDFStorage:
        return _encapsulated(held)
    page = holdings.page_of(held)
    return None if page is None else Document(page.read_bytes(), HTML)


def _encapsulated(held: Held) -> Document:
    dataset = read(held.path)
    try:
        content = bytes(dataset.EncapsulatedDocument)
        length = dataset.get("EncapsulatedDocumentLength") or len(content)  # without the padding
        return Document(content[: int(length)], PDF)
    except Exception as error:
        # Nothing narrower: over damaged values pydicom raises anything.
        raise Unreadable(f"EncapsulatedDocument (0042,0011): {error}") from error
