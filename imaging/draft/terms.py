"""The words for nodules and the formats of all numbers. Every output takes them from here."""

from __future__ import annotations

from imaging.finding import Finding
from imaging.language import Text
from imaging.nodule import Diameters, Interval, Lobe, Margin, Nodule, NoduleType, Place, Side, Third
from imaging.priors.values import Change

MASS_MM = 30.0
"""Longer than this it is called a mass (Fleischner glossary, Bankier 2024)."""
CLOSE_MM = 10.0
"""A fissure nearer than this is worth a word."""
LARGE_MM3 = 10_000
"""From here on volumes are told in ml."""

TYPES: dict[NoduleType, Text] = {
    NoduleType.SOLID: Text(en="Solid", zh="实性"),
    NoduleType.PART_SOLID: Text(en="Part-solid", zh="部分实性"),
    NoduleType.GROUND_GLASS: Text(en="Ground-glass", zh="磨玻璃"),
    NoduleType.CALCIFIED: Text(en="Calcified", zh="钙化"),
    NoduleType.FAT: Text(en="Fat-containing", zh="含脂肪"),
}
MARGINS: dict[Margin, Text] = {
    Margin.SMOOTH: Text(en="smooth", zh="光滑"),
    Margin.LOBULATED: Text(en="lobulated", zh="分叶状"),
    # Said of several times as many nodules as readers say it of: never as a fact.
    Margin.SPICULATED: Text(en="irregular, possibly spiculated", zh="不规则，可能有毛刺"),
    Margin.ILL_DEFINED: Text(en="ill-defined", zh="模糊"),
}
SIDES: dict[Side, Text] = {
    Side.RIGHT: Text(en="right lung", zh="右肺"),
    Side.LEFT: Text(en="left lung", zh="左肺"),
}
THIRDS: dict[Third, Text] = {
    Third.UPPER: Text(en="upper third", zh="上部"),
    Third.MIDDLE: Text(en="middle third", zh="中部"),
    Third.LOWER: Text(en="lower third", zh="下部"),
}
LOBES: dict[Lobe, Text] = {
    Lobe.RIGHT_UPPER: Text(en="right upper lobe", zh="右肺上叶"),
    Lobe.RIGHT_MIDDLE: Text(en="right middle lobe", zh="右肺中叶"),
    Lobe.RIGHT_LOWER: Text(en="right lower lobe", zh="右肺下叶"),
    Lobe.LEFT_UPPER: Text(en="left upper lobe", zh="左肺上叶"),
    Lobe.LEFT_LOWER: Text(en="left lower lobe", zh="左肺下叶"),
}
PLANES: dict[str, Text] = {
    "axial": Text(en="axial", zh="轴位"),
    "coronal": Text(en="coronal", zh="冠状位"),
    "sagittal": Text(en="sagittal", zh="矢状位"),
}
PATTERNS: dict[str, Text] = {
    "diffuse": Text(en="diffuse", zh="弥漫性"),
    "central": Text(en="central", zh="中心性"),
    "eccentric": Text(en="eccentric", zh="偏心性"),
}
CHANGES: dict[Change, Text] = {
    Change.GROWN: Text(en="Grown", zh="增大"),
    Change.STABLE: Text(en="Stable", zh="稳定"),
    Change.SHRUNK: Text(en="Smaller", zh="缩小"),
    Change.NEW: Text(en="New", zh="新发"),
    Change.RESOLVED: Text(en="No longer seen", zh="已消失"),
    Change.UNMATCHED: Text(en="Not comparable", zh="无法比较"),
}


def joined(parts: list[Text], en: str = ", ", zh: str = "，") -> Text:
    """Parts with each language's own separator between them."""
    return Text(en=en.join(p.en for p in parts), zh=zh.join(p.zh for p in parts))


def capital(text: Text) -> Text:
    """With a capital."""
    return Text(en=text.en[:1].upper() + text.en[1:], zh=text.zh)


def number(value: float, digits: int = 0, *, sign: bool = False) -> str:
    """With thousands and a true minus sign; never "-0"."""
    rounded = round(value, digits) + 0.0
    return f"{rounded:{'+' if sign and rounded else ''},.{digits}f}".replace("-", "\u2212")


