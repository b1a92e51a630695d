"""What became of a nodule since earlier examinations, in the guidelines' own terms.

Lung-RADS v2022: growth is an increase of the mean diameter of more than 1.5 mm within 12
months; slow growth is growth over several screening examinations that never reaches that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final

from imaging.finding import Finding
from imaging.guidelines.rounding import to_tenth
from imaging.language import Text
from imaging.priors.growth import LUNG_RADS_MM, YEAR_DAYS
from imaging.priors.values import Change, Comparison, NoduleChange

YEARLY_DAYS: Final = 400
"""Examinations no further apart than this count as yearly (ours: people come late)."""


class Timing(StrEnum):
    """How a nodule stands in time (Lung-RADS v2022)."""

    BASELINE = "baseline"
    """Seen on the first examination."""
    NEW = "new"
    STABLE = "stable"
    """Unchanged, smaller, or changed by less than growth."""
    GROWING = "growing"
    SLOW = "slow-growing"
    """Larger over several examinations, never by more than 1.5 mm in 12 months."""


ANY_TIMING: Final = tuple(Timing)
SINCE_EARLIER: Final = tuple(t for t in Timing if t is not Timing.BASELINE)

TIMING_TEXT: Final = {
    Timing.BASELINE: Text(en="at baseline", zh="基线检查所见"),
    Timing.NEW: Text(en="new", zh="新发"),
    Timing.STABLE: Text(en="no growth", zh="无增大"),
    Timing.GROWING: Text(en="growing", zh="增大"),
    Timing.SLOW: Text(en="growing slowly over several examinations", zh="多次检查中缓慢增大"),
}


@dataclass(frozen=True)
class FollowUp:
    """What is known of one nodule over time; several ``timings`` where it is not sure."""

    timings: tuple[Timing, ...]
    told: Text
    days: int | None = None
    stable_days: int | None = None
    prior_mm: float | None = None
    now_mm: float | None = None
    doubled_in_a_year: bool = False


def follow_up(
    finding: Finding, comparisons: Sequence[Comparison], earlier_ct: bool | None
) -> FollowUp:
    """How ``finding`` stands in time.

    Args:
        finding: of the current examination.
        comparisons: with earlier examinations, the latest first.
        earlier_ct: whether an earlier chest CT exists at all; None: not known.
    """
    seen = [
        (comparison, change)
        for comparison in comparisons
        for change in comparison.changes
        if change.tracking_uid == finding.tracking_uid and change.change is not Change.UNMATCHED
    ]
    if not seen:
        return _not_compared(finding, comparisons, earlier_ct)
    latest, change = seen[0]
    timings = _timings(seen)
    told = _told(timings, change)
    since = _date(latest)
    measured = _measured(change)
    prior = change.prior
    now = None
    if prior is not None and change.diameter_change_mm is not None:
        now = prior.mean_diameter_mm + change.diameter_change_mm
    doubling = change.doubling_time_days
    return FollowUp(
        timings=timings,
        told=Text(
            en=f"{told.en}, compared with {since}{measured.en}",
            zh=f"{told.zh}（与 {since} 对比{measured.zh}）",
        ),
        days=latest.days,
        stable_days=_stable_days(seen),
        prior_mm=prior.mean_diameter_mm if prior else None,
        now_mm=now,
        doubled_in_a_year=doubling is not None and 0 < doubling <= YEAR_DAYS,
    )


def _not_compared(
    finding: Finding, comparisons: Sequence[Comparison], earlier_ct: bool | None
) -> FollowUp:
    if comparisons:
        whys = [
            change.why
            for comparison in comparisons
            for change in comparison.changes
            if change.tracking_uid == finding.tracking_uid
        ]
        why = whys[0] if whys else Text(en="it was not compared", zh="未作对比")
        return FollowUp(
            SINCE_EARLIER,
            Text(
                en=f"not known whether new or changed: {why.en}",
                zh=f"是否新发或有变化不明：{why.zh}",
            ),
        )
    if earlier_ct is False:
        return FollowUp(
            (Timing.BASELINE,),
            Text(en="at baseline: there is no earlier chest CT", zh="基线检查：无既往胸部 CT"),
        )
    if earlier_ct:
        return FollowUp(
            SINCE_EARLIER,
            Text(
                en="not known: the earlier chest CT was not compared",
                zh="不明：未与既往胸部 CT 对比",
            ),
        )
    return FollowUp(
        ANY_TIMING,
        Text(
            en="not known: whether an earlier chest CT exists is not known",
            zh="不明：是否有既往胸部 CT 不明",
        ),
    )


def _told(timings: tuple[Timing, ...], change: NoduleChange) -> Text:
    if timings == (Timing.STABLE,) and change.change is Change.GROWN:
        return Text(
            en="larger, but by no more than 1.5 mm within 12 months",
            zh="较前增大，但 12 个月内增幅不超过 1.5 mm",
        )
    if timings == (Timing.STABLE,) and change.change is Change.SHRUNK:
        return Text(en="smaller", zh="缩小")
    if len(timings) == 1:
        return TIMING_TEXT[timings[0]]
    return Text(
        en=f"{' or '.join(TIMING_TEXT[t].en for t in timings)}: {change.why.en}",
        zh=f"{'或'.join(TIMING_TEXT[t].zh for t in timings)}：{change.why.zh}",
    )


def _timings(seen: Sequence[tuple[Comparison, NoduleChange]]) -> tuple[Timing, ...]:
    change = seen[0][1]
    if change.change is Change.NEW:
        return (Timing.NEW,)
    growths = [_growth(each) for _, each in seen]
    if any(growths):
        return (Timing.GROWING,)
    larger = [each for _, each in seen if each.change is Change.GROWN]
    before = None in growths and change.change is Change.GROWN and not _small_steps(seen)
    if growths[0] is None or before:
        return (Timing.GROWING, Timing.SLOW if len(larger) > 1 else Timing.STABLE)
    return (Timing.SLOW,) if len(larger) > 1 else (Timing.STABLE,)


def _growth(change: NoduleChange) -> bool | None:
    """Growth by Lung-RADS as the comparison judged it; None where it could not say.

    It can't on thick slices, without dates, and between examinations too far apart. What it
    then measured as larger may or may not be growth; the rule isn't applied here again.
    """
    if change.lung_rads_growth is not None:
        return change.lung_rads_growth
    more = change.diameter_change_mm or 0.0
    return None if change.change is Change.GROWN or more > LUNG_RADS_MM else False


def _small_steps(seen: Sequence[tuple[Comparison, NoduleChange]]) -> bool:
    """Whether yearly examinations show that no step was growth."""
    sizes = [(comparison.days, each.prior) for comparison, each in seen]
    latest = seen[0][1]
    if any(prior is None for _, prior in sizes) or latest.diameter_change_mm is None:
        return False
    line = [(days, prior.mean_diameter_mm) for days, prior in sizes if prior is not None]
    line.insert(0, (0, line[0][1] + latest.diameter_change_mm))
    return all(
        before[0] - after[0] <= YEARLY_DAYS and after[1] - before[1] <= LUNG_RADS_MM
        for after, before in pairwise(line)
    )


def _stable_days(seen: Sequence[tuple[Comparison, NoduleChange]]) -> int | None:
    """How long it has been as it is now; counted back until it was new or grew."""
    days = None
    for comparison, change in seen:
        if change.change not in (Change.STABLE, Change.SHRUNK):
            break
        days = comparison.days
    return days


def _measured(change: NoduleChange) -> Text:
    if change.prior is None or change.diameter_change_mm is None:
        return Text(en="", zh="")
    prior = to_tenth(change.prior.mean_diameter_mm)
    by = to_tenth(abs(change.diameter_change_mm)) * (-1 if change.diameter_change_mm < 0 else 1)
    return Text(
        en=f": {prior:.1f} mm then, {by:+.1f} mm",
        zh=f"：当时 {prior:.1f} mm，变化 {by:+.1f} mm",
    )


def _date(comparison: Comparison) -> str:
    day = comparison.study_date
    return f"{day[:4]}-{day[4:6]}-{day[6:8]}" if len(day) == 8 and day.isdigit() else day
