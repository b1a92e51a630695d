"""The site's exceptions to which series suits a model."""

from __future__ import annotations

from imaging.series_rules import SeriesRule
from pacs_bridge.sections.base import Section


class SeriesRuleSettings(SeriesRule, Section):
    """An exception to the choice of series: where all patterns match, prefer it, or never read it.

    `preread plan PATH` shows what it does to a study.
    """
