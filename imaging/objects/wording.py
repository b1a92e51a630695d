"""The sentences that every output of a report says, in both languages, written once."""

from __future__ import annotations

from imaging.language import Text
from imaging.report import Report, Stage, Superseded, Verdict


def preliminary_statement(report: Report) -> Text:
    """Who wrote this and that nobody has looked yet."""
    model = report.model_names
    return Text(
        en=f"Preliminary result made by software ({model}); not verified by a physician. "
        "It does not replace the reading of the images.",
        zh=f"软件（{model}）生成的初步结果，未经医师核实，不能代替阅片。",
    )


def short_status(report: Report) -> Text:
    """The same in a line that is drawn on an image or stands in a margin."""
    if report.fake:
        return Text(en="NOT FOR CLINICAL USE", zh="禁止临床使用")
    if report.stage is Stage.FINAL:
        return Text(en="verified by the reader", zh="已经医师核实")
    return Text(en="PRELIMINARY, not verified by a physician", zh="初步结果，未经医师核实")


def pdf_status(report: Report) -> Text:
    """What a document that can't change any more is worth, for the head of each of its pages."""
    short = short_status(report)
    if report.fake or report.stage is Stage.FINAL:
        return Text(en=short.en[:1].upper() + short.en[1:], zh=short.zh)
    return Text(
        en="PRELIMINARY, not verified by a physician, not for diagnosis",
        zh="初步结果，未经医师核实，不得用于诊断",
    )


def supersedes_statement(before: Superseded) -> Text:
    """Which earlier result this one takes the place of."""
    en = {Stage.PRELIMINARY: "preliminary", Stage.FINAL: "signed"}[before.stage]
    zh = {Stage.PRELIMINARY: "初步结果", Stage.FINAL: "已签署报告"}[before.stage]
    return Text(
        en=f"Supersedes revision {before.revision} ({en}): images came in after it.",
        zh=f"取代第 {before.revision} 次修订（{zh}）：其后又收到图像。",
    )


def verified_statement(report: Report) -> Text:
    """What the signature covers."""
    model = report.model_names
    return Text(
        en=f"Findings were marked and measured by software ({model}) and verified by the reader.",
        zh=f"所见由软件（{model}）标记并测量，已经医师核实。",
    )


def rejected_statement(report: Report) -> Text | None:
    """How many of the software's findings the reader refused; None when none."""
    count = sum(1 for review in report.reviews if review.verdict is Verdict.REJECTED)
    if count == 0:
        return None
    noun = "finding" if count == 1 else "findings"
    return Text(
        en=f"The reader rejected {count} {noun} of the preliminary result.",
        zh=f"医师否定了初步结果中的 {count} 处所见。",
    )


def no_findings(report: Report) -> Text:
    """That nothing stands, and that this is no proof of health."""
    if report.findings:
        return Text(
            en="No finding of the software stands after the reader's review.",
            zh="经医师审核，软件的所见均未保留。",
        )
    return Text(
        en="The software marked no finding. This does not exclude disease.",
        zh="软件未标记任何所见。这并不能排除疾病。",
    )


REPLACED_WHEN_SIGNED = Text(
    en="This document stays as it is. The signed report replaces it.",
    zh="本文件内容不会更新，以签署后的报告为准。",
)
SCORE_LIMIT = Text(
    en="The score is the model's confidence that there is a finding; it is not a probability "
    "of cancer.",
    zh="评分为模型对所见存在的置信度，并非癌症概率。",
)
MEASURE_LIMIT = Text(
    en="Axes are measured on one axial image; volume and mean density over the whole mask.",
    zh="长径与短径在单层轴位图像上测量；体积与平均密度基于整个分割区域。",
)
SCOPE_LIMIT = Text(
    en="Only what the model was made for was looked for. Other disease was not assessed.",
    zh="仅检出该模型所针对的病变，其他疾病未评估。",
)
