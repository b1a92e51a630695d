"""ONNX Runtime, in process: CPU, CUDA or TensorRT, whatever the installed package offers."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import RuntimeMissing, SpecError
from models.export import onnx_file_of
from models.runtime import Batch, Outputs
from models.runtime.batches import as_input, run_in_parts
from models.runtime.devices import cpu_threads, onnx_runtimes, resolve_device
from models.runtime.failures import in_short, inference_failure, means_no_memory
from models.runtime.onnx_file import check_onnx_file
from models.runtime.source import OnnxFile, RuntimeOptions, TorchNetwork

log = logging.getLogger(__name__)

_CPU, _CUDA, _TENSORRT = (f"{name}ExecutionProvider" for name in ("CPU", "CUDA", "Tensorrt"))
_MOST_SHAPES = 16
"""Shapes whose outputs' shapes are remembered."""

Provider = tuple[str, Mapping[str, Any]]


class OnnxRuntime:
    """One ONNX network, loaded once and kept.

    Args:
        source: the ONNX file, or a network that is exported to one first.
        options: device, threads, precision (below fp32: TensorRT only), TensorRT.

    Raises:
        RuntimeMissing: onnxruntime or a device it needs is not here, or two packages of it are.
        SpecError: the file is no ONNX network that it can run.
    """

    def __init__(
        self, source: OnnxFile | TorchNetwork, options: RuntimeOptions | None = None
    ) -> None:
        options = options or RuntimeOptions()
        self._onnxruntime = _import()
        device = resolve_device(options.device)
        with onnx_file_of(source) as file:
            check_onnx_file(file.path)
            providers = _providers(
                self._onnxruntime, device, options, file.path if file.kept else None
            )
            self._session = self._open(file.path, options, providers)
        self._where = str(source.path) if isinstance(source, OnnxFile) else source.name
        self._check_providers(options, device, providers)
        self._input, self._fixed_batch = self._check_inputs()
        self._outputs = self._check_outputs()
        self._shapes: dict[tuple[int, ...], list[tuple[int, ...]] | None] = {}
        log.info("%s: loaded on %s", self._where, self.name)

    @property
    def name(self) -> str:
        """Runtime and the execution provider in use."""
        return f"onnxruntime {self._session.get_providers()[0]}"

    @property
    def device(self) -> str:
        """Where it runs."""
        return self._device

    def run(self, batch: Batch) -> Outputs:
        """One forward pass; see :class:`models.runtime.Runtime`."""
        given = as_input(batch)
        if self._fixed_batch and len(given) != self._fixed_batch:
            return run_in_parts(given, self._fixed_batch, self._run)
        return self._run(given)

    def close(self) -> None:
        """Drop the session; its memory goes with it."""
        self._shapes.clear()
        del self._session

    def _run(self, batch: Batch) -> Outputs:
        shapes = self._shapes.get(batch.shape)
        if shapes is not None:
            try:
                return self._run_bound(batch, shapes)
            except Exception as error:  # onnxruntime's errors share no base; named, or logged
                if means_no_memory(error):
                    raise inference_failure(self._where, error) from error
                # An output whose size hangs on the values: never bound again.
                log.debug("%s: %s; running without bound outputs", self._where, in_short(error))
                self._shapes[batch.shape] = None
        try:
            outputs = self._session.run(self._outputs, {self._input: batch})
        except Exception as error:  # onnxruntime's errors share no base; named here
            raise inference_failure(self._where, error) from error
        if len(self._shapes) < _MOST_SHAPES:
            self._shapes.setdefault(batch.shape, [output.shape for output in outputs])
        return tuple(np.asarray(output, dtype=np.float32) for output in outputs)

    def _run_bound(self, batch: Batch, shapes: list[tuple[int, ...]]) -> Outputs:
        """Outputs go straight into arrays of ours.

        Measured on a CPU with 198 MB of output: 20 instead of 60 ms, since NumPy's memory
        comes in larger pages. From a GPU it spares one copy.
        """
        binding = self._session.io_binding()
        binding.bind_cpu_input(self._input, batch)
        results = tuple(np.empty(shape, np.float32) for shape in shapes)
        for name, result in zip(self._outputs, results, strict=True):
            binding.bind_output(name, "cpu", 0, np.float32, result.shape, result.ctypes.data)
        self._session.run_with_iobinding(binding)
        return results

    def _open(self, path: Path, options: RuntimeOptions, providers: list[Provider]) -> Any:
        settings = self._onnxruntime.SessionOptions()
        settings.intra_op_num_threads = cpu_threads(options.threads)
        # Spinning threads would steal the cores from the listener between two runs.
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # The arena keeps the largest study's memory for ever; studies differ much in size.
        settings.enable_cpu_mem_arena = False
        settings.log_severity_level = 4
        try:
            return self._onnxruntime.InferenceSession(
                str(path), sess_options=settings, providers=providers
            )
        except Exception as error:  # onnxruntime's errors share no base; named here
            if means_no_memory(error):
                raise inference_failure(str(path), error) from error
            raise SpecError(
                f"{path}: cannot be loaded as an ONNX network: {_explained(str(error))}"
            ) from error

    def _check_providers(self, options: RuntimeOptions, device: str, asked: list[Provider]) -> None:
        """ONNX Runtime goes on without a provider whose libraries it can't load."""
        there = self._session.get_providers()
        lost = [name for name, _ in asked if name not in there]
        if _TENSORRT in lost:
            raise RuntimeMissing(
                f"{self._where}: TensorRT's libraries can't be loaded; `pip install "
                "tensorrt-cu12` (the CUDA version that onnxruntime-gpu was built for), or run "
                "without tensorrt"
            )
        if _CUDA in lost and options.device != "auto":
            raise RuntimeMissing(
                f"{self._where}: ONNX Runtime can't load CUDA's or cuDNN's libraries; `pip "
                "install 'onnxruntime-gpu[cuda,cudnn]'`, or set device to cpu"
            )
        if _CUDA in lost:
            log.warning("%s: CUDA's libraries can't be loaded; running on the CPU", self._where)
        self._device = device if there[0] != _CPU else "cpu"

    def _check_inputs(self) -> tuple[str, int]:
        """The input's name, and the batch size it is bound to (0: any)."""
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(float)":
            found = ", ".join(f"{item.name}: {item.type}" for item in inputs) or "none"
            raise SpecError(
                f"{self._where}: one float32 input is needed, it has {found}; export it again"
            )
        first = inputs[0].shape[0] if inputs[0].shape else None
        return inputs[0].name, first if isinstance(first, int) and first > 0 else 0

    def _check_outputs(self) -> list[str]:
        outputs = self._session.get_outputs()
        odd = [f"{item.name}: {item.type}" for item in outputs if item.type != "tensor(float)"]
        if odd:
            raise SpecError(
                f"{self._where}: every output must be float32, there is {', '.join(odd)}; "
                "export logits, without argmax"
            )
        return [item.name for item in outputs]


