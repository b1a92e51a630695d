"""The NCCN's criteria of resectability as a table: every row with its category.

Source: NCCN Clinical Practice Guidelines in Oncology, Pancreatic Adenocarcinoma, criteria that
define resectability at diagnosis, version 2.2021 (Tempero et al., J Natl Compr Canc Netw
2021;19:439-457). The words are ours. Rows that the NCCN does not have stand apart, in
``GAPS``: about one tumour in ten touches vessels in a way that no row names (Garces-Descovich
et al., Abdom Radiol 2018, doi 10.1007/s00261-018-1459-6), and a reader must see where the
table ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from imaging.guidelines.values import Resectability
from imaging.language import Text

SOURCE: Final = (
    "NCCN Pancreatic Adenocarcinoma, version 2.2021 "
    "(Tempero et al., J Natl Compr Canc Netw 2021;19:439)"
)
ORDER: Final[tuple[Resectability, ...]] = (
    "resectable",
    "borderline resectable",
    "locally advanced",
    "metastatic",
)
"""From the least advanced."""
CATEGORIES: Final[dict[Resectability, Text]] = {
    "resectable": Text(en="resectable", zh="可切除"),
    "borderline resectable": Text(en="borderline resectable", zh="交界可切除"),
    "locally advanced": Text(en="locally advanced", zh="局部进展期"),
    "metastatic": Text(en="metastatic", zh="合并远处转移"),
}
ADVICE: Final[dict[Resectability, Text]] = {
    "resectable": Text(
        en="Multidisciplinary discussion: surgery first, or neoadjuvant therapy where the risk "
        "is high.",
        zh="建议多学科讨论：可直接手术；高危者可考虑新辅助治疗。",
    ),
    "borderline resectable": Text(
        en="Multidisciplinary discussion: biopsy and neoadjuvant therapy, then restaging before "
        "surgery.",
        zh="建议多学科讨论：活检明确后行新辅助治疗，再评估后决定手术。",
    ),
    "locally advanced": Text(
        en="Multidisciplinary discussion: biopsy and systemic therapy; resection only if "
        "restaging allows it.",
        zh="建议多学科讨论：活检明确后行系统治疗；再评估允许时方考虑切除。",
    ),
    "metastatic": Text(
        en="Multidisciplinary discussion: confirm by biopsy, of a metastasis where possible, and "
        "systemic therapy.",
        zh="建议多学科讨论：活检证实（尽可能取转移灶）后行系统治疗。",
    ),
}
"""What follows, in general; treatment is decided by the people who know the patient."""

Where = Literal["head", "body-tail", "any"]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        key: names it for programs and tests.
        where: the part of the pancreas it is for; "head" includes the uncinate process.
    """

    key: str
    category: Resectability
    where: Where
    text: Text

    @property
    def rank(self) -> int:
        """0 for resectable to 3 for metastatic."""
        return ORDER.index(self.category)


def _row(key: str, category: Resectability, where: Where, en: str, zh: str) -> Row:
    return Row(key, category, where, Text(en=en, zh=zh))


ARTERIES_FREE: Final = _row(
    "arteries-free", "resectable", "any",
    "no contact with coeliac axis, SMA or CHA", "肿瘤未接触腹腔干、肠系膜上动脉或肝总动脉",
)  # fmt: skip
VEINS_FREE: Final = _row(
    "veins-free", "resectable", "any",
    "no contact with SMV or portal vein", "肿瘤未接触肠系膜上静脉或门静脉",
)  # fmt: skip
VEIN_SMOOTH: Final = _row(
    "vein-smooth", "resectable", "any",
    "contact with SMV or portal vein of 180° or less, its contour regular",
    "接触肠系膜上静脉或门静脉 ≤180°，静脉轮廓规则",
)  # fmt: skip

