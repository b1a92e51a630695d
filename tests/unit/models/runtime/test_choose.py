"""Which runtime is taken, by what is here; the packages and devices are looked at, not loaded."""

from __future__ import annotations

import ctypes
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from models.errors import RuntimeMissing, SpecError
from models.runtime import choose, devices
from models.runtime.choose import Choice, explain, open_runtime, preferred
from models.runtime.onnx import OnnxRuntime
from models.runtime.source import (
    OnnxFile,
    Precision,
    RuntimeName,
    RuntimeOptions,
    Source,
    TorchNetwork,
    TorchScriptFile,
    TritonModel,
)
from tests.unit.models.runtime.made import node, write_graph

ONNX = OnnxFile(Path("net.onnx"))
NETWORK = TorchNetwork("net", lambda: nn.Conv3d(1, 1, 1), 1, (4, 4, 4))
SCRIPT = TorchScriptFile(Path("net.ts"))
TRITON = TritonModel("http://127.0.0.1:9", "net")


def without(monkeypatch: pytest.MonkeyPatch, *names: RuntimeName) -> None:
    for name in names:
        monkeypatch.setitem(choose._INSTALLED, name, lambda: False)


@pytest.fixture
def one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "gpus", lambda: (devices.Gpu("cuda:0", "H100", 80 * 2**30),))


@pytest.mark.parametrize(
    ("source", "precision", "runtime"),
    [
        (ONNX, "fp32", "openvino"),
        (ONNX, "bf16", "openvino"),
        (ONNX, "int8", "openvino"),
        (OnnxFile(Path("net.xml")), "int8", "openvino"),
        (NETWORK, "fp32", "openvino"),
        (SCRIPT, "fp32", "torch"),
        (TRITON, "fp32", "triton"),
    ],
)
def test_the_best_on_a_cpu(source: Source, precision: Precision, runtime: RuntimeName) -> None:
    assert preferred(source, "cpu", precision) == runtime


@pytest.mark.usefixtures("one_gpu")
def test_the_best_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert preferred(ONNX) == "onnx"
    assert preferred(NETWORK) == "torch"
    assert preferred(NETWORK, "cuda:0", "fp16") == "torch"
    assert preferred(NETWORK, "cpu") == "openvino"
    asked = choose.candidates(NETWORK, "cuda", "fp16", tensorrt=True)
    assert [choice.runtime for choice in asked] == ["onnx"]
    without(monkeypatch, "onnx")
    assert preferred(ONNX) == "openvino", "auto: a GPU that nothing can use stops nobody"
    with pytest.raises(RuntimeMissing, match=r"preread\[gpu\]"):
        preferred(ONNX, "cuda")


def test_the_next_best_where_something_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "openvino")
    assert preferred(ONNX, "cpu") == "onnx"
    assert preferred(NETWORK, "cpu", "bf16") == "torch"
    with pytest.raises(RuntimeMissing, match=r"pip install 'preread\[cpu\]'"):
        preferred(ONNX, "cpu", "int8")
    without(monkeypatch, "onnx")
    assert preferred(NETWORK, "cpu") == "torch"
    with pytest.raises(RuntimeMissing, match=r"pip install 'preread\[cpu\]'"):
        preferred(ONNX, "cpu")
    without(monkeypatch, "torch")
    with pytest.raises(RuntimeMissing, match=r"pip install 'preread\[monai\]'"):
        preferred(SCRIPT, "cpu")


@pytest.mark.parametrize(
    ("runtime", "source", "able"),
    [
        ("torch", ONNX, "onnx or openvino"),
        ("onnx", SCRIPT, "torch"),
        ("triton", NETWORK, "torch or openvino or onnx"),
        ("openvino", TRITON, "triton"),
    ],
)
def test_a_runtime_that_can_t_is_refused_by_name(
    runtime: RuntimeName, source: Source, able: str
) -> None:
    with pytest.raises(SpecError, match=f"runtime {runtime} can't run .* by {able}"):
        open_runtime(source, RuntimeOptions(runtime=runtime))


