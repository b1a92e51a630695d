"""A lifelike simulated chest CT with nodules of known size and place.

To show the whole chain, and to test it, where no patient's images may be used. Everything is
computed from a seed: a body with ribs, spine and organs (``phantom_anatomy``), lungs with
vessels and bronchi (``phantom_vessels``), nodules (``phantom_nodules``), and noise correlated
as filtered back-projection leaves it; ``phantom_series`` writes it.
What it is not: a measure of any model's accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging import phantom_anatomy as anatomy
from imaging.geometry import Grid
from imaging.phantom_nodules import DEFAULT_NODULES, NoduleKind, PlantedNodule, plant_nodules
from imaging.phantom_noise import noise_block
from imaging.phantom_vessels import LUNG_HU, Frame, draw_trees, draw_tube, oblique
from imaging.volume import Volume

__all__ = ["NoduleKind", "Phantom", "PlantedNodule", "make_phantom"]

NOISE_HU = 15.0
"""Standard deviation of the noise in the middle of the chest, HU."""

Voxels = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Phantom:
    """A simulated chest CT: HU (k, j, i), int16, slices from the feet up, and its nodules."""

    seed: int
    volume: Volume
    nodules: tuple[PlantedNodule, ...]


def make_phantom(
    seed: int = 0,
    *,
    slices: int = 200,
    pixels: int = 512,
    width_mm: float = 358.4,
    height_mm: float = 300.0,
    nodules: tuple[tuple[float, NoduleKind, bool], ...] = DEFAULT_NODULES,
) -> Phantom:
    """Simulate a chest CT.

    Args:
        seed: the same seed gives the same voxels.
        slices: number of slices, evenly over ``height_mm``.
        pixels: rows and columns, even.
        width_mm: field of view.
        height_mm: length of the scan, mm; the anatomy is scaled to it.
        nodules: (diameter mm, kind, on the pleura) of each nodule to plant.
    """
    rng = np.random.default_rng(seed)
    pixel, step = width_mm / pixels, height_mm / slices
    origin = (-(pixels - 1) / 2 * pixel, -(pixels - 1) / 2 * pixel + 8.0, -height_mm / 2)
    affine = np.array(
        [[0, 0, pixel, origin[0]], [0, pixel, 0, origin[1]], [step, 0, 0, origin[2]], [0, 0, 0, 1]]
    )
    frame = Frame(Grid((slices, pixels, pixels), affine), origin, (step, pixel, pixel), height_mm)
    voxels, depth = _body(frame, rng)
    _ribs(voxels, frame)
    draw_trees(voxels, frame, depth, rng)
    planted = plant_nodules(voxels, frame, depth, nodules, rng)
    _noise(voxels, rng)
    outside = np.hypot(*np.meshgrid(*[np.linspace(-1, 1, pixels)] * 2)) > 1
    voxels[:, outside] = -1024
    final = np.rint(np.clip(voxels, -1024, 3071)).astype(np.int16)
    return Phantom(seed, Volume(final, frame.grid), planted)


def _stretch(small: Voxels, rows: int, columns: int) -> Voxels:
    """Bilinear enlargement of a plane (j, i)."""
    wide: Voxels = _weights(small.shape[0], rows) @ small @ _weights(small.shape[1], columns).T
    return wide


def _weights(n: int, m: int) -> Voxels:
    place = np.linspace(0, n - 1, m)
    whole = np.minimum(place.astype(int), n - 2)
    matrix = np.zeros((m, n), np.float32)
    matrix[np.arange(m), whole] = 1 - (place - whole)
    matrix[np.arange(m), whole + 1] = place - whole
    return matrix


def _double(plane: Voxels) -> Voxels:
    """A plane on half as many pixels to the full number, bilinear, centres kept."""
    for _ in range(2):
        edge = np.concatenate([plane[:1], plane, plane[-1:]])
        out = np.empty((2 * plane.shape[0], plane.shape[1]), np.float32)
        out[0::2] = 0.25 * edge[:-2] + 0.75 * plane
        out[1::2] = 0.75 * plane + 0.25 * edge[2:]
        plane = np.ascontiguousarray(out.T)
    return plane


def _body(frame: Frame, rng: np.random.Generator) -> tuple[Voxels, Voxels]:
    """Tissue without trees, ribs and nodules, HU; and depth in the lungs, mm (negative inside).

    The depth is at half the in-plane resolution.
    """
    slices, pixels, _ = frame.grid.shape
    half = pixels // 2
    axis = (np.arange(half, dtype=np.float32) * 2 + 0.5) * np.float32(frame.spacing[2])
    x = axis[None, :] + np.float32(frame.origin[0])
    y = axis[:, None] + np.float32(frame.origin[1])
    full_y = np.arange(pixels, dtype=np.float32)[:, None] * np.float32(frame.spacing[1])
    patient = anatomy.Variation.draw(rng)
    coarse = rng.standard_normal((14, 2, 20, 20), np.float32)
    field = np.stack([[_stretch(plane, half, half) for plane in pair] for pair in coarse])
    repeat = -(-pixels // 256)
    grain = np.tile(_texture(rng), (1, repeat, repeat))[:, :pixels, :pixels]
    voxels = np.empty((slices, pixels, pixels), np.float32)
    depth = np.empty((slices, half, half), np.float32)
    edge = 2.0 * frame.spacing[2]
    for k in range(slices):
        place = k / slices * (len(field) - 1.001)
        low, t = int(place), place - int(place)
        planes = (1 - t) * field[low] + t * field[low + 1]
        wobble = (planes[0], planes[1])
        u = frame.u(frame.origin[2] + k * frame.spacing[0])
        tissue, depth[k] = anatomy.draw_slice(x, y, u, patient, wobble, edge * 1.1)
        image = _double(tissue)
        rows = np.flatnonzero((depth[k] < 3).any(axis=1))
        if len(rows):
            part = slice(2 * int(rows[0]), 2 * int(rows[-1]) + 2)
            thin = slice(int(rows[0]), int(rows[-1]) + 1)
            lungs = _double(depth[k][thin])
            inside = anatomy.cover(lungs + 0.6, 1.9 * frame.spacing[2])
            air = grain[k % len(grain)][part] * np.float32(11)
            air += np.float32(LUNG_HU) + (full_y[part] - 130) * np.float32(0.22)
            air += _double(14 * planes[1][thin]) - _fissures(frame, full_y[part], u)
            image[part] += inside * (air - image[part])
        _trachea(image, frame, full_y, u)
        voxels[k] = image
    return voxels, depth


def _fissures(frame: Frame, full_y: Voxels, u: float) -> Voxels:
    """Minus the HU that the oblique fissures add, (j, i)."""
    pixels = frame.grid.shape[2]
    x = frame.origin[0] + np.arange(pixels, dtype=np.float32)[None, :] * np.float32(
        frame.spacing[2]
    )
    y = full_y + np.float32(frame.origin[1])
    distance = oblique(x, y, u)
    sheet: Voxels = np.float32(-70) * np.exp(-((distance / np.float32(0.8)) ** 2))
    return sheet


def _trachea(image: Voxels, frame: Frame, full_y: Voxels, u: float) -> None:
    if u < 188:
        return
    pixels = frame.grid.shape[2]
    x = frame.origin[0] + np.arange(pixels, dtype=np.float32)[None, :] * np.float32(
        frame.spacing[2]
    )
    y = full_y + np.float32(frame.origin[1])
    tube = anatomy.ellipse(x, y, 0, 10, 9.5 + max(0.0, 200 - u) * 0.35, 8.5)
    width = 1.6 * frame.spacing[2]
    image += anatomy.cover(tube - 1.6, width) * (35 - image)
    image += anatomy.cover(tube, width) * (-985 - image)


def _texture(rng: np.random.Generator) -> Voxels:
    """A periodic block of parenchyma texture, unit standard deviation, (k, j, i)."""
    shape = (32, 256, 256)
    spectrum = np.fft.rfftn(rng.standard_normal(shape, np.float32))
    k, j, i = (np.fft.fftfreq(n).astype(np.float32) for n in shape)
    f2 = (k[:, None, None] * 1.4) ** 2 + (j[:, None]) ** 2 + (i[: shape[2] // 2 + 1]) ** 2
    block = np.fft.irfftn(spectrum * (1 / (1 + f2 / 0.004)), s=shape, axes=(0, 1, 2)).astype(
        np.float32
    )
    unit: Voxels = block / block.std()
    return unit


def _ribs(voxels: Voxels, frame: Frame) -> None:
    for line in _rib_lines():
        points = line[:, :3].copy()
        points[:, 2] = [frame.z(u) for u in line[:, 2]]
        for first in range(0, len(line) - 1, 3):
            part = slice(first, min(first + 4, len(line)))
            radius, shell = float(line[first, 3]), float(line[first, 4])
            # ribs are higher than thick: two parallel tubes
            for shift in (-2.2, 2.2):
                moved = points[part] + np.array([0, 0, shift])
                draw_tube(voxels, frame, moved, (radius,) * 2, shell)


def _rib_lines() -> list[NDArray[Any]]:
    """Centre lines of ribs, costal cartilages and clavicles.

    Returns:
        arrays (n, 5): x, y, u in mm, radius in mm, HU of the shell.
    """
    lines = []
    for number in range(12):
        start = 283.0 - anatomy.VERTEBRA_PITCH * number
        for side in (-1, 1):
            angles = np.linspace(0.16, 2.62 if number < 10 else 1.6, 56)
            drop = anatomy.at(number, (0, 36), (3, 80), (8, 108), (11, 80))
            line = []
            for angle in angles:
                u = start - drop * (angle / 2.6) ** 1.15 - 2
                if number < 9 and angle > 2.2:
                    u += 30 * (angle - 2.2)
                offset, cy, a, b = anatomy.ribcage(min(u, 262.0 if number == 0 else 272.0))
                grow = 6.8
                px = side * (offset + (a + grow) * np.sin(angle))
                py = cy + (b + grow) * np.cos(angle)
                if angle < 1.57:
                    py += float(anatomy.gutter(np.array(px), u)) * min(py / 70, 1.0)
                if angle < 0.5:  # behind the lung to the transverse process
                    mix = angle / 0.5
                    px = side * 24 * (1 - mix) + px * mix
                hu = 620.0 if angle < 2.05 else 110.0
                line.append((px, py, u, 3.6 if number else 4.4, hu))
            lines.append(np.array(line))
    for side in (-1, 1):
        t = np.linspace(0, 1, 30)
        lines.append(
            np.stack(
                [
                    side * (20 + 105 * t),
                    -46 + 46 * t + 6 * np.sin(2 * np.pi * t),
                    243 + 34 * t,
                    np.full(30, 6.0),
                    np.full(30, 560.0),
                ],
                axis=1,
            )
        )
    return lines


def _noise(voxels: Voxels, rng: np.random.Generator) -> None:
    """Add noise, more of it at the shoulders."""
    slices, pixels, _ = voxels.shape
    block = noise_block(pixels, rng)
    for k in range(slices):
        soft = 1 + 0.35 * max(0.0, k / slices - 0.75) * 4
        voxels[k] += block[k % len(block)] * np.float32(NOISE_HU * soft)
