"""Which series a model takes, as a value, and what is wrong with one that it doesn't take."""

from __future__ import annotations

import re
from collections import Counter
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from imaging.headers import ImageSlice, SeriesHeader
from imaging.notices import Notice, notice
from imaging.weighting import weighting_of

WORST_COSINE = 0.01
"""How far lengths and the angle of direction cosines may be off; beyond, spacing is wrong."""

_NORMAL_AXIS = {"sagittal": 0, "coronal": 1, "axial": 2}
"""Which LPS axis a slice of that name lies across."""
_NOT_GIVEN = {"", "NO", "NONE", "N", "0", "无"}
"""What scanners write into ContrastBolusAgent when nothing was given."""
# Tested in this order: "without contrast" holds "contrast", 未增强 holds 增强.
_PLAIN = re.compile(
    r"\bw/?o\b|without|\bnon?[\s_-]*(?:contrast|enhanced)|unenhanced|\bplain\b|\bc-(?!\w)|平扫|未增强",
    re.IGNORECASE,
)
_ENHANCED = re.compile(
    r"\bc\+|\+c\b|\bce\b|\bgd\b|contrast|enhanced|arterial|portal|venous|delayed|"
    r"增强|动脉期|静脉期|门脉|延迟期",
    re.IGNORECASE,
)
# MR is described in other words, often joined by underscores, and never by a phase of the liver.
_MR_PLAIN = re.compile(
    r"(?<![a-z])pre(?![sp])|\bw ?/? ?o\b|without|\bnon?[\s-]*(?:con|gad|gd|enhanced)|"
    r"unenhanced|\bplain\b|\bnati[vf]e?|\bohne\b|\bc-(?!\w)|平扫|未增强|增强前",
    re.IGNORECASE,
)
_MR_ENHANCED = re.compile(
    r"post(?![\s-]*(?:op|surg|erior|proc|rt\b|trea))|(?<![a-z])gad|gd(?![a-z])|"
    r"\+ ?(?:c|km)(?![a-z])|\bc ?\+|\bce\b|\bkm\b|contrast|enhanced|t1.*\b(?:fs)?c$|增强|强化|注药",
    re.IGNORECASE,
)
_JOINTS = re.compile(r"[_:]+")


