"""A made-up model: its folder, and networks that see what is bright, without any weights."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imaging.geometry import Grid, Point
from imaging.volume import Volume
from models.loaded import LoadedModel
from models.runtime import Batch, Outputs
from models.spec import read_spec

SPEC = """
name = "{name}"
version = "1.0"
task = "lung-nodules"
title = {{en = "Test", zh = "测试"}}
intended_use = {{en = "Tests", zh = "测试"}}
limits = {{en = "All", zh = "全部"}}
[[labels]]
name = {{en = "Lung nodule", zh = "肺结节"}}
code = {{value = "27925004", scheme = "SCT", meaning = {{en = "Nodule", zh = "结节"}}}}
site = {{value = "39607008", scheme = "SCT", meaning = {{en = "Lung", zh = "肺"}}}}
[input]
modality = "CT"
minimum_slices = 20
[operating_point]
score_threshold = 0.5
minimum_lung_ml = 100.0
[files]
detector = "detector.onnx"
mask = "mask.onnx"
[sha256]
detector = "{sha}"
mask = "{sha}"
"""


def write_model(folder: Path, weights: bytes = b"weights") -> Path:
    """A model's folder with files that are no networks."""
    folder.mkdir(parents=True)
    for name in ("detector.onnx", "mask.onnx"):
        (folder / name).write_bytes(weights)
    sha = hashlib.sha256(weights).hexdigest()
    text = SPEC.format(name=folder.name, sha=sha)
    (folder / "preread.toml").write_text(text, encoding="utf-8")
    return folder


def write_bright_model(folder: Path, **changes: str) -> Path:
    """A model's folder whose ONNX networks do what the classes below do.

    ``changes`` replaces text of its ``preread.toml``: ``version="2.0"`` and so on, by key.
    """
    folder.mkdir(parents=True)
    text = SPEC.format(name=folder.name, sha="SHA")
    for key, value in changes.items():
        text, count = re.subn(rf"(?m)^{key} = .*$", f"{key} = {value}", text)
        assert count == 1, key
    for role, network in (("detector", _detector()), ("mask", _mask())):
        (folder / f"{role}.onnx").write_bytes(network)
        sha = hashlib.sha256(network).hexdigest()
        text = text.replace(f'{role} = "SHA"', f'{role} = "{sha}"')
    (folder / "preread.toml").write_text(text, encoding="utf-8")
    return folder


def _detector() -> bytes:
    """:class:`BrightDetector` as ONNX."""
    helper = pytest.importorskip("onnx").helper
    node = helper.make_node
    return _network(
        [
            node("AveragePool", ["x"], ["cells"], kernel_shape=[4, 4, 4], strides=[4, 4, 4]),
            node("Greater", ["cells", "bright"], ["is_bright"]),
            node("Add", ["cells", "three"], ["high"]),
            node("Where", ["is_bright", "high", "low"], ["logits"]),
            node("Mul", ["cells", "zero"], ["nothing"]),
            node("Add", ["nothing", "log_12_mm"], ["size"]),
            node("Concat", ["logits", "size"], ["y"], axis=1),
        ],
        {"bright": 1.6, "three": 3.0, "low": -9.0, "zero": 0.0, "log_12_mm": float(np.log(12.0))},
    )


def _mask() -> bytes:
    """:class:`BrightMask` as ONNX."""
    node = pytest.importorskip("onnx").helper.make_node
    return _network(
        [node("Sub", ["x", "half"], ["above"]), node("Mul", ["above", "steep"], ["y"])],
        {"half": 0.5, "steep": 20.0},
    )


def _network(nodes: list[Any], numbers: dict[str, float]) -> bytes:
    onnx = pytest.importorskip("onnx")
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    shape = ["n", None, None, None, None]
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("x", floats, shape)],
        [helper.make_tensor_value_info("y", floats, shape)],
        [helper.make_tensor(name, floats, [], [value]) for name, value in numbers.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


class Here:
    """What every runtime has besides ``run``."""

    name = "bright"
    device = "cpu"

    def close(self) -> None: ...


class BrightDetector(Here):
    """Cells whose mean is above about 150 HU are nodules of 12 mm."""

    def run(self, batch: Batch) -> Outputs:
        k, j, i = (n // 4 for n in batch.shape[2:])
        cells = batch[:, 0].reshape(-1, k, 4, j, 4, i, 4).mean(axis=(2, 4, 6))
        logits = np.where(cells > 1.6, 3.0 + cells, -9.0)
        maps = np.stack([logits, np.full_like(logits, np.log(12.0))], axis=1)
        return (maps.astype(np.float32),)


class BrightMask(Here):
    """Whatever is denser than about -300 HU."""

    def run(self, batch: Batch) -> Outputs:
        return (np.asarray((batch - 0.5) * 20, np.float32),)


def bright_model(folder: Path) -> LoadedModel:
    """A model that finds bright things in lungs."""
    spec = read_spec(write_model(folder))
    return LoadedModel(spec, {"detector": BrightDetector(), "mask": BrightMask()})


CHEST_SHAPE = (44, 60, 72)
CHEST_MM = (4.0, 3.0, 3.0)


def chest_grid(
    orientation: tuple[float, ...] = (1, 0, 0, 0, 1, 0), *, upside_down: bool = False
) -> Grid:
    """A coarse grid around LPS (0, 0, 0), its slices' normal turned by ``upside_down``."""
    rows, columns = np.array(orientation[:3]), np.array(orientation[3:])
    if upside_down:
        rows = -rows
    step = CHEST_MM[0] * np.cross(rows, columns)
    size = np.array(CHEST_SHAPE) - 1
    first = -(size[0] * step + size[1] * CHEST_MM[1] * columns + size[2] * CHEST_MM[2] * rows) / 2
    return Grid.from_dicom(CHEST_SHAPE, first, [*rows, *columns], CHEST_MM[1:], step)


def chest(
    grid: Grid, balls: tuple[tuple[Point, float, float], ...] = (), *, lung_mm: float = 70.0
) -> Volume:
    """A body with two lungs and balls (centre, diameter mm, HU), the same on every grid.

    ``lung_mm`` is half the lungs' height; above 88 they are cut by the ends of the scan.
    """
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    at = grid.to_lps(index)
    x, y, z = np.moveaxis(at, -1, 0)
    hu = np.full(grid.shape, -1000, np.int16)
    hu[(x / 98) ** 2 + (y / 80) ** 2 <= 1] = 40
    hu[((np.abs(x) - 46) / 34) ** 2 + (y / 52) ** 2 + (z / lung_mm) ** 2 <= 1] = -850
    for centre, diameter, value in balls:
        hu[np.linalg.norm(at - centre, axis=-1) <= diameter / 2] = value
    return Volume(hu, grid)