CHA_SHORT: Final = _row(
    "cha-short", "borderline resectable", "head",
    "contact with the CHA that reaches neither the coeliac axis nor the hepatic bifurcation and "
    "can be resected and reconstructed",
    "接触肝总动脉，未累及腹腔干及肝动脉分叉，可安全切除并重建",
)  # fmt: skip
SMA_ABUTTED: Final = _row(
    "sma-abutted", "borderline resectable", "head",
    "contact with the SMA of 180° or less", "接触肠系膜上动脉 ≤180°",
)  # fmt: skip
VARIANT_ARTERY: Final = _row(
    "variant-artery", "borderline resectable", "head",
    "contact with a variant artery (replaced or accessory right hepatic, replaced common hepatic)",
    "接触变异动脉（替代或副肝右动脉、替代肝总动脉）",
)  # fmt: skip
COELIAC_ABUTTED: Final = _row(
    "coeliac-abutted", "borderline resectable", "body-tail",
    "contact with the coeliac axis of 180° or less", "接触腹腔干 ≤180°",
)  # fmt: skip
COELIAC_APPLEBY: Final = _row(
    "coeliac-appleby", "borderline resectable", "body-tail",
    "contact with the coeliac axis of more than 180°, aorta and gastroduodenal artery free "
    "(modified Appleby procedure possible)",
    "接触腹腔干 >180°，主动脉及胃十二指肠动脉未受累（可行改良 Appleby 手术）",
)  # fmt: skip
VEIN_ENCASED: Final = _row(
    "vein-encased", "borderline resectable", "any",
    "contact with SMV or portal vein of more than 180°, suitable vein above and below",
    "接触肠系膜上静脉或门静脉 >180°，远近端有合适静脉可供重建",
)  # fmt: skip
VEIN_IRREGULAR: Final = _row(
    "vein-irregular", "borderline resectable", "any",
    "contact with SMV or portal vein of 180° or less with an irregular contour, suitable vein "
    "above and below",
    "接触肠系膜上静脉或门静脉 ≤180° 但静脉轮廓不规则，远近端有合适静脉可供重建",
)  # fmt: skip
VEIN_BLOCKED: Final = _row(
    "vein-blocked", "borderline resectable", "any",
    "SMV or portal vein thrombosed or occluded, suitable vein above and below",
    "肠系膜上静脉或门静脉内有栓子或闭塞，远近端有合适静脉可供重建",
)  # fmt: skip
IVC: Final = _row(
    "ivc", "borderline resectable", "any", "contact with the inferior vena cava", "接触下腔静脉",
)  # fmt: skip

SMA_ENCASED: Final = _row(
    "sma-encased", "locally advanced", "any",
    "contact with the SMA of more than 180°", "接触肠系膜上动脉 >180°",
)  # fmt: skip
COELIAC_ENCASED: Final = _row(
    "coeliac-encased", "locally advanced", "any",
    "contact with the coeliac axis of more than 180°", "接触腹腔干 >180°",
)  # fmt: skip
COELIAC_AORTA: Final = _row(
    "coeliac-aorta", "locally advanced", "body-tail",
    "contact with the coeliac axis and the aorta", "接触腹腔干并累及主动脉",
)  # fmt: skip
VEIN_LOST: Final = _row(
    "vein-lost", "locally advanced", "any",
    "SMV or portal vein cannot be reconstructed, for tumour or occlusion",
    "肠系膜上静脉或门静脉因肿瘤侵犯或闭塞无法重建",
)  # fmt: skip
METASTATIC: Final = _row(
    "metastatic", "metastatic", "any",
    "distant metastasis, nodes beyond the regional ones included", "远处转移（包括非区域淋巴结）",
)  # fmt: skip

PUBLISHED: Final = (
    ARTERIES_FREE, VEINS_FREE, VEIN_SMOOTH, CHA_SHORT, SMA_ABUTTED, VARIANT_ARTERY,
    COELIAC_ABUTTED, COELIAC_APPLEBY, VEIN_ENCASED, VEIN_IRREGULAR, VEIN_BLOCKED, IVC,
    SMA_ENCASED, COELIAC_ENCASED, COELIAC_AORTA, VEIN_LOST, METASTATIC,
)  # fmt: skip
"""Every row of the published table."""

SMA_BRANCH: Final = _row(
    "sma-branch", "borderline resectable", "any",
    "contact with the first jejunal branch of the SMA, counted as contact with the SMA",
    "接触肠系膜上动脉第一空肠支，按接触肠系膜上动脉计",
)  # fmt: skip
CHA_LONG: Final = _row(
    "cha-long", "locally advanced", "any",
    "contact with the CHA that reaches the coeliac axis or the hepatic bifurcation, or that "
    "can't be reconstructed",
    "接触肝总动脉并累及腹腔干或肝动脉分叉，或无法重建",
)  # fmt: skip
AORTA: Final = _row(
    "aorta", "locally advanced", "any", "contact with the aorta", "接触主动脉",
)  # fmt: skip
VEIN_BRANCH: Final = _row(
    "vein-branch", "borderline resectable", "any",
    "contact with the first draining jejunal vein, suitable vein above and below",
    "接触第一空肠静脉，远近端有合适静脉可供重建",
)  # fmt: skip
GAPS: Final = (SMA_BRANCH, CHA_LONG, AORTA, VEIN_BRANCH)
"""What the table leaves open, as it is counted here."""
