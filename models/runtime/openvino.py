"""OpenVINO, in process, on the CPU: the measured best there.

A network is compiled for a single patch of each shape that comes (a few are kept), whatever
the batch: OpenVINO gains nothing from batches on a CPU, and memory stays that of one patch.
A batch's patches run two at a time, each on half the threads; a lone patch gets them all.
Measured with 2 threads on batches of 4 (UNet, SegResNet, 96^3 and 64^3): on a quiet machine
the same within 7 %, and up to 1.7 times as fast when something else wants the cores too, as
the resampling of the next study does. Threads are not pinned, for the same reason.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from models.errors import InferenceFailed, RuntimeMissing, SpecError
from models.export import onnx_file_of
from models.runtime import Batch, Outputs
from models.runtime.batches import as_input, run_in_parts
from models.runtime.devices import cpu_threads, resolve_device
from models.runtime.failures import in_short, inference_failure, means_no_memory
from models.runtime.onnx_file import check_onnx_file
from models.runtime.source import OnnxFile, RuntimeOptions, TorchNetwork

log = logging.getLogger(__name__)

MOST_SHAPES = 3
"""Compiled networks kept; each holds the weights once more, in its own layout."""
STREAMS = 2
"""Patches of a batch that run at the same time."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class _Compiled:
    """A network compiled for one shape, with as many requests as may run at a time."""

    requests: SimpleQueue[Any]
    streams: int
    outputs: tuple[Shape | None, ...]
    """Shape of each output; None: it hangs on the values."""


