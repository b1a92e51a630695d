"""Which series of a study suits a model, with the reason for each refusal."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from imaging.headers import ImageSlice, Scan, SeriesHeader
from imaging.notices import Notice, Severity, notice

WORST_COSINE = 0.01
"""How far lengths and the angle of direction cosines may be off; beyond, spacing is wrong."""


@dataclass(frozen=True)
class Series:
    """The images of one series, in no order yet."""

    header: SeriesHeader
    slices: tuple[ImageSlice, ...]

    @property
    def uid(self) -> str:
        """SeriesInstanceUID."""
        return self.header.series_uid

    @property
    def name(self) -> str:
        """What people call it: number and description."""
        return " ".join(x for x in (self.header.number, self.header.description) if x) or self.uid


class InputRule(BaseModel):
    """Which series a model takes; part of its ``preread.toml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    modality: str = Field(default="CT", description="DICOM Modality")
    minimum_slices: int = Field(default=10, ge=1, description="fewer images make no volume")
    maximum_slice_mm: float = Field(
        default=5.0, gt=0, description="greatest slice distance or thickness taken, mm"
    )
    advised_slice_mm: float = Field(
        default=3.0, gt=0, description="a thicker series is analysed with a warning, mm"
    )
    smallest_lesion_mm: float = Field(
        default=6.0, gt=0, description="what that warning says can be missed, mm"
    )
    maximum_angle_degrees: float = Field(
        default=25.0, ge=0, le=90, description="greatest angle between slices and the axial plane"
    )


class SeriesVerdict(BaseModel):
    """What was decided on one series, and why."""

    model_config = ConfigDict(frozen=True)

    series_uid: str
    number: str
    description: str
    images: int
    accepted: bool
    score: float = Field(description="suitability of the acceptable ones; higher is better")
    notices: tuple[Notice, ...] = ()


class SeriesPlan(BaseModel):
    """Which series a model will read, and every refusal."""

    model_config = ConfigDict(frozen=True)

    model: str
    chosen: str | None = Field(description="SeriesInstanceUID, None when nothing suits")
    verdicts: tuple[SeriesVerdict, ...]
    notices: tuple[Notice, ...] = Field(default=(), description="on the files, not a series")


def group_series(scan: Scan) -> list[Series]:
    """The images by SeriesInstanceUID."""
    images: dict[str, list[ImageSlice]] = defaultdict(list)
    for image in scan.slices:
        images[image.series_uid].append(image)
    return [Series(scan.series[uid], tuple(found)) for uid, found in images.items()]


def choose_series(scan: Scan, rule: InputRule, model: str) -> SeriesPlan:
    """Judge every series against ``rule`` and choose the best of the acceptable ones."""
    judged = [(series, *_judge(series, rule)) for series in group_series(scan)]
    judged.sort(key=lambda entry: (-entry[1], entry[0].uid))
    chosen = next((series for series, score, _ in judged if score > 0), None)
    verdicts = []
    for series, score, notices in judged:
        accepted = chosen is not None and series is chosen
        if score > 0 and chosen is not None and not accepted:
            why = "thinner slices, more of them, or a softer kernel"
            notices = [*notices, notice("better-series", chosen=chosen.name, why=why)]
        verdicts.append(
            SeriesVerdict(
                series_uid=series.uid,
                number=series.header.number,
                description=series.header.description,
                images=len(series.slices),
                accepted=accepted,
                score=round(score, 3),
                notices=tuple(notices),
            )
        )
    return SeriesPlan(
        model=model,
        chosen=chosen.uid if chosen else None,
        verdicts=tuple(verdicts),
        notices=scan.notices,
    )


def _judge(series: Series, rule: InputRule) -> tuple[float, list[Notice]]:
    refusal = _refusal(series, rule)
    if refusal is not None:
        return 0.0, [refusal]
    slices = _prevailing(series.slices)
    spacing = slice_distance_mm(slices)
    thickness = slices[0].slice_thickness_mm or spacing
    coarsest = max(spacing, thickness)
    warnings = []
    if coarsest > rule.advised_slice_mm:
        limit = rule.smallest_lesion_mm
        warnings.append(notice("thick-slices", found=round(coarsest, 2), limit=limit))
    # Thin slices first; among equals the longer scan, then the smoother kernel.
    score = 10.0 / max(coarsest, 0.5) + min(len(slices) * spacing, 400.0) / 400.0
    if is_sharp_kernel(series.header.kernel):
        score *= 0.8
    return score, warnings


def _prevailing(slices: tuple[ImageSlice, ...]) -> tuple[ImageSlice, ...]:
    """The images of the commonest kind: a scout inside a series does not decide about it."""

    def kind(image: ImageSlice) -> tuple[str, ...]:
        scout = not {"LOCALIZER", "SCOUT"}.isdisjoint(image.image_type)
        axes = [str(round(x, 1) + 0.0) for x in image.orientation or ()]
        return image.modality, str(scout), str(image.rows), str(image.columns), *axes

    counts = Counter(kind(image) for image in slices)
    most = max(counts, key=lambda each: (counts[each], each))
    return tuple(image for image in slices if kind(image) == most)


def _refusal(series: Series, rule: InputRule) -> Notice | None:
    slices = _prevailing(series.slices)
    first = slices[0]
    if first.modality != rule.modality:
        return notice("wrong-modality", found=first.modality or "empty", wanted=rule.modality)
    if "LOCALIZER" in first.image_type or "SCOUT" in first.image_type:
        return notice("localizer", found="\\".join(first.image_type))
    if "SECONDARY" in first.image_type[1:2] or "MIP" in first.image_type or _is_reformat(first):
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
    angle = axial_angle_degrees(first)
    if angle > rule.maximum_angle_degrees:
        return notice("wrong-orientation", found=angle, wanted=rule.maximum_angle_degrees)
    thickness = first.slice_thickness_mm or 0.0
    coarsest = max(slice_distance_mm(slices), thickness)
    if coarsest > rule.maximum_slice_mm:
        return notice("too-thick", found=round(coarsest, 2), wanted=rule.maximum_slice_mm)
    return None


def _perpendicular_units(orientation: tuple[float, ...]) -> bool:
    """Whether two direction cosines are what PS3.3 C.7.6.2.1.1 wants, but for rounding."""
    pair = np.reshape(orientation, (2, 3))
    return bool(np.abs(pair @ pair.T - np.eye(2)).max() < WORST_COSINE)


def _is_reformat(image: ImageSlice) -> bool:
    return any(word in value for value in image.image_type for word in ("MPR", "REFORMAT", "3D"))


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


def axial_angle_degrees(image: ImageSlice) -> float:
    """Angle between the slice and the axial plane, degrees, 0 to 90."""
    return float(np.degrees(np.arccos(min(abs(float(slice_normal(image)[2])), 1.0))))


def slice_distance_mm(slices: tuple[ImageSlice, ...]) -> float:
    """Median distance of neighbouring distinct positions along the normal, mm; 0 if only one."""
    normal = slice_normal(slices[0])
    depths = np.unique(np.round([float(normal @ np.asarray(s.position)) for s in slices], 3))
    steps = np.diff(depths)
    return float(np.median(steps)) if steps.size else 0.0


def refusals(plan: SeriesPlan) -> list[tuple[SeriesVerdict, Notice]]:
    """Every series that was left alone, with its reason."""
    return [
        (verdict, item)
        for verdict in plan.verdicts
        for item in verdict.notices
        if item.severity is Severity.REFUSAL
    ]
