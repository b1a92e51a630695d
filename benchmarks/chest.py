"""How long a whole chest CT takes, files to objects, and where the seconds go.

    python -m benchmarks.chest [FOLDER] [--repeat 3] [--out chest.json]

What `preread analyse` does with one study, the model already loaded: headers, plan, load, lungs,
detector, masks, lobes, character, hints, category, SEG, SR and report. FOLDER is one CT study;
without it a simulated chest of 300 slices of 512 x 512 with planted nodules is read. Medians of
the runs after the first, which warms caches and is shown by itself.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.hardware import hardware
from benchmarks.sidebyside.studies import write_studies
from pacs_bridge.analyse import Outcome, analyse_path, open_models
from pacs_bridge.settings import Settings
from pacs_bridge.workers.engine import WarmModels

SLICES = 300
WANTED_S = 20.0
"""On two cores, read to findings with masks, character and category."""


def run(folder: Path, out: Path, models: WarmModels) -> tuple[float, Outcome]:
    """One study through everything: (wall seconds, what came of it).

    Raises:
        SystemExit: nothing was read; the reason is said.
    """
    began = time.perf_counter()
    (outcome,) = analyse_path(folder, out, models)
    seconds = time.perf_counter() - began
    if outcome.report is None:
        raise SystemExit(f"{folder}: not read: {outcome.problem or outcome.plan}")
    return seconds, outcome


def table(wall: list[float], steps: dict[str, list[float]]) -> str:
    """The median of each step, in the order they were done, and what is left."""
    medians = {step: statistics.median(values) for step, values in steps.items()}
    total = statistics.median(wall)
    lines = [f"{step:24}{seconds:8.2f} s" for step, seconds in medians.items()]
    rest = total - sum(medians.values())
    lines.append(f"{'headers, SEG, SR, report':24}{rest:8.2f} s")
    lines.append(f"{'whole':24}{total:8.2f} s   (wanted: {WANTED_S:g} s on two cores)")
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", help="one CT study")
    parser.add_argument("--repeat", type=int, default=3, help="timed runs; default 3")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or write_studies(Path(scratch), 1, SLICES)[0]
        with open_models(Settings()) as models:
            first, outcome = run(folder, Path(scratch) / "first", models)
            wall: list[float] = []
            steps: dict[str, list[float]] = {}
            for number in range(options.repeat):
                seconds, outcome = run(folder, Path(scratch) / f"run{number}", models)
                wall.append(seconds)
                for step, took in outcome.seconds.items():
                    steps.setdefault(step, []).append(took)
        report = outcome.report
        assert report is not None, "run() has said so"
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{report.slice_count} slices, {len(report.findings)} findings; first run {first:.1f} s")
    print(table(wall, steps))
    print(f"peak memory {peak_gb:.2f} GB")
    if options.out:
        figures = {
            "hardware": hardware(),
            "slices": report.slice_count, "spacing_mm": report.spacing_mm,
            "findings": len(report.findings), "model": report.model_names,
            "first_s": round(first, 2), "wall_s": [round(s, 2) for s in wall],
            "steps_s": {k: [round(s, 3) for s in v] for k, v in steps.items()},
            "peak_gb": round(peak_gb, 2),
        }  # fmt: skip
        options.out.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
