"""How well two examinations are compared, in one command.

    python benchmarks/priors.py --data ../shared/data --out priors.json

Each pair is a real lung and its own copy, deformed as by breathing (8 to 20 mm at the diaphragm),
turned and shifted, cut into other slices and given other noise, with real nodules put into either
at chosen sizes: stable, grown, shrunk, removed, added, and one that the earlier list lacks although
it is there. Sizes are measured on the noisy voxels. The lungs and nodules are real, the change is
simulated: how a patient changes between two dates is harder. The lungs and nodules that are
held out of training stand apart. Needs SciPy (the monai extra).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.follow_up_nodules import Fate, Known, Pair, make_pair
from benchmarks.hardware import hardware
from imaging.priors.compare import compare
from imaging.priors.register import register
from imaging.priors.values import Change, Comparison, NoduleChange
from models.evaluation.estimate import wilson
from models.training.lungs_data import Lung, load_lungs
from models.training.nodules_data import Nodule, load_nodules


@dataclass(frozen=True)
class Outcome:
    """What was said of one nodule."""

    known: Known
    said: NoduleChange | None
    partner: int | None
    """Number, then, of the nodule it was paired with."""
    error_mm: float | None = None
    """Of the change in diameter, against what was put in."""
    volume_error: float | None = None
    """Logarithm of the ratio of the volumes' ratio to the true one."""


