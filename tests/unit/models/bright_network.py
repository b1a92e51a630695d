"""A tiny real network, its ONNX file and its model's folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import nn

from models.spec import ModelSpec, read_spec

SPEC = """
name = "{name}"
version = "1"
task = "segmentation"
title = {{en = "Test", zh = "测试"}}
intended_use = {{en = "Tests", zh = "测试"}}
limits = {{en = "All", zh = "全部"}}
[[labels]]
name = {{en = "Lesion", zh = "病灶"}}
code = {{value = "52988006", scheme = "SCT", meaning = {{en = "Lesion", zh = "病灶"}}}}
site = {{value = "10200004", scheme = "SCT", meaning = {{en = "Liver", zh = "肝"}}}}
[recipe]
prepare = [{{kind = "window", low = -100.0, high = 300.0}}]
windows = {{patch = [16, 16, 16]}}
[runtime]
dice_loss = 0.02
[files]
network = "network.onnx"
[sha256]
network = "{sha256}"
"""


class Bright(nn.Module):
    """Marks what is bright on the mean of 3 x 3 x 3 voxels.

    With an ``outlier`` one of the channels is that much larger than the other, and carries
    nothing: eight bits for both leave the other one nothing.
    """

    def __init__(self, outlier: float) -> None:
        super().__init__()
        self.mean = nn.Conv3d(1, 2, 3, padding=1, bias=False)
        self.answer = nn.Conv3d(2, 2, 1)
        with torch.no_grad():
            self.mean.weight[0] = outlier / 27
            self.mean.weight[1] = 1 / 27
            self.answer.weight.zero_()
            self.answer.weight[1, 1] = 40.0
            self.answer.weight[0, 0] = 1e-9
            self.answer.bias.copy_(torch.tensor([0.0, -20.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.answer(torch.relu(self.mean(x)))
        return result


def write_model(folder: Path, outlier: float) -> ModelSpec:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "network.onnx"
    axes = {0: "n", 2: "x", 3: "y", 4: "z"}
    torch.onnx.export(
        Bright(outlier).eval(), (torch.rand(1, 1, 16, 16, 16),), str(path), dynamo=False,
        input_names=["image"], output_names=["logits"], opset_version=17,
        dynamic_axes={"image": axes, "logits": axes},
    )  # fmt: skip
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "preread.toml").write_text(
        SPEC.format(name=folder.name, sha256=sha256), encoding="utf-8"
    )
    return read_spec(folder)
