"""What runs in a helper process: file after file, until nobody asks any more.

``python -m imaging.pixels.process FD``: the socket is inherited, and nothing else. Its end is the
end of this process, however the asking one ended.
"""

from __future__ import annotations

import sys
import warnings
from multiprocessing.connection import Connection

from imaging.errors import PixelsUndecodable
from imaging.headers import ImageSlice
from imaging.pixels.decode import Plane, decode_frames

READY = "ready"
"""The first thing that a helper says."""
Asked = tuple[ImageSlice, ...]
"""The frames of one file that are wanted."""
Answer = dict[int | None, Plane] | tuple[str, str]
"""Planes by frame number, or problem and remedy."""


def serve(connection: Connection) -> None:
    """Say that the libraries are in, then answer until the connection ends."""
    connection.send(READY)
    while True:
        try:
            asked: Asked = connection.recv()
        except (EOFError, OSError):
            return
        try:
            answer: Answer = decode_frames(asked)
        except PixelsUndecodable as error:
            answer = (error.problem, error.remedy)
        try:
            connection.send(answer)
        except OSError:
            return


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    serve(Connection(int(sys.argv[1])))
