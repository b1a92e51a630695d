"""How an answer goes out: only where it is new (ETag), in part (Range), compressed, piece by piece.

A viewer behind a thin line opens a study a second time: its browser sends the ETag of each answer
it has kept, and hears 304 in its place. Texts are compressed (gzip) where the caller takes that.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from starlette.exceptions import HTTPException

from pacs_bridge.dicomweb.server.held import Held
from pacs_bridge.dicomweb.server.house import House
from pacs_bridge.dicomweb.server.media import Multipart, Offer, Part

_AT_ONCE = 1 << 25
"""Bytes of a single part that is sent in one go: a viewer asks for frames by the hundred."""
_WORTH_IT = 1000
"""Bytes of a text that is compressed."""
_LEVEL = 5
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def _version() -> str:
    try:
        return version("preread")
    except PackageNotFoundError:  # run from a checkout
        return ""


_VERSION: Final = _version()
"""Another version may make another answer of the same object."""


def fresh(
    house: House, request: Request, held: Sequence[Held], make: Callable[[], Response]
) -> Response:
    """What ``make`` makes of objects, or 304 where the caller has it (RFC 9110 13.1.2).

    Args:
        house: how callers reach it stands in answers.
        request: as it came.
        held: the objects that the answer depends on; nothing else changes it.
        make: called only where it is needed.
    """
    tag = _tag(house.url(request), request, held)
    headers = {
        "ETag": tag,
        "Cache-Control": "private, no-cache",  # kept by the caller, who asks each time
        "Vary": "Accept, Accept-Encoding, Authorization, Cookie",
    }
    known = request.headers.get("if-none-match", "")
    if tag in (each.strip() for each in known.split(",")) or known.strip() == "*":
        return Response(status_code=304, headers=headers)
    response = make()
    for name, value in headers.items():
        response.headers.setdefault(name, value)
    return response


def sent(request: Request, offer: Offer, parts: Sequence[Callable[[], Part]]) -> Response:
    """Parts as the offer says; outside multipart only the first, or a range of it.

    What is wrong with the first is told before anything is sent.

    Raises:
        HTTPException: 416, there is no such range.
    """
    first = parts[0]()
    if not offer.multipart:
        return _in_part(request, first)

    if len(parts) == 1 and first.size < _AT_ONCE:
        body = Multipart(offer.type, [first])
        return Response(b"".join(body), media_type=body.content_type)

    def made() -> Iterator[Part]:
        yield first
        for part in parts[1:]:
            yield part()

    body = Multipart(offer.type, made())
    return StreamingResponse(iter(body), media_type=body.content_type)


def text(request: Request, content: bytes, media_type: str, status: int = 200) -> Response:
    """A text, compressed where the caller takes gzip and it is worth it."""
    response = Response(content, status, media_type=media_type)
    response.headers["Vary"] = "Accept, Accept-Encoding, Authorization, Cookie"
    if len(content) >= _WORTH_IT and _takes_gzip(request.headers.get("accept-encoding", "")):
        packed = gzip.compress(content, _LEVEL, mtime=0)
        response.body = packed
        response.headers["Content-Length"] = str(len(packed))
        response.headers["Content-Encoding"] = "gzip"
    return response


def warned(response: Response, service: str, *texts: str) -> Response:
    """The response with Warning headers as PS3.18 writes them; empty texts are left out."""
    told = ", ".join(f"299 {service}: {_plain(each)}" for each in texts if each)
    if told:
        response.headers["Warning"] = told
    return response


# inside ----------------------------------------------------------------------------------


def _tag(url: str, request: Request, held: Iterable[Held]) -> str:
    digest = hashlib.sha256(f"{_VERSION} {url} {request.url}".encode())
    for name in ("accept", "accept-encoding"):
        digest.update(f"\n{name}: {','.join(request.headers.getlist(name))}".encode())
    for each in held:
        try:
            status = each.path.stat()
        except FileNotFoundError:  # that is told by whoever opens it
            continue
        digest.update(f"\n{each.path} {status.st_mtime_ns} {status.st_size}".encode())
    return f'W/"{digest.hexdigest()[:32]}"'


def _in_part(request: Request, part: Part) -> Response:
    """All of a part, or the range of it that is asked for (RFC 9110 14.2); of a file always all."""
    headers = {"Content-Location": part.location} if part.location else {}
    if isinstance(part.content, Path):
        headers["Content-Length"] = str(part.size)
        return StreamingResponse(part.pieces(), media_type=part.content_type, headers=headers)
    headers["Accept-Ranges"] = "bytes"
    size = len(part.content)
    asked = _RANGE.fullmatch(request.headers.get("range", "").strip())
    # several ranges, and If-Range against a weak ETag, are answered with all of it
    if asked is None or not any(asked.groups()) or "if-range" in request.headers:
        return Response(part.content, media_type=part.content_type, headers=headers)
    first, last = asked.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last) if first and last else size - 1, size - 1)
    if start > end:
        raise HTTPException(
            416, f"there are {size} bytes", headers={"Content-Range": f"bytes */{size}"}
        )
    headers["Content-Range"] = f"bytes {start}-{end}/{size}"
    content = part.content[start : end + 1]
    return Response(content, 206, media_type=part.content_type, headers=headers)


def _takes_gzip(accepted: str) -> bool:
    for each in accepted.split(","):
        name, _, parameters = each.partition(";")
        if name.strip().lower() in ("gzip", "x-gzip", "*"):
            return not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", parameters)
    return False


def _plain(told: str) -> str:
    return " ".join(told.encode("ascii", "replace").decode().split())[:400]
