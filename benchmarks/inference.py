"""The same network over the same chest CT, MONAI's own way and ours, in one command.

    python -m benchmarks.inference [--slices 300] [--repeat 3] [--out inference.json]

One network (MONAI's UNet with the figures of the zoo's spleen model, weights made on the spot),
one study (DICOM files of a simulated 512 x 512 chest, or --study), and both ways from files to
result, each warm in a process of its own, taking turns:

  MONAI  LoadImaged, the bundle's transforms, SlidingWindowInferer, PyTorch eager (AMP on CUDA),
         softmax, Invertd, argmax; its result is the mask
  ours   plan, load, segmentation through the engine, measuring; its result is the report

Then four studies sent together against one after another (ours), and on a GPU the share of the
card's bf16 peak that the network reaches and a profile of what is left. Medians; ratios are of
medians.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.sidebyside.spleen import NAME, make_bundle
from benchmarks.sidebyside.studies import write_studies
from benchmarks.sidebyside.timed import agreement
from benchmarks.sidebyside.worker import Worker
from models.evaluation.table import columns

CASES = {"spleen": make_bundle}
STAGES = ("read", "prepare", "network", "finish", "findings")
WAYS = ("monai", "ours")
GB = 1e9


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", choices=sorted(CASES), default="spleen", help="which network")
    parser.add_argument("--slices", type=int, default=300, help="of the simulated chest")
    parser.add_argument("--study", type=Path, help="DICOM files of one axial series instead")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each; medians are told")
    parser.add_argument("--together", type=int, default=4, help="studies at once; 0: leave it out")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--runtime", default="auto", help="ours: auto, onnx, openvino or torch")
    parser.add_argument(
        "--precision", choices=("auto", "fp32", "bf16", "fp16"), default="auto",
        help="ours; auto: fp32 on the CPU, bf16 on CUDA, where MONAI's way is AMP",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, help="write JSON here")
    options = parser.parse_args()
    device = _device(options.device)
    precision = options.precision
    if precision == "auto":
        precision = "bf16" if device.startswith("cuda") else "fp32"
    how = options.runtime, precision
    with tempfile.TemporaryDirectory(prefix="preread-bench-") as work:
        place = Path(work)
        studies = (
            [options.study] * max(1, options.together)
            if options.study
            else write_studies(place, max(1, options.together), options.slices)
        )
        bundle = CASES[options.case](place / NAME, studies[0])
        result: dict[str, Any] = {"hardware": hardware(device), "case": options.case}
        print(_said(result["hardware"]))
        ours = Worker("ours", bundle, device, *how)
        result |= side_by_side(place, bundle, studies[0], device, ours, options.repeat)
        if options.together > 1:
            result["together"] = several(ours, studies, options.repeat)
        ours.close()
        if device.startswith("cuda"):
            result["gpu"] = on_gpu(bundle, studies[0], device, how)
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def side_by_side(
    place: Path, bundle: Path, study: Path, device: str, ours: Worker, repeat: int
) -> dict[str, Any]:
    """Both ways in turns; prints the tables."""
    workers = {"monai": Worker("monai", bundle, device), "ours": ours}
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for number in range(repeat + 1):
        for way in WAYS if number % 2 else WAYS[::-1]:
            run = workers[way].run(study, place / f"{way}.npy")
            if number:  # the first one warms up
                runs[way].append(run)
    memory = {way: workers[way].peak_bytes() for way in WAYS}
    workers["monai"].close()
    masks = [np.load(place / f"{way}.npy") for way in WAYS]
    medians = {way: _medians(runs[way]) for way in WAYS}
    without = {way: medians[way]["total"] - medians[way]["read"] for way in WAYS}
    result = {
        "slices": int(masks[0].shape[0]),
        "repeat": repeat,
        "runtimes": {way: workers[way].runtime for way in WAYS},
        "seconds": medians,
        "runs": runs,
        "ratio": medians["monai"]["total"] / medians["ours"]["total"],
        "ratio_without_reading": without["monai"] / without["ours"],
        "peak_bytes": memory,
        "agreement": agreement(*masks),
    }
    _print_sides(result, without)
    return result


def several(ours: Worker, studies: Sequence[Path], repeat: int) -> dict[str, Any]:
    """Studies sent together against one after another, in turns; prints the table."""
    seconds: dict[str, list[float]] = {"one_by_one": [], "together": []}
    for number in range(repeat):
        for what in list(seconds) if number % 2 else list(seconds)[::-1]:
            seconds[what].append(ours.seconds_of(what, list(studies)))
    medians = {what: statistics.median(values) for what, values in seconds.items()}
    ratio = medians["one_by_one"] / medians["together"]
    hourly = {what: 3600 * len(studies) / value for what, value in medians.items()}
    peak = ours.peak_bytes()
    rows = [["", "seconds", "studies an hour"]]
    for what, value in medians.items():
        rows.append([what.replace("_", " "), f"{value:.2f}", f"{hourly[what]:.0f}"])
    print(f"\n{len(studies)} studies, ours", *columns(rows), sep="\n")
    print(f"together: {ratio:.2f} x the studies an hour; peak {peak['host'] / GB:.2f} GB")
    return {
        "studies": len(studies), "seconds": medians, "runs": seconds, "studies_an_hour": hourly,
        "ratio": ratio, "peak_bytes": peak,
    }  # fmt: skip


def on_gpu(bundle: Path, study: Path, device: str, how: Sequence[str]) -> dict[str, Any]:
    """Share of the card's peak, and a profile; prints both."""
    worker = Worker("ours", bundle, device, *how)
    share = worker.call("share of peak")
    print(
        f"\nbf16 matrix product {share['peak_tflops']:.0f} TFLOPS; the network reaches "
        f"{share['network_tflops']:.1f}, {100 * share['share']:.1f} % of it"
    )
    profile = worker.call("profile", str(study))
    print(f"\n{profile}")
    worker.close()
    return share | {"profile": profile}


