"""A request's body, read by a synchronous route while it comes: nothing is held of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from email.message import Message
from email.parser import BytesHeaderParser

import anyio
from anyio import from_thread
from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from pacs_bridge.dicomweb.multipart import LONGEST_HEAD, Malformed

SILENCE_S = 60.0
"""A caller that sends nothing for so long is given up."""


class Body:
    """The body of one request; only from a synchronous route, which runs in a worker thread.

    Args:
        request: nothing of its body was read yet.
    """

    def __init__(self, request: Request) -> None:
        self._stream = request.stream()

    def read(self) -> bytes:
        """What comes next; empty at the end.

        Raises:
            Malformed: the caller went away, or fell silent.
        """
        try:
            return from_thread.run(self._next)
        except TimeoutError:
            raise Malformed(f"nothing came for {SILENCE_S:g} s") from None
        except ClientDisconnect:
            raise Malformed("the connection ended before the body") from None

    def whole(self, most: int) -> bytes:
        """All of it.

        Args:
            most: bytes.

        Raises:
            HTTPException: 413 where there is more, 400 where it ends early.
        """
        content = bytearray()
        try:
            while piece := self.read():
                content += piece
                if len(content) > most:
                    raise HTTPException(413, f"at most {most} bytes")
        except Malformed as error:
            raise HTTPException(400, str(error)) from error
        return bytes(content)

    async def _next(self) -> bytes:
        with anyio.fail_after(SILENCE_S):
            async for piece in self._stream:
                if piece:
                    return piece
        return b""


class Part:
    """One part of a multipart body; what is not read of it is passed over.

    Args:
        headers: the part's own.
        pieces: its content as it comes.
    """

    def __init__(self, headers: Message, pieces: Iterator[bytes]) -> None:
        self.headers = headers
        self.pieces = pieces


def parts_of(read: Callable[[], bytes], boundary: bytes) -> Iterator[Part]:
    """The parts of a multipart/related body (RFC 2387), in order, each while it comes.

    Args:
        read: gives what comes next of the body, nothing at its end.
        boundary: from :func:`pacs_bridge.dicomweb.multipart.boundary_of`.

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

    def line(end: bytes, what: str) -> bytes:
        while (at := held.find(end)) < 0:
            if len(held) > LONGEST_HEAD:
                raise Malformed(f"{what} of more than {LONGEST_HEAD} bytes")
            more()
        taken = bytes(held[:at])
        del held[: at + len(end)]
        return taken

    line(mark, "a preamble")
    while True:
        while len(held) < 2:
            more()
        if held[:2] == b"--":
            return
        line(b"\r\n", "a boundary's line")
        held[:0] = b"\r\n"  # a part may have no headers at all
        head = line(b"\r\n\r\n", "a part's headers")
        content = pieces()
        yield Part(BytesHeaderParser().parsebytes(head.lstrip()), content)
        for _ in content:  # what nobody read
            pass
