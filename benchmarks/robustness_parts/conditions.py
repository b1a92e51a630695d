"""What can be different about a chest CT, done to a scan at 1 mm: a simulation each.

Arrays are (k, j, i) = (head, back, left), HU, 1 mm. ``Subject`` keeps where the nodules are, so
that a change can spare them, or tell which ones it took out of view.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imaging.geometry import Grid
from imaging.volume import Volume
from models.evaluation.judging import Truth

Hu = NDArray[np.float32]
Bools = NDArray[np.bool_]
Rng = np.random.Generator


@dataclass(frozen=True, eq=False)
class Subject:
    """A scan at 1 mm with its lungs (closed over nodules) and its nodules, LPS mm."""

    name: str
    volume: Volume
    lungs: Bools
    nodules: tuple[Truth, ...]

    @property
    def hu(self) -> Hu:
        """A copy to change."""
        return self.volume.voxels.astype(np.float32)

    def with_hu(self, hu: Hu) -> Subject:
        """The same place with other values."""
        clipped = np.clip(np.rint(hu), -1024, 3071).astype(np.int16)
        return replace(self, volume=Volume(clipped, self.volume.grid))

    def away(self, millimetres: float) -> Bools:
        """Voxels farther than so many mm from every nodule's edge."""
        free = np.ones(self.volume.grid.shape, np.bool_)
        for nodule in self.nodules:
            middle = self.volume.grid.to_index(nodule.centre_mm)
            reach = nodule.diameter_mm / 2 + millimetres
            low = np.clip(np.floor(middle - reach).astype(int), 0, free.shape)
            high = np.clip(np.ceil(middle + reach).astype(int) + 1, 0, free.shape)
            box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            axes = [np.arange(a, b) - m for a, b, m in zip(low, high, middle, strict=True)]
            far = axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2
            free[box] &= far > reach**2
        return free


Change = Callable[[Subject, Rng], Subject]


def untouched(subject: Subject, rng: Rng) -> Subject:
    """As it is."""
    return subject


def slices_of(thickness_mm: float) -> Change:
    """Contiguous slices of so many mm, each the mean of what it covers.

    The scans are of 2.5 to 3 mm slices or more; thinner ones are interpolated and show no more.
    """

    def change(subject: Subject, rng: Rng) -> Subject:
        hu, grid = subject.hu, subject.volume.grid
        first = max(thickness_mm - 1, 0) / 2
        at = np.arange(first, grid.shape[0] - 1 - first + 1e-6, thickness_mm)
        samples = max(round(2 * thickness_mm), 1)
        across = ((np.arange(samples) + 0.5) / samples - 0.5) * max(thickness_mm - 1, 0)
        slices = np.zeros((len(at), *hu.shape[1:]), np.float32)
        for offset in across:
            place = np.clip(at + offset, 0, len(hu) - 1)
            low = np.minimum(place.astype(int), len(hu) - 2)
            part = (place - low).astype(np.float32)[:, None, None]
            slices += (hu[low] * (1 - part) + hu[low + 1] * part) / samples
        affine = grid.affine.copy()
        affine[:3, 3] += affine[:3, 0] * at[0]
        affine[:3, 0] *= thickness_mm
        shape = (len(at), grid.shape[1], grid.shape[2])
        volume = Volume(np.rint(slices).astype(np.int16), Grid(shape, affine))
        return replace(subject, volume=volume)

    return change


def sharp_kernel(subject: Subject, rng: Rng) -> Subject:
    """Edges and noise raised in the slice, as bone and lung kernels do."""
    hu = subject.hu
    return subject.with_hu(hu + 1.2 * (hu - ndimage.gaussian_filter(hu, (0, 1.0, 1.0))))


def soft_kernel(subject: Subject, rng: Rng) -> Subject:
    """Smoothed in the slice."""
    return subject.with_hu(ndimage.gaussian_filter(subject.hu, (0, 0.9, 0.9)))


def noise_of(sd: float) -> Change:
    """Noise added, a little correlated in the slice."""

    def change(subject: Subject, rng: Rng) -> Subject:
        noise = ndimage.gaussian_filter(
            rng.standard_normal(subject.volume.grid.shape, np.float32), (0, 0.6, 0.6)
        )
        return subject.with_hu(subject.hu + noise * np.float32(sd / noise.std()))

    return change


