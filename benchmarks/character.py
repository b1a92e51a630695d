"""How well type, margin, sphericity and diameter agree with LIDC-IDRI's readers, in one command.

    python benchmarks/character.py --data ../shared/data --out character.json

Patients whose number ends in 3 are held out: no constant was chosen on them. ``--training`` shows
the others, on which the constants of imaging.character were chosen.

What it can't tell: the stored patches are scaled slice by slice, so HU = 8.3 x code - 982 is
approximate (gain 7.6 to 11) and calcium and fat can't be told at all; both count as solid here.
Slices above and below the outlined ones are missing and are filled with lung. The readers' own
masks are measured, not a network's; ratings of spiculation and lobulation are known to have been
given on two scales by different sites.
"""

from __future__ import annotations

import argparse
import json
import lzma
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.hardware import hardware
from imaging.character import characterise
from imaging.character.fields import signed_distance
from imaging.geometry import Grid
from imaging.language import Text
from imaging.nodule import Margin, Nodule, NoduleType, Place, Side, Third
from imaging.volume import Region, Volume
from models.evaluation.discrimination import auc
from models.training import nodules_data

TYPES = ("ground-glass", "part-solid", "solid")
GAIN_HU, OFFSET_HU, LUNG_HU = 8.3, -982.0, -860.0
PAD_MM = 8.0
NOWHERE = Place(
    side=Side.RIGHT, third=Third.UPPER, lobe_why=Text(en="", zh=""), pleura_mm=99.0,
    subpleural=False,
)  # fmt: skip
RESAMPLES = 1000


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--training", action="store_true", help="the patients constants came from")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    train = options.data / "train"
    if not (train / "lidc_nodules").is_dir():
        parser.error(f"{train / 'lidc_nodules'} is no folder; name the one that holds train/")
    nodules = nodules_data.load_nodules(train, held_out=not options.training)
    index = json.loads(lzma.decompress((train / "lidc_nodules" / "index.json.xz").read_bytes()))
    rows = {row["key"]: row for row in index["nodules"]}
    print(f"{len(nodules)} nodules, {len({n.patient for n in nodules})} patients")
    figures: dict[str, object] = {
        "hardware": hardware(),
        "patients": "training" if options.training else "held out",
        "nodules": len(nodules),
        "hu": "approximate, scaled slice by slice: calcium and fat are not judged",
    }
    for grown in (0.0, 1.0):
        name = "readers' masks" if grown == 0 else f"masks drawn {grown:g} mm too large"
        print(f"\n{name}")
        began = time.process_time()
        found = [described(nodule, grown) for nodule in nodules]
        each = (time.process_time() - began) / max(len(found), 1)
        figures[name] = report(found, [rows[n.key] for n in nodules], each)
    if options.out:
        options.out.write_text(json.dumps(figures, indent=2) + "\n")


def described(nodule: nodules_data.Nodule, grown_mm: float) -> Nodule:
    """One outlined nodule, as the product would describe it in its scan."""
    pad = int(np.ceil(PAD_MM / nodule.spacing[0]))
    around = ((pad, pad), (0, 0), (0, 0))
    hu = np.pad(nodule.code * np.float32(GAIN_HU) + np.float32(OFFSET_HU), around,
                constant_values=LUNG_HU)  # fmt: skip
    mask = np.pad(nodule.share >= 0.5, around)
    if grown_mm:
        mask = signed_distance(mask, nodule.spacing) <= grown_mm
    k, j, i = hu.shape
    grid = Grid.from_dicom(
        (k, j, i), (0, 0, 0), (1, 0, 0, 0, 1, 0), nodule.spacing[1:], (0, 0, nodule.spacing[0])
    )
    return characterise(Volume(hu, grid), Region(mask, (0, 0, 0), grid), NOWHERE)


