"""What a nodule model's records say: the FROC curve, the operating point, the masks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from pydantic import BaseModel, ConfigDict

from models.evaluation.estimate import Estimate, median_of, ratio_of
from models.evaluation.froc import Froc, at_threshold, froc
from models.evaluation.judging import RULES, Finding, JudgedScan, Truth, judge
from models.evaluation.nodules import FoundRecord, MarkRecord, ScanRecord
from models.evaluation.strata import ORDER


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class AtPoint(_Value):
    """What the model does at its operating point."""

    score_threshold: float
    sensitivity: Estimate
    false_a_scan: Estimate


class Figures(_Value):
    """What a nodule model finds, misses and imagines on some scans.

    Attributes:
        froc: the curve, over all counted nodules.
        at_point: the same at the model's own threshold.
        dice: median over the nodules found at any threshold of which a mask is known.
        diameter_bias_mm: found minus marked, mean over the nodules found.
        diameter_sd_mm: of the same differences.
        seconds: median a scan.
    """

    froc: Froc
    at_point: AtPoint
    dice: Estimate | None
    diameter_bias_mm: Estimate | None
    diameter_sd_mm: float | None
    seconds: Estimate


def judged(record: ScanRecord, rule: str = "5mm") -> JudgedScan:
    """A scan's record by one of the hit rules (:data:`models.evaluation.judging.RULES`)."""
    findings = [Finding(f.centre_mm, f.score) for f in record.findings]
    truths = [Truth(m.centre_mm, m.diameter_mm, m.counted, m.groups) for m in record.nodules]
    return judge(record.name, findings, truths, RULES[rule], fold=record.fold)


def figures(
    records: Sequence[ScanRecord],
    threshold: float,
    *,
    rule: str = "5mm",
    false: Mapping[str, Sequence[float]] | None = None,
    order: Sequence[str] = ORDER,
) -> Figures:
    """The figures over some scans.

    Args:
        records: one a scan.
        threshold: the model's own, 0 to 1.
        rule: when a finding hits a nodule.
        false: scores of a scan's false findings by its name, where they are not its own: a
            simulation's are those of the lung it was made of.
        order: of the groups.

    Raises:
        ValueError: no counted nodule in any of them.
    """
    scans = [judged(record, rule) for record in records]
    if false is not None:
        scans = [replace(scan, false=tuple(false[scan.name])) for scan in scans]
    sensitivity, false_a_scan = at_threshold(scans, threshold)
    pairs = [list(_hits(record, scan)) for record, scan in zip(records, scans, strict=True)]
    errors = [[found.diameter_mm - mark.diameter_mm for mark, found, _ in p] for p in pairs]
    flat = [error for each in errors for error in each]
    seconds = median_of([[record.seconds] for record in records])
    assert seconds is not None  # without a scan there was no sensitivity either
    return Figures(
        froc=froc(scans, order=order),
        at_point=AtPoint(
            score_threshold=threshold, sensitivity=sensitivity, false_a_scan=false_a_scan
        ),
        dice=median_of([[d for _, _, d in p if d is not None] for p in pairs]),
        diameter_bias_mm=ratio_of([sum(e) for e in errors], [len(e) for e in errors]),
        diameter_sd_mm=float(np.std(flat, ddof=1)) if len(flat) > 1 else None,
        seconds=seconds,
    )


def _hits(
    record: ScanRecord, scan: JudgedScan
) -> Iterator[tuple[MarkRecord, FoundRecord, float | None]]:
    """Counted nodules that were found, what found them, and the Dice where a mask is known."""
    counted = [mark for mark in record.nodules if mark.counted]
    for mark, nodule in zip(counted, scan.nodules, strict=True):
        if nodule.finding is not None:
            agreement = None if mark.dice is None else mark.dice.get(nodule.finding, 0.0)
            yield mark, record.findings[nodule.finding], agreement


def by_fold(records: Sequence[ScanRecord]) -> dict[str, list[ScanRecord]]:
    """The scans by the fold they are in, folds in order."""
    folds = sorted({record.fold for record in records})
    return {fold: [r for r in records if r.fold == fold] for fold in folds}
