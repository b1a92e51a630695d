"""The structured draft: what a radiologist would dictate of the findings, for them to edit.

Rejected findings are left out. Every figure is formatted by ``terms``; nothing here measures.
"""

from __future__ import annotations

from dataclasses import dataclass

from imaging.draft import pancreas, terms
from imaging.draft.facts import category_text, changes_of, doubling, guideline_name
from imaging.finding import Finding
from imaging.guidelines.apply import is_pancreatic
from imaging.guidelines.values import (
    FLEISCHNER,
    LUNG_RADS,
    NCCN,
    SAR_APA,
    Guidance,
    Override,
)
from imaging.language import Language, Text
from imaging.priors.values import Change, Comparison, NoduleChange
from imaging.report import Report

LISTED = 10
"""So many findings get a sentence of their own; the rest are counted."""


@dataclass(frozen=True)
class Draft:
    """Findings and a suggested impression, a statement each."""

    findings: tuple[Text, ...]
    impression: tuple[Text, ...]

    def findings_in(self, language: Language) -> str:
        """The findings, one a line."""
        return "\n".join(text.in_(language) for text in self.findings)

    def impression_in(self, language: Language) -> str:
        """The impression, numbered where it has several statements."""
        lines = [text.in_(language) for text in self.impression]
        if len(lines) < 2:
            return "".join(lines)
        return "\n".join(f"{n}. {line}" for n, line in enumerate(lines, start=1))


def draft_of(report: Report) -> Draft:
    """The draft of a report as its verdicts and clinical facts stand now."""
    ordered = sorted(report.standing_findings, key=lambda f: _rank(report, f))
    findings = [sentence_of(report, finding) for finding in ordered[:LISTED]]
    if len(ordered) > LISTED:
        findings.append(_further(report, ordered[LISTED:]))
    findings += _resolved(report)
    if not ordered and not _gland_alone(report):
        findings.insert(0, _nothing(report))
    findings += pancreas.pancreas_findings(report)
    return Draft(tuple(findings), tuple(_impression(report, ordered)))


def sentence_of(report: Report, finding: Finding) -> Text:
    """One finding as a sentence: what, where, how large, how dense its border, how it changed.

    A lesion of the pancreas gets two: itself, then duct and gland upstream of it.
    """
    if _of_the_pancreas(report, finding):
        return pancreas.lesion_sentence(report, finding)
    what, nodule = terms.name(finding), finding.nodule
    shown = Text(
        en=f" (slice {finding.key_slice + 1} of {report.slice_count})",
        zh=f"（第 {finding.key_slice + 1} / {report.slice_count} 层）",
    )
    parts = [what]
    if nodule is None:
        parts.append(_about(Text.same(terms.size(finding.long_axis_mm, finding.short_axis_mm))))
        parts.append(_volume(finding.volume_mm3))
    else:
        parts.append(_about(terms.diameters(nodule.axial)))
        if nodule.solid_core is not None:
            core = terms.diameters(nodule.solid_core)
            parts.append(Text(en=f"solid part {core.en}", zh=f"实性成分 {core.zh}"))
        parts.append(_volume(nodule.volume_mm3.value))
        margin = terms.MARGINS[nodule.margin]
        parts.append(Text(en=f"{margin.en} margin", zh=f"边缘{margin.zh}"))
        parts.append(terms.pleura(nodule.place))
    body = terms.joined(parts)
    since = changes_of(report, finding)
    if since:
        change = _change(*since[0])
        body = Text(en=f"{body.en}; {change.en}", zh=f"{body.zh}；{change.zh}")
    return Text(en=f"{body.en}{shown.en}.", zh=f"{body.zh}{shown.zh}。")


def _about(measured: Text) -> Text:
    return Text(en=measured.en, zh=f"大小约 {measured.zh}")


def _volume(mm3: float) -> Text:
    told = terms.volume(mm3)
    return Text(en=told, zh=f"体积约 {told}")


