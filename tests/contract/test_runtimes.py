"""Every runtime passes one suite: ``RuntimeSuite``, subclassed once for each way to open one."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
import pytest
import torch

from models.errors import SpecError
from models.runtime import Runtime
from models.runtime.choose import open_runtime
from models.runtime.onnx import OnnxRuntime
from models.runtime.openvino import OpenVinoRuntime
from models.runtime.source import (
    OnnxFile,
    RuntimeOptions,
    TorchNetwork,
    TorchScriptFile,
    TritonModel,
)
from models.runtime.torch import TorchRuntime
from models.runtime.triton import TritonRuntime
from models.runtime.triton.repository import TritonExport, export_triton
from tests.contract.runtime_suite import (
    MODULES,
    Opener,
    RunsOutOfMemory,
    RuntimeSuite,
    expected,
    write_network,
)
from tests.contract.tritonserver import Triton, running_triton

CPU = RuntimeOptions(device="cpu", threads=1)


def network(name: str) -> TorchNetwork:
    return TorchNetwork(name, MODULES[name], channels=1, patch=(8, 8, 8))


def scripted(name: str, folder: Path) -> TorchScriptFile:
    path = folder / f"{name}.ts"
    torch.jit.script(MODULES[name]().eval()).save(str(path))
    return TorchScriptFile(path)


class TestOnnx(RunsOutOfMemory, RuntimeSuite):
    @pytest.fixture
    def opener(self, tmp_path: Path) -> Opener:
        return lambda name: OnnxRuntime(
            OnnxFile(write_network(tmp_path / f"{name}.onnx", name)), CPU
        )

    def test_its_name_says_which_provider(self, runtime: Runtime) -> None:
        assert runtime.name == "onnxruntime CPUExecutionProvider"


class TestOnnxFromTorch(RuntimeSuite):
    @pytest.fixture
    def opener(self) -> Opener:
        return lambda name: OnnxRuntime(network(name), CPU)


class TestOpenVino(RunsOutOfMemory, RuntimeSuite):
    @pytest.fixture
    def opener(self, tmp_path: Path) -> Opener:
        return lambda name: OpenVinoRuntime(
            OnnxFile(write_network(tmp_path / f"{name}.onnx", name)), CPU
        )


class TestOpenVinoOnTwoThreads(RuntimeSuite):
    """Batches run as two streams."""

    @pytest.fixture
    def opener(self, tmp_path: Path) -> Opener:
        return lambda name: OpenVinoRuntime(
            OnnxFile(write_network(tmp_path / f"{name}.onnx", name)),
            RuntimeOptions(device="cpu", threads=2),
        )


class TestOpenVinoFromTorch(RuntimeSuite):
    @pytest.fixture
    def opener(self) -> Opener:
        return lambda name: OpenVinoRuntime(network(name), CPU)


class TestTorch(RunsOutOfMemory, RuntimeSuite):
    @pytest.fixture
    def opener(self) -> Opener:
        return lambda name: TorchRuntime(network(name), CPU)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
class TestTorchScript(RunsOutOfMemory, RuntimeSuite):
    @pytest.fixture
    def opener(self, tmp_path: Path) -> Opener:
        return lambda name: TorchRuntime(scripted(name, tmp_path), CPU)


# --- Triton: a real server, on a repository that export_triton wrote ---------------------------


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    folder = tmp_path_factory.mktemp("triton")
    repository = folder / "repository"
    for name in MODULES:
        source = OnnxFile(write_network(folder / f"{name}.onnx", name))
        export_triton(source, repository, TritonExport(name, backend="python", threads=1))
    with running_triton(repository, folder) as server:
        yield server


def regions() -> set[str]:
    return {path.name for path in Path("/dev/shm").glob("preread-[0-9]*")}


class TestTritonHttp(RunsOutOfMemory, RuntimeSuite):
    @pytest.fixture
    def opener(self, triton: Triton) -> Opener:
        return lambda name: TritonRuntime(TritonModel(triton.http, name))

    def test_a_batch_larger_than_the_server_s_is_sent_in_parts(self, runtime: Runtime) -> None:
        batch = np.random.default_rng(2).normal(size=(10, 1, 4, 4, 4)).astype(np.float32)
        assert runtime.run(batch)[0] == pytest.approx(expected(batch), abs=1e-3)

    def test_auto_opens_it(self, triton: Triton) -> None:
        runtime = open_runtime(TritonModel(triton.http, "one", version="1"))
        assert runtime.name == f"triton {triton.http} one"
        assert runtime.device == triton.http


class TestTritonGrpc(RunsOutOfMemory, RuntimeSuite):
    @pytest.fixture
    def opener(self, triton: Triton) -> Opener:
        return lambda name: TritonRuntime(TritonModel(triton.grpc, name))


class TestTritonSharedMemory(RunsOutOfMemory, RuntimeSuite):
    @pytest.fixture(params=["http", "grpc"])
    def opener(self, triton: Triton, request: pytest.FixtureRequest) -> Iterator[Opener]:
        url = getattr(triton, request.param)
        before = regions()
        yield lambda name: TritonRuntime(TritonModel(url, name, shared_memory=True))
        assert regions() == before, "close() left a region behind"

    def test_tensors_do_go_through_it(self, runtime: Runtime) -> None:
        batch = np.ones((1, 1, 4, 4, 4), np.float32)
        before = regions()
        runtime.run(batch)
        assert regions() == before, "the first run of a shape learns what it gives"
        runtime.run(batch)
        assert len(regions() - before) == 1
        runtime.run(np.ones((2, 1, 16, 16, 16), np.float32))
        runtime.run(np.ones((2, 1, 16, 16, 16), np.float32))
        assert len(regions() - before) == 1, "it grows, there are no two"

    def test_a_server_that_forgot_the_region_is_told_again(
        self, runtime: Runtime, triton: Triton
    ) -> None:
        """As after its restart."""
        import tritonclient.grpc

        batch = np.ones((1, 1, 4, 4, 4), np.float32)
        for _ in range(2):
            runtime.run(batch)
        other = tritonclient.grpc.InferenceServerClient(triton.grpc.removeprefix("grpc://"))
        assert other.get_system_shared_memory_status().regions
        other.unregister_system_shared_memory()
        assert runtime.run(batch)[0] == pytest.approx(expected(batch), abs=1e-3)
        assert len(other.get_system_shared_memory_status().regions) == 1
        runtime.close()
        assert not other.get_system_shared_memory_status().regions
        other.close()

    def test_regions_of_a_killed_process_are_let_go(self, opener: Opener, triton: Triton) -> None:
        import tritonclient.grpc

        region = SharedMemory("preread-1-dead", create=True, size=4096)
        other = tritonclient.grpc.InferenceServerClient(triton.grpc.removeprefix("grpc://"))
        other.register_system_shared_memory(region.name, f"/{region.name}", 4096)
        opener("one").close()
        assert set(other.get_system_shared_memory_status().regions) == {region.name}
        region.close()
        region.unlink()
        opener("one").close()
        assert not other.get_system_shared_memory_status().regions
        other.close()


# --- what only some have ----------------------------------------------------------------------


@pytest.mark.parametrize("opened", [OnnxRuntime, OpenVinoRuntime])
@pytest.mark.parametrize("content", [b"", b"not a network", b"\x08\x08\x12"])
def test_a_file_that_is_no_network_is_named(
    tmp_path: Path, content: bytes, opened: type[OnnxRuntime]
) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=r"broken\.onnx.*ONNX network"):
        opened(OnnxFile(path))


@pytest.mark.parametrize("opened", [OnnxRuntime, OpenVinoRuntime])
def test_an_absent_file_is_named(tmp_path: Path, opened: type[OnnxRuntime]) -> None:
    with pytest.raises(SpecError, match=r"absent\.onnx"):
        opened(OnnxFile(tmp_path / "absent.onnx"))
