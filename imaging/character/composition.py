"""What a nodule is made of: solid, part-solid, ground-glass, calcified, fat-containing.

Densities are judged on HU smoothed a little against noise, and corrected for what partial
volume takes from a small nodule. The rules, in this order:

* calcified: a benign pattern (diffuse or central) above 200 HU. Siegelman 1980 (AJR 135:1)
  found no cancer above 164 HU on slices of 2 to 5 mm; 200 HU leaves room for contrast agent.
  Eccentric or scattered calcium changes no type; it is told in words.
* fat-containing: a piece between -120 and -40 HU inside soft tissue (Siegelman 1986, Radiology
  160:313), flat enough not to be the slope of an edge, and thick enough to have a core: the rim
  of a nodule passes through these densities too, but in a sheet, and noise only in specks.
* ground-glass: less than 5 % of it reaches -400 HU (Lee 2018, PLoS ONE 13:e0205490, found that
  limit better than -160 HU) and what is denser than -300 HU is smaller than 4 mm; or it is smaller
  than 2 mm.
* part-solid: a solid core above -300 HU, and a quarter or more of it ground-glass that lies
  farther from the core than a blurred edge reaches.
* else solid.

The -400 HU and the quarter were chosen on the texture ratings of LIDC-IDRI training patients
(``benchmarks/character.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import erf, exp, pi, sqrt
from typing import Literal

import numpy as np

from imaging.character.fields import Bools, Floats, largest_piece, pieces, signed_distance
from imaging.character.patch import NOISE_SIGMA_MM, Patch
from imaging.nodule import Calcification, NoduleType

GLASS_TOP_HU = -400.0
SOLID_HU = -300.0
GLASS_HU = -700.0
"""Below is lung, or a faint edge."""
GLASS_SHARE = 0.25
EDGE_MM = 2.0
"""Closer to the solid part than this, half density may be its blurred edge."""
SLICE_STEP_MM = 1.25
"""Thick slices count as so far apart here: the next slice may be partial volume, the second not."""
LEAST_CORE_MM, SURE_CORE_MM = 2.0, 4.0
"""A smaller solid part is none; a larger one counts however little of the nodule it is."""
CALCIUM_HU = 200.0
LEAST_CALCIUM_MM = 1.5
DIFFUSE_SHARE = 0.5
"""Of the solid part's inside."""
CENTRAL = 0.35
"""Calcium is central where its middle is nearer to the nodule's than this part of its radius."""
LEAST_CENTRAL_SHARE = 0.1
FAT_HU = (-120.0, -40.0)
FAT_SLOPE_HU_MM = 70.0
LEAST_FAT_MM = 2.5
FAT_DEPTH_MM = 1.5
"""From the nodule's edge."""
FAT_CORE_MM = 1.5
"""From the fat's own edge: what has no voxel so deep is partial volume or noise."""
PSF_MM = 0.5
"""Sigma of a usual kernel's blur in the plane."""
RECOVERS = 0.4
"""Less of a tiny nodule's contrast than this can't be made up for."""


@dataclass(frozen=True, eq=False)
class Composition:
    """What was found.

    Attributes:
        type: by the rules above.
        solid: voxels of the solid part within the mask.
        top_hu: 95th percentile, corrected for partial volume, HU.
        glass_share: ground-glass as a part of ground-glass and solid, 0 to 1.
        solid_mm: diameter of the ball of the volume of the solid part's largest piece.
        calcification: where there is any.
        fat_mm3: volume of fat.
    """

    type: NoduleType
    solid: Bools
    top_hu: float
    glass_share: float
    solid_mm: float
    calcification: Calcification | None
    fat_mm3: float


def compose(patch: Patch) -> Composition:
    """Judge what the nodule in ``patch`` is made of."""
    hu, voxel = patch.calm, patch.voxel_mm3
    top = float(np.percentile(hu[patch.mask], 95))
    lung = patch.lung_hu
    part = _recovered_part(patch, top)
    top_hu = lung + (top - lung) / part
    # A small solid nodule's blurred voxels are judged by what they would be unblurred.
    level = lung + (SOLID_HU - lung) * part
    solid = patch.mask & (hu > level)
    solid_mm3 = float(np.count_nonzero(solid)) * voxel
    piece_mm = _ball_mm(float(np.count_nonzero(largest_piece(solid))) * voxel)
    glass_mm3 = float(np.count_nonzero(_glass(patch, solid))) * voxel
    share = glass_mm3 / max(glass_mm3 + solid_mm3, voxel)
    calcification = _calcification(patch, solid)
    fat_mm3 = _fat(patch, solid)
    if calcification is not None and calcification.pattern in ("diffuse", "central"):
        kind = NoduleType.CALCIFIED
    elif fat_mm3 > 0:
        kind = NoduleType.FAT
    elif top_hu < GLASS_TOP_HU and piece_mm < SURE_CORE_MM:
        kind = NoduleType.GROUND_GLASS
    elif share >= GLASS_SHARE:
        kind = NoduleType.PART_SOLID if piece_mm >= LEAST_CORE_MM else NoduleType.GROUND_GLASS
    else:
        kind = NoduleType.SOLID
    return Composition(kind, solid, top_hu, share, piece_mm, calcification, fat_mm3)


