"""What was known of a pancreatic tumour, and what has to be asked, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from imaging.guidelines import pancreas_words as words
from imaging.guidelines.assessment import joined, said
from imaging.guidelines.pancreas_rows import Answer
from imaging.guidelines.pancreas_tumour import BY_READER, MEASURED, By, Tumour, VesselState
from imaging.guidelines.pancreas_values import Large, Liver
from imaging.guidelines.values import Input
from imaging.language import Text
from imaging.pancreatic import Phase, Vessel

_LIVER: Final[dict[Liver, Text]] = {
    "none": Text(en="no lesions", zh="未见病灶"),
    "likely-benign": Text(en="lesions likely benign", zh="病灶倾向良性"),
    "indeterminate": Text(en="indeterminate lesions", zh="性质待定病灶"),
    "suspicious": Text(en="lesions suspicious of metastasis", zh="可疑转移灶"),
}
_LARGE: Final[dict[Large, Text]] = {
    "none": Text(en="neither touched", zh="均未接触"),
    "ivc": Text(en="vena cava touched", zh="接触下腔静脉"),
    "aorta": Text(en="aorta touched", zh="接触主动脉"),
}
_SHAPE: Final = (
    ("irregular", Text(en="contour irregular", zh="轮廓不规则"),
     Text(en="contour regular", zh="轮廓规则")),
    ("blocked", Text(en="thrombosed or occluded", zh="有栓子或闭塞"),
     Text(en="patent", zh="通畅")),
    ("reconstructible", Text(en="can be reconstructed", zh="可重建"),
     Text(en="cannot be reconstructed", zh="不可重建")),
)  # fmt: skip
_BEYOND: Final = {
    Vessel.SMA: Text(en="first jejunal branch touched", zh="累及第一空肠支"),
    Vessel.CHA: Text(en="reaches the coeliac axis or the bifurcation", zh="累及腹腔干或肝动脉分叉"),
    Vessel.SMV: Text(en="first draining jejunal vein touched", zh="累及第一空肠静脉"),
}
_WITHIN: Final = {
    Vessel.SMA: Text(en="first jejunal branch free", zh="未累及第一空肠支"),
    Vessel.CHA: Text(en="clear of coeliac axis and bifurcation", zh="未累及腹腔干及肝动脉分叉"),
    Vessel.SMV: Text(en="first draining jejunal vein free", zh="未累及第一空肠静脉"),
}
EITHER: Final = {
    True: Text(en="yes", zh="是"),
    False: Text(en="no", zh="否"),
}


def with_source(value: Text, by: By | None) -> Text:
    """A value and whose it is."""
    if by is None:
        return value
    who = BY_READER if by == "reader" else MEASURED
    return Text(en=f"{value.en} ({who.en})", zh=f"{value.zh}（{who.zh}）")


def vessel_told(state: VesselState) -> Text | None:
    """Everything known of one vessel; None where that is nothing."""
    parts = [] if state.told is None else [state.told]
    for name, yes, no in _SHAPE:
        value = getattr(state, name)
        if value is not None:
            parts.append(yes if value else no)
    if state.extends_beyond is not None and state.vessel in _BEYOND:
        parts.append((_BEYOND if state.extends_beyond else _WITHIN)[state.vessel])
    return joined(parts) if parts else None


def liver_told(liver: Liver) -> Text:
    """What the reader says of the liver."""
    return _LIVER[liver]


def large_told(large: Large) -> Text:
    """What the reader says of aorta and vena cava."""
    return _LARGE[large]


def inputs_of(tumour: Tumour) -> tuple[Input, ...]:
    """All that was known of a tumour and that the criteria look at."""
    number, reading = tumour.number, tumour.reading
    told: list[Input] = []

    def add(en: str, zh: str, value: Text | None, finding: int | None = number) -> None:
        if value is not None:
            told.append(said(en, zh, value.en, value.zh, finding))

    if tumour.part is not None:
        add("Part", "部位", with_source(words.PARTS[tumour.part], tumour.part_by))
    if tumour.appearance_name is not None:
        add("Appearance", "密度", with_source(tumour.appearance_name, tumour.appearance_by))
    if tumour.phase is not Phase.UNKNOWN:
        add("Phase", "期相", words.PHASES[tumour.phase])
    for state in tumour.vessels:
        name = words.VESSELS[state.vessel]
        add(name.en[0].upper() + name.en[1:], name.zh, vessel_told(state))
    if reading.aorta_or_ivc_contact is not None:
        large = large_told(reading.aorta_or_ivc_contact)
        add("Aorta, vena cava", "主动脉、下腔静脉", with_source(large, "reader"))
    if reading.gda_contact is not None:
        gda = words.CONTACTS["none"] if not reading.gda_contact else Text(en="touched", zh="有接触")
        add("Gastroduodenal artery", "胃十二指肠动脉", with_source(gda, "reader"))
    if reading.variant_artery_contact is not None:
        contact = words.CONTACTS[reading.variant_artery_contact]
        add("Variant artery", "变异动脉", with_source(contact, "reader"))
    if reading.liver_lesions is not None:
        add("Liver", "肝脏", with_source(liver_told(reading.liver_lesions), "reader"), None)
    for en, zh, value in (
        ("Nodes beyond the regional ones", "非区域淋巴结转移", reading.distant_nodes),
        ("Peritoneal nodules", "腹膜结节", reading.peritoneal),
        ("Other metastases", "其他转移", reading.other_metastases),
    ):
        if value is not None:
            add(en, zh, with_source(EITHER[value], "reader"), None)
    return tuple(told)


_ASKED: Final = {
    "degrees": (
        "how far the lesion touches the {en} is neither measured nor said by the reader",
        "病灶与{zh}的接触程度既未测量，医师亦未填写",
    ),
    "near": (
        "the contact measured with the {en} lies too near a limit (0° or 180°) to count without "
        "the reader's word",
        "与{zh}的接触测量值过于接近分界（0° 或 180°），须医师确认",
    ),
    "irregular": (
        "whether the contour of the {en} is irregular is not said",
        "{zh}轮廓是否规则未说明",
    ),
    "blocked": (
        "whether there is thrombosis or occlusion of the {en} is not said",
        "{zh}有无栓子或闭塞未说明",
    ),
    "reconstructible": (
        "whether the {en} can be reconstructed is not said",
        "{zh}可否重建未说明",
    ),
    "extends": (
        "whether the contact with the {en} reaches the coeliac axis or the bifurcation is not said",
        "{zh}的接触是否累及腹腔干或肝动脉分叉未说明",
    ),
    "gda": (
        "whether the gastroduodenal artery is touched is not said",
        "胃十二指肠动脉是否受累未说明",
    ),
    "side": (
        "whether the lesion counts to the head or to the body is not known",
        "病灶属胰头抑或胰体尾不明",
    ),
    "large": (
        "whether aorta or vena cava is touched is not said",
        "是否接触主动脉或下腔静脉未说明",
    ),
    "variant": (
        "whether a variant hepatic artery is touched is not said",
        "有无接触变异肝动脉未说明",
    ),
    "liver": ("the liver", "肝脏"),
    "nodes": ("nodes beyond the regional ones", "非区域淋巴结"),
    "peritoneum": ("the peritoneum", "腹膜"),
    "elsewhere": ("other organs", "其他脏器"),
}
_OF_ONE_VESSEL: Final = ("degrees", "near", "irregular", "blocked", "reconstructible", "extends")


def _asked_of(tumour: Tumour, answer: Answer) -> tuple[str, ...]:
    """What is asked for one question; the contact first, because the rest depends on it."""
    if "degrees" not in answer.open:
        return answer.open
    measured = isinstance(answer.about, Vessel) and tumour.vessel(answer.about).by == "measured"
    return ("near",) if measured else ("degrees",)


def open_facts(tumour: Tumour, found: Sequence[Answer], above: int = -1) -> tuple[Text, ...]:
    """What is not known and could change a category, as clauses.

    Where a vessel's contact itself is open, what only matters with a contact waits for it.

    Args:
        tumour: what is known.
        found: every question of the table.
        above: only what could bring a category of a higher rank than this.
    """
    asked: dict[str, list[Text]] = {}
    elsewhere: list[str] = []
    for answer in found:
        if answer.low.rank == answer.high.rank or answer.high.rank <= above:
            continue
        names = _asked_of(tumour, answer)
        for name in names:
            if answer.about == "metastases":
                elsewhere.append(name)
            elif answer.about == "variant":
                asked.setdefault("variant", [])
            elif isinstance(answer.about, Vessel) and name in _OF_ONE_VESSEL:
                asked.setdefault(name, []).append(words.VESSELS[answer.about])
            else:
                asked.setdefault(name, [])
    told = []
    for name, (en, zh) in _ASKED.items():
        if name in asked:
            which = words.listed(asked[name])
            told.append(Text(en=en.format(en=which.en), zh=zh.format(zh=which.zh)))
    if "liver" in elsewhere and tumour.reading.liver_lesions == "indeterminate":
        elsewhere.remove("liver")
        told.append(Text(en="the liver lesions are indeterminate", zh="肝内病灶性质待定"))
    if elsewhere:
        where = words.listed(Text(en=_ASKED[n][0], zh=_ASKED[n][1]) for n in elsewhere)
        told.append(
            Text(
                en=f"whether there is metastasis in {where.en} is not said by the reader",
                zh=f"{where.zh}有无转移医师未填写",
            )
        )
    return tuple(told)
