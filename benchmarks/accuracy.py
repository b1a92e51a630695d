"""What the shipped reference models find, miss and imagine, in one command.

    python benchmarks/accuracy.py --data ../shared/data --out accuracy.json [--quick]
    python benchmarks/accuracy.py --data ../shared/data --organ pancreas --out pancreas.json

The second is told in benchmarks/accuracy_parts/pancreas.py; what follows is the first, of the
nodule model.

None of these scans was trained on:
  real        LIDC-IDRI-0001 and -0005, whole DICOM series, judged against their readers
  held-out    two lungs kept out of training, as they are
  simulated   held-out patients' nodules inserted into the two LIDC scans above (300 or more)
  choice      the same with the two held-out lungs, on which the operating point was chosen:
              hopeful by construction
  seen        (only when asked for) the real nodules of the lungs that were trained on

Every volume goes through the product's own path, models.pipeline.find_lesions, once far below
the operating point for the FROC curve. Simulated means: real nodules in real lungs that are not
theirs. All parts but real need SciPy (the monai extra). Anyone who has LIDC-IDRI or LUNA16 gets
figures on real scans by the hundred from `preread models evaluate --dataset`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.accuracy_parts.real import real_scans, run_real
from benchmarks.hardware import hardware
from models.evaluation.nodule_figures import figures
from models.evaluation.nodule_table import figures_table
from models.loaded import LoadedModel, load_model
from models.spec import CATALOG, read_spec

PARTS = ("real", "held-out", "simulated", "choice", "seen")
PANCREAS_PARTS = ("organ", "lesions", "crops", "elsewhere", "abdomen", "candidates", "phase")
MODELS = {"lungs": "lung_nodule_reference", "pancreas": "pancreas_reference"}
VOLUMES, QUICK_VOLUMES = 28, 4


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder with chest/ and train/"
    )
    parser.add_argument("--organ", choices=tuple(MODELS), default="lungs")
    parser.add_argument("--model", type=Path, help="its folder; default: the reference weights")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument(
        "--volumes", type=int, default=VOLUMES,
        help="simulated volumes of 12 insertions in each of the two sets; default %(default)s",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_VOLUMES} volumes a set")
    parser.add_argument("--cache", type=Path, help="keeps the resampled lungs between runs")
    parser.add_argument(
        "--only", choices=PARTS + PANCREAS_PARTS, action="append",
        help="one part; repeat for more (default: all of the organ's, but not seen)",
    )  # fmt: skip
    parser.add_argument("--threads", type=int, default=0, help="default: all cores")
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.error(f"{options.data} is no folder; name the one with chest/ and train/ (--data)")

    known = PARTS if options.organ == "lungs" else PANCREAS_PARTS
    parts = options.only or (PARTS[:4] if options.organ == "lungs" else PANCREAS_PARTS)
    if unknown := sorted(set(parts) - set(known)):
        parser.error(f"--only {unknown[0]} is no part of --organ {options.organ}: {known}")
    volumes = QUICK_VOLUMES if options.quick else options.volumes
    folder = options.model or CATALOG / MODELS[options.organ]
    model = load_model(read_spec(folder, named=False), threads=options.threads)
    result: dict[str, object] = {"hardware": hardware(), "model": described(model)}
    print(json.dumps(result))
    with tempfile.TemporaryDirectory() as scratch:
        if options.organ == "pancreas":
            # Here, so that the lungs' real part needs no SciPy.
            from benchmarks.accuracy_parts import pancreas

            result |= pancreas.run_parts(parts, options.data, Path(scratch), model, options.quick)
        else:
            cache = options.cache or Path(scratch) / "lungs"
            run_parts(parts, options.data, cache, Path(scratch), model, volumes, result)
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


def run_parts(
    parts: list[str] | tuple[str, ...],
    data: Path,
    cache: Path,
    scratch: Path,
    model: LoadedModel,
    volumes: int,
    result: dict[str, object],
) -> None:
    """Runs the parts asked for and puts what they measured into ``result``."""
    real = real_scans(data / "chest", scratch) if {"real", "simulated"} & set(parts) else []
    if "real" in parts:
        print("\nreal scans (a finding on a nodule of any reader is not false)")
        records, values = run_real(real, model)
        found = figures(records, model.spec.operating_point.score_threshold)
        print(figures_table("real, counted: >= 4 mm and two readers or more", found))
        result["real"] = {**values, "figures": found.model_dump(mode="json")}
    if set(parts) == {"real"}:
        return
    # Here, so that the real part needs no SciPy.
    from benchmarks.accuracy_parts.insertions import as_lung, run_insertions, run_marked
    from models.training.lungs_data import load_lungs

    train = data / "train"
    held_out = (
        load_lungs(train, cache, held_out=True) if {"held-out", "choice"} & set(parts) else []
    )
    if "held-out" in parts:
        result["held-out"] = run_marked("held-out lungs as they are", held_out, model)
    if "simulated" in parts:
        lungs = [as_lung(scan) for scan in real]
        names = ", ".join(lung.name for lung in lungs)
        title = f"insertions into {names}, which nothing was trained or chosen on"
        result["simulated"] = run_insertions(title, lungs, train, model, volumes)
    if "choice" in parts:
        title = "insertions into the lungs that the operating point was chosen on (hopeful)"
        result["choice"] = run_insertions(title, held_out, train, model, volumes)
    if "seen" in parts:
        seen = load_lungs(train, cache, held_out=False)
        title = "SEEN IN TRAINING: real nodules of the training lungs, no measure of anything new"
        result["seen"] = run_marked(title, seen, model)


def described(model: LoadedModel) -> dict[str, object]:
    """Which weights at which operating point."""
    return {
        "name": model.spec.name, "version": model.spec.version,
        "sha256": model.spec.fingerprint,
        "score_threshold": model.spec.operating_point.score_threshold,
        "runtimes": {role: runner.name for role, runner in model.runners.items()},
    }  # fmt: skip


if __name__ == "__main__":
    main()
