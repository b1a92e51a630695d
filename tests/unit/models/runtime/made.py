"""Small ONNX files for the runtimes' tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FREE = ("n", 1, "k", "j", "i")


def write_graph(
    path: Path,
    nodes: Sequence[Any],
    *,
    shape: Sequence[int | str] = FREE,
    outputs: Sequence[tuple[str, int, Sequence[int | str] | None]] = (("y", 1, FREE),),
    constants: dict[str, np.ndarray] | None = None,
    opsets: dict[str, int] | None = None,
    ir_version: int = 8,
    more_inputs: Sequence[str] = (),
) -> Path:
    """A network from ``x`` (float32) to ``outputs``: (name, ONNX's type number, shape)."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        list(nodes),
        "made",
        [value(name, TensorProto.FLOAT, list(shape)) for name in ("x", *more_inputs)],
        [value(name, kind, None if s is None else list(s)) for name, kind, s in outputs],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    imports = [helper.make_opsetid(d, v) for d, v in (opsets or {"": 17}).items()]
    model = helper.make_model(graph, opset_imports=imports)
    model.ir_version = ir_version
    onnx.save(model, str(path))
    return path


def node(kind: str, inputs: str = "x", outputs: str = "y", **attributes: Any) -> Any:
    """One operator; several names are split at spaces."""
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)
