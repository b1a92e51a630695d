"""That a study is to be read before others, at the level of an SR document."""

from __future__ import annotations

from collections.abc import Iterator

from highdicom.sr import (
    CodeContentItem,
    ContentItem,
    ContentSequence,
    RelationshipTypeValues,
    TextContentItem,
)

from imaging.language import Language
from imaging.objects import codes as c
from imaging.report import Report


def urgency_items(report: Report, language: Language) -> Iterator[ContentItem]:
    """That a validated model asks for the study to be read first, and why.

    A priority, no diagnosis; where the reader rejected what raised it, nothing.
    """
    if report.urgency is None or not report.urgent:
        return
    item = CodeContentItem(c.PRIORITY, c.URGENT, RelationshipTypeValues.CONTAINS)
    why = report.urgency.why.in_(language)
    item.ContentSequence = ContentSequence(
        [TextContentItem(c.COMMENT, why, RelationshipTypeValues.HAS_PROPERTIES)]
    )
    yield item
