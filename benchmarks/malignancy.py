"""How well the malignancy hint foretells LIDC-IDRI's readers, in one command.

    python benchmarks/malignancy.py --data ../shared/data --out malignancy.json

Judged on the patients whose number ends in 3, which training never saw, against the diameter
alone (a logistic curve fitted to the training patients in the same run). Three ways of outlining:
  readers     what at least half of the readers outlined
  redrawn     the same, uneven, grown or shrunk, in HU by another gain
  mask net    what the shipped mask net makes of the nodule, as in a scan that is read

The truth is the readers' opinion of the images (mean rating 1 to 5), not pathology. Suspicious is
3.5 or more, benign 2.5 or less; AUC is of these two, calibration is of all nodules. Needs SciPy
(the monai extra).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.hardware import hardware
from imaging.geometry import Grid
from imaging.resample import resample_probability, to_isotropic
from imaging.volume import Volume
from models.character.features import NAMES, Crop, measure_features
from models.character.rating import MODEL, load_rating
from models.evaluation.discrimination import auc, calibration_error, over_groups, reliability
from models.evaluation.estimate import Estimate
from models.loaded import LoadedModel, load_model
from models.lungs import nodules
from models.spec import CATALOG, read_spec
from models.training.malignancy import BENIGN, SUSPICIOUS, platt
from models.training.nodules_data import Nodule, load_nodules
from models.training.ratings import load_rated, load_ratings, majority, version

SEED = 7
LUNG_HU = -850.0
"""Above and below the outlined slices, where the images hold nothing."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder with train/"
    )
    parser.add_argument("--model", type=Path, default=CATALOG / "lung_nodule_reference")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    options = parser.parse_args()
    train = options.data / "train"
    if not (train / "lidc_nodules").is_dir():
        parser.error(f"{train} has no lidc_nodules/; name the folder that holds train/ (--data)")

    rating_of = load_ratings(train)
    held_out = load_nodules(train, held_out=True)
    rating = np.array([rating_of[n.key] for n in held_out])
    patient = np.array([n.patient for n in held_out])
    slope, intercept = _diameter_curve(train)
    net = load_model(read_spec(options.model))
    rng = np.random.default_rng(SEED)
    ways: dict[str, Callable[[Nodule], Crop | None]] = {
        "readers": majority,
        "redrawn": lambda nodule: version(nodule, rng),
        "mask net": lambda nodule: _by_mask_net(nodule, net),
    }
    figures: dict[str, object] = {
        "hardware": hardware(),
        "model": {"sha256": json.loads(MODEL.read_text())["sha256"]},
        "patients": len(np.unique(patient)),
        "nodules": len(held_out),
    }
    print(f"{len(held_out)} nodules of {len(np.unique(patient))} patients never trained on")
    for name, way in ways.items():
        crops = [way(nodule) for nodule in held_out]
        kept = np.array([crop is not None for crop in crops])
        x = np.stack([measure_features(crop) for crop in crops if crop is not None])
        figures[name] = _judge(name, x, rating[kept], patient[kept], slope, intercept)
    if options.out:
        options.out.write_text(json.dumps(figures, indent=2) + "\n")


