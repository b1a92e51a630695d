"""Lung-RADS v2022 as a table: every row with its category, and what to do for a category.

Source: American College of Radiology, Lung-RADS v2022 (November 2022); Christensen et al.,
J Am Coll Radiol 2024;21:473-488. Sizes are mean diameters to one decimal, or volumes to the
nearest mm³. The words are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from imaging.guidelines.rounding import to_tenth, to_whole
from imaging.guidelines.values import LungRads
from imaging.language import Text

SOURCE: Final = (
    "ACR Lung-RADS v2022 (American College of Radiology 2022; "
    "Christensen et al., J Am Coll Radiol 2024;21:473)"
)

ORDER: Final[tuple[LungRads, ...]] = ("0", "1", "2", "3", "4A", "4B", "4X")
"""From the least suspicious; 0 is apart and never compared with the others."""

LIMIT_MM3: Final = {4: 34, 6: 113, 8: 268, 10: 524, 15: 1767, 30: 14137}
"""The volume that stands beside each diameter (mm) in the table."""


@dataclass(frozen=True)
class Size:
    """A mean diameter, or a volume where there is no diameter."""

    mean_mm: float | None
    volume_mm3: float | None

    def below(self, limit_mm: int) -> bool:
        """Whether it is under the table's limit; ``limit_mm`` is a key of ``LIMIT_MM3``.

        Raises:
            ValueError: neither diameter nor volume is known.
        """
        if self.mean_mm is not None:
            return to_tenth(self.mean_mm) < limit_mm
        if self.volume_mm3 is not None:
            return to_whole(self.volume_mm3) < LIMIT_MM3[limit_mm]
        raise ValueError("A size with neither diameter nor volume; give one of them.")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    category: LungRads
    text: Text


def _row(category: LungRads, en: str, zh: str) -> Row:
    return Row(category, Text(en=en, zh=zh))


NO_NODULE: Final = _row("1", "no lung nodule", "未见肺结节")
BENIGN: Final = _row(
    "1",
    "nodule with benign features: complete, central, popcorn or concentric calcification, or fat",
    "具有良性特征的结节：完全性、中心性、爆米花样或同心圆样钙化，或含脂肪",
)
THIN_CYST: Final = _row(
    "1",
    "thin-walled unilocular cyst: benign, not classified by Lung-RADS",
    "薄壁单房囊腔：良性，不纳入 Lung-RADS 分类",
)

JUXTAPLEURAL: Final = _row(
    "2",
    "juxtapleural solid nodule < 10 mm (524 mm³), smooth, oval, lentiform or triangular",
    "胸膜旁实性结节 <10 mm（524 mm³），边缘光滑，呈椭圆形、透镜状或三角形",
)

SOLID_BASELINE: Final = (
    (6, _row("2", "solid nodule < 6 mm (113 mm³) at baseline", "基线实性结节 <6 mm（113 mm³）")),
    (8, _row(
        "3",
        "solid nodule 6 to < 8 mm (113 to < 268 mm³) at baseline",
        "基线实性结节 ≥6 且 <8 mm（≥113 且 <268 mm³）",
    )),
    (15, _row(
        "4A",
        "solid nodule 8 to < 15 mm (268 to < 1767 mm³) at baseline",
        "基线实性结节 ≥8 且 <15 mm（≥268 且 <1767 mm³）",
    )),
    (None, _row(
        "4B",
        "solid nodule of 15 mm (1767 mm³) or more at baseline",
        "基线实性结节 ≥15 mm（1767 mm³）",
    )),
)  # fmt: skip
SOLID_NEW: Final = (
    (4, _row("2", "new solid nodule < 4 mm (34 mm³)", "新发实性结节 <4 mm（34 mm³）")),
    (6, _row(
        "3",
        "new solid nodule 4 to < 6 mm (34 to < 113 mm³)",
        "新发实性结节 ≥4 且 <6 mm（≥34 且 <113 mm³）",
    )),
    (8, _row(
        "4A",
        "new solid nodule 6 to < 8 mm (113 to < 268 mm³)",
        "新发实性结节 ≥6 且 <8 mm（≥113 且 <268 mm³）",
    )),
    (None, _row(
        "4B", "new solid nodule of 8 mm (268 mm³) or more", "新发实性结节 ≥8 mm（268 mm³）"
    )),
)  # fmt: skip
SOLID_GROWING: Final = (
    (8, _row("4A", "growing solid nodule < 8 mm (268 mm³)", "增大的实性结节 <8 mm（268 mm³）")),
    (None, _row(
        "4B", "growing solid nodule of 8 mm (268 mm³) or more", "增大的实性结节 ≥8 mm（268 mm³）"
    )),
)  # fmt: skip

PART_SOLID_SMALL: Final = _row(
    "2",
    "part-solid nodule < 6 mm (113 mm³) in all, at baseline",
    "基线部分实性结节，总平均直径 <6 mm（113 mm³）",
)
PART_SOLID_SMALL_NEW: Final = _row(
    "3",
    "new part-solid nodule < 6 mm (113 mm³) in all",
    "新发部分实性结节，总平均直径 <6 mm（113 mm³）",
)
PART_SOLID_BASELINE: Final = (
    (6, _row(
        "3",
        "part-solid nodule of 6 mm (113 mm³) or more with a solid part < 6 mm (113 mm³), "
        "at baseline",
        "基线部分实性结节 ≥6 mm（113 mm³），实性成分 <6 mm（113 mm³）",
    )),
    (8, _row(
        "4A",
        "part-solid nodule of 6 mm (113 mm³) or more with a solid part of 6 to < 8 mm "
        "(113 to < 268 mm³), at baseline",
        "基线部分实性结节 ≥6 mm（113 mm³），实性成分 ≥6 且 <8 mm（≥113 且 <268 mm³）",
    )),
    (None, _row(
        "4B",
        "part-solid nodule with a solid part of 8 mm (268 mm³) or more, at baseline",
        "基线部分实性结节，实性成分 ≥8 mm（268 mm³）",
    )),
)  # fmt: skip
PART_SOLID_CHANGED: Final = (
    (4, _row(
        "4A",
        "part-solid nodule with a new or growing solid part < 4 mm (34 mm³)",
        "部分实性结节，新发或增大的实性成分 <4 mm（34 mm³）",
    )),
    (None, _row(
        "4B",
        "part-solid nodule with a new or growing solid part of 4 mm (34 mm³) or more",
        "部分实性结节，新发或增大的实性成分 ≥4 mm（34 mm³）",
    )),
)  # fmt: skip

GROUND_GLASS: Final = _row(
    "2",
    "non-solid nodule < 30 mm (14,137 mm³), whether at baseline, new or growing",
    "非实性（磨玻璃）结节 <30 mm（14 137 mm³），无论基线、新发或增大",
)
GROUND_GLASS_STABLE: Final = _row(
    "2",
    "non-solid nodule of 30 mm (14,137 mm³) or more, stable or growing slowly",
    "非实性（磨玻璃）结节 ≥30 mm（14 137 mm³），稳定或缓慢增大",
)
GROUND_GLASS_LARGE: Final = _row(
    "3",
    "non-solid nodule of 30 mm (14,137 mm³) or more, at baseline or new",
    "非实性（磨玻璃）结节 ≥30 mm（14 137 mm³），基线或新发",
)
GROUND_GLASS_GROWN: Final = _row(
    "3",
    "non-solid nodule growing at 30 mm (14,137 mm³) or more: the table names no row for it; "
    "that of a new one is used",
    "非实性（磨玻璃）结节增大且 ≥30 mm（14 137 mm³）：分类表未单列，按新发处理",
)

SLOW_GROWTH: Final = _row(
    "4B",
    "solid or part-solid nodule growing slowly over several screening examinations",
    "实性或部分实性结节在多次筛查中缓慢增大",
)

AIRWAY_SUBSEGMENTAL: Final = _row(
    "2", "subsegmental airway nodule, not growing", "亚段支气管内结节，无增大"
)
AIRWAY_FIRST: Final = _row(
    "4A", "airway nodule, segmental or more proximal, at baseline", "段及以上气道内结节，基线"
)
AIRWAY_PERSISTENT: Final = _row(
    "4B",
    "airway nodule, segmental or more proximal, stable or growing",
    "段及以上气道内结节，持续存在或增大",
)

CYST_CAVITY: Final = _row("3", "thick-walled cyst, its cavity growing", "厚壁囊腔，囊腔增大")
CYST_THICK: Final = _row("4A", "thick-walled cyst", "厚壁囊腔")
CYST_MULTILOCULAR: Final = _row("4A", "multilocular cyst at baseline", "多房囊腔，基线")
CYST_BECAME: Final = _row("4A", "cyst that became multilocular", "囊腔转变为多房")
CYST_WALL: Final = _row(
    "4B", "thick-walled cyst, its wall or a nodule in it growing", "厚壁囊腔，囊壁增厚或壁结节增大"
)
CYST_GREW: Final = _row("4B", "multilocular cyst, growing", "多房囊腔增大")
CYST_DENSER: Final = _row(
    "4B",
    "multilocular cyst with more loculi, or new or increased opacity",
    "多房囊腔分房增多，或出现新发或增多的实变、磨玻璃或结节影",
)

STEP_FROM_3: Final = _row(
    "2",
    "category 3 lesion that is stable or smaller at 6 months",
    "原 3 类病灶，6 个月复查稳定或缩小",
)
STEP_FROM_4A: Final = _row(
    "3",
    "category 4A lesion that is stable or smaller at 3 months",
    "原 4A 类病灶，3 个月复查稳定或缩小",
)
STEP_TOO_EARLY_3: Final = _row(
    "3",
    "category 3 lesion, stable, but the 6 months have not passed: the category stays",
    "原 3 类病灶稳定，但未满 6 个月，维持原分类",
)
STEP_TOO_EARLY_4A: Final = _row(
    "4A",
    "category 4A lesion, stable, but the 3 months have not passed: the category stays",
    "原 4A 类病灶稳定，但未满 3 个月，维持原分类",
)
STAYS_4B: Final = _row(
    "4B",
    "category 4B lesion, stable: category 2 only once work-up has shown it to be benign",
    "原 4B 类病灶稳定：须经诊断性检查证实为良性后方可降为 2 类",
)
STAYS_4X: Final = _row(
    "4X",
    "category 4X lesion, stable: category 2 only once work-up has shown it to be benign",
    "原 4X 类病灶稳定：须经诊断性检查证实为良性后方可降为 2 类",
)
STAYS_2: Final = _row(
    "2", "category 1 or 2 lesion that is stable or smaller", "原 1 类或 2 类病灶，稳定或缩小"
)

INCOMPLETE: Final = _row("0", "part of the lungs can't be judged", "部分肺区无法评估")
PRIOR_AWAITED: Final = _row(
    "0", "an earlier chest CT is still to be compared", "尚待与既往胸部 CT 对比"
)
INFECTION: Final = _row(
    "0", "findings that suggest infection or inflammation", "所见提示感染或炎症"
)

_FOLLOW_UP: Final = {
    "1": Text(
        en="Continue annual screening with low-dose CT in 12 months.",
        zh="继续年度筛查，12 个月后行低剂量 CT（LDCT）。",
    ),
    "2": Text(
        en="Continue annual screening with low-dose CT in 12 months.",
        zh="继续年度筛查，12 个月后行低剂量 CT（LDCT）。",
    ),
    "3": Text(en="Low-dose CT in 6 months.", zh="6 个月后复查低剂量 CT（LDCT）。"),
    "4A": Text(en="Low-dose CT in 3 months.", zh="3 个月后复查低剂量 CT（LDCT）。"),
}
_ZERO: Final = {
    INCOMPLETE: Text(
        en="Repeat low-dose CT of what could not be judged.",
        zh="建议补充低剂量 CT 扫描，以评估未能显示的肺区。",
    ),
    PRIOR_AWAITED: Text(
        en="Obtain the earlier chest CT and compare; the category is assigned after that.",
        zh="请调阅既往胸部 CT 进行对比，对比后再确定分类。",
    ),
    INFECTION: Text(
        en="Low-dose CT in 1 to 3 months, then classify anew by the most suspicious nodule.",
        zh="1～3 个月后复查低剂量 CT（LDCT），届时按最可疑结节重新分类。",
    ),
}
_PET: Final = Text(
    en=" PET/CT may be considered, as the solid nodule or solid part is 8 mm or more.",
    zh="实性结节或实性成分 ≥8 mm，可考虑 PET/CT。",
)


def management(row: Row, *, category: str, solid_8mm: bool) -> Text:
    """What to do.

    Args:
        row: which row applied.
        category: the one assigned; differs from the row's when features made it 4X.
        solid_8mm: whether there is a solid nodule or solid part of 8 mm or more.
    """
    if category == "0":
        return _ZERO[row]
    if category in ("4B", "4X"):
        pet = Text(en=", PET/CT (solid part 8 mm or more)", zh="、PET/CT（实性成分 ≥8 mm）")
        options = pet if solid_8mm else Text(en="", zh="")
        return Text(
            en="Refer for further clinical evaluation. Options by clinical findings, the patient's "
            "preference and the likelihood of malignancy: diagnostic chest CT with or without "
            f"contrast{options.en}, tissue sampling.",
            zh="建议转专科进一步评估，结合临床、患者意愿及恶性概率选择："
            f"诊断性胸部 CT（平扫或增强）{options.zh}、组织学活检。",
        )
    text = _FOLLOW_UP[category]
    if category == "4A" and solid_8mm:
        return Text(en=text.en + _PET.en, zh=text.zh + _PET.zh)
    return text
