"""Who may see and change what on the page, attacks on it, and what the audit trail keeps."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from pacs_bridge.errors import SettingsError
from pacs_bridge.review import serve_in_thread
from pacs_bridge.store import Study, open_store
from tests.network.review_samples import add, fill, receive
from tests.network.review_site import ZHANG, Site, log_in, make_site, page_of


@pytest.fixture
def locked(tmp_path: Path) -> Site:
    """Readers log in."""
    return make_site(tmp_path, readers=[ZHANG])


# who comes in ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/worklist", "/studies/1.2.3", "/studies/1/files/SR?revision=1"]
)
def test_nothing_is_shown_before_log_in(locked: Site, path: str) -> None:
    add(locked.store, 1)
    answer = locked.client.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login?next=%2F")
    assert "ZHANG" not in answer.text


@pytest.mark.parametrize(
    "path",
    ["/api/worklist", "/api/session", "/api/studies/1.2.3", "/studies/1/slices/1.png?revision=1"],
)
def test_scripts_and_pictures_are_told_401(locked: Site, path: str) -> None:
    assert locked.client.get(path).status_code == 401


def test_a_reader_logs_in_signs_in_their_own_name_and_leaves(locked: Site) -> None:
    study = add(locked.store, 1, findings=0)
    answer = log_in(locked, next=page_of(study))
    assert answer.status_code == 303 and answer.headers["location"] == page_of(study)
    page = locked.client.get(page_of(study)).text
    assert "Signed as 张三 · Zhang San, County Hospital" in page and 'name="name"' not in page
    answer = locked.form(f"{page_of(study)}/report", do="sign", name="Li^Si", organization="Other")
    assert answer.status_code == 303
    signature = locked.studio.signed[0][2]
    assert (signature.name, signature.organization) == ("Zhang^San=张^三", "County Hospital")
    assert ("report-signed", "zhang") in locked.happened()
    assert locked.form("/logout").headers["location"] == "/login"
    assert locked.client.get(page_of(study)).status_code == 303


def test_nobody_signs_in_a_name_the_page_did_not_show(locked: Site) -> None:
    study = add(locked.store, 1, findings=0)
    log_in(locked)
    answer = locked.form(f"{page_of(study)}/report", do="sign", signer="li", impression="kept")
    assert answer.status_code == 409 and "somebody else has logged in" in answer.text
    assert ">kept</textarea>" in answer.text and locked.studio.signed == []


def test_a_wrong_password_stays_outside(locked: Site) -> None:
    answer = log_in(locked, "wrong")
    assert answer.status_code == 401 and "Wrong user or password" in answer.text
    assert "wrong" not in re.sub("Wrong user", "", answer.text)  # the password is not shown again
    assert locked.client.get("/").status_code == 303
    assert ("log-in-failed", "zhang") in locked.happened()


def test_guessing_is_slowed_down(locked: Site) -> None:
    limit = locked.client.app.state.room.gate._limit  # type: ignore[attr-defined]
    for _ in range(limit.per_user):
        limit.failed("zhang", "elsewhere")
    answer = log_in(locked)
    assert answer.status_code == 429 and int(answer.headers["retry-after"]) > 0
    assert locked.client.get("/").status_code == 303


def test_a_session_of_another_server_is_nobody(locked: Site, tmp_path: Path) -> None:
    other = make_site(tmp_path / "other", readers=[ZHANG])
    log_in(other)
    assert other.client.get("/").status_code == 200
    stolen = other.client.cookies["preread_session"]
    locked.client.cookies.set("preread_session", stolen)
    assert locked.client.get("/").status_code == 303


def test_the_cookie_is_strict_and_hidden_from_scripts(locked: Site) -> None:
    cookie = log_in(locked).headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "secure" not in cookie


def test_behind_https_the_cookie_is_secure(tmp_path: Path) -> None:
    site = make_site(tmp_path, readers=[ZHANG], review={"url": "https://read.example"})
    browser = TestClient(site.client.app, "https://read.example")
    assert "secure" in browser.get("/login").headers["set-cookie"].lower()


# attacks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["", "wrong"])
@pytest.mark.parametrize(
    "path", ["/studies/{uid}/findings/{uid}.9.1", "/studies/{uid}/report", "/language", "/logout",
             "/studies/{uid}/retry", "/login"],
)  # fmt: skip
def test_a_form_without_the_token_changes_nothing(site: Site, path: str, token: str) -> None:
    study = add(site.store, 1)
    site.client.get("/")
    before = site.happened()
    data = {"csrf": token, "revision": 1, "verdict": "accepted", "do": "save", "impression": "x",
            "language": "zh", "sop_instance_uid": "1", "destination": "d"}  # fmt: skip
    answer = site.client.post(path.format(uid=study.study_uid), data=data)
    assert answer.status_code == 403
    assert site.happened() == before


def test_json_without_the_token_changes_nothing(site: Site) -> None:
    study = add(site.store, 1)
    site.csrf()
    path = f"/api{page_of(study)}/revisions/1/impression"
    assert site.client.put(path, json={"text": "x"}).status_code == 403
    wrong = {"X-CSRF-Token": "y"}
    assert site.client.put(path, json={"text": "x"}, headers=wrong).status_code == 403
    report = site.store.reading(study.study_uid).report
    assert report is not None and report.impression == ""


@pytest.mark.parametrize(
    ("host", "status"),
    [("evil.example", 421), ("evil.example:8088", 421), ("", 421), ("127.0.0.1.evil.example", 421),
     ("localhost:8088", 200), ("[::1]:8088", 200), ("127.0.0.1", 200), ("LOCALHOST", 200)],
)  # fmt: skip
def test_a_foreign_host_name_is_refused_on_loopback(site: Site, host: str, status: int) -> None:
    assert site.client.get("/", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    "path", ["/", "/login", "/static/study.js", "/api/worklist", "/nothing", "/healthz"]
)
def test_every_answer_carries_the_headers(site: Site, path: str) -> None:
    headers = site.client.get(path, follow_redirects=False).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"


def test_no_page_needs_what_the_policy_forbids(site: Site) -> None:
    for study in fill(site.store).values():
        page = site.client.get(page_of(study)).text
        assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:", page)
        assert not re.search(r"<script(?![^>]*(src=\"/static/|application/json))", page)
        assert not re.search(r"(src|href|action)=\"(https?:)?//", page)


def test_a_huge_body_is_refused(site: Site) -> None:
    add(site.store, 1)
    token = site.csrf()
    path = f"{page_of(receive_one(site))}/report"
    data = {"csrf": token, "revision": 1, "do": "save", "impression": "x" * 600_000}
    assert site.client.post(path, data=data).status_code == 413
    long = data | {"impression": "x" * 30_000}
    assert site.client.post(path, data=long).status_code == 422


def receive_one(site: Site) -> Study:
    study = Study(study_uid="1.2.840.7", patient_name="X")
    receive(site.store, study)
    return study


# the audit trail -------------------------------------------------------------------------


def test_looks_at_patient_data_are_recorded_pictures_once_a_while(site: Site) -> None:
    study = add(site.store, 1)
    for _ in range(2):
        site.client.get(page_of(study))
        site.client.get("/worklist")
        for k in range(5):
            site.client.get(f"{page_of(study)}/slices/{k}.png?revision=1")
    whats = [what for what, _ in site.happened()]
    assert whats.count("study-viewed") == 2
    assert whats.count("images-viewed") == 1
    assert whats.count("worklist-viewed") == 1
    assert "Study viewed" in site.client.get(page_of(study)).text


# running ---------------------------------------------------------------------------------


def test_no_readers_on_an_open_address_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="hash-password"):
        make_site(tmp_path, review={"host": "0.0.0.0"})


def test_it_is_served_and_stopped(site: Site) -> None:
    server = serve_in_thread(site.client.app, "127.0.0.1", 0)  # type: ignore[arg-type]
    try:
        assert httpx.get(f"{server.url}/healthz").json() == {"status": "ok"}
        with pytest.raises(SettingsError, match="can't be bound"):
            serve_in_thread(site.client.app, "127.0.0.1", server.port)  # type: ignore[arg-type]
    finally:
        server.stop()
    assert not server.running
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/healthz")


def test_health_says_when_the_database_is_gone(site: Site) -> None:
    assert site.client.get("/healthz").status_code == 200
    site.store.engine.dispose()
    object.__setattr__(site.store, "engine", open_store("sqlite://").engine)
    broken = site.store.engine
    broken.dialect.do_execute = _fail  # type: ignore[method-assign]
    assert site.client.get("/healthz").status_code == 503


def _fail(*_: object, **__: object) -> None:
    from sqlite3 import OperationalError

    raise OperationalError("disk I/O error")
