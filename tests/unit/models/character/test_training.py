"""How the hint's networks are trained: calibrated, by patient, and told from chance."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs preread[monai]")
pytest.importorskip("scipy", reason="needs preread[monai]")

from models.evaluation.discrimination import auc, calibration_error
from models.training import malignancy
from models.training.ratings import Rated


def rated(signal: float, seed: int = 0) -> Rated:
    """Nodules of 40 patients, five each, whose rating leans on the first of three features."""
    rng = np.random.default_rng(seed)
    patient = np.repeat([f"LIDC-IDRI-{n:04d}" for n in range(40)], 5)
    features = rng.normal(size=(200, 2, 3))
    features[:, 1] = features[:, 0] + rng.normal(0, 0.1, (200, 3))
    rating = np.clip(3 + signal * features[:, 0, 0] + rng.normal(0, 0.7, 200), 1, 5)
    return Rated(features, rating, patient, np.full(200, 8.0))


def test_platt_undoes_a_distorted_logit() -> None:
    rng = np.random.default_rng(2)
    logit = rng.normal(0, 2, 20_000)
    event = rng.random(20_000) < 1 / (1 + np.exp(-(0.5 * logit - 1)))
    slope, intercept = malignancy.platt(logit, event)
    assert slope == pytest.approx(0.5, abs=0.05) and intercept == pytest.approx(-1, abs=0.06)
    chance = 1 / (1 + np.exp(-(slope * logit + intercept)))
    assert calibration_error(chance, event) < 0.02


def test_a_bootstrap_draws_whole_patients() -> None:
    patient = np.array(["a", "a", "b", "c", "c", "c"])
    weight = malignancy.bootstraps(patient, 50, np.random.default_rng(0))
    assert (weight[:, 0] == weight[:, 1]).all() and (weight[:, 3] == weight[:, 5]).all()
    drawn = weight[:, [0, 2, 3]]
    assert (drawn.sum(axis=1) == 3).all() and (drawn == 0).any()


def test_unseen_patients_are_told_apart_where_there_is_something_to_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(malignancy, "STEPS", 120)
    for signal, low, high in ((1.2, 0.8, 1.0), (0.0, 0.3, 0.7)):
        table = rated(signal)
        out = malignancy.out_of_fold(table, hidden=4, decay=0.1, members=3)
        found = auc(out[:, 0, 0], table.rating >= malignancy.SUSPICIOUS)
        assert low < found < high, signal
