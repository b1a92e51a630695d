"""How large a nodule is in space: its volume by partial volume, with a 95 % interval; its mass.

A voxel on the border counts by its density: (HU - lung) / (nodule - lung), as in Kuhnigk 2006
(IEEE Trans Med Imaging 25:417). The nodule's own level is that of its rim, so that ground-glass
around a solid core counts in full and a calcified middle does not stretch the border. Where
other tissue touches (pleura, vessels), density tells no border and the mask's own is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imaging.character.composition import GLASS_HU, Composition
from imaging.character.fields import Bools, Floats, signed_distance
from imaging.character.patch import Patch
from imaging.nodule import Interval, NoduleType

REACH_MM = 1.2
"""How far beyond its mask a nodule may reach."""
BAND_MM = 1.6
"""Half width of the border in which voxels count by density; a blurred edge fits in."""
SLICE_STEP_MM = 1.25
RIM_MM = (1.0, 3.0)
FOREIGN_SHARE = 0.75
"""Of the contrast: what is denser beside the mask is other tissue and no soft edge."""
LEVEL_SHARE = 0.08
"""Standard uncertainty of the nodule's level, as a part of the contrast."""
PLACE_PART = 0.12
"""Standard uncertainty of where the border is, as a part of a voxel's edge."""
TOUCHING_MM = 0.5
"""Standard uncertainty of a border that density does not show."""
FEW_VOXELS = 0.9
"""What a nodule of few voxels adds: this times the root of value x voxel."""
WIDEST_LOG = 1.5
LEAST_CONTRAST_HU = 100.0


@dataclass(frozen=True, eq=False)
class Extent:
    """Volume, and what shape is judged on.

    Attributes:
        volume_mm3: with its 95 % interval.
        level_hu: the nodule's own density at its rim.
        body: voxels at least half nodule, by density.
        touching: share of the border where other tissue touches, 0 to 1.
    """

    volume_mm3: Interval
    level_hu: float
    body: Bools
    touching: float


def extend(patch: Patch, composition: Composition) -> Extent:
    """Measure the volume of the nodule in ``patch``.

    The interval joins, as independent: the nodule's level (8 % of the contrast), the place of
    the border (0.12 of a voxel's edge over the whole surface), 0.5 mm over the part of the surface
    where other tissue touches, and the small number of voxels. Its parts were set on simulated
    balls of known volume so that 95 of 100 hold the truth. It is about this scan and this mask:
    a second scan of the same patient differs by more (QIBA's small nodule profile).
    """
    lung = patch.lung_hu
    zone = patch.distance <= REACH_MM
    level = _level(patch, composition, zone)
    half = (level + lung) / 2
    foreign = (patch.distance > REACH_MM) & (patch.calm > lung + FOREIGN_SHARE * (level - lung))
    k, j, i = patch.spacing
    close = (min(k, SLICE_STEP_MM), j, i)
    near = signed_distance(foreign, close) <= BAND_MM if foreign.any() else np.zeros_like(zone)
    body = np.where(near, patch.mask, zone & (patch.calm > half))
    if not body.any():
        body = patch.mask
    depth = signed_distance(body, close)
    part = np.clip((patch.hu - lung) / (level - lung), -0.5, 1.5)
    band = (np.abs(depth) <= BAND_MM) & ~near
    filled = np.where(band, part, body.astype(np.float32))
    value = max(float(filled.sum()), 1.0) * patch.voxel_mm3
    edge = float(np.abs(part[band & body]).sum()) * patch.voxel_mm3
    area = _area(body, patch.spacing)
    border = np.abs(depth) <= min(patch.spacing)
    touching = float(np.count_nonzero(border & near)) / max(float(np.count_nonzero(border)), 1.0)
    spread = np.array([
        LEVEL_SHARE * edge,
        PLACE_PART * area * patch.voxel_mm3 ** (1 / 3),
        TOUCHING_MM * touching * area,
        FEW_VOXELS * np.sqrt(value * patch.voxel_mm3),
    ])  # fmt: skip
    log = min(1.96 * float(np.linalg.norm(spread)) / value, WIDEST_LOG)
    interval = Interval(
        value=round(value, 1),
        low=round(value * float(np.exp(-log)), 1),
        high=round(value * float(np.exp(log)), 1),
    )
    return Extent(interval, level, body, touching)


def mass_mg(extent: Extent, mean_hu: float) -> float:
    """Mass: volume times density, taking -1000 HU for 0 and 0 HU for 1 mg/mm3 (de Hoop 2010)."""
    return max(extent.volume_mm3.value * (mean_hu + 1000) / 1000, 0.0)


def _level(patch: Patch, composition: Composition, zone: Bools) -> float:
    """The nodule's density inside its rim, HU."""
    hu, lung = patch.calm, patch.lung_hu
    if composition.type in (NoduleType.GROUND_GLASS, NoduleType.PART_SOLID):
        glass = patch.mask & ~composition.solid & (hu > GLASS_HU - 50)
        inner = glass & (patch.distance < -1.0)
        start = float(np.median(hu[inner if np.count_nonzero(inner) >= 8 else patch.mask]))
    else:
        start = max(composition.top_hu, lung + LEAST_CONTRAST_HU)
    start = max(start, lung + LEAST_CONTRAST_HU)
    body = zone & (hu > (start + lung) / 2)
    depth = -signed_distance(body, patch.spacing)
    rim = body & (depth >= RIM_MM[0]) & (depth <= RIM_MM[1]) & patch.mask
    if composition.type is NoduleType.PART_SOLID:
        rim &= ~composition.solid
    if np.count_nonzero(rim) < 12:
        return start
    # The rim's upper half: its lower one still holds some of the edge.
    return max(float(np.percentile(patch.hu[rim], 60)), lung + LEAST_CONTRAST_HU)


def _area(body: Bools, spacing: tuple[float, float, float]) -> float:
    """Surface, mm2: voxel faces, of which a smooth surface shows two thirds."""
    faces = 0.0
    voxel = float(np.prod(spacing))
    wide: Floats = np.pad(body, 1).astype(np.float32)
    for axis, step in enumerate(spacing):
        faces += float(np.abs(np.diff(wide, axis=axis)).sum()) * voxel / step
    return faces * 2 / 3
