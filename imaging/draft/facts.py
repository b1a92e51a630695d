"""The rows that describe a nodule: what the page's panel and the HTML report both show."""

from __future__ import annotations

from dataclasses import dataclass

from imaging.draft import terms
from imaging.finding import Finding
from imaging.guidelines.pancreas_table import CATEGORIES
from imaging.guidelines.pancreas_template import COMPLETE
from imaging.guidelines.values import LUNG_RADS, NCCN, SAR_APA, Guidance
from imaging.language import Text
from imaging.nodule import Calcification, Density, Hint, Nodule
from imaging.priors.values import Change, Comparison, NoduleChange
from imaging.report import Report


@dataclass(frozen=True)
class Fact:
    """One row: what it is, its value, and why it is so or how sure it is.

    ``key`` names the row for programs and tests.
    """

    key: str
    label: Text
    value: Text
    note: Text | None = None


def character(nodule: Nodule) -> tuple[Fact, ...]:
    """A nodule's rows without its hints, the most telling first."""
    rows = [
        Fact("type", Text(en="Type", zh="类型"), terms.TYPES[nodule.type], nodule.type_why),
        Fact("axial", Text(en="Axial", zh="轴位径线"), terms.diameters(nodule.axial)),
    ]
    if nodule.largest.plane != nodule.axial.plane:
        plane = terms.PLANES.get(nodule.largest.plane, Text.same(nodule.largest.plane))
        rows.append(
            Fact(
                "largest",
                Text(en=f"Largest plane, {plane.en}", zh=f"最大平面（{plane.zh}）"),
                terms.diameters(nodule.largest),
            )
        )
    if nodule.solid_core is not None:
        rows.append(
            Fact(
                "solid-core",
                Text(en="Solid part", zh="实性成分"),
                terms.diameters(nodule.solid_core),
            )
        )
    if nodule.calcification is not None:
        rows.append(_calcium(nodule.calcification))
    bounds = terms.volume_range(nodule.volume_mm3)
    rows += [
        Fact(
            "volume",
            Text(en="Volume", zh="体积"),
            Text.same(terms.volume(nodule.volume_mm3.value)),
            Text(en=f"95 %: {bounds}", zh=f"95%：{bounds}"),
        ),
        Fact("mass", Text(en="Mass", zh="质量"), Text.same(f"{terms.number(nodule.mass_mg)} mg")),
        _density(nodule.density),
        Fact(
            "margin",
            Text(en="Margin", zh="边缘"),
            terms.MARGINS[nodule.margin],
            nodule.margin_why,
        ),
        Fact(
            "sphericity",
            Text(en="Sphericity", zh="球形度"),
            Text.same(f"{nodule.sphericity:.2f}"),
            Text(en="1 is a ball", zh="1 为球形"),
        ),
        Fact(
            "place",
            Text(en="Place", zh="部位"),
            terms.place(nodule.place),
            nodule.place.lobe_why,
        ),
        Fact("pleura", Text(en="Pleura", zh="胸膜关系"), terms.pleura(nodule.place)),
    ]
    return tuple(rows)


def _calcium(calcium: Calcification) -> Fact:
    pattern, volume = terms.PATTERNS[calcium.pattern], terms.volume(calcium.volume_mm3)
    share = terms.percent(calcium.share)
    return Fact(
        "calcium",
        Text(en="Calcium", zh="钙化"),
        Text(en=f"{pattern.en}, {volume}", zh=f"{pattern.zh}，{volume}"),
        Text(en=f"{share.en} of the solid part", zh=f"占实性部分的 {share.zh}"),
    )


def _density(density: Density) -> Fact:
    n = terms.number
    core = "" if density.core_mean_hu is None else f"{n(density.core_mean_hu)} HU"
    spread = (density.p5_hu, density.p25_hu, density.p75_hu, density.p95_hu)
    p5, p25, p75, p95 = (n(value) for value in spread)
    return Fact(
        "density",
        Text(en="Density", zh="密度"),
        Text(
            en=f"mean {n(density.mean_hu)} HU, median {n(density.median_hu)}, "
            f"SD {n(density.sd_hu)}",
            zh=f"平均 {n(density.mean_hu)} HU，中位数 {n(density.median_hu)}，"
            f"标准差 {n(density.sd_hu)}",
        ),
        Text(
            en=(f"core mean {core}; " if core else "")
            + f"percentiles 5, 25, 75, 95: {p5}, {p25}, {p75}, {p95} HU",
            zh=(f"核心平均 {core}；" if core else "")
            + f"第 5、25、75、95 百分位：{p5}、{p25}、{p75}、{p95} HU",
        ),
    )


