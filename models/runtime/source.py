"""What a runtime loads: where a network's weights are and in which form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import nn

Precision = Literal["fp32", "bf16", "fp16", "int8"]
RuntimeName = Literal["auto", "onnx", "openvino", "torch", "triton"]


@dataclass(frozen=True)
class OnnxFile:
    """An ONNX file; every input and output float32, first axis the batch.

    OpenVINO's own files (``.xml``, its ``.bin`` beside it) count as one for OpenVINO.
    """

    path: Path


@dataclass(frozen=True)
class TorchScriptFile:
    """A TorchScript archive, loaded with ``torch.jit.load``."""

    path: Path


@dataclass(frozen=True)
class TorchNetwork:
    """A network that PyTorch builds, with its weights.

    Args:
        name: what messages and caches call it.
        build: makes the module in evaluation mode, on the CPU, float32. Its ``forward`` takes
            (n, c, *spatial) and gives one tensor or a tuple or list of tensors.
        channels: c of its input.
        patch: spatial size that it is traced and exported with.
        fixed: the network takes no other spatial size than ``patch`` (a Swin transformer).
        cache: folder in which an export may be kept between runs, and the SHA-256 of the
            weights that names it; None: export anew each time.
    """

    name: str
    build: Callable[[], nn.Module]
    channels: int
    patch: tuple[int, ...]
    fixed: bool = False
    cache: tuple[Path, str] | None = None


@dataclass(frozen=True)
class TritonModel:
    """A model that a Triton server serves.

    Args:
        url: ``http://host:port`` or ``grpc://host:port``.
        model: its name there.
        version: empty: the server's choice.
        shared_memory: tensors cross through system shared memory (a server on this machine).
        timeout_s: an answer later than this is a failure.
    """

    url: str
    model: str
    version: str = ""
    shared_memory: bool = False
    timeout_s: float = 60.0


Source = OnnxFile | TorchScriptFile | TorchNetwork | TritonModel


@dataclass(frozen=True)
class RuntimeOptions:
    """How to run it.

    Args:
        runtime: ``auto`` takes the best of what is installed for this source and device.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: anything below fp32 passes a gate first (``models.precision``).
        threads: CPU threads; 0: all cores.
        tensorrt: ONNX Runtime builds a TensorRT engine (NVIDIA; the first run of a patch shape
            takes minutes, the engine is kept beside the model).
        cuda_graphs: PyTorch replays a recorded graph for a patch shape that repeats (NVIDIA).
    """

    runtime: RuntimeName = "auto"
    device: str = "auto"
    precision: Precision = "fp32"
    threads: int = 0
    tensorrt: bool = False
    cuda_graphs: bool = False
