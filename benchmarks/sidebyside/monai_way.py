"""MONAI's own way: the bundle's transforms, SlidingWindowInferer, PyTorch as it is.

What ``monai.bundle run`` does, without its DataLoader, handlers and files (which would only
add time): LoadImaged to AsDiscreted, float32 on the CPU, mixed precision (AMP) on CUDA.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.sidebyside.timed import Timed


def open_monai(bundle: Path, device: str) -> Callable[[Path], Timed]:
    """Load the bundle as MONAI does; gives what runs it over one study.

    The mask is turned to (k, j, i) with k growing towards the head, for a comparison.
    """
    import torch
    from monai.bundle import ConfigParser
    from monai.transforms import LoadImaged

    parser = ConfigParser()
    parser.read_config(bundle / "configs" / "inference.json")
    parser["bundle_root"] = str(bundle)
    parser["device"] = torch.device(device)
    network = parser.get_parsed_content("network")
    state = torch.load(bundle / "models" / "model.pt", map_location=device, weights_only=True)
    network.load_state_dict(state)
    network.eval()
    inferer = parser.get_parsed_content("inferer")
    preprocessing = parser.get_parsed_content("preprocessing")
    postprocessing = parser.get_parsed_content("postprocessing")
    cuda = device.startswith("cuda")

    def run(study: Path) -> Timed:
        seconds: dict[str, float] = {}
        began = last = time.perf_counter()

        def lap(step: str) -> None:
            nonlocal last
            if cuda:
                torch.cuda.synchronize()
            now = time.perf_counter()
            seconds[step] = seconds.get(step, 0.0) + now - last
            last = now

        data: Any = {"image": str(study)}
        for transform in preprocessing.transforms:
            data = transform(data)
            lap("read" if isinstance(transform, LoadImaged) else "prepare")
        with torch.inference_mode(), torch.autocast("cuda", enabled=cuda):
            data["pred"] = inferer(data["image"][None].to(device), network)[0]
        lap("network")
        for transform in postprocessing.transforms:
            data = transform(data)
        mask = data["pred"].cpu().numpy()[0].astype(np.uint8)
        lap("finish")
        total = time.perf_counter() - began
        return Timed(total, seconds, _upright(mask, data["pred"].affine.numpy()))

    return run


def _upright(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """(x, y, z) with an affine to RAS mm, to (k, j, i) growing to head, back and left.

    Raises:
        ValueError: the axes are not the patient's.
    """
    turned = np.ascontiguousarray(mask.transpose(2, 1, 0))
    directions = affine[:3, :3][:, ::-1]
    for axis, (row, sign) in enumerate(((2, 1), (1, -1), (0, -1))):
        column = directions[:, axis]
        if abs(column[row]) < 0.99 * np.linalg.norm(column):
            raise ValueError(f"axes {affine.tolist()} are not the patient's")
        if column[row] * sign < 0:
            turned = np.flip(turned, axis)
    return turned
