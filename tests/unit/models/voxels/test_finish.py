"""The way back to the source grid gives MONAI's labels."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from imaging.geometry import Grid
from models.errors import PatchRefused, SpecError
from models.recipe import CropForeground, Finish, Orient, PrepareStep, Space
from models.voxels.blend import Block
from models.voxels.finish import Finishing, finish, labels_back
from models.voxels.frames import image_of
from models.voxels.prepare import prepare
from models.voxels.selection import MOST_CONFIDENT
from tests.unit.models import monai_way
from tests.unit.models.monai_way import grid, noise
from tests.unit.models.voxels.test_prepare import GRIDS, RECIPES, Steps, grids, recipes

SPLEEN = RECIPES["spleen"]
FINISHES = {
    "spleen": (2, Finish()),
    "swin": (7, Finish()),
    "brats": (
        3,
        Finish(activation="sigmoid", select="threshold", merge=((2, 4), (0, 1), (1, 2))),
    ),
    "whole body": (9, Finish(invert="after-select", interpolation="nearest")),
    "nearest, then select": (4, Finish(interpolation="nearest")),
    "logits": (3, Finish(activation="none")),
    "two logits": (2, Finish(activation="none")),
    "two sigmoids": (2, Finish(activation="sigmoid")),
    "thresholds after": (
        2,
        Finish(activation="sigmoid", select="threshold", threshold=0.3, invert="after-select"),
    ),
    "one channel": (1, Finish(activation="sigmoid", select="threshold", threshold=0.7)),
}


def blobs(shape: tuple[int, ...], channels: int, seed: int = 0) -> NDArray[np.float32]:
    """Logits that agree over some voxels, with noise."""
    random = np.random.default_rng(seed)
    coarse = random.normal(size=(channels, *(n // 3 + 1 for n in shape))) * 3
    for axis in (1, 2, 3):
        coarse = coarse.repeat(3, axis)
    x, y, z = shape
    fine = coarse[:, :x, :y, :z] + random.normal(size=(channels, *shape)) * 0.5
    return fine.astype(np.float32)


def compare(where: Grid, steps: Steps, how: Finish, channels: int, allowed: int = 0) -> None:
    volume = noise(where)
    volume.voxels[-1, -1, -1] = 900
    theirs = monai_way.Prepared([volume], steps)
    ours = prepare(image_of([volume]), steps)
    logits = blobs(ours.voxels.shape[1:], channels)
    found = finish(logits.copy(), how, ours.trail, where)
    expected = theirs.labels(logits, how)
    assert found.labels.shape == where.shape
    assert np.count_nonzero(found.labels != expected) <= allowed
    if found.confidence is None or how.invert == "after-select":
        return
    chances = theirs.probabilities(logits, how)
    pairs = how.merge or [(n, n + (how.select == "threshold")) for n in range(channels)]
    for channel, label in pairs:
        at = (expected == label) & (found.labels == label)
        sure = found.confidence[at].astype(np.float32)
        if label == 0:
            assert not sure.any()
        else:
            assert np.abs(sure - chances[channel][at] * 255).max(initial=0) <= 0.51


@pytest.mark.parametrize("how", FINISHES)
@pytest.mark.parametrize("where", ["axial", "feet first", "coronal", "sagittal", "thin slices"])
def test_labels_are_monais(where: str, how: str) -> None:
    channels, wanted = FINISHES[how]
    compare(GRIDS[where], SPLEEN, wanted, channels)


@pytest.mark.parametrize("how", ["spleen", "swin", "brats"])
@pytest.mark.parametrize("steps", ["brats", "vista", "padded crop", "crop first"])
def test_after_crops_and_without_a_spacing(steps: str, how: str) -> None:
    channels, wanted = FINISHES[how]
    compare(GRIDS["axial"], RECIPES[steps], wanted, channels)


@pytest.mark.parametrize("how", ["spleen", "swin", "brats"])
@pytest.mark.parametrize(
    "where", ["oblique", "hardly oblique", "tilted gantry", "tilted and turned", "one slice"]
)
def test_oblique_and_sheared(where: str, how: str) -> None:
    channels, wanted = FINISHES[how]
    compare(GRIDS[where], SPLEEN, wanted, channels, allowed=1)


@pytest.mark.parametrize("where", ["tilted gantry", "tilted and turned"])
def test_nearest_on_sheared_grids(where: str) -> None:
    channels, wanted = FINISHES["whole body"]
    compare(GRIDS[where], RECIPES["vista"], wanted, channels, allowed=1)


@given(grids(), recipes(), st.sampled_from(sorted(FINISHES)))
@settings(max_examples=40, deadline=None)
def test_any_way_back_on_any_grid_along_the_patient(where: Grid, steps: Steps, how: str) -> None:
    channels, wanted = FINISHES[how]
    spaced: list[PrepareStep] = [
        step.model_copy(update={"interpolation": "linear"}) if isinstance(step, Space) else step
        for step in steps
    ]
    # One voxel of some thousands may lie half way between two labels, to float32's last bit.
    compare(where, tuple(spaced), wanted, channels, allowed=1)


def test_block_by_block_is_the_whole() -> None:
    volume = noise(GRIDS["coronal"])
    ours = prepare(image_of([volume]), SPLEEN)
    logits = blobs(ours.voxels.shape[1:], 5)
    whole = finish(logits.copy(), Finish(), ours.trail, volume.grid)
    finishing = Finishing(Finish(), ours.trail, volume.grid)
    x, y, z = logits.shape[1:]
    for a in (slice(0, 4), slice(4, x)):
        for b in (slice(0, 9), slice(9, y)):
            box = (a, b, slice(0, z))
            finishing.add(Block(0, box, (x, y, z), logits[(slice(None), *box)].copy()))
    found = finishing.label_map()
    assert np.array_equal(found.labels, whole.labels)
    assert found.confidence is not None
    assert whole.confidence is not None
    assert np.array_equal(found.confidence, whole.confidence)


def test_labels_of_their_own_go_back_from_the_nearest_voxel() -> None:
    volume = noise(GRIDS["axial"], rim=2)
    steps = (Orient(), CropForeground(), Space(spacing_mm=(1.1, 1.3, 1.7)))
    trail = prepare(image_of([volume]), steps).trail
    labels = np.random.default_rng(1).integers(1, 5, trail.working).astype(np.uint16)
    one_hot = np.stack([(labels == n) for n in range(5)]).astype(np.float32)
    expected = finish(
        one_hot, Finish(activation="none", interpolation="nearest"), trail, volume.grid
    )
    found = labels_back(labels, trail, volume.grid)
    assert found.dtype == np.uint16
    assert np.array_equal(found, expected.labels)
    assert not found[:2].any()
    assert found[2:-2, 2:-2, 2:-2].all()


def test_nothing_found_is_an_empty_map() -> None:
    volume = noise(GRIDS["axial"])
    trail = prepare(image_of([volume]), SPLEEN).trail
    for channels, how in FINISHES.values():
        logits = np.full((channels, *trail.working), -5, np.float32)
        logits[0] = 5 if how.select == "argmax" else -5
        assert not finish(logits, how, trail, volume.grid).labels.any()


def test_labels_above_255_and_many_channels() -> None:
    volume = noise(grid((4, 5, 6)))
    trail = prepare(image_of([volume]), ()).trail
    logits = np.zeros((300, 6, 5, 4), np.float32)
    logits[299, 1, 2, 3] = 1
    found = finish(logits, Finish(), trail, volume.grid)
    assert found.labels.dtype == np.uint16
    assert found.labels[3, 2, 1] == 299
    assert found.confidence is None
    few = finish(logits[:MOST_CONFIDENT], Finish(), trail, volume.grid)
    assert few.confidence is not None


def test_an_output_of_another_size_is_refused() -> None:
    volume = noise(GRIDS["axial"])
    trail = prepare(image_of([volume]), SPLEEN).trail
    with pytest.raises(PatchRefused, match="needs one of the input's size"):
        finish(np.zeros((2, 4, 4, 4), np.float32), Finish(), trail, volume.grid)


@pytest.mark.parametrize("merge", [((2, 1),), ((-1, 1),), ((0, 0),)])
def test_a_channel_or_label_that_is_none_is_refused(merge: tuple[tuple[int, int], ...]) -> None:
    volume = noise(GRIDS["axial"])
    trail = prepare(image_of([volume]), ()).trail
    how = Finish(select="threshold", activation="sigmoid", merge=merge)
    with pytest.raises(SpecError, match="merge"):
        finish(np.zeros((2, *trail.working), np.float32), how, trail, volume.grid)


@pytest.mark.parametrize("how", ["spleen", "brats", "whole body"])
def test_channels_are_never_whole_on_the_source_grid(how: str) -> None:
    channels, wanted = FINISHES[how]
    volume = noise(grid((80, 128, 128), (1.0, 0.7, 0.7)))
    trail = prepare(image_of([volume]), SPLEEN).trail
    logits = blobs(trail.working, channels)
    tracemalloc.start()
    found = finish(logits, wanted, trail, volume.grid)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    results = 2 * found.labels.nbytes
    # Activations of the one block that is everything here, and what is kept of them.
    assert peak < results + 4 * logits.nbytes + (1 << 20)
    assert peak < channels * volume.grid.shape[0] * 128 * 128 * 4
