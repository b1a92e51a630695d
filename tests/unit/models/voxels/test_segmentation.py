"""A recipe's whole way, next to MONAI's transforms, inferer and way back with the same network."""

from __future__ import annotations

from concurrent.futures import Future

import numpy as np
import pytest
import torch

from imaging.volume import Volume
from models.errors import PatchRefused
from models.recipe import Finish, Normalise, Orient, Recipe, Rescale, Space, Window, Windows
from models.runner import PatchInput, PatchOutputs
from models.voxels.segmentation import segment
from tests.unit.models import monai_way
from tests.unit.models.monai_way import Network, TorchRunner, grid, inferer

RECIPES = {
    "spleen": (
        2,
        Recipe(
            prepare=(Orient(), Space(spacing_mm=(1.5, 1.5, 2.0)), Window(low=-57, high=164)),
            windows=Windows(patch=(16, 16, 16), overlap=(0.5, 0.5, 0.5)),
        ),
    ),
    "brats": (
        3,
        Recipe(
            channels=4,
            prepare=(Normalise(nonzero=True, channel_wise=True),),
            windows=Windows(patch=(24, 24, 16), overlap=(0.5, 0.5, 0.5), batch=1),
            finish=Finish(activation="sigmoid", select="threshold", merge=((2, 4), (0, 1), (1, 2))),
        ),
    ),
    "whole body": (
        20,
        Recipe(
            prepare=(
                Orient(),
                Space(spacing_mm=(1.5, 1.5, 1.5)),
                Normalise(nonzero=True),
                Rescale(low=-1),
            ),
            windows=Windows(
                patch=(16, 16, 16), overlap=(0.25,) * 3, blend="gaussian", padding="replicate"
            ),
            finish=Finish(invert="after-select", interpolation="nearest"),
        ),
    ),
    "pancreas": (
        3,
        Recipe(
            prepare=(Orient(), Space(spacing_mm=(1, 1, 1)), Window(low=-87, high=199)),
            windows=Windows(patch=(16, 16, 16), overlap=(0.625,) * 3),
        ),
    ),
}


def smooth(where_shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """HU that change over several voxels, as anatomy does."""
    coarse = np.random.default_rng(seed).normal(size=[n // 4 + 2 for n in where_shape]) * 150
    for axis in range(3):
        coarse = coarse.repeat(4, axis)
    k, j, i = where_shape
    return coarse[:k, :j, :i].astype(np.int16)


def network(inputs: int, outputs: int) -> Network:
    """Convolutions with fixed random weights."""
    random = torch.Generator().manual_seed(3)
    layers = torch.nn.Sequential(
        torch.nn.Conv3d(inputs, 8, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv3d(8, outputs, 3, padding=1),
    ).eval()
    for weights in layers.parameters():
        with torch.no_grad():
            weights.copy_(torch.randn(weights.shape, generator=random) * 0.5)
    return layers


@pytest.mark.parametrize("name", RECIPES)
def test_labels_are_monais(name: str) -> None:
    channels, recipe = RECIPES[name]
    where = grid((21, 40, 44), (2.2, 0.9, 0.8), "feet first")
    volumes = [Volume(smooth(where.shape, n), where) for n in range(recipe.channels)]
    net = network(recipe.channels, channels)
    theirs = monai_way.Prepared(volumes, recipe.prepare)
    with torch.no_grad():
        logits = inferer(recipe.windows, batch=2)(theirs.image.as_tensor()[None], net)
    expected = theirs.labels(logits[0].numpy(), recipe.finish)

    steps: list[str] = []
    seconds: dict[str, float] = {}
    found = segment(volumes, recipe, TorchRunner(net), steps.append, seconds)
    assert len(np.unique(expected)) >= min(channels, 4)
    # Two labels may be equally likely, to float32's last bits.
    assert np.count_nonzero(found.labels != expected) <= 2
    assert found.grid is where
    assert steps == ["prepare", "network", "finish"]
    assert list(seconds) == steps
    assert all(took > 0 for took in seconds.values())


def test_a_series_too_few_is_refused() -> None:
    _, recipe = RECIPES["brats"]
    where = grid()
    volumes = [Volume(smooth(where.shape, n), where) for n in range(3)]
    with pytest.raises(ValueError, match="3 volumes for a recipe of 4"):
        segment(volumes, recipe, TorchRunner(network(4, 3)))


class Silent(TorchRunner):
    """Gives an output of half the size for the first row, and never answers after it."""

    def __init__(self) -> None:
        super().__init__(lambda patch: torch.nn.functional.avg_pool3d(patch, 2))
        self.out: list[Future[PatchOutputs]] = []

    def submit(self, patch: PatchInput) -> Future[PatchOutputs]:
        if len(self.out) < 3:
            self.out.append(super().submit(patch))
        else:
            self.out.append(Future())
        return self.out[-1]


def test_a_refused_output_lets_go_of_the_patches_that_are_out() -> None:
    where = grid((24, 40, 40), (1.0, 1.0, 1.0))
    recipe = Recipe(
        prepare=(Orient(),), windows=Windows(patch=(16, 16, 16), overlap=(0.5,) * 3, batch=6)
    )
    runner = Silent()
    with pytest.raises(PatchRefused, match="needs one of the input's size"):
        segment([Volume(smooth(where.shape, 1), where)], recipe, runner)
    assert len(runner.out) > 3
    assert all(future.cancelled() for future in runner.out[3:])
