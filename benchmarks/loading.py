"""How long a series takes from files to voxels, by transfer syntax and by processes that decode.

A simulated chest, or ``--folder`` with one CT series of your own (uncompressed), is compressed
into each syntax; each way of loading it takes turns with the others, and the voxels of all must
be the same. ``chosen`` is what the loader does by itself: on a busy machine it starts no helper.

Beside the seconds stands the CPU time of the loading process and of its helpers. The former is
what the seconds come down to where there is a free core for each helper; by how much the sum grows
is what helpers cost: about one second each, to start an interpreter with its libraries, and
nothing for each image.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from benchmarks.hardware import hardware
from imaging.headers import scan_files
from imaging.load import load_series
from imaging.phantom import make_phantom
from imaging.phantom_series import write_series
from imaging.series import Series, group_series

SYNTAXES = (ExplicitVRLittleEndian, RLELossless, JPEGLSLossless, JPEG2000Lossless)


@dataclass(frozen=True)
class Spent:
    """Seconds of one load, or the medians of several."""

    wall: float
    own_cpu: float
    helpers_cpu: float

    def __str__(self) -> str:
        return f"{self.wall:.2f} s (CPU {self.own_cpu:.2f} + {self.helpers_cpu:.2f})"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, help="of one uncompressed series")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--helpers", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    ways = {**{f"{n} helper(s)": n for n in given.helpers}, "chosen": None}
    figures: dict[str, dict[str, Spent]] = {}
    with tempfile.TemporaryDirectory(prefix="preread-loading-") as made:
        home = Path(made)
        source = given.folder or home / "plain"
        if given.folder is None:
            write_series(make_phantom(), source)
        for syntax in SYNTAXES:
            series = compressed(source, home / "now", syntax)
            figures[syntax.name] = timed(series, ways, given.rounds)
            shutil.rmtree(home / "now")
            told = "  ".join(f"{way} {figures[syntax.name][way]}" for way in ways)
            print(f"{syntax.name[:36]:36} {len(series.slices)} slices  {told}")
    result = {
        "seconds": {
            name: {way: asdict(spent) for way, spent in found.items()}
            for name, found in figures.items()
        },
        "hardware": hardware(),
        "load average": os.getloadavg(),
        "rounds": given.rounds,
    }
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


def compressed(source: Path, folder: Path, syntax: UID) -> Series:
    """The series in ``syntax``, in a folder of its own."""
    folder.mkdir()
    for n, path in enumerate(sorted(p for p in source.rglob("*") if p.is_file())):
        image = pydicom.dcmread(path)
        if syntax.is_encapsulated:
            image.compress(syntax, generate_instance_uid=False)
        image.save_as(folder / f"{n:04d}.dcm", enforce_file_format=True)
    (series,) = group_series(scan_files(sorted(folder.iterdir())))
    return series


def timed(series: Series, ways: dict[str, int | None], rounds: int) -> dict[str, Spent]:
    """The medians of the rounds by way; the ways take turns.

    Raises:
        AssertionError: two of them made different voxels.
    """
    times: dict[str, list[tuple[float, float, float]]] = {way: [] for way in ways}
    voxels: np.ndarray | None = None
    for _ in range(rounds):
        for way, helpers in ways.items():
            begin = _clocks()
            volume = load_series(series, helpers=helpers).volume
            now, own, others = (a - b for a, b in zip(_clocks(), begin, strict=True))
            times[way].append((now, own, others))
            voxels = volume.voxels if voxels is None else voxels
            assert np.array_equal(voxels, volume.voxels)
    return {
        way: Spent(*(round(statistics.median(each), 3) for each in zip(*spent, strict=True)))
        for way, spent in times.items()
    }


def _clocks() -> tuple[float, float, float]:
    """Now, CPU time of this process, CPU time of the helpers that ended, seconds."""
    own, ended = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return (
        time.perf_counter(), own.ru_utime + own.ru_stime, ended.ru_utime + ended.ru_stime,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
