"""A model as Triton serves it: one folder of a model repository, with its ``config.pbtxt``.

::

    repository/NAME/config.pbtxt
    repository/NAME/1/model.onnx
    repository/NAME/1/model.py      Python backend only

By default Triton's ONNX Runtime backend runs it, on request with TensorRT inside. The Python
backend is for servers without it (``python_backend.py`` here).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from models.errors import SpecError
from models.export import onnx_file_of
from models.runtime.onnx_file import check_onnx_file, look_into
from models.runtime.source import OnnxFile, TorchNetwork

Backend = Literal["onnxruntime", "python"]
PYTHON_MODEL = Path(__file__).with_name("python_backend.py")
"""What the Python backend runs."""


@dataclass(frozen=True)
class TritonExport:
    """How the server is to run a model.

    Args:
        name: the model's name there.
        version: its version's folder; a server loads the newest one by itself.
        backend: ``python`` where the server has no ONNX Runtime backend.
        maximum_batch: patches that the server puts into one pass, at most.
        wait_ms: longest that a patch waits there for others.
        gpus: numbers of the GPUs that run it, one set of instances on each; empty: the CPU.
        instances: copies on each GPU, or on the CPU.
        threads: CPU threads of an instance; 0: all cores.
        tensorrt: TensorRT inside the ONNX Runtime backend (GPUs only; built at the first use).
        half: TensorRT in fp16, where ``preread models evaluate`` let fp16 through.
    """

    name: str
    version: int = 1
    backend: Backend = "onnxruntime"
    maximum_batch: int = 4
    wait_ms: float = 2.0
    gpus: tuple[int, ...] = ()
    instances: int = 1
    threads: int = 0
    tensorrt: bool = False
    half: bool = False


def export_triton(
    source: OnnxFile | TorchNetwork, repository: Path, settings: TritonExport
) -> Path:
    """Write a model into a repository; a server that polls it never sees half a model.

    Returns:
        The model's folder.

    Raises:
        RuntimeMissing: ONNX Runtime, or what an export needs, is not installed.
        SpecError: the settings don't fit, the version exists, or the network can't be exported.
    """
    _check(settings)
    folder = repository / settings.name
    final = folder / str(settings.version)
    if final.exists():
        raise SpecError(
            f"{final}: there already; give the next version (--model-version "
            f"{settings.version + 1}), servers may be using this one"
        )
    beside = folder / f".{settings.version}.{os.getpid()}"
    try:
        beside.mkdir(parents=True)
        with onnx_file_of(source) as file:
            check_onnx_file(file.path)
            shutil.copyfile(file.path, beside / "model.onnx")
        if settings.backend == "python":
            shutil.copyfile(PYTHON_MODEL, beside / "model.py")
        config = folder / f".config.{os.getpid()}"
        config.write_text(_config(beside / "model.onnx", settings), encoding="utf-8")
        config.replace(folder / "config.pbtxt")
        beside.replace(final)
    except OSError as error:
        raise SpecError(f"{folder}: can't be written: {error}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def _check(settings: TritonExport) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", settings.name):
        raise SpecError(f"{settings.name!r}: letters, digits, dots, - and _ name a Triton model")
    if settings.version < 1 or settings.maximum_batch < 1 or settings.instances < 1:
        raise SpecError("version, maximum batch and instances of a Triton model are at least 1")
    if settings.tensorrt and (settings.backend != "onnxruntime" or not settings.gpus):
        raise SpecError("TensorRT needs the onnxruntime backend and a GPU; name GPUs, or leave it")
    if settings.half and not settings.tensorrt:
        raise SpecError("fp16 is computed by TensorRT only; ask for TensorRT, or leave fp16")


def _config(path: Path, settings: TritonExport) -> str:
    """``config.pbtxt`` (protobuf's text form of ModelConfig)."""
    session = _session(path)
    (image,), outputs = session.get_inputs(), session.get_outputs()
    # A file that is bound to its batch can't be batched by the server.
    free = not isinstance(image.shape[0], int)
    lines = [
        f'name: "{settings.name}"',
        f'backend: "{settings.backend}"',
        f"max_batch_size: {settings.maximum_batch if free else 0}",
        f"input [ {_tensor(image, free)} ]",
        f"output [ {', '.join(_tensor(output, free) for output in outputs)} ]",
        _instances(settings),
    ]
    if free:
        delay = round(settings.wait_ms * 1000)
        lines.append(f"dynamic_batching {{ max_queue_delay_microseconds: {delay} }}")
    parameters = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    if settings.threads:
        key = "threads" if settings.backend == "python" else "intra_op_thread_count"
        parameters[key] = str(settings.threads)
    lines += [_parameter(key, value) for key, value in parameters.items()]
    if settings.tensorrt:
        mode = "FP16" if settings.half else "FP32"
        lines.append(
            "optimization { execution_accelerators { gpu_execution_accelerator [ { "
            f'name: "tensorrt" parameters {{ key: "precision_mode" value: "{mode}" }} '
            "} ] } }"
        )
    return "\n".join(lines) + "\n"


def _session(path: Path) -> Any:
    session = look_into(path)
    ports = (*session.get_inputs(), *session.get_outputs())
    odd = [port.name for port in ports if port.type != "tensor(float)"]
    if odd or len(session.get_inputs()) != 1:
        raise SpecError(
            f"one float32 input and float32 outputs are needed, it has {len(session.get_inputs())} "
            f"input(s) and other types in {', '.join(odd) or 'none'}; export logits"
        )
    return session


def _tensor(port: Any, free: bool) -> str:
    sides = port.shape[1:] if free else port.shape
    dims = ", ".join(str(side) if isinstance(side, int) else "-1" for side in sides)
    return f'{{ name: "{port.name}" data_type: TYPE_FP32 dims: [ {dims} ] }}'


def _instances(settings: TritonExport) -> str:
    if not settings.gpus:
        return f"instance_group [ {{ kind: KIND_CPU count: {settings.instances} }} ]"
    gpus = ", ".join(str(number) for number in settings.gpus)
    return f"instance_group [ {{ kind: KIND_GPU count: {settings.instances} gpus: [ {gpus} ] }} ]"


def _parameter(key: str, value: str) -> str:
    return f'parameters {{ key: "{key}" value: {{ string_value: "{value}" }} }}'
