"""A multipart/related body (RFC 2387) taken apart while it comes, one part in memory at a time."""

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


def parts(read: Callable[[int], bytes], boundary: bytes, largest: int) -> Iterator[bytes]:
    """The content of each part, in order.

    Args:
        read: gives at most so many bytes of the body, none at its end.
        boundary: from :func:`boundary_of`.
        largest: bytes that one part may have.

    Raises:
        Malformed: the body ends before its last boundary, or a part is too large.
    """
    mark = b"\r\n--" + boundary
    held = bytearray(b"\r\n")  # the first boundary stands at the very beginning

    def more() -> None:
        got = read(BLOCK)
        if not got:
            raise Malformed("it ends before its last boundary")
        held.extend(got)

    def take_until(sign: bytes, limit: int, what: str) -> bytes:
        start = 0
        while (at := held.find(sign, start)) < 0:
            if len(held) > limit:
                raise Malformed(f"{what} of more than {limit} bytes")
            start = max(0, len(held) - len(sign) + 1)
            more()
        taken = bytes(held[:at])
        del held[: at + len(sign)]
        return taken

    take_until(mark, LONGEST_HEAD, "a preamble")
    while True:
        while len(held) < 2:
            more()
        if held[:2] == b"--":
            return
        take_until(b"\r\n", LONGEST_HEAD, "a boundary's line")
        held[:0] = b"\r\n"  # a part may have no headers at all
        take_until(b"\r\n\r\n", LONGEST_HEAD, "a part's headers")
        yield take_until(mark, largest + len(mark), "a part")
