"""The Brock hint of every described nodule of an examination."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from imaging.guidelines.brock import brock
from imaging.guidelines.values import Clinical

if TYPE_CHECKING:
    from imaging.finding import Finding

METHOD = "brock"


def with_brock(findings: Sequence[Finding], clinical: Clinical) -> tuple[Finding, ...]:
    """The findings with the Brock hint that these clinical facts give, in place of an earlier one.

    The formula's nodule count is the number of findings that are described nodules.
    """
    count = sum(finding.nodule is not None for finding in findings)
    return tuple(_hinted(finding, clinical, count) for finding in findings)


def _hinted(finding: Finding, clinical: Clinical, count: int) -> Finding:
    nodule = finding.nodule
    if nodule is None:
        return finding
    others = tuple(hint for hint in nodule.hints if hint.method != METHOD)
    hints = (*others, brock(nodule, clinical, count))
    return finding.model_copy(update={"nodule": nodule.model_copy(update={"hints": hints})})
