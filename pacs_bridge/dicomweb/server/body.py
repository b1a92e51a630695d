"""A request's body, read by a synchronous route while it comes: nothing is held of it."""

from __future__ import annotations

import anyio
from anyio import from_thread
from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from pacs_bridge.dicomweb.multipart import Malformed

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
