"""Training cubes for the mask net: cut exactly as the product cuts them, a little off-centre.

Four of five show a nodule inserted into a lung, the rest a real lesion in its own place with the
share of readers or algorithms that outlined each voxel.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.lungs.nodules import CUBE_SIDE_MM, Candidate, extract_cube, to_input
from models.training.insertion import best_place, insert
from models.training.lungs_data import Lesion, Lung
from models.training.nodules_data import Nodule, sampling_weights
from models.training.pool import PatchPool
from models.training.scanner import another_scanner

REAL_SHARE = 0.15
SCALES = (0.8, 1.25)
SCANNER = 0.7  # how much of another scanner; masks suffer from blur that finding stands
# How the detector errs, measured on simulated nodules: about 1 mm an axis, a fifth in diameter.
CENTRE_SD_MM, CENTRE_SD_DIAMETERS, LOG_DIAMETER_SD = 1.0, 0.06, 0.22

Float = NDArray[np.float32]


@dataclass
class CubeMaker:
    """An endless source of (cube in the nets' units, share outlined), both [S, S, S]."""

    lungs: list[Lung]
    nodules: list[Nodule]
    rng: np.random.Generator

    def __post_init__(self) -> None:
        # Small nodules are the common case, and the hard one here: draw large ones less often
        # than the detector does.
        weight = np.sqrt(sampling_weights(self.nodules))
        self._pool = PatchPool(self.nodules, weight / weight.sum(), SCALES)
        self._places = {lung.name: lung.places() for lung in self.lungs}
        # Real lesions wider than the widest cube would teach cut-off masks.
        self._real = [
            (lung, lesion)
            for lung in self.lungs
            for lesion in lung.lesions
            if lesion.diameter_mm < CUBE_SIDE_MM[1] / 1.4
        ]

    def __iter__(self) -> Iterator[tuple[Float, Float]]:
        while True:
            made = self.cube()
            if made is not None:
                yield made

    def cube(self) -> tuple[Float, Float] | None:
        """One cube and its answer; None where no place was fit."""
        if self._real and self.rng.random() < REAL_SHARE:
            lung, lesion = self._real[self.rng.integers(len(self._real))]
            hu, share, centre = self._around(lung, lesion)
            diameter = lesion.diameter_mm
        else:
            made = self._inserted()
            if made is None:
                return None
            hu, share, centre, diameter = made
        rng = self.rng
        off = rng.normal(0, CENTRE_SD_MM + CENTRE_SD_DIAMETERS * diameter, 3)
        k, j, i = (float(c) for c in centre + off)
        seen = Candidate((k, j, i), diameter * float(np.exp(rng.normal(0, LOG_DIAMETER_SD))), 0.0)
        hu = another_scanner(hu, rng, SCANNER)
        return self._flip(extract_cube(to_input(hu), seen).values, extract_cube(share, seen).values)

    def _around(self, lung: Lung, lesion: Lesion) -> tuple[Float, Float, NDArray[np.float64]]:
        half = int(CUBE_SIDE_MM[1] / 2) + 8
        centre = np.array(lesion.centre)
        low = np.maximum(np.rint(centre).astype(int) - half, 0)
        high = np.minimum(low + 2 * half, lung.hu.shape)
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        return lung.hu[box].astype(np.float32), lung.share[box].astype(np.float32), centre - low

    def _inserted(self) -> tuple[Float, Float, NDArray[np.float64], float] | None:
        rng = self.rng
        lung = self.lungs[rng.integers(len(self.lungs))]
        patch = self._pool.draw(rng)
        spot = best_place(patch, lung.hu, self._places[lung.name], rng)
        if spot is None:
            return None
        room = int(1.4 * patch.diameter_mm) + 20  # more than half the widest cube cut around it
        low = np.maximum(spot - room, 0)
        high = np.minimum(spot + np.array(patch.hu.shape) + room, lung.hu.shape)
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        if float(lung.share[box].max()) > 0.2:
            return None  # no second lesion in the cube: it would be left out of the answer
        hu = lung.hu[box].astype(np.float32)
        mask = insert(patch, hu, spot - low, rng)
        return hu, mask.astype(np.float32), spot - low + patch.centre, patch.diameter_mm

    def _flip(self, image: Float, share: Float) -> tuple[Float, Float]:
        swap = self.rng.random() < 0.3
        step = tuple(slice(None, None, int(s)) for s in self.rng.choice([-1, 1], 3))

        def turn(a: Float) -> Float:
            return np.ascontiguousarray((np.swapaxes(a, 1, 2) if swap else a)[step])

        return turn(image), turn(share)
