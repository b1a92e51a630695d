"""Published bundles through our pipeline and through MONAI's own workflow: the same masks.

The config files are the real ones; weights are made on the spot. In the quick tests the sliding
windows are smaller, on both sides; the slow ones change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from imaging.volume import Volume
from models.bundle import generic, open_bundle
from models.recipe import Recipe
from models.runner import Direct
from models.runtime.source import RuntimeOptions, TorchNetwork
from models.runtime.torch import TorchRuntime
from models.sections import NetworkSection
from models.voxels.labelmap import LabelMap
from models.voxels.segmentation import segment
from tests.unit.models.bundle.made import published, save_weights, signal, volume
from tests.unit.models.bundle.theirs import run_workflow, saved_image

EQUAL = 0.9999
"""Part of the voxels that must have the same label."""
TIE = 1e-3
"""Where labels differ, the two probabilities are nearer than this."""

THREADS = 1
"""Tests share the machine."""

# What MONAI's own workflow needs to run here: DiNTS's search code is a pickle with NumPy
# arrays and says cuda; SwinUNETR lost an argument; ITK is not installed.
THEIRS: Mapping[str, Mapping[str, Any]] = {
    "pancreas_ct_dints_segmentation": {
        "arch_ckpt": "$torch.load(@arch_ckpt_path, map_location='cpu', weights_only=False)",
        "dints_space::device": "cpu",
    },
    "swin_unetr_btcv_segmentation": {
        "preprocessing::transforms::0::reader": None,
        "network_def": {
            "_target_": "SwinUNETR", "spatial_dims": 3, "in_channels": 1, "out_channels": 14,
            "feature_size": 48, "use_checkpoint": False,
        },
    },
}  # fmt: skip
SMALLER = {
    "spleen_ct_segmentation": [16, 32, 16],
    "pancreas_ct_dints_segmentation": [32, 32, 32],
    "brats_mri_segmentation": [32, 32, 16],
    "swin_unetr_btcv_segmentation": [64, 64, 64],
    "wholeBody_ct_segmentation": [32, 32, 32],
}
NOTHING = {"_target_": "Identityd", "keys": "pred"}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    yield
    torch.set_num_threads(before)


def ours(folder: Path, volumes: Sequence[Volume], section: NetworkSection) -> LabelMap:
    opened = open_bundle(folder, section)
    assert isinstance(opened.source, TorchNetwork)
    runner = Direct(TorchRuntime(opened.source, RuntimeOptions(device="cpu", threads=THREADS)))
    if isinstance(opened.plan, Recipe):
        return segment(volumes, opened.plan, runner)
    return generic.segment(volumes, opened.plan, runner)


def compare(
    folder: Path, volumes: Sequence[Volume], overrides: Mapping[str, Any], tmp_path: Path
) -> None:
    """Same masks but for float ties, which the probabilities must show to be ties."""
    theirs = dict(THEIRS.get(folder.name, {})) | {
        key.replace("#", "::"): value for key, value in overrides.items()
    }
    expected = run_workflow(folder, volumes, tmp_path / "theirs", theirs)
    found = ours(folder, volumes, NetworkSection(overrides=dict(overrides))).labels
    assert found.shape == expected.shape == volumes[0].grid.shape
    counts = np.bincount(expected.ravel())
    assert (counts > 0.001 * expected.size).sum() >= 2, "one label alone would prove nothing"
    different = found != expected
    assert different.mean() <= 1 - EQUAL
    if different.any():
        assert margins(folder, volumes, theirs, tmp_path)[different].max() < TIE


def margins(
    folder: Path, volumes: Sequence[Volume], theirs: dict[str, Any], tmp_path: Path
) -> np.ndarray:
    """How far MONAI's probabilities are from a tie, (k, j, i)."""
    steps = {"brats_mri_segmentation": (2, 3), "wholeBody_ct_segmentation": (1,)}
    for step in steps.get(folder.name, (2,)):
        theirs = theirs | {f"postprocessing::transforms::{step}": NOTHING}
    values = saved_image(folder, volumes, tmp_path / "margins", theirs)
    if folder.name == "brats_mri_segmentation":
        return np.abs(values - 0.5).min(axis=-1).transpose(2, 1, 0)
    best = np.sort(values, axis=-1)
    return (best[..., -1] - best[..., -2]).transpose(2, 1, 0)


def volumes_for(name: str) -> list[Volume]:
    if "brats" in name:
        return signal(4)
    return [volume((16, 23, 20))] if "dints" in name else [volume()]


LARGE = ("swin_unetr_btcv_segmentation", "pancreas_ct_dints_segmentation")
"""Networks that take long over the smallest window; the slow tests compare them."""


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in LARGE else ()) for n in SMALLER]
)
def test_masks_equal_monais_with_smaller_windows(
    shared_data: Path, tmp_path: Path, name: str
) -> None:
    folder = published(shared_data, name, tmp_path)
    save_weights(folder)
    compare(folder, volumes_for(name), {"inferer#roi_size": SMALLER[name]}, tmp_path)


