"""What is wrong with a series that a model's rule doesn't take; how well it suits otherwise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imaging.arrange import Stack, foreseen
from imaging.contrast import is_enhanced
from imaging.errors import InconsistentSeries, SeriesError
from imaging.headers import ImageSlice, SeriesHeader
from imaging.input_rule import InputRule
from imaging.kernels import Sharpness, sharpness
from imaging.notices import Notice, notice
from imaging.patterns import holds
from imaging.planes import (
    covered_mm,
    is_localizer,
    plane_angle_degrees,
    prevailing,
    slice_distance_mm,
)
from imaging.series_rules import SeriesRule
from imaging.series_words import Kind, kind_of, names_part
from imaging.suitability import KIND_FACTORS, Suitability, weigh
from imaging.weighting import weighting_of

WORST_COSINE = 0.01
"""How far lengths and the angle of direction cosines may be off; beyond, spacing is wrong."""
LEAST_SCAN_MM = 100.0
"""A series called scout or bolus that covers so much is a scan, of CT."""

_FEW_IMAGES = (Kind.LOCALIZER, Kind.TRACKING)


def judge(
    header: SeriesHeader,
    images: tuple[ImageSlice, ...],
    rule: InputRule,
    site: Sequence[SeriesRule] = (),
) -> Suitability:
    """How well a series suits a rule.

    Args:
        header: what the series says of itself.
        images: all of it.
        rule: what the model takes.
        site: the site's rules that speak of this series and this model.

    Returns:
        A score, higher is better, with warnings; 0 with the reason where it doesn't suit.
    """
    slices = prevailing(images)
    taken = any(each.then == "take" for each in site)
    refusal = next((notice("site-never", rule=r.name) for r in site if r.then == "never"), None)
    refusal = refusal or _refusal(header, slices, rule, taken=taken)
    stack = _stack(images, rule) if refusal is None else refusal
    if isinstance(stack, Notice):
        return Suitability(0.0, (stack,))
    coarsest = _coarsest(stack.layers.widest_mm, slices)
    warnings = []
    if coarsest > rule.advised_slice_mm:
        limit = rule.smallest_lesion_mm
        warnings.append(notice("thick-slices", found=round(coarsest, 2), limit=limit))
    kind = kind_of(header.description)
    if kind in KIND_FACTORS and not rule.derived and not taken:
        warnings.append(notice("described-so", found=kind.text, said=header.description))
    score, factors = weigh(header, rule, coarsest_mm=coarsest, site=site)
    return Suitability(score, tuple(warnings), factors, covered_mm(slices))


def _refusal(
    header: SeriesHeader, slices: tuple[ImageSlice, ...], rule: InputRule, *, taken: bool
) -> Notice | None:
    """The first reason why a series doesn't suit."""
    first = slices[0]
    if first.modality != rule.modality:
        return notice("wrong-modality", found=first.modality or "empty", wanted=rule.modality)
    if is_localizer(first):
        return notice("localizer", found="\\".join(first.image_type))
    if not taken and (said := _no_scan(header, slices, rule)) is not None:
        return said
    if not rule.derived and is_derived(first):
        return notice("derived-image", found="\\".join(first.image_type))
    return _shape(slices, rule) or _described(header, rule)


def _shape(slices: tuple[ImageSlice, ...], rule: InputRule) -> Notice | None:
    """What their number and geometry are wrong in."""
    first = slices[0]
    if len(slices) < rule.minimum_slices:
        return notice("too-few-slices", found=len(slices), wanted=rule.minimum_slices)
    for image in slices:
        for tag, value in (
            ("ImagePositionPatient", image.position),
            ("ImageOrientationPatient", image.orientation),
            ("PixelSpacing", image.pixel_spacing),
        ):
            if value is None or (tag == "PixelSpacing" and min(value) <= 0):
                return notice("no-geometry", tag=tag, file=image.path.name)
            if tag == "ImageOrientationPatient" and not _perpendicular_units(value):
                return notice("no-geometry", tag=tag, file=image.path.name)
    if rule.orientation != "any":
        angle = plane_angle_degrees(first, rule.orientation)
        if angle > rule.maximum_angle_degrees:
            code = "wrong-orientation" if rule.orientation == "axial" else f"not-{rule.orientation}"
            return notice(code, found=angle, wanted=rule.maximum_angle_degrees)
    coarsest = _coarsest(slice_distance_mm(slices), slices)
    if coarsest > rule.maximum_slice_mm:
        return notice("too-thick", found=coarsest, wanted=rule.maximum_slice_mm)
    if coarsest < rule.minimum_slice_mm:
        return notice("too-thin", found=coarsest, wanted=rule.minimum_slice_mm)
    return None


