"""A process that decodes, seen from the one that asks."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import imaging
from imaging.headers import ImageSlice
from imaging.pixels.process import Answer


class Helper:
    """A process that decodes, and the line to it."""

    def __init__(self) -> None:
        """Start it.

        Raises:
            OSError: no process is to be had.
        """
        # A pair of connected sockets: the helper sees the end of the file when this process is
        # gone, however it went.
        ours, theirs = socket.socketpair()
        root = str(Path(imaging.__file__).resolve().parents[1])
        path = os.pathsep.join(x for x in (root, os.environ.get("PYTHONPATH", "")) if x)
        with theirs:
            try:
                self._process = subprocess.Popen(
                    # -P: nothing is imported from the folder that someone happens to work in.
                    [sys.executable, "-P", "-m", "imaging.pixels.process", str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    # Codecs complain there of every stream that they try and give up.
                    stderr=subprocess.DEVNULL,
                    env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
                    pass_fds=[theirs.fileno()],
                )
            except OSError:
                ours.close()
                raise
        self._connection = Connection(ours.detach())
        self._ready = False
        self.never_came = False
        """Whether it ended before it could be asked anything."""

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def is_ready(self, wait_s: float) -> bool:
        """Whether it can be asked; waits a while for it. True too where it ended: asking tells."""
        try:
            if self._ready or not self._connection.poll(wait_s):
                return self._ready
            self._connection.recv()
        except (EOFError, OSError):
            self.never_came = True
        self._ready = True
        return True

    def ask(self, images: tuple[ImageSlice, ...]) -> Answer | None:
        """The planes of a file; problem and remedy; None when the process ended over it.

        Waits until it is ready.
        """
        while not self.is_ready(1.0):
            pass
        try:
            self._connection.send(images)
            answer: Answer = self._connection.recv()
        except (EOFError, OSError):
            return None
        return answer

    def ended(self) -> str:
        """How the process ended."""
        self._connection.close()
        status = self._process.wait()
        return f"signal {-status}" if status < 0 else f"status {status}"

    def close(self) -> None:
        """End the process, whatever it is at: it holds nothing that is to be kept."""
        self._connection.close()
        self._process.kill()
        self._process.wait()
