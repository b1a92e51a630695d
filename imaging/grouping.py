"""The images of a study, by series, and by stack where one series holds several."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

from imaging.frame_kinds import kind_of, labels
from imaging.headers import ImageSlice, Scan, SeriesHeader


@dataclass(frozen=True)
class Series:
    """The images of one series, or of one of several stacks in it, in no order yet."""

    header: SeriesHeader
    slices: tuple[ImageSlice, ...]
    stack: str = ""
    """What tells it from the other stacks under the same SeriesInstanceUID; mostly empty."""
    number: int = 0
    """Of the stack, 1, 2, ...; 0 where the series is one."""

    @property
    def uid(self) -> str:
        """What a plan calls it: the SeriesInstanceUID, with ``#`` and the number of a stack."""
        return f"{self.header.series_uid}#{self.number}" if self.number else self.header.series_uid

    @property
    def description(self) -> str:
        """SeriesDescription, and the stack."""
        stack = f"[{self.stack}]" if self.stack else ""
        return " ".join(x for x in (self.header.description, stack) if x)

    @property
    def name(self) -> str:
        """What people call it: number and description."""
        return " ".join(x for x in (self.header.number, self.description) if x) or self.uid


def series_uid_of(planned: str) -> str:
    """The SeriesInstanceUID of what a plan calls a series (:attr:`Series.uid`)."""
    return planned.partition("#")[0]


def group_series(scan: Scan) -> list[Series]:
    """The images by SeriesInstanceUID; an enhanced series of several stacks by these."""
    images: dict[str, list[ImageSlice]] = defaultdict(list)
    for image in scan.slices:
        images[image.series_uid].append(image)
    found: list[Series] = []
    for uid, slices in images.items():
        named = labels(slices)
        stacks = sorted(set(named.values()))
        if len(stacks) == 1:
            found.append(Series(scan.series[uid], tuple(slices)))
            continue
        for number, stack in enumerate(stacks, start=1):
            mine = tuple(image for image in slices if named[kind_of(image)] == stack)
            header = scan.frames.get((uid, kind_of(mine[0])), scan.series[uid])
            phase = dict(kind_of(mine[0])).get("agent", "")
            found.append(Series(replace(header, agent_phase=phase), mine, stack, number))
    return found
