"""Patches that no network should be given, and outputs that nobody should use."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.errors import PatchRefused
from models.runner import PatchInput, PatchOutputs
from models.runtime import Outputs

SPATIAL_AXES = (1, 3)
"""A patch is (c, i), (c, j, i) or (c, k, j, i)."""


def is_finite(values: NDArray[np.floating]) -> bool:
    """Whether there is neither NaN nor infinity in it; nothing is allocated where all is well."""
    with np.errstate(all="ignore"):
        # One that is not finite makes the sum so, too; a sum may also overflow by itself.
        if np.isfinite(values.sum()):
            return True
    return bool(np.isfinite(values).all())


def checked(patch: object) -> PatchInput:
    """A patch as float32, fit to share a batch with others'.

    Raises:
        PatchRefused: it is no array of numbers, has no channel and spatial axes, is empty, or
            is not finite.
    """
    if not isinstance(patch, np.ndarray) or patch.dtype.kind not in "fiub":
        kind = patch.dtype if isinstance(patch, np.ndarray) else type(patch).__name__
        raise PatchRefused(f"a patch is an array of numbers, not {kind}")
    least, most = SPATIAL_AXES
    if not least + 1 <= patch.ndim <= most + 1 or patch.size == 0:
        raise PatchRefused(
            f"a patch has a channel axis and {least} to {most} spatial axes, none of them empty; "
            f"this one has shape {patch.shape}"
        )
    with np.errstate(over="ignore"):  # too large for float32 is refused below
        values = np.asarray(patch, dtype=np.float32)
    if not is_finite(values):
        raise PatchRefused(
            f"{int(np.count_nonzero(~np.isfinite(values)))} of {values.size} values of a patch are "
            "not finite (NaN or infinite)"
        )
    return values


def check_count(outputs: Outputs, count: int, runtime: str) -> None:
    """One result a patch in each output.

    Raises:
        PatchRefused: not so.
    """
    found = [len(output) if output.ndim else 0 for output in outputs]
    if not outputs or any(n != count for n in found):
        raise PatchRefused(f"{runtime}: {count} patch(es) went in, outputs for {found} came out")


def finite_or_refused(
    outputs: Outputs, count: int, runtime: str
) -> list[PatchOutputs | PatchRefused]:
    """A batch's outputs by patch; a patch whose output is not finite is refused, alone."""
    whole = all(is_finite(output) for output in outputs)
    results: list[PatchOutputs | PatchRefused] = []
    for n in range(count):
        mine = tuple(output[n] for output in outputs)
        if whole or all(is_finite(output) for output in mine):
            results.append(mine)
        else:
            results.append(
                PatchRefused(f"{runtime}: the network's output for this patch is not finite")
            )
    return results
