"""Labels by prompts: the greatest logit above 0, made of features after they were blended."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from imaging.geometry import Grid
from imaging.volume import Volume
from models.errors import PatchRefused, SpecError
from models.recipe import Finish, Recipe, Windows
from models.runner import Direct
from models.runtime import Batch, Outputs
from models.voxels.prompts import PromptPlan, segment_prompts
from tests.unit.models.made import Here

SHAPE = (18, 20, 22)
GRID = Grid(SHAPE, np.diag([1.0, 1, 1, 1])[[2, 1, 0, 3]])
VECTORS = np.array([[1, 0, 0], [0, -1, 1], [0, 0, -1], [0, 0, 0]], np.float32)
LABELS = (23, 7, 300, 9)


class Features(Here):
    """Three features of a voxel; with vectors the logits of the classes."""

    def __init__(self, vectors: np.ndarray | None = None) -> None:
        self._vectors = vectors

    def run(self, batch: Batch) -> Outputs:
        value = batch[:, 0]
        found = np.stack([value, value**2, np.sin(5 * value)], axis=1)
        if self._vectors is not None:
            found = np.einsum("cf,nfxyz->ncxyz", self._vectors, found)
        return (found.astype(np.float32),)


def recipe(labels: tuple[int, ...] = LABELS) -> Recipe:
    return Recipe(
        prepare=(),
        windows=Windows(patch=(8, 8, 8), overlap=(0.5, 0.5, 0.5), blend="gaussian"),
        finish=Finish(activation="none", select="prompts", prompts=labels, invert="after-select"),
    )


def volume() -> Volume:
    return Volume(np.random.default_rng(1).normal(size=SHAPE).astype(np.float32), GRID)


def test_features_blended_first_give_the_labels_of_blended_logits() -> None:
    from_features = segment_prompts([volume()], PromptPlan(recipe(), VECTORS), Direct(Features()))
    from_logits = segment_prompts([volume()], PromptPlan(recipe()), Direct(Features(VECTORS)))
    value = volume().voxels
    logits = np.tensordot(VECTORS, np.stack([value, value**2, np.sin(5 * value)]), 1)
    expected = np.where(logits.max(0) > 0, np.array(LABELS)[logits.argmax(0)], 0)
    assert set(np.unique(expected)) == {0, 7, 23, 300}, "the class of nothing but 0 never wins"
    for found in (from_features, from_logits):
        np.testing.assert_array_equal(found.labels, expected)
        sure = 255 / (1 + np.exp(-logits.max(0)))
        assert found.confidence is not None
        inside = expected > 0
        assert np.abs(found.confidence[inside] - sure[inside]).max() < 0.51
        assert not found.confidence[~inside].any()
    assert from_features.labels.dtype == np.uint16


def test_a_network_with_other_features_is_refused() -> None:
    plan = PromptPlan(recipe(), VECTORS[:, :2])
    with pytest.raises(PatchRefused, match="3 features, the classes have 2"):
        segment_prompts([volume()], plan, Direct(Features()))
    with pytest.raises(SpecError, match="2 labels for a network of 3 channels"):
        segment_prompts([volume()], PromptPlan(recipe((1, 2))), Direct(Features()))


@pytest.mark.parametrize(
    "values",
    [
        {"select": "prompts"},
        {"prompts": (1,)},
        {"select": "prompts", "prompts": (1,), "invert": "after-select"},
        {"select": "prompts", "prompts": (1,), "activation": "none"},
        {"select": "prompts", "prompts": (0, 1), "activation": "none", "invert": "after-select"},
    ],
)
def test_prompts_belong_to_their_selection(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="prompts"):
        Finish.model_validate(values)
