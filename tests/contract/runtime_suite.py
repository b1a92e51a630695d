"""What every runtime promises, as one suite, and the networks it is shown with.

Each network exists as ONNX and as PyTorch, with the same weights; what it should give is
computed by hand, in NumPy.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional

from models.errors import InferenceFailed, ModelError, OutOfMemory
from models.runtime import Batch, Outputs, Runtime

KERNEL = np.random.default_rng(3).normal(size=(2, 1, 3, 3, 3)).astype(np.float32)
BIAS = np.array([0.5, -1.0], np.float32)
NEEDED = 4
"""The networks take sides that are multiples of this, so that a wrong input can be given."""
TOO_MUCH = 10**5
"""The hungry network asks for this many times the patch along each axis: no machine has it."""

Opener = Callable[[str], Runtime]


def expected(batch: Batch) -> Batch:
    """The network ``one`` by hand: a padded 3 x 3 x 3 convolution, two channels, then ReLU."""
    n, _, k, j, i = batch.shape
    wide = np.pad(batch[:, 0], ((0, 0), (1, 1), (1, 1), (1, 1)))
    out = np.zeros((n, 2, k, j, i))
    for channel in range(2):
        for a, b, c in np.ndindex(3, 3, 3):
            weight = KERNEL[channel, 0, a, b, c]
            out[:, channel] += weight * wide[:, a : a + k, b : b + j, c : c + i]
        out[:, channel] += BIAS[channel]
    return np.maximum(out, 0).astype(np.float32)


def expected_of_two(batch: Batch) -> Outputs:
    """The network ``two``: the same, and its mean over 2 x 2 x 2 with both channels added up."""
    fine = expected(batch)
    n, _, k, j, i = fine.shape
    blocks = fine.reshape(n, 2, k // 2, 2, j // 2, 2, i // 2, 2)
    return fine, blocks.mean(axis=(3, 5, 7)).sum(axis=1, keepdims=True)


class RuntimeSuite:
    """What a runtime promises. A subclass gives the fixture ``opener``."""

    @pytest.fixture
    def opener(self) -> Opener:
        """Opens one of the networks ``one``, ``two`` and ``hungry``."""
        raise NotImplementedError

    @pytest.fixture
    def runtime(self, opener: Opener) -> Iterator[Runtime]:
        with closing(opener("one")) as runtime:
            yield runtime

    def test_it_says_what_it_runs_on(self, runtime: Runtime) -> None:
        assert len(runtime.name.split()) >= 2
        assert runtime.device == "cpu" or runtime.device.startswith(("cuda:", "http:", "grpc:"))

    @pytest.mark.parametrize("shape", [(1, 1, 4, 8, 12), (3, 1, 8, 4, 4), (1, 1, 16, 16, 4)])
    def test_it_computes_the_network(self, runtime: Runtime, shape: tuple[int, ...]) -> None:
        """Any batch and any size, each time; a GPU's shorter mantissa is allowed for."""
        for seed in range(3):
            batch = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
            (result,) = runtime.run(batch)
            assert result.dtype == np.float32
            assert result == pytest.approx(expected(batch), abs=2e-2)

    @pytest.mark.parametrize("n", [1, 3])
    def test_several_outputs_come_in_their_order(self, opener: Opener, n: int) -> None:
        with closing(opener("two")) as runtime:
            for seed in range(3):
                shape = (n, 1, 8, 4, 12)
                batch = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
                outputs = runtime.run(batch)
                assert isinstance(outputs, tuple)
                assert [output.shape for output in outputs] == [(n, 2, 8, 4, 12), (n, 1, 4, 2, 6)]
                for output, wanted in zip(outputs, expected_of_two(batch), strict=True):
                    assert output == pytest.approx(wanted, abs=2e-2)

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
        """A later run doesn't write into what an earlier one gave, and one may write there."""
        ones = np.ones((1, 1, 4, 4, 4), np.float32)
        runtime.run(ones)
        (first,) = runtime.run(ones)
        kept = first.copy()
        (second,) = runtime.run(-5 * ones)
        assert np.array_equal(first, kept)
        first[...] = 7
        assert not np.shares_memory(first, second)
        assert runtime.run(ones)[0] == pytest.approx(kept, abs=1e-3)

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
        assert not isinstance(caught.value, OutOfMemory)
        assert caught.value.retryable

    @pytest.mark.parametrize("shape", [(0, 1, 8, 8, 8), (1, 1, 0, 8, 8), ()])
    def test_an_empty_batch_is_an_error_too(self, runtime: Runtime, shape: tuple[int, ...]) -> None:
        with pytest.raises(InferenceFailed, match="holds no patch"):
            runtime.run(np.zeros(shape, np.float32))

    @pytest.mark.parametrize("n", [1, 4])
    def test_it_still_runs_after_a_failure(self, runtime: Runtime, n: int) -> None:
        for _ in range(3):
            with pytest.raises(InferenceFailed):
                runtime.run(np.zeros((n, 1, 6, 8, 8), np.float32))
        ones = np.ones((n, 1, 4, 4, 4), np.float32)
        assert runtime.run(ones)[0] == pytest.approx(expected(ones), abs=2e-2)

    def test_threads_may_share_it(self, runtime: Runtime) -> None:
        """Different batch sizes and shapes at the same time, again and again."""
        results: dict[int, list[Batch]] = {}

        def work(n: int) -> None:
            batch = np.full((1 + n % 3, 1, 4, 4 + 4 * (n % 2), 4), n, np.float32)
            results[n] = [runtime.run(batch)[0] for _ in range(4)]

        threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        for n in range(6):
            full = np.full((1 + n % 3, 1, 4, 4 + 4 * (n % 2), 4), n, np.float32)
            assert len(results[n]) == 4
            for result in results[n]:
                assert result == pytest.approx(expected(full), abs=5e-2)


