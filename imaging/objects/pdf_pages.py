"""Pages of a PDF: what stands at the head and foot of each, and how many there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from reportlab.lib.colors import Color
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, PageTemplate

from imaging.language import Language
from imaging.objects import pdf_words as words

MARGIN = 16 * mm
_BAND = 7 * mm
"""Height of the coloured band at the head."""


@dataclass(frozen=True)
class PageWords:
    """What every page says.

    Attributes:
        title: of the document.
        status: what it is worth, in the band at the head and again at the foot.
        colour: of the band.
        identity: whose it is.
        made: when, and which revision.
    """

    title: str
    status: str
    colour: Color
    identity: str
    made: str


def lay_out(frame: PageWords, content: Sequence[Flowable], language: Language) -> bytes:
    """The content on as many A4 pages as it takes; the same content makes the same bytes."""
    out = BytesIO()
    document = BaseDocTemplate(
        out,
        pagesize=A4,
        title=f"{frame.title} ({frame.status})",
        author="Preread",
        lang="zh-CN" if language is Language.ZH else "en",
        invariant=1,  # no time and no random identifier in the file
    )
    foot = MARGIN + 5 * mm
    text = Frame(
        MARGIN, foot, A4[0] - 2 * MARGIN, A4[1] - _BAND - 7 * mm - foot,
        leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0,
    )  # fmt: skip
    document.addPageTemplates([PageTemplate(frames=[text])])

    def canvas(*args: Any, **options: Any) -> _Counted:
        return _Counted(frame, language, *args, **options)

    document.build(list(content), canvasmaker=canvas)
    return out.getvalue()


class _Counted(Canvas):  # type: ignore[misc]  # reportlab has no types
    """Draws heads and feet when the number of pages is known."""

    def __init__(self, frame: PageWords, language: Language, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._frame, self._language = frame, language
        self._kept: list[dict[str, Any]] = []

    def showPage(self) -> None:
        """Keep the page for the end."""
        self._kept.append(dict(vars(self)))
        self._startPage()

    def save(self) -> None:
        """Finish the pages that were kept and write them all."""
        pages = self._kept
        for number, state in enumerate(pages, start=1):
            self.__dict__.update(state)
            self._head_and_foot(number, len(pages))
            super().showPage()
        super().save()

    def _head_and_foot(self, number: int, of: int) -> None:
        frame, (width, height) = self._frame, A4
        self.setFillColor(frame.colour)
        self.rect(0, height - _BAND, width, _BAND, stroke=0, fill=1)
        y = height - _BAND / 2 - 3.2
        self._line(MARGIN, y, frame.title, 9, words.WHITE, room=0.42 * (width - 2 * MARGIN))
        self._line(
            width - MARGIN, y, frame.status, 9, words.WHITE,
            room=0.56 * (width - 2 * MARGIN), right=True,
        )  # fmt: skip
        self.setStrokeColor(words.LINE)
        self.line(MARGIN, MARGIN + 2 * mm, width - MARGIN, MARGIN + 2 * mm)
        half = (width - 2 * MARGIN) * 0.62
        self._line(MARGIN, MARGIN - 2 * mm, frame.identity, 8, words.INK, room=half)
        self._line(MARGIN, MARGIN - 6 * mm, frame.made, 8, words.SOFT, room=half)
        right = width - MARGIN
        rest = (width - 2 * MARGIN) * 0.36
        self._line(right, MARGIN - 2 * mm, frame.status, 8, frame.colour, room=rest, right=True)
        self._line(right, MARGIN - 6 * mm, f"{number} / {of}", 8, words.SOFT, room=rest, right=True)

    def _line(
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        colour: Color,
        *,
        room: float,
        right: bool = False,
    ) -> None:
        """One line, made smaller where it would not fit."""
        wide = words.width_of(text, size)
        if wide > room:
            size, wide = size * room / wide, room
        self.setFillColor(colour)
        at = x - wide if right else x
        for font, letters in words.runs(text):
            self.setFont(font, size)
            self.drawString(at, y, letters)
            at += self.stringWidth(letters, font, size)
