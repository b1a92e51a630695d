"""Every notice can be said, in both languages, with its values in it."""

from __future__ import annotations

import string

import pytest

from imaging.notices import WORDING, Severity, notice
from imaging.refusal_wording import REFUSALS
from imaging.warning_wording import WARNINGS


def fields(wording: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(wording) if name}


@pytest.mark.parametrize("code", WORDING)
def test_both_languages_tell_the_same_values(code: str) -> None:
    severity, en, zh = WORDING[code]
    assert severity in Severity
    assert fields(en) == fields(zh)
    assert any("\u4e00" <= c <= "\u9fff" for c in zh)
    assert en.isascii()
    assert code == code.lower()
    assert " " not in code


@pytest.mark.parametrize("code", WORDING)
def test_values_reach_the_sentence(code: str) -> None:
    """A number a field, distinct, so that a swapped or dropped value is seen."""
    names = sorted(fields(WORDING[code][1]))
    values = {name: 21 + n for n, name in enumerate(names)}
    made = notice(code, **values)
    assert made.code == code
    for text in (made.text.en, made.text.zh):
        assert "{" not in text
        for value in values.values():
            assert str(value) in text


def test_a_code_is_worded_once_and_where_its_severity_is_looked_for() -> None:
    assert not REFUSALS.keys() & WARNINGS.keys()
    assert {severity for severity, _, _ in WARNINGS.values()} == {Severity.WARNING}


def test_an_unknown_code_or_value_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        notice("no-such-code")
    with pytest.raises(KeyError, match="wanted"):
        notice("too-thick", found=8.0)


def test_braces_in_a_value_are_only_text() -> None:
    made = notice("unreadable-file", file="{x}.dcm", problem="{0.__class__}")
    assert made.text.en == "{x}.dcm was not used: {0.__class__}"
