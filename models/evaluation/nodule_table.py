"""Figures of a nodule model as a table for people, English, fixed width."""

from __future__ import annotations

from collections.abc import Iterator

from models.evaluation.estimate import Estimate
from models.evaluation.froc import Froc, FrocPoint
from models.evaluation.nodule_figures import Figures
from models.evaluation.table import columns

SHOWN_AT = 1.0
"""False findings a scan at which a group's interval is shown."""


def figures_table(title: str, found: Figures) -> str:
    """Everything in :class:`models.evaluation.nodule_figures.Figures`."""
    return "\n".join([title, *froc_lines(found.froc), *_figures(found)])


def froc_lines(curve: Froc) -> list[str]:
    """Sensitivity at each rate, all and by group, with the interval at 1 false a scan."""
    rates = [point.false_a_scan for point in curve.points]
    rows = [["false findings a scan, at most", "n", *(f"{rate:g}" for rate in rates), "95 % at 1"]]
    rows.append(_row("all", curve.nodules, curve.points))
    rows += [_row(group.name, group.nodules, group.points) for group in curve.groups]
    # A score below is a score that nothing reached.
    scores = ["-" if p.threshold is None else f"{p.threshold:.2f}" for p in curve.points]
    rows.append(["(score there)", "", *scores, ""])
    return [*columns(rows), f"CPM {curve.cpm}, {curve.nodules} nodules in {curve.scans} scans"]


def _row(name: str, nodules: int, points: tuple[FrocPoint, ...]) -> list[str]:
    middle = next((p.sensitivity for p in points if p.false_a_scan == SHOWN_AT), None)
    return [name, str(nodules), *(f"{p.sensitivity.value:.3f}" for p in points), _spread(middle)]


def _spread(estimate: Estimate | None) -> str:
    if estimate is None or estimate.low is None or estimate.high is None:
        return "-"
    return f"{estimate.low:.2f} to {estimate.high:.2f}"


def _figures(found: Figures) -> Iterator[str]:
    point = found.at_point
    yield (
        f"at the operating point (score {point.score_threshold:g}): sensitivity "
        f"{point.sensitivity}, {point.false_a_scan} false findings a scan"
    )
    if found.dice is not None:
        yield f"mask Dice, median of {found.dice.of} found: {found.dice}"
    if found.diameter_bias_mm is not None and found.diameter_sd_mm is not None:
        yield (
            f"longest axial diameter, found - marked: {found.diameter_bias_mm} mm, "
            f"SD {found.diameter_sd_mm:.1f} mm"
        )
    yield f"seconds a scan, median: {found.seconds}"
