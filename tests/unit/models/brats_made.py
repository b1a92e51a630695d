"""A BraTS-shaped bundle made on the spot: four channels in, three out, MONAI's layout.

Its one convolution knows what the phantom's tumor looks like and nothing else: enhancing where
T1 after contrast stands out against T1, edema where FLAIR does. It stands in for weights, not
for a model.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from models.spec import CATALOG

STEPS: dict[str, Any] = {
    "image_key": "image",
    "network_def": {
        "_target_": "torch.nn.Conv3d",
        "in_channels": 4,
        "out_channels": 3,
        "kernel_size": 1,
    },
    "network": "$@network_def.to('cpu')",
    "preprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "LoadImaged", "keys": "@image_key"},
            {
                "_target_": "NormalizeIntensityd",
                "keys": "@image_key",
                "nonzero": True,
                "channel_wise": True,
            },
        ],
    },
    "inferer": {
        "_target_": "SlidingWindowInferer",
        "roi_size": [96, 96, 96],
        "sw_batch_size": 1,
        "overlap": 0.25,
    },
    "postprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
            {
                "_target_": "Invertd",
                "keys": "pred",
                "transform": "@preprocessing",
                "orig_keys": "@image_key",
            },
            {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5},
            {
                "_target_": "Lambdad",
                "keys": "pred",
                "func": "$lambda x: torch.where(x[[2]] > 0, 4, "
                "torch.where(x[[0]] > 0, 1, torch.where(x[[1]] > 0, 2, 0)))",
            },
        ],
    },
    "imports": ["$import torch"],
    "checkpointloader": {"load_path": "$@bundle_root + '/models/model.pt'"},
    "bundle_root": ".",
}

METADATA: dict[str, Any] = {
    "version": "1.0.0",
    "name": "Brain tumor parts, made on the spot",
    "network_data_format": {
        "inputs": {
            "image": {
                "type": "image",
                "modality": "MR",
                "spatial_shape": [96, 96, 96],
                "channel_def": {"0": "T1c", "1": "T1", "2": "T2", "3": "FLAIR"},
            }
        },
        "outputs": {
            "pred": {
                "type": "image",
                "num_channels": 3,
                "channel_def": {"0": "core", "1": "whole", "2": "enhancing"},
            }
        },
    },
}


def write_brats_bundle(folder: Path, **keys: str) -> Path:
    """The bundle in ``folder`` with the catalogue's own ``preread.toml`` of BraTS.

    ``keys`` replaces the values of that file's keys, in TOML: ``axial_mm="2.0"``.
    """
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("monai", reason="MONAI is not installed")
    for name in ("configs", "models"):
        (folder / name).mkdir(parents=True)
    (folder / "configs" / "inference.json").write_text(json.dumps(STEPS), encoding="utf-8")
    (folder / "configs" / "metadata.json").write_text(json.dumps(METADATA), encoding="utf-8")
    layer = torch.nn.Conv3d(4, 3, 1)
    with torch.no_grad():
        # In: T1c, T1, T2, FLAIR in deviations from the brain's mean. Out: core, whole, enhancing.
        weights = torch.tensor([[3.0, -3.0, 0, 0], [0, 0, 0, 4.0], [3.0, -3.0, 0, 0]])
        layer.weight.copy_(weights.reshape(3, 4, 1, 1, 1))
        layer.bias.copy_(torch.tensor([-6.0, -7.0, -7.5]))
    path = folder / "models" / "model.pt"
    torch.save(layer.state_dict(), path)
    text = (CATALOG / "brats_mri_segmentation" / "preread.toml").read_text(encoding="utf-8")
    text = text.replace('name = "brats_mri_segmentation"', f'name = "{folder.name}"')
    for key, value in keys.items():
        text, count = re.subn(rf"(?m)^{key} = .*$", f"{key} = {value}", text)
        assert count, key
    sha = hashlib.sha256(path.read_bytes()).hexdigest()
    text += f'\n[files]\nmodel = "models/model.pt"\n[sha256]\nmodel = "{sha}"\n'
    (folder / "preread.toml").write_text(text, encoding="utf-8")
    return folder
