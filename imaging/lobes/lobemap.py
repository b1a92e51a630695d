"""The lobes of one scan, and where a region lies among them.

Right and left lung, the fissures that could be seen, and the surfaces through them. A lobe is
told only where the region lies clear of each bounding fissure by several times what is not known
of it (a fissure seen near by is known to 2 or 3 mm, an unseen one only as people differ), and by
12 mm at the least.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.errors import NoLung
from imaging.geometry import Grid, Shape3
from imaging.language import Text
from imaging.lobes import wording
from imaging.lobes.pleura import closed_lung, depth_mm
from imaging.lobes.sheets import find_sheets
from imaging.lobes.sides import aerated_lung, body_middle, right_of
from imaging.lobes.surface import Surface, fit_surface
from imaging.lobes.usual import Box, minor_frame, oblique_frame, usual_shape
from imaging.lungs import LungMask
from imaging.nodule import Lobe, Place, Side, Third
from imaging.resample import axial_grid, resample, resample_mask
from imaging.volume import Region, Volume

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]
Points = NDArray[np.float64]

WORKING_MM = 1.5
THICKEST_MM = 3.1
"""Slices farther apart show fissures too seldom to go by."""
LEAST_LUNG_ML = 400.0
LEAST_HEIGHT_MM = 120.0
"""A lung smaller or lower than this is collapsed, cut or operated on: its fissures lie anywhere."""
LEAST_SEEN = 0.12
"""Where less of the oblique fissure was seen, what was seen may be something else."""
SURE = 3.0
"""A place is clear of a fissure when it is this many sigmas off it."""
LEAST_CLEAR_MM = 12.0
"""Nearer than this to a fissure, from the region's middle to the fitted surface, no lobe is told,
however small the sigma: a surface may follow something else, and its sigma does not know. In the
scans the constants were chosen on, 8 mm took away none of the 4 lobes told wrongly, 12 mm two (and
42 of 918 right ones), 15 mm one more (and 58 more). No cure: in the held-out scans, where a surface
errs by more than that, it took away none."""
MORE_MM = 2.5
"""Added (in squares) to a surface's sigma: what a mask's centre and the sheet's place are off."""
KNOWN_MM = 4.0
"""A distance to a fissure is told where the fissure's own sigma is below this."""
SUBPLEURAL_MM = 10.0
"""What ``Place.subpleural`` means by near; mm from the mask's edge, a convention."""
TOUCHING_MM = 1.5
MOST_POINTS = 3000


@dataclass(frozen=True, eq=False)
class Lung:
    """One lung of a scan.

    Attributes:
        side: the patient's own.
        ml: aerated volume.
        box: its extent.
        start: index of its arrays' first voxel on the map's grid.
        depth: (k, j, i), mm to its surface, 0 outside.
        surfaces: by name, ``oblique`` and ``minor``; empty where lobes can't be told.
        untold: why lobes can't be told in it; None where they can.
    """

    side: Side
    ml: float
    box: Box
    start: Shape3
    depth: Floats
    surfaces: Mapping[str, Surface]
    untold: Text | None


@dataclass(frozen=True, eq=False)
class LobeMap:
    """Both lungs of one scan.

    Attributes:
        grid: working grid, 1.5 mm along +S, +P, +L.
        right: (k, j, i), True on the right of the parting between the lungs.
        lungs: one or two, right first.
    """

    grid: Grid
    right: Bools
    lungs: tuple[Lung, ...]

    def place(self, volume: Volume, region: Region) -> Place:
        """Where a region lies.

        Args:
            volume: what the region was found in; only its grid is looked at.
            region: the mask, at least one voxel, on the volume's grid.

        Returns:
            Side and third always; lobe where it is sure. Lengths in mm from the mask's edge.
            The segment is never told: its borders show on no CT.
        """
        points = _points(region, volume.grid)
        centre = points.mean(0)
        lung = self._lung_of(points)
        pleura = self._pleura(lung, points)
        lobe, why = _lobe(lung, points, centre)
        return Place(
            side=lung.side,
            third=_third(lung.box, centre[2]),
            lobe=lobe,
            lobe_why=why,
            segment=None,
            pleura_mm=round(pleura, 1),
            fissure_mm=_fissure(lung, points),
            subpleural=pleura <= SUBPLEURAL_MM,
        )

    def _lung_of(self, points: Points) -> Lung:
        if len(self.lungs) == 1:
            return self.lungs[0]
        inside = [float((self._depths(lung, points) > 0).mean()) for lung in self.lungs]
        if max(inside) > 0 and inside[0] != inside[1]:
            return self.lungs[int(np.argmax(inside))]
        index = np.rint(self.grid.to_index(points)).astype(int)
        index = np.clip(index, 0, np.array(self.grid.shape) - 1)
        return self.lungs[0 if self.right[tuple(index.T)].mean() >= 0.5 else 1]

    def _depths(self, lung: Lung, points: Points) -> Floats:
        index = np.rint(self.grid.to_index(points)).astype(int) - lung.start
        inside = ((index >= 0) & (index < lung.depth.shape)).all(1)
        depths = np.zeros(len(points), np.float32)
        depths[inside] = lung.depth[tuple(index[inside].T)]
        return depths

    def _pleura(self, lung: Lung, points: Points) -> float:
        nearest = float(self._depths(lung, points).min())
        return nearest if nearest > TOUCHING_MM else 0.0


