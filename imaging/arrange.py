"""The order of a series: which images make the stack, where the gaps are, what to leave out.

Pure geometry on headers; no pixels are read here. Source: PS3.3 C.7.6.2 (Image Plane).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from imaging.errors import InconsistentSeries, IrregularGeometry, NoImages
from imaging.geometry import Grid
from imaging.headers import ImageSlice
from imaging.notices import Notice, notice
from imaging.series import slice_normal

SAME_PLACE_MM = 0.01
"""Two images nearer to each other than this along the normal lie at one position."""
STEP_TOLERANCE = 0.1
"""How far a step may be from a whole number of slice distances, as a part of one distance."""
ROUNDING_MM = 0.11
"""... but so much is always allowed: positions that were rounded to 0.1 mm."""
LONGEST_GAP = 2
"""So many neighbouring slices may be missing and are interpolated; more is refused."""
MOST_MISSING = 0.05
"""Part of all slices that may be missing in sum."""
MOST_STRAY = 0.2
"""How far an image may lie from its place on the grid, as a part of one distance ..."""
LEAST_STRAY_MM = 0.5
"""... but so much is always allowed, mm."""
SAME_COSINE = 0.002
SAME_SPACING_MM = 0.0002
"""Headers are rounded: orientations and pixel spacings nearer than this are the same."""
MOST_SHEAR_DEGREES = 0.5
"""A gantry tilt above this makes no orthogonal grid."""


@dataclass(frozen=True)
class Stack:
    """A regular stack of images.

    Attributes:
        grid: where the voxels will be, LPS mm; index k grows along the slices' normal.
        slices: for each k the image, or None where one is missing.
        notices: what had to be left out or will be interpolated.
    """

    grid: Grid
    slices: tuple[ImageSlice | None, ...]
    notices: tuple[Notice, ...]


def arrange(slices: tuple[ImageSlice, ...]) -> Stack:
    """Order the images of one series into a regular stack, whatever order they came in.

    Args:
        slices: images with position, orientation and pixel spacing.

    Raises:
        NoImages: fewer than two images.
        InconsistentSeries: sizes or orientations are mixed and no group prevails, or several
            images share a position and nothing tells which to use.
        IrregularGeometry: uneven steps, long gaps, or a tilted gantry.
    """
    if len(slices) < 2:
        raise NoImages(f"{len(slices)} image(s) make no volume; at least 2 are needed")
    slices, notices = _one_shape(slices)
    slices, more = _one_per_position(slices)
    notices += more
    normal = slice_normal(slices[0])
    ordered = sorted(slices, key=lambda s: float(normal @ np.asarray(s.position)))
    places, missing = _places(ordered, normal)
    count = places[-1] + 1
    filled: list[ImageSlice | None] = [None] * count
    for place, image in zip(places, ordered, strict=True):
        filled[place] = image
    first, last = ordered[0], ordered[-1]
    step = (np.asarray(last.position) - np.asarray(first.position)) / (count - 1)
    _check_strays(ordered, places, step)
    _check_shear(step, normal)
    grid = Grid.from_dicom(
        (count, first.rows, first.columns),
        np.asarray(first.position),
        np.asarray(first.orientation),
        np.asarray(first.pixel_spacing),
        step,
    )
    if missing:
        z = [round(float(grid.to_lps((k, 0, 0))[2]), 1) for k in missing]
        where = f"{min(z):g} .. {max(z):g} (z)" if len(z) > 1 else f"z = {z[0]:g}"
        notices.append(notice("missing-slices", count=len(missing), where=where))
    return Stack(grid, tuple(filled), tuple(notices))


def _one_shape(slices: tuple[ImageSlice, ...]) -> tuple[tuple[ImageSlice, ...], list[Notice]]:
    """Images that share size, pixel spacing and orientation; a small minority is left out."""

    kinds: list[list[ImageSlice]] = []
    for image in slices:
        for kind in kinds:
            if _same_shape(image, kind[0]):
                kind.append(image)
                break
        else:
            kinds.append([image])
    if len(kinds) == 1:
        return slices, []
    kinds.sort(key=len, reverse=True)
    kept = tuple(kinds[0])
    if len(kept) < 0.7 * len(slices):
        found = "; ".join(
            f"{len(kind)} of {kind[0].rows}x{kind[0].columns} pixels, spacing "
            f"{kind[0].pixel_spacing}, orientation {kind[0].orientation}"
            for kind in kinds[:4]
        )
        raise InconsistentSeries(
            f"one SeriesInstanceUID holds images of different kinds: {found}. "
            "Send each kind as a series of its own"
        )
    how = "the prevailing size and orientation"
    dropped = len(slices) - len(kept)
    told = notice("inconsistent-images", count=dropped, kept=len(kept), of=len(slices), how=how)
    return kept, [told]


def _same_shape(a: ImageSlice, b: ImageSlice) -> bool:
    def near(x: tuple[float, ...] | None, y: tuple[float, ...] | None, tolerance: float) -> bool:
        if x is None or y is None:
            return x is y
        return bool(np.abs(np.subtract(x, y)).max() <= tolerance)

    return (
        (a.rows, a.columns, a.position is None) == (b.rows, b.columns, b.position is None)
        and near(a.pixel_spacing, b.pixel_spacing, SAME_SPACING_MM)
        and near(a.orientation, b.orientation, SAME_COSINE)
    )


def _one_per_position(
    slices: tuple[ImageSlice, ...],
) -> tuple[tuple[ImageSlice, ...], list[Notice]]:
    """One image a position: by acquisition, phase, echo or kernel where they tell apart."""
    positions = _by_position(slices)
    if len(positions) < 2:
        raise NoImages(
            f"all {len(slices)} images lie at one position, {slices[0].position}, e.g. "
            f"{slices[0].path.name}; a volume needs at least 2 positions"
        )
    doubled = sum(len(images) - 1 for images in positions.values())
    if not doubled:
        return slices, []
    keywords = sorted({keyword for image in slices for keyword, _ in image.variant})
    for keyword in keywords:
        groups: dict[str, list[ImageSlice]] = defaultdict(list)
        for image in slices:
            groups[dict(image.variant).get(keyword, "")].append(image)
        name, largest = max(groups.items(), key=lambda entry: (len(entry[1]), entry[0]))
        whole = len(largest) >= 0.9 * len(positions)
        if len(groups) > 1 and whole and len(_by_position(tuple(largest))) == len(largest):
            how = f"{keyword} = {name or 'absent'}"
            told = notice(
                "duplicate-positions", count=doubled, kept=len(largest), of=len(slices), how=how
            )
            return tuple(largest), [told]
    example = next(images for images in positions.values() if len(images) > 1)
    raise InconsistentSeries(
        f"{doubled} image(s) lie at the position of another, e.g. {example[0].path.name} and "
        f"{example[1].path.name} at {example[0].position}, and no attribute tells them apart. "
        "Remove the copies, or send each acquisition as a series of its own"
    )


def _by_position(slices: tuple[ImageSlice, ...]) -> dict[int, list[ImageSlice]]:
    normal = slice_normal(slices[0])
    ordered = sorted(slices, key=lambda s: (float(normal @ np.asarray(s.position)), str(s.path)))
    groups: dict[int, list[ImageSlice]] = {}
    last = -np.inf
    for image in ordered:
        depth = float(normal @ np.asarray(image.position))
        if depth - last > SAME_PLACE_MM:
            groups[len(groups)] = []
        groups[len(groups) - 1].append(image)
        last = depth
    return groups


def _places(ordered: list[ImageSlice], normal: np.ndarray) -> tuple[list[int], list[int]]:
    """Index k of each image, and the k that have none."""
    depths = np.array([float(normal @ np.asarray(image.position)) for image in ordered])
    steps = np.diff(depths)
    distance = float(np.median(steps))
    whole = np.rint(steps / distance).astype(int)
    off = np.abs(steps - whole * distance)
    if whole.min() < 1 or off.max() > max(STEP_TOLERANCE * distance, ROUNDING_MM):
        worst = int(off.argmax())
        raise IrregularGeometry(
            f"slice distances are uneven ({steps.min():.2f} to {steps.max():.2f} mm, mostly "
            f"{distance:.2f}), e.g. between {ordered[worst].path.name} and "
            f"{ordered[worst + 1].path.name}. Reconstruct with one slice distance, or send the "
            "images that are missing"
        )
    places = [0, *np.cumsum(whole).tolist()]
    missing = sorted(set(range(places[-1] + 1)) - set(places))
    if int(whole.max()) - 1 > LONGEST_GAP or len(missing) > max(1, MOST_MISSING * len(ordered)):
        at = int(whole.argmax())
        raise IrregularGeometry(
            f"{len(missing)} slice(s) are missing, up to {int(whole.max()) - 1} in a row, e.g. "
            f"between {ordered[at].path.name} and {ordered[at + 1].path.name}. Send the study "
            "again, or ask the PACS whether it holds them"
        )
    return places, missing


def _check_strays(ordered: list[ImageSlice], places: list[int], step: np.ndarray) -> None:
    """Steps that are each nearly right can add up, and a stack can jump sideways."""
    positions = np.array([image.position for image in ordered], dtype=np.float64)
    regular = positions[0] + np.outer(places, step)
    stray = np.linalg.norm(positions - regular, axis=1)
    distance = float(np.linalg.norm(step))
    if stray.max() > max(LEAST_STRAY_MM, MOST_STRAY * distance):
        worst = int(stray.argmax())
        raise IrregularGeometry(
            f"slice positions are uneven: up to {stray.max():.1f} mm off a straight stack with a "
            f"slice distance of {distance:.2f} mm, e.g. {ordered[worst].path.name} at "
            f"{ordered[worst].position}. Reconstruct with one slice distance and table position"
        )


def _check_shear(step: np.ndarray, normal: np.ndarray) -> None:
    cosine = abs(float(step @ normal)) / max(float(np.linalg.norm(step)), 1e-12)
    angle = float(np.degrees(np.arccos(min(cosine, 1.0))))
    if angle > MOST_SHEAR_DEGREES:
        raise IrregularGeometry(
            f"the slices are shifted against one another by {angle:.1f} degrees (gantry tilt). "
            "Send a reconstruction without tilt"
        )
