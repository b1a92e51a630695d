"""Text of headers that name no SpecificCharacterSet but use one, as many scanners in China do.

Without a declared set the default repertoire holds (PS3.5 6.1.2.1): ASCII. What is beyond it was
written in some set all the same, and pydicom gives it as Latin-1, byte for byte.
"""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue


def text_of(header: Dataset, keyword: str) -> str:
    """A text of a header as people read it, several values with strokes between; empty: none."""
    value = header.get(keyword)
    parts = value if isinstance(value, MultiValue) else [value]
    text = "/".join("" if part is None else str(part) for part in parts).strip()
    return text if header.get("SpecificCharacterSet") else understood(text)


def understood(text: str) -> str:
    """What undeclared bytes, read as Latin-1, say: UTF-8, else GB18030, else Latin-1."""
    if text.isascii():
        return text
    try:
        raw = text.encode("latin-1")
    except UnicodeEncodeError:
        return text
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        pass
    try:
        chinese = raw.decode("gb18030")
    except UnicodeDecodeError:
        return text
    return chinese if _in_pairs(raw) else text


def _in_pairs(raw: bytes) -> bool:
    """Whether most bytes beyond ASCII stand two by two, as in GB 2312; a Latin umlaut is alone."""
    pairs = alone = n = 0
    while n < len(raw):
        if raw[n] < 0x80:
            n += 1
            continue
        high = n + 1 < len(raw) and raw[n + 1] >= 0xA1
        pairs, alone = pairs + high, alone + (not high)
        n += 2
    return 0 < pairs >= alone