def test_what_one_can_t_load_the_next_one_may(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """OpenVINO has no determinant; ONNX Runtime has. Unless OpenVINO was asked for by name."""
    path = write_graph(
        tmp_path / "a.onnx",
        [node("Det")],
        shape=("n", 1, 2, 2),
        outputs=[("y", 1, ("n", 1))],
    )
    with caplog.at_level(logging.WARNING):
        runtime = open_runtime(OnnxFile(path), RuntimeOptions(device="cpu", threads=1))
    assert runtime.name.startswith("onnxruntime")
    assert "openvino can't take this network" in caplog.text
    batch = np.array([[[[1, 2], [3, 4]]], [[[1, 0], [0, 5]]]], np.float32)
    assert runtime.run(batch)[0].ravel() == pytest.approx([-2, 5])
    with pytest.raises(SpecError, match="Det"):
        open_runtime(OnnxFile(path), RuntimeOptions("openvino", "cpu"))


class Bessel(nn.Module):
    """Uses an operator that no exporter knows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.special.bessel_j0(x)


def test_what_can_t_be_exported_is_run_by_pytorch() -> None:
    network = TorchNetwork("bessel", Bessel, 1, (4, 4, 4))
    runtime = open_runtime(network, RuntimeOptions(device="cpu", threads=1))
    assert runtime.name == "torch cpu fp32"
    assert runtime.run(np.zeros((1, 1, 4, 4, 4), np.float32))[0] == pytest.approx(1.0)
    with pytest.raises(SpecError, match=r"bessel.*ONNX.*runtime\.prefer to torch"):
        open_runtime(network, RuntimeOptions("openvino", "cpu"))


def test_two_onnx_runtimes_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each overwrites the other's files; which of the two would run is chance."""
    there = tmp_path / "onnxruntime_gpu-1.0.dist-info"
    there.mkdir()
    (there / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    path = write_graph(tmp_path / "a.onnx", [node("Neg")])
    with pytest.raises(RuntimeMissing, match="onnxruntime and onnxruntime-gpu.*pip uninstall"):
        OnnxRuntime(OnnxFile(path), RuntimeOptions(device="cpu"))
    # what doesn't need them still runs
    assert open_runtime(OnnxFile(path), RuntimeOptions(device="cpu")).name.startswith("openvino")


def test_what_would_run_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the doctor: every form a network comes in, with the reason, or with the remedy."""
    said = dict(explain(RuntimeOptions(device="cpu")))
    assert said["ONNX files"] == Choice("openvino", "the fastest on a CPU, as measured")
    assert isinstance(said["TorchScript files"], Choice)
    without(monkeypatch, "torch")
    said = dict(explain(RuntimeOptions(device="cpu")))
    assert "preread[monai]" in str(said["TorchScript files"])
    asked = dict(explain(RuntimeOptions("onnx", "cpu")))
    assert asked["ONNX files"] == Choice("onnx", "asked for")
    assert "can't run a TorchScript file" in str(asked["TorchScript files"])


# --- devices -----------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", ["tpu", "cuda:x", "CPU", "", "cuda:-1"])
def test_a_device_that_is_none(wanted: str) -> None:
    with pytest.raises(RuntimeMissing, match="auto, cpu, cuda or cuda:N"):
        devices.resolve_device(wanted)


@pytest.mark.usefixtures("one_gpu")
def test_devices_by_number() -> None:
    assert devices.resolve_device("auto") == "cuda:0"
    assert devices.resolve_device("cuda") == "cuda:0"
    assert devices.resolve_device("cpu") == "cpu"
    with pytest.raises(RuntimeMissing, match=r"1 GPU\(s\).*nvidia-smi -L"):
        devices.resolve_device("cuda:1")


def test_no_gpu_where_none_is_to_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker for the CPU hides them from itself."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert devices.gpus() == ()
    assert devices.resolve_device("auto") == "cpu"
    with pytest.raises(RuntimeMissing, match="CUDA_VISIBLE_DEVICES"):
        devices.resolve_device("cuda")


class Driver:
    """NVIDIA's driver library, as far as it is asked: there is none on a machine for tests."""

    def __init__(self, names: list[bytes], broken: int = 0) -> None:
        self.names = names
        self.broken = broken

    def cuInit(self, flags: int) -> int:
        return self.broken

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = len(self.names)
        return 0

    def cuDeviceGet(self, handle: Any, number: int) -> int:
        handle._obj.value = 100 + number
        return 0

    def cuDeviceGetName(self, name: Any, size: int, handle: Any) -> int:
        name.value = self.names[handle.value - 100][: size - 1]
        return 0

    def cuDeviceTotalMem_v2(self, size: Any, handle: Any) -> int:
        size._obj.value = handle.value * 2**30
        return 0


def test_the_driver_is_asked_for_the_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    driver = Driver([b"NVIDIA A10", b"NVIDIA L4"])
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    assert devices.gpus() == (
        devices.Gpu("cuda:0", "NVIDIA A10", 100 * 2**30),
        devices.Gpu("cuda:1", "NVIDIA L4", 101 * 2**30),
    )
    driver.broken = 999
    assert devices.gpus() == ()
