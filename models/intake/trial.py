"""One patch through every network of a model: does what was installed run here at all."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.errors import SpecError
from models.loaded import LoadedModel
from models.lungs.nodules import CUBE_SAMPLES
from models.opening import open_networks
from models.runtime import Batch
from models.runtime.onnx_file import look_into
from models.runtime.source import OnnxFile, Source, TorchNetwork
from models.spec import ModelSpec

LONGEST_SIDE = 96
"""Voxels; a network that takes any size is tried with no more than this."""
SLICE_SIDE = 192
"""Pixels of a slice, for a network of slices that takes any size."""


@dataclass(frozen=True)
class Tried:
    """How one network did.

    Args:
        role: of the network.
        runs_on: runtime and device.
        took: the patch's shape, (c, *spatial).
        gave: the outputs' shapes, each (channels, *spatial).
        seconds: of the one pass.
    """

    role: str
    runs_on: str
    took: tuple[int, ...]
    gave: tuple[tuple[int, ...], ...]
    seconds: float


def try_networks(model: LoadedModel) -> list[Tried]:
    """Run one patch of noise through each network.

    Raises:
        InferenceFailed: a network could not be run.
        SpecError: a network's result is not finite.
    """
    sources = open_networks(model.spec).sources
    return [_try(model, role, source) for role, source in sources.items()]


def _try(model: LoadedModel, role: str, source: Source) -> Tried:
    batch = _noise(patch_shape(model.spec, source, LONGEST_SIDE))
    network = model.networks[role]
    began = time.perf_counter()
    outputs = network.run(batch)
    seconds = time.perf_counter() - began
    if not all(np.isfinite(output).all() for output in outputs):
        raise SpecError(
            f"{model.spec.name}: {role} gives values that are not finite on {network.name}; its "
            "weights are damaged, or this runtime can't run it: try models.runtime"
        )
    shapes = tuple(tuple(output.shape[1:]) for output in outputs)
    return Tried(role, network.name, tuple(batch.shape[1:]), shapes, seconds)


def patch_shape(spec: ModelSpec, source: Source, longest: int | None = None) -> tuple[int, ...]:
    """(c, *spatial) of a patch that a network takes.

    Args:
        spec: of the model.
        source: the network.
        longest: no side is longer, where the network takes any size; None: its own patch.
    """
    channels, fixed = 1, False
    patch: tuple[int, ...] = (CUBE_SAMPLES,) * 3
    if isinstance(source, TorchNetwork):
        channels, patch, fixed = source.channels, source.patch, source.fixed
    elif spec.recipe is not None:
        channels, patch = spec.recipe.channels, spec.recipe.windows.patch
    elif isinstance(source, OnnxFile) and source.path.suffix == ".onnx":
        return _declared(source.path)
    if longest is None or fixed or spec.network.fixed_patch:
        return (channels, *patch)
    return (channels, *(min(n, longest) for n in patch))


def _declared(path: Path) -> tuple[int, ...]:
    """What an ONNX file says that it takes; 32 voxels a side, of slices 192 pixels, if any do."""
    _, channels, *sides = look_into(path).get_inputs()[0].shape
    usual = SLICE_SIDE if len(sides) == 2 else CUBE_SAMPLES
    # A dynamic axis has a name, or none.
    patch = (side if isinstance(side, int) else usual for side in sides)
    return (channels if isinstance(channels, int) else 1, *patch)


def _noise(shape: tuple[int, ...]) -> Batch:
    noise = np.random.default_rng(0).random((1, *shape), dtype=np.float32)
    return np.ascontiguousarray(noise)
