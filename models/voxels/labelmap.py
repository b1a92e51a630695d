"""What a segmentation says: a label for every voxel of the source grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Grid

Labels = Annotated[NDArray[np.uint8] | NDArray[np.uint16], "k, j, i; 0 is background"]


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Labels on a grid.

    Args:
        labels: (k, j, i), uint8 or uint16, 0 background.
        grid: the source volume's, LPS mm.
        confidence: (k, j, i) uint8, probability of the label that was chosen, x 255, and 0 on
            the background; None where the network gives no probability.

    Raises:
        ValueError: shapes disagree.
    """

    labels: Labels
    grid: Grid
    confidence: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        if self.labels.shape != self.grid.shape:
            raise ValueError(f"labels {self.labels.shape} do not fit the grid {self.grid.shape}")
        if self.confidence is not None and self.confidence.shape != self.grid.shape:
            raise ValueError("confidence and labels differ in shape")
