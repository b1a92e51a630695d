"""The model that Triton's Python backend runs: an ONNX file, by ONNX Runtime.

``repository.py`` copies this file as ``model.py`` beside a ``model.onnx``, for
servers without the ONNX Runtime backend. It stands alone: nothing of Preread is imported.
The server's Python needs ``onnxruntime`` (or ``onnxruntime-gpu``) and ``numpy``.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

log = logging.getLogger(__name__)


class TritonPythonModel:
    """What the backend makes one of for each instance."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the network; the backend calls it once.

        Args:
            args: ``model_config`` (JSON), ``model_instance_kind`` (CPU or GPU),
                ``model_instance_device_id`` and more.
        """
        import onnxruntime
        import triton_python_backend_utils as backend

        self._backend = backend
        config = json.loads(args["model_config"])
        self._outputs = [output["name"] for output in config["output"]]
        self._input = config["input"][0]["name"]
        options = onnxruntime.SessionOptions()
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        threads = config.get("parameters", {}).get("threads", {}).get("string_value", "0")
        options.intra_op_num_threads = int(threads)
        providers: list[Any] = ["CPUExecutionProvider"]
        if args.get("model_instance_kind") == "GPU":
            gpu = {"device_id": int(args["model_instance_device_id"])}
            providers.insert(0, ("CUDAExecutionProvider", gpu))
        self._session = onnxruntime.InferenceSession(
            str(Path(__file__).with_name("model.onnx")), options, providers=providers
        )

    def execute(self, requests: list[Any]) -> list[Any]:
        """Run what the server's batcher put together; one response a request, in order."""
        batches = [self._batch_of(request) for request in requests]
        same = len({batch.shape[1:] for batch in batches}) == 1
        if len(batches) > 1 and same:
            try:
                whole = self._run(np.concatenate(batches))
            except Exception as error:  # noqa: BLE001 - onnxruntime's errors share no base; logged
                log.warning("%d requests together: %s; each runs alone", len(batches), error)
                whole = None
            if whole is not None:
                ends = np.cumsum([len(batch) for batch in batches])[:-1]
                parts = zip(*(np.split(output, ends) for output in whole), strict=True)
                return [self._response(part) for part in parts]
        return [self._alone(batch) for batch in batches]

    def finalize(self) -> None:
        """The model is unloaded."""
        del self._session

    def _batch_of(self, request: Any) -> np.ndarray:
        tensor = self._backend.get_input_tensor_by_name(request, self._input)
        batch: np.ndarray = tensor.as_numpy()
        return batch

    def _run(self, batch: np.ndarray) -> list[np.ndarray]:
        outputs: list[np.ndarray] = self._session.run(self._outputs, {self._input: batch})
        return outputs

    def _alone(self, batch: np.ndarray) -> Any:
        try:
            return self._response(self._run(batch))
        except Exception as error:  # noqa: BLE001 - as above; told to who sent the request
            failure = self._backend.TritonError(str(error))
            return self._backend.InferenceResponse(output_tensors=[], error=failure)

    def _response(self, outputs: Any) -> Any:
        tensors = [
            self._backend.Tensor(name, np.ascontiguousarray(output))
            for name, output in zip(self._outputs, outputs, strict=True)
        ]
        return self._backend.InferenceResponse(output_tensors=tensors)
