"""The two languages Preread speaks to people: English and Simplified Chinese.

Text that a reader sees is kept as a pair, never as one language translated at display time,
so that a radiologist who reads Chinese and one who reads English see the same statement.
Logs and exceptions are English only.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Language(StrEnum):
    """RFC 5646 tags, as SR's Language of Content Item and HTML's ``lang`` want them."""

    EN = "en"
    ZH = "zh"


class Text(BaseModel):
    """One statement in both languages."""

    model_config = ConfigDict(frozen=True)

    en: str
    zh: str

    @classmethod
    def same(cls, text: str) -> Text:
        """What reads alike in both languages: figures with their units, names."""
        return cls(en=text, zh=text)

    def in_(self, language: Language) -> str:
        """The statement in ``language``."""
        return self.zh if language is Language.ZH else self.en