def _change(comparison: Comparison, change: NoduleChange) -> Text:
    then = terms.date(comparison.study_date)
    before = "" if change.prior is None else terms.mm(change.prior.mean_diameter_mm)
    match change.change:
        case Change.NEW:
            return Text(en=f"new since {then}", zh=f"较 {then} 为新发")
        case Change.UNMATCHED:
            return Text(
                en=f"not comparable with {then}: {change.why.en}",
                zh=f"与 {then} 无法比较：{change.why.zh}",
            )
        case Change.STABLE:
            return Text(
                en=f"unchanged since {then}" + (f" ({before})" if before else ""),
                zh=f"与 {then}" + (f"（{before}）" if before else "") + "相比无明显变化",
            )
    grown = change.change is Change.GROWN
    parts = [
        Text(
            en=("grown" if grown else "decreased") + (f" from {before}" if before else "")
            + (" on " if before else " since ") + then,
            zh=f"较 {then}" + (f"（{before}）" if before else "") + ("增大" if grown else "缩小"),
        )
    ]  # fmt: skip
    if change.volume_change_percent is not None:
        volume = terms.percent(change.volume_change_percent / 100, sign=True)
        parts.append(Text(en=f"volume {volume.en}", zh=f"体积 {volume.zh}"))
    time = doubling(change)
    return terms.joined([*parts, *([] if time is None else [time])])


def comparison_sentence(comparison: Comparison) -> Text:
    """Which examination this one was compared with, and what became of how many nodules."""
    then, span = terms.date(comparison.study_date), terms.days(comparison.days)
    counts = [
        (terms.CHANGES[change], sum(one.change is change for one in comparison.changes))
        for change in Change
    ]
    told = [
        Text(en=f"{count} {what.en.lower()}", zh=f"{what.zh} {count} 处")
        for what, count in counts
        if count
    ]
    became = terms.joined(told or [Text(en="no nodule in either", zh="两次均未见结节")])
    return Text(
        en=f"Compared with {then} ({span.en} earlier): {became.en}.",
        zh=f"与 {then}（{span.zh}前）比较：{became.zh}。",
    )


def _resolved(report: Report) -> list[Text]:
    """What the latest earlier examination showed and this one does not."""
    told = []
    for comparison in report.comparisons[:1]:
        then = terms.date(comparison.study_date)
        for change in comparison.changes:
            if change.change is Change.RESOLVED:
                before = "" if change.prior is None else terms.mm(change.prior.mean_diameter_mm)
                told.append(
                    Text(
                        en=f"A nodule{' of ' + before if before else ''} seen on {then} is no "
                        "longer seen.",
                        zh=f"{then} 所见{before + ' ' if before else ''}结节，本次未见显示。",
                    )
                )
    return told


def _rank(report: Report, finding: Finding) -> tuple[bool, bool, float]:
    """The one that decides a guideline first, then what grew or is new, then the largest."""
    decides = any(guidance.finding == finding.number for guidance in report.guidance)
    since = changes_of(report, finding)
    moved = bool(since) and since[0][1].change in (Change.GROWN, Change.NEW)
    return (not decides, not moved, -_mean_mm(finding))


def _mean_mm(finding: Finding) -> float:
    if finding.nodule is not None:
        return finding.nodule.axial.mean_mm
    return (finding.long_axis_mm + finding.short_axis_mm) / 2


def _further(report: Report, findings: list[Finding]) -> Text:
    """How many more, how large, and how many of them are new or have grown."""
    since = [changes_of(report, finding) for finding in findings]
    moved = []
    for change in (Change.NEW, Change.GROWN):
        of_them = sum(bool(each) and each[0][1].change is change for each in since)
        if of_them:
            what = terms.CHANGES[change]
            moved.append(Text(en=f"{of_them} {what.en.lower()}", zh=f"{what.zh} {of_them} 处"))
    told = terms.joined(moved) if moved else None
    which_en, which_zh = (f" ({told.en})", f"（{told.zh}）") if told else ("", "")
    largest = terms.mm(max(_mean_mm(finding) for finding in findings))
    count = len(findings)
    noun = "finding" if count == 1 else "findings"
    return Text(
        en=f"{count} further {noun}{which_en}, mean diameter up to {largest}.",
        zh=f"另有 {count} 处病灶{which_zh}，平均径最大 {largest}。",
    )