def map_lobes(volume: Volume, lungs: LungMask) -> LobeMap:
    """Find the lobes of a chest CT.

    Args:
        volume: HU, any orthogonal grid.
        lungs: its lungs.

    Raises:
        NoLung: the mask is empty, or holds no air.
    """
    if not lungs.mask.voxels.any():
        raise NoLung("the lung mask is empty: there is no lung in view to tell places in")
    grid = _working_grid(volume, lungs)
    working = resample(volume, grid)
    middle = float(grid.to_index([body_middle(volume), *grid.to_lps([0, 0, 0])[1:]])[2])
    air = aerated_lung(working, resample_mask(lungs.mask, grid).voxels, middle)
    if not air.any():
        raise NoLung("the lung mask holds no air: is the volume in HU, and the mask its own?")
    right = right_of(working, air, middle)
    thick = max(volume.grid.spacing_mm) > THICKEST_MM
    found = []
    for side, part in ((Side.RIGHT, air & right), (Side.LEFT, air & ~right)):
        if np.count_nonzero(part) * grid.voxel_volume_mm3 >= 20_000:
            found.append(_lung(working, part, side, thick=thick, cut=any(lungs.touches_end)))
    if not found:
        raise NoLung("less than 20 ml of aerated lung on either side: nothing to tell places in")
    return LobeMap(grid, right, tuple(found))


def _lung(working: Volume, air: Bools, side: Side, *, thick: bool, cut: bool) -> Lung:
    spacing = working.grid.spacing_mm[0]
    margin = int(np.ceil(8.0 / spacing))
    start, stop = [], []
    for axis in range(3):
        held = np.flatnonzero(air.any(tuple(a for a in range(3) if a != axis)))
        start.append(max(int(held[0]) - margin, 0))
        stop.append(min(int(held[-1]) + 1 + margin, air.shape[axis]))
    cube = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    first = (start[0], start[1], start[2])
    own = np.ascontiguousarray(air[cube])
    part = Volume(working.voxels[cube], working.grid.crop(first, own.shape))
    closed = closed_lung(own, spacing)
    ml = np.count_nonzero(own) * part.grid.voxel_volume_mm3 / 1000
    box = Box.of(own, part.grid, side)
    untold = None
    if thick:
        untold = wording.THICK
    elif cut:
        untold = wording.CUT
    elif ml < LEAST_LUNG_ML or box.size[2] < LEAST_HEIGHT_MM:
        untold = wording.SMALL
    surfaces = _surfaces(part, closed, box) if untold is None else {}
    if surfaces and surfaces["oblique"].seen_share < LEAST_SEEN:
        surfaces, untold = {}, wording.UNSEEN
    return Lung(side, float(ml), box, first, depth_mm(closed, spacing), surfaces, untold)


def _surfaces(part: Volume, closed: Bools, box: Box) -> dict[str, Surface]:
    frame = oblique_frame(box)
    oblique = fit_surface(
        find_sheets(part, closed, frame), frame, usual_shape("oblique", box, frame)
    )
    surfaces = {"oblique": oblique}
    if box.side is Side.RIGHT:
        frame = minor_frame(box)
        index = np.stack(list(np.indices(frame.grid.shape)), -1).reshape(-1, 3)
        ahead, _ = oblique.distance(frame.grid.to_lps(index))
        allowed = (ahead > 4.0).reshape(frame.grid.shape)
        surfaces["minor"] = fit_surface(
            find_sheets(part, closed, frame), frame, usual_shape("minor", box, frame), allowed
        )
    return surfaces