class RunsOutOfMemory:
    """For the runtimes that can be given a network that asks for more than any machine has."""

    def test_no_memory_is_told_apart(self, opener: Opener) -> None:
        with closing(opener("hungry")) as runtime:
            for _ in range(2):
                with pytest.raises(OutOfMemory):
                    runtime.run(np.ones((1, 1, 4, 4, 4), np.float32))


# --- the networks as ONNX ---------------------------------------------------------------------


def write_network(path: Path, network: str = "one", opset: int = 17) -> Path:
    """One of the networks as an ONNX file."""
    make = {"one": _fine, "two": _two, "hungry": _hungry}[network]
    nodes, outputs, constants = make()
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        network,
        [value("x", TensorProto.FLOAT, ["n", 1, "k", "j", "i"])],
        [value(name, TensorProto.FLOAT, ["n", c, *sides]) for name, c, *sides in outputs],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


Graph = tuple[list[Any], list[tuple[Any, ...]], dict[str, np.ndarray]]


def _fine() -> Graph:
    """A reshape there and back wants sides that are multiples."""
    nodes = [
        helper.make_node("Reshape", ["x", "as_image"], ["flat"]),
        helper.make_node("SpaceToDepth", ["flat"], ["deep"], blocksize=NEEDED),
        helper.make_node("DepthToSpace", ["deep"], ["again"], blocksize=NEEDED),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Reshape", ["again", "shape"], ["back"]),
        helper.make_node("Conv", ["back", "w", "b"], ["y0"], pads=[1] * 6, kernel_shape=[3] * 3),
        helper.make_node("Relu", ["y0"], ["y"]),
    ]
    # (n, 1, k, j, i) -> (n, 1, k, j * i): only k and the product are checked.
    constants = {"w": KERNEL, "b": BIAS, "as_image": np.array([0, 0, 0, -1], np.int64)}
    return nodes, [("y", 2, "k", "j", "i")], constants


def _two() -> Graph:
    nodes, outputs, constants = _fine()
    nodes += [
        helper.make_node("AveragePool", ["y"], ["p"], kernel_shape=[2] * 3, strides=[2] * 3),
        helper.make_node("ReduceSum", ["p", "channels"], ["coarse"], keepdims=1),
    ]
    constants["channels"] = np.array([1], np.int64)
    return nodes, [*outputs, ("coarse", 1, "k2", "j2", "i2")], constants


def _hungry() -> Graph:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Mul", ["shape", "times"], ["huge"]),
        helper.make_node("ConstantOfShape", ["huge"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]
    times = np.array([1, 1, TOO_MUCH, TOO_MUCH, TOO_MUCH], np.int64)
    return nodes, [("y", 1, "k", "j", "i")], {"times": times}


# --- the same as PyTorch ----------------------------------------------------------------------


class One(nn.Module):
    """The network ``one``."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(1, 2, 3, padding=1)
        with torch.no_grad():
            self.convolution.weight.copy_(torch.from_numpy(KERNEL))
            self.convolution.bias.copy_(torch.from_numpy(BIAS))  # type: ignore[union-attr]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, c, k, j, i = x.shape
        deep = x.reshape(n, c, k // 4, 4, j * i // 4, 4)
        return functional.relu(self.convolution(deep.reshape(n, c, k, j, i)))


class Two(nn.Module):
    """The network ``two``; its outputs are nested, as detectors' are."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = One()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        fine = self.fine(x)
        return fine, [functional.avg_pool3d(fine, 2).sum(1, keepdim=True)]


class Hungry(nn.Module):
    """The network ``hungry``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, c, k, j, i = x.shape
        return x + torch.zeros(n, c, k * 100000, j * 100000, i * 100000).sum()


MODULES: dict[str, Callable[[], nn.Module]] = {"one": One, "two": Two, "hungry": Hungry}
