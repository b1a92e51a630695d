"""Two examinations of the simulated chest with balls drawn in at known sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.follow_up import Breath, breathed, drawn, scanned
from imaging.geometry import Point, Points
from imaging.lungs import LungMask, lung_mask
from imaging.phantom import make_phantom
from imaging.priors.examination import Examination, Seen
from imaging.volume import Volume

SIZES: dict[str, tuple[float, float]] = {
    "stable": (9.0, 9.0),
    "grown": (9.0, 13.0),
    "shrunk": (13.0, 9.0),
    "added": (0.0, 9.0),
    "removed": (9.0, 0.0),
    "unmarked": (9.0, 9.0),
    "overlooked": (9.0, 9.0),
}
"""Diameters then and now, mm.

"unmarked" was there but is not in the earlier list, "overlooked" is there but not in the current.
"""


@dataclass(frozen=True, eq=False)
class Made:
    """A pair, the motion between them, and which number is what."""

    current: Examination
    prior: Examination
    breath: Breath
    numbers: dict[str, int]

    @property
    def lung_points(self) -> Points:
        """Points all over the current lungs, LPS mm."""
        assert self.current.lungs is not None
        mask = self.current.lungs.mask
        return mask.grid.to_lps(np.argwhere(mask.voxels[::8, ::8, ::8]) * 8)


def make_pair() -> Made:
    """Slices of 1.5 and 2.5 mm; the diaphragm 16 mm lower, 10 mm off, turned 5 degrees."""
    phantom = make_phantom(3, slices=134, pixels=128, height_mm=201.0, nodules=()).volume
    base = Volume(phantom.voxels.astype(np.float32), phantom.grid)
    lungs = lung_mask(base)
    inside = lungs.mask.grid.to_lps(np.argwhere(lungs.mask.voxels))
    low, high = inside.min(axis=0), inside.max(axis=0)
    breath = Breath(
        _point((low + high) / 2), _point((high - low) / 2), diaphragm_mm=16.0,
        turn_degrees=(3.0, -2.0, 5.0), shift_mm=(6.0, -5.0, 6.0),
    )  # fmt: skip
    new = breathed(base, breath)
    old = Volume(base.voxels.copy(), base.grid)
    rng = np.random.default_rng(0)
    places = deep_places(lungs, len(SIZES), rng)
    for (then_mm, now_mm), place in zip(SIZES.values(), places, strict=True):
        if then_mm:
            drawn(old, place, then_mm)
        if now_mm:
            drawn(new, _point(breath.to_new(place)), now_mm)
    prior = scanned(old, rng, slice_mm=2.5, noise_hu=25, offset_mm=0.6)
    current = scanned(new, rng, slice_mm=1.5, noise_hu=20)
    then, now = [], []
    numbers = {name: n for n, name in enumerate(SIZES, start=1)}
    for (name, (then_mm, now_mm)), place in zip(SIZES.items(), places, strict=True):
        if then_mm and name != "unmarked":
            then.append(_seen(prior, place, then_mm, 10 + numbers[name], "then"))
        if now_mm and name != "overlooked":
            centre = _point(breath.to_new(place))
            now.append(_seen(current, centre, now_mm, numbers[name], "now"))
    return Made(
        Examination(current, "2.1", "2.1.1", "20250720", lung_mask(current), tuple(now)),
        Examination(prior, "2.2", "2.2.1", "20250101", lung_mask(prior), tuple(reversed(then))),
        breath,
        numbers,
    )


def _seen(volume: Volume, centre: Point, diameter_mm: float, number: int, when: str) -> Seen:
    """As measured; drawn into a copy, only for its mask."""
    region = drawn(Volume(volume.voxels.copy(), volume.grid), centre, diameter_mm)
    return Seen(f"2.9.{when}.{number}", number, region, diameter_mm, region.mask.volume_mm3)


def deep_places(lungs: LungMask, count: int, rng: np.random.Generator) -> list[Point]:
    """Points deep in the lungs, LPS mm, at least 35 mm apart."""
    mask = lungs.mask
    found: list[Point] = []
    for k, j, i in rng.permutation(np.argwhere(mask.voxels)):
        around = mask.voxels[max(k - 6, 0) : k + 7, max(j - 6, 0) : j + 7, max(i - 6, 0) : i + 7]
        point = _point(mask.grid.to_lps((k, j, i)))
        if (
            around.size == 13**3
            and around.all()
            and all(np.linalg.norm(np.subtract(point, other)) > 35 for other in found)
        ):
            found.append(point)
            if len(found) == count:
                return found
    raise ValueError("these lungs have no room")


def _point(values: Points) -> Point:
    x, y, z = (float(v) for v in values)
    return x, y, z
