"""A network that is asked for classes by prompts (VISTA3D), over one patient's volumes.

Its logits are linear in its last features: each class's is the product of the class's own
vector with them. Blending patches is linear, too. So the features are blended, forty-eight
channels of them, and the logits of a hundred classes are made afterwards, a few planes at a
time: the image is encoded once, and a hundred classes never lie in memory together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from imaging.volume import Volume
from models.errors import PatchRefused
from models.recipe import Recipe
from models.runner import Runner
from models.voxels.blend import Block
from models.voxels.labelmap import LabelMap
from models.voxels.segmentation import segment

PLANES = 4
"""Planes of a block whose logits are made at a time."""

ClassVectors = Annotated[NDArray[np.float32], "classes, features"]


@dataclass(frozen=True, eq=False)
class PromptPlan:
    """How such a network is run.

    Args:
        recipe: selects by prompts.
        vectors: of the classes, in the order of ``recipe.finish.prompts``: the network gives
            features; None: it gives the classes' logits.
    """

    recipe: Recipe
    vectors: ClassVectors | None = None


def segment_prompts(
    volumes: Sequence[Volume],
    plan: PromptPlan,
    runner: Runner,
    progress: Callable[[str], None] = lambda step: None,
    seconds: dict[str, float] | None = None,
) -> LabelMap:
    """Label every voxel of a volume with the prompt that fits it best, 0 where none does.

    Arguments and errors are those of :func:`models.voxels.segmentation.segment`.
    """
    made = None if plan.vectors is None else partial(_logits, plan.vectors)
    return segment(volumes, plan.recipe, runner, progress, seconds, channels_of=made)


def _logits(vectors: ClassVectors, block: Block) -> Iterator[Block]:
    """The classes' logits of a block of features, a few planes at a time."""
    if len(block.values) != vectors.shape[1]:
        raise PatchRefused(
            f"the network gave {len(block.values)} features, the classes have {vectors.shape[1]}"
        )
    x, y, z = block.box
    for start in range(0, block.values.shape[1], PLANES):
        features = block.values[:, start : start + PLANES]
        logits = (vectors @ features.reshape(len(features), -1)).reshape(-1, *features.shape[1:])
        planes = slice(x.start + start, x.start + start + features.shape[1])
        yield Block(block.output, (planes, y, z), block.whole, logits)
