"""The nodules of the phantom: what they are, where there is room, how they are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from imaging.geometry import Point
from imaging.phantom_vessels import LUNG_HU, Frame

Voxels = NDArray[np.floating[Any]]


class NoduleKind(StrEnum):
    """What a planted nodule is made of."""

    SOLID = "solid"
    GROUND_GLASS = "ground-glass"


@dataclass(frozen=True)
class PlantedNodule:
    """A nodule whose truth is known.

    Args:
        centre_lps_mm: LPS mm.
        diameter_mm: of the sphere of the same volume, mm.
        kind: see :class:`NoduleKind`.
        hu: mean density of its inside before noise, HU.
        touches_pleura: whether it sits on the pleura.
    """

    centre_lps_mm: Point
    diameter_mm: float
    kind: NoduleKind
    hu: float
    touches_pleura: bool


DEFAULT_NODULES: tuple[tuple[float, NoduleKind, bool], ...] = (
    (18.0, NoduleKind.SOLID, False),
    (12.0, NoduleKind.SOLID, True),
    (9.0, NoduleKind.SOLID, False),
    (7.0, NoduleKind.SOLID, False),
)
"""(diameter mm, kind, on the pleura)."""


def plant_nodules(
    voxels: Voxels,
    frame: Frame,
    depth: Voxels,
    wanted: tuple[tuple[float, NoduleKind, bool], ...],
    rng: np.random.Generator,
) -> tuple[PlantedNodule, ...]:
    """Plant each where the lung is, away from thick vessels and from each other."""
    stride = np.array(_strides(frame)) * [1, 2, 2]
    to_wall = _distance_to_wall(frame, depth)
    planted: list[PlantedNodule] = []
    index = np.argwhere(to_wall < -3.0)
    sides = index[:, 2] > to_wall.shape[2] / 2
    for number, (diameter, kind, pleural) in enumerate(wanted):
        radius = diameter / 2
        left = bool(number % 2)
        if pleural:
            choices = _on_chest_wall(frame, depth, left, 0.6 * radius)
        else:
            fits = (-to_wall[tuple(index.T)] > radius + 4) & (sides == left)
            choices = frame.grid.to_lps(index[fits] * stride + [0, 0.5, 0.5])
        best, lowest = None, np.inf
        for centre in choices[rng.permutation(len(choices))[:60]]:
            gaps = [np.linalg.norm(centre - p.centre_lps_mm) for p in planted]
            if gaps and min(gaps) < 40:
                continue
            busy = _brightness(voxels, frame, centre, radius + 2)
            if busy < lowest:
                best, lowest = centre, busy
        if best is None:
            raise ValueError(f"no room in these lungs for a nodule of {diameter} mm")
        hu = float(rng.normal(30, 12)) if kind is NoduleKind.SOLID else float(rng.normal(-610, 25))
        _plant(voxels, frame, best, radius, hu, rng)
        x, y, z = (float(c) for c in best)
        planted.append(PlantedNodule((x, y, z), diameter, kind, hu, pleural))
    return tuple(planted)


def _strides(frame: Frame) -> tuple[int, int, int]:
    """Steps along (k, j, i) of half-resolution planes that are about 2.8 mm."""
    k, j = max(round(2.8 / frame.spacing[0]), 1), max(round(1.4 / frame.spacing[2]), 1)
    return k, j, j


def _distance_to_wall(frame: Frame, depth: Voxels) -> Voxels:
    """Signed distance to the lung's surface on every ``_strides`` voxel of ``depth``, mm."""
    k, j, _ = _strides(frame)
    image: Any = sitk.GetImageFromArray((depth[::k, ::j, ::j] < 0).astype(np.uint8))
    image.SetSpacing((2 * j * frame.spacing[2], 2 * j * frame.spacing[1], k * frame.spacing[0]))
    itk: Any = sitk
    distance = itk.SignedMaurerDistanceMapImageFilter()
    distance.SetSquaredDistance(False)
    distance.SetUseImageSpacing(True)
    out: Voxels = sitk.GetArrayFromImage(distance.Execute(image))
    return out


def _on_chest_wall(frame: Frame, depth: Voxels, left: bool, inward: float) -> NDArray[np.float64]:
    """Points (n, 3), LPS mm, ``inward`` mm from the ribs of one side, at the chest's widest."""
    slices, rows, columns = depth.shape
    k, j = np.mgrid[slices // 4 : slices * 2 // 3, rows * 2 // 5 : rows * 3 // 5]
    lung = depth[k, j] < 0
    last = columns - 1 - np.argmax(lung[..., ::-1], axis=-1) if left else np.argmax(lung, axis=-1)
    edge = frame.grid.to_lps(np.stack([k, 2 * j + 0.5, 2 * last + 0.5], axis=-1))[lung.any(axis=-1)]
    points: NDArray[np.float64] = edge + [-inward if left else inward, 0, 0]
    return points


def _box(frame: Frame, centre: NDArray[np.float64], reach: float) -> tuple[slice, slice, slice]:
    middle = frame.grid.to_index(centre)
    k, j, i = (
        slice(max(int(m - reach / s), 0), min(int(m + reach / s) + 2, n))
        for m, s, n in zip(middle, frame.spacing, frame.grid.shape, strict=True)
    )
    return k, j, i


def _brightness(voxels: Voxels, frame: Frame, centre: NDArray[np.float64], reach: float) -> float:
    """Mean HU above parenchyma around a place, airways counted as bad as vessels."""
    box = voxels[_box(frame, centre, reach)]
    return float(np.abs(box - LUNG_HU).mean())


def _plant(
    voxels: Voxels,
    frame: Frame,
    centre: NDArray[np.float64],
    radius: float,
    hu: float,
    rng: np.random.Generator,
) -> None:
    """Blend a lobulated ellipsoid whose volume is that of a sphere of ``radius`` mm."""
    box = _box(frame, centre, 1.5 * radius + 3)
    k, j, i = (np.arange(s.start, s.stop) for s in box)
    grid = np.stack(np.meshgrid(k, j, i, indexing="ij"), axis=-1)
    offset = frame.grid.to_lps(grid) - centre
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    axes = np.array([1.12, 1.0, 0.9]) * (1 + rng.uniform(-0.04, 0.04, 3))
    axes /= np.prod(axes) ** (1 / 3)
    turned = offset @ turn
    length = np.linalg.norm(turned, axis=-1) + 1e-6
    unit = turned / length[..., None]
    bumps = np.ones(length.shape)
    for _ in range(9):
        towards = rng.normal(size=3)
        towards /= np.linalg.norm(towards)
        bumps += rng.uniform(-0.05, 0.08) * np.exp(-(1 - unit @ towards) * 6.0)
    bumps /= np.mean(bumps**3) ** (1 / 3)
    edge = bumps / np.linalg.norm(unit / axes, axis=-1)
    distance = length - radius * edge
    alpha = np.clip(0.5 - distance / 1.9, 0, 1)
    alpha = (alpha * alpha * (3 - 2 * alpha)).astype(np.float32)
    part = voxels[box]
    inner = np.float32(hu) + rng.normal(0, 6, part.shape).astype(np.float32)
    part += np.where(part < hu, alpha * (inner - part), 0)
