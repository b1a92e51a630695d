"""A network that PyTorch builds, as an ONNX file that is proved to compute the same.

The tracing exporter is tried first: it is the faster one and takes MONAI's networks; the newer
one (``dynamo``) is for what it can't. Every export is compared with PyTorch on a random patch,
and, where the network takes other sizes, on one of half the size with a batch of two: a size
that tracing froze into the graph is found here and not in a patient.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.errors import ModelError, RuntimeMissing, SpecError
from models.runtime.failures import in_short, inference_failure, means_no_memory
from models.runtime.source import OnnxFile, TorchNetwork

if TYPE_CHECKING:
    from torch import Tensor, nn

log = logging.getLogger(__name__)

OPSET = 17
TOLERANCE = 1e-3
"""Largest difference to PyTorch, as a share of the largest output value (of 1, if that is less)."""
INPUT = "image"
_FORM = 1
"""Grows when exports change, so that kept ones are made anew."""

# The exporter keeps state of its own in its module.
_one_export = threading.Lock()


@dataclass(frozen=True)
class FoundFile:
    """An ONNX file, and whether it stays after it was read."""

    path: Path
    kept: bool


@contextmanager
def onnx_file_of(source: OnnxFile | TorchNetwork) -> Iterator[FoundFile]:
    """The ONNX file of a source, exported where there is none yet.

    A network with a ``cache`` leaves its file there, else it is gone afterwards.

    Raises:
        RuntimeMissing: PyTorch is not installed.
        SpecError: the network can't be exported.
    """
    if isinstance(source, OnnxFile):
        yield FoundFile(source.path, kept=True)
        return
    if source.cache is not None:
        path = _cached(source)
        if path.is_file():
            yield FoundFile(path, kept=True)
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            writable = os.access(path.parent, os.W_OK)
        except OSError:
            writable = False
        if writable:
            export_onnx(source, path)
            yield FoundFile(path, kept=True)
            return
        log.warning("%s: not writable; %s is exported at each start", path.parent, source.name)
    with tempfile.TemporaryDirectory(prefix="preread-export-") as folder:
        path = Path(folder) / "network.onnx"
        export_onnx(source, path)
        yield FoundFile(path, kept=False)


def _cached(network: TorchNetwork) -> Path:
    assert network.cache is not None
    folder, digest = network.cache
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", network.name)
    size = "x".join(str(side) for side in network.patch)
    fixed = "-fixed" if network.fixed else ""
    return folder / f"{name}-{digest[:16]}-{network.channels}x{size}{fixed}-v{_FORM}.onnx"


def export_onnx(network: TorchNetwork, path: Path) -> Path:
    """Write a network as ONNX: input ``image`` (n, c, *spatial), outputs ``output_0`` and so on.

    The batch is free, the spatial size too unless the network or the export is bound to its
    patch. The file appears whole or not at all.

    Raises:
        RuntimeMissing: PyTorch or ONNX Runtime is not installed.
        SpecError: it can't be exported, or ONNX Runtime computes something else.
        OutOfMemory: a patch is too large to be traced here.
    """
    try:
        import onnxruntime  # noqa: F401 - the comparison needs it; say so before minutes pass
        import torch
    except ImportError as error:
        raise RuntimeMissing(
            f"{network.name}: exporting to ONNX needs {error.name}; `pip install "
            "'preread[monai,cpu]'`, or set runtime.prefer to torch"
        ) from error
    with _one_export, torch.inference_mode(False), torch.no_grad():
        net = _flat(network.build().eval())
        patch = torch.randn(
            (1, network.channels, *network.patch), generator=torch.Generator().manual_seed(1)
        )
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            expected = _forward(net, patch, network.name)
            free = not network.fixed
            _write(net, patch, len(expected), beside, network.name, free=free)
            if free and not _holds_at_half(net, patch, beside, network.name):
                log.warning("%s: its export is bound to patches of %s", network.name, network.patch)
                _write(net, patch, len(expected), beside, network.name, free=False)
            worst = _difference(beside, patch, expected)
            if not worst <= TOLERANCE:
                raise SpecError(
                    f"{network.name}: ONNX Runtime differs from PyTorch by {worst:.1e} of the "
                    f"largest value, {TOLERANCE:g} is allowed; set runtime.prefer to torch"
                )
            beside.replace(path)
        except ModelError:
            raise
        except Exception as error:  # the network's own code raises anything; named here
            if means_no_memory(error):
                raise inference_failure(network.name, error) from error
            raise SpecError(
                f"{network.name}: cannot be exported to ONNX: {in_short(error)}; set "
                "runtime.prefer to torch"
            ) from error
        finally:
            beside.unlink(missing_ok=True)
    log.info("%s: exported to %s, largest difference to PyTorch %.1e", network.name, path, worst)
    return path


def _flat(module: nn.Module) -> nn.Module:
    """The module with its outputs as one flat tuple."""
    from torch import nn

    from models.runtime.torch import flat_tensors

    class Flat(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = module

        def forward(self, image: Tensor) -> tuple[Tensor, ...]:
            return flat_tensors(self.network(image))

    return Flat().eval()


def _forward(net: nn.Module, patch: Tensor, name: str) -> list[np.ndarray]:
    outputs = [output.float().numpy() for output in net(patch)]
    if not outputs:
        raise SpecError(f"{name}: the network gives no output")
    return outputs


def _write(
    net: nn.Module, patch: Tensor, outputs: int, path: Path, name: str, *, free: bool
) -> None:
    """Export by tracing, else by ``dynamo``."""
    import torch

    names = [f"output_{number}" for number in range(outputs)]
    axes = {0: "n"}
    if free:
        axes |= {axis: f"size_{axis - 2}" for axis in range(2, patch.ndim)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                net, (patch,), str(path), input_names=[INPUT], output_names=names,
                dynamic_axes={INPUT: axes} | {each: {0: "n"} for each in names},
                opset_version=OPSET, dynamo=False,
            )  # fmt: skip
            return
        except Exception as error:  # as above; logged, and raised where dynamo fails too
            if means_no_memory(error):
                raise
            log.info("%s: cannot be traced: %s", name, in_short(error))
            first = error
        try:
            dims = dict.fromkeys(axes, torch.export.Dim.DYNAMIC)
            torch.onnx.export(
                net, (patch,), str(path), input_names=[INPUT], output_names=names,
                dynamic_shapes=(dims,), opset_version=OPSET + 1, dynamo=True, external_data=False,
                verbose=False,
            )  # fmt: skip
        except Exception as error:  # as above; logged, the first one is raised
            log.info("%s: nor by dynamo: %s", name, in_short(error))
            raise first from error


def _holds_at_half(net: nn.Module, patch: Tensor, path: Path, name: str) -> bool:
    """Whether the file computes the network at half the size too; True where PyTorch can't."""
    half = patch
    for axis in range(2, patch.ndim):
        half = half.narrow(axis, 0, max(1, patch.shape[axis] // 2))
    two = half.repeat(2, *[1] * (half.ndim - 1))
    try:
        expected = _forward(net, two, name)
    except Exception as error:  # noqa: BLE001 - the network's own code raises anything; logged
        log.info("%s: can't run at half its patch: %s", name, in_short(error))
        return True
    try:
        return _difference(path, two, expected) <= TOLERANCE
    except Exception as error:  # noqa: BLE001 - onnxruntime's errors share no base; logged
        log.info("%s: its export can't: %s", name, in_short(error))
        return False


def _difference(path: Path, patch: Tensor, expected: list[np.ndarray]) -> float:
    """The largest difference, as a share of the largest value; inf for another shape."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.enable_cpu_mem_arena = False
    settings.log_severity_level = 4
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(
        str(path), sess_options=settings, providers=["CPUExecutionProvider"]
    )
    found = session.run(None, {INPUT: patch.numpy()})
    if [output.shape for output in found] != [output.shape for output in expected]:
        return float("inf")
    return max(
        float(np.abs(a - b).max() / max(1.0, float(np.abs(b).max())))
        for a, b in zip(found, expected, strict=True)
    )
