"""The organs of the simulated abdomen, drawn slice by slice.

Shapes are approximate signed distances in mm (negative inside), as in ``phantom_anatomy``.
Coordinates are LPS mm with the origin in the middle of the body; ``u`` is the height in mm above
the fourth lumbar vertebra: the pancreas lies at 75 to 150, the diaphragm's dome at 222.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.pancreatic import Phase
from imaging.phantom_anatomy import (
    FAT,
    MUSCLE,
    Plane,
    at,
    common,
    cover,
    ellipse,
    ellipsoid,
    strip,
    union,
)

Line = NDArray[np.float64]
"""(n, 4): x, y, u and radius, mm, of the points of a tube."""

HEIGHT = 260.0
"""From the fourth lumbar vertebra to above the diaphragm, mm."""
VERTEBRA_PITCH = 34.0


@dataclass(frozen=True)
class Densities:
    """Density of each organ in a phase, HU; typical values, none of a named patient."""

    aorta: float
    portal: float
    cava_low: float
    cava_high: float
    liver: float
    spleen: float
    pancreas: float
    cortex: float
    medulla: float
    lesion: float


DENSITIES = {
    Phase.PLAIN: Densities(42, 41, 41, 41, 58, 48, 40, 33, 31, 34),
    Phase.ARTERIAL: Densities(300, 140, 65, 125, 72, 135, 108, 195, 85, 60),
    Phase.PORTAL: Densities(155, 172, 130, 145, 112, 122, 95, 185, 165, 62),
}
"""Pancreatic (late arterial) and portal venous phases as in the ranges ``pancreas.phase`` cites."""


def tube_line(*points: tuple[float, float, float, float]) -> Line:
    """A line through (x, y, u, radius), mm."""
    return np.array(points, float)


GLAND = tube_line(
    (-34, -9, 98, 13), (-26, -16, 107, 11.5), (-10, -25, 114, 8), (6, -29, 120, 8.5),
    (25, -27, 126, 9.5), (45, -14, 131, 9.5), (65, 4, 136, 9), (82, 20, 142, 7),
)  # fmt: skip
"""The gland's centre line from the head to the tail."""
PAPILLA = (-44.0, -4.0, 88.0)
"""Where the ducts end in the duodenum."""
VESSELS: dict[str, tuple[Line, ...]] = {
    "aorta": (
        tube_line((6, 15, -40, 8), (10, 15, 60, 9), (11, 15, 150, 10.5), (19, 26, 230, 11.5),
                  (20, 28, 320, 12)),
    ),
    "sma": (
        tube_line((12, 8, 119, 4.2), (10, -4, 114, 4), (8, -8, 103, 3.8), (7, -10, 60, 3.4),
                  (5, -12, 20, 2.8)),
    ),
    "coeliac": (
        tube_line((12, 7, 134, 4), (9, -8, 137, 4)),
        tube_line((9, -8, 137, 3), (30, -14, 142, 2.8), (60, 0, 149, 2.6), (86, 26, 152, 2.4)),
    ),
    "cha": (tube_line((9, -8, 137, 3), (-12, -16, 139, 2.8), (-34, -18, 141, 2.6)),),
    "portal": (
        tube_line((-9, -9, 20, 4.5), (-9, -9, 80, 5.8), (-9, -11, 112, 6.8), (-26, -14, 132, 7),
                  (-44, -18, 150, 6.5), (-74, -8, 160, 4.5)),
        tube_line((-9, -11, 112, 5), (8, -15, 118, 4.5), (27, -12, 124, 4.3), (47, 1, 130, 4),
                  (67, 18, 136, 3.5), (86, 30, 143, 3)),
    ),
    "cava_low": (tube_line((-20, 20, -40, 8.5), (-20, 20, 96, 8.8)),),
    "cava_high": (tube_line((-20, 20, 96, 9), (-22, 14, 160, 10), (-24, 2, 215, 11.5),
                            (-24, -2, 240, 12)),),
}  # fmt: skip
"""Centre lines of the vessels."""


@dataclass(frozen=True)
class Lesion:
    """A lesion planted in the gland: its middle and half axes (x, y, u), mm."""

    centre: tuple[float, float, float]
    axes: tuple[float, float, float]


