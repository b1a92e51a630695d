"""A multipart/related body (RFC 2387) taken apart while it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from email.message import Message

BLOCK = 1 << 18
LONGEST_HEAD = 1 << 16
"""Bytes of a part's own headers; more is no DICOMweb answer."""


class Malformed(ValueError):
    """The body is not what its Content-Type says."""


def boundary_of(content_type: str) -> bytes:
    """The boundary parameter of a Content-Type.

    Raises:
        Malformed: it is no multipart type, or names no boundary.
    """
    message = Message()
    message["Content-Type"] = content_type
    if message.get_content_maintype() != "multipart":
        raise Malformed(f"Content-Type is {content_type or 'missing'}, not multipart/related")
    boundary = message.get_param("boundary")
    if not isinstance(boundary, str) or not boundary:
        raise Malformed(f"Content-Type {content_type!r} names no boundary")
    return boundary.encode("latin-1", "replace")


def streamed(read: Callable[[], bytes], boundary: bytes) -> Iterator[Iterator[bytes]]:
    """The content of each part, in order, in pieces as it comes; what is not read is passed over.

    Args:
        read: gives what comes next of the body, nothing at its end.
        boundary: from :func:`boundary_of`.

    Raises:
        Malformed: the body ends before its last boundary, or is none.
    """
    mark = b"\r\n--" + boundary
    held = bytearray(b"\r\n")  # the first boundary stands at the very beginning

    def more() -> None:
        got = read()
        if not got:
            raise Malformed("it ends before its last boundary")
        held.extend(got)

    def pieces() -> Iterator[bytes]:
        while (at := held.find(mark)) < 0:
            sure = len(held) - len(mark) + 1  # the rest may be the beginning of a boundary
            if sure > 0:
                yield bytes(held[:sure])
                del held[:sure]
            more()
        if at:
            yield bytes(held[:at])
        del held[: at + len(mark)]

    def pass_over(end: bytes, what: str) -> None:
        while (at := held.find(end)) < 0:
            if len(held) > LONGEST_HEAD:
                raise Malformed(f"{what} of more than {LONGEST_HEAD} bytes")
            more()
        del held[: at + len(end)]

    pass_over(mark, "a preamble")
    while True:
        while len(held) < 2:
            more()
        if held[:2] == b"--":
            return
        pass_over(b"\r\n", "a boundary's line")
        held[:0] = b"\r\n"  # a part may have no headers at all
        pass_over(b"\r\n\r\n", "a part's headers")
        content = pieces()
        yield content
        for _ in content:  # what nobody read
            pass


def parts(read: Callable[[int], bytes], boundary: bytes, largest: int) -> Iterator[bytes]:
    """The content of each part, in order, one in memory at a time.

    Args:
        read: gives at most so many bytes of the body, none at its end.
        boundary: from :func:`boundary_of`.
        largest: bytes that one part may have.

    Raises:
        Malformed: the body ends before its last boundary, or a part is too large.
    """
    for pieces in streamed(lambda: read(BLOCK), boundary):
        content = bytearray()
        for piece in pieces:
            content += piece
            if len(content) > largest:
                raise Malformed(f"a part of more than {largest} bytes")
        yield bytes(content)
