"""What one run of one way gives, and how far two masks are the same."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Timed:
    """Seconds of a run, by stage, and what came of it.

    Args:
        total: wall time, seconds.
        seconds: by stage: read, prepare, network, finish, findings.
        mask: (k, j, i) uint8, growing to head, back and left.
    """

    total: float
    seconds: dict[str, float]
    mask: np.ndarray


def agreement(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """How far two masks are the same: voxels that agree, and Dice."""
    if a.shape != b.shape:
        raise ValueError(f"masks of {a.shape} and {b.shape} voxels; the two ways read other slices")
    common = int(np.count_nonzero((a > 0) & (b > 0)))
    marked = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    differ = int(np.count_nonzero(a != b))
    return {
        "voxels_that_differ": differ,
        "share_equal": 1 - differ / a.size,
        "dice": 2 * common / marked if marked else 1.0,
        "marked_share": float(np.count_nonzero(a) / a.size),
    }
