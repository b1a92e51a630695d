"""From the last C-STORE to the SR in the PACS, and where the seconds go.

    python -m benchmarks.chain [FOLDER] [--repeat 3] [--out chain.json]

A real Orthanc is the PACS: FOLDER (one CT study; without it a chest phantom) is stored
there, Orthanc routes it to a `preread serve` process, and the clock runs from the moment
Orthanc has sent the last image until Orthanc shows the SR.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import tempfile
import time
from pathlib import Path

import pydicom

from imaging.phantom import make_phantom
from imaging.phantom_series import write_series
from tests.e2e.server import running_server, wait_until, write_config
from tests.network.orthanc import free_port, running_orthanc


def measure(folder: Path, images: list[Path], quiet_s: float) -> dict[str, float]:
    """One study through a fresh server; seconds by stage."""
    study = str(pydicom.dcmread(images[0], stop_before_pixels=True).StudyInstanceUID)
    dicom, page = free_port(), free_port()
    with running_orthanc(folder / "orthanc", dicom) as orthanc:
        pacs = f'ae_title = "ORTHANC"\nhost = "127.0.0.1"\nport = {orthanc.dicom_port}\n'
        config = write_config(
            folder,
            dicom_port=dicom,
            page_port=page,
            models=folder / "none",
            quiet_s=quiet_s,
            more=f'[assembly.source]\n{pacs}\n[[destinations]]\nname = "Orthanc"\n{pacs}',
        )
        for image in images:
            orthanc.upload(image)
        with running_server(config, page) as server:
            begun = time.perf_counter()
            orthanc.send_to("PREREAD", study)
            last_image = time.perf_counter()
            sr = {"StudyInstanceUID": study, "Modality": "SR"}
            wait_until(lambda: orthanc.find("Series", sr), 600, "the SR in Orthanc")
            done = time.perf_counter()
            seconds = {"receive": last_image - begun, "last image to SR": done - last_image}
            events = {e.what: e for e in server.store.events_of(study)}
            stages = re.findall(r"(\w+) ([\d.]+) s", events["analysed"].detail)
            seconds |= {f"  analyse: {name}": float(value) for name, value in stages}
            opened, analysed = events["reading-opened"].at, events["analysed"].at
            wall = time.time() - time.perf_counter()
            seconds["  quiet time and count"] = opened - (last_image + wall)
            seconds["  plan and analyse"] = analysed - opened
            seconds["  compose and deliver"] = (done + wall) - analysed
            return seconds


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", help="DICOM files of one CT study")
    parser.add_argument("--repeat", type=int, default=3, help="runs; medians are reported")
    parser.add_argument("--quiet", type=float, default=2.0, help="assembly.quiet_s, seconds")
    parser.add_argument("--out", type=Path, help="write JSON here")
    options = parser.parse_args()
    runs = []
    with tempfile.TemporaryDirectory(prefix="preread-bench-") as work:
        source = options.folder or Path(work) / "phantom"
        if options.folder is None:
            write_series(make_phantom(), source)
        images = sorted(p for p in source.rglob("*") if p.is_file())
        for number in range(options.repeat):
            run = Path(work) / str(number)
            run.mkdir()
            runs.append(measure(run, images, options.quiet))
    medians = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    hardware = {"cores": os.cpu_count(), "machine": platform.machine(), "cpu": _cpu()}
    print(f"{len(images)} images, {options.repeat} run(s), {hardware['cores']} cores, {_cpu()}")
    for name, value in medians.items():
        print(f"{name:28}{value:8.2f} s")
    if options.out:
        result = {"hardware": hardware, "images": len(images), "medians_s": medians, "runs": runs}
        options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text()) if info.exists() else []
    return str(names[0]) if names else platform.processor()


if __name__ == "__main__":
    main()
