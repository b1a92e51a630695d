"""Which part of the pancreas a place lies in: head, uncinate, neck, body, tail.

The borders are those of tumour staging (UICC/AJCC): the head lies to the right of the left
border of the superior mesenteric vein, the body between that and the left border of the aorta,
the tail beyond; the neck is the stretch in front of the vein (portal confluence), the uncinate
process what lies below the neck and reaches to the left behind the vein. Where head and uncinate
process meet no structure parts them: between the two the word is the least certain.

How they are found, best first, and how far each can be trusted:

1. vein and aorta were segmented: their borders along x. Right to a few mm where the patient
   lies straight.
2. only the aorta: the vein is taken to lie from 24 to 12 mm to the right of the aorta's left
   border. Right to about 10 mm; wrong in malrotation and after surgery.
3. nothing: fixed shares of the centre line, which are those of an average gland. Right to about
   a fifth of the gland's length; near a border the neighbouring part is as likely.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Points
from imaging.language import Text
from imaging.pancreas.centreline import Line
from imaging.pancreatic import Part
from imaging.volume import Region

SHARES: Final = (0.36, 0.45, 0.66)
"""Of the line's length: where the neck, the body and the tail begin."""
VEIN_FROM_AORTA_MM: Final = (24.0, 12.0)
"""Right and left border of the vein, to the right of the aorta's left border."""
LEAST_NECK_MM: Final = 8.0
BEHIND_NECK_MM: Final = 15.0
"""From the neck's middle to the back of the vein behind it."""
BESIDE_VEIN_MM: Final = 10.0
"""So far to the right of the vein the uncinate process begins, where it lies behind."""
NEAR_MM: Final = 25.0
"""A vessel is looked at no farther than this above and below the gland's middle."""
PARTS: Final = (Part.HEAD, Part.UNCINATE, Part.NECK, Part.BODY, Part.TAIL)

BY_VESSELS: Final = Text(
    en="by the segmented vein and aorta (borders of tumour staging)",
    zh="依据已分割的静脉与主动脉（肿瘤分期所用分界）",
)
BY_AORTA: Final = Text(
    en="by the aorta's left border, the vein taken to lie where it mostly does: right to about "
    "10 mm",
    zh="依据主动脉左缘，静脉位置按常见解剖推定，误差约 10 mm",
)
BY_SHARES: Final = Text(
    en="by its share of the gland's length, no vessel was segmented: near a border the "
    "neighbouring part is as likely",
    zh="未分割血管，按胰腺长度比例推定；近分界处可能属于相邻部分",
)


@dataclass(frozen=True)
class Landmarks:
    """Where the vessels lie that part the gland; LPS x, mm, growing to the patient's left.

    Attributes:
        vein_right_mm: right border of the superior mesenteric vein or portal confluence.
        vein_left_mm: its left border.
        aorta_left_mm: left border of the aorta.
    """

    vein_right_mm: float | None = None
    vein_left_mm: float | None = None
    aorta_left_mm: float | None = None


@dataclass(frozen=True, eq=False)
class Parts:
    """A gland's line, divided.

    Attributes:
        line: from the head to the tail.
        neck_at: where on it the neck begins, mm.
        body_at: where the body begins, mm.
        tail_at: where the tail begins, mm.
        why: what the borders were told from.
    """

    line: Line
    neck_at: float
    body_at: float
    tail_at: float
    why: Text

    def of(self, points_mm: Points) -> NDArray[np.intp]:
        """The part of each LPS point (n, 3), as an index into :data:`PARTS`."""
        points = np.asarray(points_mm, np.float64).reshape(-1, 3)
        along = self.line.along[self.line.nearest(points)]
        part = np.select(
            [along < self.neck_at, along < self.body_at, along < self.tail_at],
            [PARTS.index(Part.HEAD), PARTS.index(Part.NECK), PARTS.index(Part.BODY)],
            PARTS.index(Part.TAIL),
        )
        # Below the neck and to the left of where the head ends; what lies behind the vein's level
        # counts from a little further right, since the process begins beside the vein.
        start = self._at(self.neck_at)
        lowest = min(start[2], self._at(self.body_at)[2])
        behind = points[:, 1] > start[1] + BEHIND_NECK_MM
        border = np.where(behind, start[0] - BESIDE_VEIN_MM, start[0])
        hooked = (points[:, 0] > border) & (points[:, 2] < lowest - LEAST_NECK_MM)
        # The tail may hang low as well; the uncinate process does not reach that far.
        near = points[:, 0] < self._at(self.body_at)[0] + 2 * LEAST_NECK_MM
        return np.where(hooked & near & (along < self.body_at), PARTS.index(Part.UNCINATE), part)

    @property
    def missing(self) -> tuple[Part, ...]:
        """Head or tail, where the line does not reach it."""
        missing = [Part.HEAD] if self.neck_at <= 0 else []
        return (*missing, *([Part.TAIL] if self.tail_at >= self.line.length_mm else []))

    def at(self, point_mm: Points | tuple[float, float, float]) -> Part:
        """The part of one LPS point."""
        return PARTS[int(self.of(np.asarray(point_mm))[0])]

    def _at(self, along: float) -> NDArray[np.float64]:
        index = int(np.searchsorted(self.line.along, along).clip(0, len(self.line.points) - 1))
        return np.asarray(self.line.points[index])


