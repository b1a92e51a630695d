"""Nodules, guidelines, comparisons and clinical facts, prepared for the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import ValidationError

from imaging.draft import changes_of, character, deciding, terms
from imaging.draft.facts import (
    Fact,
    category_shown,
    change_badge,
    change_figures,
    hint_value,
    in_effect,
)
from imaging.finding import Finding
from imaging.guidelines.values import LUNG_RADS, Clinical, Guidance, LungRads, Override
from imaging.language import Text
from imaging.nodule import Hint
from imaging.priors.values import Comparison, NoduleChange
from imaging.report import Report
from pacs_bridge.review.editing import NotAccepted

_YES, _NO = "yes", "no"


@dataclass(frozen=True)
class Guide:
    """One guideline's card."""

    guidance: Guidance
    override: Override | None
    category: str | None
    """What counts: the reader's own, else the computed one."""
    shown: Text | None
    """The same for people."""


@dataclass(frozen=True)
class Row:
    """One line of a comparison."""

    number: int | None
    change: NoduleChange
    badge: Text
    then: str
    now: str
    figures: Text


@dataclass(frozen=True)
class Field:
    """One clinical fact in the form; ``kind`` is "number", "sex", "category" or "yes-no"."""

    name: str
    kind: str
    value: str
    choices: tuple[str, ...] = ()


def described(report: Report, finding: Finding) -> dict[str, Any]:
    """What a finding's card shows of its nodule; empty parts where it is none."""
    nodule = finding.nodule
    since = changes_of(report, finding)
    decides = [
        (g.guideline, in_effect(report, g) if g.guideline == LUNG_RADS else "")
        for g in deciding(report, finding)
    ]
    facts: tuple[Fact, ...] = ()
    hints: list[tuple[Hint, Text]] = []
    if nodule is not None:
        facts = character(nodule)
        hints = [(hint, hint_value(hint)) for hint in nodule.hints]
    return {
        "nodule": nodule,
        "kind": terms.kind(nodule) if nodule else None,
        "place": terms.place(nodule.place) if nodule else None,
        "margin": terms.MARGINS[nodule.margin] if nodule else None,
        "facts": facts,
        "hints": hints,
        "change": (since[0][1], change_badge(since[0][1])) if since else None,
        "decides": decides,
    }


def guides(report: Report) -> tuple[Guide, ...]:
    """The guidelines' cards, those with a category first."""
    own = {override.guideline: override for override in report.overrides}
    made = []
    for g in report.guidance:
        category = in_effect(report, g)
        shown = category_shown(g, category)
        made.append(Guide(g, own.get(g.guideline), category, shown))
    return tuple(sorted(made, key=lambda guide: guide.category is None))


def compared(report: Report) -> tuple[tuple[Comparison, tuple[Row, ...]], ...]:
    """Each earlier examination with its lines: today's findings in order, then what is gone."""
    now = {finding.tracking_uid: finding for finding in report.findings}
    tables = []
    for comparison in report.comparisons:
        rows = [_row(change, now.get(change.tracking_uid)) for change in comparison.changes]
        rows.sort(key=lambda row: (row.number is None, row.number or 0))
        tables.append((comparison, tuple(rows)))
    return tuple(tables)


def _row(change: NoduleChange, finding: Finding | None) -> Row:
    now = ""
    if finding is not None:
        nodule = finding.nodule
        mean = (finding.long_axis_mm + finding.short_axis_mm) / 2
        now = terms.mm(nodule.axial.mean_mm if nodule else mean)
    return Row(
        number=finding.number if finding else None,
        change=change,
        badge=terms.CHANGES[change.change],
        then=terms.mm(change.prior.mean_diameter_mm) if change.prior else "",
        now=now,
        figures=change_figures(change),
    )


def clinical_fields(facts: Clinical) -> tuple[Field, ...]:
    """The form's fields in the order of :class:`Clinical`."""
    fields = []
    for name in Clinical.model_fields:
        value = getattr(facts, name)
        shown = "" if value is None else str(value)
        match name:
            case "age_years":
                fields.append(Field(name, "number", shown))
            case "sex":
                fields.append(Field(name, "sex", shown, ("F", "M", "O")))
            case "prior_lung_rads":
                fields.append(Field(name, "category", shown, get_args(LungRads)))
            case _:
                shown = {True: _YES, False: _NO}.get(value, "")
                fields.append(Field(name, "yes-no", shown, (_YES, _NO)))
    return tuple(fields)


def facts_of(fields: Mapping[str, str]) -> Clinical:
    """The facts of a form that was sent; what is empty or absent is not known.

    Raises:
        NotAccepted: a value that is none.
    """
    words = {_YES: True, _NO: False}
    values: dict[str, Any] = {}
    for field in clinical_fields(Clinical()):
        sent = fields.get(field.name, "").strip()
        if field.choices and sent not in ("", *field.choices):
            raise NotAccepted(f"{field.name} = {sent!r} is none of {field.choices}", "bad-request")
        values[field.name] = words.get(sent, sent) if sent else None
    try:
        return Clinical.model_validate(values)
    except ValidationError as error:
        raise NotAccepted(str(error), "bad-age") from error