class OpenVinoRuntime:
    """One network in OpenVINO, loaded once and kept.

    Args:
        source: an ONNX file, an OpenVINO file (int8 ones too), or a network that is exported
            to ONNX first.
        options: threads, precision (bf16 where the processor has it; int8 is in the file).

    Raises:
        RuntimeMissing: openvino is not installed, or the precision is not here.
        SpecError: the file is no network that it can run.
    """

    def __init__(
        self, source: OnnxFile | TorchNetwork, options: RuntimeOptions | None = None
    ) -> None:
        options = options or RuntimeOptions()
        if options.device != "auto" and resolve_device(options.device) != "cpu":
            raise RuntimeMissing(
                f"device {options.device}: OpenVINO runs on the CPU here; choose runtime onnx or "
                "torch for the GPU"
            )
        self._openvino = _import()
        self._core = self._openvino.Core()
        self._where = source.name if isinstance(source, TorchNetwork) else str(source.path)
        self._precision = options.precision
        self._settings = self._chosen_settings(options)
        with onnx_file_of(source) as file:
            self._model = self._read(file.path)
        self._batch = self._check(options)
        self._compiled: OrderedDict[Shape, _Compiled] = OrderedDict()
        self._lock = threading.Lock()
        log.info("%s: loaded on %s", self._where, self.name)

    @property
    def name(self) -> str:
        """Runtime, device and precision."""
        return f"openvino CPU {self._precision}"

    @property
    def device(self) -> str:
        """Where it runs."""
        return "cpu"

    def run(self, batch: Batch) -> Outputs:
        """One forward pass; see :class:`models.runtime.Runtime`."""
        given = as_input(batch)
        if not given.flags.writeable:
            given = given.copy()  # OpenVINO doesn't share memory that it may not write
        asked = self._model.input().partial_shape
        if not asked.compatible(self._openvino.PartialShape([-1, *given.shape[1:]])):
            # Reshaping would give a network of another rank, and numbers without a meaning.
            raise InferenceFailed(f"{self._where}: takes {asked}, was given {list(given.shape)}")
        try:
            return self._run(given)
        except (RuntimeError, ValueError, TypeError, MemoryError) as error:
            raise inference_failure(self._where, error) from error

    def close(self) -> None:
        """Drop the compiled networks; their memory goes with them."""
        with self._lock:
            self._compiled.clear()
            del self._model

    def _run(self, batch: Batch) -> Outputs:
        if self._batch > 1:
            return run_in_parts(batch, self._batch, self._run_patches)
        return self._run_patches(batch)

    def _run_patches(self, batch: Batch) -> Outputs:
        """Every unit (a patch, or a bound batch) as one request."""
        units = len(batch) // self._batch
        compiled = self._for(batch.shape, units)
        results: list[Any] = [
            None if shape is None else np.empty((len(batch), *shape[1:]), np.float32)
            for shape in compiled.outputs
        ]
        loose: list[list[np.ndarray]] = [[] for _ in results]
        running: list[tuple[int, Any]] = []
        try:
            for start in range(0, len(batch), self._batch):
                while (request := _free_request(compiled, holds=len(running))) is None:
                    self._finish(compiled, running, loose)
                running.append((start, request))
                rows = slice(start, start + self._batch)
                self._start(request, batch[rows], [r if r is None else r[rows] for r in results])
            while running:
                self._finish(compiled, running, loose)
        finally:
            # After a failure the others are still at work on the caller's batch.
            for _, request in running:
                _wait_quietly(request)
                compiled.requests.put(request)
        return tuple(
            np.concatenate(parts) if result is None else result
            for result, parts in zip(results, loose, strict=True)
        )

    def _start(self, request: Any, unit: Batch, results: list[np.ndarray | None]) -> None:
        """The request reads the caller's memory and writes into the result's: no copies."""
        tensor = self._openvino.Tensor
        request.set_input_tensor(tensor(unit, shared_memory=True))
        for number, result in enumerate(results):
            if result is not None:
                request.set_output_tensor(number, tensor(result, shared_memory=True))
        request.start_async()

    def _finish(
        self, compiled: _Compiled, running: list[tuple[int, Any]], loose: list[list[np.ndarray]]
    ) -> None:
        _, request = running[0]
        request.wait()
        for number, shape in enumerate(compiled.outputs):
            if shape is None:
                loose[number].append(np.array(request.get_output_tensor(number).data, np.float32))
        del running[0]
        compiled.requests.put(request)

    def _for(self, shape: Shape, units: int) -> _Compiled:
        """The network compiled for this shape, and for batches once one came."""
        single = (self._batch, *shape[1:])
        streams = STREAMS if units > 1 else 1
        with self._lock:
            found = self._compiled.get(single)
            if found is None or found.streams < streams:
                self._compiled.pop(single, None)
                while len(self._compiled) >= MOST_SHAPES:
                    self._compiled.popitem(last=False)
                found = self._compile(single, streams)
                self._compiled[single] = found
            self._compiled.move_to_end(single)
            return found

    def _compile(self, shape: Shape, streams: int) -> _Compiled:
        model = self._model.clone()
        model.reshape(list(shape))
        streams = min(streams, self._settings["INFERENCE_NUM_THREADS"])
        hint = "THROUGHPUT" if streams > 1 else "LATENCY"
        settings = self._settings | {"NUM_STREAMS": streams, "PERFORMANCE_HINT": hint}
        compiled = self._core.compile_model(model, "CPU", settings)
        requests: SimpleQueue[Any] = SimpleQueue()
        for _ in range(streams):
            requests.put(compiled.create_infer_request())
        outputs = []
        for output in compiled.outputs:
            known = output.partial_shape.is_static
            outputs.append(tuple(int(side) for side in output.shape) if known else None)
        return _Compiled(requests, streams, tuple(outputs))

    def _chosen_settings(self, options: RuntimeOptions) -> dict[str, Any]:
        able = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if options.precision == "fp16" or (options.precision == "bf16" and "BF16" not in able):
            raise RuntimeMissing(
                f"{self._where}: this processor has no {options.precision}; set precision to fp32"
            )
        return {
            # Where the processor has bf16, OpenVINO takes it unasked.
            "INFERENCE_PRECISION_HINT": "bf16" if options.precision == "bf16" else "f32",
            "INFERENCE_NUM_THREADS": cpu_threads(options.threads),
            "ENABLE_CPU_PINNING": False,
        }

    def _read(self, path: Path) -> Any:
        if path.suffix != ".xml":
            check_onnx_file(path)
        for needed in (path, path.with_suffix(".bin")) if path.suffix == ".xml" else ():
            if not needed.is_file():
                raise SpecError(f"{needed}: not here; OpenVINO needs the .xml and its .bin")
        try:
            return self._core.read_model(str(path))
        except RuntimeError as error:
            if means_no_memory(error):
                raise inference_failure(self._where, error) from error
            raise SpecError(
                f"{path}: cannot be loaded as an ONNX network by OpenVINO: {in_short(error)}; set "
                "runtime.prefer to onnx, or export it without the operators that are named"
            ) from error

    def _check(self, options: RuntimeOptions) -> int:
        """How many patches a request takes: 1, or what the file is bound to."""
        inputs, outputs = self._model.inputs, self._model.outputs
        kinds = [port.get_element_type().get_type_name() for port in (*inputs, *outputs)]
        if len(inputs) != 1 or set(kinds) != {"f32"}:
            raise SpecError(
                f"{self._where}: one float32 input and float32 outputs are needed; it has "
                f"{len(inputs)} input(s), types {', '.join(kinds)}; export it again"
            )
        if options.precision == "int8" and not _is_quantised(self._model):
            raise SpecError(
                f"{self._where}: precision int8, but this network is not quantised; `preread "
                "models evaluate --precision int8` makes and judges the quantised one"
            )
        first = inputs[0].partial_shape[0] if inputs[0].partial_shape.rank.is_static else None
        return int(first.get_length()) if first is not None and first.is_static else 1


def _free_request(compiled: _Compiled, holds: int) -> Any | None:
    """A request that nobody uses; None: finish one of those you hold first.

    Only who holds none may wait, or two threads wait for one another's.
    """
    if not holds:
        return compiled.requests.get()
    if holds == compiled.streams:
        return None
    try:
        return compiled.requests.get_nowait()
    except Empty:
        return None


def _is_quantised(model: Any) -> bool:
    kinds = ("FakeQuantize", "FakeConvert")
    return any(operation.get_type_name() in kinds for operation in model.get_ops())


def _wait_quietly(request: Any) -> None:
    try:
        request.wait()
    except RuntimeError as error:
        log.debug("a request failed beside another: %s", in_short(error))


def _import() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise RuntimeMissing("openvino is not installed; `pip install 'preread[cpu]'`") from error
    return openvino
