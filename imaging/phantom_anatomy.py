"""The still parts of the phantom: body wall, bones, mediastinum, abdomen and lung surfaces.

Everything is an approximate signed distance in mm (negative inside), so that an edge can be
drawn with partial volume: :func:`cover` turns a distance into the covered part of a voxel.
Coordinates are LPS mm with the origin in the middle of the chest; ``u`` is the height above
the first slice, scaled so that the phantom is always 300 mm tall.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.floating[Any]]
"""(j, i), one value a pixel of a slice."""

HEIGHT = 300.0
"""Model height, mm: upper abdomen (0) to the base of the neck."""

FAT, MUSCLE, BLOOD, LIVER, AIR = -102.0, 52.0, 42.0, 56.0, -1000.0
VERTEBRA_PITCH = 25.0
"""Height of a vertebra and its disc, mm."""


def at(u: float, *knots: tuple[float, float]) -> float:
    """Piecewise linear interpolation through (u, value) knots."""
    heights, values = zip(*knots, strict=True)
    return float(np.interp(u, heights, values))


def ellipse(
    x: Plane, y: Plane, cx: float, cy: float, a: float, b: float, square: float = 0.0
) -> Plane:
    """Distance to an ellipse with half axes a, b mm, to first order; everywhere outside if a<=0.

    ``square`` (0..1) swells the corners.
    """
    if a <= 0.5 or b <= 0.5:
        return np.full(np.broadcast_shapes(x.shape, y.shape), 99.0, np.float32)
    px2, py2 = ((x - cx) / a) ** 2, ((y - cy) / b) ** 2
    f = np.sqrt(px2 + py2) + np.float32(1e-4)
    slope = np.sqrt(px2 / (a * a) + py2 / (b * b)) + np.float32(1e-6)
    reach = f
    if square:
        reach = (1 - square) * f + square * np.sqrt(np.sqrt(px2 * px2 + py2 * py2))
    distance: Plane = f * (reach - 1) / slope
    return distance


def ellipsoid(
    x: Plane, y: Plane, u: float, centre: tuple[float, float, float], axes: tuple[float, ...]
) -> Plane:
    """Cut of an ellipsoid with the slice at height u; same convention as :func:`ellipse`."""
    h = 1 - ((u - centre[2]) / axes[2]) ** 2
    scale = float(np.sqrt(h)) if h > 0 else 0.0
    return ellipse(x, y, centre[0], centre[1], axes[0] * scale, axes[1] * scale)


def strip(x: Plane, y: Plane, ax: float, ay: float, bx: float, by: float, r: float) -> Plane:
    """Distance to the segment a-b, thickened to radius r mm."""
    dx, dy = bx - ax, by - ay
    t = np.clip(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy), 0, 1)
    distance: Plane = np.sqrt((x - ax - t * dx) ** 2 + (y - ay - t * dy) ** 2) - np.float32(r)
    return distance


def union(a: Plane, b: Plane, k: float = 8.0) -> Plane:
    """Union of two shapes with the crease rounded over k mm."""
    h = np.maximum(k - np.abs(a - b), 0) / k
    rounded: Plane = np.minimum(a, b) - h * h * np.float32(k / 4)
    return rounded


def common(a: Plane, b: Plane, k: float = 8.0) -> Plane:
    """Intersection of two shapes with the edge rounded over k mm."""
    return -union(-a, -b, k)


def cover(distance: Plane, width: float) -> Plane:
    """Part of a voxel inside, 0..1, for an edge blurred over ``width`` mm."""
    covered: Plane = np.clip(0.5 - distance / np.float32(width), 0, 1)
    return covered


def ribcage(u: float) -> tuple[float, float, float, float]:
    """Pleural surface of one side at height u: ellipse centre |x|, centre y, half axes, mm."""
    offset = at(u, (205, 0), (230, 20), (255, 37), (275, 45), (292, 48))
    a = at(
        u,
        *((0, 122), (50, 129), (110, 130), (165, 123), (205, 110), (230, 79)),
        *((255, 47), (272, 29), (284, 14), (291, 0)),
    )
    b = at(
        u,
        *((0, 82), (60, 88), (120, 88), (165, 82), (205, 72), (230, 60)),
        *((255, 43), (272, 28), (284, 14), (291, 0)),
    )
    cy = at(u, (0, 0), (150, 0), (205, 6), (235, 14), (265, 22), (292, 27))
    return offset, cy, a, b


def gutter(x: Plane, u: float) -> Plane:
    """How much farther back the chest reaches beside the spine than an ellipse would, mm."""
    depth = at(u, (0, 12), (180, 13), (235, 7), (280, 0))
    bulge: Plane = np.float32(depth) * np.exp(-(((np.abs(x) - 60) / 34) ** 2))
    return bulge


@dataclass(frozen=True)
class Variation:
    """What differs from one phantom to the next; all in mm, small."""

    heart: float
    dome: float
    wall: float
    aorta: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Variation:
        """A random patient."""
        heart, dome, wall, aorta = rng.uniform(-1, 1, 4)
        return cls(4 * heart, 8 * dome, 4 * wall, 2 * aorta)


def heart_shape(x: Plane, y: Plane, u: float, v: Variation) -> Plane:
    """Ventricles, atria and the right atrium's bulge."""
    if not 55 < u < 180:
        return np.full(np.broadcast_shapes(x.shape, y.shape), 99.0, np.float32)
    main = ellipsoid(x, y, u, (27, -33, 110), (53 + v.heart, 42, 50))
    atria = ellipsoid(x, y, u, (-12, -18, 126), (36, 38, 42))
    back = ellipsoid(x, y, u, (8, 4, 138), (32, 20, 24))
    return union(union(main, atria, 14), back, 10)


