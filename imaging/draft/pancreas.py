"""The structured draft of a pancreatic lesion, its vessels, and what lies beyond the pancreas.

What was measured stands with its figure, what the reader said in their words, and what is
neither is left as a blank, ``To be filled in by the reader: …``. ``gland`` has the rest.
"""

from __future__ import annotations

from typing import Final

from imaging.draft import terms
from imaging.draft.gland import gland_sentences, headed, sentence, to_fill_in
from imaging.finding import Finding
from imaging.guidelines import pancreas_words as words
from imaging.guidelines import pancreatic_lesions, staged_lesion
from imaging.guidelines.apply import PANCREAS
from imaging.guidelines.pancreas_facts import vessel_told, with_source
from imaging.guidelines.pancreas_template import Template, template
from imaging.guidelines.pancreas_tumour import Staged, Tumour, tumour_of
from imaging.guidelines.pancreas_values import PancreasReading
from imaging.language import Text
from imaging.pancreatic import PancreaticLesion, Phase, UnnamedContact
from imaging.report import Report

_KEPT: Final = ("bile-duct", "other-vessels", "beyond")
"""Items and groups of the template that no sentence of the lesion has told."""
SAME_HU: Final = 0.5
"""A difference of densities below this is none."""


def pancreas_findings(report: Report) -> tuple[Text, ...]:
    """What the draft says of the pancreas beside its lesions' own sentences.

    The vessels and the blanks of the staged lesion, then the gland. Empty where no model
    measured a pancreas or marked a lesion in it.
    """
    told: list[Text] = []
    which = staged_lesion(report)
    if which is not None:
        several = len(pancreatic_lesions(report)) > 1
        if which.open:
            told.append(to_fill_in([Text(en="which lesion is staged", zh="待分期的病灶")]))
        told.append(_vessels(which, several=several))
        told += _beyond(template(which))
    gland = report.gland
    if gland is not None:
        if which is None:
            told.append(no_lesion(report))
        told += gland_sentences(gland, report.slice_count)
    return tuple(told)


def lesion_sentence(report: Report, finding: Finding) -> Text:
    """A lesion of the pancreas: appearance, part, size, density, then duct and gland upstream.

    Blanks are left for the lesion that is staged, because the reader's part is about that one.
    """
    tumour, is_staged = _tumour(report, finding)
    lesion = finding.pancreatic
    size = size_of(finding)
    volume = terms.volume(finding.volume_mm3 if lesion is None else lesion.volume_mm3)
    parts = [
        lesion_name(tumour),
        Text(en=size, zh=f"大小约 {size}"),
        Text(en=volume, zh=f"体积约 {volume}"),
    ]
    if lesion is not None:
        parts.append(_density(lesion))
    body = terms.joined(parts)
    shown = Text(
        en=f" (slice {finding.key_slice + 1} of {report.slice_count})",
        zh=f"（第 {finding.key_slice + 1} / {report.slice_count} 层）",
    )
    said = [Text(en=f"{body.en}{shown.en}.", zh=f"{body.zh}{shown.zh}。")]
    told, blank = _upstream(lesion, tumour.reading)
    if tumour.part is None:
        blank.insert(0, Text(en="part of the pancreas", zh="所在部位"))
    if tumour.appearance is None:
        blank.insert(0, Text(en="attenuation", zh="密度"))
    if told:
        said.append(sentence(terms.joined(told)))
    if blank and is_staged:
        said.append(to_fill_in(blank))
    return terms.joined(said, en=" ", zh="")


def lesion_name(tumour: Tumour) -> Text:
    """``Hypoattenuating lesion in the head of the pancreas``."""
    kind = tumour.appearance_name or Text.same("")
    noun = f"{kind.en} lesion".strip().capitalize()
    if tumour.part is None:
        return Text(en=f"{noun} in the pancreas", zh=f"胰腺{kind.zh}病灶")
    part = words.PARTS[tumour.part]
    return Text(en=f"{noun} in the {part.en} of the pancreas", zh=f"{part.zh}{kind.zh}病灶")


def size_of(finding: Finding) -> str:
    """Its three axes, or the two of its slice where it was not described."""
    lesion = finding.pancreatic
    if lesion is None:
        return terms.size(finding.long_axis_mm, finding.short_axis_mm)
    return " × ".join(terms.number(axis, 1) for axis in lesion.axes_mm) + " mm"


def name_of(report: Report, finding: Finding) -> Text:
    """As :func:`lesion_name`, of a finding as the reader and the measurement have it."""
    return lesion_name(_tumour(report, finding)[0])


def _tumour(report: Report, finding: Finding) -> tuple[Tumour, bool]:
    """The finding with the reader's words where they are about it, and whether they are."""
    which = staged_lesion(report)
    if which is not None and which.finding.number == finding.number:
        return which.tumour, True
    return tumour_of(finding, PancreasReading()), False


def _density(lesion: PancreaticLesion) -> Text:
    mean = f"{terms.number(lesion.mean_hu)} HU"
    text = Text(en=f"mean {mean}", zh=f"平均 CT 值 {mean}")
    if lesion.phase is not None and lesion.phase.phase is not Phase.UNKNOWN:
        text = Text(
            en=f"{text.en} {_IN_PHASE[lesion.phase.phase]}",
            zh=f"{words.PHASES[lesion.phase.phase].zh}{text.zh}",
        )
    delta = lesion.delta_hu
    if delta is None:
        return text
    far = f"{terms.number(abs(delta))} HU"
    if abs(delta) < SAME_HU:
        beside = Text(en="as the parenchyma", zh="与胰腺实质相同")
    elif delta < 0:
        beside = Text(en=f"{far} below the parenchyma", zh=f"较胰腺实质低 {far}")
    else:
        beside = Text(en=f"{far} above the parenchyma", zh=f"较胰腺实质高 {far}")
    return terms.joined([text, beside])