@dataclass(frozen=True)
class Patient:
    """What differs from one simulated patient to the next.

    Attributes:
        gland: the pancreas' centre line with radii.
        duct: the main duct's line with radii.
        lesion: planted in the gland, or None.
        hu: densities of the phase.
        lobules: (amplitude mm, three phases) of the gland's surface.
    """

    gland: Line
    duct: Line
    lesion: Lesion | None
    hu: Densities
    lobules: tuple[float, float, float, float] = (1.0, 0.0, 1.0, 2.0)


@dataclass
class Drawing:
    """A slice being drawn: HU (j, i), and the organs' masks by name."""

    x: Plane
    y: Plane
    u: float
    width: float
    image: Plane
    masks: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    def put(self, distance: Plane, hu: float | Plane, name: str = "") -> None:
        """Draw a shape over what is there; a named one takes its voxels from the others."""
        self.image += cover(distance, self.width) * (hu - self.image)
        if not name:
            return
        inside = distance < 0
        for other in self.masks.values():
            other &= ~inside
        self.masks[name] = inside | self.masks.get(name, np.zeros_like(inside))


def tube(x: Plane, y: Plane, u: float, line: Line) -> Plane:
    """Distance to a tube along a line, radii changing evenly between its points."""
    best: Plane = np.full(np.broadcast_shapes(x.shape, y.shape), 99.0, np.float32)
    for a, b in zip(line[:-1], line[1:], strict=True):
        reach = max(a[3], b[3]) + 12
        if not min(a[2], b[2]) - reach < u < max(a[2], b[2]) + reach:
            continue
        way = b[:3] - a[:3]
        along = (x - a[0]) * way[0] + (y - a[1]) * way[1] + (u - a[2]) * way[2]
        t = np.clip(along / float(way @ way), 0, 1)
        off = (x - a[0] - t * way[0]) ** 2 + (y - a[1] - t * way[1]) ** 2
        off = np.sqrt(off + (u - a[2] - t * way[2]) ** 2)
        best = np.minimum(best, (off - a[3] - t * (b[3] - a[3])).astype(np.float32))
    return best


def cavity(x: Plane, y: Plane) -> Plane:
    """Distance to what the muscles enclose, with the gutters beside the spine."""
    front = ellipse(x, y, 0, -8, 126, 74, 0.3)
    return union(front, ellipse(np.abs(x), y, 60, 38, 50, 37), 14)


def lungs(x: Plane, y: Plane, u: float) -> Plane:
    """Distance to the lungs' bases above the diaphragm."""
    top = np.where(x < 0, 222.0, 213.0)
    rho = ((np.abs(x) - 62) / 68) ** 2 + ((y + 4) / 78) ** 2
    floor = np.maximum(top - 44 * rho - 10 * rho * rho, 150.0)
    middle = np.maximum(24 - np.abs(x), -60 - y)
    shape = common(cavity(x, y) + 3, ((floor - u) * 0.8).astype(np.float32), 6)
    return common(shape, middle.astype(np.float32), 6)


def draw(drawing: Drawing, patient: Patient) -> None:
    """Draw everything at the drawing's height."""
    _wall(drawing)
    _liver_and_spleen(drawing, patient.hu)
    _bowel(drawing)
    _kidneys(drawing, patient.hu)
    _spine(drawing)
    if drawing.u < 0:
        _pelvis(drawing)
    _gland(drawing, patient)
    if drawing.u > 150:
        drawing.put(lungs(drawing.x, drawing.y, drawing.u), -860.0, "lung")
    _vessels(drawing, patient.hu)
    if drawing.u > 150:
        heart = ellipsoid(drawing.x, drawing.y, drawing.u, (22, -34, 268), (62, 46, 52))
        drawing.put(heart, 0.5 * patient.hu.aorta + 25, "heart")


def _wall(d: Drawing) -> None:
    x, y = d.x, d.y
    body = common(ellipse(x, y, 0, 0, 160, 106, 0.25), y - 104 + np.abs(x) / 12, 30)
    d.put(body, 30.0)
    d.put(body + 2.2, FAT)
    inside = cavity(x, y)
    d.put(np.maximum(inside - 11, body + 9), MUSCLE)
    back = np.maximum(ellipse(np.abs(x), y, 33, 80, 29, 19), body + 8)
    d.put(back, MUSCLE)
    if d.u > 70:
        _ribs(d)
    d.put(inside, FAT)
    psoas = at(d.u, (-40, 22), (60, 19), (110, 11), (140, 0))
    d.put(ellipse(np.abs(x), y, 40, 44, psoas, psoas * 1.1), MUSCLE)


