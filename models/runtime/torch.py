"""PyTorch, in process: TorchScript files, and networks that Python builds (MONAI bundles)."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from models.errors import RuntimeMissing, SpecError
from models.runtime import Batch, Outputs
from models.runtime.batches import as_input
from models.runtime.devices import cpu_threads, resolve_device
from models.runtime.failures import in_short, inference_failure, means_no_memory
from models.runtime.source import RuntimeOptions, TorchNetwork, TorchScriptFile

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from models.runtime.cuda_graphs import CudaGraphs

log = logging.getLogger(__name__)


class TorchRuntime:
    """One network in PyTorch, loaded once and kept.

    On a CPU the number of threads is the process's: the last runtime that is loaded sets it.

    Args:
        source: a TorchScript file, or a network that is built.
        options: device, threads, precision (bf16 on both, fp16 on CUDA, by autocast).

    Raises:
        RuntimeMissing: PyTorch, the device or the precision is not here.
        SpecError: the file is no TorchScript archive, or the network can't be built.
    """

    def __init__(
        self, source: TorchScriptFile | TorchNetwork, options: RuntimeOptions | None = None
    ) -> None:
        options = options or RuntimeOptions()
        self._torch = _import()
        self._where = str(source.path) if isinstance(source, TorchScriptFile) else source.name
        self._device = self._usable_device(options)
        self._kind, self._precision = self._number_kind(options)
        # One forward pass at a time: two would need twice the memory and be no faster.
        self._lock = threading.Lock()
        self._module = self._load(source)
        # A script's steps can't be changed one by one, see _norm_groups_exactly.
        script = isinstance(source, TorchScriptFile) and self._device == "cpu"
        self._as_it_is = script and "group_norm" in str(self._module.graph)
        self._graphs: CudaGraphs | None = None
        if self._device == "cpu":
            self._torch.set_num_threads(cpu_threads(options.threads))
        elif options.cuda_graphs:
            from models.runtime.cuda_graphs import CudaGraphs

            self._graphs = CudaGraphs(self._forward, self._where)
        log.info("%s: loaded on %s", self._where, self.name)

    @property
    def name(self) -> str:
        """Runtime, device and precision."""
        return f"torch {self._device} {self._precision}"

    @property
    def device(self) -> str:
        """Where it runs."""
        return self._device

    def run(self, batch: Batch) -> Outputs:
        """One forward pass; see :class:`models.runtime.Runtime`."""
        given = as_input(batch)
        try:
            with self._lock, self._torch.inference_mode():
                return self._run(given)
        except (RuntimeError, ValueError, TypeError, IndexError, MemoryError) as error:
            if self._device != "cpu" and means_no_memory(error):
                # What other shapes left behind may be all that is missing.
                self._torch.cuda.empty_cache()
            raise inference_failure(self._where, error) from error

    def close(self) -> None:
        """Drop the module; a GPU's memory goes back to the driver."""
        self._graphs = None
        del self._module
        if self._device != "cpu":
            self._torch.cuda.empty_cache()

    def _run(self, batch: Batch) -> Outputs:
        torch = self._torch
        with warnings.catch_warnings():
            # A read-only batch is never written to.
            warnings.filterwarnings("ignore", message=".*not writable.*")
            host = torch.from_numpy(batch)
        if self._device == "cpu":
            outputs = self._forward(self._arranged(host))
            return tuple(_own(output.float().contiguous().numpy(), batch) for output in outputs)
        with torch.cuda.device(self._device):
            # Pinned memory crosses at full speed, and without the CPU waiting.
            image = host.pin_memory().to(self._device, non_blocking=True)
            if self._graphs is not None:
                outputs = self._graphs.run(self._arranged(image))
            else:
                outputs = self._forward(self._arranged(image))
            results = []
            for output in outputs:
                result = torch.empty(output.shape, dtype=torch.float32, pin_memory=True)
                results.append(result.copy_(output.float(), non_blocking=True))
            torch.cuda.current_stream().synchronize()
        return tuple(result.numpy() for result in results)

    def _forward(self, image: Tensor) -> tuple[Tensor, ...]:
        with self._autocast():
            return flat_tensors(self._module(image))

    def _arranged(self, image: Tensor) -> Tensor:
        """Channels last, where the layout exists: convolutions read it best."""
        layout = None if self._as_it_is else _layout(self._torch, image.ndim)
        return image if layout is None else image.to(memory_format=layout)

    def _autocast(self) -> AbstractContextManager[Any]:
        if self._precision == "fp32":
            return nullcontext()
        autocast: AbstractContextManager[Any] = self._torch.autocast(
            self._device.partition(":")[0], dtype=self._kind, cache_enabled=self._graphs is None
        )
        return autocast

    def _usable_device(self, options: RuntimeOptions) -> str:
        device = resolve_device(options.device)
        if device == "cpu" or self._torch.cuda.is_available():
            return device
        if options.device == "auto":
            log.warning("%s: this PyTorch can't use the GPU; running on the CPU", self._where)
            return "cpu"
        raise RuntimeMissing(
            f"{self._where}: device {options.device}: this PyTorch ({self._torch.__version__}) "
            "can't use the GPU; install a CUDA build of torch that suits the driver"
        )

    def _number_kind(self, options: RuntimeOptions) -> tuple[torch.dtype, str]:
        kinds = {"fp32": self._torch.float32, "bf16": self._torch.bfloat16}
        if self._device != "cpu":
            kinds["fp16"] = self._torch.float16
        if options.precision not in kinds:
            remedy = "OpenVINO runs it" if options.precision == "int8" else "use bf16"
            raise RuntimeMissing(
                f"{self._where}: PyTorch on {self._device} has no {options.precision} here; "
                f"{remedy}, or set precision to fp32"
            )
        return kinds[options.precision], options.precision

    def _load(self, source: TorchScriptFile | TorchNetwork) -> nn.Module:
        module = self._read(source) if isinstance(source, TorchScriptFile) else source.build()
        module = module.eval()
        for parameter in module.parameters():
            parameter.requires_grad_(False)
        try:
            module = module.to(self._device)
            if isinstance(source, TorchNetwork):
                layout = _layout(self._torch, len(source.patch) + 2)
                if layout is not None:
                    module.to(memory_format=layout)  # type: ignore[call-overload]  # untyped there
                    if self._device == "cpu":
                        _norm_groups_exactly(module)
        except RuntimeError as error:
            raise inference_failure(self._where, error) from error
        return module

    def _read(self, source: TorchScriptFile) -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TorchScript's age is no news to its user
            try:
                module: nn.Module = self._torch.jit.load(str(source.path), map_location="cpu")
            except (RuntimeError, ValueError, OSError, EOFError) as error:
                raise SpecError(
                    f"{source.path}: cannot be loaded as TorchScript: {in_short(error)}; save it "
                    "with torch.jit.save. A file of weights alone (a state dict) needs its bundle"
                ) from error
            try:
                frozen: nn.Module = self._torch.jit.freeze(module.eval())
            except RuntimeError as error:  # frozen already, or a method that must be kept
                log.debug("%s: not frozen: %s", source.path, in_short(error))
                return module
            return frozen


