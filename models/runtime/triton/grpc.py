"""Requests to Triton over gRPC, by NVIDIA's client."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from models.errors import RuntimeMissing
from models.runtime.failures import in_short
from models.runtime.triton.wire import Answer, Description, Port, Request, Trouble, WireError

_LATE = "DEADLINE_EXCEEDED"
_UNREACHED = ("UNAVAILABLE", "CANCELLED", "ABORTED")
# A site's proxy is for the internet; the server is on the site's own network.
_CHANNEL = [
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", 2**31 - 1),
    ("grpc.max_send_message_length", 2**31 - 1),
    # Back within a second from a server that was restarted; by default it waits up to 2 min.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1000),
]


class GrpcWire:
    """One model on a server, over gRPC.

    Args:
        address: ``host:port``.
        model: its name there.
        version: empty: the server's choice.

    Raises:
        RuntimeMissing: tritonclient is not installed.
    """

    def __init__(self, address: str, model: str, version: str) -> None:
        try:
            import tritonclient.grpc as library
        except ImportError as error:
            raise RuntimeMissing(
                "grpc:// needs tritonclient; `pip install 'preread[triton]'`, or use http://"
            ) from error
        self._library = library
        self._client = library.InferenceServerClient(address, channel_args=_CHANNEL)
        self._model = model
        self._version = version

    def describe(self, seconds: float) -> Description:
        """See :class:`models.runtime.triton.wire.Wire`."""
        deadline = time.monotonic() + seconds
        with self._asking():
            ready = self._client.is_model_ready(
                self._model, self._version, client_timeout=_left(deadline)
            )
            metadata = self._client.get_model_metadata(
                self._model, self._version, client_timeout=_left(deadline)
            )
            config = self._client.get_model_config(
                self._model, self._version, client_timeout=_left(deadline)
            ).config
        if not ready:
            raise WireError(Trouble.REFUSED, "the model is not ready")
        return Description(
            tuple(_port(item) for item in metadata.inputs),
            tuple(_port(item) for item in metadata.outputs),
            int(config.max_batch_size),
        )

    def infer(self, request: Request, seconds: float) -> list[Answer]:
        """See :class:`models.runtime.triton.wire.Wire`."""
        places = request.places or {}
        tensor = self._library.InferInput(request.input, list(request.batch.shape), "FP32")
        if request.input in places:
            place = places[request.input]
            tensor.set_shared_memory(place.region, place.size, place.offset)
        else:
            tensor.set_data_from_numpy(request.batch)
        outputs = []
        for name in request.outputs:
            output = self._library.InferRequestedOutput(name)
            if name in places:
                place = places[name]
                output.set_shared_memory(place.region, place.size, place.offset)
            outputs.append(output)
        with self._asking():
            response = self._client.infer(
                self._model, [tensor], self._version, outputs, client_timeout=seconds
            ).get_response()
        return _answers(response)

    def register(self, region: str, size: int, seconds: float) -> None:
        """See :class:`models.runtime.triton.wire.Wire`."""
        with self._asking():
            self._client.register_system_shared_memory(
                region, f"/{region}", size, client_timeout=seconds
            )

    def unregister(self, region: str, seconds: float) -> None:
        """See :class:`models.runtime.triton.wire.Wire`."""
        with self._asking():
            self._client.unregister_system_shared_memory(region, client_timeout=seconds)

    def regions(self, seconds: float) -> list[str]:
        """See :class:`models.runtime.triton.wire.Wire`."""
        with self._asking():
            status = self._client.get_system_shared_memory_status(client_timeout=seconds)
        return list(status.regions)

    def close(self) -> None:
        """Close the channel."""
        self._client.close()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        from tritonclient.utils import InferenceServerException

        try:
            yield
        except InferenceServerException as error:
            status, words = str(error.status()), in_short(str(error.message()))
            if _LATE in status:
                raise WireError(Trouble.LATE, "no whole answer in time") from error
            if any(name in status for name in _UNREACHED):
                raise WireError(Trouble.UNREACHED, words) from error
            raise WireError(Trouble.REFUSED, f"{status}: {words}") from error


def _left(deadline: float) -> float:
    return max(0.001, deadline - time.monotonic())


def _port(item: Any) -> Port:
    return Port(item.name, item.datatype, tuple(item.shape))


def _answers(response: Any) -> list[Answer]:
    """Tensors come in one list in the outputs' order; one in shared memory is empty there."""
    answers = []
    for number, output in enumerate(response.outputs):
        contents = response.raw_output_contents
        raw = contents[number] if number < len(contents) else b""
        data = np.frombuffer(raw, np.float32) if raw and len(raw) % 4 == 0 else None
        answers.append(Answer(_port(output), data))
    return answers