def _ribs(d: Drawing) -> None:
    for number in range(9):
        start = 130.0 + 25 * number
        angle = 2.6 * (start - d.u) / 80
        if not 0.35 < angle < 2.3:
            continue
        px, py = 131 * np.sin(angle), -8 + 79 * np.cos(angle)
        py += 10 * np.exp(-(((px - 60) / 40) ** 2)) * (py > 0)
        rib = ellipse(np.abs(d.x), d.y, px, py, 6.0, 4.5)
        d.put(rib, 560.0)
        d.put(rib + 1.8, 220.0)


def _liver_and_spleen(d: Drawing, hu: Densities) -> None:
    x, y, u = d.x, d.y, d.u
    inside = cavity(x, y) + 2
    right = ellipsoid(x, y, u, (-68, -2, 146), (66, 74, 84))
    left = ellipsoid(x, y, u, (-8, -42, 176), (74, 36, 42))
    liver = common(union(right, left, 14), inside, 6)
    limit = at(u, (80, -72), (112, -60), (132, -26), (152, 10), (172, 60))
    liver = common(liver, x - np.float32(limit), 10)
    liver = common(liver, y - np.float32(at(u, (60, 14), (120, 20), (152, 62))), 10)
    d.put(liver, hu.liver, "liver")
    if 75 < u < 135:
        d.put(ellipsoid(x, y, u, (-66, -50, 105), (14, 18, 24)), 8.0, "gallbladder")
    spleen = common(ellipsoid(x, y, u, (98, 34, 160), (30, 38, 50)), inside, 6)
    d.put(spleen, hu.spleen, "spleen")


def _bowel(d: Drawing) -> None:
    x, y, u = d.x, d.y, d.u
    stomach = union(
        ellipsoid(x, y, u, (56, -36, 172), (42, 36, 46)),
        tube(x, y, u, tube_line((50, -50, 140, 22), (10, -58, 124, 17), (-34, -44, 118, 13))),
        14,
    )
    stomach = common(stomach, cavity(x, y) + 3, 6)
    d.put(stomach, 62.0, "stomach")
    d.put(stomach + 4, 14.0)
    d.put(np.maximum(stomach + 4, y + 54), -940.0)
    duodenum = tube(x, y, u, tube_line((-40, -38, 116, 11), (-55, -6, 108, 11), (-55, 0, 80, 11),
                                       (-40, -2, 62, 11), (10, -2, 58, 10)))  # fmt: skip
    d.put(duodenum, 60.0, "duodenum")
    d.put(duodenum + 2.5, 18.0)
    for side, low, high in ((-1, -60, 92), (1, -60, 128)):
        colon = tube(x, y, u, tube_line((side * 98, 10, low, 19), (side * 100, 14, high, 17)))
        d.put(colon, 45.0)
        d.put(colon + 3, 10 - 260 * np.clip(np.sin(u / 5.3 + x / 7), -0.3, 1))
    if u < 90:
        shrink = min((90 - u) / 25, 1.0)
        for cx, cy, r, gas in ((-58, -48, 15, 0), (-22, -54, 16, 1), (18, -50, 15, 0),
                               (52, -44, 16, 1), (62, -6, 15, 0), (-62, -12, 14, 0)):  # fmt: skip
            cx, cy = cx + 6 * np.sin(u / 11 + cy), cy + 5 * np.cos(u / 9 + cx)
            loop = ellipse(x, y, cx, cy, shrink * r, shrink * r)
            d.put(loop, 58.0)
            d.put(loop + 2.5, 16.0)
            if gas:
                d.put(np.maximum(loop + 2.5, y - cy + 3), -930.0)


def _kidneys(d: Drawing, hu: Densities) -> None:
    for side, middle in ((-1, 80.0), (1, 95.0)):
        shape = ellipsoid(d.x, d.y, d.u, (side * 64, 40, middle), (27, 26, 55))
        sinus = ellipsoid(d.x, d.y, d.u, (side * 50, 36, middle), (13, 9, 26))
        d.put(shape, hu.cortex, "kidneys")
        d.put(shape + 7.5, hu.medulla)
        d.put(sinus, FAT)


