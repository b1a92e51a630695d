"""WADO-RS routes (PS3.18 10.4): objects, metadata and bulk data."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response, StreamingResponse
from pydicom.uid import ExplicitVRLittleEndian

from pacs_bridge.dicomweb.server.files import File, file_of
from pacs_bridge.dicomweb.server.frames import frames_of
from pacs_bridge.dicomweb.server.held import Held
from pacs_bridge.dicomweb.server.house import House, InHouse, Reads
from pacs_bridge.dicomweb.server.media import (
    DICOM,
    OCTETS,
    Multipart,
    Offer,
    Part,
    chosen,
    wanted_by,
)
from pacs_bridge.dicomweb.server.model import encoded, metadata_of, value_at
from pacs_bridge.dicomweb.server.qido import LISTS
from pacs_bridge.dicomweb.server.reading import Unreadable, read, syntax_of

_log = logging.getLogger(__name__)
_AT_ONCE = 1 << 25
"""Bytes of a single part that is sent in one go: a viewer asks for frames by the hundred."""
router = APIRouter()

STUDY = "/studies/{study_uid}"
SERIES = STUDY + "/series/{series_uid}"
INSTANCE = SERIES + "/instances/{instance_uid}"


@router.get(STUDY)
def study(house: InHouse, caller: Reads, request: Request, study_uid: str) -> Response:
    """All objects of a study."""
    held = house.holdings.objects(study_uid)
    note(house, caller.who, held)
    return _objects(house, request, held)


@router.get(SERIES)
def series(
    house: InHouse, caller: Reads, request: Request, study_uid: str, series_uid: str
) -> Response:
    """All objects of a series."""
    held = house.holdings.objects(study_uid, series_uid)
    note(house, caller.who, held)
    return _objects(house, request, held)


@router.get(INSTANCE)
def instance(
    house: InHouse,
    caller: Reads,
    request: Request,
    study_uid: str,
    series_uid: str,
    instance_uid: str,
) -> Response:
    """One object, also outside multipart."""
    held = house.holdings.objects(study_uid, series_uid, instance_uid)
    note(house, caller.who, held)
    return _objects(house, request, held, alone=True)


@router.get(STUDY + "/metadata")
def study_metadata(house: InHouse, caller: Reads, request: Request, study_uid: str) -> Response:
    """All attributes of a study's objects but the large ones."""
    return _metadata(house, caller.who, request, house.holdings.objects(study_uid))


@router.get(SERIES + "/metadata")
def series_metadata(
    house: InHouse, caller: Reads, request: Request, study_uid: str, series_uid: str
) -> Response:
    """All attributes of a series' objects but the large ones."""
    return _metadata(house, caller.who, request, house.holdings.objects(study_uid, series_uid))


@router.get(INSTANCE + "/metadata")
def instance_metadata(
    house: InHouse,
    caller: Reads,
    request: Request,
    study_uid: str,
    series_uid: str,
    instance_uid: str,
) -> Response:
    """All attributes of an object but the large ones."""
    held = house.holdings.objects(study_uid, series_uid, instance_uid)
    return _metadata(house, caller.who, request, held)


@router.get(INSTANCE + "/bulkdata/{place:path}")
def bulk_data(
    house: InHouse,
    caller: Reads,
    request: Request,
    study_uid: str,
    series_uid: str,
    instance_uid: str,
    place: str,
) -> Response:
    """A large value that the metadata left out."""
    (held,) = house.holdings.objects(study_uid, series_uid, instance_uid)
    note(house, caller.who, [held])
    url = f"{object_url(house, request, held)}/bulkdata/{place}"
    if place.upper() == "7FE00010":
        return _pixels(request, held, url)
    offer = chosen(request, (Offer(OCTETS, multipart=True), Offer(OCTETS)))
    try:
        content = value_at(read(held.path), place)
    except LookupError as error:
        raise HTTPException(404, str(error)) from error
    return sent(offer, [lambda: Part(content, OCTETS, url)])


def note(house: House, who: str, held: Sequence[Held]) -> None:
    """Enter into the audit trail that somebody saw a study."""
    house.views.note(who, "web-retrieved", held[0].study_uid, f"{len(held)} objects")


