"""WADO-RS routes (PS3.18 10.4): objects, metadata and bulk data."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response
from pydicom.uid import ExplicitVRLittleEndian

from pacs_bridge.dicomweb.server.files import AS_HELD, MADE, file_of
from pacs_bridge.dicomweb.server.frames import LOSSLESS, frames_of
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
from pacs_bridge.dicomweb.server.media import DICOM, OCTETS, Offer, Part, chosen, wanted_by
from pacs_bridge.dicomweb.server.model import encoded, metadata_of, value_at
from pacs_bridge.dicomweb.server.qido import LISTS
from pacs_bridge.dicomweb.server.reading import Gone, Unreadable, read, syntax_of
from pacs_bridge.dicomweb.server.sending import fresh, sent, text, warned

_log = logging.getLogger(__name__)
router = APIRouter()

_EXPLICIT = str(ExplicitVRLittleEndian)


@router.get(STUDY)
@router.get(SERIES)
@router.get(INSTANCE)
def objects(house: InHouse, caller: Reads, request: Request, held: Objects) -> Response:
    """The objects themselves; a single one also outside multipart."""
    house.note(caller, held)
    return fresh(house, request, held, lambda: _objects(house, request, held))


@router.get(STUDY + "/metadata")
@router.get(SERIES + "/metadata")
@router.get(INSTANCE + "/metadata")
def metadata(house: InHouse, caller: Reads, request: Request, held: Objects) -> Response:
    """All attributes of the objects but the large ones."""
    house.note(caller, held)
    return fresh(house, request, held, lambda: _metadata(house, request, held))


@router.get(INSTANCE + "/bulkdata/{place:path}")
def bulk_data(
    house: InHouse, caller: Reads, request: Request, held: Objects, place: str
) -> Response:
    """A large value that the metadata left out, or a range of its bytes."""
    house.note(caller, held)
    return fresh(house, request, held, lambda: _bulk_data(house, request, held[0], place))


def _objects(house: House, request: Request, named: Sequence[Held]) -> Response:
    held = [each for each in named if each.path.exists()]
    if not held:
        raise Gone(f"its file is gone: {named[0].path}")
    gone = len(named) - len(held)
    offer = chosen(request, _offers(request, held))

    def part(each: Held) -> Callable[[], Part]:
        def made() -> Part:
            file = file_of(each.path, offer.transfer_syntax)
            kind = f"{DICOM}; transfer-syntax={file.transfer_syntax}"
            return Part(file.content, kind, house.object_url(request, each))

        return made

    left_out = f"the files of {gone} objects are gone" if gone else ""
    answer = sent(request, offer, [part(each) for each in held])
    return warned(answer, house.url(request), left_out)


def _offers(request: Request, held: Sequence[Held]) -> list[Offer]:
    named = {each.transfer_syntax for each in wanted_by(request)} - {"", AS_HELD, *MADE}
    held_in = {str(syntax_of(each.path)) for each in held} if named else set()
    if len(held_in) > 1:  # then each has its own, which only AS_HELD asks for
        held_in = set()
    single = "instance_uid" in request.path_params
    return [
        offer
        for multipart in ((True, False) if single else (True,))
        for offer in (
            Offer(DICOM, multipart, _EXPLICIT, stored=False),
            Offer(DICOM, multipart, AS_HELD, default=False),
            *(
                Offer(DICOM, multipart, syntax, stored=False, default=False)
                for syntax in (*LOSSLESS, *held_in)
            ),
        )
    ]


def _metadata(house: House, request: Request, held: Sequence[Held]) -> Response:
    offer = chosen(request, LISTS)
    told: list[dict[str, Any]] = []
    damaged: list[Exception] = []
    for each in held:
        try:
            told.append(metadata_of(each.path, f"{house.object_url(request, each)}/bulkdata"))
        except (Unreadable, OSError) as error:
            _log.error("%s can't be read and is left out: %s", each.path, error)
            damaged.append(error)
    if not told:
        raise damaged[0]
    left_out = f"{len(damaged)} objects can't be read and are left out" if damaged else ""
    return warned(text(request, encoded(told), offer.type), house.url(request), left_out)


def _bulk_data(house: House, request: Request, held: Held, place: str) -> Response:
    url = f"{house.object_url(request, held)}/bulkdata/{place}"
    if place.upper() == "7FE00010":
        return _pixels(request, held, url)
    offer = chosen(request, (Offer(OCTETS, multipart=True), Offer(OCTETS)))
    try:
        content = value_at(read(held.path), place)
    except LookupError as error:
        raise HTTPException(404, str(error)) from error
    return sent(request, offer, [lambda: Part(content, OCTETS, url)])


def _pixels(request: Request, held: Held, url: str) -> Response:
    """Pixel Data: a compressed one as its frames, each a part (PS3.18 8.7.3.3.2)."""
    frames = frames_of(held.path)
    if frames.compressed:
        syntax = str(frames.syntax)
        offers = (
            Offer(OCTETS, True, _EXPLICIT, False),
            Offer(frames.media_type, True, syntax),
            Offer(OCTETS, True, syntax, True, False),
        )
        offer = chosen(request, offers)
        plain = offer.transfer_syntax != syntax
        kind = f"{OCTETS if plain else frames.media_type}; transfer-syntax={offer.transfer_syntax}"

        def part(index: int) -> Callable[[], Part]:
            return lambda: Part(frames.decoded(index) if plain else frames.stored(index), kind, url)

        return sent(request, offer, [part(index) for index in range(frames.count)])
    offer = chosen(request, (Offer(OCTETS, multipart=True), Offer(OCTETS)))
    whole = b"".join(frames.decoded(index) for index in range(frames.count))
    return sent(request, offer, [lambda: Part(whole, OCTETS, url)])