_IN_PHASE: Final = {
    Phase.PLAIN: "without contrast",
    Phase.ARTERIAL: "in the arterial or pancreatic phase",
    Phase.PORTAL: "in the portal-venous phase",
}


def _upstream(
    lesion: PancreaticLesion | None, reading: PancreasReading
) -> tuple[list[Text], list[Text]]:
    """Duct and gland towards the tail of the lesion: what is known, and what is asked for."""
    told: list[Text] = []
    blank: list[Text] = []
    width = None if lesion is None else lesion.duct_upstream_mm
    if width is not None:
        figure = terms.mm(width)
        told.append(Text(en=f"main duct upstream up to {figure}", zh=f"上游主胰管最宽约 {figure}"))
    if reading.duct_dilated is not None:
        told.append(with_source(_DILATED[reading.duct_dilated], "reader"))
    elif width is None:
        blank.append(Text(en="main duct upstream", zh="上游主胰管"))
    cut_off = None if lesion is None else lesion.duct_cut_off
    if reading.duct_cut_off is not None:
        told.append(with_source(_CUT_OFF[reading.duct_cut_off], "reader"))
    elif cut_off is not None:
        told.append(_CUT_OFF[cut_off])
    else:
        blank.append(Text(en="cut-off of the duct", zh="胰管截断"))
    thick = None if lesion is None else lesion.thickness_upstream_mm
    thin = None if lesion is None else lesion.atrophy_upstream
    if thick is not None:
        figure = terms.mm(thick)
        told.append(
            Text(
                en=f"gland with duct upstream {figure} thick", zh=f"上游胰腺（含胰管）厚约 {figure}"
            )
        )
    if reading.atrophy_upstream is not None:
        told.append(with_source(_ATROPHY[reading.atrophy_upstream], "reader"))
    elif thin is not None:
        told.append(_ATROPHY[thin])
    else:
        blank.append(Text(en="atrophy upstream", zh="上游实质萎缩"))
    return told, blank


_CUT_OFF: Final = {
    True: Text(en="the duct cut off at the lesion", zh="胰管于病灶处截断"),
    False: Text(en="no cut-off of the duct", zh="胰管未见截断"),
}
_ATROPHY: Final = {
    True: Text(en="parenchyma upstream atrophic", zh="上游胰腺实质萎缩"),
    False: Text(en="no atrophy upstream", zh="上游胰腺实质无萎缩"),
}
_DILATED: Final = {
    True: Text(en="main duct upstream dilated", zh="上游主胰管扩张"),
    False: Text(en="main duct upstream not dilated", zh="上游主胰管无扩张"),
}


def _vessels(which: Staged, *, several: bool) -> Text:
    """Contact with the five vessels: told where known, else left to the reader."""
    tumour, lesion = which.tumour, which.finding.pancreatic
    told, blank = [], []
    for state in tumour.vessels:
        name, value = words.VESSELS[state.vessel], vessel_told(state)
        if value is not None:
            told.append(headed(terms.capital(name), value))
        if state.degrees is None:
            blank.append(name)
    if lesion is not None and tumour.phase is not Phase.PLAIN:
        told += [_unnamed(contact) for contact in lesion.unnamed_contacts]
    said = []
    if told:
        said.append(sentence(terms.joined(told, en=". ", zh="。")))
    if blank:
        contact = terms.joined(blank, zh="、")
        said.append(
            to_fill_in([Text(en=f"contact with {contact.en}", zh=f"与{contact.zh}的接触程度")])
        )
    head = Text(en="Vessels", zh="血管")
    if several:
        head = Text(en=f"Vessels at lesion {tumour.number}", zh=f"病灶 {tumour.number} 与血管")
    return headed(head, terms.joined(said, en=" ", zh=""))


def _unnamed(contact: UnnamedContact) -> Text:
    """Vessels that a model drew without telling them apart: it counts for none of them."""
    figure = words.measured_contact(contact.degrees, contact.length_mm)
    label = terms.capital(contact.label)
    return Text(
        en=f"{label.en}, not told apart: {figure.en} (measured)",
        zh=f"{label.zh}（未区分）：{figure.zh}（测量所得）",
    )


def _beyond(made: Template) -> list[Text]:
    """Bile duct, other vessels and what lies beyond the pancreas, as the reader has it."""
    said = []
    for group in made.groups:
        items = [item for item in group.items if group.key in _KEPT or item.key in _KEPT]
        if not items:
            continue
        told = [
            Text(en=f"{i.label.en}: {i.value.en}", zh=f"{i.label.zh}：{i.value.zh}")
            for i in items
            if i.value is not None
        ]
        blank = [item.label for item in items if item.value is None]
        lines = [sentence(terms.joined(told, en="; ", zh="；"))] if told else []
        if blank:
            lines.append(to_fill_in(blank))
        body = terms.joined(lines, en=" ", zh="")
        said.append(body if group.key == "morphology" else headed(terms.capital(group.title), body))
    return said


def no_lesion(report: Report) -> Text:
    """Whether no lesion was marked, or nobody looked."""
    if any(PANCREAS in model.sites for model in report.all_models):
        return Text(en="No pancreatic lesion is marked.", zh="未标记胰腺病灶。")
    return Text(
        en="Pancreatic lesions: to be filled in by the reader; no model that ran looks for them.",
        zh="胰腺病灶：由医师填写；所用模型均不检出胰腺病灶。",
    )
