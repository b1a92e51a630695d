"""The report as one HTML file that needs nothing else: to read, to send, to print.

Both languages are in the file; the switch at the top is plain CSS, so that the page works
from a disc, in a mail and under a strict content security policy. Every value goes through
Jinja2's autoescape: a DICOM header is foreign text.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from imaging.draft import (
    changes_of,
    character,
    deciding,
    facts,
    pancreas_panel,
    sentence_of,
    terms,
)
from imaging.draft.sentences import comparison_sentence
from imaging.guidelines.values import SAR_APA
from imaging.language import Language, Text
from imaging.objects import wording
from imaging.objects.profile_chart import profile_chart
from imaging.report import Report, Stage, Verdict

LABELS: dict[str, Text] = {
    key: Text(en=en, zh=zh)
    for key, en, zh in (
        ("report", "Structured report", "结构化报告"),
        ("preliminary", "Preliminary – not verified", "初步结果，未经核实"),
        ("final", "Final", "最终报告"),
        ("verified_by", "Verified by", "核实医师"),
        ("fake", "Not for clinical use", "禁止临床使用"),
        ("fake_why", "Made by a stand-in model", "由替身模型生成"),
        ("patient", "Patient", "患者"),
        ("patient_id", "Patient ID", "患者 ID"),
        ("birth_date", "Born", "出生日期"),
        ("sex", "Sex", "性别"),
        ("study", "Study", "检查"),
        ("study_date", "Study date", "检查日期"),
        ("accession", "Accession", "检查号"),
        ("series", "Series", "序列"),
        ("images", "Images", "图像"),
        ("slices", "slices", "层"),
        ("model", "Model", "模型"),
        ("attention", "Please note", "请注意"),
        ("impression", "Impression", "印象"),
        ("findings", "Findings", "所见"),
        ("rejected", "Rejected by the reader", "医师已否定"),
        ("structures", "Structures", "结构"),
        ("structure", "Structure", "结构"),
        ("gland", "Pancreas", "胰腺"),
        ("urgent", "Urgent", "紧急"),
        ("volume_ml", "Volume, ml", "体积（ml）"),
        ("number", "No.", "编号"),
        ("finding", "Finding", "所见"),
        ("slice", "Slice", "层"),
        ("position", "Position, mm", "位置（mm）"),
        ("axes", "Long × short, mm", "长径 × 短径（mm）"),
        ("volume", "Volume, mm³", "体积（mm³）"),
        ("density", "Mean, HU", "平均 CT 值（HU）"),
        ("score", "Score", "评分"),
        ("accepted", "Accepted", "已确认"),
        ("pending", "Not reviewed", "未审核"),
        ("reader_says", "Reader", "医师意见"),
        ("limits", "Limits", "局限性"),
        ("made", "Made", "生成时间"),
        ("revision", "Revision", "修订"),
        ("weights", "Weights", "权重"),
        ("mean", "mean", "平均"),
        ("guidelines", "Guidelines", "指南"),
        ("to_fill_in", "to be filled in", "待填写"),
        ("not_assigned", "not assigned", "未能分类"),
        ("by_finding", "by finding", "依据所见"),
        ("set_by", "Changed by the reader", "医师更改"),
        ("computed", "Computed", "软件计算"),
        ("computed_advice", "For the computed category", "针对软件计算的分类"),
        ("would_refine", "Would refine it", "补充以下信息可进一步明确"),
        ("rule", "Rule", "适用条目"),
        ("comparison", "Compared with", "与既往比较"),
        ("change", "Change", "变化"),
        ("then", "Then", "既往"),
        ("difference", "Difference", "差异"),
        ("picture", "Key image of finding", "关键图像，所见"),
    )
}

SEXES = {
    "M": Text(en="male", zh="男"),
    "F": Text(en="female", zh="女"),
    "O": Text(en="other", zh="其他"),
}
_SIDES = (
    (Text(en="R", zh="右"), Text(en="L", zh="左")),
    (Text(en="A", zh="前"), Text(en="P", zh="后")),
    (Text(en="F", zh="足"), Text(en="H", zh="头")),
)


def render_report(
    report: Report,
    key_images: Mapping[str, bytes],
    *,
    language: Language = Language.EN,
    standalone: bool = True,
) -> str:
    """The report as HTML.

    Args:
        report: preliminary or final.
        key_images: PNG by ``tracking_uid``; a finding without one is shown without picture.
        language: the one shown first; the reader can switch.
        standalone: a whole document; False gives the ``<article>`` and its style alone, to
            be set into another page.

    Returns:
        HTML text, UTF-8 when written, with nothing to fetch.
    """
    pictures = {
        uid: "data:image/png;base64," + base64.b64encode(png).decode("ascii")
        for uid, png in key_images.items()
    }
    return _template().render(
        report=report,
        model_name=report.model_names,
        title=report.title,
        pictures=pictures,
        rejected=[f for f in report.findings if f not in report.standing_findings],
        final=report.stage is Stage.FINAL,
        statement=(
            wording.verified_statement(report)
            if report.stage is Stage.FINAL
            else wording.preliminary_statement(report)
        ),
        supersedes=report.supersedes and wording.supersedes_statement(report.supersedes),
        nothing=wording.no_findings(report),
        limits=[wording.SCOPE_LIMIT, wording.MEASURE_LIMIT, wording.SCORE_LIMIT],
        language=language,
        standalone=standalone,
        L=LABELS,
        Verdict=Verdict,
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("imaging.objects", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(
        both=_both, person=person_name, day=day, moment=moment, sex=_sex,
        number=terms.number, position=_position,
    )  # fmt: skip
    environment.globals.update(
        terms=terms, character=character, changes_of=changes_of, deciding=deciding,
        in_effect=facts.in_effect, category_shown=facts.category_shown,
        change_badge=facts.change_badge,
        change_figures=facts.change_figures, hint_value=facts.hint_value,
        sentence_of=sentence_of, comparison_sentence=comparison_sentence,
        gland_facts=pancreas_panel.gland_facts, lesion_facts=pancreas_panel.lesion_facts,
        place_told=pancreas_panel.place_told, part_named=pancreas_panel.part_named,
        NO_PLACES=pancreas_panel.NO_PLACES,
        RESEARCH_PLACES=pancreas_panel.RESEARCH_PLACES, profile_chart=profile_chart,
        SAR_APA=SAR_APA, guideline_name=facts.guideline_name,
    )  # fmt: skip
    return environment.get_template("report.html")


def _both(text: Text) -> Markup:
    """Both languages; the style sheet shows one."""
    return Markup('<span lang="en">{}</span><span lang="zh">{}</span>').format(text.en, text.zh)


def person_name(name: str) -> str:
    """DICOM PN to what people read: ``Zhang^San=张^三`` to ``张三 (Zhang San)``."""
    groups = [_components(group) for group in name.split("=")[:2]]
    shown = [g for g in reversed(groups) if g]
    return f"{shown[0]} ({shown[1]})" if len(shown) == 2 else "".join(shown)


def _components(group: str) -> str:
    parts = [part.strip() for part in group.split("^") if part.strip()]
    return ("" if any(ord(ch) > 0x2E80 for ch in group) else " ").join(parts)


def day(date: str) -> str:
    """DICOM DA to ISO; anything else as it stands."""
    if len(date) == 8 and date.isdigit():
        return f"{date[:4]}-{date[4:6]}-{date[6:]}"
    return date


def moment(when: datetime) -> str:
    """To the minute, with its offset from UTC."""
    zone = when.strftime("%z")
    offset = f" UTC{zone[:3]}:{zone[3:5]}" if zone and zone != "+0000" else ""
    return when.strftime("%Y-%m-%d %H:%M") + (" UTC" if zone == "+0000" else offset)


def _sex(sex: str) -> Markup | str:
    return _both(SEXES[sex]) if sex in SEXES else sex


def _position(lps_mm: tuple[float, float, float]) -> Markup:
    """LPS mm with the side named, so that nobody has to know the sign convention."""
    parts = [
        Markup("{} {}").format(_both(_SIDES[axis][value >= 0]), f"{abs(value):.0f}")
        for axis, value in enumerate(lps_mm)
    ]
    return Markup('<span class="gap"></span>').join(parts)
