"""A lesion of the pancreas: place, axes, density, what lies upstream, contact with vessels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from imaging.character.fields import signed_distance
from imaging.errors import NotMeasured
from imaging.language import Text
from imaging.pancreas import wording
from imaging.pancreas.axes import three_axes
from imaging.pancreas.contact import touch
from imaging.pancreas.gland import TIP_MM, Anatomy
from imaging.pancreas.parts import PARTS
from imaging.pancreas.shape import union
from imaging.pancreatic import (
    Attenuation,
    Contact,
    PancreaticLesion,
    Part,
    Phase,
    PhaseEstimate,
    UnnamedContact,
    Vessel,
)
from imaging.pancreatic_names import VESSELS
from imaging.volume import Region, Volume

ALIKE_HU: Final = 10.0
"""Isoattenuating cancers differed by less (Prokesch 2002, Radiology 224:764)."""
FLUID_HU: Final = 20.0
"""Up to here a lesion's inside measures like fluid."""
CORE_MM: Final = 2.0
BESIDE_MM: Final = 4.0
"""So near to a lesion the gland is not judged: the mask's edge is uncertain."""
CUT_OFF_MM: Final = 15.0
"""A duct that reaches a lesion is seen at least this near to it."""
LEAST_DUCT_MM: Final = 3.0
ATROPHY_MM: Final = 7.0
"""Tissue (thickness less the duct); severe atrophy in chronic pancreatitis by the CPDPC reporting
standards (Tirkes 2019, Radiology 290:207). No standard of its own exists for cancer."""
SHARE: Final = 0.1
"""A part that holds less of a lesion is not named."""
APART_MM: Final = 5.0


@dataclass(frozen=True, eq=False)
class Unnamed:
    """A mask that holds several vessels, on the volume's grid.

    Attributes:
        label: what the model calls them.
        region: the mask.
        holds: which of the vessels that decide on resection are among them.
    """

    label: Text
    region: Region
    holds: frozenset[Vessel]


@dataclass(frozen=True, eq=False)
class Vessels:
    """Vessels that models segmented, on the volume's grid.

    Attributes:
        named: each in a mask of its own.
        unnamed: several in one.
    """

    named: Mapping[Vessel, Region] = field(default_factory=dict)
    unnamed: Sequence[Unnamed] = ()


def describe_lesion(
    volume: Volume,
    region: Region,
    anatomy: Anatomy | None,
    *,
    phase: PhaseEstimate | None,
    vessels: Vessels | None = None,
) -> PancreaticLesion:
    """Describe one lesion.

    Args:
        volume: CT in HU.
        region: the lesion's mask on the volume's grid.
        anatomy: the gland, made with this lesion among ``Around.lesions``; None: no gland.
        phase: of the contrast agent.
        vessels: what was segmented.

    Raises:
        NotMeasured: the mask is empty or lies on another grid.
    """
    if not region.within.same_as(volume.grid):
        raise NotMeasured("the mask lies on another grid than the scan")
    tight = union([region])
    values = volume.voxels[tight.box]
    mean = float(values[tight.voxels].mean(dtype=np.float64))
    core = float(np.median(values[_core(tight)]))
    told: list[Text] = []
    known = vessels or Vessels()
    found = PancreaticLesion(
        part=None,
        part_why=wording.no_gland(),
        axes_mm=three_axes(tight),
        volume_mm3=round(tight.mask.volume_mm3, 1),
        mean_hu=round(mean, 1),
        phase=phase,
        attenuation=Attenuation.CYSTIC if core <= FLUID_HU else None,
        contacts=tuple(_contact(tight, vessel, known) for vessel in Vessel),
        unnamed_contacts=tuple(one for u in known.unnamed if (one := _unnamed(tight, u))),
    )
    if anatomy is None:
        return found
    delta = mean - anatomy.density.median_hu
    attenuation = _attenuation(core, delta)
    told.append(
        wording.attenuation(attenuation, delta, core, phase.phase if phase else Phase.UNKNOWN)
    )
    distance = _apart(tight, anatomy)
    if distance > APART_MM:
        told.append(wording.far_from_gland(distance))
    part, why = _part(tight, anatomy)
    upstream = _upstream(tight, anatomy)
    told.append(
        wording.upstream(
            upstream.duct_mm, upstream.thickness_mm, upstream.parenchyma_mm, ATROPHY_MM
        )
    )
    return found.model_copy(
        update={
            "part": part,
            "part_why": why,
            "parenchyma_hu": anatomy.density.median_hu,
            "delta_hu": round(delta, 1),
            "attenuation": attenuation,
            "duct_upstream_mm": upstream.duct_mm,
            "duct_cut_off": upstream.cut_off,
            "thickness_upstream_mm": upstream.thickness_mm,
            "atrophy_upstream": upstream.atrophy,
            "told": tuple(told),
        }
    )


