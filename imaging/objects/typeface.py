"""Fonts to draw words with into pictures.

Pillow carries a font that has ASCII and little more. For Chinese a font of the machine is taken,
one of the usual ones by its file's name; where there is none, words are English.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
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
            "for instance Debian's fonts-noto-cjk"
        )
    return Typeface(Language.EN)


@cache
def _opened(file: str, index: int, size: int) -> Font:
    if not file:
        return ImageFont.load_default(size)
    return ImageFont.truetype(file, size, index=index)
