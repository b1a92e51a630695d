"""A simulated brain MR study: four series of one head that moved between them, with a tumor.

To test and to show the route of several series where no patient's images may be used: every
series samples the same head, each on a grid and in a weighting of its own, after a known rigid
motion that its header does not tell. Everything is computed from a seed;
``phantom_brain_series`` writes it. What it is not: a measure of any model's accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Grid, Points, Shape3
from imaging.volume import Volume

AIR, SCALP, SKULL, CSF, GREY, WHITE, MUSCLE, EDEMA, RIM, NECROSIS = range(10)
"""The tissues, as :func:`tissue_at` numbers them."""

SIGNAL: dict[str, tuple[float, ...]] = {
    "T1c": (8, 820, 60, 130, 380, 520, 420, 330, 1050, 200),
    "T1": (8, 820, 60, 130, 380, 520, 330, 320, 330, 200),
    "T2": (8, 520, 50, 1000, 520, 380, 250, 780, 640, 880),
    "FLAIR": (8, 520, 50, 90, 520, 420, 280, 900, 760, 380),
}
"""Of each tissue in each weighting, in arbitrary units."""
TUMOR_MM = (28.0, 12.0, 18.0)
"""Its centre in the head's own frame, LPS mm."""
CORE_MM, RIM_MM, EDEMA_MM = 9.0, 13.0, 22.0
"""Radii of necrosis, enhancing rim and edema."""
NOISE = 14.0
"""Standard deviation of the noise on each of the two channels of a magnitude image."""

Motion = NDArray[np.float64]
"""4 x 4: from the head's own frame to where the head lay, LPS mm."""


@dataclass(frozen=True)
class SeriesPlan:
    """One series of the study: how it is acquired and how the head had moved by then.

    Attributes:
        role: a key of :data:`SIGNAL`.
        description: its SeriesDescription.
        shape: (k, j, i).
        spacing_mm: along (k, j, i).
        orientation: ImageOrientationPatient.
        shift_mm: of the head, LPS.
        turn_degrees: of the head about the axes L, P and S.
        frame: which frame of reference its header claims.
    """

    role: str
    description: str
    shape: Shape3
    spacing_mm: tuple[float, float, float]
    orientation: tuple[float, float, float, float, float, float] = (1, 0, 0, 0, 1, 0)
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    turn_degrees: tuple[float, float, float] = (0.0, 0.0, 0.0)
    frame: int = 0

    @property
    def motion(self) -> Motion:
        """From the head's own frame to where it lay."""
        return rigid(self.shift_mm, self.turn_degrees)


def oblique(degrees: float) -> tuple[float, float, float, float, float, float]:
    """ImageOrientationPatient of axial slices tipped about the line from ear to ear."""
    angle = np.deg2rad(degrees)
    return (1.0, 0.0, 0.0, 0.0, float(np.cos(angle)), float(np.sin(angle)))


DEFAULT_STUDY = (
    SeriesPlan("T1c", "t1_mprage_tra_iso post Gd", (100, 120, 100), (1.7, 1.7, 1.7), oblique(12)),
    SeriesPlan("T1", "AX T1 SE", (38, 150, 120), (4.5, 1.4, 1.4),
               shift_mm=(3.0, -2.0, 4.0), turn_degrees=(2.0, -3.0, 4.0)),
    SeriesPlan("T2", "AX T2 FSE", (38, 150, 120), (4.5, 1.4, 1.4), oblique(-8),
               shift_mm=(-2.5, 3.5, -3.0), turn_degrees=(-3.0, 2.0, -2.0)),
    SeriesPlan("FLAIR", "3D_SAG_T2_FLAIR", (90, 110, 110), (1.8, 1.8, 1.8), (0, 1, 0, 0, 0, -1),
               shift_mm=(14.0, -20.0, 17.0), turn_degrees=(5.0, 4.0, -6.0), frame=1),
)  # fmt: skip
"""An oblique 3-D series after contrast, two thick ones, and one of another frame of reference."""


@dataclass(frozen=True, eq=False)
class BrainSeries:
    """A series as it was acquired: its plan and its signal (k, j, i), int16."""

    plan: SeriesPlan
    volume: Volume


@dataclass(frozen=True, eq=False)
class BrainStudy:
    """A simulated study."""

    seed: int
    series: tuple[BrainSeries, ...]


def make_brain_study(seed: int = 0, plans: Sequence[SeriesPlan] = DEFAULT_STUDY) -> BrainStudy:
    """Simulate the series of one study; the same seed gives the same voxels."""
    rng = np.random.default_rng(seed)
    return BrainStudy(seed, tuple(BrainSeries(plan, _acquire(plan, rng)) for plan in plans))


def tissue_on(grid: Grid, motion: Motion) -> NDArray[np.uint8]:
    """The tissue at every voxel of a grid (k, j, i), the head having moved by ``motion``."""
    back = np.linalg.inv(motion)
    found = np.empty(grid.shape, np.uint8)
    j, i = np.meshgrid(np.arange(grid.shape[1]), np.arange(grid.shape[2]), indexing="ij")
    for k in range(grid.shape[0]):
        points = grid.to_lps(np.stack([np.full_like(j, k), j, i], axis=-1))
        found[k] = tissue_at(points @ back[:3, :3].T + back[:3, 3])
    return found