def hint_value(hint: Hint) -> Text:
    """The probability with its interval, or that it could not be computed and why.

    A method that lacks facts may still know between which bounds the probability lies.
    """
    if hint.probability is None:
        if not hint.missing:
            return Text(en="not computed", zh="未计算")
        lacking = terms.joined(list(hint.missing), en="; ", zh="；")
        if hint.low is None or hint.high is None:
            return Text(en=f"not computed: {lacking.en}", zh=f"未计算：{lacking.zh}")
        low, high = terms.percent(hint.low), terms.percent(hint.high)
        return Text(
            en=f"between {low.en} and {high.en}: {lacking.en}",
            zh=f"介于 {low.zh} 与 {high.zh} 之间：{lacking.zh}",
        )
    value = terms.percent(hint.probability)
    if hint.low is None or hint.high is None:
        return value
    low, high = terms.percent(hint.low), terms.percent(hint.high)
    return Text(
        en=f"{value.en} (95 %: {low.en} – {high.en})", zh=f"{value.zh}（95%：{low.zh} – {high.zh}）"
    )


def changes_of(report: Report, finding: Finding) -> tuple[tuple[Comparison, NoduleChange], ...]:
    """What became of a finding since each earlier examination, the latest first."""
    return tuple(
        (comparison, change)
        for comparison in report.comparisons
        for change in comparison.changes
        if change.tracking_uid == finding.tracking_uid
    )


def change_figures(change: NoduleChange) -> Text:
    """The figures of a change: mm, volume, doubling time. Empty where there are none."""
    parts: list[Text] = []
    if change.diameter_change_mm is not None:
        figure = f"{terms.number(change.diameter_change_mm, 1, sign=True)} mm"
        noise = change.diameter_noise_mm
        beside = "" if noise is None else f" (±{terms.number(noise, 1)})"
        parts.append(Text.same(figure + beside))
    if change.volume_change_percent is not None:
        volume = terms.percent(change.volume_change_percent / 100, sign=True)
        noise = change.volume_noise_percent
        beside = "" if noise is None else f" (±{terms.number(noise)})"
        parts.append(Text(en=f"volume {volume.en}{beside}", zh=f"体积 {volume.zh}{beside}"))
    time = doubling(change)
    if time is not None:
        parts.append(time)
    return terms.joined(parts)


def doubling(change: NoduleChange) -> Text | None:
    """The doubling (or halving) time in words; None where there is none."""
    if change.doubling_time_days is None:
        return None
    span = terms.days(abs(change.doubling_time_days))
    if change.doubling_time_days < 0:
        return Text(en=f"halving time {span.en}", zh=f"减半时间 {span.zh}")
    return Text(en=f"doubling time {span.en}", zh=f"倍增时间 {span.zh}")


def change_badge(change: NoduleChange) -> Text:
    """A change in two words: ``Grown +1.6 mm``, ``New``."""
    what = terms.CHANGES[change.change]
    if change.diameter_change_mm is None or change.change not in (Change.GROWN, Change.SHRUNK):
        return what
    return terms.joined(
        [what, Text.same(f"{terms.number(change.diameter_change_mm, 1, sign=True)} mm")],
        en=" ",
        zh=" ",
    )


def in_effect(report: Report, guidance: Guidance) -> str | None:
    """The category that counts: the reader's own where there is one, else the computed one."""
    for override in report.overrides:
        if override.guideline == guidance.guideline:
            return override.category
    return guidance.category


def category_shown(guidance: Guidance, category: str | None) -> Text | None:
    """A category for people: most have short names, Fleischner's is the row that applied.

    ``category`` is the one that counts; None: it could not be assigned.
    """
    if category is None:
        return None
    short = guidance.guideline in _NAMED or category != guidance.category
    return category_text(guidance.guideline, category) if short else guidance.rule


_NAMED = (LUNG_RADS, NCCN, SAR_APA)
_SPOKEN = {
    NCCN: {str(name): text for name, text in CATEGORIES.items()},
    SAR_APA: {COMPLETE: Text(en=COMPLETE, zh="已填写完整")},
}


_NAMES = {
    NCCN: Text(en=NCCN, zh="NCCN 可切除性评估"),
    SAR_APA: Text(en="SAR/APA 2014 template", zh="SAR/APA 2014 结构式报告"),
}


def guideline_name(guideline: str) -> Text:
    """A guideline's name in both languages; most are spoken of by their English one."""
    return _NAMES.get(guideline, Text.same(guideline))


def category_text(guideline: str, category: str) -> Text:
    """A category in both languages; as it stands where it reads alike or is the reader's own."""
    return _SPOKEN.get(guideline, {}).get(category, Text.same(category))


def deciding(report: Report, finding: Finding) -> tuple[Guidance, ...]:
    """The guidelines whose category this finding decided; a template that is filled in is none."""
    return tuple(
        guidance
        for guidance in report.guidance
        if guidance.finding == finding.number
        and guidance.category is not None
        and guidance.guideline != SAR_APA
    )


def headline(report: Report) -> str:
    """The category that counts, for a list: ``Lung-RADS 4A``. Empty where there is none."""
    for guidance in report.guidance:
        category = in_effect(report, guidance)
        if category is not None and guidance.guideline == LUNG_RADS:
            return f"Lung-RADS {category}"
    return ""
