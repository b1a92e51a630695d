"""Fleischner 2017 as a table: what to do for incidental nodules, by type, number and size.

Source: MacMahon et al., Radiology 2017;284:228-243. Sizes are mean diameters to the nearest
mm (Bankier et al., Radiology 2017;285:584), or volumes. The words are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from imaging.language import Text

SOURCE: Final = "Fleischner Society 2017 (MacMahon et al., Radiology 2017;284:228)"


@dataclass(frozen=True)
class Row:
    """One cell of the table.

    Attributes:
        category: its short name, language-neutral enough for a list.
        text: the row in words.
        low: what to do at low risk.
        high: what to do at high risk; the same object where risk does not matter.
        urgency: orders rows where solid and subsolid nodules are there together.
    """

    category: str
    text: Text
    low: Text
    high: Text
    urgency: int


def _row(category: str, zh: str, urgency: int, low: Text, high: Text | None = None) -> Row:
    text = Text(en=category.replace("-", " to ", 1) if "6-8" in category else category, zh=zh)
    text = text.model_copy(update={"en": text.en.replace(">=", "≥")})
    return Row(category, text, low, high or low, urgency)


_NOTHING: Final = Text(en="No routine follow-up.", zh="无需常规随访。")
_OPTIONAL: Final = Text(en="CT at 12 months is optional.", zh="可选择 12 个月后复查 CT。")
_LARGE: Final = Text(
    en="Consider CT at 3 months, PET/CT or tissue sampling.",
    zh="建议考虑 3 个月后复查 CT、PET/CT 或组织学活检。",
)
_MULTIPLE_LOW: Final = Text(
    en="CT at 3 to 6 months, then consider CT at 18 to 24 months.",
    zh="3～6 个月后复查 CT，之后可考虑 18～24 个月复查 CT。",
)
_MULTIPLE_HIGH: Final = Text(
    en="CT at 3 to 6 months, then CT at 18 to 24 months.",
    zh="3～6 个月后复查 CT，之后 18～24 个月复查 CT。",
)

SOLID_SINGLE: Final = (
    _row("solid, single, <6 mm", "单发实性结节 <6 mm（<100 mm³）", 0, _NOTHING, _OPTIONAL),
    _row(
        "solid, single, 6-8 mm", "单发实性结节 6～8 mm（100～250 mm³）", 3,
        Text(en="CT at 6 to 12 months, then consider CT at 18 to 24 months.",
             zh="6～12 个月后复查 CT，之后可考虑 18～24 个月复查 CT。"),
        Text(en="CT at 6 to 12 months, then CT at 18 to 24 months.",
             zh="6～12 个月后复查 CT，之后 18～24 个月复查 CT。"),
    ),
    _row("solid, single, >8 mm", "单发实性结节 >8 mm（>250 mm³）", 7, _LARGE),
)  # fmt: skip
SOLID_MULTIPLE: Final = (
    _row("solid, multiple, <6 mm", "多发实性结节 <6 mm（<100 mm³）", 0, _NOTHING, _OPTIONAL),
    _row("solid, multiple, 6-8 mm", "多发实性结节，最大者 6～8 mm（100～250 mm³）", 5,
         _MULTIPLE_LOW, _MULTIPLE_HIGH),
    _row("solid, multiple, >8 mm", "多发实性结节，最大者 >8 mm（>250 mm³）", 5,
         _MULTIPLE_LOW, _MULTIPLE_HIGH),
)  # fmt: skip

GROUND_GLASS_SMALL: Final = _row(
    "ground-glass, single, <6 mm", "单发磨玻璃结节 <6 mm（<100 mm³）", 0, _NOTHING
)
GROUND_GLASS: Final = _row(
    "ground-glass, single, >=6 mm", "单发磨玻璃结节 ≥6 mm（≥100 mm³）", 2,
    Text(en="CT at 6 to 12 months to see whether it persists, then CT every 2 years up to 5 years.",
         zh="6～12 个月后复查 CT 明确是否持续存在，之后每 2 年复查 CT，直至 5 年。"),
)  # fmt: skip
PART_SOLID_SMALL: Final = _row(
    "part-solid, single, <6 mm", "单发部分实性结节 <6 mm（<100 mm³）", 0, _NOTHING
)
PART_SOLID: Final = _row(
    "part-solid, single, >=6 mm, solid part <6 mm",
    "单发部分实性结节 ≥6 mm（≥100 mm³），实性成分 <6 mm", 4,
    Text(en="CT at 3 to 6 months to see whether it persists. If unchanged and the solid part "
            "stays under 6 mm, CT every year for 5 years.",
         zh="3～6 个月后复查 CT 明确是否持续存在；若无变化且实性成分仍 <6 mm，"
            "每年复查 CT，共 5 年。"),
)  # fmt: skip
PART_SOLID_LARGE: Final = _row(
    "part-solid, single, >=6 mm, solid part >=6 mm",
    "单发部分实性结节 ≥6 mm（≥100 mm³），实性成分 ≥6 mm", 6,
    Text(en="CT at 3 to 6 months to see whether it persists. A solid part of 6 mm or more that "
            "persists is highly suspicious: consider PET/CT, biopsy or resection.",
         zh="3～6 个月后复查 CT 明确是否持续存在；实性成分 ≥6 mm 且持续存在者高度可疑，"
            "建议考虑 PET/CT、活检或手术切除。"),
)  # fmt: skip
SUBSOLID_MULTIPLE_SMALL: Final = _row(
    "subsolid, multiple, <6 mm", "多发亚实性结节，均 <6 mm（<100 mm³）", 4,
    Text(en="CT at 3 to 6 months; if stable, consider CT at 2 and 4 years.",
         zh="3～6 个月后复查 CT；若稳定，可考虑第 2 年和第 4 年复查 CT。"),
)  # fmt: skip
SUBSOLID_MULTIPLE: Final = _row(
    "subsolid, multiple, >=6 mm", "多发亚实性结节，至少一枚 ≥6 mm（≥100 mm³）", 5,
    Text(en="CT at 3 to 6 months; further management by the most suspicious nodule.",
         zh="3～6 个月后复查 CT，后续处理依最可疑的结节而定。"),
)  # fmt: skip
BENIGN: Final = _row(
    "benign",
    "仅见良性结节（良性钙化、含脂肪或典型叶间裂旁结节）",
    -1,
    Text(en="No follow-up of the nodules.", zh="结节无需随访。"),
)
