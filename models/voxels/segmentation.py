"""One network's whole way over one patient's volumes: prepare, run, finish."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing

from imaging.volume import Volume
from models.recipe import Recipe
from models.runner import Runner
from models.voxels.blend import Block
from models.voxels.finish import Finishing
from models.voxels.frames import image_of
from models.voxels.labelmap import LabelMap
from models.voxels.prepare import prepare
from models.voxels.windows import blended


def segment(
    volumes: Sequence[Volume],
    recipe: Recipe,
    runner: Runner,
    progress: Callable[[str], None] = lambda step: None,
    seconds: dict[str, float] | None = None,
    channels_of: Callable[[Block], Iterable[Block]] | None = None,
) -> LabelMap:
    """Label every voxel of a volume.

    Args:
        volumes: one for each of the recipe's channels, in their order; HU where the modality
            is CT. The first one's grid is the result's.
        runner: what runs the network; its first output is the one that counts.
        progress: called with ``prepare``, ``network`` and ``finish`` as each begins.
        seconds: how long each of these took is written into it.
        channels_of: makes the channels that the recipe's finish selects from out of a block of
            the network's output; None: they are its output.

    Raises:
        ValueError: the number of volumes is not the recipe's.
        PatchRefused: an output isn't what the recipe expects.
        ModelError: the network could not be run.
    """
    if len(volumes) != recipe.channels:
        raise ValueError(f"{len(volumes)} volumes for a recipe of {recipe.channels} channels")
    started = time.perf_counter()
    took = {} if seconds is None else seconds

    def lap(step: str) -> None:
        nonlocal started
        now = time.perf_counter()
        took[step] = took.get(step, 0.0) + now - started
        started = now

    progress("prepare")
    prepared = prepare(image_of(volumes), recipe.prepare)
    finishing = Finishing(recipe.finish, prepared.trail, volumes[0].grid)
    voxels = prepared.voxels
    del prepared
    lap("prepare")
    progress("network")
    in_flight = max(8, 2 * recipe.windows.batch)
    # Closed at once when a block is refused: nobody waits for the patches that are still out.
    with closing(blended(voxels, recipe.windows, runner, in_flight=in_flight)) as blocks:
        for block in blocks:
            if block.output == 0:
                for part in channels_of(block) if channels_of else (block,):
                    finishing.add(part)
    lap("network")
    progress("finish")
    found = finishing.label_map()
    lap("finish")
    return found