class InputRule(BaseModel):
    """Which series a model takes; part of its ``preread.toml``.

    Patterns are regular expressions that must occur somewhere, capitals or not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    modality: str = Field(default="CT", description="DICOM Modality")
    body_part: str = Field(
        default="",
        description="pattern that BodyPartExamined, or the description of series, protocol or "
        "study, must hold; empty: any body part",
    )
    include: str = Field(
        default="",
        description="pattern that SeriesDescription (ProtocolName where it is empty) must hold",
    )
    exclude: str = Field(default="", description="pattern that it must not hold")
    weighting: Literal["any", "T1", "T2", "FLAIR", "PD"] = Field(
        default="any",
        description="of MR: by its descriptions, else its sequence's name, else its times",
    )
    contrast: Literal["any", "with", "without"] = Field(
        default="any", description="contrast agent, by SeriesDescription, else ContrastBolusAgent"
    )
    kernel: Literal["any", "soft", "sharp"] = Field(
        default="any", description="reconstruction kernel, as far as its name is known"
    )
    orientation: Literal["axial", "coronal", "sagittal", "any"] = Field(
        default="axial", description="of the slices"
    )
    maximum_angle_degrees: float = Field(
        default=25.0, ge=0, le=90, description="greatest angle between slices and that plane"
    )
    derived: bool = Field(
        default=False, description="take reformatted and otherwise derived images too"
    )
    minimum_slices: int = Field(default=10, ge=1, description="fewer images make no volume")
    minimum_slice_mm: float = Field(
        default=0.0, ge=0, description="least slice distance or thickness taken, mm"
    )
    maximum_slice_mm: float = Field(
        default=5.0, gt=0, description="greatest slice distance or thickness taken, mm"
    )
    advised_slice_mm: float = Field(
        default=3.0, gt=0, description="a thicker series is analysed with a warning, mm"
    )
    smallest_lesion_mm: float = Field(
        default=6.0, gt=0, description="what that warning says can be missed, mm"
    )

    @field_validator("body_part", "include", "exclude")
    @classmethod
    def _pattern(cls, value: str) -> str:
        try:
            re.compile(value, re.IGNORECASE)
        except re.error as error:
            raise ValueError(f"{value!r} is no regular expression: {error}") from error
        return value


def judge(
    header: SeriesHeader, images: tuple[ImageSlice, ...], rule: InputRule
) -> tuple[float, list[Notice]]:
    """How well a series suits a rule.

    Returns:
        A score, higher is better, with warnings; 0 with the reason where it doesn't suit.
    """
    slices = prevailing(images)
    refusal = _described(header, rule) if slices[0].modality == rule.modality else None
    refusal = _refusal(slices, rule) or refusal
    if refusal is not None:
        return 0.0, [refusal]
    spacing = slice_distance_mm(slices)
    thickness = slices[0].slice_thickness_mm or spacing
    coarsest = max(spacing, thickness)
    warnings = []
    if coarsest > rule.advised_slice_mm:
        limit = rule.smallest_lesion_mm
        warnings.append(notice("thick-slices", found=round(coarsest, 2), limit=limit))
    # Thin slices first; among equals the longer scan, then the smoother kernel.
    score = 10.0 / max(coarsest, 0.5) + min(len(slices) * spacing, 400.0) / 400.0
    if is_sharp_kernel(header.kernel) and rule.kernel != "sharp":
        score *= 0.8
    return score, warnings


def prevailing(slices: tuple[ImageSlice, ...]) -> tuple[ImageSlice, ...]:
    """The images of the commonest kind: a scout inside a series does not decide about it."""

    def kind(image: ImageSlice) -> tuple[str, ...]:
        scout = not {"LOCALIZER", "SCOUT"}.isdisjoint(image.image_type)
        axes = [str(round(x, 1) + 0.0) for x in image.orientation or ()]
        return image.modality, str(scout), str(image.rows), str(image.columns), *axes

    counts = Counter(kind(image) for image in slices)
    most = max(counts, key=lambda each: (counts[each], each))
    return tuple(image for image in slices if kind(image) == most)


def _refusal(slices: tuple[ImageSlice, ...], rule: InputRule) -> Notice | None:
    """What the images themselves are wrong in."""
    first = slices[0]
    if first.modality != rule.modality:
        return notice("wrong-modality", found=first.modality or "empty", wanted=rule.modality)
    if "LOCALIZER" in first.image_type or "SCOUT" in first.image_type:
        return notice("localizer", found="\\".join(first.image_type))
    if not rule.derived and _is_derived(first):
        return notice("derived-image", found="\\".join(first.image_type))
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
    thickness = first.slice_thickness_mm or 0.0
    coarsest = max(slice_distance_mm(slices), thickness)
    if coarsest > rule.maximum_slice_mm:
        return notice("too-thick", found=round(coarsest, 2), wanted=rule.maximum_slice_mm)
    if coarsest < rule.minimum_slice_mm:
        return notice("too-thin", found=round(coarsest, 2), wanted=rule.minimum_slice_mm)
    return None


def _described(header: SeriesHeader, rule: InputRule) -> Notice | None:
    """What the series says of itself that the rule doesn't want."""
    if rule.body_part:
        said = (header.body_part, header.description, header.protocol, header.study_description)
        if not any(_holds(rule.body_part, text) for text in said):
            found = " / ".join(dict.fromkeys(text for text in said if text)) or "-"
            return notice("wrong-body-part", found=found, wanted=rule.body_part)
    described = header.description or header.protocol
    if rule.include and not _holds(rule.include, described):
        return notice("description-not-wanted", found=described or "-", wanted=rule.include)
    if rule.exclude and _holds(rule.exclude, described):
        return notice("description-excluded", found=described, unwanted=rule.exclude)
    if rule.weighting != "any" and (shown := weighting_of(header)) != rule.weighting:
        return notice(
            "wrong-weighting", found=shown.text, said=described or "-", wanted=rule.weighting
        )
    if rule.contrast != "any" and is_enhanced(header) != (rule.contrast == "with"):
        found = " / ".join(text for text in (described, header.contrast) if text) or "-"
        code = "contrast-wanted" if rule.contrast == "with" else "contrast-unwanted"
        return notice(code, found=found)
    if rule.kernel != "any" and is_sharp_kernel(header.kernel) != (rule.kernel == "sharp"):
        code = "kernel-too-soft" if rule.kernel == "sharp" else "kernel-too-sharp"
        return notice(code, found=header.kernel or "-")
    return None


