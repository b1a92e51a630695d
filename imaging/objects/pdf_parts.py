"""The parts that a PDF report is set from: paragraphs, boxes, tables, panels and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any

from PIL import Image as Pillow
from reportlab.lib.colors import Color
from reportlab.lib.pagesizes import A4
from reportlab.platypus import Flowable, Image, Paragraph, Table, TableStyle

from imaging.draft.facts import Fact
from imaging.language import Language, Text
from imaging.objects import pdf_words as words
from imaging.objects.html import LABELS
from imaging.objects.pdf_pages import MARGIN

WIDTH = A4[0] - 2 * MARGIN
"""Of the text, points."""
_QUALITY = 90
"""Of the JPEG that a picture becomes."""


class Parts:
    """Makes parts whose words are in one language."""

    def __init__(self, language: Language) -> None:
        self.language = language

    def say(self, text: Text) -> str:
        """The text in the document's language."""
        return text.in_(self.language)

    def label(self, key: str) -> str:
        """A label that the HTML report has too."""
        return self.say(LABELS[key])

    def text(self, words_: str, size: float = 9.5, **shape: Any) -> Paragraph:
        """A paragraph; ``shape`` as :func:`pdf_words.style` takes it."""
        return words.paragraph(words_, words.style(self.language, size, **shape))

    def soft(self, words_: str) -> Paragraph:
        """A paragraph in small grey print."""
        return self.text(words_, 8.5, colour=words.SOFT, after=2)

    def heading(self, key: str, more: str = "") -> Paragraph:
        """A heading, on one page with what it heads."""
        told = f"{self.label(key)} {more}".strip()
        return self.text(told, 10, colour=words.SOFT, bold=True, before=12, after=4, keep=True)

    def box(
        self, content: Sequence[Flowable], colour: Color, wash: Color | None = None
    ) -> Flowable:
        """Content behind a bar of colour, on a wash of it where that is given."""
        look: list[tuple[Any, ...]] = [
            ("LINEBEFORE", (0, 0), (0, -1), 2.5, colour),
            ("LEFTPADDING", (0, 0), (-1, -1), 9),
            ("RIGHTPADDING", (0, 0), (-1, -1), 6),
            ("TOPPADDING", (0, 0), (-1, -1), 4),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 5),
        ]
        if wash is not None:
            look.append(("BACKGROUND", (0, 0), (-1, -1), wash))
        return Table([[list(content)]], colWidths=[WIDTH], style=TableStyle(look), spaceAfter=4)

    def cell(self, text: str, colour: Color = words.INK, right: bool = False) -> Paragraph:
        """The words of a table's cell."""
        return self.text(text, 8.5, colour=colour, right=right)

    def grid(self, rows: Sequence[Sequence[Flowable]], widths: Sequence[float]) -> Flowable:
        """A table over the whole width; its first row is repeated on the next page."""
        return Table(
            [list(row) for row in rows],
            colWidths=[WIDTH * share for share in widths],
            repeatRows=1,
            style=TableStyle(
                [
                    ("LINEBELOW", (0, 0), (-1, -1), 0.4, words.LINE),
                    ("VALIGN", (0, 0), (-1, -1), "TOP"),
                    ("LEFTPADDING", (0, 0), (-1, -1), 0),
                    ("RIGHTPADDING", (0, 0), (-1, -1), 5),
                    ("TOPPADDING", (0, 0), (-1, -1), 3),
                    ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
                ]
            ),
        )

    def panel(self, rows: Sequence[Fact]) -> Iterator[Flowable]:
        """Facts in two columns, each with why it is so."""
        if not rows:
            return
        cells = [
            [self.cell(self.say(fact.label), words.SOFT),
             [self.cell(self.say(fact.value)),
              *([self.text(self.say(fact.note), 7.5, colour=words.SOFT)] if fact.note else [])]]
            for fact in rows
        ]  # fmt: skip
        half = (len(cells) + 1) // 2
        right = [*cells[half:], *([["", ""]] if len(cells) % 2 else [])]
        lines = [[*a, *b] for a, b in zip(cells[:half], right, strict=True)]
        shares = (0.18, 0.32, 0.18, 0.32)
        yield Table(
            lines, colWidths=[WIDTH * share for share in shares],
            style=TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"),
                              ("LEFTPADDING", (0, 0), (-1, -1), 0),
                              ("TOPPADDING", (0, 0), (-1, -1), 1),
                              ("BOTTOMPADDING", (0, 0), (-1, -1), 2)]),
        )  # fmt: skip

    def picture(self, png: bytes, width: float) -> Image:
        """A picture, ``width`` points wide."""
        with Pillow.open(BytesIO(png)) as opened:
            picture = opened.convert("RGB")
        out = BytesIO()
        picture.save(out, "JPEG", quality=_QUALITY, subsampling=0)
        out.seek(0)
        return Image(out, width=width, height=width * picture.height / picture.width, hAlign="LEFT")
