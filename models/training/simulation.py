"""Whole lungs with several inserted nodules: what the operating point is chosen and tested on.

Not real studies: the nodules are real, the lungs are real, the pairing is not. Held-out patients
supply both, so a simulation says how the model does on new nodules in new lungs. Needs SciPy,
not PyTorch.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Grid
from imaging.volume import Volume
from models.training.insertion import best_place, insert, make_patch
from models.training.lungs_data import Lung
from models.training.nodules_data import Nodule

APART_MM = 20.0


@dataclass(frozen=True)
class Truth:
    """One inserted or marked nodule; ``centre`` (k, j, i) in voxels of the 1 mm volume.

    ``mask`` holds its voxels, [n, 3]; empty where only the place is known.
    """

    centre: tuple[float, float, float]
    diameter_mm: float
    texture: float
    mask: NDArray[np.int64]


@dataclass(frozen=True)
class Study:
    """A volume at 1 mm with its truth."""

    name: str
    volume: Volume
    truths: tuple[Truth, ...]


def as_volume(hu: NDArray[np.int16] | NDArray[np.float32]) -> Volume:
    """A 1 mm array, axes head, back, left, as a volume in LPS mm."""
    affine = np.eye(4)
    affine[:3, :3] = [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
    k, j, i = hu.shape
    return Volume(hu, Grid((k, j, i), affine))


def simulate(
    lungs: list[Lung], nodules: list[Nodule], *, a_study: int, studies: int, seed: int
) -> Iterator[Study]:
    """``studies`` volumes with up to ``a_study`` nodules each; every nodule as likely as the rest.

    Nodules keep at least 20 mm between their edges, and keep away from marked lesions.
    """
    rng = np.random.default_rng(seed)
    places = {lung.name: lung.places() for lung in lungs}
    for n in range(studies):
        lung = lungs[n % len(lungs)]
        hu = lung.hu.astype(np.float32)
        taken = [(np.array(x.centre), x.diameter_mm) for x in lung.lesions]
        truths: list[Truth] = []
        for _ in range(4 * a_study):
            if len(truths) == a_study:
                break
            nodule = nodules[rng.integers(len(nodules))]
            patch = make_patch(nodule, rng)
            if patch is None:
                continue
            patch = patch.turned(rng)
            spot = best_place(patch, hu, places[lung.name], rng)
            if spot is None:
                continue
            centre = spot + patch.centre
            if any(
                np.linalg.norm(centre - at) < (d + patch.diameter_mm) / 2 + APART_MM
                for at, d in taken
            ):
                continue
            mask = insert(patch, hu, spot, rng)
            taken.append((centre, patch.diameter_mm))
            k, j, i = (float(c) for c in centre)
            truths.append(Truth((k, j, i), patch.diameter_mm, nodule.texture, np.argwhere(mask)))
        yield Study(f"{lung.name} simulation {n}", as_volume(np.rint(hu)), tuple(truths))
