"""Many files at once: decoders hold Python's lock, so that only processes share the work.

Helpers are started for one series and end with it. One that dies over a file takes that file
with it and nothing else. A file of many frames is shared out in parts.
"""

from __future__ import annotations

import logging
import math
import os
import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import (
    JPEG2000TransferSyntaxes,
    JPEGExtended12Bit,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from imaging.errors import FileError, PixelsUndecodable
from imaging.headers import ImageSlice, read_header
from imaging.pixels.decode import Plane, decode_frames
from imaging.pixels.helper import Helper

log = logging.getLogger(__name__)

START_S = 1.0
"""What a helper costs before it decodes: an interpreter and its libraries."""
SOON_S = 0.1
"""How often one who waits for a helper looks whether it is still needed."""
MOST_HELPERS = 7
"""Beside the process that asks."""
PARTS = 2
"""Into so many for each process the frames are shared out where there are few files: each part
reads the file's header anew."""
_SECONDS_A_MEGAPIXEL = {
    **dict.fromkeys(JPEG2000TransferSyntaxes, 0.10),
    **dict.fromkeys(JPEGLSTransferSyntaxes, 0.025),
    **dict.fromkeys(JPEGTransferSyntaxes, 0.03),
    RLELossless: 0.005,
}
"""Measured on chest CT, 512 x 512; HTJ2K and whatever else is compressed: as JPEG 2000."""


Part = tuple[ImageSlice, ...]
"""The wanted images of one file, or some of them."""


@dataclass(frozen=True, eq=False)
class Decoded:
    """The planes of a file or of a part of it, by frame number."""

    path: Path
    planes: dict[int | None, Plane]


@dataclass(frozen=True)
class Undecoded:
    """A file of whose pixels some are lost."""

    path: Path
    error: PixelsUndecodable


def decode_files(
    files: Mapping[Path, Sequence[ImageSlice]], *, helpers: int | None = None
) -> Iterator[Decoded | Undecoded]:
    """Decode and rescale the images of several files, in the order they get done.

    Safe in threads and in worker processes: helpers are fresh interpreters, not forks.

    Args:
        files: the wanted images of each.
        helpers: how many processes beside this one; None: as many as pay, by the cores, the
            transfer syntax and the pixels. With 0 everything is done here.
    """
    count = helpers_for(files) if helpers is None else helpers
    parts = _parts(files, count + 1)
    count = min(count, len(parts) - 1)
    if count < 1:
        for part in parts:
            yield _here(part)
        return
    waiting: queue.SimpleQueue[Part] = queue.SimpleQueue()
    for part in parts:
        waiting.put(part)
    done: queue.SimpleQueue[Decoded | Undecoded] = queue.SimpleQueue()
    stop = threading.Event()
    threads = [
        threading.Thread(
            target=_employ, args=(waiting, done, stop), name=f"decode {n}", daemon=True
        )
        for n in range(count)
    ]
    for thread in threads:
        thread.start()
    left = len(parts)
    try:
        while left:
            made = _next(waiting, done)
            if made is not None:
                left -= 1
                yield made
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _parts(files: Mapping[Path, Sequence[ImageSlice]], processes: int) -> list[Part]:
    """File by file; where there are fewer files than processes, each in several parts."""
    if processes < 2 or len(files) >= processes:
        return [tuple(images) for images in files.values()]
    found: list[Part] = []
    for images in files.values():
        size = math.ceil(len(images) / (PARTS * processes))
        found += [tuple(images[n : n + size]) for n in range(0, len(images), size)]
    return found


def _next(
    waiting: queue.SimpleQueue[Part], done: queue.SimpleQueue[Decoded | Undecoded]
) -> Decoded | Undecoded | None:
    """What a helper has done, else a file done here, else what a helper does soon."""
    with suppress(queue.Empty):
        return done.get_nowait()
    with suppress(queue.Empty):
        return _here(waiting.get_nowait())
    with suppress(queue.Empty):
        return done.get(timeout=SOON_S)
    return None


def helpers_for(files: Mapping[Path, Sequence[ImageSlice]]) -> int:
    """How many helpers shorten the work: none for what is not compressed or soon done.

    The first file speaks for all: a series is of one transfer syntax.
    """
    path, images = next(iter(files.items()), (None, ()))
    if path is None or not images:
        return 0
    try:
        syntax = read_header(path).file_meta.get("TransferSyntaxUID")
    except (FileError, AttributeError):
        return 0
    if syntax is None or not syntax.is_transfer_syntax or not syntax.is_encapsulated:
        return 0
    if syntax == JPEGExtended12Bit:  # its decoder knows whole files only, not their frames
        return 0
    megapixels = sum(i.rows * i.columns for each in files.values() for i in each) / 1e6
    seconds = megapixels * _SECONDS_A_MEGAPIXEL.get(syntax, 0.10)
    return max(0, min(_idle_cores(), MOST_HELPERS, int(seconds / (2 * START_S))))


def _idle_cores() -> int:
    """Of the cores that this process may use those that are free, beside its own."""
    cores = len(os.sched_getaffinity(0))
    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    return min(cores - 1, round(cores * (1 - busy)))


def _here(part: Part) -> Decoded | Undecoded:
    path = part[0].path
    try:
        return Decoded(path, decode_frames(part))
    except PixelsUndecodable as error:
        return Undecoded(path, error)


def _employ(
    waiting: queue.SimpleQueue[Part],
    done: queue.SimpleQueue[Decoded | Undecoded],
    stop: threading.Event,
) -> None:
    """Keep one helper at work until nothing waits; a new one where it died.

    A file that two helpers died over is lost; one alone may have been killed for its memory.
    """
    helper: Helper | None = None
    part: Part | None = None
    problem = ""
    try:
        while not stop.is_set():
            try:
                helper = helper or Helper()
            except OSError as error:
                log.warning("no helper to decode with: %s", error)
                break
            # No file is taken by one who may not be there before all the others are done.
            if not helper.is_ready(SOON_S):
                continue
            if helper.never_came:
                log.warning("a helper to decode with did not start (%s)", helper.ended())
                helper = None
                break
            if part is None:
                try:
                    part = waiting.get_nowait()
                except queue.Empty:
                    return
            path = part[0].path
            answer = helper.ask(part)
            if answer is None:
                again, problem = problem == "", f"its decoder ended ({helper.ended()})"
                log.warning("%s: %s", path, problem)
                helper = None
                if again:
                    continue
                answer = (problem, "Send the image again.")
            if isinstance(answer, dict):
                done.put(Decoded(path, answer))
            else:
                done.put(Undecoded(path, PixelsUndecodable(path, *answer)))
            part, problem = None, ""
    finally:
        if helper is not None:
            helper.close()
        if part is not None:
            waiting.put(part)
