"""Cutting a volume into tiles that fit the memory, and putting the outputs together.

For dense networks whose output is the input's grid divided by ``stride``. Tiles overlap by
``margin`` on each inner side; of each tile only the part without the margins is kept, so a
voxel's output always saw at least ``margin`` voxels around it (or the volume's border).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from imaging.geometry import Shape3
from models.runtime import Batch, Runtime


@dataclass(frozen=True)
class Tiling:
    """How to cut.

    Args:
        tile: greatest tile, voxels along (k, j, i); a multiple of ``multiple``.
        margin: overlap on each inner side, voxels; a multiple of ``stride``.
        multiple: what a tile's sides must be a multiple of (the network's deepest stride).
        stride: input voxels for one output cell.

    Raises:
        ValueError: the numbers don't fit one another.
    """

    tile: Shape3
    margin: int
    multiple: int
    stride: int

    def __post_init__(self) -> None:
        if any(n % self.multiple for n in self.tile):
            raise ValueError(f"tile {self.tile} is no multiple of {self.multiple}")
        if self.margin % self.stride or self.multiple % self.stride:
            raise ValueError("margin and multiple must be multiples of the stride")
        if min(self.tile) <= 2 * self.margin:
            raise ValueError(f"tile {self.tile} leaves nothing inside margins of {self.margin}")


@dataclass(frozen=True)
class Tile:
    """One tile: which input it reads and which part of the result it fills (input voxels)."""

    start: Shape3
    shape: Shape3
    keep: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


def plan_tiles(shape: Shape3, tiling: Tiling) -> list[Tile]:
    """Tiles whose ``keep`` boxes cover a volume of ``shape`` exactly once.

    Tiles may reach past the volume's end; the caller pads.
    """
    cuts = [_cut(n, side, tiling) for n, side in zip(shape, tiling.tile, strict=True)]
    tiles = []
    for a, b, c in product(*cuts):
        tiles.append(
            Tile((a[0], b[0], c[0]), (a[1], b[1], c[1]), ((a[2], a[3]), (b[2], b[3]), (c[2], c[3])))
        )
    return tiles


def _cut(length: int, side: int, tiling: Tiling) -> Iterator[tuple[int, int, int, int]]:
    """(start, size, keep from, keep to) along one axis."""
    whole = -(-length // tiling.multiple) * tiling.multiple
    if whole <= side:
        yield 0, whole, 0, length
        return
    start = done = 0
    while done < length:
        last = start + side >= whole
        end = length if last else min(start + side - tiling.margin, length)
        yield start, side, done, end
        done = end
        start = end - tiling.margin
        if start + side > whole and not last:
            # The last tile is moved back to end with the volume.
            start = max(0, whole - side)


def run_tiled(voxels: np.ndarray, runtime: Runtime, tiling: Tiling, *, fill: float) -> Batch:
    """Run a dense network over a volume.

    Args:
        voxels: (k, j, i) float32, the network's input values.
        runtime: input (1, 1, k, j, i), output (1, c, k/stride, j/stride, i/stride).
        fill: input value beyond the volume's end.

    Returns:
        (c, k', j', i'), k' = ceil(k / stride) and so on.
    """
    shape: Shape3 = (voxels.shape[0], voxels.shape[1], voxels.shape[2])
    s = tiling.stride
    result: np.ndarray | None = None
    for tile in plan_tiles(shape, tiling):
        box = tuple(slice(a, a + n) for a, n in zip(tile.start, tile.shape, strict=True))
        block = voxels[box]
        short = [(0, n - have) for n, have in zip(tile.shape, block.shape, strict=True)]
        if any(after for _, after in short):
            block = np.pad(block, short, constant_values=fill)
        (whole,) = runtime.run(block[np.newaxis, np.newaxis])
        output = whole[0]
        if result is None:
            cells = tuple(-(-n // s) for n in shape)
            result = np.zeros((output.shape[0], *cells), dtype=np.float32)
        source, target = [], []
        for start, (low, high) in zip(tile.start, tile.keep, strict=True):
            top = -(-high // s)
            target.append(slice(low // s, top))
            source.append(slice((low - start) // s, top - start // s))
        result[(slice(None), *target)] = output[(slice(None), *source)]
    assert result is not None
    return result
