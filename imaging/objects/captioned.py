"""Key images with what a viewer can't add: a caption, and a card that sums the report up.

For archives and viewers that show plain pictures and nothing else. No patient is named in the
pixels.
"""

from __future__ import annotations

import re
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from imaging.draft import deciding, terms
from imaging.draft.facts import category_shown, guideline_name, in_effect
from imaging.draft.pancreas_panel import gland_facts
from imaging.finding import Finding, Structure
from imaging.guidelines.values import Guidance
from imaging.language import Language, Text
from imaging.objects.source import MANUFACTURER
from imaging.objects.typeface import Typeface, typeface
from imaging.objects.wording import no_findings, short_status, supersedes_statement
from imaging.report import Report, Stage

Pixels = NDArray[np.uint8]
"""(row, column, RGB)."""
Colour = tuple[int, int, int]

CARD_SIZE = (1286, 728)
"""Of a card without pictures beside it: width, height."""
_STRIP = 88
"""Height of the caption below a picture."""
_MARGIN = 14
_BLACK, _WHITE, _SOFT = (0, 0, 0), (232, 238, 241), (150, 165, 172)
_AMBER, _GREEN, _RED = (255, 196, 61), (110, 205, 130), (255, 110, 100)
_MORE: Final = Text(en="... more in the report", zh="……更多内容见报告")
_PARTS = re.compile(r"[!-~]+ *| +|.", re.DOTALL)
"""Where a line may break: after a word of Latin letters, after any other letter."""


def captioned(
    report: Report,
    marked: Finding | Structure,
    picture: bytes,
    language: Language = Language.EN,
) -> Pixels:
    """A key image over a strip that says what it shows, how large that is, and by whom.

    Args:
        report: that the finding, or the measured gland, is of.
        marked: which.
        picture: its key image, PNG.
        language: of the caption, where the machine has a font for it.
    """
    with Image.open(BytesIO(picture)) as opened:
        drawn = opened.convert("RGB")
    page = Image.new("RGB", (drawn.width, drawn.height + _STRIP), _BLACK)
    page.paste(drawn, (0, 0))
    pen = _Pen(page, typeface(language))
    room = page.width - 2 * _MARGIN
    told = _told(report, marked) if isinstance(marked, Finding) else _gland(report, marked, 2)
    pen.line((_MARGIN, drawn.height + 10), told, 24, _WHITE, room)
    pen.line((_MARGIN, drawn.height + 50), _by(report), 19, _status_colour(report), room)
    return np.asarray(page)


def card(
    report: Report, size: tuple[int, int] = CARD_SIZE, language: Language = Language.EN
) -> Pixels:
    """The report on one picture: what it is, what stands, what a reader must know.

    Args:
        report: preliminary or final; with nothing marked it says just that.
        size: width and height of the picture.
        language: of the words, where the machine has a font for it.
    """
    page = Image.new("RGB", size, _BLACK)
    pen = _Pen(page, typeface(language))
    left, right, bottom = 3 * _MARGIN, size[0] - 3 * _MARGIN, size[1] - 2 * _MARGIN
    room = right - left
    title = Text(en=f"{MANUFACTURER}   {report.title.en}", zh=f"{MANUFACTURER}   {report.title.zh}")
    pen.line((left, 30), title, 34, _WHITE, room)
    pen.line((left, 84), _by(report), 21, _status_colour(report), room)
    y = 128
    for words, colour in _said(report):
        for part in pen.wrapped(words, 21, room):
            if y + 60 > bottom:
                pen.line((left, y), _MORE, 21, _SOFT, room)
                return np.asarray(page)
            pen.line((left, y), Text.same(part), 21, colour, room)
            y += 30
        y += 8
    return np.asarray(page)


