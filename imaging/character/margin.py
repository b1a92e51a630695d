"""How a nodule's border runs: smooth, lobulated, spiculated or ill-defined.

Three measurements decide. Sphericity of the nodule's body (what is at least half as dense as
its rim, so that a mask drawn too large or too smooth matters little); strands: separate bright
pieces in the shell 2.5 to 4 mm outside the body without its strands; and the width of the edge:
contrast over the steepness at the border, in the plane. A usual kernel blurs a sharp edge to 2 to
3.5 mm.

The limits of the first two were chosen on the ratings of LIDC-IDRI training patients
(``benchmarks/character.py`` says how well they agree). Vessels count as strands. Readers rarely
agree with all but smooth: on held-out patients spiculated was said of 23 nodules, among them all 5
that readers rated so; of 8 rated lobulated 1 was called so, of 8 rated ill-defined none. ``Margin``
here is what was measured, to be looked at, and never a sign by itself; the texts say so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imaging.character.extent import Extent
from imaging.character.fields import largest_piece, opened, pieces, signed_distance
from imaging.character.patch import Patch
from imaging.character.surface import shape_of, sphericity
from imaging.nodule import Margin

SPICULATED_BELOW = 0.94
LEAST_STRANDS = 5
LOBULATED_BELOW = 0.86
ILL_DEFINED_MM = 4.5
SHELL_MM = (2.5, 4.0)
STRAND_RADIUS_MM = 1.6
"""Half of the thickest strand; thicker ones are the body's own."""
STRAND_MM3 = 1.0
STRAND_SHARE = (0.25, 0.9)
"""Of the contrast: less is noise, more is another solid structure."""
STRAND_HU = 100.0
TOUCHED = 0.5
"""Where other tissue covers more of the border than this, its width is not judged."""


@dataclass(frozen=True)
class Border:
    """The measurements and what they decide.

    ``edge_mm`` is None where the border is mostly against other tissue.
    """

    margin: Margin
    sphericity: float
    strands: int
    edge_mm: float | None


def border(patch: Patch, extent: Extent) -> Border:
    """Judge the border of the nodule in ``patch``."""
    body = largest_piece(extent.body)
    round_ = sphericity(shape_of(body, patch.spacing))
    distance = signed_distance(body, patch.spacing)
    core = opened(body, patch.spacing, STRAND_RADIUS_MM)
    beyond = signed_distance(core, patch.spacing) if core.any() else distance
    strands = _strands(patch, extent, beyond)
    edge = None if extent.touching > TOUCHED else _edge_mm(patch, extent, distance)
    if round_ < SPICULATED_BELOW and strands >= LEAST_STRANDS:
        margin = Margin.SPICULATED
    elif edge is not None and edge > ILL_DEFINED_MM:
        margin = Margin.ILL_DEFINED
    elif round_ < LOBULATED_BELOW:
        margin = Margin.LOBULATED
    else:
        margin = Margin.SMOOTH
    return Border(margin, round_, strands, edge)


def _strands(patch: Patch, extent: Extent, distance: np.ndarray) -> int:
    near, far = SHELL_MM
    contrast = extent.level_hu - patch.lung_hu
    least = patch.lung_hu + max(STRAND_SHARE[0] * contrast, STRAND_HU)
    most = patch.lung_hu + STRAND_SHARE[1] * contrast
    bright = (distance > near) & (distance <= far) & (patch.calm > least) & (patch.calm < most)
    _, sizes = pieces(bright)
    return int(np.count_nonzero(sizes * patch.voxel_mm3 > STRAND_MM3))


def _edge_mm(patch: Patch, extent: Extent, distance: np.ndarray) -> float:
    """Width of the edge in the slices, mm: contrast by the upper half of the slopes."""
    rows = np.gradient(patch.calm, patch.spacing[1], axis=1)
    columns = np.gradient(patch.calm, patch.spacing[2], axis=2)
    middle = distance[:, 1:-1, 1:-1]
    at = np.abs(middle) <= max(patch.spacing[1], patch.spacing[2])
    slope = np.hypot(rows, columns)[:, 1:-1, 1:-1][at]
    if not slope.size:
        return 0.0
    contrast = extent.level_hu - patch.lung_hu
    return float(contrast / max(float(np.percentile(slope, 60)), 1.0))
