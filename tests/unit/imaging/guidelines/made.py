"""A report with nodules made by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from imaging.finding import Code, Finding, ImageReference
from imaging.language import Text
from imaging.nodule import (
    Density,
    Diameters,
    Interval,
    Lobe,
    Margin,
    Nodule,
    NoduleType,
    Place,
    Side,
    Third,
)
from imaging.priors.values import Change, Comparison, NoduleChange, PriorNodule
from imaging.report import Model, Patient, Report

SAME = Text(en="as made", zh="设定")
LUNG = Code(value="39607008", scheme="SCT", meaning=Text(en="Lung", zh="肺"))


def nodule(mean_mm: float = 7.0, **changes: Any) -> Nodule:
    size = Diameters(long_mm=mean_mm + 1, short_mm=mean_mm - 1, mean_mm=mean_mm, plane="axial")
    volume = 0.5236 * mean_mm**3
    values: dict[str, Any] = {
        "type": NoduleType.SOLID,
        "type_why": SAME,
        "axial": size,
        "largest": size,
        "volume_mm3": Interval(value=volume, low=0.9 * volume, high=1.1 * volume),
        "mass_mg": volume,
        "density": Density(
            mean_hu=10, sd_hu=20, p5_hu=-30, p25_hu=0, median_hu=10, p75_hu=20, p95_hu=50
        ),
        "sphericity": 0.9,
        "margin": Margin.LOBULATED,
        "margin_why": SAME,
        "place": place(),
    }
    return Nodule.model_validate(values | changes)


def place(**changes: Any) -> Place:
    values: dict[str, Any] = {
        "side": Side.RIGHT,
        "third": Third.UPPER,
        "lobe": Lobe.RIGHT_UPPER,
        "lobe_why": SAME,
        "pleura_mm": 20.0,
        "fissure_mm": 15.0,
        "subpleural": False,
    }
    return Place.model_validate(values | changes)


def finding(number: int = 1, described: Nodule | None = None, **changes: Any) -> Finding:
    values: dict[str, Any] = {
        "number": number,
        "tracking_uid": f"1.2.{number}",
        "tracking_id": f"Lung nodule {number}",
        "label": Code(value="27925004", scheme="SCT", meaning=Text(en="Nodule", zh="结节")),
        "site": LUNG,
        "score": 0.9,
        "centre_lps_mm": (0.0, 0.0, 0.0),
        "long_axis_mm": 8.0,
        "short_axis_mm": 6.0,
        "long_axis_lps_mm": ((0.0, 0.0, 0.0), (8.0, 0.0, 0.0)),
        "short_axis_lps_mm": ((0.0, 0.0, 0.0), (0.0, 6.0, 0.0)),
        "volume_mm3": 180.0,
        "mean_hu": 10.0,
        "slices": ("1.3.1",),
        "key_image": ImageReference(sop_class_uid="1.2.3", sop_instance_uid="1.3.1"),
        "key_slice": 0,
        "segment_number": number,
        "outlines": (),
        "nodule": described,
    }
    return Finding.model_validate(values | changes)


def report(*findings: Finding, **changes: Any) -> Report:
    values: dict[str, Any] = {
        "created_at": datetime(2026, 1, 31, tzinfo=UTC),
        "patient": Patient(),
        "study_uid": "1.1",
        "series_uid": "1.1.1",
        "modality": "CT",
        "slice_count": 1,
        "spacing_mm": (1.0, 1.0, 1.0),
        "model": Model(
            name="nodules", version="1", title=SAME, sha256="0" * 64, sites=("39607008",)
        ),
        "findings": findings,
    }
    return Report.model_validate(values | changes)


def change(what: Change, number: int = 1, **values: Any) -> NoduleChange:
    uid = "" if what is Change.RESOLVED else f"1.2.{number}"
    return NoduleChange(change=what, why=SAME, tracking_uid=uid, number=number, **values)


def compared(*changes: NoduleChange, days: int = 365, date: str = "20250131") -> Comparison:
    return Comparison(
        study_uid="1.0", series_uid="1.0.1", study_date=date, days=days, registration=SAME,
        registration_error_mm=1.0, changes=changes,
    )  # fmt: skip


def prior(mean_mm: float) -> PriorNodule:
    return PriorNodule(
        centre_lps_mm=(0.0, 0.0, 0.0), mean_diameter_mm=mean_mm, volume_mm3=0.5236 * mean_mm**3
    )
