"""Batches that suit a network which takes only so many patches at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from models.errors import InferenceFailed
from models.runtime import Batch, Outputs


def as_input(batch: Batch) -> Batch:
    """The batch as libraries take it: float32, contiguous, with at least one patch.

    Raises:
        InferenceFailed: it is empty.
    """
    if batch.ndim < 2 or batch.size == 0:
        raise InferenceFailed(f"a batch of shape {batch.shape} holds no patch")
    return np.ascontiguousarray(batch, dtype=np.float32)


def run_in_parts(batch: Batch, size: int, run: Callable[[Batch], Outputs]) -> Outputs:
    """Run a batch as several of exactly ``size``; the last one is filled up with zeros."""
    n = len(batch)
    parts = []
    for start in range(0, n, size):
        part = batch[start : start + size]
        short = size - len(part)
        if short:
            part = np.concatenate([part, np.zeros((short, *batch.shape[1:]), np.float32)])
        outputs = run(part)
        parts.append(tuple(output[: size - short] for output in outputs))
    if len(parts) == 1:
        return parts[0]
    return tuple(np.concatenate(pieces) for pieces in zip(*parts, strict=True))
