"""How much a nodule changed, and how much of that measurement alone can make.

Noise: the coefficient of variation of a volume is taken as 0.29 (6 mm / d)^1.4, fitted to 0.29
at 6 mm, 0.23 at 7, 0.19 at 8, 0.16 at 9, 0.14 at 10, 0.12 at 11 and 0.11 at 12 mm. These are
meant to be the figures of the QIBA profile Small Lung Nodule Volume Assessment and Monitoring in
Low Dose CT Screening, but were NOT checked against its text; check before relying on them. A
change is real with 95 % where it exceeds 1.96 standard deviations
of the difference. It holds for slices up to 1.25 mm; thicker ones add the error of two caps, each
known to one slice. In vivo repeats of nodules around 6 mm differ by up to 27 % (Marchiano 2009,
Radiology 251:919), readers' diameters by 1.7 mm (Revel 2004, Radiology 231:453): the
profile is on the cautious side of volumetry and agrees with the readers.

Doubling time: Schwartz 1961, Cancer 14:1272. Growth by Lung-RADS v2022: more than 1.5 mm
in mean diameter within 12 months.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from imaging.priors.values import Change

LUNG_RADS_MM = 1.5
YEAR_DAYS = 365
CV_AT_6_MM, CV_POWER = 0.29, 1.4
LEAST_CV = 0.04
"""Large masses are outlined no better than that."""
THIN_MM = 1.25
THICK_MM = 2.5
"""Thicker slices than Lung-RADS' technique allows: its growth rule isn't applied."""
SURE = 1.96


@dataclass(frozen=True)
class Size:
    """One nodule on one date; ``slice_mm`` and ``pixel_mm`` are the spacings it was measured on."""

    diameter_mm: float
    volume_mm3: float
    slice_mm: float
    pixel_mm: float


@dataclass(frozen=True)
class Growth:
    """What became of a nodule between two dates.

    Attributes:
        change: grown, stable or shrunk.
        diameter_mm: change of the mean diameter.
        diameter_noise_mm: a smaller change may be measurement alone, 95 %.
        volume_percent: change of the volume, of the earlier one.
        volume_noise_percent: as of the diameter.
        doubling_days: of the volume, negative for halving; None without a change beyond noise.
        doubling_range_days: its 95 % interval, the faster first.
        lung_rads: growth by Lung-RADS; None where the rule can't be applied.
        beyond_noise: whether the change is more than measurement makes. ``change`` can be
            grown without it where Lung-RADS' 1.5 mm are passed: missing growth costs more.
    """

    change: Change
    diameter_mm: float
    diameter_noise_mm: float
    volume_percent: float
    volume_noise_percent: float
    doubling_days: float | None
    doubling_range_days: tuple[float, float] | None
    lung_rads: bool | None
    beyond_noise: bool


def growth(now: Size, then: Size, days: int | None) -> Growth:
    """Compare two sizes.

    Args:
        now: the current one.
        then: the earlier one.
        days: between them; None where not known.

    Raises:
        ValueError: a size is not positive.
    """
    if min(now.diameter_mm, then.diameter_mm, now.volume_mm3, then.volume_mm3) <= 0:
        raise ValueError("a nodule's diameter and volume are above zero")
    by_mm = now.diameter_mm - then.diameter_mm
    noise_mm = SURE * math.hypot(_diameter_sd(now), _diameter_sd(then))
    by = now.volume_mm3 - then.volume_mm3
    noise = SURE * math.hypot(volume_cv(now) * now.volume_mm3, volume_cv(then) * then.volume_mm3)
    larger = by > noise or (by_mm > noise_mm and by > 0)
    smaller = by < -noise or (by_mm < -noise_mm and by < 0)
    rule = lung_rads_growth(by_mm, days, max(now.slice_mm, then.slice_mm))
    change = Change.GROWN if larger or rule else Change.SHRUNK if smaller else Change.STABLE
    doubling, between = None, None
    if days is not None and days > 0 and (larger or smaller):
        doubling, between = _doubling(now, then, days)
    return Growth(
        change=change,
        diameter_mm=by_mm,
        diameter_noise_mm=noise_mm,
        volume_percent=100 * by / then.volume_mm3,
        volume_noise_percent=100 * noise / then.volume_mm3,
        doubling_days=doubling,
        doubling_range_days=between,
        lung_rads=rule,
        beyond_noise=larger or smaller,
    )


def volume_cv(size: Size) -> float:
    """Coefficient of variation of a volume, a share of it."""
    # by the volume's own ball: the axial diameter of a flat nodule says little of its volume
    ball = (6 * size.volume_mm3 / math.pi) ** (1 / 3)
    thin = max(CV_AT_6_MM * (6.0 / max(ball, 3.0)) ** CV_POWER, LEAST_CV)
    more = max(size.slice_mm - THIN_MM, 0.0) * math.sqrt(2 / 12) / ball
    return math.hypot(thin, more)


def lung_rads_growth(by_mm: float, days: int | None, slice_mm: float) -> bool | None:
    """Growth of more than 1.5 mm in mean diameter within 12 months (Lung-RADS v2022).

    Over a longer time: faster than that on average is growth; no more than 1.5 mm in all is
    none; between the two it can't be said without an examination in between (v2022 then lets
    slow growth of a solid nodule be category 4B), and None is returned, as without dates and on
    slices thicker than 2.5 mm.
    """
    if slice_mm > THICK_MM + 0.05:
        return None
    if by_mm <= LUNG_RADS_MM:
        return False
    if days is None or days <= 0:
        return None
    if days <= YEAR_DAYS or by_mm * YEAR_DAYS / days > LUNG_RADS_MM:
        return True
    return None


def _diameter_sd(size: Size) -> float:
    """Standard deviation of a mean diameter, mm: a third of the volume's, and two pixel edges."""
    return math.hypot(size.diameter_mm * volume_cv(size) / 3, size.pixel_mm / math.sqrt(6))


def _doubling(now: Size, then: Size, days: int) -> tuple[float | None, tuple[float, float] | None]:
    """Schwartz's doubling time and its interval; the interval only where it is bounded."""
    log = math.log(now.volume_mm3 / then.volume_mm3)
    spread = SURE * math.hypot(volume_cv(now), volume_cv(then))
    if abs(log) < 1e-6:
        return None, None
    doubling = days * math.log(2) / log
    if abs(log) <= spread:
        return doubling, None
    sign = math.copysign(1.0, log)
    fast, slow = (days * math.log(2) / (log + sign * by) for by in (spread, -spread))
    return doubling, (fast, slow)
