"""Why a nodule was given its type and its margin, in both languages, with the figures."""

from __future__ import annotations

from imaging.character.composition import (
    CALCIUM_HU,
    FAT_HU,
    GLASS_SHARE,
    GLASS_TOP_HU,
    SOLID_HU,
    Composition,
)
from imaging.character.margin import (
    ILL_DEFINED_MM,
    LEAST_STRANDS,
    LOBULATED_BELOW,
    SPICULATED_BELOW,
    Border,
)
from imaging.language import Text
from imaging.nodule import Calcification, Margin, NoduleType

_PATTERNS = {"diffuse": ("diffuse", "弥漫性"), "central": ("central", "中心性"),
             "eccentric": ("eccentric or scattered", "偏心或散在")}  # fmt: skip
_LOOK = Text(
    en="a measurement that readers often disagree with, look at the border",
    zh="此为测量结果，与医师判读常不一致，请核对边缘",
)


def type_why(found: Composition) -> Text:
    """The measurements that decided the type."""
    if found.type is NoduleType.CALCIFIED and found.calcification is not None:
        return _calcium(found.calcification)
    if found.type is NoduleType.FAT:
        low, high = FAT_HU
        text = Text(
            en=f"{found.fat_mm3:.0f} mm³ between {low:.0f} and {high:.0f} HU within soft tissue",
            zh=f"软组织内有 {found.fat_mm3:.0f} mm³ 密度介于 {low:.0f} 至 {high:.0f} HU（脂肪）",
        )
    else:
        text = _matter(found)
    if found.calcification is None:
        return text
    calcium = _calcium(found.calcification)
    return Text(
        en=f"{text.en}; {calcium.en}, not a benign pattern",
        zh=f"{text.zh}；{calcium.zh}，非良性钙化形态",
    )


def _matter(found: Composition) -> Text:
    top, share = found.top_hu, 100 * found.glass_share
    if found.type is NoduleType.GROUND_GLASS:
        if top < GLASS_TOP_HU:
            return Text(
                en=f"densest 5 % at {top:.0f} HU (ground-glass below {GLASS_TOP_HU:.0f})",
                zh=f"最致密 5% 为 {top:.0f} HU（低于 {GLASS_TOP_HU:.0f} HU 为磨玻璃）",
            )
        return Text(
            en=f"{share:.0f} % ground-glass, nothing solid of 2 mm or more above {SOLID_HU:.0f} HU",
            zh=f"磨玻璃成分占 {share:.0f}%，{SOLID_HU:.0f} HU 以上的实性成分不足 2 mm",
        )
    if found.type is NoduleType.PART_SOLID:
        return Text(
            en=f"{share:.0f} % ground-glass around {found.solid_mm:.1f} mm (as a ball) "
            f"above {SOLID_HU:.0f} HU",
            zh=f"磨玻璃成分占 {share:.0f}%，{SOLID_HU:.0f} HU 以上的实性成分等效直径 "
            f"{found.solid_mm:.1f} mm",
        )
    return Text(
        en=f"densest 5 % at {top:.0f} HU, {share:.0f} % ground-glass beyond its edge "
        f"(part-solid from {100 * GLASS_SHARE:.0f} %)",
        zh=f"最致密 5% 为 {top:.0f} HU，边缘以外磨玻璃成分占 {share:.0f}%"
        f"（≥{100 * GLASS_SHARE:.0f}% 为部分实性）",
    )


def _calcium(found: Calcification) -> Text:
    en, zh = _PATTERNS[found.pattern]
    return Text(
        en=f"{en} calcification, {found.volume_mm3:.0f} mm³ above {CALCIUM_HU:.0f} HU, "
        f"{100 * found.share:.0f} % of the inside",
        zh=f"{zh}钙化，{CALCIUM_HU:.0f} HU 以上 {found.volume_mm3:.0f} mm³，"
        f"占内部 {100 * found.share:.0f}%",
    )


def margin_why(found: Border) -> Text:
    """The measurements that decided the margin."""
    round_, strands, edge = found.sphericity, found.strands, found.edge_mm
    if found.margin is Margin.SPICULATED:
        return Text(
            en=f"{strands} strands around it ({LEAST_STRANDS} or more; vessels count too) and "
            f"sphericity {round_:.2f} (below {SPICULATED_BELOW:.2f}): irregular, spiculation "
            f"possible; {_LOOK.en}",
            zh=f"周围 {strands} 条条索影（≥{LEAST_STRANDS}，含血管），球形度 {round_:.2f}"
            f"（<{SPICULATED_BELOW:.2f}）：边缘不规则，可能有毛刺；{_LOOK.zh}",
        )
    if found.margin is Margin.ILL_DEFINED and edge is not None:
        return Text(
            en=f"its edge is {edge:.1f} mm wide (ill-defined above {ILL_DEFINED_MM:.1f} mm); "
            f"{_LOOK.en}",
            zh=f"边缘过渡宽 {edge:.1f} mm（>{ILL_DEFINED_MM:.1f} mm 为边界不清）；{_LOOK.zh}",
        )
    rest_en, rest_zh = f"{strands} strands around it", f"周围条索影 {strands} 条"
    if edge is not None:
        rest_en, rest_zh = f"{rest_en}, edge {edge:.1f} mm wide", f"{rest_zh}，边缘宽 {edge:.1f} mm"
    if found.margin is Margin.LOBULATED:
        return Text(
            en=f"sphericity {round_:.2f} (lobulated below {LOBULATED_BELOW:.2f}), {rest_en}; "
            f"{_LOOK.en}",
            zh=f"球形度 {round_:.2f}（<{LOBULATED_BELOW:.2f} 为分叶），{rest_zh}；{_LOOK.zh}",
        )
    return Text(
        en=f"sphericity {round_:.2f}, {rest_en}",
        zh=f"球形度 {round_:.2f}，{rest_zh}",
    )
