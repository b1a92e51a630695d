"""AUC, reliability and intervals over patients, against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from models.evaluation.discrimination import auc, calibration_error, over_groups, reliability


def test_auc_counts_pairs_and_halves_ties() -> None:
    score = np.array([0.1, 0.4, 0.4, 0.8])
    positive = np.array([False, True, False, True])
    # Of four pairs three are right and one is a tie.
    assert auc(score, positive) == pytest.approx(3.5 / 4)
    assert auc(-score, positive) == pytest.approx(0.5 / 4)
    assert auc(np.zeros(4), positive) == pytest.approx(0.5)


def test_one_kind_alone_has_no_auc() -> None:
    with pytest.raises(ValueError, match="one kind"):
        auc(np.array([0.1, 0.2]), np.array([True, True]))


def test_reliability_puts_each_case_into_its_bin() -> None:
    chance = np.array([0.0, 0.05, 0.15, 0.95, 1.0])
    event = np.array([False, True, False, True, True])
    rows = reliability(chance, event)
    assert [(row.low, row.count) for row in rows] == [
        (0.0, 2),
        (pytest.approx(0.1), 1),
        (pytest.approx(0.9), 2),
    ]
    assert rows[0].expected == pytest.approx(0.025) and rows[0].seen == 0.5
    gaps = 2 * abs(0.025 - 0.5) + 1 * 0.15 + 2 * abs(0.975 - 1)
    assert calibration_error(chance, event) == pytest.approx(gaps / 5)


def test_a_calibrated_probability_has_a_small_error_and_a_biased_one_its_bias() -> None:
    rng = np.random.default_rng(0)
    chance = rng.random(20_000)
    event = rng.random(20_000) < chance
    assert calibration_error(chance, event) < 0.02
    assert calibration_error(np.full(20_000, 0.9), event) == pytest.approx(0.4, abs=0.02)


def test_intervals_are_over_patients_not_over_their_nodules() -> None:
    rng = np.random.default_rng(1)
    patient = np.repeat(np.arange(20).astype(str), 10)
    value = np.repeat(rng.normal(0, 1, 20), 10)
    together = over_groups(lambda n: float(value[n].mean()), patient, draws=400)
    alone = over_groups(lambda n: float(value[n].mean()), np.arange(200).astype(str), draws=400)
    assert together.value == pytest.approx(alone.value)
    assert together.low is not None and together.high is not None
    assert alone.low is not None and alone.high is not None
    assert together.high - together.low > 2 * (alone.high - alone.low)
    assert together.low < together.value < together.high


def test_draws_that_give_no_figure_are_left_out() -> None:
    score = np.array([0.2, 0.9, 0.4])
    positive = np.array([False, True, False])
    found = over_groups(lambda n: auc(score[n], positive[n]), np.array(["a", "b", "c"]), draws=50)
    assert found.value == 1.0 and found.low == 1.0
    alone = over_groups(lambda n: auc(score[n], positive[n]), np.array(["a", "a", "a"]))
    assert (alone.value, alone.low, alone.high) == (1.0, None, None)
