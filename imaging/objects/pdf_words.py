"""Words for a PDF page: two languages in one line, none of them lost, in styles that fit print.

Latin letters are set in Helvetica, one of the fonts that every PDF reader brings (ISO 32000-1,
9.6.2.2). Chinese, and what else Helvetica lacks, is set in a font of this machine that may go into
the file (``typeface.embeddable``): the letters that are used, and no others, are in the PDF, which
then looks alike everywhere.

Where the machine has no such font, and for letters that it lacks, Chinese is set in STSong-Light,
Korean in HYSMyeongJo-Medium: names that PDF readers know without the font being in the file
(Adobe's CID fonts), and take a Chinese font of their own for; a reader that has none shows blanks
or boxes. A letter that nothing here has a place for (beyond the Basic Multilingual Plane) is shown
as a geta mark: seen to be missing, where a blank would not be.
"""

from __future__ import annotations

import logging
import re
from functools import cache
from typing import Final
from xml.sax.saxutils import escape

from reportlab.lib.colors import Color, HexColor
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.pdfmetrics import registerFont, stringWidth
from reportlab.pdfbase.ttfonts import TTFError, TTFont
from reportlab.platypus import Paragraph

from imaging.language import Language
from imaging.objects.typeface import embeddable

_log = logging.getLogger(__name__)

LATIN, LATIN_BOLD = "Helvetica", "Helvetica-Bold"
CHINESE, KOREAN = "STSong-Light", "HYSMyeongJo-Medium"
EMBEDDED = "Preread-CJK"
"""What reportlab calls the machine's font."""
GETA: Final = "〓"

INK, SOFT, LINE, WASH = (HexColor(c) for c in ("#1d2a30", "#5c6c74", "#d5dde1", "#f6f8f9"))
AMBER, AMBER_WASH = HexColor("#8a5a00"), HexColor("#fff6e0")
GREEN, GREEN_WASH = HexColor("#14624a"), HexColor("#e9f6f0")
RED, RED_WASH = HexColor("#9d1c1c"), HexColor("#fdecec")
WHITE = HexColor("#ffffff")

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def runs(text: str) -> list[tuple[str, str]]:
    """Text as (font, letters), so that each letter is in a font that has it."""
    made: list[tuple[str, str]] = []
    for letter in _CONTROL.sub("", text).replace("\u2212", "–"):
        drawn = letter if letter <= "\uffff" or _is_embedded(letter) else GETA
        font = _font_of(drawn)
        # A space or a stop goes with what it stands in.
        if made and (letter.isspace() or made[-1][0] == font):
            made[-1] = (made[-1][0], made[-1][1] + drawn)
        else:
            made.append((font, drawn))
    return made


def _font_of(letter: str) -> str:
    try:
        letter.encode("cp1252")  # WinAnsiEncoding, what the standard fonts are addressed by
        return LATIN
    except UnicodeEncodeError:
        if _is_embedded(letter):
            return EMBEDDED
        code = ord(letter)
        hangul = 0xAC00 <= code <= 0xD7A3 or 0x1100 <= code <= 0x11FF or 0x3130 <= code <= 0x318F
        return KOREAN if hangul else CHINESE


def _is_embedded(letter: str) -> bool:
    font = embedded()
    return font is not None and ord(letter) in font.face.charToGlyph


def marked_up(text: str) -> str:
    """Foreign text as reportlab's paragraph markup; nothing in it is taken for a tag."""
    fonts()
    parts = []
    for font, letters in runs(text):
        safe = escape(letters).replace("\n", "<br/>")
        parts.append(safe if font == LATIN else f'<font name="{font}">{safe}</font>')
    return "".join(parts)


def width_of(text: str, size: float) -> float:
    """Width of a line in points."""
    fonts()
    return float(sum(stringWidth(letters, font, size) for font, letters in runs(text)))


@cache
def fonts() -> None:
    """Make the CJK fonts known to reportlab, once a process."""
    registerFont(UnicodeCIDFont(CHINESE))
    registerFont(UnicodeCIDFont(KOREAN))
    embedded()


@cache
def embedded() -> TTFont | None:
    """The machine's font that goes into the file, known to reportlab; None: there is none."""
    path = embeddable()
    if path is None:
        _log.warning(
            "no Chinese font here that can go into a PDF: its Chinese looks as the reader's own "
            "fonts do. Install one, for instance Debian's fonts-wqy-microhei"
        )
        return None
    try:
        font = TTFont(EMBEDDED, str(path), subfontIndex=0)
    except TTFError as error:
        _log.warning("the font %s can't go into a PDF: %s. Install another", path, error)
        return None
    registerFont(font)
    return font


@cache
def style(
    language: Language,
    size: float = 9.5,
    *,
    colour: Color = INK,
    bold: bool = False,
    right: bool = False,
    before: float = 0.0,
    after: float = 0.0,
    keep: bool = False,
) -> ParagraphStyle:
    """A paragraph's style; ``keep``: on one page with what follows."""
    fonts()
    return ParagraphStyle(
        "p",
        fontName=LATIN_BOLD if bold else LATIN,
        fontSize=size,
        leading=size * 1.42,
        textColor=colour,
        alignment=2 if right else 0,
        spaceBefore=before,
        spaceAfter=after,
        keepWithNext=int(keep),
        wordWrap="CJK" if language is Language.ZH else None,
        splitLongWords=1,
    )


def paragraph(text: str, shape: ParagraphStyle) -> Paragraph:
    """Foreign text as a paragraph."""
    return Paragraph(marked_up(text), shape)
