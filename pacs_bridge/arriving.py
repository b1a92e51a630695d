"""One object on its way into the inbox: written and digested while it still comes.

Its file lies in the inbox's folder as ``.<random>.part`` until all of it is there, understood
and on the disk; only then it gets its place and name.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from pacs_bridge.errors import DiskFull
from pacs_bridge.identify import Identity, identify

PART = ".part"
_MOST_PIECES = 512
"""Pieces written by one call; the system takes at most 1024 (IOV_MAX)."""
_ROOM_EVERY = 64 << 20
"""Bytes after which the room on the disk is looked at again."""


class Arriving:
    """A file that grows; ends in :meth:`place` or :meth:`discard`. One thread's at a time.

    Args:
        folder: the inbox's.
        header: what stands before the data set.
        check_room: raises when the disk has too little room for so many bytes more.

    Raises:
        DiskFull, OSError: it can't be opened.
    """

    def __init__(self, folder: Path, header: bytes, check_room: Callable[[int], None]) -> None:
        self._header = len(header)
        self._check_room = check_room
        self._folder = folder
        self._part = folder / f".{uuid4().hex}{PART}"
        self._digest = hashlib.sha256()
        self._pieces: list[bytes | memoryview] = []
        self._looked_at = 0
        self.size = 0
        """Bytes of the data set so far."""
        self._descriptor = os.open(self._part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
        self._pieces.append(header)

    def add(self, piece: bytes | memoryview) -> None:
        """More of the data set; read until :meth:`flush`, so its memory must not change before.

        Raises:
            DiskFull, OSError: as :meth:`flush`.
        """
        self._pieces.append(piece)
        self._digest.update(piece)
        self.size += len(piece)
        if len(self._pieces) >= _MOST_PIECES:
            self.flush()

    def flush(self) -> None:
        """Hand what was added to the system.

        Raises:
            DiskFull: too little room.
            OSError: the disk failed.
        """
        pieces, self._pieces = self._pieces, []
        if not pieces:
            return
        if self.size - self._looked_at >= _ROOM_EVERY:
            self._looked_at = self.size
            self._check_room(0)
        try:
            written = os.writev(self._descriptor, pieces)
            if written < sum(map(len, pieces)):
                rest = memoryview(b"".join(pieces))[written:]
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            raise judged(error, self._folder, self.size) from error

    def identity(self, transfer_syntax_uid: str) -> Identity:
        """What the data set says it is.

        Raises:
            Refused: see :func:`pacs_bridge.identify.identify`.
            DiskFull, OSError: as :meth:`flush`.
        """
        self.flush()
        if not self.size:
            return identify(b"", transfer_syntax_uid)
        # closed when nobody looks at it any more, which an error on its way up still does
        content = mmap.mmap(self._descriptor, 0, access=mmap.ACCESS_READ)
        return identify(memoryview(content)[self._header :], transfer_syntax_uid)

    @property
    def sha256(self) -> str:
        """Of the data set, hexadecimal."""
        return self._digest.hexdigest()

    def place(self, path: Path, *, sync: bool) -> None:
        """Put it where it belongs: synced, then renamed; the folder is the caller's to sync.

        Args:
            path: where to, in a folder that exists.
            sync: False leaves the disk its own time.

        Raises:
            DiskFull, OSError: it is not there, and nothing is left of it.
        """
        try:
            self.flush()
            if sync:
                os.fsync(self._descriptor)
            self._close()
            self._part.replace(path)
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Leave nothing of it; also fine when it was placed or discarded before."""
        self._close()
        self._pieces = []
        self._part.unlink(missing_ok=True)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def judged(error: OSError, folder: Path, size: int) -> OSError | DiskFull:
    """The error itself, or that the disk is full."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return error
    return DiskFull(
        f"no room for {size} bytes in {folder}: {error}. Free space or move storage.folder"
    )


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable.

    Raises:
        OSError: they are not.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