def diaphragm(x: Plane, y: Plane, side: int, v: Variation) -> Plane:
    """Height u of the diaphragm under the lung of a side (-1 right, +1 left)."""
    top = (98 if side < 0 else 84) + v.dome
    rho = ((x - side * 62) / 72) ** 2 + ((y + 8) / 84) ** 2
    return np.maximum(top - 44 * rho - 9 * rho * rho, 22 + 0 * rho)


def mediastinum(x: Plane, y: Plane, u: float, v: Variation) -> Plane:
    """What keeps the two lungs apart, with its fat and pleura."""
    shape = ellipse(x, y, 0, 60, 24, 27)
    shape = union(shape, ellipse(x, y, 22, 36, 15.5 + v.aorta, 15.5 + v.aorta), 10)
    shape = union(shape, heart_shape(x, y, u, v) - np.float32(5), 10)
    width = at(u, (0, 26), (90, 24), (150, 26), (185, 31), (215, 28), (240, 26), (290, 34))
    depth = at(u, (0, 44), (110, 40), (150, 40), (190, 44), (240, 34), (290, 42))
    shape = union(shape, ellipse(x, y, 2, -2, width, depth), 12)
    hilum = at(u, (128, 0), (150, 13), (172, 15), (192, 0))
    for side in (-1, 1):
        shape = union(shape, ellipse(x, y, side * 35, 0, hilum, hilum * 1.2), 10)
    front = at(u, (60, 13), (120, 10), (150, 2.5), (200, 2.5), (225, 10), (260, 30))
    return union(shape, strip(x, y, 2, -100, 2, -20, front), 8)


def lungs_and_cavity(
    x: Plane, y: Plane, u: float, first: Plane, v: Variation
) -> tuple[Plane, Plane]:
    """Distances to the lungs and to the thoracic cavity at height u; ``first`` wobbles them."""
    offset, cy, a, b = ribcage(u)
    behind = y - gutter(x, u) * np.clip(y / 70, 0, 1)
    cavity = ellipse(np.abs(x) if offset else x, behind, offset, cy, a, b, 0.3)
    if a <= 0.5:
        return cavity, cavity
    shape = common(cavity + 1.3 * first, -mediastinum(x, y, u, v) - 1.5 * first, 5)
    if u < 112:
        floor = np.where(x < 0, diaphragm(x, y, -1, v), diaphragm(x, y, 1, v)) + 3 * first
        shape = common(shape, (floor - np.float32(u)) * np.float32(0.8), 6)
    return shape, cavity


def _within(axis: Plane, low: float, high: float) -> slice:
    """The part of an axis between two coordinates, mm."""
    first, last = np.searchsorted(axis.ravel(), [low, high])
    return slice(int(first), int(last))


def _put(image: Plane, distance: Plane, hu: float | Plane, width: float) -> None:
    image += cover(distance, width) * (hu - image)


def table(image: Plane, x: Plane, y: Plane, width: float) -> None:
    """The couch under the back: two shells, foam between them."""
    curve = y - 134 + (x / 40) ** 2 * np.float32(0.9)
    inside = np.maximum(np.abs(x) - 175, np.abs(curve - 14) - 14)
    _put(image, inside, -930.0, width)
    for level in (1.0, 27.0):
        _put(image, np.maximum(np.abs(x) - 175, np.abs(curve - level) - 0.7), -350.0, width)


