"""Trains the malignancy hint: how LIDC-IDRI's readers would rate a nodule. Minutes on one core.

    python -m models.training.malignancy --data ../shared/data/train \\
        --out models/character/lidc_rating.json

Small networks on the features of ``models.character.features``, one for each bootstrap of the
training patients. Their size and decay are chosen, and the probability calibrated, by
cross-validation over training patients; patients whose number ends in 3 are never looked at
(``benchmarks/malignancy.py`` judges on them).
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.character.features import NAMES
from models.character.rating import canonical
from models.evaluation.discrimination import auc
from models.training.ratings import Rated, load_rated

SUSPICIOUS, BENIGN = 3.5, 2.5
"""Mean rating from which, and up to which, a nodule is called so; between them readers doubt."""
VERSIONS, FOLDS, SEED = 8, 5, 20261123
SIZES, DECAYS = (8, 16, 32), (0.01, 0.1, 0.5)
STEPS, RATE = 400, 0.01

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Networks:
    """One hidden layer each: [members, features, hidden], [members, hidden, 2] and biases.

    Outputs are the logit of *suspicious against benign* and (rating - 3).
    """

    w1: Tensor
    b1: Tensor
    w2: Tensor
    b2: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """[members or 1, n, features] to [members, n, 2]."""
        hidden = torch.tanh(x @ self.w1 + self.b1)
        return hidden @ self.w2 + self.b2


def fit(
    x: Float, rating: Float, weight: Float, *, hidden: int, decay: float, seed: int
) -> Networks:
    """Train all members at once.

    Args:
        x: [nodules, versions, features], standardised; each step sees one version of each.
        rating: [nodules].
        weight: [members, nodules], how often a nodule is in the member's bootstrap.
        hidden: units.
        decay: of the weights (AdamW).
        seed: of weights and versions.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    members, count, features = len(weight), len(x), x.shape[2]
    parts = [
        torch.randn(members, features, hidden) / features**0.5,
        torch.zeros(members, 1, hidden),
        torch.randn(members, hidden, 2) / hidden**0.5 * 0.3,
        torch.zeros(members, 1, 2),
    ]
    for part in parts:
        part.requires_grad_()
    nets = Networks(*parts)
    optimiser = torch.optim.AdamW(parts, lr=RATE, weight_decay=decay)
    plan = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    table = torch.from_numpy(x.astype(np.float32))
    target = torch.from_numpy((rating >= SUSPICIOUS).astype(np.float32))
    clear = torch.from_numpy(((rating >= SUSPICIOUS) | (rating <= BENIGN)).astype(np.float32))
    level = torch.from_numpy((rating - 3).astype(np.float32))
    held = torch.from_numpy(weight.astype(np.float32))
    for _ in range(STEPS):
        drawn = table[torch.arange(count), torch.from_numpy(rng.integers(0, x.shape[1], count))]
        out = nets(drawn[None])
        cross = torch.nn.functional.binary_cross_entropy_with_logits(
            out[..., 0], target.expand(members, -1), reduction="none"
        )
        off = torch.nn.functional.smooth_l1_loss(
            out[..., 1], level.expand(members, -1), reduction="none"
        )
        loss = (held * (cross * clear + 0.5 * off)).sum(1).mean() / count
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # untyped in PyTorch
        optimiser.step()
        plan.step()
    return Networks(*(part.detach() for part in parts))


def bootstraps(patient: NDArray[np.str_], members: int, rng: np.random.Generator) -> Float:
    """[members, nodules]: how often each nodule's patient was drawn."""
    names, index = np.unique(patient, return_inverse=True)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=members)
    return np.asarray(drawn[:, index], float)


def out_of_fold(rated: Rated, hidden: int, decay: float, members: int) -> Float:
    """[nodules, versions, 2] by networks that saw no nodule of the same patient."""
    names = np.unique(rated.patient)
    fold_of = dict(zip(names, np.random.default_rng(SEED).permutation(len(names)) % FOLDS,
                       strict=True))  # fmt: skip
    fold = np.array([fold_of[name] for name in rated.patient])
    result = np.zeros((*rated.features.shape[:2], 2))
    for n in range(FOLDS):
        seen = fold != n
        mean, sd = standard(rated.features[seen])
        weight = bootstraps(rated.patient[seen], members, np.random.default_rng(SEED + n))
        x = (rated.features - mean) / sd
        nets = fit(x[seen], rated.rating[seen], weight, hidden=hidden, decay=decay, seed=SEED + n)
        unseen = torch.from_numpy(x[~seen].reshape(1, -1, x.shape[2]).astype(np.float32))
        out = nets(unseen).mean(0).numpy()
        result[~seen] = out.reshape(-1, x.shape[1], 2)
    return result


