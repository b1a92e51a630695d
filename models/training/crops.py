"""Training crops and dense targets for the detector.

A crop is 64 mm wide, from one lung, with up to six inserted nodules and sometimes a sham. Half
of the crops are cut around places where an earlier state of the net was wrong.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.lungs.nodules import STRIDE, to_input
from models.training.insertion import best_place, insert, sham
from models.training.lungs_data import Lung
from models.training.nodules_data import Nodule, sampling_weights
from models.training.pool import PatchPool
from models.training.scanner import another_scanner

SIDE = 64
# Towards the small: a scan's common nodules are 4 to 8 mm, the outlined ones larger.
SCALES = (0.65, 1.25)
AT_LESIONS, AT_WRONG = 0.12, 0.35  # share of crops cut around real lesions, around mistakes


@dataclass
class Mined:
    """Where an earlier state of the net was wrong, per lung: [n, 3] voxels.

    ``wrong`` are false peaks to train on. ``doubtful`` are strong peaks of lungs that were not
    read completely: neither positive nor negative.
    """

    wrong: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    doubtful: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Writes beside and renames: another process may be reading."""
        arrays = {f"wrong/{k}": v for k, v in self.wrong.items()}
        arrays |= {f"doubtful/{k}": v for k, v in self.doubtful.items()}
        part = path.with_suffix(".part.npz")
        np.savez(part, **arrays)  # type: ignore[arg-type]  # a keyword could be allow_pickle
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> "Mined":
        """What ``save`` wrote."""
        mined = cls()
        with np.load(path) as arrays:
            for key in arrays.files:
                kind, name = key.split("/", 1)
                getattr(mined, kind)[name] = arrays[key]
        return mined


@dataclass(frozen=True)
class Target:
    """One crop with its answer. Cells are 4 mm; [g, g, g] with g = 16.

    ``positive`` weighs each cell so that a nodule's cells add up to 1; ``negative`` marks cells
    that count as background; ``log_d`` is the log diameter in mm where positive.
    """

    image: NDArray[np.float32]
    positive: NDArray[np.float32]
    negative: NDArray[np.bool_]
    log_d: NDArray[np.float32]