def mm(value: float) -> str:
    """A length, to 0.1 mm."""
    return f"{number(value, 1)} mm"


def size(long_mm: float, short_mm: float) -> str:
    """``8.2 × 6.9 mm``."""
    return f"{number(long_mm, 1)} × {number(short_mm, 1)} mm"


def diameters(measured: Diameters) -> Text:
    """Long, short and mean of one plane."""
    pair, mean = size(measured.long_mm, measured.short_mm), mm(measured.mean_mm)
    return Text(en=f"{pair} (mean {mean})", zh=f"{pair}（平均 {mean}）")


def volume(mm3: float) -> str:
    """In mm³; from 10,000 on in ml."""
    return f"{number(mm3)} mm³" if mm3 < LARGE_MM3 else f"{number(mm3 / 1000, 1)} ml"


def volume_range(measured: Interval) -> str:
    """The bounds of a volume in the unit that its value is told in."""
    if measured.value < LARGE_MM3:
        return f"{number(measured.low)} – {number(measured.high)} mm³"
    return f"{number(measured.low / 1000, 1)} – {number(measured.high / 1000, 1)} ml"


def percent(fraction: float, *, sign: bool = False) -> Text:
    """A fraction of 1 as per cent; below 10 % to one digit."""
    value = 100 * fraction
    figure = number(value, 0 if abs(value) >= 10 else 1, sign=sign)
    return Text(en=f"{figure} %", zh=f"{figure}%")


def days(count: float) -> Text:
    """A doubling time or a span."""
    figure = number(count)
    return Text(en=f"{figure} days" if figure != "1" else "1 day", zh=f"{figure} 天")


def date(da: str) -> str:
    """DICOM DA as ISO; anything else as it stands."""
    return f"{da[:4]}-{da[4:6]}-{da[6:]}" if len(da) == 8 and da.isdigit() else da


def kind(nodule: Nodule) -> Text:
    """``Solid nodule``; longer than 30 mm it is a mass."""
    what = TYPES[nodule.type]
    if nodule.axial.long_mm > MASS_MM:
        return Text(en=f"{what.en} mass", zh=f"{what.zh}肿块")
    return Text(en=f"{what.en} nodule", zh=f"{what.zh}结节")


def place(where: Place) -> Text:
    """The lobe, with its segment where it is sure; else the side and the third of the lung."""
    if where.lobe is not None:
        lobe = LOBES[where.lobe]
        if where.segment:
            return Text(en=f"{lobe.en} ({where.segment})", zh=f"{lobe.zh}（{where.segment}）")
        return lobe
    side, third = SIDES[where.side], THIRDS[where.third]
    return Text(en=f"{third.en} of the {side.en}", zh=f"{side.zh}{third.zh}")


def name(finding: Finding) -> Text:
    """What and where in a few words: a nodule's kind and place, else label and site."""
    if finding.nodule is None:
        label, site = finding.label.meaning, finding.site.meaning
        return Text(en=f"{label.en}, {site.en.lower()}", zh=f"{site.zh}{label.zh}")
    what, where = kind(finding.nodule), place(finding.nodule.place)
    return Text(en=f"{what.en} in the {where.en}", zh=f"{where.zh}{what.zh}")


def pleura(where: Place) -> Text:
    """How it lies to the pleura and, where near, to a fissure."""
    if where.pleura_mm < 0.5:
        parts = [Text(en="touching the pleura", zh="紧贴胸膜")]
    else:
        far = f"{number(where.pleura_mm)} mm"
        parts = [Text(en=f"{far} from the pleura", zh=f"距胸膜 {far}")]
        if where.subpleural:
            parts.insert(0, Text(en="subpleural", zh="胸膜下"))
    if where.fissure_mm is not None and where.fissure_mm < CLOSE_MM:
        near = f"{number(where.fissure_mm)} mm"
        parts.append(
            Text(en="on the fissure", zh="紧贴叶间裂")
            if where.fissure_mm < 0.5
            else Text(en=f"{near} from the fissure", zh=f"距叶间裂 {near}")
        )
    return joined(parts)
