"""The destinations' page and its JSON: who is left alone, what was given up on, trying again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imaging.report import Stage
from pacs_bridge.deliver import Courier
from pacs_bridge.delivery.circuit import Circuit, CircuitState
from pacs_bridge.delivery.standing import DestinationState
from pacs_bridge.settings import DestinationSettings
from pacs_bridge.states import DeliveryState
from pacs_bridge.store import Delivery, Study
from tests.network.review_samples import add
from tests.network.review_site import ZHANG, Site, make_site


def state(name: str, **changes: Any) -> DestinationState:
    values: dict[str, Any] = {
        "name": name, "protocol": "C-STORE", "address": "PACS 10.0.0.1:104", "tls": False,
        "accepts": ["SEG", "SR"], "studies": "all", "commitment": False,
        "rules": {}, "character_sets": [],
        "circuit": CircuitState.CLOSED, "failures": 0, "down_since": None, "next_try_at": None,
        "last_error": "", "waiting": 0, "sent": 0, "delivered": 3, "given_up": 0,
        "set_aside": 0,
        "delivered_at": 1_700_000_000.0,
    }  # fmt: skip
    return DestinationState(**(values | changes))


def letter(study: Study, uid: str, destination: str) -> Delivery:
    return Delivery(
        uid, destination, study.study_uid, 1, Stage.PRELIMINARY, "SR", Path("/x"),
        DeliveryState.GIVEN_UP, 12, "attempt 12 was the last: <nobody>",
    )  # fmt: skip


def populate(site: Site) -> Study:
    study = add(site.store, 41, "WANG^FANG=王^芳")
    site.store.add_deliveries([letter(study, "1.2.1", "main"), letter(study, "1.2.2", "old")])
    site.studio.destination_states = [
        state(
            "main", tls=True, commitment=True, circuit=CircuitState.OPEN, failures=7,
            down_since=1_700_000_000.0, next_try_at=1_700_000_600.0, given_up=1, sent=2,
            last_error="PACS at 10.0.0.1:104: no association <within> 15 s",
        ),
        state("web", protocol="STOW-RS", address="https://web.example/dw", studies="positive",
              rules={"body_parts": ["CHEST"]}, character_sets=["GB18030"]),
    ]  # fmt: skip
    return study


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path / "site")


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("Left alone", "7 tries", "no association &lt;within&gt;", "storage commitment",
                "STOW-RS", "positive results", "body_parts: CHEST", "GB18030",
                "attempt 12 was the last: &lt;nobody&gt;",
                "no longer in the settings", "王芳", "Try all again")),
        ("zh", ("发送目的地", "暂停发送", "已尝试 7 次", "存储承诺", "仅阳性结果", "未送达",
                "已不在配置中", "全部重试")),
    ],
)  # fmt: skip
def test_the_page_says_where_each_stands_and_what_did_not_get_there(
    site: Site, language: str, words: tuple[str, ...]
) -> None:
    study = populate(site)
    page = site.browser(**{"Accept-Language": language}).get("/destinations")
    assert page.status_code == 200
    for word in words:
        assert word in page.text, word
    assert f"/studies/{study.study_uid}?revision=1#deliveries" in page.text
    # one for the circuit, one for what can be sent again; none for what is in the settings no more
    assert page.text.count('data-role="retry-all"') == 1
    assert page.text.count('data-role="retry"') == 1
    assert "<html" not in site.client.get("/destinations/state").text
    assert 'href="/destinations"' in site.client.get("/").text


def test_a_button_tries_one_or_all_again(site: Site) -> None:
    populate(site)
    one = site.form("/destinations/retry", destination="main", sop_instance_uid="1.2.1")
    everything = site.form("/destinations/retry", destination="main")
    assert (one.status_code, everything.status_code) == (303, 303)
    assert [(uid, name) for uid, name, _ in site.studio.retried] == [
        ("1.2.1", "main"),
        ("", "main"),
    ]
    assert site.client.post("/destinations/retry", data={"destination": "main"}).status_code == 403


def test_what_need_not_get_there_is_set_aside_for_a_reason(site: Site) -> None:
    study = populate(site)
    for uid in ("1.2.3", "1.2.4"):
        site.store.add_deliveries([letter(study, uid, "old")])
    path, named = "/destinations/set-aside", {"destination": "old", "sop_instance_uid": "1.2.2"}
    refused = site.form(path, **named, reason=" ")
    assert (refused.status_code, "none was given" in refused.text) == (409, True)
    assert site.client.post(path, data={**named, "reason": "x"}).status_code == 403
    assert site.form(path, **named, reason="the <old> PACS is gone").status_code == 303
    assert "1.2.2" not in site.client.get("/destinations").text
    assert site.store.delivery("1.2.3", "old").state is DeliveryState.GIVEN_UP
    page = site.client.get(f"/studies/{study.study_uid}?revision=1").text
    assert ": the &lt;old&gt; PACS is gone (it was: attempt 12" in page
    assert site.form(path, **named, everything="true", reason="all of it").status_code == 303
    assert [
        site.store.delivery(uid, "old").state for uid in ("1.2.2", "1.2.3", "1.2.4")
    ] == [DeliveryState.SET_ASIDE] * 3  # fmt: skip
    assert site.store.delivery("1.2.1", "main").state is DeliveryState.GIVEN_UP
    assert site.form(path, **named, reason="again").status_code == 409, "nothing to set aside"
    asked = {"destination": "main", "sop_instance_uid": "1.2.1", "reason": "phoned"}
    token = {"X-CSRF-Token": site.csrf()}
    answer = site.client.post("/api/deliveries/set-aside", json=asked, headers=token)
    assert (answer.status_code, answer.json()) == (200, {"set_aside": 1})
    without = site.client.post(
        "/api/deliveries/set-aside", json=asked | {"reason": ""}, headers=token
    )
    assert without.status_code == 422
    told = [e.detail for e in site.store.events_of(study.study_uid) if e.what.endswith("-aside")]
    assert told == [
        "preliminary SR 1.2.2 to old: the <old> PACS is gone",
        "preliminary SR 1.2.3 to old: all of it",
        "preliminary SR 1.2.4 to old: all of it",
        "preliminary SR 1.2.1 to main: phoned",
    ]


@pytest.mark.parametrize(
    ("language", "given_up", "down"),
    [
        ("en", "Results not delivered: 3.", "Destinations not found: main."),
        ("zh", "未送达的结果：3 项。", "无法连接的目的地：main。"),
    ],
)
def test_every_page_says_that_something_does_not_get_there(
    tmp_path: Path, language: str, given_up: str, down: str
) -> None:
    main = DestinationSettings(name="main", ae_title="A", host="h", port=1, circuit_failures=1)
    site = make_site(tmp_path / "site", destinations=[main.model_dump()])
    browser = site.browser(**{"Accept-Language": language})
    assert "trouble" not in browser.get("/").text + browser.get("/worklist").text
    populate(site)
    for path in ("/", "/worklist", "/engine"):
        assert given_up in browser.get(path).text
    Circuit(main, site.store).found_nobody("no association")
    for path in ("/", "/worklist", "/engine"):
        assert f"{given_up} {down}" in browser.get(path).text
    Courier(site.store, (), "PREREAD").set_aside_all("old", "wang", "gone")
    assert given_up not in browser.get("/").text


def test_a_page_is_shown_where_the_database_can_not_be_asked(site: Site) -> None:
    with site.store.engine.begin() as db:
        db.exec_driver_sql("DROP TABLE circuits")
    page = site.client.get("/nowhere")
    assert (page.status_code, "<html" in page.text, "trouble" in page.text) == (404, True, False)


def test_the_same_as_json(site: Site) -> None:
    study = populate(site)
    listed = site.client.get("/api/destinations").json()
    assert [DestinationState.model_validate(each) for each in listed] == list(
        site.studio.destination_states
    )
    (found,) = site.client.get("/api/deliveries/given-up", params={"destination": "main"}).json()
    assert (found["sop_instance_uid"], found["study_uid"]) == ("1.2.1", study.study_uid)
    assert found["patient_name"] == "WANG^FANG=王^芳"
    everywhere = {
        each["destination"] for each in site.client.get("/api/deliveries/given-up").json()
    }
    assert everywhere >= {"main", "old"}
    asked = {"destination": "main"}
    assert site.client.post("/api/deliveries/retry", json=asked).status_code == 403
    answer = site.client.post(
        "/api/deliveries/retry", json=asked, headers={"X-CSRF-Token": site.csrf()}
    )
    assert (answer.status_code, answer.json()) == (202, {"retried": 1})
    assert "deliveries-viewed" in {what for what, _ in site.happened()}


def test_only_people_we_know_see_it(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site", readers=[ZHANG])
    populate(site)
    for path in ("/destinations", "/destinations/state"):
        assert site.client.get(path).headers["location"].startswith("/login")
    for path in ("/api/destinations", "/api/deliveries/given-up"):
        assert site.client.get(path).status_code == 401


def test_nothing_to_show_is_said(site: Site) -> None:
    page = site.client.get("/destinations").text
    assert "No destination is configured" in page
    assert "Nothing was given up on." in page