def _holds(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE) is not None


def is_enhanced(header: SeriesHeader) -> bool:
    """Whether a contrast agent was given.

    The description speaks before ContrastBolusAgent, which scanners copy from the protocol
    into the unenhanced series too.
    """
    said = told_contrast(header.description or header.protocol, header.modality)
    return header.contrast.strip().upper() not in _NOT_GIVEN if said is None else said


def told_contrast(text: str, modality: str) -> bool | None:
    """Whether a description says that contrast agent was given; None: it says nothing of it."""
    plain, enhanced = (_MR_PLAIN, _MR_ENHANCED) if modality == "MR" else (_PLAIN, _ENHANCED)
    words = _JOINTS.sub(" ", text).strip() if modality == "MR" else text
    if plain.search(words):
        return False
    return True if enhanced.search(words) else None


def _is_derived(image: ImageSlice) -> bool:
    if "SECONDARY" in image.image_type[1:2] or "MIP" in image.image_type:
        return True
    # MR scanners write 3D for a way of acquisition.
    words = ("MPR", "REFORMAT") if image.modality == "MR" else ("MPR", "REFORMAT", "3D")
    return any(word in value for value in image.image_type for word in words)


def _perpendicular_units(orientation: tuple[float, ...]) -> bool:
    """Whether two direction cosines are what PS3.3 C.7.6.2.1.1 wants, but for rounding."""
    pair = np.reshape(orientation, (2, 3))
    return bool(np.abs(pair @ pair.T - np.eye(2)).max() < WORST_COSINE)


def is_sharp_kernel(kernel: str) -> bool:
    """Whether a ConvolutionKernel is one of the makers' sharp (lung or bone) kernels."""
    name = kernel.upper().split("/")[0]
    if name in {
        "LUNG",
        "BONE",
        "BONEPLUS",
        "EDGE",
        "FC50",
        "FC51",
        "FC52",
        "FC86",
        "YC",
        "YD",
        "D",
    }:
        return True
    # Siemens names end in a sharpness of 10 to 90: B60f, Br64d, I70f.
    digits = "".join(c for c in name if c.isdigit())
    return name[:1] in "BIH" and len(digits) >= 2 and int(digits[:2]) >= 60


def slice_normal(image: ImageSlice) -> np.ndarray:
    """Unit vector across the slice, (3,), LPS; row direction x column direction."""
    cosines = np.asarray(image.orientation, dtype=np.float64)
    normal = np.cross(cosines[:3], cosines[3:])
    return np.asarray(normal / max(float(np.linalg.norm(normal)), 1e-12))


def plane_angle_degrees(image: ImageSlice, plane: str) -> float:
    """Angle between the slice and the axial, coronal or sagittal plane, degrees, 0 to 90."""
    across = abs(float(slice_normal(image)[_NORMAL_AXIS[plane]]))
    return float(np.degrees(np.arccos(min(across, 1.0))))


def slice_distance_mm(slices: tuple[ImageSlice, ...]) -> float:
    """Median distance of neighbouring distinct positions along the normal, mm; 0 if only one."""
    normal = slice_normal(slices[0])
    depths = np.unique(np.round([float(normal @ np.asarray(s.position)) for s in slices], 3))
    steps = np.diff(depths)
    return float(np.median(steps)) if steps.size else 0.0