def flat_tensors(output: Any) -> tuple[Tensor, ...]:
    """A network's output as one flat tuple of tensors.

    Raises:
        TypeError: it holds something else.
    """
    return tuple(_walk(output))


def _walk(output: Any) -> Iterator[Tensor]:
    import torch

    if isinstance(output, torch.Tensor):
        yield output
    elif isinstance(output, (tuple, list)):
        for part in output:
            yield from _walk(part)
    else:
        raise TypeError(
            f"the network gives a {type(output).__name__}; tensors, alone or in tuples, are taken"
        )


def _layout(torch: Any, ndim: int) -> torch.memory_format | None:
    layouts: dict[int, torch.memory_format] = {4: torch.channels_last, 5: torch.channels_last_3d}
    return layouts.get(ndim)


def _norm_groups_exactly(module: nn.Module) -> None:
    """Give every GroupNorm its input channels first.

    With channels last PyTorch 2.13 sums a group's values on the CPU one by one in float32: over
    a large patch the result is wrong in the third digit. Convolutions after it take either.
    """
    import torch

    for each in module.modules():
        if isinstance(each, torch.nn.GroupNorm):
            each.register_forward_pre_hook(lambda _, given: (given[0].contiguous(),))


def _own(result: np.ndarray, batch: Batch) -> np.ndarray:
    """A network that hands its input through must not hand out the caller's own array."""
    return result.copy() if np.shares_memory(result, batch) else result


def _import() -> Any:
    try:
        import torch
    except ImportError as error:
        raise RuntimeMissing("PyTorch is not installed; `pip install 'preread[monai]'`") from error
    return torch