def _said(report: Report) -> list[tuple[Text, Colour]]:
    """The card's paragraphs, the gravest first."""
    said: list[tuple[Text, Colour]] = []
    if report.urgent and report.urgency is not None:
        why = report.urgency.why
        said.append((Text(en=f"URGENT: {why.en}", zh=f"紧急：{why.zh}"), _RED))
    if report.supersedes is not None:
        said.append((supersedes_statement(report.supersedes), _AMBER))
    said += [(_category(report, g), _WHITE) for g in report.guidance if in_effect(report, g)]
    said += [(_told(report, finding), _WHITE) for finding in report.standing_findings]
    if not report.standing_findings:
        said.append((no_findings(report), _WHITE))
    said += [(_gland(report, gland), _WHITE) for gland in measured_glands(report)]
    return said + [(terms.capital(warning.text), _SOFT) for warning in report.warnings]


def _told(report: Report, finding: Finding) -> Text:
    """Number, name, figures, the categories that it decided, its slice."""
    axes = finding.nodule.axial if finding.nodule else None
    long_mm, short_mm = (
        (axes.long_mm, axes.short_mm) if axes else (finding.long_axis_mm, finding.short_axis_mm)
    )
    volume = finding.nodule.volume_mm3.value if finding.nodule else finding.volume_mm3
    where = f"{finding.key_slice + 1}/{report.slice_count}"
    parts = [
        Text.same(str(finding.number)),
        terms.name(finding),
        Text.same(terms.size(long_mm, short_mm)),
        Text.same(terms.volume(volume)),
        *(_category(report, guidance) for guidance in deciding(report, finding)),
        Text(en=f"slice {where}", zh=f"第 {where} 层"),
    ]
    return terms.joined(parts, en="   ", zh="   ")


def measured_glands(report: Report) -> tuple[Structure, ...]:
    """The structure that ``report.gland`` was measured in; nothing where there is none."""
    uid = report.gland.tracking_uid if report.gland else None
    return tuple(each for each in report.structures if each.tracking_uid == uid)


def _gland(report: Report, structure: Structure, most: int | None = None) -> Text:
    """Its name and what was measured of it, the first ``most`` of that."""
    facts = gland_facts(report.gland) if report.gland else ()
    parts = [structure.label.meaning]
    for fact in facts[:most]:
        label, value = fact.label, fact.value
        parts.append(Text(en=f"{label.en.lower()} {value.en}", zh=f"{label.zh} {value.zh}"))
    return terms.joined(parts, en="   ", zh="   ")


def _category(report: Report, guidance: Guidance) -> Text:
    name = guideline_name(guidance.guideline)
    shown = category_shown(guidance, in_effect(report, guidance)) or Text.same("")
    return Text(en=f"{name.en} {shown.en}", zh=f"{name.zh} {shown.zh}")


def _by(report: Report) -> Text:
    """What it is worth and who made it."""
    status, made = terms.capital(short_status(report)), f"{MANUFACTURER}, {report.model_names}"
    en, zh = f"{status.en}   {made}", f"{status.zh}   {made}"
    if report.revision > 1:
        en, zh = f"{en}   revision {report.revision}", f"{zh}   第 {report.revision} 次修订"
    return Text(en=en, zh=zh)


def _status_colour(report: Report) -> Colour:
    if report.fake:
        return _RED
    return _GREEN if report.stage is Stage.FINAL else _AMBER


class _Pen:
    """Writes into a picture."""

    def __init__(self, page: Image.Image, face: Typeface) -> None:
        self._draw = ImageDraw.Draw(page)
        self._face = face

    def line(self, at: tuple[int, int], words: Text, size: int, colour: Colour, room: int) -> None:
        """One line, as large as the room allows; what is too long even so ends in dots."""
        text = self._face.say(words)
        while size > 13 and self._width(text, size) > room:
            size -= 1
        if self._width(text, size) > room:
            while text and self._width(text + " ...", size) > room:
                text = text[:-1]
            text += " ..."
        self._draw.text(at, text, fill=colour, font=self._face.font(size))

    def wrapped(self, words: Text, size: int, room: int) -> list[str]:
        """The words as lines that fit."""
        lines = [""]
        for part in _PARTS.findall(self._face.say(words)):
            if lines[-1] and self._width(lines[-1] + part.rstrip(), size) > room:
                lines.append(part)
            else:
                lines[-1] += part
        return lines

    def _width(self, text: str, size: int) -> float:
        return float(self._draw.textlength(text, font=self._face.font(size)))
