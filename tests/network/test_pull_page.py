"""The page of what is fetched, and its JSON: rules, studies, looking now, trying again."""

from __future__ import annotations

from pathlib import Path

import pytest

from pacs_bridge.pull.ledger import PullLedger
from pacs_bridge.pull.state import PullOverview
from pacs_bridge.pull.values import Found, FoundSeries, FoundStudy, PullState, SeriesWish
from tests.network.review_site import ZHANG, Site, make_site

PACS = {"ae_title": "PACS", "host": "pacs.example", "port": 104}
RULES = [
    {"name": "chest <CT>", "source": PACS, "every_minutes": 10, "hours": ["00:00-24:00"],
     "announced": True},
    {"name": "web", "method": "dicomweb", "dicomweb_url": "https://me:secret@web.example/dw"},
]  # fmt: skip


def found(uid: str, description: str) -> Found:
    wanted = SeriesWish(FoundSeries(f"{uid}.1", "CT", "thin", images=24), None, 24)
    return Found(FoundStudy(uid, "20260105", description, ("CT",), 24), (wanted,))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = make_site(tmp_path / "site", pull=RULES)
    ledger = PullLedger(site.store)
    ledger.begun("chest <CT>", asked=False)
    ledger.ended("chest <CT>", 5, 2, "PACS at pacs.example:104: no <association>")
    for uid, description in (("1.2.1", "胸部平扫"), ("1.2.2", "CT <b>chest</b>")):
        ledger.enter(found(uid, description), "chest <CT>", "PACS")
    pull = ledger.claim("chest <CT>", "test")
    assert pull is not None
    ledger.failed(pull.study_uid, "test", "it said <no>", None)
    return site


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("Fetching", "chest &lt;CT&gt;", "every 10 min", "when announced", "by hand",
                "5 found, 2 to fetch", "no &lt;association&gt;", "Given up", "it said &lt;no&gt;",
                "0 of 24", "Look now", "Try again", "https://web.example/dw")),
        ("zh", ("调取", "每 10 分钟", "收到通知时", "手动", "找到 5，待调取 2", "已放弃",
                "胸部平扫", "立即查询", "重试")),
    ],
)  # fmt: skip
def test_the_page_says_how_fetching_stands(
    site: Site, language: str, words: tuple[str, ...]
) -> None:
    page = site.browser(**{"Accept-Language": language}).get("/pulls")
    assert page.status_code == 200
    for word in words:
        assert word in page.text, word
    assert "secret" not in page.text
    assert "<b>chest" not in page.text
    assert "<html" not in site.client.get("/pulls/state").text
    assert 'href="/pulls"' in site.client.get("/").text


def test_a_button_has_a_rule_look_and_a_study_tried_again(site: Site) -> None:
    ledger = PullLedger(site.store)
    assert site.form("/pulls/look", rule="chest <CT>").status_code == 303
    assert ledger.run_of("chest <CT>").asked_at is not None
    assert "asked for" in site.client.get("/pulls").text
    (lost,) = [p for p in ledger.newest() if p.state is PullState.GIVEN_UP]
    assert site.form("/pulls/again", study_uid=lost.study_uid).status_code == 303
    again = ledger.of(lost.study_uid)
    assert again is not None
    assert again.state is PullState.WAITING
    assert site.form("/pulls/look", rule="no such rule").status_code == 404
    assert site.form("/pulls/again", study_uid="9.9").status_code == 404
    assert site.client.post("/pulls/look", data={"rule": "web"}).status_code == 403
    assert {"pull-asked", "pull-retried"} <= {what for what, _ in site.happened()}


def test_the_same_as_json(site: Site) -> None:
    shown = PullOverview.model_validate(site.client.get("/api/pulls").json())
    assert [rule.name for rule in shown.rules] == ["chest <CT>", "web"]
    chest, web = shown.rules
    assert (chest.found, chest.taken, chest.looking, chest.asked) == (5, 2, False, False)
    assert chest.next_at is not None and chest.looked_at is not None
    assert chest.next_at > chest.looked_at
    assert (web.next_at, web.looked_at) == (None, None)
    assert {study.state for study in shown.studies} == {PullState.GIVEN_UP, PullState.WAITING}
    body = {"rule": "web"}
    assert site.client.post("/api/pulls/look", json=body).status_code == 403
    headers = {"X-CSRF-Token": site.csrf()}
    assert site.client.post("/api/pulls/look", json=body, headers=headers).status_code == 202
    assert PullLedger(site.store).run_of("web").asked_by
    lost = next(s for s in shown.studies if s.state is PullState.GIVEN_UP)
    body = {"study_uid": lost.study_uid}
    assert site.client.post("/api/pulls/again", json=body, headers=headers).status_code == 202


def test_only_people_we_know_see_it(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site", readers=[ZHANG], pull=RULES)
    for path in ("/pulls", "/pulls/state"):
        assert site.client.get(path).headers["location"].startswith("/login")
    assert site.client.get("/api/pulls").status_code == 401


def test_without_rules_there_is_nothing_to_see(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site")
    assert "No rule is set up" in site.client.get("/pulls").text
    assert 'href="/pulls"' not in site.client.get("/").text