@dataclass(frozen=True)
class _Upstream:
    """What lies towards the tail of a lesion; None: not measured."""

    duct_mm: float | None = None
    cut_off: bool | None = None
    thickness_mm: float | None = None
    parenchyma_mm: float | None = None
    atrophy: bool | None = None


def _upstream(lesion: Region, anatomy: Anatomy) -> _Upstream:
    low, high = anatomy.along_of(lesion)
    start, end = high + BESIDE_MM, anatomy.line.length_mm
    duct = anatomy.duct
    widest = duct.widest(start, end)
    width = None if widest is None else round(widest[0], 1)
    along = anatomy.line.along[anatomy.thickness.index]
    use = (along >= start) & (along <= end - TIP_MM) & (anatomy.thickness.mm > 0)
    if not use.any():
        return _Upstream(duct_mm=width)
    thick = anatomy.thickness.mm[use]
    tissue = thick - np.array([duct.width_at(float(at)) or 0.0 for at in along[use]])
    rest = float(np.median(tissue))
    reaches = duct.widest(high - BESIDE_MM, high + CUT_OFF_MM)
    goes_on = duct.widest(low - CUT_OFF_MM, low - BESIDE_MM)
    cut_off = None
    if reaches is not None and reaches[0] >= LEAST_DUCT_MM:
        # A duct as wide on the other side is displaced or passes by, not cut off.
        cut_off = goes_on is None or goes_on[0] < 0.7 * reaches[0]
    return _Upstream(
        duct_mm=width,
        cut_off=cut_off,
        thickness_mm=round(float(np.median(thick)), 1),
        parenchyma_mm=round(rest, 1),
        atrophy=rest < ATROPHY_MM,
    )


def _part(lesion: Region, anatomy: Anatomy) -> tuple[Part, Text]:
    counts = np.bincount(anatomy.parts.of(lesion.points_mm), minlength=len(PARTS))
    shares = counts / counts.sum()
    order = np.argsort(-shares, kind="stable")
    named = [(PARTS[int(n)], float(shares[n])) for n in order if shares[n] >= SHARE]
    return named[0][0], wording.lesion_part(named, anatomy.parts.why)


def _attenuation(core: float, delta: float) -> Attenuation:
    if core <= FLUID_HU:
        return Attenuation.CYSTIC
    if delta < -ALIKE_HU:
        return Attenuation.HYPO
    return Attenuation.HYPER if delta > ALIKE_HU else Attenuation.ISO


def _core(lesion: Region) -> np.ndarray:
    """The lesion without its blurred edge; the whole of it where nothing else is left."""
    framed = np.pad(lesion.voxels, 1)
    spacing = lesion.within.spacing_mm
    depth = -signed_distance(framed, (1e4, *spacing[1:]))[1:-1, 1:-1, 1:-1]
    core = depth > CORE_MM
    return core if np.count_nonzero(core) >= 8 else lesion.voxels


def _apart(lesion: Region, anatomy: Anatomy) -> float:
    """Distance of a lesion's middle from the gland's mask, mm; 0 within it."""
    gland = anatomy.region.points_mm
    some = gland[:: max(1, len(gland) // 20_000)]
    middle = np.array(lesion.centre_mm)
    near = float(np.linalg.norm(some - middle, axis=1).min())
    radius = float((3 * lesion.mask.volume_mm3 / (4 * np.pi)) ** (1 / 3))
    return max(0.0, near - radius)


def _contact(lesion: Region, vessel: Vessel, known: Vessels) -> Contact:
    mask = known.named.get(vessel)
    name = VESSELS[vessel]
    if mask is None:
        among = next((u.label for u in known.unnamed if vessel in u.holds), None)
        return Contact(vessel=vessel, degrees=None, why=wording.no_contact_known(vessel, among))
    try:
        found = touch(lesion, mask)
    except NotMeasured:
        return Contact(vessel=vessel, degrees=None, why=wording.contact_not_measured(name))
    return Contact(
        vessel=vessel,
        degrees=found.degrees,
        length_mm=found.length_mm,
        why=wording.contact(name, found.degrees, found.length_mm),
    )


def _unnamed(lesion: Region, vessels: Unnamed) -> UnnamedContact | None:
    """Contact with vessels that one mask holds; None where it has no course to measure along."""
    try:
        found = touch(lesion, vessels.region)
    except NotMeasured:
        return None
    return UnnamedContact(
        label=vessels.label,
        degrees=found.degrees,
        length_mm=found.length_mm,
        why=wording.contact(vessels.label, found.degrees, found.length_mm),
    )
