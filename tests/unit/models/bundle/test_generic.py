"""MONAI's own transforms around our network run: what goes in, what comes out, what fails."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.bundle.config import Config
from models.bundle.generic import MonaiPlan, read_plan, segment
from models.errors import OutOfMemory, SpecError
from models.runner import Direct, PatchInput, PatchOutputs
from models.runtime import Batch, Outputs
from models.sections import NetworkSection
from tests.unit.models.bundle.made import volume

SHAPE = (6, 10, 8)
WHOLE = {"_target_": "SimpleInferer"}


class Arithmetic:
    """A runtime whose network is a function of the batch."""

    name = "arithmetic"
    device = "cpu"

    def __init__(self, function: Callable[[Batch], np.ndarray]) -> None:
        self._function = function

    def run(self, batch: Batch) -> Outputs:
        return (self._function(batch),)

    def close(self) -> None:
        pass


def bright(batch: Batch) -> np.ndarray:
    """Two channels: the second wins where the sum of the inputs is above 0."""
    total = batch.sum(axis=1, keepdims=True)
    return np.concatenate([-total, total], axis=1)


def plan_of(shared: Path, **overrides: Any) -> MonaiPlan:
    section = NetworkSection(overrides={k.replace("__", "#"): v for k, v in overrides.items()})
    return read_plan(Config.read(shared / "bundles" / "spleen_ct_segmentation", section))


def plain(**arguments: Any) -> dict[str, Any]:
    """A preprocessing that takes two series under two keys."""
    steps = [
        {"_target_": "LoadImaged", "keys": ["late", "early"], **arguments},
        {"_target_": "EnsureChannelFirstd", "keys": ["late", "early"]},
        {"_target_": "ConcatItemsd", "keys": ["late", "early"], "name": "image"},
    ]
    return {"_target_": "Compose", "transforms": steps}


def test_series_go_in_under_their_keys(shared_data: Path) -> None:
    plan = plan_of(
        shared_data,
        preprocessing=plain(),
        inferer=WHOLE,
        network_def__in_channels=2,
        postprocessing={
            "_target_": "Compose",
            "transforms": [{"_target_": "AsDiscreted", "keys": "pred", "argmax": True}],
        },
    )
    assert plan.keys == ("late", "early") and plan.channels == 2
    late, early = (volume(SHAPE, seed=n) for n in (3, 4))
    steps: list[str] = []
    seconds: dict[str, float] = {}
    found = segment([late, early], plan, Direct(Arithmetic(bright)), steps.append, seconds)
    expected = (late.voxels.astype(np.float32) + early.voxels) > 0
    assert np.array_equal(found.labels, expected)
    assert found.grid is late.grid and found.labels.dtype == np.uint8
    assert steps == ["prepare", "network", "finish"] == list(seconds)
    with pytest.raises(ValueError, match="1 volumes for a bundle of 2 channels"):
        segment([late], plan, Direct(Arithmetic(bright)))


def test_channels_that_are_not_exclusive(shared_data: Path) -> None:
    """The first channel that is set names the voxel."""
    plan = plan_of(
        shared_data,
        inferer=WHOLE,
        preprocessing={
            "_target_": "Compose", "transforms": [{"_target_": "LoadImaged", "keys": "image",
                                                   "ensure_channel_first": True}],
        },
        postprocessing={
            "_target_": "Compose",
            "transforms": [{"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5}],
        },
    )  # fmt: skip
    scan = volume(SHAPE)

    def network(batch: Batch) -> np.ndarray:
        return np.concatenate([batch > 100, batch > 0], axis=1).astype(np.float32)

    found = segment([scan], plan, Direct(Arithmetic(network)))
    assert np.array_equal(found.labels, np.select([scan.voxels > 100, scan.voxels > 0], [1, 2]))


def test_a_result_that_is_no_label_map(shared_data: Path) -> None:
    post = {"_target_": "Compose", "transforms": [
        {"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
        {"_target_": "Lambdad", "keys": "pred", "func": "$lambda x: x[[1]] * 0.5"},
    ]}  # fmt: skip
    plan = plan_of(shared_data, inferer=WHOLE, postprocessing=post)
    with pytest.raises(SpecError, match="values that are no label numbers, .*AsDiscreted"):
        segment([volume(SHAPE)], plan, Direct(Arithmetic(bright)))


def test_a_step_that_fails_is_named(shared_data: Path) -> None:
    missing = {"_target_": "Identityd", "keys": "label"}
    plan = plan_of(shared_data, inferer=WHOLE, preprocessing__transforms__5=missing)
    with pytest.raises(SpecError, match=r"spleen_ct_segmentation: preprocessing fails: KeyError"):
        segment([volume(SHAPE)], plan, Direct(Arithmetic(bright)))


@pytest.mark.parametrize("inferer", [WHOLE, None], ids=["MONAI's", "ours"])
def test_what_the_network_raises_comes_through(
    shared_data: Path, inferer: dict[str, Any] | None
) -> None:
    def no_room(batch: Batch) -> np.ndarray:
        raise OutOfMemory("no room for this batch")

    plan = plan_of(shared_data, **({"inferer": inferer} if inferer else {}))
    with pytest.raises(OutOfMemory, match="no room"):
        segment([volume(SHAPE)], plan, Direct(Arithmetic(no_room)))


def test_windows_are_submitted_one_by_one(shared_data: Path) -> None:
    """So that patches of several studies can share a batch."""
    shapes: list[tuple[int, ...]] = []

    class Watching(Direct):
        def submit(self, patch: PatchInput) -> Future[PatchOutputs]:
            shapes.append(patch.shape)
            return super().submit(patch)

    plan = plan_of(shared_data, inferer__roi_size=[8, 8, 8])
    segment([volume((12, 20, 20))], plan, Watching(Arithmetic(bright)))
    assert set(shapes) == {(1, 8, 8, 8)} and len(shapes) > 1
