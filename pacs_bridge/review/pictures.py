"""Images and files of a reading."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import FileResponse, Response

from pacs_bridge.review.pages import find_reading, slice_total
from pacs_bridge.review.room import KnownVisit
from pacs_bridge.review.studio import ObjectKind
from pacs_bridge.store import Reading

router = APIRouter(prefix="/studies/{study_uid}", include_in_schema=False)

_MEDIA = {
    "SR": "application/dicom",
    "SEG": "application/dicom",
    "RTSTRUCT": "application/dicom",
    "GSPS": "application/dicom",
    "SC": "application/zip",
    "PDF": "application/dicom",
    "report.pdf": "application/pdf",
    "report.html": "text/html; charset=utf-8",
    "findings.json": "application/json",
}
_ENDINGS = {"application/dicom": ".dcm", "application/zip": ".zip", "application/pdf": ".pdf"}


@router.get("/findings/{tracking_uid}/image.png")
def key_image(visit: KnownVisit, study_uid: str, tracking_uid: str, revision: int) -> Response:
    """A finding's key slice with its outline."""
    reading = _reading(visit, study_uid, revision)
    if reading.report is None or all(
        f.tracking_uid != tracking_uid for f in reading.report.findings
    ):
        raise HTTPException(404)
    return Response(visit.room.studio.key_image(reading, tracking_uid), media_type="image/png")


@router.get("/findings/{tracking_uid}/why.png")
def why_picture(visit: KnownVisit, study_uid: str, tracking_uid: str, revision: int) -> Response:
    """What made the model mark a finding."""
    path = visit.room.studio.why_picture(_reading(visit, study_uid, revision), tracking_uid)
    if path is None:
        raise HTTPException(404)
    return FileResponse(path, media_type="image/png")


@router.get("/slices/{k}.png")
def slice_image(
    visit: KnownVisit, study_uid: str, k: int, revision: int, outlines: bool = True
) -> Response:
    """One slice of the analysed series."""
    reading = _reading(visit, study_uid, revision)
    if reading.report is None or not 0 <= k < slice_total(reading.report):
        raise HTTPException(404)
    return Response(visit.room.studio.slice_image(reading, k, outlines), media_type="image/png")


@router.get("/files/{kind}")
def file(visit: KnownVisit, study_uid: str, kind: ObjectKind, revision: int) -> Response:
    """One of the objects that were made."""
    reading = find_reading(visit.room.store, study_uid, revision)
    path = visit.room.studio.object_path(reading, kind)
    if path is None or not path.is_file():
        raise HTTPException(404)
    visit.room.store.record(
        visit.who.who, "file-taken", study_uid, f"{kind}, revision {reading.revision}"
    )
    media = _MEDIA[kind]
    if media in _ENDINGS:  # to be kept; what a browser shows by itself it shows
        name = f"{kind.removesuffix('.pdf')}-{study_uid}-{reading.revision}{_ENDINGS[media]}"
        return FileResponse(path, media_type=media, filename=name)
    headers = {}
    if kind == "report.html":  # it brings its own style and pictures, and may run nothing
        headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; "
            "frame-ancestors 'none'"
        )
    return FileResponse(path, media_type=media, headers=headers)


def _reading(visit: KnownVisit, study_uid: str, revision: int) -> Reading:
    reading = find_reading(visit.room.store, study_uid, revision)
    visit.room.views.note(visit.who.who, "images-viewed", study_uid, f"revision {revision}")
    return reading


def wants_picture(request: Request) -> bool:
    """Whether the answer is to be drawn, so that a page would be of no use."""
    return request.url.path.endswith(".png")
