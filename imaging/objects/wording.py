"""The sentences that every output of a report says, in both languages, written once."""

from __future__ import annotations

from imaging.language import Text
from imaging.report import Report, Verdict


def preliminary_statement(report: Report) -> Text:
    """Who wrote this and that nobody has looked yet."""
    model = report.model_names
    return Text(
        en=f"Preliminary result made by software ({model}); not verified by a physician. "
        "It does not replace the reading of the images.",
        zh=f"软件（{model}）生成的初步结果，未经医师核实，不能代替阅片。",
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
