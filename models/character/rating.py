"""The shipped model of how LIDC-IDRI's readers rate a nodule: read once, run with numpy.

``lidc_rating.json`` holds small networks (one hidden layer of tanh units), one for each
bootstrap of the training patients, and their calibration; ``models.training.malignancy`` makes
it, ``CARD.md`` describes it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.character.features import NAMES
from models.errors import SpecError

MODEL = Path(__file__).parent / "lidc_rating.json"

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Rating:
    """What the networks say of one nodule, drawn in one or several ways.

    Attributes:
        probability: that its readers' mean rating is 3.5 or more; ``low`` and ``high`` hold
            95 % of the networks and of the ways it was drawn.
        rating: the expected mean rating, 1 to 5.
        spread: standard deviation of true mean ratings around such an expectation.
    """

    probability: float
    low: float
    high: float
    rating: float
    spread: float


@dataclass(frozen=True, eq=False)
class RatingModel:
    """The networks and their calibration.

    Attributes:
        mean, sd, low, high: of each feature in training, [features]; what lies outside
            ``low`` to ``high`` is taken for the nearer of the two.
        w1, b1, w2, b2: [members, features, hidden], [members, hidden], [members, hidden, 2],
            [members, 2].
        platt: slope and intercept of the calibrated logit.
        rating: slope, intercept and spread of the expected rating.
    """

    mean: Float
    sd: Float
    low: Float
    high: Float
    w1: Float
    b1: Float
    w2: Float
    b2: Float
    platt: Float
    rating: Float

    def outputs(self, features: Float) -> Float:
        """[n, features] to [members, n, 2]: raw logit and raw rating."""
        x = (np.clip(features, self.low, self.high) - self.mean) / self.sd
        hidden = np.tanh(x[None] @ self.w1 + self.b1[:, None])
        return np.asarray(hidden @ self.w2 + self.b2[:, None], np.float64)

    def probability(self, logit: Float) -> Float:
        """Raw logit to a calibrated probability."""
        return np.asarray(1 / (1 + np.exp(-(self.platt[0] * logit + self.platt[1]))), np.float64)

    def expected(self, raw: Float) -> Float:
        """Raw rating to the expected mean rating, 1 to 5."""
        level = self.rating[0] * raw + self.rating[1]
        return np.asarray(np.clip(level, 1.0, 5.0), np.float64)

    def rate(self, features: Float) -> Rating:
        """Rate a nodule.

        Args:
            features: [ways, features], of the same nodule; the first way is its own mask, the
                others what the mask might as well have been.
        """
        out = self.outputs(features)
        every = self.probability(out[..., 0])
        low, high = np.percentile(every, (2.5, 97.5))
        own = out[:, 0].mean(axis=0)
        probability = float(self.probability(own[0]))
        return Rating(
            probability,
            min(float(low), probability),
            max(float(high), probability),
            float(self.expected(own[1])),
            float(self.rating[2]),
        )


def canonical(model: dict[str, Any]) -> bytes:
    """The bytes of which the file's SHA-256 is told."""
    return json.dumps(model, sort_keys=True, separators=(",", ":")).encode()


@lru_cache(maxsize=2)
def load_rating(path: Path = MODEL) -> RatingModel:
    """Read the networks, once a process.

    Raises:
        SpecError: the file is missing, damaged, or of other features than this version measures.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        model, digest = content["model"], content["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SpecError(f"{path}: cannot be read ({error}); install Preread again") from error
    found = hashlib.sha256(canonical(model)).hexdigest()
    if found != digest:
        raise SpecError(
            f"{path}: SHA-256 of model is {found}, the file says {digest}; it was changed or "
            "damaged, install Preread again"
        )
    if model["features"] != list(NAMES):
        raise SpecError(
            f"{path}: made for the features {', '.join(model['features'])}; make it again with "
            "python -m models.training.malignancy"
        )
    names = ("mean", "sd", "low", "high", "w1", "b1", "w2", "b2", "platt", "rating")
    return RatingModel(**{name: np.array(model[name], np.float64) for name in names})
