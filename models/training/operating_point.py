"""Chooses the score threshold on held-out lungs, never on the scans the model is judged on.

    python -m models.training.operating_point --data ../shared/data/train \\
        --model models/catalog/lung_nodule_reference --cache .work/training/data

Sensitivity comes from simulated insertions of held-out patients' nodules into held-out lungs;
false findings from the same lungs, which are known or taken to hold no other nodule. Every volume
goes through the product's own path, with the threshold far down, so that what is chosen here is
what the product does.
"""

import argparse
from pathlib import Path

import numpy as np

from imaging.volume import Volume
from models.evaluation import judging
from models.evaluation.estimate import wilson
from models.evaluation.nodules import all_findings
from models.loaded import load_model
from models.spec import read_spec
from models.training.lungs_data import load_lungs
from models.training.nodules_data import load_nodules
from models.training.simulation import Study, Truth, as_volume, simulate

SIZES_MM = ((4, 6), (6, 10), (10, 20), (20, 99))


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


def _marked(volume: Volume, truth: Truth) -> judging.Truth:
    x, y, z = (float(v) for v in volume.grid.to_lps(truth.centre))
    return judging.Truth((x, y, z), truth.diameter_mm)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with chest_volumes/")
    parser.add_argument("--model", type=Path, required=True, help="folder with preread.toml")
    parser.add_argument("--cache", type=Path, required=True, help="keeps the resampled lungs")
    parser.add_argument("--studies", type=int, default=8, help="simulated volumes; default 8")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--list", action="store_true", help="print every finding of plain lungs")
    options = parser.parse_args()

    model = load_model(read_spec(options.model, named=False), threads=2)
    scores: list[list[float]] = [[] for _ in SIZES_MM]  # the hit's score, -inf where missed
    false: dict[str, list[float]] = {}
    for study in studies_of(options):
        found = [
            judging.Finding(c.region.centre_mm, c.score)
            for c in all_findings(study.volume, model, model.runners).candidates
        ]
        judged = judging.judge(study.name, found, [_marked(study.volume, t) for t in study.truths])
        if "simulation" not in study.name:
            false[study.name] = list(judged.false)
            for n in judged.nodules:
                print(f"{study.name}: marked {n.truth.diameter_mm:.0f} mm, score {n.score}")
            if options.list:
                for c in found[:12]:
                    print(f"  {c.score:6.2f}  at LPS mm {np.rint(c.centre_mm)}")
            continue
        for n in judged.nodules:
            for size, (low, high) in zip(scores, SIZES_MM, strict=True):
                if low <= n.truth.diameter_mm < high:
                    size.append(n.score if n.score is not None else -np.inf)
    columns = zip(SIZES_MM, scores, strict=True)
    heads = "  ".join(f"{a}-{b} mm (n={len(s)})" for (a, b), s in columns)
    print(f"probability  false in {', '.join(false)}  sensitivity {heads}  all >= 6 mm")
    large = [s for size in scores[1:] for s in size]
    for threshold in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95):
        counts = [sum(s >= threshold for s in f) for f in false.values()]
        shares = [np.mean(np.array(s) >= threshold) if s else np.nan for s in scores]
        hits = sum(s >= threshold for s in large)
        least, most = wilson(hits, len(large))
        print(
            f"{threshold:11.2f}  {counts}  {'  '.join(f'{s:.2f}' for s in shares)}  "
            f"{hits / max(len(large), 1):.2f} ({least:.2f} to {most:.2f})"
        )


if __name__ == "__main__":
    main()