def _coarsest(distance_mm: float, slices: tuple[ImageSlice, ...]) -> float:
    """Distance or thickness, whichever is greater, mm; headers are no finer than 0.01."""
    return round(max(distance_mm, slices[0].slice_thickness_mm or 0.0), 2)


def _stack(images: tuple[ImageSlice, ...], rule: InputRule) -> Stack | Notice:
    """The stack that loading will make of a series, or why it would fail at it.

    Many images can lie at few positions, as time points. Where slice distances are uneven, the
    widest counts: what lies in it is interpolated. One or two missing slices of an even stack are
    told when it is read.
    """
    try:
        stack = foreseen(images)
    except InconsistentSeries as error:
        return notice("inconsistent-series", problem=error)
    except SeriesError as error:
        return notice("irregular-geometry", problem=error)
    if len(stack.images) < rule.minimum_slices:
        return notice("too-few-slices", found=len(stack.images), wanted=rule.minimum_slices)
    widest = round(stack.layers.widest_mm, 2)
    if widest > rule.maximum_slice_mm:
        return notice("too-thick", found=widest, wanted=rule.maximum_slice_mm)
    return stack


def _no_scan(
    header: SeriesHeader, slices: tuple[ImageSlice, ...], rule: InputRule
) -> Notice | None:
    """What its description says that no model reads, unless the images speak against it."""
    said = header.description
    kind = kind_of(said)
    if not kind.never or (rule.include and holds(rule.include, said)):
        return None
    if kind in _FEW_IMAGES and header.modality == "CT" and _is_a_scan(slices):
        return None
    return notice("described-otherwise", found=kind.text, said=said)


def _is_a_scan(slices: tuple[ImageSlice, ...]) -> bool:
    """Whether images cover a part of a body, as a scan does and a scout or a bolus don't."""
    placed = [s for s in slices if s.position and s.orientation]
    return len(placed) == len(slices) and covered_mm(slices) >= LEAST_SCAN_MM


def _described(header: SeriesHeader, rule: InputRule) -> Notice | None:
    """What the series says of itself that the rule doesn't want."""
    if rule.body_part:
        said = (header.body_part, header.description, header.protocol, header.study_description)
        if not any(names_part(rule.body_part, text) for text in said):
            found = " / ".join(dict.fromkeys(text for text in said if text)) or "-"
            return notice("wrong-body-part", found=found, wanted=rule.body_part)
    described = header.description or header.protocol
    if rule.include and not holds(rule.include, described):
        return notice("description-not-wanted", found=described or "-", wanted=rule.include)
    if rule.exclude and holds(rule.exclude, described):
        return notice("description-excluded", found=described, unwanted=rule.exclude)
    if rule.weighting != "any" and (shown := weighting_of(header)) != rule.weighting:
        return notice(
            "wrong-weighting", found=shown.text, said=described or "-", wanted=rule.weighting
        )
    if rule.contrast != "any" and is_enhanced(header) != (rule.contrast == "with"):
        found = " / ".join(text for text in (described, header.contrast) if text) or "-"
        code = "contrast-wanted" if rule.contrast == "with" else "contrast-unwanted"
        return notice(code, found=found)
    sharp = sharpness(header) is Sharpness.SHARP
    if rule.kernel != "any" and sharp != (rule.kernel == "sharp"):
        code = "kernel-too-soft" if rule.kernel == "sharp" else "kernel-too-sharp"
        return notice(code, found=header.kernel or header.description or "-")
    return None


def is_derived(image: ImageSlice) -> bool:
    """Whether ImageType says so (PS3.3 C.7.6.1.1.2).

    ORIGINAL\\SECONDARY\\AXIAL is a later reconstruction from the detector's data, a thin one
    mostly: as good as a first one.
    """
    if image.image_type[:3] == ("ORIGINAL", "SECONDARY", "AXIAL") and image.modality == "CT":
        return False
    if "SECONDARY" in image.image_type[1:2] or "MIP" in image.image_type:
        return True
    # MR scanners write 3D for a way of acquisition.
    words = ("MPR", "REFORMAT") if image.modality == "MR" else ("MPR", "REFORMAT", "3D")
    return any(word in value for value in image.image_type for word in words)


def _perpendicular_units(orientation: tuple[float, ...]) -> bool:
    """Whether two direction cosines are what PS3.3 C.7.6.2.1.1 wants, but for rounding."""
    pair = np.reshape(orientation, (2, 3))
    return bool(np.abs(pair @ pair.T - np.eye(2)).max() < WORST_COSINE)