@dataclass(frozen=True)
class Result:
    """What one pair gave."""

    name: str
    errors_mm: tuple[float, ...]
    stated_mm: float | None
    outcomes: tuple[Outcome, ...]
    seconds: float
    cpu_seconds: float
    """Of the processor: what the wall clock shows on an idle core."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder with train/"
    )
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--cache", type=Path, help="keeps the resampled lungs between runs")
    parser.add_argument("--rounds", type=int, default=1, help="pairs a lung; default 1")
    options = parser.parse_args()
    train = options.data / "train"
    if not train.is_dir():
        parser.error(f"{train} is no folder; name the one that holds train/ (--data)")
    figures: dict[str, object] = {"hardware": hardware(), "simulated": True}
    with tempfile.TemporaryDirectory() as scratch:
        cache = options.cache or Path(scratch)
        for part, held_out, rounds in (
            ("training lungs", False, options.rounds), ("held out", True, 2 * options.rounds),
        ):  # fmt: skip
            lungs = load_lungs(train, cache, held_out=held_out)
            nodules = load_nodules(train, held_out=held_out)
            figures[part] = measured(part, lungs, nodules, rounds)
    if options.out:
        options.out.write_text(json.dumps(figures, indent=2) + "\n")


def measured(part: str, lungs: list[Lung], nodules: list[Nodule], rounds: int) -> dict[str, object]:
    """Compare every pair of these lungs."""
    print(f"\n{part}")
    print("pair                    TRE median   p95   stated    CPU s  wrong")
    results = []
    for n in range(rounds):
        for number, lung in enumerate(lungs):
            result = one(make_pair(lung, nodules, 100 * n + number))
            results.append(result)
            wrong = [
                f"{o.known.fate.value}: {o.said.change.value if o.said else 'not named'}"
                for o in result.outcomes
                if not right(o)
            ]
            stated = "-" if result.stated_mm is None else f"{result.stated_mm:.1f}"
            print(
                f"{result.name:22s}  {np.median(result.errors_mm):10.1f} "
                f"{np.percentile(result.errors_mm, 95):5.1f}   {stated:>6s}  "
                f"{result.cpu_seconds:7.1f}  " + (", ".join(wrong) or "-"),
                flush=True,
            )
    return summed(results)


def one(pair: Pair) -> Result:
    """Compare one pair, and judge it."""
    began, worked = time.perf_counter(), time.process_time()
    comparison = compare(pair.current, pair.prior)
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    found = register(pair.current.volume, pair.prior.volume, pair.current.lungs, pair.prior.lungs)
    points = pair.lung_points
    truth = pair.breath.to_old(points)
    errors = np.linalg.norm(found.alignment.to_prior(points) - truth, axis=1)
    outcomes = tuple(outcome(pair, comparison, known) for known in pair.known)
    return Result(
        pair.name, tuple(errors.tolist()), comparison.registration_error_mm, outcomes, seconds, cpu
    )


def outcome(pair: Pair, comparison: Comparison, known: Known) -> Outcome:
    """What the comparison says of one nodule."""
    said, partner = None, None
    for change in comparison.changes:
        then = None
        if change.prior is not None:
            then = next(
                (
                    s.number
                    for s in pair.prior.nodules
                    if np.allclose(s.centre, change.prior.centre_lps_mm)
                ),
                None,
            )
        if change.number == known.number or (change.number is None and then == known.number):
            said, partner = change, then
            if change.number == known.number:
                break
    if said is None or said.diameter_change_mm is None or said.volume_change_percent is None:
        return Outcome(known, said, partner)
    by_mm = said.diameter_change_mm - (known.now_mm - known.then_mm)
    ratio = 1 + said.volume_change_percent / 100
    return Outcome(known, said, partner, by_mm, float(np.log(ratio / known.volume_ratio)))


def right(outcome: Outcome) -> bool:
    """Whether a nodule was paired rightly, or rightly not at all."""
    if outcome.said is None:
        return False
    match outcome.known.fate:
        case Fate.ADDED:
            return outcome.said.change is Change.NEW
        case Fate.REMOVED:
            return outcome.said.change is Change.RESOLVED
        case Fate.UNMARKED:
            return outcome.said.change is Change.UNMATCHED
        case _:
            return outcome.partner == outcome.known.number


def summed(results: Sequence[Result]) -> dict[str, object]:
    """The table of all pairs."""
    errors = np.concatenate([r.errors_mm for r in results])
    every = [o for r in results for o in r.outcomes]
    both = [o for o in every if o.known.fate in (Fate.STABLE, Fate.GROWN, Fate.SHRUNK)]
    sized = [o for o in both if o.error_mm is not None and right(o)]
    by_mm = np.array([o.error_mm for o in sized])
    volume = np.array([o.volume_error for o in sized])
    seconds, cpu = [r.seconds for r in results], [r.cpu_seconds for r in results]

    def of(fate: Fate) -> list[Outcome]:
        return [o for o in every if o.known.fate is fate]

    def called(outcomes: list[Outcome], change: Change) -> int:
        return sum(o.said is not None and o.said.change is change for o in outcomes)

    real = [
        o
        for o in of(Fate.GROWN)
        if o.said is not None
        and o.said.diameter_noise_mm is not None
        and o.known.now_mm - o.known.then_mm > o.said.diameter_noise_mm
    ]
    absent = [*of(Fate.STABLE), *of(Fate.GROWN), *of(Fate.SHRUNK), *of(Fate.UNMARKED)]
    kept = [*of(Fate.STABLE), *of(Fate.GROWN), *of(Fate.SHRUNK)]
    counts = {
        "matched rightly": (sum(right(o) for o in both), len(both)),
        "new called new": (called(of(Fate.ADDED), Change.NEW), len(of(Fate.ADDED))),
        "resolved called resolved": (
            called(of(Fate.REMOVED), Change.RESOLVED), len(of(Fate.REMOVED)),
        ),
        "there then but unmarked, not called new": (
            sum(right(o) for o in of(Fate.UNMARKED)), len(of(Fate.UNMARKED)),
        ),
        "called new falsely": (called(absent, Change.NEW), len(absent)),
        "called resolved falsely": (called(kept, Change.RESOLVED), len(kept)),
        "grown called grown": (called(of(Fate.GROWN), Change.GROWN), len(of(Fate.GROWN))),
        "grown beyond the stated noise called grown": (called(real, Change.GROWN), len(real)),
        "stable called grown": (called(of(Fate.STABLE), Change.GROWN), len(of(Fate.STABLE))),
        "shrunk called shrunk": (called(of(Fate.SHRUNK), Change.SHRUNK), len(of(Fate.SHRUNK))),
    }  # fmt: skip
    print(
        f"{len(results)} pairs, registration error (TRE) over the lungs: median "
        f"{np.median(errors):.2f} mm, 95th percentile {np.percentile(errors, 95):.2f} mm; "
        f"{np.median(seconds):.1f} s a pair (most {max(seconds):.1f} s), {np.median(cpu):.1f} s of "
        f"processor time"
    )
    rows = {}
    for name, (k, n) in counts.items():
        low, high = wilson(k, n)
        share = f"{k / n:.3f}" if n else "-"
        print(f"  {name:44s} {k:3d} of {n:3d}  {share} ({low:.2f} to {high:.2f})")
        rows[name] = {"n": n, "k": k, "low": round(low, 3), "high": round(high, 3)}
    print(
        f"  change in diameter: error median {np.median(by_mm):+.2f} mm, 95 % within "
        f"{np.percentile(np.abs(by_mm), 95):.2f} mm; in volume: median "
        f"{100 * np.expm1(np.median(volume)):+.0f} %, 95 % within a factor of "
        f"{np.exp(np.percentile(np.abs(volume), 95)):.2f}"
    )
    return {
        "pairs": [
            {
                "lung": r.name, "tre_median_mm": round(float(np.median(r.errors_mm)), 2),
                "tre_p95_mm": round(float(np.percentile(r.errors_mm, 95)), 2),
                "stated_mm": r.stated_mm, "seconds": round(r.seconds, 1),
                "cpu_seconds": round(r.cpu_seconds, 1),
            }
            for r in results
        ],
        "tre_median_mm": round(float(np.median(errors)), 2),
        "tre_p95_mm": round(float(np.percentile(errors, 95)), 2),
        "counts": rows,
        "diameter_error_mm": {
            "median": round(float(np.median(by_mm)), 2),
            "p95_abs": round(float(np.percentile(np.abs(by_mm), 95)), 2),
        },
        "volume_error_factor_p95": round(float(np.exp(np.percentile(np.abs(volume), 95))), 2),
        "seconds": {
            "median": round(float(np.median(seconds)), 1), "most": round(max(seconds), 1),
            "cpu_median": round(float(np.median(cpu)), 1),
        },
    }  # fmt: skip


if __name__ == "__main__":
    main()