def report(found: Sequence[Nodule], rows: Sequence[dict], each: float) -> dict[str, object]:
    """Print the table and return its figures."""
    patients = np.array([row["patient"] for row in rows])

    def rated(name: str) -> np.ndarray:
        return np.array([np.mean([a[name] for a in row["annotations"]]) for row in rows])

    texture = np.array([float(row["texture"]) for row in rows])
    truth = np.where(texture < 2, 0, np.where(texture < 4, 1, 2))
    told = np.array([_type(nodule) for nodule in found])
    out: dict[str, object] = {"cpu_seconds_each": round(each, 4)}
    table = confusion(truth, told, 3)
    print(f"type by mean texture (<2 ground-glass, 2 to <4 part-solid, >=4 solid), {TYPES}")
    for name, row in zip(TYPES, table.tolist(), strict=True):
        print(f"  readers {name:13s} {row}")
    out["type"] = {
        "rows": "readers", "order": TYPES, "confusion": table.tolist(),
        "weighted_kappa": _shown("quadratic kappa", weighted_kappa, truth, told, patients),
        "reader_kappa": _shown(
            "one reader against the others' mean", weighted_kappa, *_one_reader(rows)
        ),
    }  # fmt: skip
    hard = {
        "spiculation >= 3": (rated("spiculation") >= 3, Margin.SPICULATED),
        "lobulation >= 3": (rated("lobulation") >= 3, Margin.LOBULATED),
        "margin <= 2.5": (rated("margin") <= 2.5, Margin.ILL_DEFINED),
    }
    roundness = np.array([nodule.sphericity for nodule in found])
    for name, (positive, margin) in hard.items():
        said = np.array([nodule.margin is margin for nodule in found])
        entry = {
            "positive": int(positive.sum()), "said": int(said.sum()),
            "both": int((positive & said).sum()),
            "auc_of_sphericity": _shown(f"{name}: AUC of low sphericity", _auc, -roundness,
                                        positive, patients),
        }  # fmt: skip
        print(
            f"  said {margin}: {entry['both']} of {entry['positive']} rated so, {said.sum()} in all"
        )
        out[name] = entry
    out["sphericity"] = _shown(
        "sphericity, rank correlation", rank_correlation, rated("sphericity"), roundness, patients
    )
    diameter = np.array([float(row["diameter_mm"]) for row in rows])
    difference = np.array([nodule.axial.long_mm for nodule in found]) - diameter
    out["long axis - diameter_mm"] = {
        "median": round(float(np.median(difference)), 2),
        "p5": round(float(np.percentile(difference, 5)), 2),
        "p95": round(float(np.percentile(difference, 95)), 2),
    }
    print(
        f"long axis - readers' diameter: median {np.median(difference):+.2f} mm, "
        f"5 to 95 %: {np.percentile(difference, 5):+.2f} to {np.percentile(difference, 95):+.2f}"
    )
    volumes = np.array([np.median([a["volume"] for a in row["annotations"]]) for row in rows])
    ratio = np.array([nodule.volume_mm3.value for nodule in found]) / volumes
    out["volume / readers' outline"] = round(float(np.median(ratio)), 2)
    print(f"volume by density / volume within the readers' outlines: median {np.median(ratio):.2f}")
    print(f"{each * 1000:.0f} ms CPU a nodule")
    return out


def _type(nodule: Nodule) -> int:
    """0 ground-glass, 1 part-solid, 2 solid with whatever is in it."""
    if nodule.type is NoduleType.GROUND_GLASS:
        return 0
    return 1 if nodule.type is NoduleType.PART_SOLID else 2


def _one_reader(rows: Sequence[dict]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first reader's class against the class of the others' mean."""
    kept = [row for row in rows if len(row["annotations"]) >= 2]

    def classes(values: Sequence[float]) -> np.ndarray:
        at = np.asarray(values)
        return np.where(at < 2, 0, np.where(at < 4, 1, 2))

    first = classes([row["annotations"][0]["texture"] for row in kept])
    rest = classes([np.mean([a["texture"] for a in row["annotations"][1:]]) for row in kept])
    return rest, first, np.array([row["patient"] for row in kept])


def confusion(truth: np.ndarray, told: np.ndarray, classes: int) -> np.ndarray:
    """Counts [truth, told]."""
    table = np.zeros((classes, classes), int)
    np.add.at(table, (truth, told), 1)
    return table


def weighted_kappa(truth: np.ndarray, told: np.ndarray) -> float:
    """Cohen's kappa of three ordered classes with quadratic weights."""
    table = confusion(truth, told, 3).astype(float)
    chance = np.outer(table.sum(1), table.sum(0)) / table.sum()
    weight = np.subtract.outer(np.arange(3), np.arange(3)) ** 2
    expected = float((weight * chance).sum())
    return 1 - float((weight * table).sum()) / expected if expected else float("nan")


def _auc(score: np.ndarray, positive: np.ndarray) -> float:
    """Not a number where a bootstrap draw holds one kind only."""
    return auc(score, positive) if 0 < np.count_nonzero(positive) < positive.size else float("nan")


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's correlation, ties averaged."""

    def ranks(values: np.ndarray) -> np.ndarray:
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        ends = np.cumsum(counts)
        return (ends - (counts - 1) / 2)[inverse]

    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def _shown(
    name: str,
    figure: Callable[[np.ndarray, np.ndarray], float],
    truth: np.ndarray,
    told: np.ndarray,
    patients: np.ndarray,
) -> dict[str, float]:
    """A figure with its 95 % interval, bootstrapped over patients; printed."""
    value = figure(truth, told)
    rng = np.random.default_rng(0)
    of = {name: np.flatnonzero(patients == name) for name in np.unique(patients)}
    names = list(of)
    drawn = []
    for _ in range(RESAMPLES):
        at = np.concatenate([of[names[n]] for n in rng.integers(0, len(names), len(names))])
        drawn.append(figure(truth[at], told[at]))
    low, high = np.nanpercentile(drawn, (2.5, 97.5)).tolist()
    print(f"  {name}: {value:.2f} ({low:.2f} to {high:.2f})")
    return {"value": round(value, 3), "low": round(low, 3), "high": round(high, 3)}


if __name__ == "__main__":
    main()
