"""Network files that can't be run as they are, and what each runtime says of them."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from models.errors import InferenceFailed, RuntimeMissing, SpecError
from models.runtime import Runtime
from models.runtime.onnx import OnnxRuntime
from models.runtime.openvino import MOST_SHAPES, OpenVinoRuntime
from models.runtime.source import (
    OnnxFile,
    Precision,
    RuntimeOptions,
    TorchNetwork,
    TorchScriptFile,
)
from models.runtime.torch import TorchRuntime
from tests.unit.models.runtime.made import FREE, node, write_graph

CPU = RuntimeOptions(device="cpu", threads=1)
INT64 = 7
Opener = Callable[[Path], Runtime]


@pytest.fixture(params=[OnnxRuntime, OpenVinoRuntime])
def opener(request: pytest.FixtureRequest) -> Opener:
    return lambda path: request.param(OnnxFile(path), CPU)


def test_an_opset_too_new_is_named_with_those_that_run(tmp_path: Path, opener: Opener) -> None:
    path = write_graph(tmp_path / "a.onnx", [node("Relu")], opsets={"": 99})
    with pytest.raises(SpecError, match=r"a\.onnx.*opset 99.*17 or 18"):
        opener(path)


def test_onnx_runtime_s_own_limit_is_explained(tmp_path: Path) -> None:
    path = write_graph(tmp_path / "a.onnx", [node("Relu")], ir_version=99)
    with pytest.raises(SpecError, match="file format 99 is newer than .*older IR version"):
        OnnxRuntime(OnnxFile(path), CPU)


@pytest.mark.parametrize("domain", ["", "com.acme"])
def test_an_unknown_operator_is_named(tmp_path: Path, opener: Opener, domain: str) -> None:
    opsets = {"": 17} | ({domain: 1} if domain else {})
    path = write_graph(tmp_path / "a.onnx", [node("Frobnicate", domain=domain)], opsets=opsets)
    with pytest.raises(SpecError, match=r"a\.onnx.*Frobnicate"):
        opener(path)


def test_other_types_than_float32_are_refused(tmp_path: Path, opener: Opener) -> None:
    nodes = [node("ArgMax", axis=1, keepdims=1)]
    path = write_graph(tmp_path / "a.onnx", nodes, outputs=[("y", INT64, FREE)])
    with pytest.raises(SpecError, match=r"a\.onnx.*outputs? must be float32|float32 outputs"):
        opener(path)


def test_two_inputs_are_refused(tmp_path: Path, opener: Opener) -> None:
    path = write_graph(tmp_path / "a.onnx", [node("Add", "x z")], more_inputs=["z"])
    with pytest.raises(SpecError, match="one float32 input"):
        opener(path)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_file_bound_to_its_batch_runs_any(tmp_path: Path, opener: Opener, n: int) -> None:
    """As exported without dynamic axes; here even a reshape holds the 2."""
    nodes = [node("Reshape", "x to", "r"), node("Reshape", "r back", "s"), node("Neg", "s")]
    shape = (2, 1, 4, 4, 4)
    constants = {"to": np.array([2, 64]), "back": np.array(shape)}
    path = write_graph(
        tmp_path / "a.onnx", nodes, shape=shape, outputs=[("y", 1, shape)], constants=constants
    )
    runtime = opener(path)
    batch = np.random.default_rng(0).normal(size=(n, 1, 4, 4, 4)).astype(np.float32)
    assert np.array_equal(runtime.run(batch)[0], -batch)
    with pytest.raises(InferenceFailed):
        runtime.run(np.zeros((n, 1, 4, 4, 8), np.float32))


def test_an_output_whose_size_hangs_on_the_values(tmp_path: Path, opener: Opener) -> None:
    """Memory for it can't be laid out beforehand."""
    nodes = [node("NonZero", "x", "where"), node("Cast", "where", "y", to=1)]
    path = write_graph(tmp_path / "a.onnx", nodes, outputs=[("y", 1, [5, "found"])])
    runtime = opener(path)
    batch = np.zeros((1, 1, 4, 4, 4), np.float32)
    for count in (3, 5, 1, 0, 5):
        batch[...] = 0
        batch.ravel()[:count] = 1
        assert runtime.run(batch)[0].shape == (5, count)


def test_an_input_that_is_handed_through_is_copied(tmp_path: Path, opener: Opener) -> None:
    runtime = opener(write_graph(tmp_path / "a.onnx", [node("Identity")]))
    batch = np.ones((1, 1, 4, 4, 4), np.float32)
    for _ in range(2):
        (result,) = runtime.run(batch)
        assert not np.shares_memory(result, batch)
        assert np.array_equal(result, batch)


# --- OpenVINO ----------------------------------------------------------------------------------


def test_openvino_keeps_a_few_shapes_and_no_more(tmp_path: Path) -> None:
    path = write_graph(tmp_path / "a.onnx", [node("Neg")])
    runtime = OpenVinoRuntime(OnnxFile(path), CPU)
    for side in range(1, MOST_SHAPES + 5):
        batch = np.ones((1, 1, side, 4, 4), np.float32)
        assert np.array_equal(runtime.run(batch)[0], -batch)
        assert len(runtime._compiled) <= MOST_SHAPES


