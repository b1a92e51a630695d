"""Reading and writing a connection, blocking: who waits sleeps in the system, not in a loop."""

from __future__ import annotations

import select
import socket
import ssl
import struct
import time
from collections.abc import Callable

from pacs_bridge.dimse.receiver.violation import Gone, Silent

_SMALL, _LARGE = 8 << 10, 256 << 10
_TICK_MS = 50
_TIMEVAL = struct.Struct("@ll")


class Wire:
    """One connection with a buffer; one thread's.

    Args:
        connection: blocking, with TLS or without.
        timeout_s: longest that one wait for the peer may take, in either direction.
    """

    def __init__(self, connection: socket.socket, timeout_s: float) -> None:
        self._connection = connection
        self._view = memoryview(bytearray(_SMALL))
        self._start = self._end = 0
        self._timeout_s = timeout_s
        self._until: float | None = None
        self.before_overwrite: Callable[[], None] = lambda: None
        """Called when pieces handed out by :meth:`some` are about to lose their memory."""
        self.while_waiting: Callable[[], None] | None = None
        """Called every now and then while the peer is silent; None: nobody has to wake up."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _interval(timeout_s))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _interval(timeout_s))

    def hurry(self, seconds: float | None) -> None:
        """All that is read from now on has to be here in so many seconds; None: no hurry."""
        self._until = None if seconds is None else time.monotonic() + seconds
        if seconds is None:
            interval = _interval(self._timeout_s)
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)

    def exactly(self, count: int) -> bytes:
        """The next bytes; ``count`` is small, or has been checked against a limit.

        Raises:
            Gone, Silent: they don't come.
        """
        start = self._start
        if self._end - start >= count:
            self._start = start + count
            return bytes(self._view[start : start + count])
        parts = []
        while count:
            piece = bytes(self.some(count))
            parts.append(piece)
            count -= len(piece)
        return b"".join(parts)

    def some(self, most: int) -> memoryview:
        """At least one of the next bytes, uncopied; good until ``before_overwrite`` is called.

        Raises:
            Gone, Silent: none comes.
        """
        if self._start == self._end:
            self._fill()
        start = self._start
        self._start = stop = min(start + most, self._end)
        return self._view[start:stop]

    def widen(self) -> None:
        """From now on objects are expected: a buffer that takes much at a time."""
        if len(self._view) < _LARGE:
            kept = bytes(self._view[self._start : self._end])
            self.before_overwrite()
            self._view = memoryview(bytearray(_LARGE))
            self._view[: len(kept)] = kept
            self._start, self._end = 0, len(kept)

    def send(self, data: bytes) -> None:
        """Say something.

        Raises:
            Gone: the connection has ended, or the peer doesn't listen.
        """
        try:
            self._connection.sendall(data)
        except OSError as error:
            raise Gone(f"the connection ended while we answered: {error}") from error

    def _fill(self) -> None:
        self.before_overwrite()
        self._start = self._end = 0
        if self._until is not None:
            left = self._until - time.monotonic()
            if left <= 0:
                raise Silent
            interval = _interval(left)
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)
        if self.while_waiting is not None:
            self._watch()
        try:
            self._end = self._connection.recv_into(self._view)
        except (BlockingIOError, ssl.SSLWantReadError):
            raise Silent from None
        except OSError as error:
            raise Gone(f"the connection ended: {error}") from error
        if self._end == 0:
            raise Gone("the connection ended without a release")

    def _watch(self) -> None:
        """Wait in short pieces, because something of ours may have to be said meanwhile."""
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        until = time.monotonic() + self._timeout_s
        while self.while_waiting is not None and not self._pending():
            if poll.poll(_TICK_MS):
                return
            if time.monotonic() > until:
                raise Silent
            self.while_waiting()

    def _pending(self) -> bool:
        connection = self._connection
        return isinstance(connection, ssl.SSLSocket) and connection.pending() > 0


def _interval(seconds: float) -> bytes:
    seconds = max(seconds, 0.001)
    return _TIMEVAL.pack(int(seconds), int(seconds % 1 * 1e6))
