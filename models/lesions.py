"""What a model found in a volume: regions with scores, whatever path found them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.lungs import LungMask
from imaging.notices import Notice
from imaging.volume import Region


@dataclass(frozen=True, eq=False)
class Why:
    """What made the model flag a place.

    Attributes:
        png: a picture for people: the place, what the score hangs on, the place healed.
        score: as reported.
        healed_score: of the same place with the lesion replaced by its surroundings.
        least_score: of the same place with the one part of it replaced that matters most.
    """

    png: bytes
    score: float
    healed_score: float
    least_score: float


@dataclass(frozen=True)
class Candidate:
    """A lesion or an organ: its mask on the source grid and the model's score, 0 to 1.

    ``label`` is the index of the spec's label that it is one of.
    """

    region: Region
    score: float
    label: int = 1
    why: Why | None = None


@dataclass(frozen=True, eq=False)
class HeatMap:
    """A research map over a box of the volume: where to look, no probability.

    Attributes:
        values: (k, j, i) of the box, 0 to 1.
        box: the box, as a region whose mask is the organ in it.
    """

    values: NDArray[np.float32]
    box: Region


@dataclass(frozen=True)
class Lesions:
    """What was found, best first, and what a reader must know of it.

    ``seconds`` says how long each step took; ``lungs`` is there where lungs were looked for,
    ``heat`` where a site switched a model's research map on.
    """

    candidates: tuple[Candidate, ...]
    notices: tuple[Notice, ...]
    seconds: dict[str, float]
    lungs: LungMask | None = None
    heat: HeatMap | None = None
