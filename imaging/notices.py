"""What a reader of a result must know about its input: the warnings and refusals.

A notice is no error: the work went on (warning), or a series or study was left alone for a
stated reason (refusal). Every one has a stable code, which the JSON contract, the page, the
log and the report share.
"""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict

from imaging.language import Language, Text
from imaging.refusal_wording import REFUSALS
from imaging.severity import Severity as Severity
from imaging.warning_wording import WARNINGS


class Notice(BaseModel):
    """One statement about the input, in both languages.

    Attributes:
        code: stable, kebab-case, from :data:`WORDING`.
        severity: see :class:`Severity`.
        text: the filled-in sentence.
    """

    model_config = ConfigDict(frozen=True)

    code: str
    severity: Severity
    text: Text


WORDING: Final = {**REFUSALS, **WARNINGS}
"""Code to (severity, English, Chinese)."""


def notice(code: str, **values: object) -> Notice:
    """Fill in the wording of ``code``; a value that is a ``Text`` stands in its own language.

    Raises:
        KeyError: the code, or a value its wording needs, is unknown (a mistake in our code).
    """
    severity, en, zh = WORDING[code]
    text = Text(en=en.format(**_in(Language.EN, values)), zh=zh.format(**_in(Language.ZH, values)))
    return Notice(code=code, severity=severity, text=text)


def _in(language: Language, values: dict[str, object]) -> dict[str, object]:
    return {k: v.in_(language) if isinstance(v, Text) else v for k, v in values.items()}
