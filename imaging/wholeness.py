"""Whether the images of a study that are here make whole scans, by their headers alone.

A slice that is still on its way leaves a gap between two that came, or one time point or echo
with fewer images than the others. What came twice, or lies otherwise than the rest, is told too,
but nothing is waited for because of it. The slices at the ends leave no gap. The first ones are
missed where InstanceNumber begins above 1, the last ones where ImagesInAcquisition counts more;
few scanners write that, and without it only the PACS's count can tell.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from imaging.grouping import Series, group_series
from imaging.headers import Scan
from imaging.language import Text
from imaging.planes import is_localizer, prevailing, slice_normal
from imaging.stacks import by_position

FEWEST = 6
"""Positions; fewer are a scout, or tell nothing."""
A_GAP = 1.5
"""Times the usual distance, from which on a slice is missing between two."""
MOST_GAPS = 0.1
"""Of all distances; where more are wide, the scan was made so (a head in two parts)."""
TENTH_OFF = 0.2
"""A gap is a whole number of slices, but for this share of one."""
MOST_AT_ENDS = 0.25
"""Of what the scan would have. Numbers that begin further up go on from another series', and a
count of more is of several series made of one acquisition."""
MOST_OTHERWISE = 0.3
"""Of the images; more that lie otherwise are a second part (a scout of three planes)."""


class Kind(StrEnum):
    """What is odd about a series."""

    GAP = "gap"
    """Positions are missing between others."""
    ENDS = "ends"
    """The first or the last images are missing."""
    UNEVEN = "uneven"
    """Some positions have fewer images than most: a time point or an echo is not whole."""
    TWICE = "twice"
    """Some positions have more images than most."""
    OTHERWISE = "otherwise"
    """Some images lie otherwise than most."""


@dataclass(frozen=True)
class Doubt:
    """One thing that makes a series look unfinished, or odd."""

    kind: Kind
    series: str
    """What people call it."""
    images: int
    """How many are missing, or are odd."""
    text: Text

    @property
    def waits(self) -> bool:
        """Whether images that are still to come would mend it."""
        return self.kind in (Kind.GAP, Kind.ENDS, Kind.UNEVEN)


def doubts_about(scan: Scan) -> tuple[Doubt, ...]:
    """What is odd about each series of a study, in the order of the series' numbers."""
    series = sorted(group_series(scan), key=lambda each: (each.header.number.zfill(8), each.uid))
    return tuple(doubt for each in series for doubt in _of_series(each))


def _of_series(series: Series) -> list[Doubt]:
    placed = tuple(s for s in series.slices if s.position is not None and s.orientation is not None)
    if not placed or len(placed) < len(series.slices):
        return []
    main = prevailing(placed)
    if is_localizer(main[0]):
        return []
    stacked = by_position(main)
    if len(stacked) < FEWEST:
        return []
    normal = slice_normal(main[0])
    places = np.array([images[0].position for images in stacked.values()]) @ normal
    held = np.array([len(images) for images in stacked.values()])
    found = [_gap(series.name, places), _ends(series), *_counts(series.name, held)]
    odd = len(placed) - len(main)
    if 0 < odd <= MOST_OTHERWISE * len(placed):
        en, zh = f"{odd} image(s) lie otherwise than the rest", f"{odd} 幅图像方向或尺寸不同"
        found.append(_doubt(Kind.OTHERWISE, series.name, odd, en, zh))
    return [doubt for doubt in found if doubt is not None]


def _gap(name: str, places: NDArray[np.float64]) -> Doubt | None:
    """Wide distances between positions, mm along the normal, ascending, (n,)."""
    steps = np.diff(places)
    usual = float(np.median(steps))
    wide = np.flatnonzero(steps > A_GAP * usual)
    if not wide.size or wide.size > max(1.0, MOST_GAPS * steps.size):
        return None
    slices = steps[wide] / usual
    if np.any(np.abs(slices - np.round(slices)) > TENTH_OFF):
        return None
    missing = int(np.round(slices - 1).sum())
    where = ", ".join(f"{places[n]:.0f} .. {places[n + 1]:.0f} mm" for n in wide[:3])
    en = f"{missing} slice(s) are missing between others ({where})"
    return _doubt(Kind.GAP, name, missing, en, f"中间缺少 {missing} 层（{where}）")


def _ends(series: Series) -> Doubt | None:
    """Images that the numbers of those that are here say are missing before or after them."""
    images = series.slices
    numbers = sorted({image.instance_number for image in images})
    one_each = all(image.frame_number is None for image in images) and not series.number
    first, held = numbers[0], len(images)
    if not one_each or first < 1 or numbers != list(range(first, first + held)):
        return None
    acquisitions = {dict(image.variant).get("AcquisitionNumber") for image in images}
    said = {image.images_in_acquisition for image in images}
    whole = said.pop() if len(acquisitions) == len(said) == 1 else 0
    for missing, en, zh in (
        (whole - held, f"ImagesInAcquisition counts {whole} image(s), {held} are here",
         f"ImagesInAcquisition 计 {whole} 幅，已收到 {held} 幅"),
        (first - 1, f"InstanceNumber begins at {first}: the first {first - 1} image(s) are missing",
         f"InstanceNumber 从 {first} 开始，缺少最前 {first - 1} 幅"),
    ):  # fmt: skip
        if 0 < missing <= MOST_AT_ENDS * (held + missing):
            return _doubt(Kind.ENDS, series.name, missing, en, zh)
    return None


def _counts(name: str, held: NDArray[np.int_]) -> list[Doubt | None]:
    """Positions with fewer or more images than most have; how many each has, (n,)."""
    ((most, agree),) = Counter(held.tolist()).most_common(1)
    if agree <= len(held) / 2:  # several parts that overlap: nothing is the rule
        return []
    fewer, more = int((most - held)[held < most].sum()), int((held - most)[held > most].sum())
    found: list[Doubt | None] = []
    if fewer:
        places_short = int((held < most).sum())
        en = (
            f"{places_short} position(s) have fewer than the {most} images that the others have "
            f"(time points or echoes): {fewer} are missing"
        )
        zh = f"{places_short} 个位置的图像少于其余位置的 {most} 幅（期相或回波），缺少 {fewer} 幅"
        found.append(_doubt(Kind.UNEVEN, name, fewer, en, zh))
    if more:
        en = f"{more} image(s) lie where another lies already"
        found.append(_doubt(Kind.TWICE, name, more, en, f"{more} 幅图像位置重复"))
    return found


def _doubt(kind: Kind, name: str, images: int, en: str, zh: str) -> Doubt:
    return Doubt(kind, name, images, Text(en=f"series {name}: {en}", zh=f"序列 {name}：{zh}"))