def test_axes_that_run_otherwise(shared_data: Path, tmp_path: Path) -> None:
    """A sagittal series from right to left, rows from head to foot."""
    folder = published(shared_data, "spleen_ct_segmentation", tmp_path)
    save_weights(folder)
    turned = volume((20, 40, 36), (2.25, 1.125, 1.375), axes=((0, -1), (2, -1), (1, 1)))
    compare(folder, [turned], {"inferer#roi_size": [32, 16, 32]}, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLER)
def test_masks_equal_monais_as_published(shared_data: Path, tmp_path: Path, name: str) -> None:
    folder = published(shared_data, name, tmp_path)
    save_weights(folder)
    shape = (48, 56, 56)
    volumes = signal(4, shape) if "brats" in name else [volume(shape)]
    compare(folder, volumes, {}, tmp_path)


STEP = "preprocessing#transforms#"
POST = "postprocessing#transforms#"


@pytest.mark.parametrize(
    "overrides",
    [
        pytest.param(
            {STEP + "4": {"_target_": "ScaleIntensityRangePercentilesd", "keys": "image",
                          "lower": 2, "upper": 98, "b_min": 0, "b_max": 1, "clip": True}},
            id="another scaling",
        ),
        pytest.param(
            {STEP + "3": {"_target_": "Resized", "keys": "image", "spatial_size": [48, 32, 32]},
             "inferer": {"_target_": "SimpleInferer"}},
            id="resized and whole",
        ),
        pytest.param(
            {"inferer#sigma_scale": [0.1, 0.2, 0.125], "inferer#mode": "gaussian"},
            id="another blending",
        ),
        pytest.param(
            {POST + "3": {"_target_": "KeepLargestConnectedComponentd", "keys": "pred",
                          "applied_labels": [1]}},
            id="largest piece",
        ),
        pytest.param(
            {POST + "3": {"_target_": "Lambdad", "keys": "pred",
                          "func": "$lambda x: torch.where(x > 0, 3, 0)"}},
            id="a lambda",
        ),
    ],
)  # fmt: skip
def test_bundles_that_no_recipe_says_equal_monais(
    shared_data: Path, tmp_path: Path, overrides: dict[str, Any]
) -> None:
    """Steps are put in the place of others; MONAI's workflow saves at its end, after them."""
    folder = published(shared_data, "spleen_ct_segmentation", tmp_path)
    save_weights(folder)
    windows = {} if "inferer" in overrides else {"inferer#roi_size": [16, 32, 16]}
    section = NetworkSection(overrides=windows | overrides)
    assert isinstance(open_bundle(folder, section).plan, generic.MonaiPlan)
    theirs = {key.replace("#", "::"): value for key, value in section.overrides.items()}
    last = theirs.pop("postprocessing::transforms::3", None)
    if last is not None:
        # what is to be saved is there already, with the step that is being tried before it
        theirs["postprocessing::transforms::2"] = {
            "_target_": "Compose",
            "transforms": [{"_target_": "AsDiscreted", "keys": "pred", "argmax": True}, last],
        }
    expected = run_workflow(folder, [volume()], tmp_path / "theirs", theirs)
    found = ours(folder, [volume()], section)
    assert len(np.unique(expected)) == 2
    assert (found.labels == expected).mean() >= EQUAL


def test_labels_come_back_by_the_nearest_voxel(
    shared_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A published order (prostate_mri_anatomy) that would interpolate label numbers."""
    folder = published(shared_data, "spleen_ct_segmentation", tmp_path)
    save_weights(folder)
    largest = {"_target_": "KeepLargestConnectedComponentd", "keys": "pred", "applied_labels": [1]}
    inverse = {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing",
               "orig_keys": "image", "nearest_interp": False}  # fmt: skip
    argmax = {"_target_": "AsDiscreted", "keys": "pred", "argmax": True}
    overrides = {
        "inferer#roi_size": [16, 32, 16], POST + "0": argmax, POST + "1": largest,
        POST + "2": inverse,
    }  # fmt: skip
    found = ours(folder, [volume()], NetworkSection(overrides=overrides))
    assert "the nearest label is taken" in caplog.text
    theirs = {key.replace("#", "::"): value for key, value in overrides.items()}
    theirs["postprocessing::transforms::2"] = inverse | {"nearest_interp": True}
    expected = run_workflow(folder, [volume()], tmp_path / "theirs", theirs)
    assert len(np.unique(expected)) == 2
    assert (found.labels == expected).mean() >= EQUAL


def test_a_result_that_did_not_go_back_is_brought_back(shared_data: Path, tmp_path: Path) -> None:
    """Without ``Invertd`` each voxel takes the label nearest to it on the working grid."""
    folder = published(shared_data, "spleen_ct_segmentation", tmp_path)
    save_weights(folder)
    windows = {"inferer#roi_size": [16, 32, 16]}
    nearest = windows | {POST + "1#nearest_interp": True}
    without = windows | {POST + "1": NOTHING}
    scan = volume(spacing_mm=(2.3, 1.3, 1.3))  # no voxel lies midway between two others
    expected = ours(folder, [scan], NetworkSection(overrides=nearest))
    found = ours(folder, [scan], NetworkSection(overrides=without))
    assert (found.labels == expected.labels).mean() > 0.99
