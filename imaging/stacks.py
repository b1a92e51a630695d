"""One image a position: which of several stacks under one SeriesInstanceUID makes the volume.

A series can hold many images of each place: echoes, b values, time points, magnitude and phase,
two kernels. Headers tell them apart, single-frame attributes or the functional groups and
dimensions of an enhanced image (PS3.3 C.7.6.16, C.7.6.17) alike. No pixels are read here.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from imaging.headers import ImageSlice
from imaging.kernels import is_sharp_kernel
from imaging.notices import Notice, notice
from imaging.planes import slice_normal

SAME_PLACE_MM = 0.01
"""Two images nearer to each other than this along the normal lie at one position."""
WHOLE_STACK = 0.9
"""A stack that reaches so many of the positions, as a part of them, is a whole one."""

_FIRST = (
    "StackID", "ImageType", "ComplexImageComponent", "ContrastBolusAgent",
    "ContrastBolusAgentPhase", "ConvolutionKernel", "KVP", "EchoTime", "EffectiveEchoTime",
    "EchoNumbers", "InversionTime", "DiffusionBValue", "DiffusionDirectionality",
    "TemporalPositionIdentifier", "TemporalPositionIndex", "NominalPercentageOfCardiacPhase",
    "TriggerTime", "AcquisitionNumber",
)  # fmt: skip
"""In this order: what an image is comes before when it was made. Others follow by name."""
_NO_MAGNITUDE = {"P", "R", "I", "PHASE", "REAL", "IMAGINARY", "MIXED", "VELOCITY", "ADC"}
_LAST = ("AcquisitionTime",)
"""Only where nothing else tells: on many scanners every slice has one of its own."""


def one_stack(slices: tuple[ImageSlice, ...]) -> tuple[tuple[ImageSlice, ...], list[Notice]]:
    """Choose one stack of those that lie at the same positions.

    An attribute tells stacks apart where the images that share one of its values reach
    (nearly) all positions. Of several whole stacks the longest is taken, then magnitude before
    phase, enhanced before plain, soft before sharp, the shortest echo, the lowest b value, the
    first time point.

    Args:
        slices: of one orientation, with position and orientation.

    Returns:
        The images of the stack, and what was left out. Images that nothing tells apart stay.
    """
    kept, how = slices, list[str]()
    reached = len(by_position(slices))
    if reached in (1, len(slices)):
        return slices, []
    for keyword in _keywords(slices):
        if len(by_position(kept)) == len(kept):
            break
        groups: dict[str, list[ImageSlice]] = defaultdict(list)
        for image in kept:
            groups[dict(_variant(image)).get(keyword, "")].append(image)
        whole = {
            value: (count, images)
            for value, images in groups.items()
            if (count := len(by_position(tuple(images)))) >= WHOLE_STACK * reached
        }
        if len(groups) == 1 or not whole:
            continue
        value = min(whole, key=lambda v: (-whole[v][0], _preference(keyword, v)))
        kept = tuple(whole[value][1])
        how.append(f"{keyword} = {value or 'absent'}")
    if not how:
        return slices, []
    doubled = len(slices) - reached
    told = notice(
        "duplicate-positions", count=doubled, kept=len(kept), of=len(slices), how=", ".join(how)
    )
    return kept, [told]


def by_position(slices: tuple[ImageSlice, ...]) -> dict[int, list[ImageSlice]]:
    """The images by their place along the normal, 0, 1, ... from the lowest."""
    if not slices:
        return {}
    normal = slice_normal(slices[0])
    depth = np.array([image.position for image in slices], dtype=np.float64) @ normal
    order = sorted(
        range(len(slices)),
        key=lambda n: (depth[n], str(slices[n].path), slices[n].frame_number or 0),
    )
    groups: dict[int, list[ImageSlice]] = {}
    last = -np.inf
    for n in order:
        if depth[n] - last > SAME_PLACE_MM:
            groups[len(groups)] = []
        groups[len(groups) - 1].append(slices[n])
        last = depth[n]
    return groups


def _variant(image: ImageSlice) -> tuple[tuple[str, str], ...]:
    return (("ImageType", "\\".join(image.image_type)), *image.variant)


def _keywords(slices: tuple[ImageSlice, ...]) -> list[str]:
    found = {keyword for image in slices for keyword, _ in _variant(image)}
    middle = sorted(found - {*_FIRST, *_LAST})
    return [word for word in (*_FIRST, *middle, *_LAST) if word in found]


def _preference(keyword: str, value: str) -> tuple[bool, float, str]:
    """What sorts first is taken."""
    if keyword in ("ImageType", "ComplexImageComponent"):
        parts = value.split("\\")
        return any(p in _NO_MAGNITUDE or "MAP" in p for p in parts), 0.0, value
    if keyword == "ConvolutionKernel":
        return is_sharp_kernel(value.replace("\\", "/")), 0.0, value
    try:
        return value == "", float(value), value
    except ValueError:
        return value == "", 0.0, value
