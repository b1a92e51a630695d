"""How long a series takes from files to voxels, by transfer syntax and by processes that decode.

A simulated chest, or ``--folder`` with one CT series of your own (uncompressed), is compressed
into each syntax; each way of loading it takes turns with the others, and the voxels of all must
be the same. ``chosen`` is what the loader does by itself: on a busy machine it starts no helper.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
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


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, help="of one uncompressed series")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--helpers", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    ways = {**{f"{n} helper(s)": n for n in given.helpers}, "chosen": None}
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="preread-loading-") as made:
        home = Path(made)
        source = given.folder or home / "plain"
        if given.folder is None:
            write_series(make_phantom(), source)
        for syntax in SYNTAXES:
            series = compressed(source, home / "now", syntax)
            times = timed(series, ways, given.rounds)
            shutil.rmtree(home / "now")
            figures[syntax.name] = {way: round(statistics.median(t), 3) for way, t in times.items()}
            told = "  ".join(f"{way} {figures[syntax.name][way]:.2f} s" for way in ways)
            print(f"{syntax.name[:36]:36} {len(series.slices)} slices  {told}")
    result = {
        "seconds": figures,
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


def timed(series: Series, ways: dict[str, int | None], rounds: int) -> dict[str, list[float]]:
    """Seconds of each round by way; the ways take turns.

    Raises:
        AssertionError: two of them made different voxels.
    """
    times: dict[str, list[float]] = {way: [] for way in ways}
    voxels: np.ndarray | None = None
    for _ in range(rounds):
        for way, helpers in ways.items():
            begin = time.perf_counter()
            volume = load_series(series, helpers=helpers).volume
            times[way].append(time.perf_counter() - begin)
            voxels = volume.voxels if voxels is None else voxels
            assert np.array_equal(voxels, volume.voxels)
    return times


if __name__ == "__main__":
    sys.exit(main())