def _working_grid(volume: Volume, lungs: LungMask) -> Grid:
    """The lungs' box on the 1.5 mm grid, 8 mm wider, no farther than the volume."""
    full = axial_grid(volume.grid, WORKING_MM)
    index = full.to_index(lungs.mask.grid.to_lps(_corners(lungs.mask.voxels)))
    margin = 8.0 / WORKING_MM
    low = np.clip(np.floor(index.min(0) - margin), 0, np.array(full.shape) - 1).astype(int)
    high = np.minimum(np.ceil(index.max(0) + margin) + 1, full.shape).astype(int)
    k, j, i = (int(n) for n in np.maximum(high - low, 1))
    return full.crop((int(low[0]), int(low[1]), int(low[2])), (k, j, i))


def _corners(mask: Bools) -> Points:
    ends = []
    for axis in range(3):
        held = np.flatnonzero(mask.any(tuple(a for a in range(3) if a != axis)))
        ends.append((held[0], held[-1]))
    return np.stack(np.meshgrid(*ends, indexing="ij"), -1).reshape(-1, 3).astype(float)


def _points(region: Region, grid: Grid) -> Points:
    index = np.argwhere(region.voxels)
    if len(index) == 0:
        raise ValueError("an empty region lies nowhere: give a mask of at least one voxel")
    step = -(-len(index) // MOST_POINTS)
    return grid.to_lps(index[::step] + np.asarray(region.start))


def _third(box: Box, z: float) -> Third:
    part = (z - box.low[2]) / max(float(box.size[2]), 1.0)
    return Third.LOWER if part < 1 / 3 else Third.MIDDLE if part < 2 / 3 else Third.UPPER


def _lobe(lung: Lung, points: Points, centre: Points) -> tuple[Lobe | None, Text]:
    """The lobe where it is sure, and why or why not."""
    if lung.untold is not None:
        return None, lung.untold
    oblique = _clear(lung.surfaces["oblique"], points, centre)
    if oblique.sure and oblique.mm < 0:
        lobe = Lobe.RIGHT_LOWER if lung.side is Side.RIGHT else Lobe.LEFT_LOWER
        return lobe, wording.told(("oblique", oblique.mm, oblique.seen))
    if not oblique.sure:
        return None, oblique.why_unsure("oblique")
    if lung.side is Side.LEFT:
        return Lobe.LEFT_UPPER, wording.told(("oblique", oblique.mm, oblique.seen))
    minor = _clear(lung.surfaces["minor"], points, centre)
    if not minor.sure:
        return None, minor.why_unsure("minor")
    told = wording.told(("oblique", oblique.mm, oblique.seen), ("minor", minor.mm, minor.seen))
    return (Lobe.RIGHT_UPPER if minor.mm > 0 else Lobe.RIGHT_MIDDLE), told


@dataclass(frozen=True)
class _Clear:
    """How a region lies to one fissure: its middle's signed distance, and what is known."""

    mm: float
    sigma_mm: float
    one_side: bool
    seen: bool

    @property
    def least_mm(self) -> float:
        return max(SURE * self.sigma_mm, LEAST_CLEAR_MM)

    @property
    def sure(self) -> bool:
        return self.one_side and abs(self.mm) >= self.least_mm

    def why_unsure(self, name: str) -> Text:
        if abs(self.mm) >= self.least_mm:
            return wording.astride(name)
        return wording.unsure(name, self.mm, self.least_mm, self.sigma_mm, self.seen)


def _clear(surface: Surface, points: Points, centre: Points) -> _Clear:
    mm, sigma = (float(v[0]) for v in surface.distance(centre[None]))
    sigma = float(np.hypot(sigma, MORE_MM))
    across, _ = surface.distance(points)
    same = float((np.sign(across) == np.sign(mm)).mean())
    return _Clear(mm, sigma, same >= 0.8, surface.seen_near(centre))


def _fissure(lung: Lung, points: Points) -> float | None:
    """To the nearest fissure known well where it is nearest, mm; None where none is."""
    nearest: tuple[float, float] | None = None
    centre = points.mean(0)
    reach = float(np.linalg.norm(points - centre, axis=1).max())
    some = points[:: -(-len(points) // 200)]
    for surface in lung.surfaces.values():
        across, _ = surface.distance(points)
        on, sigma = surface.fine_points
        if len(on) == 0:
            continue
        away = np.linalg.norm(on - centre, axis=1)
        near = away <= away.min() + 2 * reach  # the nearest to any of the region's points
        on, sigma = on[near], sigma[near]
        square = ((some[:, None, :] - on[None]) ** 2).sum(2)
        at = int(square.min(0).argmin())
        mm = float(np.sqrt(square[:, at].min()))
        if mm < 4.0 and (across > 0).any() and (across < 0).any():
            mm = 0.0
        if nearest is None or mm < nearest[0]:
            nearest = (mm, float(sigma[at]))
    if nearest is None or nearest[1] > KNOWN_MM:
        return None
    return round(nearest[0], 1)
