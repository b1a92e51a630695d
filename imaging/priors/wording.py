"""What comparing two examinations says to people, in both languages."""

from __future__ import annotations

from typing import Final

from imaging.language import Text
from imaging.priors.growth import LUNG_RADS_MM, THICK_MM, YEAR_DAYS, Growth
from imaging.priors.lookup import Look
from imaging.priors.quality import GOOD_MM, Quality
from imaging.priors.register import Method
from imaging.priors.values import Change

METHODS: Final = {
    Method.DEFORMABLE: Text(
        en="the lungs were aligned rigidly, then deformably", zh="双肺先刚性配准，再形变配准"
    ),
    Method.RIGID: Text(
        en="the lungs were aligned rigidly; a deformable alignment made it no better",
        zh="双肺刚性配准；形变配准未能改善",
    ),
    Method.BODY: Text(
        en="aligned rigidly by the body; there is no aerated lung to go by",
        zh="无含气肺可供配准，按体部轮廓刚性配准",
    ),
}
NOT_ALIGNED: Final = Text(en="not aligned", zh="未配准")

OTHER_BODY_PART: Final = Text(
    en="only one of the two examinations shows lung: they are of different body parts",
    zh="两次检查中仅一次可见肺：检查部位不同",
)
BAD_REGISTRATION: Final = Text(
    en="the two examinations could not be aligned well enough to match nodules",
    zh="两次检查配准质量不足，无法对应结节",
)
LATER: Final = Text(
    en="the examination to compare with is later than this one", zh="对比检查的日期晚于本次检查"
)
SAME_STUDY: Final = Text(
    en="the examination to compare with is this one itself", zh="对比检查即为本次检查"
)
NO_DATE: Final = Text(
    en="an examination has no readable date: no doubling time, no growth by Lung-RADS",
    zh="检查日期缺失或无法识别：不给出倍增时间，不判定 Lung-RADS 增大",
)
SAME_DAY: Final = Text(
    en="both examinations are of the same day: no doubling time, no growth by Lung-RADS",
    zh="两次检查为同一日：不给出倍增时间，不判定 Lung-RADS 增大",
)
NEW: Final = Text(
    en="not marked then, and the earlier images show clear lung at its place",
    zh="既往未标记，且既往图像相应部位为清晰肺组织",
)
RESOLVED: Final = Text(
    en="marked then, and the current images show clear lung at its place",
    zh="既往有标记，本次图像相应部位为清晰肺组织",
)
OUTSIDE_THEN: Final = Text(
    en="its place lies outside the earlier field of view", zh="相应部位在既往检查视野之外"
)
OUTSIDE_NOW: Final = Text(
    en="its place lies outside the current field of view", zh="相应部位在本次检查视野之外"
)


def thick(millimetres: float) -> Text:
    """A warning on slices that Lung-RADS' growth rule isn't made for."""
    return Text(
        en=f"slices of {millimetres:.1f} mm: sizes are coarse, growth by Lung-RADS is not judged "
        f"above {THICK_MM} mm",
        zh=f"层厚 {millimetres:.1f} mm：测量较粗，大于 {THICK_MM} mm 不判定 Lung-RADS 增大",
    )


def registration(method: Method, quality: Quality) -> Text:
    """How two examinations were aligned and how well."""
    how = METHODS[method]
    found, sought = len(quality.residuals_mm), quality.sought
    if quality.median_mm is None:
        return Text(
            en=f"{how.en}; only {found} of {sought} structures were found again, too few to "
            "measure the error",
            zh=f"{how.zh}；{sought} 处结构中仅 {found} 处可重新辨认，不足以测量误差",
        )
    return Text(
        en=f"{how.en}; median residual {quality.median_mm:.1f} mm over {found} of {sought} "
        "structures found again",
        zh=f"{how.zh}；{sought} 处结构中 {found} 处可重新辨认，残余误差中位数 "
        f"{quality.median_mm:.1f} mm",
    )


def bad_registration(quality: Quality) -> Text:
    """Why a registration isn't trusted."""
    if quality.median_mm is not None and quality.median_mm > GOOD_MM:
        return Text(
            en=f"{BAD_REGISTRATION.en}: median residual {quality.median_mm:.1f} mm",
            zh=f"{BAD_REGISTRATION.zh}：残余误差中位数 {quality.median_mm:.1f} mm",
        )
    share = f"{100 * quality.agreeing:.0f}"
    return Text(
        en=f"{BAD_REGISTRATION.en}: {share} % of the structures were found again",
        zh=f"{BAD_REGISTRATION.zh}：仅 {share}% 的结构可重新辨认",
    )


def unmarked_then(look: Look) -> Text:
    """A nodule marked now only, where something was there already."""
    share = f"{100 * (look.share or 0):.0f}"
    return Text(
        en=f"not marked then, but the earlier images show density at its place ({share} % of its "
        "contrast): not called new",
        zh=f"既往未标记，但既往图像相应部位已有密度增高（为其对比度的 {share}%）：不判为新发",
    )


def unmarked_now(look: Look) -> Text:
    """A nodule marked then only, where something still is."""
    share = f"{100 * (look.share or 0):.0f}"
    return Text(
        en=f"marked then and not now, but the current images show density at its place ({share} % "
        "of its contrast): not called resolved",
        zh=f"既往有标记、本次未标记，但本次图像相应部位仍有密度增高（为其对比度的 {share}%）："
        "不判为消失",
    )


def ambiguous(numbers: tuple[int, ...]) -> Text:
    """A current nodule with more than one likely partner, by their numbers then."""
    listed = ", ".join(str(n) for n in numbers)
    return Text(
        en=f"more than one pairing with the earlier nodules is likely (number {listed} then)",
        zh=f"与既往结节的对应关系不唯一（既往编号 {listed}）",
    )


def ambiguous_prior(number: int) -> Text:
    """An earlier nodule that may be more than one current one."""
    return Text(
        en=f"number {number} then: more than one pairing with the current nodules is likely",
        zh=f"既往编号 {number}：与本次结节的对应关系不唯一",
    )


def changed(growth: Growth, days: int | None, slice_mm: float) -> Text:
    """Why a matched nodule is called grown, stable or shrunk."""
    if growth.change is Change.STABLE:
        said = Text(
            en="the change is within measurement noise (95 %)", zh="变化在测量误差范围内（95%）"
        )
    elif growth.beyond_noise:
        said = Text(en="the change exceeds measurement noise (95 %)", zh="变化超出测量误差（95%）")
    else:
        said = Text(
            en=f"more than {LUNG_RADS_MM} mm within 12 months, though measurement alone could "
            "make it",
            zh=f"12 个月内增大超过 {LUNG_RADS_MM} mm，但仍可能为测量误差",
        )
    no_larger = growth.diameter_mm <= LUNG_RADS_MM and growth.change is not Change.GROWN
    if growth.lung_rads is not None or no_larger:
        return said
    if slice_mm > THICK_MM:
        return _and(said, thick(slice_mm))
    if days is not None and days > YEAR_DAYS:
        slow = Text(
            en=f"more than {LUNG_RADS_MM} mm in {days} days: whether it was within 12 months "
            "needs an examination in between; slow growth is possible",
            zh=f"{days} 天内增大超过 {LUNG_RADS_MM} mm：是否在 12 个月内达到需中间检查判定，"
            "不除外缓慢增大",
        )
        return _and(said, slow)
    return said


def _and(first: Text, second: Text) -> Text:
    return Text(en=f"{first.en}; {second.en}", zh=f"{first.zh}；{second.zh}")
