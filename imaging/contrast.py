"""Whether a series was made with a contrast agent, and in which phase, by what its header says."""

from __future__ import annotations

import re
from enum import StrEnum

from imaging.headers import SeriesHeader
from imaging.language import Text
from imaging.patterns import one_of
from imaging.series_words import plain_words


class Phase(StrEnum):
    """When after the injection a CT was made."""

    PLAIN = "plain"
    ARTERIAL = "arterial"
    """Late arterial and pancreatic too."""
    PORTAL = "portal"
    DELAYED = "delayed"

    @property
    def text(self) -> Text:
        """For a reader."""
        return Text(en=_SHOWN[self][0], zh=_SHOWN[self][1])


_SHOWN: dict[Phase, tuple[str, str]] = {
    Phase.PLAIN: ("unenhanced", "平扫"),
    Phase.ARTERIAL: ("arterial phase", "动脉期"),
    Phase.PORTAL: ("portal venous phase", "门静脉期"),
    Phase.DELAYED: ("delayed phase", "延迟期"),
}
_NOT_GIVEN = {"", "NO", "NONE", "N", "0", "无"}
"""What scanners write into ContrastBolusAgent when nothing was given."""


# Of CT, in plain words. Tested in this order: "without contrast" holds "contrast".
_BOTH = one_of(
    r"\bw/? ?(?:and|&)? ?w/? ?o\b", r"\bwo? ?/? ?w\b", r"with ?(?:and|&|/) ?(?:with)?out",
    r"\bc[-] ?/? ?c\+", r"平扫\W*增强",
)  # fmt: skip
_PLAIN = one_of(
    r"\bw ?/? ?o\b", r"without", r"\bnon?[\s-]*(?:con(?!v)|enh|ce\b)", r"\bsine\b", r"unenh",
    r"\bplain\b", r"\bc-(?![\w-])", r"\bpre-?c(?:on\w*)?\b", r"\bagent ?(?:none|no\b)",
    r"\bpre\b(?![\s-]*(?:b[xi]|proc|op|surg|treat|rt\b|chemo|tx))",
    r"\bnati[vf]", r"\bohne\b", r"\bncct?\b", r"\bbez\b", r"\bsans ?(?:inj|iv)", r"平扫", r"未增强",
)  # fmt: skip
_ENHANCED = one_of(
    r"\bc ?\+", r"\+ ?c\b", r"\bce\b", r"contrast", r"enhanc", r"\bcta\b", r"\bpe\b(?! ?t)",
    r"\bwith(?: ?c)?\b(?! ?(?:delay|3d|mpr|recon))", r"\bw ?/? ?c\b", r"\biv ?con", r"\bkm\b",
    r"\bw\b(?! ?/? ?o\b)", r"injec", r"\bi ?\+", r"增强", r"强化",
    r"\bpost\b(?![\s-]*(?:op|surg|erior|b[xi]|proc|treat|rt\b|chemo|rx|abl))",
    r"\b\d{2,3} ?(?:cc|ml)\b", r"opti(?:ray|\b|\d)", r"omni", r"isovue", r"visipa", r"ultravist",
)  # fmt: skip
_PHASES: tuple[tuple[Phase, re.Pattern[str]], ...] = (
    (Phase.PORTAL, one_of(
        r"portal", r"\bp\W?v\b", r"\bpvp\b", r"p\W? ?ven", r"\bven(?:ous\w*|e|oz\w*|a)?\b",
        r"zylna",
        r"\b(?:60|65|70|75|80|90) ?sec", r"门脉", r"门静脉", r"静脉期", r"parenchym", r"实质期",
    )),
    (Phase.ARTERIAL, one_of(
        r"arter", r"\bart\b", r"\ba ?phase", r"\bhap\b", r"pancrea\w* ?phase", r"tetnic",
        r"\b(?:20|25|30|35|40|45) ?sec", r"cortico", r"动脉", r"皮质期",
    )),
    (Phase.DELAYED, one_of(
        r"(?<!\d sec )(?<!\d secs )delay", r"\b(?:1[2-9]0|[2-9]\d0) ?sec", r"\blate\b(?! ?art)",
        r"equilib", r"excret", r"nephro(?!st)", r"\bneph\b", r"(?<!x )\b\d+ ?min\b", r"pozn",
        r"tard[ií]", r"延迟", r"排泄期", r"平衡期",
    )),
)  # fmt: skip
_LATE_ARTERIAL = one_of(r"late ?art", r"arter\w* ?-?delay")

# MR is described in other words, often joined by underscores, and never by a phase of the liver.
_MR_PLAIN = re.compile(
    r"(?<![a-z])pre(?![sp])|\bw ?/? ?o\b|without|\bnon?[\s-]*(?:con|gad|gd|enhanced)|"
    r"unenhanced|\bplain\b|\bnati[vf]e?|\bohne\b|\bc-(?!\w)|平扫|未增强|增强前",
    re.IGNORECASE,
)
_MR_ENHANCED = re.compile(
    r"post(?![\s-]*(?:op|surg|erior|proc|rt\b|trea))|(?<![a-z])gad|gd(?![a-z])|"
    r"\+ ?(?:c|km)(?![a-z])|\bc ?\+|\bce\b|\bkm\b|contrast|enhanced|t1.*\b(?:fs)?c$|增强|强化|注药",
    re.IGNORECASE,
)
_JOINTS = re.compile(r"[_:]+")


def is_enhanced(header: SeriesHeader) -> bool:
    """Whether a contrast agent was given.

    The description speaks before ContrastBolusAgent, which scanners copy from the protocol
    into the unenhanced series too; before both, what a stack says that lies beside others in one
    series, for which the description can't speak.
    """
    if header.agent_phase:
        return header.agent_phase != "PRE_CONTRAST"
    said = told_contrast(header.description or header.protocol, header.modality)
    return header.contrast.strip().upper() not in _NOT_GIVEN if said is None else said


def told_contrast(text: str, modality: str) -> bool | None:
    """Whether a description says that contrast agent was given; None: it says nothing of it, or
    both, as the name of a protocol does that has a series of each."""
    if modality == "MR":
        words = _JOINTS.sub(" ", text).strip()
        if _MR_PLAIN.search(words):
            return False
        return True if _MR_ENHANCED.search(words) else None
    phase = told_phase(text)
    if phase is not None:
        return phase is not Phase.PLAIN
    words = plain_words(text)
    if _BOTH.search(words):
        return None
    several = len(_phases_in(words)) > 1
    return True if several or _ENHANCED.search(words) else None


def told_phase(text: str) -> Phase | None:
    """The phase that the description of a CT names; None: it names none, or several."""
    words = plain_words(text)
    if _BOTH.search(words):
        return None
    if _LATE_ARTERIAL.search(words):
        return Phase.ARTERIAL
    named = _phases_in(words)
    if named:
        return named[0] if len(named) == 1 else None
    return Phase.PLAIN if _PLAIN.search(words) else None


def _phases_in(words: str) -> list[Phase]:
    """The enhanced phases that are named."""
    return [phase for phase, pattern in _PHASES if pattern.search(words)]
