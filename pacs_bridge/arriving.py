"""One object on its way into the inbox: written and digested while it still comes.

Until all of it is there and understood its file is called ``.<name>.part``: in its series' folder
when its head says which, else in the inbox's own. Only then it gets its name.
"""

from __future__ import annotations

import errno
import itertools
import mmap
import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from pacs_bridge.digests import Digest
from pacs_bridge.errors import DiskFull
from pacs_bridge.identify import Identity, identify, identify_head
from pacs_bridge.shelves import Shelves

PART = ".part"
_MOST_PIECES = 512
"""Pieces written by one call; the system takes at most 1024 (IOV_MAX)."""
_HEAD = 64 << 10
"""Bytes in which nearly every image says which series it is of."""
_ROOM_EVERY = 64 << 20
"""Bytes after which the room on the disk is looked at again."""
_RUN, _COUNT = uuid4().hex, itertools.count()


class Arriving:
    """A file that grows; ends in :meth:`place` or :meth:`discard`. One thread's at a time.

    Args:
        shelves: the inbox's folders.
        header: what stands before the data set.
        transfer_syntax_uid: of the data set.
    """

    def __init__(self, shelves: Shelves, header: bytes, transfer_syntax_uid: str) -> None:
        self.shelves = shelves
        self._header = len(header)
        self._syntax = transfer_syntax_uid
        self._identity: Identity | None = None
        self._digest = Digest()
        self._pieces: list[bytes | memoryview] = [header]
        self._looked_at = 0
        self.size = 0
        """Bytes of the data set so far."""
        self._descriptor = -1
        self._part = ""
        self._made: Path | None = None

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
            OSError: the disk failed, or the file can't be opened.
        """
        if not self.size or not self._pieces:  # without a data set nothing is opened
            return
        try:
            if self._descriptor < 0:
                self._open()
            pieces, self._pieces = self._pieces, []
            if self.size - self._looked_at >= _ROOM_EVERY:
                self._looked_at = self.size
                self.shelves.check_room(0)
            written = os.writev(self._descriptor, pieces)
            if written < sum(map(len, pieces)):
                rest = memoryview(b"".join(pieces))[written:]
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            raise judged(error, self.shelves.root, self.size) from error

    def identity(self) -> Identity:
        """What the data set says it is, once all of it was added.

        Raises:
            Refused: see :func:`pacs_bridge.identify.identify`.
            DiskFull, OSError: as :meth:`flush`.
        """
        self.flush()
        if self._identity is not None:
            return self._identity
        if not self.size:
            return identify(b"", self._syntax)
        # closed when nobody looks at it any more, which an error on its way up still does
        content = mmap.mmap(self._descriptor, 0, access=mmap.ACCESS_READ)
        return identify(memoryview(content)[self._header :], self._syntax)

    @property
    def digest(self) -> str:
        """Of the data set so far."""
        return str(self._digest)

    def place(self, path: Path) -> None:
        """Put it where it belongs; the same object that lies there is replaced by itself.

        Renamed first and synced then: one turn of the file system's journal makes both durable,
        and the digest in the name tells a file that a power cut left half.

        Args:
            path: where to; the digest is in its name.

        Raises:
            DiskFull, OSError: it is not, or not durably, there.
        """
        self.flush()
        try:
            try:
                Path(self._part).rename(path)
            except FileNotFoundError:
                self.shelves.make(path.parent)
                Path(self._part).rename(path)
            self._part = ""
            if self.shelves.sync:
                self._sync()
                self.shelves.settle(path.parent)
        except OSError as error:
            raise judged(error, self.shelves.root, self.size) from error
        finally:
            self.discard()

    def discard(self) -> None:
        """Leave nothing of it; also fine when it was placed or discarded before."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
        self._pieces = []
        part, self._part = self._part, ""
        if part:
            Path(part).unlink(missing_ok=True)
            if self._made is not None:
                with suppress(OSError):  # another object of it has come meanwhile
                    self._made.rmdir()
                    self._made.parent.rmdir()

    def _sync(self) -> None:
        try:
            os.fsync(self._descriptor)
        except OSError:
            # not unlinked: by now the name may be of the same object, sent twice and kept
            os.ftruncate(self._descriptor, 0)
            raise

    def _open(self) -> None:
        head = b"".join(self._pieces[1:])[:_HEAD]
        self._identity = identify_head(head, self._syntax)
        folder = self.shelves.root
        if self._identity is not None:
            folder = self.shelves.series(self._identity.study_uid, self._identity.series_uid)
        part = f"{folder}/.{_RUN}-{os.getpid():x}-{next(_COUNT):x}{PART}"
        how = os.O_CREAT | os.O_EXCL | os.O_RDWR
        try:
            self._descriptor = os.open(part, how, 0o666)
        except FileNotFoundError:
            self.shelves.make(folder)
            self._made = folder
            self._descriptor = os.open(part, how, 0o666)
        self._part = part


def judged(error: OSError, folder: Path, size: int) -> OSError | DiskFull:
    """The error itself, or that the disk is full."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return error
    return DiskFull(
        f"no room for {size} bytes in {folder}: {error}. Free space or move storage.folder"
    )
