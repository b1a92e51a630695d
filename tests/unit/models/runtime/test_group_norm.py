"""GroupNorm in the PyTorch runtime: exact, although convolutions run channels last."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from models.runtime.source import RuntimeOptions, TorchNetwork, TorchScriptFile
from models.runtime.torch import TorchRuntime

SIDE = 96


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(4, 16, 3, padding=1), nn.GroupNorm(8, 16), nn.Conv3d(16, 2, 1))


@pytest.mark.parametrize("scripted", [False, True])
def test_a_large_patch_is_normed_as_exactly_as_in_double(tmp_path: Path, scripted: bool) -> None:
    source: TorchNetwork | TorchScriptFile = TorchNetwork("net", network, 4, (SIDE,) * 3)
    if scripted:
        path = tmp_path / "net.ts"
        torch.jit.script(network()).save(path)
        source = TorchScriptFile(path)
    image = np.random.default_rng(0).normal(size=(1, 4, SIDE, SIDE, SIDE)).astype(np.float32)
    image[:, :, SIDE // 3 :] = 0  # as where a volume is padded
    (found,) = TorchRuntime(source, RuntimeOptions(device="cpu", threads=1)).run(image)
    with torch.inference_mode():
        expected = network().double()(torch.from_numpy(image).double()).numpy()
    assert np.abs(found - expected).max() < 1e-5