def contrast(subject: Subject, rng: Rng) -> Subject:
    """Vessels and mediastinum brightened by 150 HU; nodules by 30."""
    hu = subject.hu
    between = _between(subject.lungs)
    soft = np.clip((hu + 200) / 200, 0, 1) * (hu < 150) * between
    enhanced = ndimage.gaussian_filter(soft.astype(np.float32), 0.5)
    return subject.with_hu(hu + enhanced * np.where(subject.away(1.0), 150, 30))


def _between(lungs: Bools) -> Bools:
    """Both lungs and what lies between them, row by row."""
    first = np.maximum.accumulate(lungs, axis=2)
    last = np.flip(np.maximum.accumulate(np.flip(lungs, 2), axis=2), 2)
    return first & last


def arms_down(subject: Subject, rng: Rng) -> Subject:
    """Streaks from side to side over the upper half, and more noise there."""
    hu = subject.hu
    white = rng.standard_normal(hu.shape, np.float32)
    streaks = ndimage.gaussian_filter(white, (0.3, 0.8, 40.0))
    streaks *= np.float32(35 / streaks.std())
    grain = ndimage.gaussian_filter(rng.standard_normal(hu.shape, np.float32), (0, 0.6, 0.6))
    grain *= np.float32(20 / grain.std())
    upper = np.clip((np.arange(len(hu)) / len(hu) - 0.4) / 0.2, 0, 1).astype(np.float32)
    return subject.with_hu(hu + (streaks + grain) * upper[:, None, None])


def cut(*, top: bool) -> Change:
    """The highest, or lowest, third of the lungs outside the scan."""

    def change(subject: Subject, rng: Rng) -> Subject:
        rows = np.flatnonzero(subject.lungs.any(axis=(1, 2)))
        third = (rows[-1] - rows[0]) // 3
        low, high = (0, int(rows[-1] - third)) if top else (int(rows[0] + third), len(subject.hu))
        grid = subject.volume.grid
        part = grid.crop((low, 0, 0), (high - low, grid.shape[1], grid.shape[2]))
        inside = []
        for nodule in subject.nodules:
            k = float(part.to_index(nodule.centre_mm)[0])
            reach = nodule.diameter_mm / 2
            if -reach < k < part.shape[0] - 1 + reach:  # what is cut in two is no test
                whole = reach <= k <= part.shape[0] - 1 - reach
                inside.append(replace(nodule, counted=nodule.counted and whole))
        voxels = subject.volume.voxels[low:high]
        return Subject(subject.name, Volume(voxels, part), subject.lungs[low:high], tuple(inside))

    return change


def prone(subject: Subject, rng: Rng) -> Subject:
    """Lying on the belly, rightly said in the header: rows and columns run the other way."""
    grid = subject.volume.grid
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, 1] * (grid.shape[1] - 1) + affine[:3, 2] * (grid.shape[2] - 1)
    affine[:3, 1:3] *= -1
    voxels = np.ascontiguousarray(subject.volume.voxels[:, ::-1, ::-1])
    lungs = np.ascontiguousarray(subject.lungs[:, ::-1, ::-1])
    return replace(subject, volume=Volume(voxels, Grid(grid.shape, affine)), lungs=lungs)


def mislabelled(subject: Subject, rng: Rng) -> Subject:
    """Lying on the belly while the header says on the back: the anatomy is turned round."""
    grid = subject.volume.grid
    nodules = []
    for nodule in subject.nodules:
        k, j, i = grid.to_index(nodule.centre_mm)
        x, y, z = (float(v) for v in grid.to_lps((k, grid.shape[1] - 1 - j, grid.shape[2] - 1 - i)))
        nodules.append(replace(nodule, centre_mm=(x, y, z)))
    voxels = np.ascontiguousarray(subject.volume.voxels[:, ::-1, ::-1])
    lungs = np.ascontiguousarray(subject.lungs[:, ::-1, ::-1])
    return Subject(subject.name, Volume(voxels, grid), lungs, tuple(nodules))


def covid(subject: Subject, rng: Rng) -> Subject:
    """Twelve ground-glass patches of 20 to 50 mm near the pleura, three of them dense inside."""
    hu = subject.hu
    depth = ndimage.distance_transform_edt(subject.lungs[::2, ::2, ::2]) * 2
    rim = np.argwhere((depth > 4) & (depth < 20)) * 2
    free = subject.away(4.0) & subject.lungs
    for n in range(12):
        middle = rim[rng.integers(len(rim))]
        weight, box = _patch(hu.shape, middle, rng.uniform(10, 25, 3), rng)
        weight *= free[box]
        part = hu[box]
        part += weight * 0.55 * np.clip(-350 - part, 0, None)
        if n < 3:
            core, box = _patch(hu.shape, middle, rng.uniform(6, 12, 3), rng)
            part = hu[box]
            part += core * free[box] * np.clip(20 - part, 0, None)
    return subject.with_hu(hu)


