"""Simulated nodules of known shape, volume and density, as a scanner would blur and sample them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from imaging.character.fields import signed_distance, smoothed
from imaging.geometry import Grid
from imaging.language import Text
from imaging.nodule import Place, Side, Third
from imaging.volume import Region, Volume

LUNG = -860.0
PLACE = Place(
    side=Side.LEFT,
    third=Third.UPPER,
    lobe_why=Text(en="set by the test", zh="测试设定"),
    pleura_mm=20.0,
    subpleural=False,
)
OVER = 3
"""Samples a voxel and axis."""

Spacing = tuple[float, float, float]
Paint = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Points (..., 3) in mm from the middle, (z, y, x), to HU and to whether they are nodule."""


@dataclass(frozen=True)
class Nodule:
    """A simulated nodule: the scan, the share of each voxel that is nodule, its true volume."""

    volume: Volume
    share: np.ndarray
    mm3: float

    def region(self, grown_mm: float = 0.0) -> Region:
        """Its mask, drawn too large by ``grown_mm``."""
        mask = self.share > 0.5
        if grown_mm:
            mask = signed_distance(mask, self.volume.grid.spacing_mm) <= grown_mm
        return Region(mask, (0, 0, 0), self.volume.grid)


def ball(diameter: float, hu: float, lung: float = LUNG) -> Paint:
    return layers((diameter, hu), lung=lung)


def layers(*rings: tuple[float, float], lung: float = LUNG) -> Paint:
    """Balls in one another, the largest first: (diameter mm, HU)."""

    def paint(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        far = np.linalg.norm(points, axis=-1)
        hu = np.full(far.shape, lung, np.float32)
        for diameter, density in rings:
            hu[far <= diameter / 2] = density
        return hu, far <= rings[0][0] / 2

    return paint


def ellipsoid(axes_mm: tuple[float, float, float], hu: float) -> Paint:
    """Full axes along (z, y, x)."""

    def paint(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inside = ((points / (np.array(axes_mm) / 2)) ** 2).sum(-1) <= 1
        return np.where(inside, hu, LUNG), inside

    return paint


def star(diameter: float, spikes: int, length: float, hu: float = 30.0) -> Paint:
    """A ball with straight spicules, 3 mm thick at the ball and 1 mm at their tips."""
    rng = np.random.default_rng(spikes)
    ways = rng.normal(size=(spikes, 3))
    # Spread them: push neighbours apart on the sphere.
    for _ in range(60):
        ways /= np.linalg.norm(ways, axis=1, keepdims=True)
        apart = ways[:, None] - ways[None]
        ways = ways + 0.02 * (apart / ((apart**2).sum(-1, keepdims=True) + 0.05) ** 1.5).sum(1)
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)

    def paint(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        far = np.linalg.norm(points, axis=-1)
        inside = far <= diameter / 2
        for way in ways:
            along = points @ way
            aside = np.sqrt(np.maximum(far**2 - along**2, 0))
            t = np.clip((along - diameter / 2) / length, 0, 1)
            inside |= (along > 0) & (along < diameter / 2 + length) & (aside < 1.5 - t)
        return np.where(inside, hu, LUNG), inside

    return paint


def soft_edge(diameter: float, width: float, hu: float) -> Paint:
    """A ball whose density falls off over ``width`` mm."""

    def paint(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        far = np.linalg.norm(points, axis=-1)
        part = np.clip(0.5 - (far - diameter / 2) / width, 0, 1)
        return LUNG + part * (hu - LUNG), far <= diameter / 2

    return paint


def scan(
    paint: Paint,
    spacing: Spacing,
    *,
    size_mm: float,
    noise_hu: float = 20.0,
    psf_mm: float = 0.5,
    seed: int = 0,
) -> Nodule:
    """Scan a shape: blur in the plane, mean over each voxel, add noise.

    Args:
        paint: the shape.
        spacing: (k, j, i) mm.
        size_mm: of the field; the shape lies near its middle, off by up to half a voxel.
        noise_hu: standard deviation, a little correlated between pixels.
        psf_mm: sigma of the blur in the plane.
        seed: of place and noise.
    """
    rng = np.random.default_rng(seed)
    shape = [int(np.ceil(size_mm / step)) for step in spacing]
    off = rng.uniform(-0.5, 0.5, 3) * spacing
    axes = [
        (np.arange(n * OVER) + 0.5) * step / OVER - n * step / 2 - shift
        for n, step, shift in zip(shape, spacing, off, strict=True)
    ]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).astype(np.float32)
    fine, inside = paint(points)
    fine_mm = tuple(step / OVER for step in spacing)
    # 1e9 mm slices: nothing is blurred across them.
    fine = smoothed(fine, (1e9, fine_mm[1], fine_mm[2]), psf_mm)
    hu = _means(fine)
    grain = smoothed(rng.normal(size=hu.shape).astype(np.float32), spacing, 0.4)
    hu += grain * noise_hu / max(float(grain.std()), 1e-6)
    grid = Grid.from_dicom(hu.shape, (0, 0, 0), (1, 0, 0, 0, 1, 0), spacing[1:], (0, 0, spacing[0]))
    mm3 = float(np.count_nonzero(inside)) * float(np.prod(fine_mm))
    return Nodule(Volume(np.rint(hu).astype(np.int16), grid), _means(inside), mm3)


def _means(fine: np.ndarray) -> np.ndarray:
    k, j, i = (n // OVER for n in fine.shape)
    return fine.reshape(k, OVER, j, OVER, i, OVER).mean(axis=(1, 3, 5), dtype=np.float32)
