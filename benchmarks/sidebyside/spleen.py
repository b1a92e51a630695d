"""The network that is measured: a UNet of MONAI's, as the zoo's spleen model has it.

Its figures stand here as values; its weights are made on the spot. A few seconds of training
on the study itself make it outline the dense soft tissue: a mask like an organ's, so that what
comes after the network has real work.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from torch import nn

from benchmarks.sidebyside.studies import load_volume
from models.recipe import Finish, Orient, Recipe, Space, Window, Windows
from models.voxels.frames import image_of
from models.voxels.prepare import prepare

NAME = "spleen_ct_segmentation"
PATCH = (96, 96, 96)
STEPS = 30

NETWORK: dict[str, Any] = {
    "_target_": "UNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 2,
    "channels": [16, 32, 64, 128, 256],
    "strides": [2, 2, 2, 2],
    "num_res_units": 2,
    "norm": "batch",
}

RECIPE = Recipe(
    prepare=(Orient(axes="RAS"), Space(spacing_mm=(1.5, 1.5, 2.0)), Window(low=-57, high=164)),
    windows=Windows(patch=PATCH, overlap=(0.5, 0.5, 0.5), batch=4),
    finish=Finish(activation="softmax", select="argmax", invert="before-select"),
)
"""What CONFIG says, for the training below."""

CONFIG: dict[str, Any] = {
    "imports": [],
    "bundle_root": ".",
    "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
    "network_def": NETWORK,
    "network": "$@network_def.to(@device)",
    "preprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "LoadImaged", "keys": "image"},
            {"_target_": "EnsureChannelFirstd", "keys": "image"},
            {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
            {"_target_": "Spacingd", "keys": "image", "pixdim": [1.5, 1.5, 2.0],
             "mode": "bilinear"},
            {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": -57, "a_max": 164,
             "b_min": 0, "b_max": 1, "clip": True},
            {"_target_": "EnsureTyped", "keys": "image"},
        ],
    },
    "inferer": {
        "_target_": "SlidingWindowInferer",
        "roi_size": list(PATCH),
        "sw_batch_size": 4,
        "overlap": 0.5,
    },
    "postprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "Activationsd", "keys": "pred", "softmax": True},
            {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing",
             "orig_keys": "image", "nearest_interp": False, "to_tensor": True},
            {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
        ],
    },
    "checkpointloader": {
        "_target_": "CheckpointLoader",
        "load_path": "$@bundle_root + '/models/model.pt'",
        "load_dict": {"model": "@network"},
    },
}  # fmt: skip

DESCRIPTION = """
name = "{name}"
version = "0"
task = "segmentation"
title = {{en = "Benchmark", zh = "性能测试"}}
intended_use = {{en = "Measures speed", zh = "测量速度"}}
limits = {{en = "Finds nothing of meaning", zh = "结果无意义"}}
[[labels]]
index = 1
kind = "organ"
name = {{en = "Spleen", zh = "脾"}}
code = {{value = "78961009", scheme = "SCT", meaning = {{en = "Spleen", zh = "脾"}}}}
site = {{value = "78961009", scheme = "SCT", meaning = {{en = "Spleen", zh = "脾"}}}}
[input]
maximum_slice_mm = 20.0
[network]
kind = "monai-bundle"
[files]
weights = "models/model.pt"
[sha256]
weights = "{sha256}"
"""


def make_bundle(folder: Path, study: Path) -> Path:
    """A bundle with ``preread.toml``, its network trained on a study.

    Args:
        folder: to be made; its name must be :data:`NAME`.
        study: DICOM files of one series.
    """
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "configs" / "inference.json").write_text(json.dumps(CONFIG, indent=2))
    metadata = {"version": "0", "monai_version": "1.4.0", "name": NAME}
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    weights = folder / "models" / "model.pt"
    torch.save(trained(study).state_dict(), weights)
    (folder / "preread.toml").write_text(
        DESCRIPTION.format(name=NAME, sha256=hashlib.sha256(weights.read_bytes()).hexdigest()),
        encoding="utf-8",
    )
    return folder


def build() -> nn.Module:
    """The network without its weights, through MONAI's own config."""
    from monai.bundle import ConfigParser

    network: nn.Module = ConfigParser({"network_def": NETWORK}).get_parsed_content("network_def")
    return network


def trained(study: Path) -> nn.Module:
    """The network after :data:`STEPS` steps of marking dense tissue in a study.

    The target is where the windowed image, smoothed over about 10 mm, is bright.
    """
    volume = load_volume(study)
    image = np.ascontiguousarray(prepare(image_of([volume]), RECIPE.prepare).voxels)
    smooth = sitk.GetArrayFromImage(sitk.DiscreteGaussian(sitk.GetImageFromArray(image[0]), 8.0))
    target = smooth > 0.45
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network = build().train()
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(STEPS):
        patches, answers = zip(*(_crop(image, target, rng) for _ in range(2)), strict=True)
        optimiser.zero_grad()
        outputs = network(torch.from_numpy(np.stack(patches)))
        nn.functional.cross_entropy(outputs, torch.from_numpy(np.stack(answers))).backward()
        optimiser.step()
    return network.eval()


def _crop(
    image: np.ndarray, target: np.ndarray, rng: np.random.Generator, side: int = 64
) -> tuple[np.ndarray, np.ndarray]:
    at = [int(rng.integers(0, n - side + 1)) for n in target.shape]
    box = tuple(slice(a, a + side) for a in at)
    return image[(slice(None), *box)], target[box].astype(np.int64)
