"""What a guideline came to, before it is worded as a ``Guidance``; shared by all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from imaging.guidelines.lesion import Lesion
from imaging.guidelines.rounding import to_tenth, to_whole
from imaging.guidelines.values import Guidance, Input
from imaging.language import Text
from imaging.nodule import NoduleType

TYPE_TEXT: Final = {
    NoduleType.SOLID: Text(en="solid", zh="实性"),
    NoduleType.PART_SOLID: Text(en="part-solid", zh="部分实性"),
    NoduleType.GROUND_GLASS: Text(en="ground-glass (non-solid)", zh="磨玻璃（非实性）"),
    NoduleType.CALCIFIED: Text(en="calcified", zh="钙化"),
    NoduleType.FAT: Text(en="fat-containing", zh="含脂肪"),
}
_PLANE: Final = {"axial": "轴位", "coronal": "冠状位", "sagittal": "矢状位"}


@dataclass(frozen=True)
class Assessment:
    """A category with all that goes with it.

    Attributes:
        category: None where it can't be assigned.
        label: how the category is spoken of in a sentence.
        rule: the row that applied, with remarks.
        advice: what to do; where there is no category, what would follow from what.
        inputs: what was looked at.
        missing: what is not known, as clauses ("... is not known").
        finding: number of the finding that decided.
    """

    category: str | None
    label: Text
    rule: Text
    advice: Text
    inputs: tuple[Input, ...] = ()
    missing: tuple[Text, ...] = ()
    finding: int | None = None

    def unless_known(self, unknown: Iterable[Text], condition: Text) -> Assessment:
        """The same, but only under a condition of which nothing is known.

        Args:
            unknown: what is not known, as clauses.
            condition: what would have to hold, as a clause ("If ...").
        """
        if self.category is None:
            advice = Text(
                en=f"{condition.en}: {self.advice.en}", zh=f"{condition.zh}：{self.advice.zh}"
            )
        else:
            advice = Text(
                en=f"{condition.en}, {self.label.en}: {self.advice.en}",
                zh=f"{condition.zh}，{self.label.zh}：{self.advice.zh}",
            )
        return replace(
            self,
            category=None,
            rule=Text(en=f"{condition.en}: {self.rule.en}", zh=f"{condition.zh}：{self.rule.zh}"),
            advice=advice,
            missing=(*unknown, *self.missing),
        )

    def guidance(self, guideline: str, source: str) -> Guidance:
        """As a value of the report."""
        recommendation = self.advice
        if self.category is None:
            why = joined(self.missing)
            recommendation = Text(
                en=f"Cannot be assigned, because {why.en}. {self.advice.en}".strip(),
                zh=f"无法分类，原因：{why.zh}。{self.advice.zh}",
            )
        return Guidance(
            guideline=guideline,
            source=source,
            category=self.category,
            finding=self.finding,
            recommendation=recommendation,
            rule=self.rule,
            inputs=self.inputs,
            missing=self.missing,
        )


def joined(texts: Iterable[Text], en: str = "; ", zh: str = "；") -> Text:
    """Several statements as one, each said once."""
    once = tuple(dict.fromkeys(texts))
    return Text(en=en.join(t.en for t in once), zh=zh.join(t.zh for t in once))


def remarked(rule: Text, remarks: Iterable[Text]) -> Text:
    """A rule with sentences after it."""
    extra = tuple(dict.fromkeys(remarks))
    return Text(
        en=". ".join((rule.en, *(t.en for t in extra))),
        zh="；".join((rule.zh, *(t.zh for t in extra))),
    )


def nodule_name(lesion: Lesion) -> Text:
    """'Nodule 2', or 'the nodule' where it has no number."""
    if lesion.number is None:
        return Text(en="the nodule", zh="该结节")
    return Text(en=f"nodule {lesion.number}", zh=f"{lesion.number} 号结节")


def said(en: str, zh: str, value_en: str, value_zh: str, finding: int | None) -> Input:
    """One input with its name and value in both languages."""
    return Input(name=Text(en=en, zh=zh), value=Text(en=value_en, zh=value_zh), finding=finding)


def lesion_inputs(lesion: Lesion, *, whole_mm: bool = False) -> tuple[Input, ...]:
    """What was known of a lesion that a rule looked at.

    Args:
        lesion: the lesion.
        whole_mm: diameters to whole mm (Fleischner) in place of one decimal (Lung-RADS).
    """
    number = lesion.number
    told: list[Input] = []
    if lesion.airway is not None:
        where = {"subsegmental": "亚段支气管"}.get(lesion.airway.value, "段及以上气道")
        told.append(said("Airway", "气道", lesion.airway.value, where, number))
    if lesion.type is not None:
        kind = TYPE_TEXT[lesion.type]
        told.append(said("Type", "类型", kind.en, kind.zh, number))
    if lesion.mean_mm is not None:
        size = _mm(lesion.mean_mm, whole_mm)
        plane = f" ({lesion.plane} plane)" if lesion.plane else ""
        plane_zh = f"（{_PLANE.get(lesion.plane, lesion.plane)}）" if lesion.plane else ""
        told.append(
            said("Mean diameter", "平均直径", f"{size}{plane}", f"{size}{plane_zh}", number)
        )
    if lesion.volume_mm3 is not None:
        volume = f"{to_whole(lesion.volume_mm3)} mm³"
        told.append(said("Volume", "体积", volume, volume, number))
    if lesion.solid_mm is not None and lesion.type is NoduleType.PART_SOLID:
        core = _mm(lesion.solid_mm, whole_mm)
        told.append(said("Solid part, mean diameter", "实性成分平均直径", core, core, number))
    if lesion.spiculated:
        told.append(
            said(
                "Margin",
                "边缘",
                "possibly spiculated, as measured",
                "可能有毛刺（测量所得）",
                number,
            )
        )
    if lesion.timing_told is not None:
        when = lesion.timing_told
        told.append(said("Over time", "随时间变化", when.en, when.zh, number))
    return tuple(told)


def _mm(value: float, whole: bool) -> str:
    return f"{to_whole(value)} mm" if whole else f"{to_tenth(value):.1f} mm"