def hardware(device: str) -> dict[str, Any]:
    """The machine the figures were measured on, and the libraries."""
    import monai
    import torch

    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        cpu = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), cpu)
    card = torch.cuda.get_device_name(device) if device.startswith("cuda") else None
    return {
        "cpu": cpu, "cores": len(os.sched_getaffinity(0)), "gpu": card,
        "system": platform.platform(), "torch": torch.__version__, "monai": monai.__version__,
    }  # fmt: skip


def _device(wanted: str) -> str:
    import torch

    if wanted == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    return "cuda:0" if wanted == "cuda" else wanted


def _said(hardware: dict[str, Any]) -> str:
    where = f"{hardware['cpu']}, {hardware['cores']} core(s)"
    card = f", {hardware['gpu']}" if hardware["gpu"] else ""
    return f"{where}{card}; torch {hardware['torch']}, MONAI {hardware['monai']}"


def _medians(runs: Sequence[dict[str, Any]]) -> dict[str, float]:
    medians = {"total": statistics.median(run["total"] for run in runs)}
    for stage in STAGES:
        medians[stage] = statistics.median(run["seconds"].get(stage, 0.0) for run in runs)
    return medians


def _print_sides(result: dict[str, Any], without: dict[str, float]) -> None:
    seconds, memory = result["seconds"], result["peak_bytes"]
    print(f"\n{result['slices']} slices of 512 x 512; medians of {result['repeat']}, seconds")
    rows = [["", "MONAI", "ours", "ratio"]]
    for stage in (*STAGES, "total"):
        rows.append(_row(stage, seconds["monai"][stage], seconds["ours"][stage]))
    rows.append(_row("total without read", without["monai"], without["ours"]))
    peaks = [memory[way]["host"] / GB for way in WAYS]
    rows.append(["peak memory, GB", f"{peaks[0]:.2f}", f"{peaks[1]:.2f}", ""])
    print(*columns(rows), sep="\n")
    for way in WAYS:
        print(f"{way}: {result['runtimes'][way]}")
    same = result["agreement"]
    print(
        f"masks: {100 * same['share_equal']:.4f} % of voxels equal, Dice {same['dice']:.6f} "
        f"({same['voxels_that_differ']} voxels differ)"
    )


def _row(name: str, monai: float, ours: float) -> list[str]:
    ratio = f"{monai / ours:.2f}" if ours > 0 and monai > 0 else ""
    return [name, f"{monai:.2f}", f"{ours:.2f}", ratio]


if __name__ == "__main__":
    main()