@dataclass
class CropMaker:
    """An endless source of training crops."""

    lungs: list[Lung]
    nodules: list[Nodule]
    rng: np.random.Generator
    mined_file: Path | None = None
    heavy: float = 1.0  # how much of the augmentation: 0 none, 1 all of it

    def __post_init__(self) -> None:
        self._places = {lung.name: lung.places() for lung in self.lungs}
        # Lungs read completely give truer negatives.
        share = np.array([2.0 if lung.nodule_free else 1.0 for lung in self.lungs])
        self._share = share / share.sum()
        self._mined = Mined()
        self._mined_at = 0.0
        self._pool = PatchPool(self.nodules, sampling_weights(self.nodules), SCALES)

    def __iter__(self) -> Iterator[Target]:
        while True:
            yield self.crop()

    def crop(self) -> Target:
        """One crop with its answer."""
        self._reload()
        rng = self.rng
        lung = self.lungs[rng.choice(len(self.lungs), p=self._share)]
        turned = rng.random() < 0.6 * self.heavy
        side = 92 if turned else SIDE
        centre = self._centre(lung)
        corner = np.clip(np.rint(centre).astype(int) - side // 2, 0, np.array(lung.hu.shape) - side)
        box = tuple(slice(int(c), int(c) + side) for c in corner)
        hu = lung.hu[box].astype(np.float32)
        mask = lung.mask[box].astype(np.float32)
        wanted = [  # centre k, j, i; diameter; 0 where it is not to be judged
            (np.array(x.centre) - corner, x.diameter_mm, 1.0) for x in lung.lesions
        ]
        doubtful = self._mined.doubtful.get(lung.name, np.zeros((0, 3)))
        wanted += [(at - corner, 8.0, 0.0) for at in doubtful]
        hu, wanted = self._populate(lung, hu, box, wanted)
        if turned:
            hu, mask, wanted = self._turn(hu, mask, wanted)
        hu = another_scanner(hu, rng, self.heavy)
        return self._flip(target_of(to_input(hu), mask > 0.5, wanted))

    def _reload(self) -> None:
        if self.mined_file is None or not self.mined_file.exists():
            return
        at = self.mined_file.stat().st_mtime
        if at > self._mined_at:
            self._mined, self._mined_at = Mined.load(self.mined_file), at

    def _centre(self, lung: Lung) -> NDArray[np.float64]:
        rng = self.rng
        wrong = self._mined.wrong.get(lung.name, np.zeros((0, 3)))
        draw = rng.random()
        if lung.lesions and draw < AT_LESIONS:
            at = np.array(lung.lesions[rng.integers(len(lung.lesions))].centre)
        elif len(wrong) and draw < AT_LESIONS + AT_WRONG:
            at = wrong[rng.integers(len(wrong))]
        else:
            places = self._places[lung.name]
            at = places[rng.integers(len(places))].astype(float)
        return np.asarray(at + rng.uniform(-16, 16, 3))

    def _populate(
        self,
        lung: Lung,
        hu: NDArray[np.float32],
        box: tuple[slice, ...],
        wanted: list[tuple[NDArray[np.float64], float, float]],
    ) -> tuple[NDArray[np.float32], list[tuple[NDArray[np.float64], float, float]]]:
        rng = self.rng
        free = lung.mask[box][::2, ::2, ::2] & (lung.share[box][::2, ::2, ::2] < 0.2)
        free[:3], free[-3:], free[:, :3] = False, False, False
        free[:, -3:], free[:, :, :3], free[:, :, -3:] = False, False, False
        places = (np.argwhere(free) * 2).astype(np.int32)
        found = list(wanted)
        shams = int(rng.random() < 0.3)
        for n in range(-shams, int(rng.integers(3, 7))):
            patch = self._pool.draw(rng)
            if n < 0:
                elsewhere = best_place(patch, hu, places, rng)
                if elsewhere is None:
                    continue
                patch = sham(patch, hu, elsewhere)
            spot = best_place(patch, hu, places, rng)
            if spot is None:
                continue
            centre = spot + patch.centre
            apart = [float(np.linalg.norm(centre - at)) - d / 2 for at, d, _ in found]
            if min(apart, default=99.0) < patch.diameter_mm / 2 + 6:
                continue
            insert(patch, hu, spot, rng)
            if n >= 0:
                found.append((centre, patch.diameter_mm, float(patch.diameter_mm >= 3.5)))
        return hu, found

    def _turn(
        self,
        hu: NDArray[np.float32],
        mask: NDArray[np.float32],
        wanted: list[tuple[NDArray[np.float64], float, float]],
    ) -> tuple[
        NDArray[np.float32], NDArray[np.float32], list[tuple[NDArray[np.float64], float, float]]
    ]:
        """Turns by up to 30 degrees about the body's axis, scales each axis by .8 to 1.25."""
        angle = np.deg2rad(self.rng.uniform(-30, 30))
        scale = self.rng.uniform(0.85, 1.18) * self.rng.uniform(0.93, 1.07, 3)
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
        back = np.diag(1 / scale) @ turn  # output to input
        middle_in, middle_out = (np.array(hu.shape) - 1) / 2, np.full(3, (SIDE - 1) / 2)
        offset = middle_in - back @ middle_out
        shape = (SIDE, SIDE, SIDE)
        turned = ndimage.affine_transform(hu, back, offset, shape, order=1, mode="nearest")
        turned_mask = ndimage.affine_transform(mask, back, offset, shape, order=0)
        forth = np.linalg.inv(back)
        grown = float(np.sqrt(scale[1] * scale[2]))  # a diameter is measured in the slice
        return turned, turned_mask, [(forth @ (at - offset), d * grown, w) for at, d, w in wanted]

    def _flip(self, target: Target) -> Target:
        swap = self.rng.random() < 0.3 * self.heavy
        step = tuple(slice(None, None, int(s)) for s in self.rng.choice([-1, 1], 3))

        def turn(a: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.ascontiguousarray((np.swapaxes(a, 1, 2) if swap else a)[step])

        return Target(
            image=turn(target.image),
            positive=turn(target.positive),
            negative=turn(target.negative.astype(np.float32)) > 0.5,
            log_d=turn(target.log_d),
        )


def target_of(
    image: NDArray[np.float32],
    mask: NDArray[np.bool_],
    wanted: list[tuple[NDArray[np.float64], float, float]],
) -> Target:
    """The dense answer for a crop: ``wanted`` holds (centre in voxels, diameter in mm, judged).

    Cells within max(2.6, 0.3 d) mm of a centre, and always the nearest, are positive; cells out
    to max(6, d / 2 + 4) mm are not judged; the rest of the lung is negative.
    """
    grid = tuple(n // STRIDE for n in image.shape)
    half = (STRIDE - 1) / 2
    axes = [np.arange(n) * STRIDE + half for n in grid]
    positive, log_d = np.zeros(grid, np.float32), np.zeros(grid, np.float32)
    negative = mask.reshape(grid[0], STRIDE, grid[1], STRIDE, grid[2], STRIDE).mean((1, 3, 5)) > 0.3
    for centre, diameter, judged in wanted:
        k, j, i = (a - c for a, c in zip(axes, centre, strict=True))
        far = np.sqrt(k[:, None, None] ** 2 + j[None, :, None] ** 2 + i[None, None, :] ** 2)
        negative &= far > max(6.0, diameter / 2 + 4)
        edge = np.array(image.shape) - 1
        if not judged or (centre < 0).any() or (centre > edge).any():
            continue
        cells = far <= max(2.6, 0.3 * diameter)
        cells[np.unravel_index(int(far.argmin()), grid)] = True
        cells &= positive == 0
        if cells.any():
            positive[cells] = 1 / cells.sum()
            log_d[cells] = np.log(max(diameter, 2.0))
    return Target(image, positive, negative & (positive == 0), log_d)
