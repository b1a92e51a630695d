"""The structured report of a pancreatic cancer: every item, filled in or left to the reader.

Source: consensus of the Society of Abdominal Radiology and the American Pancreatic Association
(Al-Hawary et al., Radiology 2014;270:248-260): morphology, arteries, veins, and what lies
beyond the pancreas. What was measured stands with its figure, what the reader says before it;
what is neither is blank. Liver, nodes and peritoneum are always the reader's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from imaging.finding import Finding
from imaging.guidelines import pancreas_words as words
from imaging.guidelines.assessment import joined, remarked
from imaging.guidelines.pancreas_facts import EITHER, large_told, liver_told, with_source
from imaging.guidelines.pancreas_tumour import By, Staged, Tumour, VesselState, staged
from imaging.guidelines.pancreas_values import Degrees, PancreasReading
from imaging.guidelines.rounding import to_tenth
from imaging.guidelines.values import SAR_APA, Guidance, Input
from imaging.language import Text
from imaging.pancreatic import Attenuation, Phase, Vessel

SOURCE: Final = "SAR/APA consensus (Al-Hawary et al., Radiology 2014;270:248)"
COMPLETE: Final = "complete"
"""The category of a template without a blank."""
_RULE: Final = Text(
    en="structured report of a pancreatic ductal adenocarcinoma: morphology, arteries, veins, "
    "beyond the pancreas",
    zh="胰腺导管腺癌结构式报告：形态、动脉、静脉及胰腺外情况",
)

_CYSTIC: Final = {
    True: Text(
        en="whether this template applies, because it is for solid tumours and the reader calls "
        "the lesion cystic",
        zh="该模板是否适用（模板用于实性肿瘤，而医师判定病灶为囊性）",
    ),
    False: Text(
        en="whether the lesion is solid, because it measures as fluid does and the template is "
        "for solid tumours",
        zh="病灶是否为实性（测量呈液体密度，而模板用于实性肿瘤）",
    ),
}
"""By whether the reader says so."""


@dataclass(frozen=True)
class Item:
    """One line: ``value`` is None where it is left to the reader."""

    key: str
    label: Text
    value: Text | None


@dataclass(frozen=True)
class Group:
    """Lines under one heading."""

    key: str
    title: Text
    items: tuple[Item, ...]

    @property
    def blank(self) -> tuple[Item, ...]:
        """The lines that are left to the reader."""
        return tuple(item for item in self.items if item.value is None)


@dataclass(frozen=True)
class Template:
    """The whole template for one lesion."""

    finding: int
    groups: tuple[Group, ...]

    @property
    def blank(self) -> tuple[Group, ...]:
        """The groups with blanks."""
        return tuple(group for group in self.groups if group.blank)


def template(which: Staged) -> Template:
    """The template filled in for a lesion.

    Args:
        which: the lesion with the reader's part; see :func:`staged`.
    """
    tumour = which.tumour
    vessels = (*words.ARTERIES, *words.VEINS)
    return Template(
        finding=which.finding.number,
        groups=(
            _morphology(which),
            *(_vessel(tumour, tumour.vessel(vessel)) for vessel in vessels),
            _other_vessels(tumour.reading),
            _beyond(tumour.reading),
        ),
    )


def structured_report(findings: Sequence[Finding], reading: PancreasReading) -> Guidance | None:
    """What is filled in and what is left to the reader; None where there is no lesion.

    Args:
        findings: the pancreatic lesions that stand.
        reading: the reader's part.
    """
    which = staged(findings, reading)
    if which is None:
        return None
    made = template(which)
    missing = (*which.open, *(_blank(group) for group in made.blank))
    if which.tumour.appearance is Attenuation.CYSTIC:
        missing = (_CYSTIC[which.tumour.appearance_by == "reader"], *missing)
    if missing:
        left = joined(missing)
        advice = Text(
            en=f"To be filled in by the reader: {left.en}.", zh=f"由医师填写：{left.zh}。"
        )
    else:
        advice = Text(en="Every item is filled in.", zh="各项均已填写。")
    return Guidance(
        guideline=SAR_APA,
        source=SOURCE,
        category=None if missing else COMPLETE,
        finding=made.finding,
        recommendation=advice,
        rule=remarked(_RULE, which.remarks),
        inputs=tuple(
            Input(
                name=Text(
                    en=f"{group.title.en}, {item.label.en}", zh=f"{group.title.zh}，{item.label.zh}"
                ),
                value=item.value,
                finding=made.finding,
            )
            for group in made.groups
            for item in group.items
            if item.value is not None
        ),
        missing=missing,
    )


def _blank(group: Group) -> Text:
    names = joined((item.label for item in group.blank), en=", ", zh="、")
    return Text(en=f"{group.title.en} ({names.en})", zh=f"{group.title.zh}（{names.zh}）")


def _morphology(which: Staged) -> Group:
    tumour, lesion = which.tumour, which.finding.pancreatic
    reading = tumour.reading
    appearance = part = None
    if tumour.appearance_name is not None:
        appearance = with_source(tumour.appearance_name, tumour.appearance_by)
        if tumour.phase is not Phase.UNKNOWN:
            phase = words.PHASES[tumour.phase]
            appearance = Text(en=f"{appearance.en}, {phase.en}", zh=f"{appearance.zh}，{phase.zh}")
    if tumour.part is not None:
        part = with_source(words.PARTS[tumour.part], tumour.part_by)
    in_plane = (which.finding.long_axis_mm, which.finding.short_axis_mm)
    axes = in_plane if lesion is None else lesion.axes_mm
    size = " × ".join(f"{to_tenth(axis):.1f}" for axis in axes) + " mm"
    upstream = None if lesion is None else lesion.duct_upstream_mm
    width = None if upstream is None else Text.same(f"{to_tenth(upstream):.1f} mm")
    cut_off = None if lesion is None else lesion.duct_cut_off
    items = (
        Item("appearance", Text(en="attenuation", zh="密度"), appearance),
        Item("size", Text(en="size", zh="大小"), with_source(Text.same(size), "measured")),
        Item("place", Text(en="location", zh="部位"), part),
        Item(
            "duct-cut-off",
            Text(en="main duct narrowed or cut off", zh="主胰管狭窄或截断"),
            _either(reading.duct_cut_off, "reader") or _either(cut_off, "measured"),
        ),
        Item(
            "duct-upstream",
            Text(en="main duct upstream dilated", zh="上游主胰管扩张"),
            _either(reading.duct_dilated, "reader")
            or (None if width is None else with_source(width, "measured")),
        ),
        Item(
            "bile-duct",
            Text(en="bile duct cut off or dilated", zh="胆管截断或扩张"),
            _either(reading.bile_duct_dilated, "reader"),
        ),
    )
    return Group("morphology", Text(en="tumour", zh="肿瘤"), items)


def _vessel(tumour: Tumour, state: VesselState) -> Group:
    vessel, reading = state.vessel, tumour.reading.of(state.vessel)
    items = [
        Item("contact", Text(en="contact", zh="接触程度"), state.told),
        Item("haze", Text(en="haze or stranding", zh="周围模糊或条索影"), _degrees(reading.hazy)),
    ]
    touched = state.degrees != "none"  # not known counts as touched: the line stays
    if touched or state.irregular is not None:
        items.append(
            Item(
                "contour",
                Text(en="contour irregular or narrowed", zh="轮廓不规则或狭窄"),
                _either(state.irregular, "reader"),
            )
        )
    if vessel in words.VEINS:
        items.append(
            Item(
                "thrombus",
                Text(en="thrombosed or occluded", zh="有栓子或闭塞"),
                _either(state.blocked, "reader"),
            )
        )
    if vessel in _EXTENT and (touched or state.extends_beyond is not None):
        items.append(Item("extent", _EXTENT[vessel], _either(state.extends_beyond, "reader")))
    if reading.variant.strip():
        name = Text(en="variant anatomy", zh="解剖变异")
        items.append(Item("variant", name, Text.same(reading.variant.strip())))
    return Group(vessel.value, words.VESSELS[vessel], tuple(items))


_EXTENT: Final = {
    Vessel.SMA: Text(en="reaches the first branch", zh="累及第一空肠支"),
    Vessel.CHA: Text(en="reaches coeliac axis or bifurcation", zh="累及腹腔干或肝动脉分叉"),
    Vessel.SMV: Text(en="reaches the first draining vein", zh="累及第一空肠静脉"),
}


def _other_vessels(reading: PancreasReading) -> Group:
    large = reading.aorta_or_ivc_contact
    items = (
        Item(
            "variant-artery",
            Text(en="variant artery", zh="变异动脉"),
            _degrees(reading.variant_artery_contact),
        ),
        Item(
            "large",
            Text(en="aorta, vena cava", zh="主动脉、下腔静脉"),
            None if large is None else with_source(large_told(large), "reader"),
        ),
        Item(
            "collaterals",
            Text(en="venous collaterals", zh="静脉侧支循环"),
            _either(reading.collaterals, "reader"),
        ),
    )
    return Group("other-vessels", Text(en="other vessels", zh="其他血管"), items)


def _beyond(reading: PancreasReading) -> Group:
    liver, other = reading.liver_lesions, reading.other.strip()
    items = [
        Item(
            "liver",
            Text(en="liver", zh="肝脏"),
            None if liver is None else with_source(liver_told(liver), "reader"),
        )
    ]
    for key, label, value in (
        ("nodes", Text(en="suspicious regional nodes", zh="可疑区域淋巴结"),
         reading.nodes_suspicious),
        ("distant-nodes", Text(en="suspicious nodes beyond", zh="可疑非区域淋巴结"),
         reading.distant_nodes),
        ("peritoneum", Text(en="peritoneal or omental nodules", zh="腹膜或网膜结节"),
         reading.peritoneal),
        ("ascites", Text(en="ascites", zh="腹水"), reading.ascites),
        ("metastases", Text(en="other metastases", zh="其他转移"), reading.other_metastases),
    ):  # fmt: skip
        items.append(Item(key, label, _either(value, "reader")))
    if other:
        items.append(Item("other", Text(en="other", zh="其他"), Text.same(other)))
    return Group("beyond", Text(en="beyond the pancreas", zh="胰腺外"), tuple(items))


def _either(value: bool | None, by: By) -> Text | None:
    return None if value is None else with_source(EITHER[value], by)


def _degrees(value: Degrees | None) -> Text | None:
    return None if value is None else with_source(words.CONTACTS[value], "reader")
