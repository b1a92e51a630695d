"""One suite that every runtime passes: `RuntimeSuite`, subclassed once for each."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.errors import InferenceFailed, ModelError, SpecError
from models.runtime import Batch, Runtime
from models.runtime.onnx import OnnxRuntime

KERNEL = np.random.default_rng(3).normal(size=(2, 1, 3, 3, 3)).astype(np.float32)
BIAS = np.array([0.5, -1.0], np.float32)
NEEDED = 4
"""The network takes sides that are multiples of this, so that a wrong input can be given."""


def expected(batch: Batch) -> Batch:
    """The network by hand: a padded 3 x 3 x 3 convolution, two channels, then ReLU."""
    n, _, k, j, i = batch.shape
    wide = np.pad(batch[:, 0], ((0, 0), (1, 1), (1, 1), (1, 1)))
    out = np.zeros((n, 2, k, j, i))
    for channel in range(2):
        for a, b, c in np.ndindex(3, 3, 3):
            weight = KERNEL[channel, 0, a, b, c]
            out[:, channel] += weight * wide[:, a : a + k, b : b + j, c : c + i]
        out[:, channel] += BIAS[channel]
    return np.maximum(out, 0).astype(np.float32)


class RuntimeSuite:
    """What a runtime promises. A subclass gives the fixture ``runtime`` with that network."""

    @pytest.fixture
    def runtime(self, tmp_path: Path) -> Runtime:
        raise NotImplementedError

    def test_it_says_what_it_runs_on(self, runtime: Runtime) -> None:
        assert len(runtime.name.split()) >= 2

    @pytest.mark.parametrize("shape", [(1, 1, 4, 8, 12), (3, 1, 8, 4, 4), (1, 1, 16, 16, 4)])
    def test_it_computes_the_network(self, runtime: Runtime, shape: tuple[int, ...]) -> None:
        """Any batch and any size; a GPU's shorter mantissa is allowed for."""
        batch = np.random.default_rng(1).normal(size=shape).astype(np.float32)
        (result,) = runtime.run(batch)
        assert result.dtype == np.float32
        assert result == pytest.approx(expected(batch), abs=2e-2)

    @pytest.mark.parametrize("kind", ["float64", "int16", "strided", "fortran", "read-only"])
    def test_any_array_of_the_right_shape_will_do(self, runtime: Runtime, kind: str) -> None:
        whole = np.arange(4 * 4 * 8).reshape(1, 1, 4, 4, 8) % 7
        batch = whole.astype(np.float32)
        given: np.ndarray = {
            "float64": whole.astype(np.float64),
            "int16": whole.astype(np.int16),
            "strided": np.repeat(batch, 2, axis=4)[..., ::2],
            "fortran": np.asfortranarray(batch),
            "read-only": batch.copy(),
        }[kind]
        given.setflags(write=False)
        before = given.copy()
        assert runtime.run(given)[0] == pytest.approx(expected(batch), abs=2e-2)
        assert np.array_equal(given, before)

    def test_results_are_one_s_own(self, runtime: Runtime) -> None:
        """A later run must not write into what an earlier one gave."""
        ones = np.ones((1, 1, 4, 4, 4), np.float32)
        (first,) = runtime.run(ones)
        kept = first.copy()
        runtime.run(-5 * ones)
        assert np.array_equal(first, kept)

    def test_one_of_a_batch_knows_nothing_of_the_others(self, runtime: Runtime) -> None:
        batch = np.random.default_rng(2).normal(size=(4, 1, 4, 4, 4)).astype(np.float32)
        (together,) = runtime.run(batch)
        for n in range(4):
            assert together[n : n + 1] == pytest.approx(runtime.run(batch[n : n + 1])[0], abs=1e-3)

    @pytest.mark.parametrize(
        "shape", [(1, 1, 6, 8, 8), (1, 2, 8, 8, 8), (1, 1, 8, 8), (1, 1, 8, 8, 8, 1)]
    )
    def test_a_wrong_input_is_an_error_one_can_name(
        self, runtime: Runtime, shape: tuple[int, ...]
    ) -> None:
        with pytest.raises(ModelError) as caught:
            runtime.run(np.zeros(shape, np.float32))
        assert isinstance(caught.value, InferenceFailed)
        assert caught.value.retryable

    def test_it_still_runs_after_a_failure(self, runtime: Runtime) -> None:
        with pytest.raises(InferenceFailed):
            runtime.run(np.zeros((1, 1, 6, 8, 8), np.float32))
        ones = np.ones((1, 1, 4, 4, 4), np.float32)
        assert runtime.run(ones)[0] == pytest.approx(expected(ones), abs=2e-2)

    def test_threads_may_share_it(self, runtime: Runtime) -> None:
        results: dict[int, Batch] = {}

        def work(n: int) -> None:
            (results[n],) = runtime.run(np.full((1, 1, 4, 4, 4), n, np.float32))

        threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
        for n in range(6):
            full = np.full((1, 1, 4, 4, 4), n, np.float32)
            assert results[n] == pytest.approx(expected(full), abs=5e-2)


def write_network(path: Path) -> Path:
    """The suite's network as ONNX; a reshape there and back wants sides that are multiples."""
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Reshape", ["x", "as_image"], ["flat"]),
        helper.make_node("SpaceToDepth", ["flat"], ["deep"], blocksize=NEEDED),
        helper.make_node("DepthToSpace", ["deep"], ["again"], blocksize=NEEDED),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Reshape", ["again", "shape"], ["back"]),
        helper.make_node("Conv", ["back", "w", "b"], ["y0"], pads=[1] * 6, kernel_shape=[3] * 3),
        helper.make_node("Relu", ["y0"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [value("x", TensorProto.FLOAT, ["n", 1, "k", "j", "i"])],
        [value("y", TensorProto.FLOAT, ["n", 2, "k", "j", "i"])],
        [
            numpy_helper.from_array(KERNEL, "w"),
            numpy_helper.from_array(BIAS, "b"),
            # (n, 1, k, j, i) -> (n, 1, k, j * i): only k and the product are checked.
            numpy_helper.from_array(np.array([0, 0, 0, -1], np.int64), "as_image"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


class TestOnnx(RuntimeSuite):
    @pytest.fixture
    def runtime(self, tmp_path: Path) -> Runtime:
        return OnnxRuntime(write_network(tmp_path / "tiny.onnx"), threads=1)

    def test_its_name_says_which_provider(self, runtime: Runtime) -> None:
        assert runtime.name.startswith("onnxruntime ")
        assert runtime.name.endswith("ExecutionProvider")

    @pytest.mark.parametrize("content", [b"", b"not a network", b"\x08\x08\x12"])
    def test_a_file_that_is_no_network_is_named(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "broken.onnx"
        path.write_bytes(content)
        with pytest.raises(SpecError, match=r"broken\.onnx.*ONNX network"):
            OnnxRuntime(path)

    def test_an_absent_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(SpecError, match=r"absent\.onnx"):
            OnnxRuntime(tmp_path / "absent.onnx")
