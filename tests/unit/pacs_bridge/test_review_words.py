"""Every word of the page is there in both languages, and values look as people write them."""

from __future__ import annotations

import re

import pytest

from imaging.draft.terms import number, volume
from pacs_bridge.review.labels import EVENTS, LABELS
from pacs_bridge.review.present import dicom_date, person_name
from pacs_bridge.review.room import HERE
from pacs_bridge.states import State


@pytest.mark.parametrize("key", [*LABELS, *EVENTS])
def test_every_label_is_in_both_languages_with_the_same_blanks(key: str) -> None:
    label = LABELS.get(key) or EVENTS[key]
    assert label.en.strip() and label.zh.strip()
    assert sorted(re.findall(r"{\w+}", label.en)) == sorted(re.findall(r"{\w+}", label.zh))
    if key not in ("switch-language", "product"):
        assert not re.search(r"[\u4e00-\u9fff]", label.en)


def test_every_label_that_is_used_exists_and_every_one_that_exists_is_used() -> None:
    sources = [*HERE.rglob("*.html"), *HERE.rglob("*.py"), *HERE.rglob("*.js")]
    text = "\n".join(p.read_text(encoding="utf-8") for p in sources if "labels" not in p.name)
    used = set(re.findall(r"\bt\('([\w-]+)'[,)]", text))
    assert used <= set(LABELS)
    unused = {
        key for key in LABELS
        if not re.search(rf"""['".]{re.escape(key)}\b""", text)
        and not key.startswith(
            ("filter-", "delivery-", "stage-", "sex-", "verdict-", "worker-", "model-", "degraded-",
             "fact-", "ask-", "choice-", "extends-", "destination-", "circuit-", "pull-")
        )
    }  # fmt: skip
    assert unused == set()


@pytest.mark.parametrize("state", list(State))
def test_every_state_has_its_label_in_both_languages(state: State) -> None:
    assert state.label.en != state.label.zh


@pytest.mark.parametrize(
    ("pn", "shown"),
    [
        ("ZHANG^SAN=张^三", "张三 · ZHANG SAN"), ("Müller^Jörg", "Müller Jörg"), ("", ""),
        ("^^^", ""), ("DOE^JOHN=DOE^JOHN", "DOE JOHN"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "山田太郎 · やまだたろう · Yamada Tarou"),
    ],
)  # fmt: skip
def test_names_for_people(pn: str, shown: str) -> None:
    assert person_name(pn) == shown


def test_values_for_people() -> None:
    assert dicom_date("20260115") == "2026-01-15"
    assert dicom_date("unknown") == "unknown"
    assert volume(178.4) == "178 mm³"
    assert volume(34_120) == "34.1 ml"
    assert number(-42.4) == "\N{MINUS SIGN}42"
