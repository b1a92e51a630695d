"""Several volumes in one enhanced image or series: T2 and T1, axial and coronal, before and after.

A stack that a maker numbered, an orientation, a frame type or an echo of its own makes a
candidate of its own for the models to choose from. What is repeated in time or by diffusion
stays together: of that :mod:`imaging.stacks` takes one.
Source: PS3.3 C.7.6.16 (functional groups), C.7.6.16.2.2 (Stack ID).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from imaging.image_slice import ImageSlice

MOST_KINDS = 8
"""More kinds than this are a measurement (a map of T2 by 32 echoes), no choice of volumes."""
_FINE = 2
"""The first parts of a kind that stay where all together make too many."""

Kind = tuple[tuple[str, str], ...]
"""Name and value of what tells a frame's kind, in the order in which people would say it."""


def kind_of(image: ImageSlice) -> Kind:
    """Of an enhanced frame; empty of any other image."""
    if image.frame_number is None:
        return ()
    said = dict(image.variant)
    parts = [
        ("plane", _plane(image)),
        ("stack", said.get("StackID", "")),
        ("type", " ".join(part for part in image.image_type[2:] if part != "NONE")),
        ("agent", said.get("ContrastBolusAgentPhase", "")),
        ("TE", _milliseconds(said.get("EffectiveEchoTime") or said.get("EchoTime", ""))),
    ]
    return tuple(parts)


def labels(images: Iterable[ImageSlice]) -> dict[Kind, str]:
    """What to call each kind among the images of one series: by what differs among them.

    Returns:
        ``{kind: "stack 1, T2, TE 108", ...}``, sorted; one empty label for all where there is
        one kind, or too many to choose from.
    """
    kinds = sorted({kind_of(image) for image in images})
    differing = [n for n in range(max(map(len, kinds), default=0)) if _differs(kinds, n)]
    while differing and len({_label(kind, differing) for kind in kinds}) > MOST_KINDS:
        differing.pop()
        if len(differing) < _FINE:
            differing = []
    return {kind: _label(kind, differing) for kind in kinds}


def _differs(kinds: list[Kind], n: int) -> bool:
    return len({kind[n : n + 1] for kind in kinds}) > 1


def _label(kind: Kind, parts: list[int]) -> str:
    said = [kind[n] for n in parts if n < len(kind) and kind[n][1]]
    return ", ".join(
        f"{name} {value}" if name in ("stack", "TE") else value for name, value in said
    )


def _plane(image: ImageSlice) -> str:
    """The plane nearest to which it lies."""
    if image.orientation is None:
        return ""
    across = np.abs(np.cross(image.orientation[:3], image.orientation[3:]))
    return ("sagittal", "coronal", "axial")[int(across.argmax())]


def _milliseconds(value: str) -> str:
    try:
        return f"{float(value):.4g}"
    except ValueError:
        return value
