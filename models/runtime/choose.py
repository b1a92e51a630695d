"""Which runtime loads a network: the best of what is here, or the one that is asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import ModelError, RuntimeMissing, SpecError
from models.runtime import Runtime
from models.runtime.devices import installed, onnx_runtimes, resolve_device
from models.runtime.source import (
    OnnxFile,
    Precision,
    RuntimeName,
    RuntimeOptions,
    Source,
    TorchNetwork,
    TorchScriptFile,
    TritonModel,
)

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """A runtime, and why it was taken; ``why`` is for the doctor's list and the log."""

    runtime: RuntimeName
    why: str


def open_runtime(source: Source, options: RuntimeOptions | None = None) -> Runtime:
    """Load a network with the runtime that is asked for, or the best that is here.

    With ``auto`` the next best is taken where one can't load this network (an operator that it
    doesn't know, an export that fails).

    Raises:
        RuntimeMissing: the library or device is not here; the message has the command.
        SpecError: the network can't be loaded.
        OutOfMemory: there was no room for it.
        EndpointFailed: the Triton server does not answer, or does not serve it.
    """
    options = options or RuntimeOptions()
    if options.runtime != "auto":
        return _load(options.runtime, source, options)
    choices = candidates(source, options.device, options.precision, tensorrt=options.tensorrt)
    for choice in choices[:-1]:
        try:
            return _load(choice.runtime, source, options)
        except (RuntimeMissing, SpecError) as error:
            log.warning("%s can't take this network: %s", choice.runtime, error)
    return _load(choices[-1].runtime, source, options)


def preferred(source: Source, device: str = "auto", precision: Precision = "fp32") -> RuntimeName:
    """The runtime that ``auto`` takes first.

    Raises:
        RuntimeMissing: none that could run it is installed, or there is no such device.
    """
    return candidates(source, device, precision)[0].runtime


def candidates(
    source: Source, device: str = "auto", precision: Precision = "fp32", *, tensorrt: bool = False
) -> list[Choice]:
    """The runtimes that can run a source on a device, best first; at least one.

    Raises:
        RuntimeMissing: none is installed, or there is no such device.
    """
    if isinstance(source, TritonModel):
        return [Choice("triton", f"a Triton server has it: {source.url}")]
    on_gpu = resolve_device(device) != "cpu"
    here = {name: test() for name, test in _INSTALLED.items()}
    if isinstance(source, TorchScriptFile):
        found = [Choice("torch", "the only one that runs TorchScript")]
    elif isinstance(source, OnnxFile) and source.path.suffix == ".xml":
        found = [Choice("openvino", "the only one that runs OpenVINO's own files")]
    elif on_gpu:
        found = _on_gpu(source, precision, tensorrt)
        if device == "auto" and not tensorrt:
            # A GPU that nothing installed can use is no reason to stop.
            found += [choice for choice in _on_cpu(source, precision) if choice not in found]
    else:
        found = _on_cpu(source, precision)
    left = [choice for choice in found if here[choice.runtime]]
    if not left:
        raise RuntimeMissing(_advice(found[0].runtime, on_gpu))
    return left


def explain(options: RuntimeOptions) -> Iterator[tuple[str, Choice | ModelError]]:
    """What would run each form that networks come in, or why nothing would.

    Yields:
        The form in words, and the choice.
    """
    for words, source in _FORMS.items():
        try:
            if options.runtime == "auto":
                yield words, candidates(source, options.device, options.precision)[0]
            elif options.runtime in _ABLE[type(source)][1]:
                yield words, Choice(options.runtime, "asked for")
            else:
                yield words, _refusal(options.runtime, source)
        except RuntimeMissing as error:
            yield words, error


def _on_cpu(source: OnnxFile | TorchNetwork, precision: Precision) -> list[Choice]:
    if precision == "int8":
        return [Choice("openvino", "the only one that gains from int8 on a CPU")]
    found = [Choice("openvino", "the fastest on a CPU, as measured")]
    if precision == "fp32":
        found.append(Choice("onnx", "runs on every CPU"))
    if isinstance(source, TorchNetwork):
        found.append(Choice("torch", "runs the network as it was written"))
    return found


def _on_gpu(source: OnnxFile | TorchNetwork, precision: Precision, tensorrt: bool) -> list[Choice]:
    onnx = Choice("onnx", "TensorRT was asked for" if tensorrt else "CUDA by ONNX Runtime")
    if isinstance(source, OnnxFile) or tensorrt:
        return [onnx]
    torch = Choice("torch", "runs the network as it was written, on the GPU")
    return [torch, onnx] if precision == "fp32" else [torch]


def _load(runtime: RuntimeName, source: Source, options: RuntimeOptions) -> Runtime:
    """Raises as :func:`open_runtime` does."""
    if runtime == "triton" and isinstance(source, TritonModel):
        from models.runtime.triton import TritonRuntime

        return TritonRuntime(source)
    if runtime == "torch" and isinstance(source, (TorchScriptFile, TorchNetwork)):
        from models.runtime.torch import TorchRuntime

        return TorchRuntime(source, options)
    if runtime == "openvino" and isinstance(source, (OnnxFile, TorchNetwork)):
        from models.runtime.openvino import OpenVinoRuntime

        return OpenVinoRuntime(source, options)
    if runtime == "onnx" and isinstance(source, (OnnxFile, TorchNetwork)):
        from models.runtime.onnx import OnnxRuntime

        return OnnxRuntime(source, options)
    raise _refusal(runtime, source)


def _refusal(runtime: RuntimeName, source: Source) -> SpecError:
    kind, able = _ABLE[type(source)]
    return SpecError(
        f"runtime {runtime} can't run {kind}; it is run by {' or '.join(able)}, or set auto"
    )


_ABLE: dict[type[Source], tuple[str, tuple[RuntimeName, ...]]] = {
    OnnxFile: ("an ONNX file", ("onnx", "openvino")),
    TorchScriptFile: ("a TorchScript file", ("torch",)),
    TorchNetwork: ("a bundle's network", ("torch", "openvino", "onnx")),
    TritonModel: ("a model on a Triton server", ("triton",)),
}


def _not_to_be_built() -> nn.Module:
    raise AssertionError("it stands for any network")


_FORMS: dict[str, Source] = {
    "ONNX files": OnnxFile(Path("network.onnx")),
    "MONAI bundles and nnU-Net": TorchNetwork("any", _not_to_be_built, 1, (96, 96, 96)),
    "TorchScript files": TorchScriptFile(Path("network.ts")),
}

_INSTALLED: dict[RuntimeName, Callable[[], bool]] = {
    "onnx": lambda: bool(onnx_runtimes()),
    "openvino": lambda: installed("openvino") is not None,
    "torch": lambda: installed("torch") is not None,
    "triton": lambda: installed("tritonclient") is not None,
}


def _advice(runtime: RuntimeName, on_gpu: bool) -> str:
    extra = {"openvino": "cpu", "onnx": "gpu" if on_gpu else "cpu", "torch": "monai"}[runtime]
    return f"nothing that can run this network is installed; `pip install 'preread[{extra}]'`"