def _import() -> Any:
    there = onnx_runtimes()
    if len(there) > 1:
        packages = " ".join(there)
        raise RuntimeMissing(
            f"{' and '.join(there)} are both installed and overwrite one another; `pip uninstall "
            f"{packages}`, then `pip install 'preread[cpu]'` or 'preread[gpu]'"
        )
    try:
        import onnxruntime
    except ImportError as error:
        raise RuntimeMissing(
            "onnxruntime is not installed; `pip install 'preread[cpu]'` or, with an NVIDIA "
            "GPU, `pip install 'preread[gpu]'`"
        ) from error
    return onnxruntime


def _providers(
    onnxruntime: Any, device: str, options: RuntimeOptions, path: Path | None
) -> list[Provider]:
    """What to ask for, best first.

    Args:
        device: ``cpu`` or ``cuda:N``.
        path: the network's file, beside which engines may be kept; None: nowhere.
    """
    if options.precision in ("bf16", "fp16") and not options.tensorrt:
        raise RuntimeMissing(
            f"precision {options.precision}: ONNX Runtime computes a float32 file in it only "
            "through TensorRT (option tensorrt); on a CPU OpenVINO has bf16 (`pip install "
            "'preread[cpu]'`), and PyTorch has both (`pip install 'preread[monai]'`)"
        )
    available = onnxruntime.get_available_providers()
    providers: list[Provider] = [(_CPU, {})]
    if device == "cpu":
        if options.tensorrt:
            raise RuntimeMissing("tensorrt needs an NVIDIA GPU, and the device is cpu")
        return providers
    number = int(device.removeprefix("cuda:"))
    if _CUDA in available:
        # Its libraries lie in NVIDIA's pip packages, or beside PyTorch.
        if hasattr(onnxruntime, "preload_dlls"):
            onnxruntime.preload_dlls()
        cuda = {
            "device_id": number,
            # Memory for what is needed, not twice as much; other models are warm beside it.
            "arena_extend_strategy": "kSameAsRequested",
            # Trying every algorithm takes seconds for each new batch size.
            "cudnn_conv_algo_search": "HEURISTIC",
        }
        providers.insert(0, (_CUDA, cuda))
    elif options.device != "auto":
        raise RuntimeMissing(
            f"device {options.device}: the installed onnxruntime knows no CUDA; `pip uninstall "
            "onnxruntime`, then `pip install 'preread[gpu]'`"
        )
    if options.tensorrt:
        if _TENSORRT not in available:
            raise RuntimeMissing(
                "the installed onnxruntime knows no TensorRT; `pip uninstall onnxruntime`, then "
                "`pip install 'preread[gpu]' tensorrt-cu12`"
            )
        providers.insert(0, (_TENSORRT, _tensorrt(number, options, path)))
    return providers


