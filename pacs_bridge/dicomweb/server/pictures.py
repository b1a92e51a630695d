"""WADO-RS routes for pixels: frames, rendered images, thumbnails (PS3.18 10.4.1.1.3 to 6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response
from pydicom.uid import ExplicitVRLittleEndian

from imaging.image_classes import is_image_class
from pacs_bridge.dicomweb.server.frames import Frames, frames_of
from pacs_bridge.dicomweb.server.held import Held
from pacs_bridge.dicomweb.server.house import House, InHouse, Reads
from pacs_bridge.dicomweb.server.media import OCTETS, Offer, Part, chosen
from pacs_bridge.dicomweb.server.rendered import THUMBNAIL, Slide, View, slide_of, view_of
from pacs_bridge.dicomweb.server.wado import INSTANCE, SERIES, STUDY, note, object_url, sent

router = APIRouter()

MOST_PICTURES = 2000
"""Rendered frames in one answer."""
_EXPLICIT = str(ExplicitVRLittleEndian)
_PICTURES = (Offer("image/jpeg"), Offer("image/png"))


@router.get(INSTANCE + "/frames/{numbers}")
def frames(
    house: InHouse,
    caller: Reads,
    request: Request,
    study_uid: str,
    series_uid: str,
    instance_uid: str,
    numbers: str,
) -> Response:
    """Frames by number, from 1, with commas between; stored or decoded."""
    (held,) = house.holdings.objects(study_uid, series_uid, instance_uid)
    note(house, caller.who, [held])
    found = frames_of(held.path)
    indices = _indices(numbers, found.count)
    offer = chosen(request, _frame_offers(found))
    as_stored = offer.transfer_syntax == str(found.syntax) and found.compressed
    kind = f"{found.media_type if as_stored else OCTETS}; transfer-syntax={offer.transfer_syntax}"
    url = object_url(house, request, held)

    def part(index: int) -> Callable[[], Part]:
        def made() -> Part:
            content = found.stored(index) if as_stored else found.decoded(index)
            return Part(content, kind, f"{url}/frames/{index + 1}")

        return made

    return sent(offer, [part(index) for index in indices])


@router.get(STUDY + "/rendered")
def rendered_study(house: InHouse, caller: Reads, request: Request, study_uid: str) -> Response:
    """All images of a study as pictures."""
    return _rendered(house, caller.who, request, house.holdings.objects(study_uid))


@router.get(SERIES + "/rendered")
def rendered_series(
    house: InHouse, caller: Reads, request: Request, study_uid: str, series_uid: str
) -> Response:
    """All images of a series as pictures."""
    return _rendered(house, caller.who, request, house.holdings.objects(study_uid, series_uid))


@router.get(INSTANCE + "/rendered")
def rendered_instance(
    house: InHouse,
    caller: Reads,
    request: Request,
    study_uid: str,
    series_uid: str,
    instance_uid: str,
) -> Response:
    """One image, all its frames, as pictures."""
    held = house.holdings.objects(study_uid, series_uid, instance_uid)
    return _rendered(house, caller.who, request, held)


@router.get(INSTANCE + "/frames/{numbers}/rendered")
def rendered_frames(
    house: InHouse,
    caller: Reads,
    request: Request,
    study_uid: str,
    series_uid: str,
    instance_uid: str,
    numbers: str,
) -> Response:
    """Some frames as pictures."""
    held = house.holdings.objects(study_uid, series_uid, instance_uid)
    return _rendered(house, caller.who, request, held, numbers)


@router.get(STUDY + "/thumbnail")
def study_thumbnail(house: InHouse, caller: Reads, request: Request, study_uid: str) -> Response:
    """A small picture of a study."""
    return _thumbnail(house, caller.who, request, house.holdings.objects(study_uid))


@router.get(SERIES + "/thumbnail")
def series_thumbnail(
    house: InHouse, caller: Reads, request: Request, study_uid: str, series_uid: str
) -> Response:
    """A small picture of a series."""
    return _thumbnail(house, caller.who, request, house.holdings.objects(study_uid, series_uid))


@router.get(INSTANCE + "/thumbnail")
def instance_thumbnail(
    house: InHouse,
    caller: Reads,
    request: Request,
    study_uid: str,
    series_uid: str,
    instance_uid: str,
) -> Response:
    """A small picture of an image."""
    held = house.holdings.objects(study_uid, series_uid, instance_uid)
    return _thumbnail(house, caller.who, request, held)


@router.get(INSTANCE + "/frames/{numbers}/thumbnail")
def frame_thumbnail(
    house: InHouse,
    caller: Reads,
    request: Request,
    study_uid: str,
    series_uid: str,
    instance_uid: str,
    numbers: str,
) -> Response:
    """A small picture of a frame."""
    held = house.holdings.objects(study_uid, series_uid, instance_uid)
    return _thumbnail(house, caller.who, request, held, numbers)


def _frame_offers(frames: Frames) -> Sequence[Offer]:
    if not frames.compressed:
        return (Offer(OCTETS, True, _EXPLICIT), Offer(OCTETS, False, _EXPLICIT))
    syntax = str(frames.syntax)
    return (
        Offer(OCTETS, True, _EXPLICIT, False),
        Offer(frames.media_type, True, syntax),
        Offer(OCTETS, True, syntax, True, False),
        Offer(OCTETS, False, _EXPLICIT, False),
        Offer(frames.media_type, False, syntax),
    )


def _rendered(
    house: House, who: str, request: Request, held: Sequence[Held], numbers: str = ""
) -> Response:
    view = view_of(request.query_params)
    images = [each for each in held if is_image_class(each.sop_class_uid)]
    if not images:
        raise HTTPException(406, "only images can be rendered")
    note(house, who, held)
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
    several = (Offer("image/jpeg", multipart=True), Offer("image/png", multipart=True))
    offer = chosen(request, (*_PICTURES, *several) if len(places) == 1 else several)

    def part(each: Held, slide: Slide, index: int) -> Callable[[], Part]:
        def made() -> Part:
            url = f"{object_url(house, request, each)}/frames/{index + 1}/rendered"
            return Part(slide.picture(index, view, offer.type), offer.type, url)

        return made

    return sent(offer, [part(*place) for place in places])


def _thumbnail(
    house: House, who: str, request: Request, held: Sequence[Held], numbers: str = ""
) -> Response:
    images = [each for each in held if is_image_class(each.sop_class_uid)]
    if not images:
        raise HTTPException(404, "there is no image to make a picture of")
    note(house, who, held)
    offer = chosen(request, _PICTURES)
    asked = view_of(request.query_params)
    view = View(asked.window, asked.size or (THUMBNAIL, THUMBNAIL), asked.quality)
    slide = slide_of(images[len(images) // 2].path)
    count = slide.frames.count
    index = _indices(numbers, count)[0] if numbers else count // 2
    return Response(slide.picture(index, view, offer.type), media_type=offer.type)


def _indices(numbers: str, count: int) -> list[int]:
    """Frames from 0.

    Raises:
        HTTPException: 400 no list of numbers, 404 no such frame.
    """
    texts = numbers.split(",")
    if not all(text.isdecimal() and len(text) < 10 for text in texts):
        raise HTTPException(400, f"{numbers[:80]!r} is no list of frame numbers")
    indices = [int(text) - 1 for text in texts]
    for index in indices:
        if not 0 <= index < count:
            raise HTTPException(404, f"frame {index + 1}: there are {count}")
    return indices
