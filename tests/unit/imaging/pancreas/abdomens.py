"""Simulated abdomens that the tests of phase, coverage and fitness share."""

from __future__ import annotations

from functools import cache

from imaging.pancreatic import Phase
from imaging.phantom_abdomen import AbdomenPhantom, make_abdomen


@cache
def abdomen(
    phase: Phase = Phase.PORTAL, low_mm: float = 20, high_mm: float = 200
) -> AbdomenPhantom:
    """5 mm slices; by default from below the gland to below the diaphragm's dome."""
    return make_abdomen(1, phase=phase, slice_mm=5, pixels=160, low_mm=low_mm, high_mm=high_mm)
