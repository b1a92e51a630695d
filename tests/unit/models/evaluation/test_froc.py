"""FROC against a plain reading of its definition, and the rules a curve has to keep."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from models.evaluation.froc import RATES, at_threshold, curve, froc
from models.evaluation.judging import (
    Finding,
    JudgedScan,
    Truth,
    judge,
    within_5_mm,
    within_radius,
)


def scan(seed: int, nodules: int = 5, findings: int = 40) -> tuple[list[Finding], list[Truth]]:
    """Nodules in a box of 100 mm; findings on some of them, near them and elsewhere."""
    rng = np.random.default_rng(seed)
    truths = []
    for n in range(nodules):
        x, y, z = (float(v) for v in rng.uniform(0, 100, 3))
        group = "large" if n % 2 else "small"
        truths.append(Truth((x, y, z), float(rng.uniform(4, 20)), n != 4, (group,)))
    found = []
    for _ in range(findings):
        near = bool(rng.random() < 0.5)
        base = truths[rng.integers(nodules)].centre_mm if near else rng.uniform(0, 100, 3)
        x, y, z = (float(v) for v in base + rng.normal(0, 3, 3))
        # few scores, so that many are equal
        found.append(Finding((x, y, z), float(rng.integers(4 * near, 20 + 10 * near)) / 30))
    return found, truths


def by_definition(
    scans: list[tuple[list[Finding], list[Truth]]], rate: float, group: str | None = None
) -> tuple[float, float | None]:
    """Sensitivity at a rate, by trying every threshold on the findings themselves."""
    scores = sorted({f.score for found, _ in scans for f in found}, reverse=True)
    best, at = 0.0, None
    for threshold in scores:
        hits = total = false = 0
        for found, truths in scans:
            kept = [f for f in found if f.score >= threshold]

            def on(f: Finding, t: Truth) -> bool:
                away = sum((a - b) ** 2 for a, b in zip(f.centre_mm, t.centre_mm, strict=True))
                return away**0.5 <= max(5.0, t.diameter_mm / 2)

            false += sum(not any(on(f, t) for t in truths) for f in kept)
            for t in truths:
                if t.counted and (group is None or group in t.groups):
                    total += 1
                    hits += any(on(f, t) for f in kept)
        if false / len(scans) > rate:
            break
        best, at = hits / total, threshold
    return best, at


@pytest.fixture(scope="module")
def scans() -> list[tuple[list[Finding], list[Truth]]]:
    return [scan(n) for n in range(7)]


@pytest.fixture(scope="module")
def judged(scans: list[tuple[list[Finding], list[Truth]]]) -> list[JudgedScan]:
    return [judge(str(n), found, truths) for n, (found, truths) in enumerate(scans)]


def test_every_reading_agrees_with_the_definition(
    scans: list[tuple[list[Finding], list[Truth]]], judged: list[JudgedScan]
) -> None:
    result = froc(judged, draws=20)
    assert [p.false_a_scan for p in result.points] == list(RATES)
    assert result.nodules == 7 * 4 and result.scans == 7
    # not all alike, or the comparison shows nothing
    assert len({p.sensitivity.value for p in result.points}) > 3
    for point in result.points:
        wanted, threshold = by_definition(scans, point.false_a_scan)
        assert point.sensitivity.value == pytest.approx(wanted)
        assert point.threshold == threshold
    for name in ("large", "small"):
        for point in result.group(name).points:
            wanted, _ = by_definition(scans, point.false_a_scan, name)
            assert point.sensitivity.value == pytest.approx(wanted)
    values = [p.sensitivity.value for p in result.points]
    assert result.cpm.value == pytest.approx(sum(values) / 7)


def test_intervals_are_those_of_scans_drawn_again(judged: list[JudgedScan]) -> None:
    result = froc(judged, draws=300, seed=3)
    rng = np.random.default_rng(11)
    drawn = [
        froc([judged[n] for n in rng.integers(0, 7, 7)], draws=0).at(2).sensitivity.value
        for _ in range(300)
    ]
    found = result.at(2).sensitivity
    assert found.low == pytest.approx(np.quantile(drawn, 0.025), abs=0.06)
    assert found.high == pytest.approx(np.quantile(drawn, 0.975), abs=0.06)
    assert froc(judged, draws=50, seed=3) == froc(judged, draws=50, seed=3)
    alone = froc(judged[:1]).cpm
    assert 0 < alone.value < 1 and alone.low is None


def test_scans_weigh_in_the_false_rate_and_not_only_nodules() -> None:
    """A scan without nodules still gives false findings, and still counts as a scan."""
    hit = judge("a", [Finding((0, 0, 0), 0.5)], [Truth((0, 0, 0), 8.0)])
    noisy = judge("b", [Finding((50, 0, 0), 0.9), Finding((80, 0, 0), 0.8)], [])
    quiet = judge("c", [], [])
    assert froc([hit, noisy]).at(0.5).sensitivity.value == 0.0
    assert froc([hit, noisy]).at(1.0).sensitivity.value == 1.0
    assert froc([hit, noisy, quiet, quiet]).at(0.5).sensitivity.value == 1.0


def test_a_second_finding_is_neither_hit_nor_false_and_irrelevant_ones_cost_nothing() -> None:
    truths = [Truth((0, 0, 0), 10.0), Truth((40, 0, 0), 10.0, counted=False)]
    found = [
        Finding((1, 0, 0), 0.4),
        Finding((0, 2, 0), 0.7),
        Finding((41, 0, 0), 0.99),
        Finding((90, 0, 0), 0.2),
    ]
    result = judge("one", found, truths)
    assert [(n.score, n.finding) for n in result.nodules] == [(0.7, 1)]
    assert (result.false, result.false_at) == ((0.2,), (3,))


def test_one_finding_between_two_nodules_finds_both() -> None:
    result = judge("one", [Finding((4, 0, 0), 0.5)], [Truth((0, 0, 0), 9.0), Truth((8, 0, 0), 9.0)])
    assert [n.score for n in result.nodules] == [0.5, 0.5]
    assert result.false == ()


@pytest.mark.parametrize(
    ("diameter", "luna16", "ours"), [(4.0, 2.0, 5.0), (10.0, 5.0, 5.0), (30.0, 15.0, 15.0)]
)
def test_how_near_a_hit_must_be(diameter: float, luna16: float, ours: float) -> None:
    for reach, wanted in ((within_radius, luna16), (within_5_mm, ours)):
        for away, hit in ((wanted - 0.01, True), (wanted + 0.01, False)):
            scan = judge("one", [Finding((away, 0, 0), 1.0)], [Truth((0, 0, 0), diameter)], reach)
            assert (scan.nodules[0].score is not None) is hit
            assert (scan.false == ()) is hit


def test_a_curve_only_rises() -> None:
    judged = [judge(str(n), *scan(n)) for n in range(5)]
    whole = curve(judged)
    for before, after in itertools.pairwise(range(len(whole.thresholds))):
        assert whole.thresholds[before] > whole.thresholds[after]
        assert whole.false_a_scan[before] <= whole.false_a_scan[after]
        assert whole.sensitivity[before] <= whole.sensitivity[after]
    share, false = at_threshold(judged, float(whole.thresholds[3]))
    assert share.value == pytest.approx(whole.sensitivity[3])
    assert false.value == pytest.approx(whole.false_a_scan[3])


def test_all_found_has_the_exact_interval() -> None:
    judged = [judge(str(n), [Finding((0, 0, 0), 0.9)], [Truth((0, 0, 0), 8.0)]) for n in range(10)]
    found = froc(judged).at(1 / 8).sensitivity
    # Clopper and Pearson: .025 ** (1 / 10)
    assert (found.value, found.low, found.high) == (1.0, pytest.approx(0.6915, abs=1e-4), 1.0)
    assert froc(judged).at(8).threshold == 0.9


def test_without_nodules_there_is_no_sensitivity() -> None:
    with pytest.raises(ValueError, match="no counted nodule"):
        froc([judge("a", [], [])])
    with pytest.raises(KeyError, match="not read at 3"):
        froc([judge("a", [], [Truth((0, 0, 0), 8.0)])]).at(3)