def standard(features: Float) -> tuple[Float, Float]:
    """Mean and standard deviation of each feature over nodules and versions."""
    flat = features.reshape(-1, features.shape[-1])
    return flat.mean(0), flat.std(0) + 1e-6


def platt(logit: Float, event: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and intercept that make sigmoid(slope x logit + intercept) a probability.

    Source: Platt 1999, *Probabilistic outputs for support vector machines*; by Newton's method.
    """
    design = np.stack([logit, np.ones_like(logit)], 1)
    beta = np.array([1.0, 0.0])
    for _ in range(50):
        p = 1 / (1 + np.exp(-design @ beta))
        curve = design.T @ (design * (p * (1 - p))[:, None]) + 1e-9 * np.eye(2)
        step = np.linalg.solve(curve, design.T @ (event - p))
        beta = beta + step
        if np.abs(step).max() < 1e-9:
            break
    return float(beta[0]), float(beta[1])


def train(options: argparse.Namespace) -> None:
    """Chooses, trains, calibrates, and writes ``options.out``."""
    torch.set_num_threads(1)
    rated = load_rated(options.data, held_out=False, versions=VERSIONS, seed=options.seed)
    suspicious = rated.rating >= SUSPICIOUS
    clear = suspicious | (rated.rating <= BENIGN)
    patients = len(np.unique(rated.patient))
    benign = int((clear & ~suspicious).sum())
    print(
        f"{len(rated.rating)} nodules of {patients} patients, {suspicious.sum()} suspicious, "
        f"{benign} benign",
        flush=True,
    )
    best: tuple[float, int, float, Float] | None = None
    for hidden in SIZES:
        for decay in DECAYS:
            out = out_of_fold(rated, hidden, decay, members=6)
            of_version = [auc(out[clear, v, 0], suspicious[clear]) for v in range(VERSIONS)]
            drawn = float(np.mean(of_version[1:]))
            print(f"hidden {hidden:2d}, decay {decay:4.2f}: AUC {of_version[0]:.4f} as outlined, "
                  f"{drawn:.4f} redrawn", flush=True)  # fmt: skip
            if best is None or drawn > best[0]:
                best = (drawn, hidden, decay, out)
    assert best is not None
    _, hidden, decay, out = best
    redrawn = out[:, 1:]
    slope, intercept = platt(redrawn[..., 0].ravel(), np.repeat(suspicious, VERSIONS - 1))
    rating = np.repeat(rated.rating - 3, VERSIONS - 1)
    scale, shift = np.polyfit(redrawn[..., 1].ravel(), rating, 1)
    spread = float(np.std(rating - scale * redrawn[..., 1].ravel() - shift))

    mean, sd = standard(rated.features)
    weight = bootstraps(rated.patient, options.members, np.random.default_rng(options.seed))
    nets = fit((rated.features - mean) / sd, rated.rating, weight, hidden=hidden, decay=decay,
               seed=options.seed)  # fmt: skip
    flat = rated.features.reshape(-1, rated.features.shape[2])
    model = {
        "features": list(NAMES),
        "mean": _short(mean), "sd": _short(sd),
        "low": _short(np.percentile(flat, 0.25, axis=0)),
        "high": _short(np.percentile(flat, 99.75, axis=0)),
        "w1": _short(nets.w1), "b1": _short(nets.b1[:, 0]),
        "w2": _short(nets.w2), "b2": _short(nets.b2[:, 0]),
        "platt": _short(np.array([slope, intercept])),
        "rating": _short(np.array([scale, shift + 3, spread])),
    }  # fmt: skip
    about = {
        "data": "LIDC-IDRI (Armato 2011), CC BY 3.0; patients whose number ends in 3, and 0001, "
                "0005, 0028, were not used",
        "made by": "python -m models.training.malignancy", "seed": options.seed,
        "nodules": len(rated.rating), "patients": len(np.unique(rated.patient)),
        "hidden": hidden, "decay": decay, "members": options.members,
    }  # fmt: skip
    digest = hashlib.sha256(canonical(model)).hexdigest()
    content = {"about": about, "sha256": digest, "model": model}
    options.out.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{options.out}: hidden {hidden}, decay {decay}, sha256 {digest}")


def _short(values: Float | Tensor) -> list[object]:
    """Five significant figures: the file stays small and reads back exactly."""
    array = np.asarray(values, float)
    short: list[object] = np.vectorize(lambda v: float(f"{v:.5g}"))(array).tolist()
    return short


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with lidc_nodules/")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--members", type=int, default=24, help="bootstraps; default 24")
    parser.add_argument("--seed", type=int, default=SEED)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
