"""Networks as ONNX files and as Triton models: what is written computes what PyTorch does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from monai.networks.nets import SegResNet, UNet
from torch import nn
from torch.nn import functional

from models import export
from models.errors import SpecError
from models.export import OPSET, TOLERANCE, export_onnx, onnx_file_of
from models.runtime.onnx import OnnxRuntime
from models.runtime.openvino import OpenVinoRuntime
from models.runtime.source import OnnxFile, RuntimeOptions, TorchNetwork
from models.runtime.triton.repository import PYTHON_MODEL, TritonExport, export_triton
from tests.unit.models.runtime.made import node, write_graph

CPU = RuntimeOptions(device="cpu", threads=1)
PATCH = (8, 8, 8)


def network(module: type[nn.Module], **more: object) -> TorchNetwork:
    def build() -> nn.Module:
        torch.manual_seed(0)
        return module()

    return TorchNetwork(module.__name__, build, 1, PATCH, **more)  # type: ignore[arg-type]


class Plain(nn.Module):
    """A convolution with drop-out, which must be off."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv3d(1, 3, 3, padding=1), nn.Dropout(0.9), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layers(x)
        return out


class Frozen(Plain):
    """Its forward pass reads the size as a number of Python's, which tracing writes down."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        whole = super().forward(x)
        return whole.mean((2, 3, 4), keepdim=True) * float(x.shape[2])


class Step(nn.Module):
    """An operator that only the newer exporter knows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.heaviside(x, torch.zeros(1))


class Unfaithful(nn.Module):
    """Another network each time, as one with a random part would be."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + (1.0 if torch.onnx.is_in_onnx_export() else 0.0)


class NoNumber(nn.Module):
    """Gives what is no number, on both sides."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - 1e9).log()


def outputs_agree(source: TorchNetwork, path: Path, shape: tuple[int, ...]) -> None:
    batch = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    with torch.inference_mode():
        wanted = source.build().eval()(torch.from_numpy(batch)).numpy()
    (found,) = OnnxRuntime(OnnxFile(path), CPU).run(batch)
    assert found == pytest.approx(wanted, abs=TOLERANCE * max(1.0, float(np.abs(wanted).max())))


def test_an_export_takes_any_batch_and_size(tmp_path: Path) -> None:
    source = network(Plain)
    path = export_onnx(source, tmp_path / "plain.onnx")
    assert [item.version for item in onnx.load(path).opset_import] == [OPSET]
    for shape in ((1, 1, 8, 8, 8), (3, 1, 5, 12, 7)):
        outputs_agree(source, path, shape)
    assert [each.name for each in tmp_path.iterdir()] == ["plain.onnx"]


def test_a_fixed_network_is_bound_to_its_patch(tmp_path: Path) -> None:
    source = network(Plain, fixed=True)
    path = export_onnx(source, tmp_path / "plain.onnx")
    (image,) = onnx.load(path).graph.input
    sides = [side.dim_param or side.dim_value for side in image.type.tensor_type.shape.dim]
    assert sides == ["n", 1, 8, 8, 8]
    outputs_agree(source, path, (3, 1, 8, 8, 8))


def test_a_size_that_tracing_froze_binds_the_export(tmp_path: Path) -> None:
    """Else a smaller patch would be given the larger one's numbers, and nobody would know."""
    source = network(Frozen)
    path = export_onnx(source, tmp_path / "frozen.onnx")
    (image,) = onnx.load(path).graph.input
    assert [side.dim_value for side in image.type.tensor_type.shape.dim][2:] == list(PATCH)
    outputs_agree(source, path, (2, 1, 8, 8, 8))


def test_the_newer_exporter_takes_over(tmp_path: Path) -> None:
    source = network(Step)
    path = export_onnx(source, tmp_path / "step.onnx")
    for shape in ((1, 1, 8, 8, 8), (2, 1, 4, 12, 8)):
        outputs_agree(source, path, shape)


@pytest.mark.parametrize("module", [Unfaithful, NoNumber])
def test_an_export_that_computes_something_else_is_refused(
    tmp_path: Path, module: type[nn.Module]
) -> None:
    with pytest.raises(SpecError, match=rf"{module.__name__}: .*0\.001 is allowed.*torch"):
        export_onnx(network(module), tmp_path / "wrong.onnx")
    assert not list(tmp_path.iterdir())


