"""What a caller takes and how it is sent: the Accept header (PS3.18 8.7.5), multipart bodies.

A resource names what it can give as :class:`Offer` values, best first; :func:`choose` finds the
one that the caller likes best, and :class:`Multipart` or a plain body carries it.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

JSON = "application/dicom+json"
DICOM = "application/dicom"
OCTETS = "application/octet-stream"
_PARAMETER = re.compile(r';\s*([\w!#$&^.+-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;,\s]*)')
_ENTRY = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^,"])+')
_BLOCK = 1 << 20
_LONGEST = 8192
"""Characters of an Accept header that are looked at."""


@dataclass(frozen=True)
class MediaType:
    """A media type with its parameters, names in lower case."""

    type: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Wanted:
    """One thing that a caller takes."""

    type: str
    """Media type, of each part where ``multipart``; ``*/*`` and ``image/*`` are ranges."""
    multipart: bool | None
    """Whether in multipart/related; None: either."""
    transfer_syntax: str = ""
    """UID, ``*`` (as it is stored), or empty: the type's default."""
    quality: float = 1.0


@dataclass(frozen=True)
class Offer:
    """One thing that a resource can give.

    Args:
        type: media type (of each part).
        multipart: whether it goes out as multipart/related.
        transfer_syntax: UID; empty where the type has none.
        stored: whether that is how it is held, which ``transfer-syntax=*`` asks for.
        default: whether it is what the type means when no transfer syntax is named.
    """

    type: str
    multipart: bool = False
    transfer_syntax: str = ""
    stored: bool = True
    default: bool = True

    def suits(self, wanted: Wanted) -> bool:
        """Whether it is what a caller wants."""
        if wanted.type not in (self.type, "*/*", f"{self.type.partition('/')[0]}/*"):
            return False
        if wanted.multipart is not None and wanted.multipart != self.multipart:
            return False
        if not self.transfer_syntax:
            return True
        if not wanted.transfer_syntax:
            return self.default
        if wanted.transfer_syntax == "*":
            return self.stored
        return wanted.transfer_syntax == self.transfer_syntax


def media_type(text: str) -> MediaType:
    """A Content-Type or one entry of an Accept header, taken apart."""
    name = text.partition(";")[0].strip().lower()
    return MediaType(
        name, {key.lower(): _unquoted(value) for key, value in _PARAMETER.findall(text)}
    )


def wanted_by(connection: HTTPConnection) -> list[Wanted]:
    """What the caller takes, the best liked first.

    The ``accept`` query parameter goes before the header (PS3.18 8.3.3.1).
    """
    given = connection.query_params.getlist("accept") or connection.headers.getlist("accept")
    return wanted_of(",".join(given))


def wanted_of(accept: str) -> list[Wanted]:
    """The same of an Accept header; an empty one takes everything."""
    found = [_wanted(each) for each in _ENTRY.findall(accept[:_LONGEST]) if each.strip()]
    found = [each for each in found if each.quality > 0] if found else [Wanted("*/*", None)]
    return sorted(found, key=lambda each: -each.quality)


def choose(wanted: Sequence[Wanted], offers: Sequence[Offer]) -> Offer | None:
    """The first offer that suits what is liked best; None when none suits anything."""
    for each in wanted:
        for offer in offers:
            if offer.suits(each):
                return offer
    return None


def chosen(connection: HTTPConnection, offers: Sequence[Offer]) -> Offer:
    """As :func:`choose`, of a request.

    Raises:
        HTTPException: 406, with what there is.
    """
    found = choose(wanted_by(connection), offers)
    if found is None:
        raise HTTPException(406, "there is " + "; ".join(dict.fromkeys(map(_told, offers))))
    return found


@dataclass(frozen=True)
class Part:
    """One part of a multipart body."""

    content: bytes | Path
    """Itself, or the file that is all of it."""
    content_type: str
    location: str = ""
    """Content-Location."""

    @property
    def size(self) -> int:
        """Its bytes."""
        if isinstance(self.content, Path):
            return self.content.stat().st_size
        return len(self.content)

    def pieces(self) -> Iterator[bytes]:
        """Its content; of a file a block at a time."""
        if isinstance(self.content, bytes):
            yield self.content
            return
        with self.content.open("rb") as file:
            while block := file.read(_BLOCK):
                yield block


@dataclass(frozen=True)
class Multipart:
    """A multipart/related body (RFC 2387) that is made while it is sent.

    Args:
        type: media type of the parts.
        parts: read once, each only when the one before it was sent.
    """

    type: str
    parts: Iterable[Part]
    boundary: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def content_type(self) -> str:
        """Of the whole."""
        return f'multipart/related; type="{self.type}"; boundary={self.boundary}'

    def __iter__(self) -> Iterator[bytes]:
        for part in self.parts:
            head = f"--{self.boundary}\r\nContent-Type: {part.content_type}\r\n"
            if part.location:
                head += f"Content-Location: {part.location}\r\n"
            yield f"{head}Content-Length: {part.size}\r\n\r\n".encode()
            yield from part.pieces()
            yield b"\r\n"
        yield f"--{self.boundary}--\r\n".encode()


def _wanted(entry: str) -> Wanted:
    asked = media_type(entry)
    try:
        quality = float(asked.parameters.get("q", "1"))
    except ValueError:
        quality = 0.0
    syntax = asked.parameters.get("transfer-syntax", "")
    if asked.type in ("multipart/related", "multipart/*"):
        inner = asked.parameters.get("type", "*/*").lower()
        return Wanted(inner, True, syntax, quality)
    return Wanted(asked.type, None if asked.type == "*/*" else False, syntax, quality)


def _unquoted(value: str) -> str:
    if value.startswith('"'):
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value


def _told(offer: Offer) -> str:
    syntax = f"; transfer-syntax={offer.transfer_syntax}" if offer.transfer_syntax else ""
    if offer.multipart:
        return f'multipart/related; type="{offer.type}"{syntax}'
    return offer.type + syntax
