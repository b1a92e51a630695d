"""What is said of how a lobe was told, or why it was not; in both languages."""

from __future__ import annotations

from imaging.language import Text

NAMES = {
    "oblique": Text(en="oblique fissure", zh="斜裂"),
    "minor": Text(en="minor fissure", zh="水平裂"),
}

THICK = Text(
    en="Lobe not told: slices more than 3 mm apart do not show the fissures well enough.",
    zh="未判定肺叶：层间距大于3 mm，叶间裂显示不足。",
)
CUT = Text(
    en="Lobe not told: the scan cuts the lungs; the third is of the part in view.",
    zh="未判定肺叶：扫描未包全双肺；上/中/下三分之一按视野内肺组织划分。",
)
SMALL = Text(
    en="Lobe not told: this lung is small (collapse, effusion, surgery or partial view), so its "
    "fissures may lie anywhere.",
    zh="未判定肺叶：该侧肺容积过小（肺不张、胸腔积液、术后或未包全），叶间裂位置无法推定。",
)
UNSEEN = Text(
    en="Lobe not told: too little of the oblique fissure was seen in this lung.",
    zh="未判定肺叶：该侧斜裂可见部分过少。",
)


def told(*fissures: tuple[str, float, bool]) -> Text:
    """What a lobe was told from: (fissure, signed mm of the middle, whether seen near by)."""
    en = "; ".join(
        f"middle {abs(mm):.0f} mm {_way(name, mm).en} the {NAMES[name].en}, "
        + ("seen near by" if seen else "not seen near by, placed by its usual course")
        for name, mm, seen in fissures
    )
    zh = "；".join(
        f"中心位于{NAMES[name].zh}{_way(name, mm).zh}{abs(mm):.0f} mm"
        + ("（邻近叶间裂可见）" if seen else "（邻近叶间裂未见，按常见走行推定）")
        for name, mm, seen in fissures
    )
    return Text(en=en[:1].upper() + en[1:] + ".", zh=zh + "。")


def astride(name: str) -> Text:
    """Why a lobe was not told: the mask lies on both sides of a fissure."""
    fissure = NAMES[name]
    return Text(
        en=f"Lobe not told: it lies on both sides of the {fissure.en}.",
        zh=f"未判定肺叶：病灶跨{fissure.zh}两侧。",
    )


def unsure(name: str, mm: float, least_mm: float, sigma_mm: float, seen: bool) -> Text:
    """Why a lobe was not told: the place is too near a fissure for how well that is known."""
    fissure = NAMES[name]
    known = "seen near by" if seen else "not seen near by"
    visible = "邻近可见" if seen else "邻近未见"
    return Text(
        en=f"Lobe not told: about {abs(mm):.0f} mm from the {fissure.en} ({known}), whose place "
        f"there is known to {sigma_mm:.0f} mm; a lobe is told from {least_mm:.0f} mm on.",
        zh=f"未判定肺叶：距{fissure.zh}（{visible}）约{abs(mm):.0f} mm，"
        f"该处叶间裂定位误差约{sigma_mm:.0f} mm；≥{least_mm:.0f} mm 方判定肺叶。",
    )


def _way(name: str, mm: float) -> Text:
    if name == "oblique":
        return Text(en="in front of", zh="前上方") if mm > 0 else Text(en="behind", zh="后下方")
    return Text(en="above", zh="上方") if mm > 0 else Text(en="below", zh="下方")