def draw_slice(
    x: Plane, y: Plane, u: float, v: Variation, wobble: tuple[Plane, Plane], width: float
) -> tuple[Plane, Plane]:
    """Render everything but lung tissue, ribs, airways and vessels at height u.

    Args:
        x: LPS mm of the columns, shape (1, i).
        y: LPS mm of the rows, shape (j, 1).
        u: height, see the module.
        v: this patient.
        wobble: two smooth random planes (j, i), about -1..1.
        width: edge blur, mm.

    Returns:
        HU (j, i), float32, and the distance to the lungs (j, i), mm.
    """
    first, second = wobble
    shape = np.broadcast_shapes(x.shape, y.shape)
    image: Plane = np.full(shape, AIR, np.float32)
    table(image, x, y, width)

    outer = at(u, (0, 160), (100, 158), (170, 160), (215, 166), (250, 168), (300, 166)) + v.wall
    deep = at(u, (0, 112), (120, 116), (180, 108), (230, 92), (270, 78), (300, 70)) + v.wall / 2
    middle = at(u, (0, 2), (150, 2), (220, 18), (300, 32))
    body = ellipse(x, y, 0, middle, outer, deep, 0.25)
    body = common(body, y - 116 + np.abs(x) / 12, 40) + 1.5 * first
    _put(image, body, 30.0, width)
    _put(image, body + 2.2, FAT + 6 * second, width)

    lungs, cavity = lungs_and_cavity(x, y, u, first, v)
    _wall(image, x, y, u, body, cavity, second, width)
    _put(image, cavity - 3.5, -60.0, width)
    _put(image, cavity - 1.5, 25.0, width)
    _put(image, cavity, -88.0 + 10 * second, width)
    if u < 112:
        _abdomen(image, x, y, u, v, cavity, lungs, second, width)
    column, row = _within(x, -85, 95), _within(y, -90, 65)
    _middle(image[row, column], x[:, column], y[row], u, v, second[row, column], width)
    column, row = _within(x, -50, 50), _within(y, 25, 112)
    _spine(image[row, column], x[:, column], y[row], u, first[row, column], width)
    return image, lungs


def _wall(
    image: Plane, x: Plane, y: Plane, u: float, body: Plane, cavity: Plane, w: Plane, width: float
) -> None:
    """Intercostal, back, breast and shoulder muscles, with fat between the layers."""
    skin = body + 13 + 3 * w
    layer = np.maximum(cavity - 12, skin)
    _put(image, layer, MUSCLE + 4 * w, width)
    thick = at(u, (0, 17), (120, 20), (190, 30), (300, 34))
    gap = 13.5 if u < 235 else 10.0
    outer = np.maximum(np.maximum(cavity - thick - 4 * w, gap - cavity), skin)
    _put(image, outer, MUSCLE + 5 * w, width)
    side = np.abs(x)
    back = np.maximum(ellipse(side, y, 30, 90, 29, 17), body + 6)
    _put(image, back, MUSCLE - 30 * np.maximum(w, 0), width)
    if u > 150:
        raised = at(u, (150, 0), (185, 12), (230, 21), (300, 17))
        far = at(u, (150, 100), (300, 112))
        low, high = at(u, (150, 40), (300, 30)), at(u, (150, 78), (300, 66))
        girdle = strip(side, y, far + 20, low, far - 30, high, raised)
        _put(image, np.maximum(girdle, body + 8), MUSCLE + 6 * w, width)
        blade = strip(side, y, far + 12, low + 4, far - 28, high, 3.2)
        if u < 285:
            _put(image, blade, 560.0, width)
            _put(image, blade + 1.8, 230.0, width)
        chest = strip(side, y, 30, -94 + (u - 150) * 0.22, 105, -58 + (u - 150) * 0.22, raised)
        _put(image, np.maximum(np.maximum(chest, body + 8), 13 - cavity), MUSCLE + 4 * w, width)
    if 70 < u < 245:
        front = -at(u, (70, 96), (120, 96), (165, 91), (205, 77), (245, 58))
        plate = ellipse(x, y, 0, front, at(u, (70, 10), (90, 16), (200, 17), (245, 26)), 6)
        _put(image, plate, 430.0, width)
        _put(image, plate + 2, 130.0 + 40 * w, width)


