"""ONNX Runtime, in process: CPU, CUDA or TensorRT, whatever the installed package offers."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np

from models.errors import InferenceFailed, RuntimeMissing, SpecError
from models.runtime import Batch, Outputs

log = logging.getLogger(__name__)

_PREFERRED = ("CUDAExecutionProvider", "CPUExecutionProvider")


class OnnxRuntime:
    """One ONNX network, loaded once and kept.

    Args:
        path: the ONNX file; one input, one output, both float32 (n, c, k, j, i).
        threads: CPU threads; 0: all cores.

    Raises:
        RuntimeMissing: onnxruntime is not installed.
        SpecError: the file is no ONNX network.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise RuntimeMissing(
                "onnxruntime is not installed; `pip install 'preread[cpu]'` or, with an NVIDIA "
                "GPU, `pip install 'preread[gpu]'`"
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or os.cpu_count() or 1
        # Spinning threads would steal the cores from the listener between two runs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # The arena keeps the largest study's memory for ever; studies differ much in size.
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        available = onnxruntime.get_available_providers()
        providers = [name for name in _PREFERRED if name in available]
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), sess_options=options, providers=providers
            )
        except Exception as error:  # onnxruntime's errors share no public base
            raise SpecError(f"{path}: cannot be loaded as an ONNX network: {error}") from error
        self._input = self._session.get_inputs()[0].name
        self._path = path
        log.info("%s: loaded on %s", path, self.name)

    @property
    def name(self) -> str:
        """Runtime and the execution provider in use."""
        return f"onnxruntime {self._session.get_providers()[0]}"

    @property
    def device(self) -> str:
        """Where it runs."""
        return "cpu" if "CPU" in self._session.get_providers()[0] else "cuda:0"

    def run(self, batch: Batch) -> Outputs:
        """One forward pass; see :class:`models.runtime.Runtime`."""
        contiguous = np.ascontiguousarray(batch, dtype=np.float32)
        try:
            outputs = self._session.run(None, {self._input: contiguous})
        except Exception as error:  # onnxruntime's errors share no public base
            raise InferenceFailed(f"{self._path}: {error}") from error
        return tuple(np.asarray(output, dtype=np.float32) for output in outputs)

    def close(self) -> None:
        """Drop the session; its memory goes with it."""
        del self._session
