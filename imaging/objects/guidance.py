"""What guidelines say, and what earlier examinations showed, at the level of the document.

TID 1500 takes any CODE and TEXT under "Qualitative Evaluations" (row 12). A Lung-RADS category
has a RadLex code; what has none stands as text. A radiologist's own category comes first, with
their name as its observer, and the computed one beside it: a viewer that shows one shows theirs.
"""

from __future__ import annotations

from collections.abc import Iterator

from highdicom.sr import (
    CodeContentItem,
    ContentItem,
    ContentSequence,
    PnameContentItem,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from imaging.draft import terms
from imaging.draft.facts import category_text, guideline_name
from imaging.draft.sentences import comparison_sentence
from imaging.guidelines.values import LUNG_RADS, Guidance, Input, Override
from imaging.language import Language, Text
from imaging.objects import codes as c
from imaging.objects import nodule_codes as n
from imaging.report import Report

_CONTAINS = RelationshipTypeValues.CONTAINS
_PROPERTY = RelationshipTypeValues.HAS_PROPERTIES
_OBSERVER = RelationshipTypeValues.HAS_OBS_CONTEXT


def guidance_items(report: Report, language: Language) -> Iterator[ContentItem]:
    """Each guideline's category and advice; the reader's own category before the computed one."""
    for guidance in report.guidance:
        for override in report.overrides:
            if override.guideline == guidance.guideline:
                yield _override(override, guidance, language)
        yield _computed(guidance, language)
    for comparison in report.comparisons:
        yield _text(n.PREVIOUS_FINDING, comparison_sentence(comparison).in_(language), _CONTAINS)


def category_code(guideline: str, category: str) -> Code | None:
    """The RadLex code of a Lung-RADS category, its S modifier aside; None where there is none."""
    if guideline != LUNG_RADS:
        return None
    return n.LUNG_RADS_CATEGORIES.get(category.removesuffix("S"))


def _computed(guidance: Guidance, language: Language) -> ContentItem:
    name, category = guideline_name(guidance.guideline), guidance.category
    if category is None:
        cannot = guidance.recommendation
        told = Text(en=f"{name.en}: {cannot.en}", zh=f"{name.zh}：{cannot.zh}")
        return _text(c.COMMENT, told.in_(language), _CONTAINS)
    item = _category(guidance.guideline, category, language)
    spoken = category_text(guidance.guideline, category)
    inputs = terms.joined([_told(i) for i in guidance.inputs], en="; ", zh="；")
    rule = guidance.rule
    why = Text(
        en=f"{name.en}, {spoken.en}. {rule.en}. {inputs.en}. ({guidance.source})",
        zh=f"{name.zh}，{spoken.zh}。{rule.zh}。{inputs.zh}。（{guidance.source}）",
    )
    item.ContentSequence = ContentSequence(
        [
            _text(n.RECOMMENDATION, guidance.recommendation.in_(language), _PROPERTY),
            _text(c.COMMENT, why.in_(language), _PROPERTY),
        ]
    )
    return item


def _override(override: Override, guidance: Guidance, language: Language) -> ContentItem:
    reason, guideline = override.reason.strip(), override.guideline
    name, own = guideline_name(guideline), category_text(guideline, override.category)
    computed = Text(en="none", zh="无")
    if guidance.category is not None:
        computed = category_text(guideline, guidance.category)
    told = Text(
        en=f"{name.en}, {own.en}. Radiologist's assessment in place of the computed "
        f"{computed.en}. {reason}",
        zh=f"{name.zh}，{own.zh}。医师判定，软件计算结果为：{computed.zh}。{reason}",
    )
    item = _category(override.guideline, override.category, language)
    item.ContentSequence = ContentSequence(
        [
            CodeContentItem(codes.DCM.ObserverType, codes.DCM.Person, _OBSERVER),
            PnameContentItem(codes.DCM.PersonObserverName, override.by or "-", _OBSERVER),
            _text(c.COMMENT, told.in_(language).strip(), _PROPERTY),
        ]
    )
    return item


def _told(fact: Input) -> Text:
    which = f" ({fact.finding})" if fact.finding else ""
    return Text(
        en=f"{fact.name.en}{which}: {fact.value.en}", zh=f"{fact.name.zh}{which}：{fact.value.zh}"
    )


def _category(guideline: str, category: str, language: Language) -> ContentItem:
    code = category_code(guideline, category)
    if code is not None:
        return CodeContentItem(n.LUNG_RADS, code, _CONTAINS)
    name, spoken = guideline_name(guideline), category_text(guideline, category)
    told = Text(en=f"{name.en}: {spoken.en}", zh=f"{name.zh}：{spoken.zh}")
    return _text(n.RECOMMENDATION, told.in_(language), _CONTAINS)


def _text(name: Code, value: str, relationship: RelationshipTypeValues) -> TextContentItem:
    return TextContentItem(name=name, value=value, relationship_type=relationship)
