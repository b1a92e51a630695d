"""A nodule's mask on a CT to everything that is said of the nodule but its hints."""

from __future__ import annotations

import numpy as np

from imaging.character import wording
from imaging.character.composition import compose
from imaging.character.density import density_of
from imaging.character.diameters import axial, core, largest
from imaging.character.extent import extend, mass_mg
from imaging.character.margin import border
from imaging.character.patch import Patch, cut
from imaging.nodule import Nodule, NoduleType, Place
from imaging.volume import Region, Volume


def characterise(volume: Volume, region: Region, place: Place) -> Nodule:
    """Describe one lung nodule.

    Diameters and density are those of the mask as it is drawn; volume, type and margin go by
    density as well, so that a mask drawn a little too large does not change them.

    Args:
        volume: CT in HU, any spacing.
        region: the nodule's mask on the volume's grid.
        place: where it lies, from ``imaging.lobes``.

    Returns:
        Everything but ``hints``.

    Raises:
        NotCharacterised: the mask is empty, on another grid, or on interpolated slices only.
    """
    patch = cut(volume, region)
    coarse = patch.coarser()
    composition = compose(coarse)
    extent = extend(coarse, composition)
    drawn = axial(patch.mask, patch.spacing, _seen(volume, region, patch))
    density = density_of(patch, coarse)
    edge = border(coarse, extent)
    part_solid = composition.type is NoduleType.PART_SOLID
    mean = float(coarse.hu[extent.body].mean(dtype=np.float64))
    return Nodule(
        type=composition.type,
        type_why=wording.type_why(composition),
        axial=drawn,
        largest=largest(patch.mask, patch.spacing, drawn),
        solid_core=core(composition.solid, coarse.spacing) if part_solid else None,
        calcification=composition.calcification,
        volume_mm3=extent.volume_mm3,
        mass_mg=round(mass_mg(extent, mean), 1),
        density=density,
        sphericity=round(edge.sphericity, 3),
        margin=edge.margin,
        margin_why=wording.margin_why(edge),
        place=place,
    )


def _seen(volume: Volume, region: Region, patch: Patch) -> np.ndarray | None:
    """Which slices of the patch have an image."""
    if not volume.sources:
        return None
    first = region.start[0] + int(np.flatnonzero(region.voxels.any((1, 2)))[0])
    offset = first - int(np.flatnonzero(patch.mask.any((1, 2)))[0])
    slices = np.arange(patch.mask.shape[0]) + offset
    return np.array([
        0 <= k < len(volume.sources) and volume.sources[k] is not None for k in slices
    ])  # fmt: skip
