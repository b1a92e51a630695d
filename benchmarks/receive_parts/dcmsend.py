"""DCMTK's dcmsend as the sender: what it costs to read files and send them is in the time."""

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from benchmarks.receive_parts.messages import Objects
from pacs_bridge.part10 import meta_header

DCMSEND = shutil.which("dcmsend")


def write_files(folder: Path, objects: Objects, senders: int, count: int) -> list[Path]:
    """A folder of DICOM files for each sender."""
    made = []
    for sender in range(senders):
        place = folder / str(sender)
        place.mkdir(parents=True)
        for _ in range(count // senders):
            uid, dataset = objects.next(sender)
            header = meta_header(CTImageStorage, uid, ExplicitVRLittleEndian, "BENCH")
            (place / f"{uid}.dcm").write_bytes(header + dataset)
        made.append(place)
    return made


def timed(port: int, called: str, folders: Sequence[Path]) -> float:
    """Seconds for one dcmsend a folder, all at once, over one association each.

    Raises:
        RuntimeError: not everything was taken.
    """
    # else DCMTK stalls on Nagle's algorithm, and everything compared with it looks fast
    environment = os.environ | {"TCP_NODELAY": "1"}
    began = time.perf_counter()
    running = [
        subprocess.Popen(
            [
                str(DCMSEND), "--decompress-never", "--no-uid-checks", "--max-send-pdu", "131072",
                "-aet", "BENCH", "-aec", called, "+sd", "127.0.0.1", str(port), str(folder),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
        )
        for folder in folders
    ]  # fmt: skip
    problems = [process.communicate(timeout=300)[1].decode() for process in running]
    seconds = time.perf_counter() - began
    for process, problem in zip(running, problems, strict=True):
        if process.returncode:
            raise RuntimeError(f"dcmsend to port {port}: {problem[:500]}")
    return seconds
