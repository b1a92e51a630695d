"""A simulated abdominal CT whose pancreas, duct, vessels and lesion are known.

To test what measures a pancreas and tells a phase, where no patient's images may be used or none
has the truth: organs as ``phantom_abdomen_anatomy`` draws them, with the densities of a phase
and noise as filtered back-projection leaves it; ``phantom_series.write_series`` writes it.
What it is not: a measure of any model's accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from imaging import phantom_abdomen_anatomy as anatomy
from imaging.geometry import Grid, Point
from imaging.pancreatic import Part, Phase
from imaging.phantom_noise import noise_block
from imaging.volume import Region, Volume

NOISE_HU = 12.0
PLACE_OF_PART = {
    Part.HEAD: (-34.0, -8.0, 100.0),
    Part.UNCINATE: (-24.0, 1.0, 88.0),
    Part.NECK: (-10.0, -25.0, 114.0),
    Part.BODY: (16.0, -28.5, 123.0),
    Part.TAIL: (55.0, -5.0, 133.5),
}
"""Where a lesion of a part is planted: x, y, u mm, see the anatomy."""
_UPSTREAM_FROM = {Part.HEAD: 0.06, Part.UNCINATE: 0.0, Part.NECK: 0.3, Part.BODY: 0.46,
                  Part.TAIL: 0.75}  # fmt: skip
"""How far along the centre line, as a share of its length, the duct is blocked."""


@dataclass(frozen=True)
class PlantedLesion:
    """A lesion whose truth is known.

    Args:
        centre_lps_mm: LPS mm.
        axes_mm: diameters along x, y, z, mm.
        part: where it was planted.
        delta_hu: its density less the parenchyma's, before noise.
    """

    centre_lps_mm: Point
    axes_mm: tuple[float, float, float]
    part: Part
    delta_hu: float


@dataclass(frozen=True, eq=False)
class AbdomenPhantom:
    """A simulated abdominal CT and its truth.

    Attributes:
        seed: of the noise and the gland's lobules.
        phase: whose densities it has.
        volume: HU (k, j, i), int16, slices from the feet up.
        masks: (k, j, i) by name: pancreas (with duct and lesion), duct, lesion, liver, spleen,
            kidneys, gallbladder, stomach, duodenum, spine, lung, heart, aorta, sma, coeliac
            (with the splenic artery), cha, portal (with SMV and splenic vein), cava_low, cava_high.
        line_lps_mm: (n, 3), the gland's centre line from the head to the tail.
        radii_mm: (n,), half the gland's thickness at those points.
        duct_mm: duct width towards the head, and towards the tail of the lesion, mm.
        lesion: what was planted.
    """

    seed: int
    phase: Phase
    volume: Volume
    masks: dict[str, NDArray[np.bool_]]
    line_lps_mm: NDArray[np.float64]
    radii_mm: NDArray[np.float64]
    duct_mm: tuple[float, float]
    lesion: PlantedLesion | None

    def region(self, name: str) -> Region:
        """One of the masks, cut to the box that holds it.

        Raises:
            KeyError: no such organ, or none of it in this scan.
        """
        mask = self.masks.get(name)
        if mask is None or not mask.any():
            raise KeyError(f"no {name} in this phantom; it has {', '.join(sorted(self.masks))}")
        where = [np.flatnonzero(mask.any(axis=tuple(set(range(3)) - {n}))) for n in range(3)]
        k, j, i = (int(at[0]) for at in where)
        box = tuple(slice(int(at[0]), int(at[-1]) + 1) for at in where)
        return Region(mask[box], (k, j, i), self.volume.grid)


def make_abdomen(
    seed: int = 0,
    *,
    phase: Phase = Phase.PORTAL,
    slice_mm: float = 2.5,
    pixels: int = 256,
    width_mm: float = 350.0,
    low_mm: float = 0.0,
    high_mm: float = anatomy.HEIGHT,
    lesion: Part | None = None,
    lesion_mm: float = 22.0,
    lesion_hu: float | None = None,
    duct_mm: float = 2.0,
    upstream_mm: float | None = None,
    atrophy: float = 1.0,
    noise_hu: float = NOISE_HU,
) -> AbdomenPhantom:
    """Simulate an abdominal CT.

    Args:
        seed: the same seed gives the same voxels.
        phase: plain, arterial or portal venous.
        slice_mm: slice thickness and distance.
        pixels: rows and columns.
        width_mm: field of view.
        low_mm: where the scan begins, mm above the fourth lumbar vertebra; may be negative.
        high_mm: where it ends; the gland lies between 72 and 152.
        lesion: the part a lesion is planted in; None: a healthy gland.
        lesion_mm: its diameter across; it is 1.2 times as long along the body.
        lesion_hu: its density; None: hypodense as in that phase.
        duct_mm: width of the duct where nothing blocks it.
        upstream_mm: width on the tail side of the lesion; None: 7 mm with a lesion, else as
            ``duct_mm``.
        atrophy: the gland's thickness on the tail side of the lesion, 1: unchanged.
        noise_hu: standard deviation.

    Raises:
        ValueError: the phase is unknown, or fewer than two slices are asked for.
    """
    if phase not in anatomy.DENSITIES:
        raise ValueError(f"no densities of a phase {phase.value!r}; choose another")
    count = round((high_mm - low_mm) / slice_mm)
    if count < 2:
        raise ValueError(f"{low_mm} to {high_mm} mm holds {count} slices of {slice_mm} mm")
    rng = np.random.default_rng(seed)
    pixel = width_mm / pixels
    first = (-(pixels - 1) / 2 * pixel, -(pixels - 1) / 2 * pixel, low_mm - 120.0)
    grid = Grid.from_dicom(
        (count, pixels, pixels), first, (1, 0, 0, 0, 1, 0), (pixel, pixel), (0, 0, slice_mm)
    )
    hu = anatomy.DENSITIES[phase]
    if lesion_hu is not None:
        hu = replace(hu, lesion=lesion_hu)
    if upstream_mm is None:
        upstream_mm = duct_mm if lesion is None else 7.0
    blocked = _UPSTREAM_FROM[lesion] if lesion is not None else 0.0
    gland, duct = _gland(blocked, duct_mm, upstream_mm, atrophy if lesion is not None else 1.0)
    planted = None
    if lesion is not None:
        half = lesion_mm / 2
        planted = anatomy.Lesion(PLACE_OF_PART[lesion], (half, half, 1.2 * half))
    one, two, three = (float(v) for v in rng.uniform(0, 6, 3))
    patient = anatomy.Patient(gland, duct, planted, hu, (0.9, one, two, three))
    voxels, masks = _draw(grid, low_mm, slice_mm, patient)
    block = noise_block(pixels, rng)
    for k in range(count):
        voxels[k] += block[k % len(block)] * np.float32(noise_hu)
    final = np.rint(np.clip(voxels, -1024, 3071)).astype(np.int16)
    shift = np.array([0, 0, -120.0])
    truth = None
    if planted is not None and lesion is not None:
        x, y, z = (float(v) for v in planted.centre + shift)
        axes = (lesion_mm, lesion_mm, 1.2 * lesion_mm)
        truth = PlantedLesion((x, y, z), axes, lesion, hu.lesion - hu.pancreas)
    return AbdomenPhantom(
        seed=seed,
        phase=phase,
        volume=Volume(final, grid),
        masks=masks,
        line_lps_mm=gland[:, :3] + shift,
        radii_mm=gland[:, 3],
        duct_mm=(duct_mm, upstream_mm),
        lesion=truth,
    )


def _gland(
    blocked: float, duct_mm: float, upstream_mm: float, atrophy: float
) -> tuple[anatomy.Line, anatomy.Line]:
    """The gland's line at even steps, and its duct's; both change where the duct is blocked."""
    coarse = anatomy.GLAND
    along = np.r_[0, np.cumsum(np.linalg.norm(np.diff(coarse[:, :3], axis=0), axis=1))]
    steps = np.linspace(0, along[-1], 25)
    fine = np.stack([np.interp(steps, along, coarse[:, n]) for n in range(4)], axis=1)
    share = steps / steps[-1]
    beyond = share > blocked
    gland = fine.copy()
    gland[beyond & (blocked > 0), 3] *= atrophy
    radii = np.where(beyond, upstream_mm, duct_mm) / 2 * (1.1 - 0.2 * share)
    duct = np.c_[fine[:, :3], radii][share < 0.97]
    last = np.array([[*anatomy.PAPILLA, duct_mm / 2]])
    return gland, np.concatenate([last, duct])


def _draw(
    grid: Grid, low_mm: float, slice_mm: float, patient: anatomy.Patient
) -> tuple[NDArray[np.float32], dict[str, NDArray[np.bool_]]]:
    """HU before noise and the organs' masks; thick slices are the mean of thinner ones."""
    count, pixels, _ = grid.shape
    row = grid.to_lps(np.array([[0, 0, n] for n in range(pixels)]))[:, 0].astype(np.float32)
    column = grid.to_lps(np.array([[0, n, 0] for n in range(pixels)]))[:, 1].astype(np.float32)
    x, y = row[None, :], column[:, None]
    edge = 1.6 * grid.spacing_mm[2]
    voxels = np.empty(grid.shape, np.float32)
    masks: dict[str, NDArray[np.bool_]] = {}
    parts = max(1, round(slice_mm / 2.5))
    for k in range(count):
        mean = np.zeros((pixels, pixels), np.float32)
        for part in range(parts):
            u = low_mm + (k + (part + 0.5) / parts - 0.5) * slice_mm
            air = np.full((pixels, pixels), -1000.0, np.float32)
            drawing = anatomy.Drawing(x, y, u, edge, air)
            anatomy.draw(drawing, patient)
            mean += drawing.image / parts
            if part == parts // 2:
                for name, mask in drawing.masks.items():
                    masks.setdefault(name, np.zeros(grid.shape, bool))[k] = mask
        voxels[k] = mean
    return voxels, masks