def divide(line: Line, landmarks: Landmarks | None = None) -> Parts:
    """Divide a gland by what is known of the vessels around it.

    Args:
        line: of the gland, from the head to the tail.
        landmarks: the vessels that were segmented; None: none.
    """
    marks = landmarks or Landmarks()
    right, left, aorta = marks.vein_right_mm, marks.vein_left_mm, marks.aorta_left_mm
    why = BY_VESSELS
    if right is None or left is None:
        if aorta is None:
            return _by_shares(line)
        right, left = (aorta - off for off in VEIN_FROM_AORTA_MM)
        why = BY_AORTA
    neck, body = _crossing(line, right), _crossing(line, left)
    if neck > 0:
        body = max(body, neck + LEAST_NECK_MM)
    # Half-way, as body and tail are divided where the aorta is not used.
    tail = _crossing(line, aorta) if aorta is not None else (body + line.length_mm) / 2
    end = line.length_mm
    return Parts(line, min(neck, end), min(body, end), min(max(tail, body), end), why)


def landmarks_of(
    line: Line,
    *,
    vein: Region | None = None,
    confluence: Region | None = None,
    aorta: Region | None = None,
) -> Landmarks:
    """Where the segmented vessels lie, near the gland.

    Args:
        line: of the gland.
        vein: superior mesenteric or portal vein.
        confluence: a mask that holds the splenic vein as well; only what is low counts, where it
            is the mesenteric vein or the confluence alone.
        aorta: whole or abdominal.
    """
    right = left = None
    if vein is not None:
        right, left = _borders(line, vein, low=False)
    if right is None and confluence is not None:
        right, left = _borders(line, confluence, low=True)
    aorta_left = _borders(line, aorta, low=False)[1] if aorta is not None else None
    return Landmarks(right, left, aorta_left)


def _borders(line: Line, vessel: Region, *, low: bool) -> tuple[float | None, float | None]:
    """Right and left border of a vessel where the gland's neck passes it, LPS x."""
    points = vessel.points_mm
    middle = float(np.interp(SHARES[0] * line.length_mm, line.along, line.points[:, 2]))
    top = middle if low else middle + NEAR_MM
    points = points[(points[:, 2] > middle - NEAR_MM) & (points[:, 2] < top)]
    if not len(points):
        return None, None
    # Slice by slice, so that a vessel that runs aslant does not look wide.
    heights = np.round(points[:, 2], 2)
    sides = [np.percentile(points[heights == z, 0], (2, 98)) for z in np.unique(heights)]
    right, left = np.median(np.array(sides), axis=0)
    half = vessel.within.spacing_mm[2] / 2
    return float(right) - half, float(left) + half


def _by_shares(line: Line) -> Parts:
    neck, body, tail = (share * line.length_mm for share in SHARES)
    return Parts(line, neck, body, tail, BY_SHARES)


def _crossing(line: Line, x: float) -> float:
    """Where a line last comes from the right of a sagittal plane, mm along it.

    0 for a line that lies to the left of it (a mask without a head), its length for one that
    does not reach it.
    """
    right = line.points[:, 0] <= x
    if not right.any():
        return 0.0
    # The last crossing: the uncinate process may lie left of the plane at the beginning.
    return float(line.along[int(np.flatnonzero(right)[-1])])