def _spine(d: Drawing) -> None:
    """Vertebrae and discs; end plates are curved, so one fades into the other over 5 mm."""
    x, y = d.x, d.y
    phase = (d.u % VERTEBRA_PITCH) / VERTEBRA_PITCH
    edge = min(abs(phase - 0.72), abs(phase - 1), phase) * VERTEBRA_PITCH
    fade = float(np.clip(edge / 2.5, 0, 1)) / 2
    disc = 0.5 + fade if phase > 0.72 else 0.5 - fade
    body = ellipse(x, y, 0, 43, 20 + disc, 17)
    d.put(body, 430 - 340 * disc, "spine")
    d.put(body + 1.8, 190 - 110 * disc)
    d.put(np.maximum(np.abs(ellipse(x, y, 0, 71, 12, 11)) - 3.0, 58 - y), 420.0)
    wings = float(np.clip((0.7 - phase) / 0.08, 0, 1))
    if wings:
        d.put(ellipse(np.abs(x), y, 28, 74, 16 * wings, 4.5), 380.0)
        d.put(ellipse(x, y, 0, 90, 3.2, 9 * wings), 380.0)
    d.put(ellipse(x, y, 0, 71, 9.5, 8.5), FAT)
    d.put(ellipse(x, y, 0, 71, 8, 7), 20.0)


def _pelvis(d: Drawing) -> None:
    """Wings of the ilium from the crest down, then the heads of the femora."""
    side = np.abs(d.x)
    half = min(0.5 * (4 - d.u), 46.0)
    dx, dy = 0.76 * half, -0.65 * half
    wing = strip(side, d.y, 92 - dx, 22 - dy, 92 + dx, 22 + dy, 6.0)
    d.put(wing, 560.0, "ilium")
    d.put(wing + 2.2, 190.0)
    head = ellipsoid(side, d.y, d.u, (94, 2, -128), (24, 24, 24))
    d.put(head, 520.0)
    d.put(head + 2.0, 260.0)


def _gland(d: Drawing, patient: Patient) -> None:
    x, y, u = d.x, d.y, d.u
    if not 55 < u < 165:
        return
    head = ellipsoid(x, y, u, (-35, -8, 97), (15, 15, 24))
    uncinate = ellipsoid(x, y, u, (-22, 1, 88), (15, 9, 15))
    size, first, second, third = patient.lobules
    waves = np.sin(x / 3.1 + first) * np.sin(y / 2.7 + second) * np.sin(u / 3.3 + third)
    shape = union(union(tube(x, y, u, patient.gland), head, 8), uncinate, 6)
    shape = shape + np.float32(size) * waves.astype(np.float32)
    lesion = patient.lesion
    tumour: Plane | None = None
    if lesion is not None:
        tumour = ellipsoid(x, y, u, lesion.centre, lesion.axes)
        shape = union(shape, tumour, 4)
    d.put(shape, patient.hu.pancreas + 4 * waves, "pancreas")
    whole = d.masks["pancreas"]
    d.put(tube(x, y, u, patient.duct), 6.0)
    d.masks["duct"] = tube(x, y, u, patient.duct) < 0
    bile = tube(x, y, u, tube_line((-46, -12, 158, 2.8), (-40, -3, 110, 2.8), (*PAPILLA, 2.2)))
    d.put(bile, 6.0)
    if tumour is not None:
        d.put(tumour, patient.hu.lesion)
        d.masks["lesion"] = tumour < 0
        d.masks["duct"] &= ~d.masks["lesion"]
    d.masks["pancreas"] = whole


def _vessels(d: Drawing, hu: Densities) -> None:
    density: dict[str, Any] = {
        "aorta": hu.aorta, "sma": hu.aorta, "coeliac": hu.aorta, "cha": hu.aorta,
        "portal": hu.portal, "cava_low": hu.cava_low, "cava_high": hu.cava_high,
    }  # fmt: skip
    for name in ("cava_low", "cava_high", "portal", "cha", "coeliac", "sma", "aorta"):
        for line in VESSELS[name]:
            shape = tube(d.x, d.y, d.u, line)
            if name in ("sma", "coeliac"):
                d.put(shape - 2.0, FAT)
            d.put(shape, density[name], name)