def _patch(
    shape: tuple[int, ...], middle: NDArray[np.int64], radii: NDArray[np.float64], rng: Rng
) -> tuple[Hu, tuple[slice, ...]]:
    """A ragged blob, 0 to 1, in a box of the scan."""
    low = np.clip(middle - np.ceil(radii).astype(int) - 8, 0, shape)
    high = np.clip(middle + np.ceil(radii).astype(int) + 9, 0, shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    axes = [(np.arange(a, b) - m) / r for a, b, m, r in zip(low, high, middle, radii, strict=True)]
    far = np.sqrt(axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2)
    ragged = ndimage.gaussian_filter(rng.standard_normal(far.shape), 4)
    ragged /= max(float(ragged.std()), 1e-6)
    weight = np.clip((1 - far - 0.15 * ragged) * float(radii.mean()) / 4, 0, 1)
    return weight.astype(np.float32), box


def fibrosis(subject: Subject, rng: Rng) -> Subject:
    """A net of thin lines under the pleura of the lower half, as in fibrosis."""
    hu = subject.hu
    depth = ndimage.distance_transform_edt(subject.lungs[::2, ::2, ::2]) * 2
    wide = np.repeat(np.repeat(np.repeat(depth, 2, 0), 2, 1), 2, 2)
    wide = wide[: hu.shape[0], : hu.shape[1], : hu.shape[2]]
    rows = np.flatnonzero(subject.lungs.any(axis=(1, 2)))
    lower = np.zeros(hu.shape[0], np.float32)
    lower[rows[0] : (rows[0] + rows[-1]) // 2] = 1
    near = np.clip((22 - wide) / 6, 0, 1) * subject.lungs * subject.away(3.0)
    field = ndimage.gaussian_filter(rng.standard_normal(hu.shape, np.float32), 3.0)
    slope = ndimage.gaussian_gradient_magnitude(field, 1.0)
    walls = np.clip(1.3 - np.abs(field) / (slope + 1e-6), 0, 1)  # about 1.5 mm where it is zero
    weight = (walls * near * lower[:, None, None]).astype(np.float32)
    return subject.with_hu(hu + weight * np.clip(-50 - hu, 0, None))


def surgery(subject: Subject, rng: Rng) -> Subject:
    """Ten metal clips of 2 mm in a row through one lung, with a scar along them."""
    hu = subject.hu
    inside = np.argwhere(subject.lungs & subject.away(12.0))
    start = inside[rng.integers(len(inside))].astype(float)
    way = rng.normal(size=3)
    way /= np.linalg.norm(way)
    line = np.array([start + way * step for step in np.arange(0, 50, 0.5)])
    scar = np.zeros(hu.shape, np.float32)
    clips = np.zeros(hu.shape, np.float32)
    free = subject.away(5.0) & subject.lungs
    for n, point in enumerate(np.rint(line).astype(int)):
        if (point < 1).any() or (point >= np.array(hu.shape) - 1).any() or not free[tuple(point)]:
            continue
        scar[tuple(point)] = 1
        if n % 10 == 0:
            clips[tuple(slice(p - 1, p + 1) for p in point)] = 1
    scar = np.clip(ndimage.gaussian_filter(scar, 1.2) * 12, 0, 1)
    clips = np.clip(ndimage.gaussian_filter(clips, 0.5) * 1.5, 0, 1)
    hu = hu + scar * np.clip(-50 - hu, 0, None)
    return subject.with_hu(hu + clips * np.clip(2500 - hu, 0, None))


CONDITIONS: dict[str, Change] = {
    "untouched, 1 mm": untouched,
    "slices of 0.6 mm (interpolated)": slices_of(0.6),
    "slices of 2 mm": slices_of(2.0),
    "slices of 3 mm": slices_of(3.0),
    "slices of 5 mm": slices_of(5.0),
    "sharp kernel": sharp_kernel,
    "soft kernel": soft_kernel,
    "noise of 20 HU added": noise_of(20.0),
    "noise of 40 HU added": noise_of(40.0),
    "contrast agent": contrast,
    "arms down (streaks)": arms_down,
    "top third not scanned": cut(top=True),
    "bottom third not scanned": cut(top=False),
    "prone, header right": prone,
    "prone, header wrong": mislabelled,
    "ground glass as in COVID-19": covid,
    "reticulation as in fibrosis": fibrosis,
    "clips and scar of surgery": surgery,
}