def _tensorrt(number: int, options: RuntimeOptions, path: Path | None) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "device_id": number,
        "trt_fp16_enable": options.precision == "fp16",
        "trt_bf16_enable": options.precision == "bf16",
    }
    folder = path.with_name(f"{path.name}.engines") if path else None
    if folder is not None:
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            log.warning("%s: engines can't be kept, each start builds them: %s", folder, error)
            folder = None
    if folder is not None:
        for kind in ("engine", "timing"):
            settings[f"trt_{kind}_cache_enable"] = True
            settings[f"trt_{kind}_cache_path"] = str(folder)
    return settings


def _explained(message: str) -> str:
    """ONNX Runtime's message with what to do about the usual ones before it."""
    remedy = "export or install it again"
    opset = re.search(r"Opset (\d+) is under development.*?till opset (\d+)", message, re.S)
    version = re.search(
        r"Unsupported model IR version: (\d+), max supported IR version: (\d+)", message
    )
    operator = re.search(
        r"No Op registered for (\S+)|Fatal error: (\S+?)\(-?\d+\) is not a registered"
        r"|Could not find an implementation for (\S+?)\(",
        message,
    )
    if opset:
        remedy = (
            f"opset {opset[1]} is newer than {opset[2]}, the newest that the installed "
            "onnxruntime knows; upgrade it, or export with opset 17 or 18"
        )
    elif version:
        remedy = (
            f"file format {version[1]} is newer than {version[2]}, the newest that the installed "
            "onnxruntime knows; upgrade it, or save the file with an older IR version"
        )
    elif operator:
        name = next(group for group in operator.groups() if group)
        remedy = (
            f"operator {name} is unknown to the installed onnxruntime; export the network "
            "without it, or bring it as TorchScript or as a MONAI bundle"
        )
    return f"{remedy} ({in_short(message)})"
