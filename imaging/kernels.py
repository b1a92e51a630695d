"""Reconstruction kernels of CT: smooth, or sharp as for lung and bone, by their makers' names."""

from __future__ import annotations

import re
from enum import StrEnum

from imaging.headers import SeriesHeader
from imaging.series_words import plain_words


class Sharpness(StrEnum):
    """What a kernel does to edges and noise."""

    SOFT = "soft"
    SHARP = "sharp"
    UNKNOWN = "unknown"


SHARP_FROM = 50
"""Siemens number their kernels by sharpness, 10 to 90; from here on they are for lung and bone
(B50f, B70f, Br59d, Bl57d, I70f; B46 and below are for soft tissue)."""
_SHARP = frozenset(
    # GE
    {"LUNG", "BONE", "BONEPLUS", "EDGE", "ULTRA", "HD LUNG", "HD BONE"}
    # Philips
    | {"D", "E", "L", "YB", "YC", "YD", "YE", "Y-DETAIL", "Y-SHARP"}
    # United Imaging, Canon by their families
    | {"B_SHARP", "BODY SHARP", "BONE SHARP"}
)
_SOFT = frozenset(
    {
        "SOFT",
        "STANDARD",
        "STND",
        "STD",
        "CHST",
        "CHEST",
        "DETAIL",
        "A",
        "B",
        "C",
        "BR",
        "UB",
        "BODY",
    }
)
_SIEMENS = re.compile(r"^[BHIJUQ][A-Z]?(\d\d)")
# Toshiba, Canon: 1 to 29 for soft tissue, 30 to 39 bone, 50 to 59 lung, 80 to 89 fine lung.
_CANON = re.compile(r"^FC(\d\d)")
_SAYS_SHARP = re.compile(
    r"\blung\b|\bbones?\b|sharp|hrct|high ?res|\bhi-? ?res\b|\bedge\b|\bhr\b|pulm[aã]o|"
    r"肺窗|骨窗|高分辨",
    re.IGNORECASE,
)
_SAYS_SOFT = re.compile(
    r"\bsoft|\bsft\b|\bs\.?t\b|\bdetail\b|stand(?:ard)?\b|\bstn?d\b|mediast|软组织|纵隔",
    re.IGNORECASE,
)
_NAMED = re.compile(r"\b([BHIJUQ][a-zA-Z]?\d\d|FC\d\d)(?=[a-z]?\b)")


def sharpness_of(kernel: str) -> Sharpness:
    """What a ConvolutionKernel is; ``UNKNOWN`` where its name is none of the known ones."""
    name = kernel.upper().split("/")[0].strip()
    if name in _SHARP:
        return Sharpness.SHARP
    if name in _SOFT:
        return Sharpness.SOFT
    if found := _SIEMENS.match(name):
        return Sharpness.SHARP if int(found[1]) >= SHARP_FROM else Sharpness.SOFT
    if found := _CANON.match(name):
        return Sharpness.SHARP if int(found[1]) >= 30 else Sharpness.SOFT
    if "SHARP" in name or "LUNG" in name or "BONE" in name:
        return Sharpness.SHARP
    return Sharpness.SOFT if "SOFT" in name else Sharpness.UNKNOWN


def sharpness(header: SeriesHeader) -> Sharpness:
    """Of a series: by its kernel, else by its description."""
    by_kernel = sharpness_of(header.kernel)
    return told_sharpness(header.description) if by_kernel is Sharpness.UNKNOWN else by_kernel


def told_sharpness(text: str) -> Sharpness:
    """What a description says: by a kernel it names, else by its words."""
    words = plain_words(text)
    if named := _NAMED.search(words):
        return sharpness_of(named[1])
    if _SAYS_SOFT.search(words):
        return Sharpness.SOFT
    return Sharpness.SHARP if _SAYS_SHARP.search(words) else Sharpness.UNKNOWN


def is_sharp_kernel(kernel: str) -> bool:
    """Whether a ConvolutionKernel is one of the makers' sharp (lung or bone) kernels."""
    return sharpness_of(kernel) is Sharpness.SHARP
