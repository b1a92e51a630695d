"""Which devices and which packages there are, without loading a framework."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import re
import sys
from dataclasses import dataclass

from models.errors import RuntimeMissing

ONNX_RUNTIMES = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-openvino",
    "onnxruntime-directml",
    "onnxruntime-rocm",
)
"""Packages that install the same module and overwrite one another: one may be here, not two."""


@dataclass(frozen=True)
class Gpu:
    """A GPU as CUDA counts it in this process."""

    device: str
    name: str
    memory: int
    """bytes"""


def gpus() -> tuple[Gpu, ...]:
    """The NVIDIA GPUs that this process may use; empty without a driver.

    Asks the driver's library itself, so that ``CUDA_VISIBLE_DEVICES`` and parts of a GPU (MIG)
    count as they will for the runtimes; no context is made, so it takes no memory there.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return ()
    try:
        cuda = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return ()
    count = ctypes.c_int(0)
    if cuda.cuInit(0) != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return ()
    found = []
    for number in range(count.value):
        handle, name, size = ctypes.c_int(0), ctypes.create_string_buffer(128), ctypes.c_size_t(0)
        if cuda.cuDeviceGet(ctypes.byref(handle), number) != 0:
            continue
        cuda.cuDeviceGetName(name, len(name), handle)
        cuda.cuDeviceTotalMem_v2(ctypes.byref(size), handle)
        found.append(Gpu(f"cuda:{number}", name.value.decode(errors="replace"), size.value))
    return tuple(found)


def resolve_device(wanted: str) -> str:
    """``cpu`` or ``cuda:N`` for ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        RuntimeMissing: there is no such GPU, or no such name.
    """
    if wanted == "cpu":
        return "cpu"
    match = re.fullmatch(r"auto|cuda(?::(\d+))?", wanted)
    if match is None:
        raise RuntimeMissing(f"device {wanted!r}: it is auto, cpu, cuda or cuda:N")
    there = [gpu.device for gpu in gpus()]
    if wanted == "auto":
        return there[0] if there else "cpu"
    asked = f"cuda:{match[1] or 0}"
    if asked not in there:
        raise RuntimeMissing(
            f"device {wanted!r}: {len(there)} GPU(s) can be used here; see `nvidia-smi -L` and "
            "CUDA_VISIBLE_DEVICES, or set device to cpu"
        )
    return asked


def installed(package: str) -> str | None:
    """The version of an installed package; None: it is not here."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def onnx_runtimes() -> dict[str, str]:
    """The ONNX Runtime packages that are installed, with their versions."""
    return {name: version for name in ONNX_RUNTIMES if (version := installed(name))}


def cpu_threads(wanted: int) -> int:
    """How many threads to run on; 0 stands for all cores this process may use."""
    if wanted:
        return wanted
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
