"""Chooses the score threshold on held-out lungs, never on the scans the model is judged on.

    python -m models.training.operating_point --data ../shared/data/train \\
        --model models/catalog/lung_nodule_reference --cache .work/training/data

Sensitivity comes from simulated insertions of held-out patients' nodules into held-out lungs;
false findings from the same lungs, which are known or taken to hold no other nodule.
"""

import argparse
from pathlib import Path

import numpy as np

from imaging.lungs import lung_mask
from imaging.volume import Volume
from models.lungs import nodules
from models.lungs.tiling import Tiling, run_tiled
from models.runtime.onnx import OnnxRuntime
from models.runtime.source import OnnxFile, RuntimeOptions
from models.training.lungs_data import load_lungs
from models.training.matching import match, wilson
from models.training.nodules_data import load_nodules
from models.training.simulation import Study, Truth, as_volume, simulate

TILING = Tiling((192, 256, 384), 32, nodules.SIDE_MULTIPLE, nodules.STRIDE)
SIZES_MM = ((4, 6), (6, 10), (10, 20), (20, 99))


def detect(volume: Volume, detector: OnnxRuntime, lowest: float) -> list[nodules.Candidate]:
    """Candidates of a 1 mm volume above ``lowest`` (a score)."""
    inside = lung_mask(volume).on(volume.grid).voxels
    air = float(nodules.to_input(np.array([-1000.0], np.float32))[0])
    maps = run_tiled(nodules.to_input(volume.voxels), detector, TILING, fill=air)
    return nodules.find_candidates(maps, threshold=lowest, lung=inside)


def studies_of(options: argparse.Namespace) -> list[Study]:
    """The held-out lungs as they are, and with insertions."""
    lungs = load_lungs(options.data, options.cache, held_out=True)
    plain = [
        Study(
            lung.name,
            as_volume(lung.hu),
            tuple(
                Truth(x.centre, x.diameter_mm, 5.0, np.zeros((0, 3), np.int64))
                for x in lung.lesions
            ),
        )
        for lung in lungs
    ]
    inserted = simulate(
        lungs,
        load_nodules(options.data, held_out=True),
        a_study=12,
        studies=options.studies,
        seed=options.seed,
    )
    return [*plain, *inserted]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with chest_volumes/")
    parser.add_argument("--model", type=Path, required=True, help="folder with detector.onnx")
    parser.add_argument("--cache", type=Path, required=True, help="keeps the resampled lungs")
    parser.add_argument("--studies", type=int, default=8, help="simulated volumes; default 8")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--list", action="store_true", help="print every finding of plain lungs")
    options = parser.parse_args()

    detector = OnnxRuntime(
        OnnxFile(options.model / "detector.onnx"), RuntimeOptions(device="cpu", threads=2)
    )
    scores: list[list[float]] = [[] for _ in SIZES_MM]  # the hit's score, -inf where missed
    false: dict[str, list[float]] = {}
    for study in studies_of(options):
        found = detect(study.volume, detector, -4.0)
        truths = [(np.array(t.centre), t.diameter_mm) for t in study.truths]
        matched = match([np.array(c.centre) for c in found], truths)
        if "simulation" not in study.name:
            false[study.name] = [found[n].score for n in matched.false]
            for t, hit in zip(study.truths, matched.hits, strict=True):
                score = found[hit].score if hit is not None else None
                print(f"{study.name}: marked {t.diameter_mm:.0f} mm, score {score}")
            if options.list:
                for c in found[:12]:
                    print(f"  {c.score:6.2f}  {c.diameter_mm:5.1f} mm  at {np.rint(c.centre)}")
            continue
        for t, hit in zip(study.truths, matched.hits, strict=True):
            for size, (low, high) in zip(scores, SIZES_MM, strict=True):
                if low <= t.diameter_mm < high:
                    size.append(found[hit].score if hit is not None else -np.inf)
    columns = zip(SIZES_MM, scores, strict=True)
    heads = "  ".join(f"{a}-{b} mm (n={len(s)})" for (a, b), s in columns)
    print(f"probability  false in {', '.join(false)}  sensitivity {heads}  all >= 6 mm")
    large = [s for size in scores[1:] for s in size]
    for p in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95):
        threshold = float(np.log(p / (1 - p)))
        counts = [sum(s >= threshold for s in f) for f in false.values()]
        shares = [np.mean(np.array(s) >= threshold) if s else np.nan for s in scores]
        hits = sum(s >= threshold for s in large)
        least, most = wilson(hits, len(large))
        print(
            f"{p:11.2f}  {counts}  {'  '.join(f'{s:.2f}' for s in shares)}  "
            f"{hits / max(len(large), 1):.2f} ({least:.2f} to {most:.2f})"
        )


if __name__ == "__main__":
    main()
