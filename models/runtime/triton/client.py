"""A model on a Triton server as a runtime."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import numpy as np

from models.errors import EndpointFailed, InferenceFailed, OutOfMemory, SpecError
from models.runtime import Batch, Outputs
from models.runtime.batches import as_input, run_in_parts
from models.runtime.failures import means_no_memory
from models.runtime.source import TritonModel
from models.runtime.triton.grpc import GrpcWire
from models.runtime.triton.http import HttpWire
from models.runtime.triton.shared_memory import Slot, drop_orphans
from models.runtime.triton.wire import Answer, Place, Port, Request, Shape, Trouble, Wire, WireError

log = logging.getLogger(__name__)

OPENING_S = 30.0
"""Longest that a server may take to say what a model is."""
RETRY_AFTER_S = 0.2
_CARRIERS: dict[str, Callable[[str, str, str], Wire]] = {"http": HttpWire, "grpc": GrpcWire}
_REMEDIES = {
    Trouble.UNREACHED: "check that the server runs at this address and that no firewall stands "
    "between",
    Trouble.LATE: "the server is overloaded or hangs; look at it, or raise network.timeout_s",
    Trouble.REFUSED: "the server's log says more",
    Trouble.GARBLED: "check that this is Triton's own port (http usually 8000, grpc 8001)",
}


class TritonRuntime:
    """One model on a Triton server.

    A request that finds no connection, or loses it, is sent once more; an answer that is late
    is not waited for twice.

    Args:
        source: the server and the model.

    Raises:
        RuntimeMissing: grpc:// is asked for and tritonclient is not installed.
        SpecError: the address is none, or the model takes or gives something else than images.
        EndpointFailed: the server doesn't answer, or doesn't serve the model now.
    """

    def __init__(self, source: TritonModel) -> None:
        scheme, address = _address(source.url)
        self._source = source
        version = f" version {source.version}" if source.version else ""
        self._where = f"{source.url}: model {source.model}{version}"
        self._wire = _CARRIERS[scheme](address, source.model, source.version)
        # Shapes of the outputs by the input's, once seen: shared memory must be laid out.
        self._known: dict[Shape, tuple[Shape, ...]] = {}
        self._slots: list[Slot] = []
        self._lock = threading.Lock()
        try:
            self._open()
        except BaseException:
            self._wire.close()
            raise
        log.info("%s: ready", self._where)

    @property
    def name(self) -> str:
        """Runtime, server and model."""
        return f"triton {self._source.url} {self._source.model}"

    @property
    def device(self) -> str:
        """The server's address."""
        return self._source.url

    def run(self, batch: Batch) -> Outputs:
        """One forward pass; see :class:`models.runtime.Runtime`.

        Raises:
            EndpointFailed: the server answered late, wrongly or not at all.
        """
        given = as_input(batch)
        self._check_input(given)
        if self._fixed_batch:
            return run_in_parts(given, self._fixed_batch, self._ask)
        most = self._maximum_batch or len(given)
        parts = [self._ask(given[at : at + most]) for at in range(0, len(given), most)]
        if len(parts) == 1:
            return parts[0]
        return tuple(np.concatenate(pieces) for pieces in zip(*parts, strict=True))

    def close(self) -> None:
        """Unregister and free the shared memory, close the connections."""
        with self._lock:
            slots, self._slots = self._slots, []
        for slot in slots:
            slot.close(OPENING_S)
        self._wire.close()

    def _open(self) -> None:
        seconds = min(OPENING_S, self._source.timeout_s)
        try:
            model = self._wire.describe(seconds)
        except WireError as error:
            raise self._failure(error, seconds) from error
        self._input = self._image_port(model.inputs)
        self._outputs = model.outputs
        odd = [f"{port.name}: {port.kind}" for port in model.outputs if port.kind != "FP32"]
        if odd or not model.outputs:
            raise SpecError(
                f"{self._where}: every output must be FP32, there is {', '.join(odd) or 'none'}; "
                "serve logits, without argmax"
            )
        self._maximum_batch = model.maximum_batch
        self._fixed_batch = 0
        if not model.maximum_batch:
            self._fixed_batch = max(0, self._input.shape[0])
        if self._source.shared_memory:
            self._try_shared_memory(seconds)

    def _image_port(self, inputs: Sequence[Port]) -> Port:
        if len(inputs) == 1 and inputs[0].kind == "FP32" and len(inputs[0].shape) in (4, 5):
            return inputs[0]
        found = "; ".join(f"{port.name}: {port.kind} {list(port.shape)}" for port in inputs)
        raise SpecError(
            f"{self._where}: one FP32 input is needed, batch and channels before two or three "
            f"axes; it has {found or 'none'}; serve the network as `preread models export "
            "--triton` writes it"
        )

    def _try_shared_memory(self, seconds: float) -> None:
        slot = Slot(self._wire)
        try:
            slot.lay_out("probe", np.zeros((1, 1), np.float32), {}, seconds)
            drop_orphans(self._wire, seconds)
        except WireError as error:
            raise EndpointFailed(
                f"{self._where}: the server can't map our shared memory ({error}); it must run "
                "on this machine and see the same /dev/shm (Docker: --ipc=host), or set "
                "network.shared_memory to false"
            ) from error
        except OSError as error:
            raise EndpointFailed(f"{self._where}: no shared memory here: {error}") from error
        finally:
            slot.close(seconds)

    def _check_input(self, batch: Batch) -> None:
        asked = self._input.shape
        fits = batch.ndim == len(asked) and all(
            side in (-1, given) for side, given in zip(asked[1:], batch.shape[1:], strict=True)
        )
        if not fits:
            raise InferenceFailed(
                f"{self._where}: takes {list(asked)} (-1: any), was given {list(batch.shape)}"
            )

    def _ask(self, batch: Batch) -> Outputs:
        deadline = time.monotonic() + self._source.timeout_s
        try:
            return self._once(batch, deadline)
        except WireError as error:
            if error.trouble is not Trouble.UNREACHED:
                raise self._failure(error, self._source.timeout_s) from error
            log.info("%s: %s; once more", self._where, error)
        time.sleep(min(RETRY_AFTER_S, max(0.0, deadline - time.monotonic())))
        try:
            return self._once(batch, deadline)
        except WireError as error:
            raise self._failure(error, self._source.timeout_s) from error

    def _once(self, batch: Batch, deadline: float) -> Outputs:
        shapes = self._known.get(batch.shape) if self._source.shared_memory else None
        if shapes is not None:
            try:
                return self._through_memory(batch, shapes, deadline)
            except OSError as error:
                log.warning("%s: %s; sent over the network", self._where, error)
        names = tuple(port.name for port in self._outputs)
        request = Request(self._input.name, batch, names)
        answers = self._wire.infer(request, deadline - time.monotonic())
        outputs = []
        for answer in self._checked(answers, len(batch)):
            size = 0 if answer.data is None else answer.data.size
            if answer.data is None or size != np.prod(answer.port.shape):
                raise WireError(
                    Trouble.GARBLED,
                    f"output {answer.port.name} is said to be {list(answer.port.shape)}, but "
                    f"{size} values came",
                )
            outputs.append(np.array(answer.data, np.float32).reshape(answer.port.shape))
        self._known[batch.shape] = tuple(output.shape for output in outputs)
        return tuple(outputs)

    def _through_memory(self, batch: Batch, shapes: tuple[Shape, ...], deadline: float) -> Outputs:
        names = tuple(port.name for port in self._outputs)
        expected = dict(zip(names, shapes, strict=True))
        with self._lock:
            slot = self._slots.pop() if self._slots else Slot(self._wire)
        try:
            places = slot.lay_out(self._input.name, batch, expected, deadline - time.monotonic())
            request = Request(self._input.name, batch, names, places)
            answers = self._wire.infer(request, deadline - time.monotonic())
            return self._taken(slot, places, self._checked(answers, len(batch)), expected)
        except WireError as error:
            if error.trouble is Trouble.REFUSED and "shared memory" in str(error).lower():
                # Restarted since: it has forgotten the region; registered anew next time.
                slot.forget()
                raise WireError(Trouble.UNREACHED, str(error)) from error
            if error.trouble is not Trouble.REFUSED:
                # It may still write into the region: never used again.
                slot.close(RETRY_AFTER_S)
            raise
        finally:
            with self._lock:
                self._slots.append(slot)

    def _taken(
        self,
        slot: Slot,
        places: dict[str, Place],
        answers: list[Answer],
        expected: dict[str, Shape],
    ) -> Outputs:
        for answer in answers:
            shape = expected[answer.port.name]
            if answer.data is not None or answer.port.shape != shape:
                raise WireError(
                    Trouble.GARBLED,
                    f"output {answer.port.name} is {list(answer.port.shape)}, it was {list(shape)}",
                )
        return tuple(slot.take(places[name], shape) for name, shape in expected.items())

    def _checked(self, answers: list[Answer], n: int) -> list[Answer]:
        """The answers in the outputs' order.

        Raises:
            WireError: one is missing, or not what the model's description says.
        """
        found = {answer.port.name: answer for answer in answers}
        for port in self._outputs:
            answer = found.get(port.name)
            if answer is None:
                raise WireError(Trouble.GARBLED, f"output {port.name} is missing")
            shape = answer.port.shape
            fits = len(shape) == len(port.shape) and all(
                said in (-1, side) for said, side in zip(port.shape[1:], shape[1:], strict=True)
            )
            if answer.port.kind != "FP32" or not fits or shape[0] != n or min(shape) < 0:
                raise WireError(
                    Trouble.GARBLED,
                    f"output {port.name} is {answer.port.kind} {list(shape)} for {n} patches; the "
                    f"model's description says FP32 {list(port.shape)}",
                )
        return [found[port.name] for port in self._outputs]

    def _failure(self, error: WireError, seconds: float) -> InferenceFailed:
        if error.trouble is Trouble.REFUSED and means_no_memory(str(error)):
            return OutOfMemory(f"{self._where}: {error}")
        what = f"{error} ({seconds:g} s)" if error.trouble is Trouble.LATE else str(error)
        return EndpointFailed(f"{self._where}: {what}; {_REMEDIES[error.trouble]}")


def _address(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme not in _CARRIERS or not parts.hostname or port is None or parts.path.strip("/"):
        raise SpecError(f"{url!r}: give http://host:port or grpc://host:port (network.url)")
    return parts.scheme, parts.netloc