def test_what_no_exporter_takes_is_named(tmp_path: Path) -> None:
    class Bessel(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.special.bessel_j0(x)

    with pytest.raises(SpecError, match="Bessel: cannot be exported.*bessel_j0"):
        export_onnx(network(Bessel), tmp_path / "bessel.onnx")


def test_a_network_of_two_dimensions(tmp_path: Path) -> None:
    class Flat(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return functional.max_pool2d(x, 2)

    source = TorchNetwork("flat", Flat, 3, (16, 8))
    path = export_onnx(source, tmp_path / "flat.onnx")
    outputs_agree(source, path, (2, 3, 8, 24))


def _unet() -> nn.Module:
    return UNet(3, 1, 2, (4, 8, 16), (2, 2), num_res_units=1, norm="batch")


def _segresnet() -> nn.Module:
    return SegResNet(3, 8, 1, 2, blocks_down=[1, 1, 1], blocks_up=[1, 1])


@pytest.mark.parametrize("module", [_unet, _segresnet])
@pytest.mark.parametrize("opened", [OnnxRuntime, OpenVinoRuntime])
def test_monai_s_networks_run_at_other_sizes_than_they_were_exported_with(
    module: Callable[[], nn.Module], opened: type[OnnxRuntime]
) -> None:
    def build() -> nn.Module:
        torch.manual_seed(0)
        return module()

    source = TorchNetwork("net", build, 1, (16, 16, 16))
    runtime = opened(source, CPU)
    for shape in ((2, 1, 16, 16, 16), (1, 1, 32, 16, 8)):
        batch = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        with torch.inference_mode():
            wanted = build().eval()(torch.from_numpy(batch)).numpy()
        assert runtime.run(batch)[0] == pytest.approx(wanted, abs=1e-4)


# --- kept between runs -------------------------------------------------------------------------


def test_an_export_is_kept_by_weights_and_patch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = network(Plain, cache=(tmp_path / "cache", "ab" * 32))
    with onnx_file_of(source) as first:
        assert first.kept
    before = first.path.read_bytes()

    def never(*_: object) -> Path:
        raise AssertionError("exported again")

    with monkeypatch.context() as patched:
        patched.setattr(export, "export_onnx", never)
        with onnx_file_of(source) as again:
            assert again.path.read_bytes() == before
    with onnx_file_of(network(Plain, cache=(tmp_path / "cache", "cd" * 32))) as other:
        assert other.path != first.path
    with onnx_file_of(network(Plain, cache=(tmp_path / "cache", "ab" * 32), fixed=True)) as fixed:
        assert fixed.path != first.path


def test_without_a_cache_nothing_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for cache in (None, (tmp_path / "file" / "cache", "ab" * 32)):
        with onnx_file_of(network(Plain, cache=cache)) as file:
            assert file.path.is_file()
            assert not file.kept
        assert not file.path.exists()


# --- Triton ------------------------------------------------------------------------------------


def test_a_triton_model_for_gpus(tmp_path: Path) -> None:
    settings = TritonExport(
        "plain", maximum_batch=8, gpus=(0, 2), instances=2, tensorrt=True, half=True, wait_ms=5
    )
    folder = export_triton(network(Plain), tmp_path, settings)
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) == [
        "1", "1/model.onnx", "config.pbtxt",
    ]  # fmt: skip
    config = (folder / "config.pbtxt").read_text()
    for words in (
        'name: "plain"',
        'backend: "onnxruntime"',
        "max_batch_size: 8",
        'name: "image" data_type: TYPE_FP32 dims: [ 1, -1, -1, -1 ]',
        'name: "output_0" data_type: TYPE_FP32 dims: [ ',
        "kind: KIND_GPU count: 2 gpus: [ 0, 2 ]",
        "max_queue_delay_microseconds: 5000",
        'name: "tensorrt" parameters { key: "precision_mode" value: "FP16" }',
    ):
        assert words in config
    outputs_agree(network(Plain), folder / "1" / "model.onnx", (2, 1, 8, 8, 8))


def test_a_triton_model_for_the_python_backend(tmp_path: Path) -> None:
    settings = TritonExport("plain", backend="python", threads=3)
    folder = export_triton(network(Plain), tmp_path, settings)
    assert (folder / "1" / "model.py").read_bytes() == PYTHON_MODEL.read_bytes()
    config = (folder / "config.pbtxt").read_text()
    assert 'key: "threads" value: { string_value: "3" }' in config
    assert "KIND_CPU" in config


def test_a_version_in_use_is_never_replaced(tmp_path: Path) -> None:
    folder = export_triton(network(Plain), tmp_path, TritonExport("plain"))
    before = (folder / "1" / "model.onnx").read_bytes()
    with pytest.raises(SpecError, match="there already; give the next version"):
        export_triton(network(Plain), tmp_path, TritonExport("plain"))
    export_triton(network(Plain), tmp_path, TritonExport("plain", version=2))
    assert (folder / "1" / "model.onnx").read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2", "config.pbtxt"]


def test_a_file_bound_to_its_batch_is_not_batched_by_the_server(tmp_path: Path) -> None:
    shape = (2, 1, 4, 4, 4)
    path = write_graph(tmp_path / "a.onnx", [node("Neg")], shape=shape, outputs=[("y", 1, shape)])
    folder = export_triton(OnnxFile(path), tmp_path / "repository", TritonExport("a"))
    config = (folder / "config.pbtxt").read_text()
    assert "max_batch_size: 0" in config
    assert "dims: [ 2, 1, 4, 4, 4 ]" in config
    assert "dynamic_batching" not in config


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (TritonExport("../up"), "name a Triton model"),
        (TritonExport(""), "name a Triton model"),
        (TritonExport("a", version=0), "at least 1"),
        (TritonExport("a", maximum_batch=0), "at least 1"),
        (TritonExport("a", tensorrt=True), "name GPUs"),
        (TritonExport("a", tensorrt=True, gpus=(0,), backend="python"), "onnxruntime backend"),
        (TritonExport("a", half=True), "TensorRT only"),
    ],
)
def test_settings_that_do_not_fit(tmp_path: Path, settings: TritonExport, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        export_triton(network(Plain), tmp_path, settings)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_network_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_text("hello")
    with pytest.raises(SpecError, match=r"a\.onnx"):
        export_triton(OnnxFile(tmp_path / "a.onnx"), tmp_path / "repository", TritonExport("a"))
    assert not list((tmp_path / "repository").rglob("*.*"))