def _judge(
    name: str,
    x: np.ndarray,
    rating: np.ndarray,
    patient: np.ndarray,
    slope: float,
    intercept: float,
) -> dict[str, object]:
    model = load_rating()
    out = model.outputs(x).mean(axis=0)
    suspicious = rating >= SUSPICIOUS
    clear = suspicious | (rating <= BENIGN)
    size = x[:, NAMES.index("diameter")]
    chances = {
        "hint": model.probability(out[:, 0]),
        "diameter": 1 / (1 + np.exp(-(slope * size + intercept))),
    }
    print(f"\n{name}: {len(x)} nodules, {suspicious.sum()} suspicious, "
          f"{(clear & ~suspicious).sum()} benign")  # fmt: skip
    figures: dict[str, object] = {
        "nodules": len(x), "suspicious": int(suspicious.sum()),
        "benign": int((clear & ~suspicious).sum()),
    }  # fmt: skip
    for which, chance in chances.items():
        part = auc_of(chance[clear], suspicious[clear], patient[clear])
        every = auc_of(chance, suspicious, patient)
        error = over_groups(lambda n, c=chance: calibration_error(c[n], suspicious[n]), patient)
        brier = over_groups(
            lambda n, c=chance: float(((c[n] - suspicious[n]) ** 2).mean()), patient
        )
        print(f"  {which:8s} AUC {part}; against all others {every}; ECE {error}; Brier {brier}")
        figures[which] = {
            "auc": part.model_dump(), "auc_all": every.model_dump(),
            "ece": error.model_dump(), "brier": brier.model_dump(),
        }  # fmt: skip
    gain = over_groups(
        lambda n: (
            auc(chances["hint"][clear][n], suspicious[clear][n])
            - auc(chances["diameter"][clear][n], suspicious[clear][n])
        ),
        patient[clear],
    )
    print(f"  AUC of the hint above the diameter's: {gain}")
    expected = model.expected(out[:, 1])
    off = over_groups(lambda n: float(np.abs(expected - rating)[n].mean()), patient)
    related = float(np.corrcoef(expected, rating)[0, 1])
    print(f"  expected rating: mean error {off}, correlation {related:.2f}")
    print("  reliability   n  expected  seen")
    rows = reliability(chances["hint"], suspicious, 5)
    for row in rows:
        print(
            f"  {row.low:.1f} to {row.high:.1f} {row.count:4d}  {row.expected:8.2f}  {row.seen:.2f}"
        )
    return figures | {
        "auc_above_diameter": gain.model_dump(), "rating_error": off.model_dump(),
        "reliability": [vars(row) for row in rows],
    }  # fmt: skip


def auc_of(score: np.ndarray, positive: np.ndarray, patient: np.ndarray) -> Estimate:
    """AUC with its 95 % interval over patients."""
    return over_groups(lambda n: auc(score[n], positive[n]), patient)


def _diameter_curve(train: Path) -> tuple[float, float]:
    """Slope and intercept of the training patients' logit over ln mean diameter."""
    rated = load_rated(train, held_out=False, versions=1, seed=SEED)
    size = rated.features[:, 0, NAMES.index("diameter")]
    return platt(size, rated.rating >= SUSPICIOUS)


def _by_mask_net(nodule: Nodule, model: LoadedModel) -> Crop | None:
    """The nodule as the mask net outlines it; None where it leaves nothing on these slices."""
    outlined = majority(nodule)
    k_mm, row_mm, column_mm = outlined.spacing_mm
    beyond = int(np.ceil(48 / k_mm))
    pad = ((beyond, beyond), (0, 0), (0, 0))
    hu = np.pad(outlined.hu, pad, constant_values=LUNG_HU)
    affine = np.array([[0, 0, column_mm, 0], [0, row_mm, 0, 0], [k_mm, 0, 0, 0], [0, 0, 0, 1.0]])
    volume = Volume(hu, Grid((hu.shape[0], hu.shape[1], hu.shape[2]), affine))
    fine = to_isotropic(volume, 1.0)
    at = np.argwhere(np.pad(outlined.mask, pad))
    centre = fine.grid.to_index(volume.grid.to_lps(at.mean(0)))
    candidate = nodules.Candidate(
        (float(centre[0]), float(centre[1]), float(centre[2])), nodule.diameter_mm, 0.0
    )
    (cube,) = nodules.segment(
        nodules.to_input(fine.voxels), [candidate], lambda x: model.runners["mask"].run(x)[0]
    )
    piece = np.where(nodules.connected(cube), cube.values, np.float32(0))
    side = piece.shape[0]
    grid = Grid((side, side, side), fine.grid.affine @ cube.affine)
    mask = resample_probability(piece, grid, volume.grid) >= 0.5
    # Only what was imaged is judged.
    mask[:beyond] = mask[-beyond:] = False
    held = mask.any(axis=(1, 2))
    return Crop(hu[held], mask[held], outlined.spacing_mm) if held.any() else None


if __name__ == "__main__":
    main()