def _abdomen(
    image: Plane,
    x: Plane,
    y: Plane,
    u: float,
    v: Variation,
    cavity: Plane,
    lungs: Plane,
    w: Plane,
    width: float,
) -> None:
    """Liver, spleen and stomach, under a diaphragm 3 mm thick."""
    inside = common(cavity + 3, 3.5 - lungs, 4)
    _put(image, inside - 2.5, MUSCLE, width)
    _put(image, inside, FAT, width)
    dome = np.maximum(np.float32(u) - diaphragm(x, y, -1, v) + 3, x + 6)
    lobe = ellipsoid(x, y, u, (-6, -42, 8), (80, 44, 60))
    liver = common(union(dome, lobe, 12), inside + 1, 6)
    liver = common(liver, x - 44 + 0.45 * (y + 40), 24)
    _put(image, liver + 2 * w, LIVER + 3 * w, width)
    spleen = common(ellipsoid(x, y, u, (88, 42, 45), (36, 34, 42)), inside, 6)
    _put(image, spleen, 50.0 + 2 * w, width)
    stomach = common(ellipsoid(x, y, u, (62, -18, 38), (40, 42, 44)), inside, 6)
    _put(image, stomach, 40.0, width)
    _put(image, stomach + 4, 12.0, width)
    _put(image, np.maximum(stomach + 4, y + 30), AIR, width)


def _middle(
    image: Plane, x: Plane, y: Plane, u: float, v: Variation, w: Plane, width: float
) -> None:
    """Heart, great vessels, oesophagus, thymic and neck tissue."""
    heart = heart_shape(x, y, u, v)
    _put(image, heart - 2.4, 15.0, width)
    _put(image, heart - 1.4, -80.0, width)
    _put(image, heart + 2 * w, 46.0, width)
    discs: list[tuple[float, float, float, float]] = []
    if u < 213:
        discs.append((22, 36, 12.5 + v.aorta, BLOOD))
    if 152 < u < 213:
        discs.append((-13, -26, 15.5 + v.aorta, BLOOD))
    if 150 < u < 182:
        discs.append((17, -30, 13, BLOOD))
    if 140 < u < 245:
        discs.append((-29, -18, 8.5, BLOOD))
    if u < 118:
        discs.append((-24, 8, 12, BLOOD))
    if u > 216:
        discs += [(-20, -6, 7, BLOOD), (3, -14, 5, BLOOD), (18, 8, 5.5, BLOOD), (26, -16, 7, BLOOD)]
    for side in (-1, 1):
        _put(image, ellipsoid(x, y, u, (side * 20, -2, 300), (14, 15, 44)), 75.0, width)
    discs.append((5, 27, 6, 35.0))
    for cx, cy, r, hu in discs:
        _put(image, ellipse(x, y, cx + 2 * np.sin(u / 23), cy, r, r), hu, width)
    arch = 219 - u
    if abs(arch) < 13:
        r = float(np.sqrt(13.0**2 - arch**2))
        _put(image, strip(x, y, 22, 36, -11, -22, r), BLOOD, width)
    if 166 < u < 186:
        r = float(np.sqrt(max(11.0**2 - (176 - u) ** 2, 0.0)))
        _put(image, strip(x, y, 17, -30, 38, -2, r), BLOOD, width)
        _put(image, strip(x, y, 10, -16, -36, -2, 0.9 * r), BLOOD, width)
    if 132 < u < 160:
        r = float(np.sqrt(max(10.0**2 - (146 - u) ** 2, 0.0)))
        _put(image, strip(x, y, -38, 6, 40, 8, r), BLOOD, width)


def _spine(image: Plane, x: Plane, y: Plane, u: float, w: Plane, width: float) -> None:
    """Vertebral bodies and discs, arch, canal, transverse and spinous processes."""
    phase = (u % VERTEBRA_PITCH) / VERTEBRA_PITCH
    disc = phase > 0.8
    waist = 1.4 * float(np.sin(np.pi * min(phase / 0.8, 1)))
    body = ellipse(x, y, 0, 54, 18.5 - waist, 15 - waist)
    edge = min(abs(phase), abs(phase - 0.8), abs(phase - 1)) * VERTEBRA_PITCH < 1.5
    shell, core = (85.0, 75.0) if disc else (430.0, 330.0 if edge else 175.0)
    _put(image, body, shell, width)
    _put(image, body + 1.8, core + (0 if disc else 35) * w, width)
    arch = np.abs(ellipse(x, y, 0, 76, 12, 11)) - 3.0
    _put(image, np.maximum(arch, 62 - y), 420.0 if phase < 0.75 else 60.0, width)
    if 0.25 < phase < 0.7:
        wings = strip(np.abs(x), y, 10, 76, 33, 86, 4.5)
        _put(image, wings, 380.0, width)
        _put(image, wings + 1.8, 180.0, width)
    if phase < 0.8:
        spinous = strip(x, y, 0, 87, 0, 99, 2.8)
        _put(image, spinous, 380.0, width)
    _put(image, ellipse(x, y, 0, 75, 9.5, 8.5), FAT, width)
    _put(image, ellipse(x, y, 0, 75, 8, 7), 18.0, width)
    _put(image, ellipse(x, y, 0, 75, 5, 4), 38.0, width)
