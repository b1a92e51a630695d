"""Fonts of the machine: to draw words with into pictures, and to put into a PDF.

Pillow carries a font that has ASCII and little more. For Chinese a font of the machine is taken,
one of the usual ones by its file's name; where there is none, words in pictures are English.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from PIL import ImageFont

from imaging.language import Language, Text

_log = logging.getLogger(__name__)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_CHINESE: Final = (
    ("NotoSansCJK-Regular.ttc", 2),  # a collection of five; the third is Simplified Chinese
    ("NotoSansCJKsc-Regular.otf", 0),
    ("NotoSansSC-Regular.otf", 0),
    ("NotoSansSC-Regular.ttf", 0),
    ("SourceHanSansSC-Regular.otf", 0),
    ("SourceHanSansCN-Regular.otf", 0),
    ("wqy-microhei.ttc", 0),
    ("wqy-zenhei.ttc", 0),
    ("DroidSansFallbackFull.ttf", 0),
    ("msyh.ttc", 0),
    ("simhei.ttf", 0),
    ("simsun.ttc", 0),
    ("PingFang.ttc", 0),
    ("STHeiti Light.ttc", 0),
)
"""File names, which Pillow looks for where the system keeps its fonts, and which font in each."""
_EMBEDDABLE: Final = ("wqy-microhei.ttc", "wqy-zenhei.ttc", "DroidSansFallbackFull.ttf")
"""TrueType outlines, which reportlab can put into a PDF (those of Noto's CJK fonts it can't), under
licences that let them go out in one: Debian's fonts-wqy-microhei (Apache 2.0),
fonts-wqy-zenhei (GPL 2 with the font exception), fonts-droid-fallback (Apache 2.0). The first font
of a collection."""
_ASCII: Final = str.maketrans(
    {"×": "x", "³": "3", "²": "2", "±": "+/-", "\u2212": "-", "–": "-", "≥": ">=", "≤": "<="}
)


@dataclass(frozen=True)
class Typeface:
    """A font in any size, with the language that it can be used for."""

    language: Language
    file: str = ""
    index: int = 0

    def font(self, size: int) -> Font:
        """In a size, pixels."""
        return _opened(self.file, self.index, size)

    def say(self, text: Text) -> str:
        """A statement in the language, in letters that the font has."""
        return self.letters(text.in_(self.language))

    def letters(self, text: str) -> str:
        """Text as it can be drawn: with Pillow's own font as ASCII, ``?`` for what has no like."""
        if self.file:
            return text
        return text.translate(_ASCII).encode("ascii", "replace").decode("ascii")


@cache
def typeface(language: Language) -> Typeface:
    """The font for a language; for Chinese that of the machine, or else English."""
    if language is Language.ZH:
        for file, index in _CHINESE:
            try:
                _opened(file, index, 20)
            except OSError:
                continue
            return Typeface(Language.ZH, file, index)
        _log.warning(
            "no Chinese font on this machine: pictures are captioned in English. Install one, "
            "for instance Debian's fonts-wqy-microhei"
        )
    return Typeface(Language.EN)


def embeddable() -> Path | None:
    """The file of a Chinese font that may and can go into a PDF; None: there is none here."""
    for file in _EMBEDDABLE:
        try:
            return Path(str(ImageFont.truetype(file, 10).path))
        except OSError:
            continue
    return None


@cache
def _opened(file: str, index: int, size: int) -> Font:
    if not file:
        return ImageFont.load_default(size)
    return ImageFont.truetype(file, size, index=index)