def test_openvino_needs_both_of_its_files(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text("<net/>")
    with pytest.raises(SpecError, match=r"a\.bin: not here"):
        OpenVinoRuntime(OnnxFile(path), CPU)


def test_openvino_computes_float32_where_it_is_asked_to(tmp_path: Path) -> None:
    """On a processor with bf16 it would take that unasked: 8 bits of mantissa."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(8, 16, 3, 3, 3)).astype(np.float32)
    path = write_graph(
        tmp_path / "a.onnx",
        [node("Conv", "x w", pads=[1] * 6, kernel_shape=[3] * 3)],
        shape=("n", 16, "k", "j", "i"),
        outputs=[("y", 1, ("n", 8, "k", "j", "i"))],
        constants={"w": weights},
    )
    batch = rng.normal(size=(1, 16, 16, 16, 16)).astype(np.float32)
    with torch.inference_mode():
        exact = nn.functional.conv3d(
            torch.from_numpy(batch).double(), torch.from_numpy(weights).double(), padding=1
        ).numpy()

    def worst(precision: Precision) -> float:
        options = RuntimeOptions(device="cpu", threads=1, precision=precision)
        return float(np.abs(OpenVinoRuntime(OnnxFile(path), options).run(batch)[0] - exact).max())

    assert worst("fp32") < 1e-3
    try:
        assert 5e-3 < worst("bf16") < 2
    except RuntimeMissing as error:  # a processor without bf16
        assert "bf16" in str(error)


def test_int8_needs_a_quantised_network(tmp_path: Path) -> None:
    path = write_graph(tmp_path / "a.onnx", [node("Neg")])
    with pytest.raises(SpecError, match="not quantised.*models evaluate"):
        OpenVinoRuntime(OnnxFile(path), RuntimeOptions(device="cpu", precision="int8"))


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_onnx_runtime_reduces_nothing_on_a_cpu(tmp_path: Path, precision: Precision) -> None:
    path = write_graph(tmp_path / "a.onnx", [node("Neg")])
    with pytest.raises(RuntimeMissing, match=f"precision {precision}.*TensorRT"):
        OnnxRuntime(OnnxFile(path), RuntimeOptions(device="cpu", precision=precision))


def test_tensorrt_needs_a_gpu(tmp_path: Path) -> None:
    path = write_graph(tmp_path / "a.onnx", [node("Neg")])
    with pytest.raises(RuntimeMissing, match="NVIDIA GPU"):
        OnnxRuntime(OnnxFile(path), RuntimeOptions(device="cpu", tensorrt=True))


# --- PyTorch -----------------------------------------------------------------------------------


class Command:
    """What a pickle can do when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.path}",)


def test_a_torchscript_file_that_is_none(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    torch.save(nn.Linear(2, 2).state_dict(), weights)
    (tmp_path / "text.ts").write_text("hello")
    for name in ("weights.pt", "text.ts", "absent.ts"):
        with pytest.raises(SpecError, match=f"{name}.*TorchScript"):
            TorchRuntime(TorchScriptFile(tmp_path / name), CPU)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_runs_no_command(tmp_path: Path, zipped: bool) -> None:
    trace, path = tmp_path / "trace", tmp_path / "evil.ts"
    if zipped:
        torch.save({"a": Command(trace)}, path)
    else:
        path.write_bytes(pickle.dumps(Command(trace)))
    with pytest.raises(SpecError, match=r"evil\.ts"):
        TorchRuntime(TorchScriptFile(path), CPU)
    assert not trace.exists()


class Says(nn.Module):
    """Gives what it is told to."""

    def __init__(self, output: Callable[[torch.Tensor], object]) -> None:
        super().__init__()
        self.output = output

    def forward(self, x: torch.Tensor) -> object:
        return self.output(x)


def built(output: Callable[[torch.Tensor], object]) -> TorchRuntime:
    return TorchRuntime(TorchNetwork("said", lambda: Says(output), 1, (4, 4, 4)), CPU)


def test_torch_takes_tensors_alone_or_nested() -> None:
    batch = np.ones((1, 1, 4, 4, 4), np.float32)
    outputs = built(lambda x: (x, [x + 1, (x.half() + 2,)])).run(batch)
    assert [output.mean() for output in outputs] == [1, 2, 3]
    assert all(output.dtype == np.float32 for output in outputs)
    assert not any(np.shares_memory(output, batch) for output in outputs)
    with pytest.raises(InferenceFailed, match="said: the network gives a dict"):
        built(lambda x: {"out": x}).run(batch)


def test_torch_s_bf16_is_near_and_no_more() -> None:
    network = TorchNetwork("conv", lambda: nn.Conv3d(1, 4, 3, padding=1), 1, (8, 8, 8))
    batch = np.random.default_rng(0).normal(size=(2, 1, 8, 8, 8)).astype(np.float32)
    torch.manual_seed(0)
    (full,) = TorchRuntime(network, CPU).run(batch)
    torch.manual_seed(0)
    reduced = TorchRuntime(network, RuntimeOptions(device="cpu", threads=1, precision="bf16"))
    assert reduced.name == "torch cpu bf16"
    (half,) = reduced.run(batch)
    assert 1e-4 < np.abs(half - full).max() < 5e-2


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_torch_on_a_cpu_has_no_such_precision(precision: Precision) -> None:
    network = TorchNetwork("conv", lambda: nn.Conv3d(1, 1, 1), 1, (4, 4, 4))
    with pytest.raises(RuntimeMissing, match=f"no {precision}"):
        TorchRuntime(network, RuntimeOptions(device="cpu", precision=precision))
