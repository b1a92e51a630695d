"""Rounding as the guidelines measure: halves up, and as a person would read the number.

Binary floats and Python's ``round`` would put 5.95 below 6.0 and 6.5 on 6; a reader who sees
"6.0 mm" on the page expects the row for 6 mm.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal


def to_tenth(value: float) -> float:
    """A mean diameter in mm to one decimal (Lung-RADS v2022, note on measurement)."""
    return float(_rounded(value, "0.1"))


def to_whole(value: float) -> int:
    """To the nearest whole number: mm (Fleischner 2017) or mm³ (both)."""
    return int(_rounded(value, "1"))


def _rounded(value: float, step: str) -> Decimal:
    # Six decimals first: 5.949999999999999 is a 5.95 that met binary arithmetic.
    return Decimal(repr(round(value, 6))).quantize(Decimal(step), ROUND_HALF_UP)
