"""Described nodules, comparisons and guidance made by hand, for tests of what shows them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from imaging.finding import Finding
from imaging.guidelines.values import Guidance, Input, Override
from imaging.language import Text
from imaging.nodule import (
    Density,
    Diameters,
    Hint,
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

FISSURES = Text(en="inside the right upper lobe by the fissures", zh="按叶间裂位于右肺上叶内")
UNSURE = Text(en="the fissure is not seen near it", zh="附近未见叶间裂")
PRIOR_STUDY = "1.2.826.0.1.3680043.77"

UPPER_LOBE = Place(
    side=Side.RIGHT, third=Third.UPPER, lobe=Lobe.RIGHT_UPPER, lobe_why=FISSURES,
    pleura_mm=4.2, fissure_mm=6.3, subpleural=True,
)  # fmt: skip
SIDE_ONLY = Place(
    side=Side.LEFT, third=Third.MIDDLE, lobe_why=UNSURE, pleura_mm=23.0, subpleural=False
)

RATING = Hint(
    method="lidc-rating",
    title=Text(en="Readers' impression (LIDC)", zh="医师印象(LIDC)"),
    probability=0.41, low=0.28, high=0.56,
    meaning=Text(
        en="How likely four chest radiologists would have rated it suspicious; no pathology.",
        zh="胸部放射科医师将其评为可疑的可能性，并非病理结果。",
    ),
)  # fmt: skip
BROCK = Hint(
    method="brock",
    title=Text(en="Brock (PanCan) model", zh="Brock（PanCan）模型"),
    probability=0.078,
    inputs=(
        (Text(en="age, years", zh="年龄，岁"), Text.same("68")),
        (Text(en="female", zh="女性"), Text(en="yes", zh="是")),
        (Text(en="longest diameter, mm", zh="最长径，mm"), Text.same("7.6")),
    ),
    meaning=Text(
        en="Published formula for screening nodules; a probability of cancer, not a diagnosis.",
        zh="针对筛查结节的已发表公式；为癌症概率，并非诊断。",
    ),
)
BROCK_MISSING = BROCK.model_copy(
    update={
        "probability": None,
        "missing": (Text(en="age", zh="年龄"), Text(en="emphysema", zh="肺气肿")),
    }
)


def diameters(long_mm: float, short_mm: float, plane: str = "axial") -> Diameters:
    """In one plane."""
    mean = (long_mm + short_mm) / 2
    return Diameters(long_mm=long_mm, short_mm=short_mm, mean_mm=mean, plane=plane)


def nodule(**changes: Any) -> Nodule:
    """A solid nodule of 8.2 x 7.0 mm in the right upper lobe."""
    values: dict[str, Any] = {
        "type": NoduleType.SOLID,
        "type_why": Text(en="92 % of it above -350 HU", zh="92% 的体素高于 -350 HU"),
        "axial": diameters(8.2, 7.0),
        "largest": diameters(9.1, 7.0, "coronal"),
        "volume_mm3": Interval(value=214.0, low=176.0, high=259.0),
        "mass_mg": 201.0,
        "density": Density(
            mean_hu=-61, sd_hu=133, p5_hu=-402, p25_hu=-90, median_hu=-12, p75_hu=28, p95_hu=61
        ),
        "sphericity": 0.84,
        "margin": Margin.SMOOTH,
        "margin_why": Text(en="radius varies by 6 %", zh="半径变化 6%"),
        "place": UPPER_LOBE,
        "hints": (RATING, BROCK),
    }
    return Nodule.model_validate(values | changes)


def part_solid(**changes: Any) -> Nodule:
    """Part-solid, its solid part 5.1 mm, lobe unknown, Brock not computable."""
    values: dict[str, Any] = {
        "type": NoduleType.PART_SOLID,
        "axial": diameters(14.0, 11.2),
        "largest": diameters(14.0, 11.2),
        "solid_core": diameters(5.6, 4.6),
        "margin": Margin.SPICULATED,
        "place": SIDE_ONLY,
        "hints": (BROCK_MISSING,),
    }
    return nodule(**(values | changes))


def ground_glass(**changes: Any) -> Nodule:
    """Pure ground glass with an ill-defined margin."""
    return nodule(**({"type": NoduleType.GROUND_GLASS, "margin": Margin.ILL_DEFINED} | changes))


def described(findings: Sequence[Finding], *nodules: Nodule | None) -> tuple[Finding, ...]:
    """The findings, each with its nodule."""
    return tuple(
        finding.model_copy(update={"nodule": one})
        for finding, one in zip(findings, nodules, strict=True)
    )


def prior(mean_mm: float = 6.0, volume_mm3: float = 101.0) -> PriorNodule:
    """As it was."""
    return PriorNodule(
        centre_lps_mm=(-60.0, -20.0, -62.0), mean_diameter_mm=mean_mm, volume_mm3=volume_mm3
    )


def grown(finding: Finding) -> NoduleChange:
    """From 6.0 to 7.6 mm."""
    return NoduleChange(
        change=Change.GROWN,
        why=Text(en="beyond measurement noise", zh="超出测量误差"),
        tracking_uid=finding.tracking_uid,
        number=finding.number,
        prior=prior(),
        diameter_change_mm=1.55,
        diameter_noise_mm=1.0,
        volume_change_percent=111.9,
        volume_noise_percent=25.0,
        doubling_time_days=190.0,
        lung_rads_growth=True,
        residual_mm=1.2,
    )


def changed(finding: Finding, change: Change, why: str = "") -> NoduleChange:
    """Without figures: new, stable, or not comparable and why."""
    return NoduleChange(
        change=change,
        why=Text(en=why, zh=why),
        tracking_uid=finding.tracking_uid,
        number=finding.number,
        prior=prior(5.0) if change is Change.STABLE else None,
    )


def comparison(*changes: NoduleChange, resolved: bool = True) -> Comparison:
    """With 2025-03-02, 206 days before."""
    gone = NoduleChange(
        change=Change.RESOLVED,
        why=Text(en="no nodule there now", zh="该处现无结节"),
        prior=prior(4.4),
    )
    return Comparison(
        study_uid=PRIOR_STUDY,
        series_uid=f"{PRIOR_STUDY}.1",
        study_date="20250302",
        days=206,
        registration=Text(en="rigid, then deformable", zh="刚性配准后行形变配准"),
        registration_error_mm=1.1,
        changes=(*changes, *((gone,) if resolved else ())),
        warnings=(Text(en="earlier slices are 2.5 mm", zh="既往层厚 2.5 mm"),),
    )


LUNG_RADS = Guidance(
    guideline="Lung-RADS 2022",
    source="ACR Lung-RADS v2022",
    category="4A",
    finding=1,
    recommendation=Text(en="Low-dose CT in 3 months.", zh="3 个月后复查低剂量 CT。"),
    rule=Text(en="solid, growing, smaller than 8 mm", zh="实性、增大、小于 8 mm"),
    inputs=(
        Input(name=Text(en="type", zh="类型"), value=Text(en="solid", zh="实性"), finding=1),
        Input(
            name=Text(en="mean diameter", zh="平均径"), value=Text(en="7.6 mm", zh="7.6 mm"),
            finding=1,
        ),
    ),
)  # fmt: skip
FLEISCHNER = Guidance(
    guideline="Fleischner 2017",
    source="MacMahon 2017, Radiology 284:228",
    category=None,
    recommendation=Text(en="Cannot be given.", zh="无法给出。"),
    rule=Text(en="solid, single, 6 to 8 mm", zh="实性、单发、6~8 mm"),
    missing=(Text(en="risk of lung cancer is not known", zh="肺癌风险未知"),),
)
OVERRIDE = Override(
    guideline="Lung-RADS 2022",
    category="3",
    reason="Scar, unchanged on outside CT.",
    by="Zhang^San",
    at=datetime(2026, 11, 21, 8, 30, tzinfo=UTC),
)