def _ball_mm(mm3: float) -> float:
    return float((6 / pi * mm3) ** (1 / 3))


def _recovered_part(patch: Patch, top: float) -> float:
    """How much of its contrast the middle of a ball of this size keeps, 0.4 to 1.

    The closed form of a ball under a Gaussian blur; the ball's size is that of the voxels above
    half of the contrast, so that a mask drawn too large changes nothing.
    """
    above = patch.mask & (patch.calm > (top + patch.lung_hu) / 2)
    radius = _ball_mm(float(np.count_nonzero(above)) * patch.voxel_mm3) / 2
    blurs = [sqrt(step**2 / 12 + PSF_MM**2 + NOISE_SIGMA_MM**2) for step in patch.spacing]
    u = radius / float(np.prod(blurs)) ** (1 / 3)
    kept = erf(u / sqrt(2)) - sqrt(2 / pi) * u * exp(-u * u / 2)
    return float(max(kept, RECOVERS))


def _glass(patch: Patch, solid: Bools) -> Bools:
    """Ground-glass beyond the reach of the solid part's blurred edge."""
    glass: Bools = patch.mask & ~solid & (patch.calm > GLASS_HU)
    if not solid.any():
        return glass
    k, j, i = patch.spacing
    return glass & (signed_distance(solid, (min(k, SLICE_STEP_MM), j, i)) > EDGE_MM)


def _calcification(patch: Patch, solid: Bools) -> Calcification | None:
    inner = _inside(patch, solid)
    # A rib or a vessel full of contrast agent touches the edge only.
    dense = inner & (patch.calm > CALCIUM_HU)
    mm3 = float(np.count_nonzero(dense)) * patch.voxel_mm3
    if _ball_mm(mm3) < LEAST_CALCIUM_MM or np.count_nonzero(dense) < 4:
        return None
    share = float(np.count_nonzero(dense)) / max(float(np.count_nonzero(inner)), 1.0)
    steps = np.array(patch.spacing)
    away = (np.argwhere(dense).mean(0) - np.argwhere(solid).mean(0)) * steps
    radius = _ball_mm(float(np.count_nonzero(solid)) * patch.voxel_mm3) / 2
    central = float(np.linalg.norm(away)) < CENTRAL * radius
    _, sizes = pieces(dense)
    one = float(sizes[0]) >= 0.8 * float(sizes.sum())
    pattern: Literal["diffuse", "central", "eccentric"]
    if share >= DIFFUSE_SHARE:
        pattern = "diffuse"
    elif central and one and share >= LEAST_CENTRAL_SHARE:
        pattern = "central"
    else:
        pattern = "eccentric"
    return Calcification(pattern=pattern, volume_mm3=round(mm3, 1), share=round(share, 3))


def _inside(patch: Patch, solid: Bools) -> Bools:
    """The solid part without its blurred edge, or all of it where it is too small."""
    inner: Bools = signed_distance(solid, patch.spacing) < -1.0
    return inner if np.count_nonzero(inner) >= 4 else solid


def _fat(patch: Patch, solid: Bools) -> float:
    """Volume of fat within soft tissue, mm3; 0 where there is too little to be sure."""
    low, high = FAT_HU
    hu = patch.calm
    if not solid.any():
        return 0.0
    deep = signed_distance(solid | (patch.mask & (hu > low)), patch.spacing) < -FAT_DEPTH_MM
    flat = _slope(hu, patch.spacing) < FAT_SLOPE_HU_MM
    found = largest_piece(deep & flat & (hu > low) & (hu < high))
    mm3 = float(np.count_nonzero(found)) * patch.voxel_mm3
    if np.count_nonzero(found) < 8 or _ball_mm(mm3) < LEAST_FAT_MM:
        return 0.0
    return mm3 if (signed_distance(found, patch.spacing) <= -FAT_CORE_MM).any() else 0.0


def _slope(hu: Floats, spacing: tuple[float, float, float]) -> Floats:
    """Length of the gradient, HU/mm."""
    parts = np.gradient(hu, *spacing)
    return np.asarray(np.sqrt(sum(part * part for part in parts)), np.float32)