def object_url(house: House, request: Request, held: Held) -> str:
    """Where an object is found."""
    return (
        f"{house.url(request)}/studies/{held.study_uid}/series/{held.series_uid}"
        f"/instances/{held.sop_instance_uid}"
    )


def sent(offer: Offer, parts: Sequence[Callable[[], Part]]) -> Response:
    """Parts as the offer says; outside multipart only the first.

    What is wrong with the first is told before anything is sent.
    """
    first = parts[0]()
    if not offer.multipart:
        return Response(first.content, media_type=first.content_type)

    if len(parts) == 1 and len(first.content) < _AT_ONCE:
        body = Multipart(offer.type, [first])
        return Response(b"".join(body), media_type=body.content_type)

    def made() -> Iterator[Part]:
        yield first
        for part in parts[1:]:
            yield part()

    body = Multipart(offer.type, made())
    return StreamingResponse(iter(body), media_type=body.content_type)


def _objects(
    house: House, request: Request, held: Sequence[Held], *, alone: bool = False
) -> Response:
    stored = {str(syntax_of(each.path)) for each in held} if _names_syntax(request) else set()
    explicit = str(ExplicitVRLittleEndian)
    offers = [
        offer
        for multipart in ((True, False) if alone else (True,))
        for offer in (
            # of several syntaxes each object keeps its own, which only `*` asks for
            Offer(DICOM, multipart, explicit, stored == {explicit}),
            *(Offer(DICOM, multipart, syntax, True, False) for syntax in sorted(stored)),
        )
    ]
    offer = chosen(request, offers)
    several = len(stored) > 1 and offer.transfer_syntax != explicit
    if several and not any(each.transfer_syntax == "*" for each in wanted_by(request)):
        raise HTTPException(406, "the objects are held in several transfer syntaxes: ask for *")

    def part(each: Held) -> Callable[[], Part]:
        def made() -> Part:
            file = file_of(each.path, offer.transfer_syntax)
            return Part(file.content, _type_of(file), object_url(house, request, each))

        return made

    return sent(offer, [part(each) for each in held])


def _names_syntax(request: Request) -> bool:
    return any(each.transfer_syntax for each in wanted_by(request))


def _type_of(file: File) -> str:
    return f"{DICOM}; transfer-syntax={file.transfer_syntax}"


def _metadata(house: House, who: str, request: Request, held: Sequence[Held]) -> Response:
    offer = chosen(request, LISTS)
    note(house, who, held)
    told: list[dict[str, Any]] = []
    damaged: list[Unreadable] = []
    for each in held:
        try:
            told.append(metadata_of(each.path, f"{object_url(house, request, each)}/bulkdata"))
        except Unreadable as error:
            _log.error("%s can't be read and is left out: %s", each.path, error)
            damaged.append(error)
    if not told:
        raise damaged[0]
    response = Response(encoded(told), media_type=offer.type)
    if damaged:
        said = f'299 {house.url(request)} "{len(damaged)} objects are damaged and left out"'
        response.headers["Warning"] = said
    return response


def _pixels(request: Request, held: Held, url: str) -> Response:
    """Pixel Data: a compressed one as its frames, each a part (PS3.18 8.7.3.3.2)."""
    frames = frames_of(held.path)
    if frames.compressed:
        syntax = str(frames.syntax)
        offers = (
            Offer(OCTETS, True, str(ExplicitVRLittleEndian), False),
            Offer(frames.media_type, True, syntax),
            Offer(OCTETS, True, syntax, True, False),
        )
        offer = chosen(request, offers)
        plain = offer.transfer_syntax != syntax
        kind = f"{OCTETS if plain else frames.media_type}; transfer-syntax={offer.transfer_syntax}"

        def part(index: int) -> Callable[[], Part]:
            return lambda: Part(frames.decoded(index) if plain else frames.stored(index), kind, url)

        return sent(offer, [part(index) for index in range(frames.count)])
    offer = chosen(request, (Offer(OCTETS, multipart=True), Offer(OCTETS)))
    whole = b"".join(frames.decoded(index) for index in range(frames.count))
    return sent(offer, [lambda: Part(whole, OCTETS, url)])
