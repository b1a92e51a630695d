"""WADO-RS routes for pixels: frames, rendered images, thumbnails (PS3.18 10.4.1.1.3 to 6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response
from pydicom.uid import ExplicitVRLittleEndian

from imaging.image_classes import is_image_class
from pacs_bridge.dicomweb.server.documents import HTML, document_of
from pacs_bridge.dicomweb.server.frames import LOSSLESS, Frames, frames_of
from pacs_bridge.dicomweb.server.held import Held
from pacs_bridge.dicomweb.server.house import (
    INSTANCE,
    SERIES,
    STUDY,
    House,
    InHouse,
    Objects,
    Reads,
)
from pacs_bridge.dicomweb.server.media import OCTETS, Offer, Part, chosen
from pacs_bridge.dicomweb.server.rendered import FORMATS, THUMBNAIL, Slide, slide_of, view_of
from pacs_bridge.dicomweb.server.sending import fresh, sent, text, warned

router = APIRouter()

MOST_PICTURES = 2000
"""Rendered frames in one answer."""
FRAMES = INSTANCE + "/frames/{numbers}"
_EXPLICIT = str(ExplicitVRLittleEndian)
_PICTURES = tuple(Offer(kind) for kind in FORMATS)
_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
"""A report's page brings its own style and pictures, and may run nothing."""


@router.get(FRAMES)
def frames(
    house: InHouse, caller: Reads, request: Request, held: Objects, numbers: str
) -> Response:
    """Frames by number, from 1, with commas between: as they are held, decoded, or compressed."""
    house.note(caller, held)
    return fresh(house, request, held, lambda: _frames(house, request, held[0], numbers))


@router.get(STUDY + "/rendered")
@router.get(SERIES + "/rendered")
@router.get(INSTANCE + "/rendered")
def rendered(house: InHouse, caller: Reads, request: Request, held: Objects) -> Response:
    """All images, all their frames, as pictures; of a single object also a document."""
    house.note(caller, held)
    return fresh(house, request, held, lambda: _rendered(house, request, held))


@router.get(FRAMES + "/rendered")
def rendered_frames(
    house: InHouse, caller: Reads, request: Request, held: Objects, numbers: str
) -> Response:
    """Some frames as pictures."""
    house.note(caller, held)
    return fresh(house, request, held, lambda: _rendered(house, request, held, numbers))


@router.get(STUDY + "/thumbnail")
@router.get(SERIES + "/thumbnail")
@router.get(INSTANCE + "/thumbnail")
def thumbnail(house: InHouse, caller: Reads, request: Request, held: Objects) -> Response:
    """A small picture, of the middle image."""
    house.note(caller, held)
    return fresh(house, request, held, lambda: _thumbnail(house, request, held))


@router.get(FRAMES + "/thumbnail")
def frame_thumbnail(
    house: InHouse, caller: Reads, request: Request, held: Objects, numbers: str
) -> Response:
    """A small picture of a frame."""
    house.note(caller, held)
    return fresh(house, request, held, lambda: _thumbnail(house, request, held, numbers))


def _frames(house: House, request: Request, held: Held, numbers: str) -> Response:
    found = frames_of(held.path)
    indices = _indices(numbers, found.count)
    offer = chosen(request, _frame_offers(found))
    syntax = offer.transfer_syntax
    as_stored = syntax == str(found.syntax) and found.compressed
    media_type = OCTETS
    if as_stored:
        media_type = found.media_type
    elif syntax in LOSSLESS:
        media_type = LOSSLESS[syntax]
    url = house.object_url(request, held)

    def part(index: int) -> Callable[[], Part]:
        def made() -> Part:
            if as_stored:
                content = found.stored(index)
            elif syntax in LOSSLESS:
                content = found.encoded(index, syntax)
            else:
                content = found.decoded(index)
            kind = f"{media_type}; transfer-syntax={syntax}"
            return Part(content, kind, f"{url}/frames/{index + 1}")

        return made

    return sent(request, offer, [part(index) for index in indices])


def _frame_offers(frames: Frames) -> Sequence[Offer]:
    syntax = str(frames.syntax)
    offers: list[Offer] = []
    for multipart in (True, False):
        offers.append(Offer(OCTETS, multipart, _EXPLICIT, not frames.compressed))
        if frames.compressed:
            offers.append(Offer(frames.media_type, multipart, syntax))
            offers.append(Offer(OCTETS, multipart, syntax, True, False))
        if frames.grey is not None:
            for made, media_type in LOSSLESS.items():
                offers.append(Offer(media_type, multipart, made, False))
                offers.append(Offer(OCTETS, multipart, made, False, False))
    return offers


def _rendered(house: House, request: Request, held: Sequence[Held], numbers: str = "") -> Response:
    view = view_of(request.query_params)
    images = [each for each in held if is_image_class(each.sop_class_uid)]
    if not images:
        return _document(house, request, held)
    if len(images) > MOST_PICTURES:
        raise HTTPException(413, f"{len(images)} images; at most {MOST_PICTURES} frames at once")
    places: list[tuple[Held, Slide, int]] = []
    for each in images:
        slide = slide_of(each.path)
        count = slide.frames.count
        indices = _indices(numbers, count) if numbers else range(count)
        places += [(each, slide, index) for index in indices]
        if len(places) > MOST_PICTURES:
            raise HTTPException(413, f"at most {MOST_PICTURES} frames at once")
    several = tuple(Offer(kind, multipart=True) for kind in FORMATS)
    offer = chosen(request, (*_PICTURES, *several) if len(places) == 1 else several)

    def part(each: Held, slide: Slide, index: int) -> Callable[[], Part]:
        def made() -> Part:
            url = f"{house.object_url(request, each)}/frames/{index + 1}/rendered"
            return Part(slide.picture(index, view, offer.type), offer.type, url)

        return made

    answer = sent(request, offer, [part(*place) for place in places])
    return warned(answer, house.url(request), *view.not_done)


def _document(house: House, request: Request, held: Sequence[Held]) -> Response:
    document = document_of(held[0], house.holdings) if len(held) == 1 else None
    if document is None:
        raise HTTPException(
            406, "only images, PDF documents and the reports made here can be rendered"
        )
    offer = chosen(request, (Offer(document.media_type),))
    answer = text(request, document.content, offer.type)
    if document.media_type == HTML:
        answer.headers["Content-Security-Policy"] = _PAGE_POLICY
    return answer


def _thumbnail(house: House, request: Request, held: Sequence[Held], numbers: str = "") -> Response:
    images = [each for each in held if is_image_class(each.sop_class_uid)]
    if not images:
        raise HTTPException(404, "there is no image to make a picture of")
    offer = chosen(request, _PICTURES)
    view = view_of(request.query_params)
    if view.size is None:
        view = replace(view, size=(THUMBNAIL, THUMBNAIL))
    slide = slide_of(images[len(images) // 2].path)
    count = slide.frames.count
    index = _indices(numbers, count)[0] if numbers else count // 2
    answer = Response(slide.picture(index, view, offer.type), media_type=offer.type)
    return warned(answer, house.url(request), *view.not_done)


def _indices(numbers: str, count: int) -> list[int]:
    """Frames from 0.

    Raises:
        HTTPException: 400 no list of numbers, 404 no such frame.
    """
    given = numbers.split(",")
    if not all(each.isdecimal() and len(each) < 10 for each in given):
        raise HTTPException(400, f"{numbers[:80]!r} is no list of frame numbers")
    indices = [int(each) - 1 for each in given]
    for index in indices:
        if not 0 <= index < count:
            raise HTTPException(404, f"frame {index + 1}: there are {count}")
    return indices