def _nothing(report: Report) -> Text:
    if any(guidance.guideline in (LUNG_RADS, FLEISCHNER) for guidance in report.guidance):
        return Text(en="No lung nodule is described.", zh="未见明确肺结节。")
    return Text(en="No finding is described.", zh="未见明确病灶。")


def _impression(report: Report, ordered: list[Finding]) -> list[Text]:
    """The leading finding, how many more, and what each guideline says of them."""
    told: list[Text] = []
    if ordered:
        told.append(_leading(report, ordered[0]))
        if len(ordered) > 1:
            told.append(_further(report, ordered[1:]))
    elif _gland_alone(report):
        told.append(pancreas.no_lesion(report))
    else:
        told.append(_nothing(report))
    for guidance in report.guidance:
        said = _guideline(report, guidance)
        if said is not None:
            told.append(said)
    return told


def _gland_alone(report: Report) -> bool:
    """Whether the pancreas is all that was looked at, and nothing was found in it."""
    return report.gland is not None and not report.guidance and not report.standing_findings


def _of_the_pancreas(report: Report, finding: Finding) -> bool:
    return report.modality == "CT" and is_pancreatic(finding)


def _leading(report: Report, finding: Finding) -> Text:
    if _of_the_pancreas(report, finding):
        what, size = pancreas.name_of(report, finding), pancreas.size_of(finding)
        return Text(en=f"{what.en}, {size}.", zh=f"{what.zh}，大小约 {size}。")
    what, mean = terms.name(finding), terms.mm(_mean_mm(finding))
    body = Text(en=f"{what.en}, mean diameter {mean}", zh=f"{what.zh}，平均径 {mean}")
    since = changes_of(report, finding)
    if since and since[0][1].change is not Change.UNMATCHED:
        body = terms.joined([body, _change(*since[0])])
    return Text(en=f"{body.en}.", zh=f"{body.zh}。")


def _guideline(report: Report, guidance: Guidance) -> Text | None:
    """Category and recommendation; None where no category could be assigned.

    The pancreas template has no category to tell, and a resectability that is left to the
    reader is asked for.
    """
    name = guidance.guideline
    if name == SAR_APA:
        return None
    for override in report.overrides:
        if override.guideline == name:
            return _overridden(override, guidance)
    spoken = guideline_name(name)
    if guidance.category is None:
        if name == NCCN:
            return Text(
                en=f"{spoken.en}: to be assigned by the reader.", zh=f"{spoken.zh}：由医师判定。"
            )
        return None
    advice = guidance.recommendation
    if name == FLEISCHNER:  # told by what to do; its categories are rows of a table
        return Text(en=f"{spoken.en}: {advice.en}", zh=f"{spoken.zh}：{advice.zh}")
    category = category_text(name, guidance.category)
    return Text(
        en=f"{spoken.en}: {category.en}. {advice.en}",
        zh=f"{spoken.zh}：{category.zh}。{advice.zh}",
    )


def _overridden(override: Override, guidance: Guidance) -> Text:
    name, reason = override.guideline, override.reason.strip()
    spoken, own = guideline_name(name), category_text(name, override.category)
    if guidance.category is None:
        beside = Text(en="none was computed", zh="软件未能给出")
    else:
        computed = category_text(name, guidance.category)
        beside = Text(en=f"computed: {computed.en}", zh=f"软件计算：{computed.zh}")
    why = f" {reason}" if reason else ""
    return Text(
        en=f"{spoken.en}: {own.en}, by the reader ({beside.en}).{why}",
        zh=f"{spoken.zh}：{own.zh}，由医师判定（{beside.zh}）。{why.strip()}",
    )