def tissue_at(points: Points) -> NDArray[np.uint8]:
    """The tissue at points (..., 3) of the head's own frame, LPS mm."""
    x, y, z = np.moveaxis(points, -1, 0)
    found = np.zeros(x.shape, np.uint8)
    head = _ellipsoid(x, y - 4, z + 6, 78, 98, 92)
    neck = np.maximum(_ellipsoid(x, y - 22, np.zeros_like(z), 56, 58, 1.0), (z > -40) * 9.0)
    found[(head < 1) | (neck < 1)] = SCALP
    found[(_ellipsoid(x, y - 4, z + 6, 72, 92, 86) < 1) | (neck < 0.85)] = MUSCLE
    skull = _ellipsoid(x, y, z - 6, 72, 91, 76)
    found[skull < 1] = SKULL
    found[_ellipsoid(x, y, z - 6, 66, 85, 70) < 1] = CSF
    # Folds: the cortex's outline waves with the direction seen from the middle of the brain.
    theta, phi = np.arctan2(y, x), np.arctan2(z - 6, np.hypot(x, y))
    wave = 0.5 * np.sin(17 * theta) * np.cos(13 * phi) + 0.5 * np.sin(11 * theta + 19 * phi)
    brain = _ellipsoid(x, y, z - 6, 63, 82, 67) * (1 + 0.035 * (wave + 1))
    split = (np.abs(x) < 1.2) & (z > 18)
    found[(brain < 1) & ~split] = GREY
    found[(brain * (1 + 0.05 * wave) < 0.8) & (np.abs(x) > 3.5)] = WHITE
    for side in (-1.0, 1.0):
        found[_ellipsoid(x - side * 24, y - 2, z - 4, 9, 17, 10) < 1] = GREY
        found[_ellipsoid(x - side * 11, y + 4 - 0.3 * z, z - 14, 6, 28, 8) < 1] = CSF
        found[_ellipsoid(x - side * 22, y - 48, z + 38, 20, 17, 14) < 1] = GREY
        found[_ellipsoid(x - side * 30, y + 84, z + 24, 12, 12, 12) < 1] = CSF
    found[_ellipsoid(x, y - 24, z + 40, 12, 11, 30) < 1] = WHITE
    found[_ellipsoid(x - 9, y + 40, z + 52, 11, 16, 15) < 1] = AIR
    off = np.stack([x, y, z], axis=-1) - np.array(TUMOR_MM)
    angle = np.arctan2(off[..., 1], off[..., 0])
    far = np.linalg.norm(off, axis=-1) * (1 + 0.12 * np.sin(3 * angle))
    in_brain = (found == GREY) | (found == WHITE) | (found == CSF)
    found[(far < EDEMA_MM) & in_brain & (found == WHITE)] = EDEMA
    found[(far < RIM_MM) & in_brain] = RIM
    found[(far < CORE_MM) & in_brain] = NECROSIS
    return found


def rigid(shift_mm: Sequence[float], turn_degrees: Sequence[float]) -> Motion:
    """A turn about the axes L, then P, then S through (0, 0, 0), then a shift; 4 x 4."""
    x, y, z = np.deg2rad(turn_degrees)
    about_x = [[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]]
    about_y = [[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]
    about_z = [[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]]
    motion = np.eye(4)
    motion[:3, :3] = np.array(about_z) @ np.array(about_y) @ np.array(about_x)
    motion[:3, 3] = shift_mm
    return motion


def grid_of(plan: SeriesPlan) -> Grid:
    """The series' grid, its middle at LPS (0, 0, 0) of whichever frame of reference it claims."""
    cosines = np.array(plan.orientation, np.float64)
    step = plan.spacing_mm[0] * np.cross(cosines[:3], cosines[3:])
    half = (np.array(plan.shape) - 1) / 2
    first = -(half[0] * step + half[1] * plan.spacing_mm[1] * cosines[3:])
    first = first - half[2] * plan.spacing_mm[2] * cosines[:3]
    return Grid.from_dicom(plan.shape, first, cosines, plan.spacing_mm[1:], step)


def _acquire(plan: SeriesPlan, rng: np.random.Generator) -> Volume:
    grid, signal = grid_of(plan), np.array(SIGNAL[plan.role])
    # A thick slice holds the mean of what lies in it.
    parts = max(1, round(plan.spacing_mm[0] / 1.5))
    clean = np.zeros(plan.shape, np.float32)
    for part in range(parts):
        affine = grid.affine.copy()
        affine[:3, 3] += affine[:3, 0] * ((part + 0.5) / parts - 0.5)
        clean += signal[tissue_on(Grid(plan.shape, affine), plan.motion)].astype(np.float32) / parts
    # The coil sees what is near it better.
    k, j, i = np.meshgrid(*[np.linspace(-1, 1, n) for n in plan.shape], indexing="ij", sparse=True)
    clean *= (1 + 0.12 * k - 0.10 * j + 0.06 * i).astype(np.float32)
    real = clean + rng.normal(0, NOISE, plan.shape).astype(np.float32)
    noisy = np.hypot(real, rng.normal(0, NOISE, plan.shape).astype(np.float32))
    return Volume(np.rint(noisy).astype(np.int16), grid)


def _ellipsoid(
    x: Points, y: Points, z: Points, a: float, b: float, c: float
) -> NDArray[np.float64]:
    """Below 1 inside the ellipsoid of half axes a, b, c."""
    return np.asarray((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2, np.float64)
