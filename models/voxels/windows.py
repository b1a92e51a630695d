"""Sliding windows as MONAI's ``SlidingWindowInferer`` lays them, and the network's run over them.

Patches go to a :class:`~models.runner.Runner` with a bounded number in flight and are blended
in the order in which they were cut, whatever order they come back in, so that a result never
depends on timing. :mod:`models.voxels.blend` adds them up.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from itertools import product
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from models.errors import PatchRefused
from models.recipe import Windows
from models.runner import PatchOutputs, Runner
from models.voxels.blend import Blend, Block
from models.voxels.sampling import Shape
from models.voxels.trail import three

Channels = Annotated[NDArray[np.float32], "c, x, y, z"]
Progress = Callable[[int, int], None]
"""Called with the number of patches that are blended and the number there are."""

WAITING_BYTES = 512 << 20
"""Results that wait to be blended take no more; two always may."""


@dataclass(frozen=True)
class WindowPlan:
    """Where the patches of one volume lie.

    Attributes:
        image: (x, y, z) of the volume.
        padded: the same, at least as large as the patch on every axis.
        before: voxels of padding before the volume's first one.
        patch: a patch's shape.
        starts: for each axis the first voxels of the patches, in the padded volume.
    """

    image: Shape
    padded: Shape
    before: Shape
    patch: Shape
    starts: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

    def __len__(self) -> int:
        return math.prod(len(starts) for starts in self.starts)

    def boxes(self) -> Iterator[tuple[slice, slice, slice]]:
        """Each patch in the padded volume, x slowest: MONAI's order."""
        for x, y, z in product(*self.starts):
            a, b, c = self.patch
            yield slice(x, x + a), slice(y, y + b), slice(z, z + c)


def plan(shape: Shape, windows: Windows) -> WindowPlan:
    """Lay patches over a volume of ``shape`` voxels along (x, y, z).

    A patch side that is not positive takes the volume's own side, as in MONAI.
    """
    patch, padded, before, starts = [], [], [], []
    for size, side, overlap in zip(shape, windows.patch, windows.overlap, strict=True):
        side = side if side > 0 else size
        whole = max(size, side)
        # As floats multiply: int(96 * (1 - 0.7)) is 28.
        interval = side if side == whole else max(1, int(side * (1 - overlap)))
        count = 1 + max(0, math.ceil((whole - side) / interval))
        patch.append(side)
        padded.append(whole)
        before.append((whole - size) // 2)
        # The last one is moved back to end with the volume.
        starts.append(tuple(min(n * interval, whole - side) for n in range(count)))
    return WindowPlan(
        shape, three(padded), three(before), three(patch), (starts[0], starts[1], starts[2])
    )


def importance(patch: Shape, windows: Windows) -> NDArray[np.float32] | None:
    """A voxel's weight by its place in the patch; None where all are 1.

    Gaussian as MONAI's ``compute_importance_map``: no weight below 0.001.
    """
    if windows.blend == "constant":
        return None
    weights = np.ones((), np.float32)
    for side in patch:
        middle = (side - 1) / 2.0
        at = np.arange(side, dtype=np.float32) - np.float32(middle)
        sigma = side * windows.sigma_scale
        along = np.exp(at**2 / np.float32(-2 * sigma**2), dtype=np.float32)
        weights = weights[..., np.newaxis] * along
    return np.asarray(np.maximum(weights, np.float32(1e-3)), np.float32)


def run_windows(
    voxels: Channels,
    windows: Windows,
    runner: Runner,
    *,
    in_flight: int = 8,
    progress: Progress | None = None,
) -> tuple[Channels, ...]:
    """Run a network over a volume and blend what it gives.

    Args:
        voxels: (c, x, y, z) float32.
        runner: its network may have several outputs, each at a scale of its own.
        in_flight: patches that wait for the network at a time, at most; fewer where their
            results are large (``WAITING_BYTES``).

    Returns:
        For each output (channels, x', y', z') float32, cropped to the volume.

    Raises:
        PatchRefused: an output isn't finite, or its shape isn't what the first patch's was.
        ModelError: the network could not be run.
    """
    results: list[Channels] = []
    for block in blended(voxels, windows, runner, in_flight=in_flight, progress=progress):
        if block.output >= len(results):
            results += [np.empty(0, np.float32)] * (block.output + 1 - len(results))
        if not results[block.output].size:
            results[block.output] = np.empty((len(block.values), *block.whole), np.float32)
        results[block.output][(slice(None), *block.box)] = block.values
    return tuple(results)


def blended(
    voxels: Channels,
    windows: Windows,
    runner: Runner,
    *,
    in_flight: int = 8,
    progress: Progress | None = None,
) -> Generator[Block, None, None]:
    """As :func:`run_windows`, block by block, each as soon as no further patch will touch it.

    What a hundred channels take in memory is then a row of patches, not the volume.
    """
    _, *size = voxels.shape
    lay = plan(three(size), windows)
    padded = _padded(voxels, lay, windows)
    weights = importance(lay.patch, windows)
    blends: list[Blend] = []
    done = 0
    waiting: deque[Future[PatchOutputs]] = deque()
    boxes = lay.boxes()
    most = min(max(1, in_flight), windows.batch)
    try:
        while done < len(lay):
            while len(waiting) < most and (box := next(boxes, None)) is not None:
                patch = np.ascontiguousarray(padded[(slice(None), *box)])
                waiting.append(runner.submit(patch))
            outputs = waiting.popleft().result()
            if not blends:
                blends = _blends(outputs, lay, weights)
                size_of_one = sum(output.nbytes for output in outputs)
                most = max(1, min(in_flight, max(2, WAITING_BYTES // max(1, size_of_one))))
            if len(outputs) != len(blends):
                raise PatchRefused(f"{len(outputs)} outputs, the first patch had {len(blends)}")
            for number, (blend, output) in enumerate(zip(blends, outputs, strict=True)):
                for block in blend.add(output):
                    yield replace(block, output=number)
            done += 1
            if progress is not None:
                progress(done, len(lay))
    finally:
        for future in waiting:
            future.cancel()


def _blends(
    outputs: PatchOutputs, lay: WindowPlan, weights: NDArray[np.float32] | None
) -> list[Blend]:
    """One for each output; weights are taken over from one output's scale to the next, as MONAI
    does (nearest voxel)."""
    blends = []
    for output in outputs:
        shape = three(output.shape[1:])
        if weights is not None and weights.shape != shape:
            weights = _nearest(weights, shape)
        blends.append(Blend(lay, len(output), shape, weights))
    return blends


def _nearest(weights: NDArray[np.float32], shape: Shape) -> NDArray[np.float32]:
    """torch's ``nearest-exact``: the voxel that holds the centre."""
    for axis, count in enumerate(shape):
        have = weights.shape[axis]
        scale = np.float32(have / count)
        at = np.floor((np.arange(count, dtype=np.float32) + np.float32(0.5)) * scale)
        weights = weights.take(np.minimum(at.astype(np.intp), have - 1), axis)
    return weights


def _padded(voxels: Channels, lay: WindowPlan, windows: Windows) -> Channels:
    around = [
        (first, whole - first - size)
        for first, whole, size in zip(lay.before, lay.padded, lay.image, strict=True)
    ]
    if not any(map(any, around)):
        return voxels
    if windows.padding == "constant":
        return np.asarray(np.pad(voxels, [(0, 0), *around], constant_values=windows.fill))
    mode: Literal["edge", "reflect"] = "edge" if windows.padding == "replicate" else "reflect"
    return np.asarray(np.pad(voxels, [(0, 0), *around], mode=mode))
