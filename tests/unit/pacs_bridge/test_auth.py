"""Passwords, the session key, who may come in, and how often they may guess."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest

from pacs_bridge import auth
from pacs_bridge.auth import (
    FailureLimit,
    Gate,
    LogInRefused,
    TooManyTries,
    hash_password,
    is_loopback,
    session_key,
    verify_password,
)
from pacs_bridge.errors import SettingsError
from pacs_bridge.settings import ReaderSettings, Settings
from pacs_bridge.store import Store, open_store

HASH = hash_password("right")
ZHANG = ReaderSettings(
    user="zhang", name="Zhang^San", organization="County Hospital", password_hash=HASH
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"sqlite:///{tmp_path / 'preread.sqlite'}")


def settings(readers: tuple[ReaderSettings, ...] = (), host: str = "127.0.0.1", url: str = ""):
    return Settings.model_validate(
        {"readers": [r.model_dump() for r in readers], "review": {"host": host, "url": url}}
    )


def happened(store: Store) -> list[str]:
    from sqlalchemy import select

    from pacs_bridge.tables import events

    with store.engine.connect() as db:
        return list(db.execute(select(events.c.what).order_by(events.c.id)).scalars())


def test_a_password_matches_its_own_hash_only():
    assert verify_password("right", HASH)
    assert not verify_password("wrong", HASH)
    assert not verify_password("", HASH)
    assert verify_password("张三的密码", hash_password("张三的密码"))


def test_the_same_password_never_gives_the_same_hash():
    assert hash_password("right") != HASH
    assert "right" not in HASH


def test_an_empty_password_is_refused():
    with pytest.raises(ValueError, match="empty"):
        hash_password("")


@pytest.mark.parametrize(
    "damaged",
    ["", "right", "scrypt$15$8$3$00", "md5$15$8$3$aa$bb", HASH[:-2], HASH.replace("$15$", "$40$")],
)
def test_a_damaged_hash_is_an_error_of_the_settings(damaged: str, store: Store):
    with pytest.raises(SettingsError, match="preread hash-password"):
        verify_password("right", damaged)
    reader = ZHANG.model_copy(update={"password_hash": damaged})
    with pytest.raises(SettingsError, match="preread hash-password"):
        Gate(settings((reader,)), store)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True), ("127.8.8.8", True), ("localhost", True), ("::1", True),
        ("[::1]", True), ("0.0.0.0", False), ("10.0.0.7", False), ("pacs.example", False),
        ("localhost.evil.example", False), ("", False),
    ],
)  # fmt: skip
def test_loopback(host: str, expected: bool):
    assert is_loopback(host) is expected


def test_nobody_logs_in_on_loopback_without_readers(store: Store):
    gate = Gate(settings(), store)
    person = gate.person({}, "127.0.0.1")
    assert not gate.login_needed
    assert person is not None and person.reader is None and "127.0.0.1" in person.who


@pytest.mark.parametrize(
    ("host", "url"), [("0.0.0.0", ""), ("10.0.0.7", ""), ("127.0.0.1", "https://read.example/")]
)
def test_no_readers_where_others_reach_the_page_is_refused(host: str, url: str, store: Store):
    with pytest.raises(SettingsError, match=r"preread hash-password.*\[\[readers\]\]"):
        Gate(settings(host=host, url=url), store)
    assert Gate(settings((ZHANG,), host, url), store).login_needed


def test_two_readers_of_one_name_are_refused(store: Store):
    with pytest.raises(SettingsError, match="unique"):
        Gate(settings((ZHANG, ZHANG)), store)


def test_a_reader_logs_in_and_is_known_by_the_session(store: Store):
    gate = Gate(settings((ZHANG,)), store)
    session = gate.log_in("zhang", "right", "10.0.0.9")
    person = gate.person(session, "10.0.0.9")
    assert person is not None and person.reader == ZHANG and person.who == "zhang"
    assert happened(store) == ["logged-in"]
    gate.log_out(session, "10.0.0.9")
    assert happened(store) == ["logged-in", "logged-out"]


@pytest.mark.parametrize("wrong", [("zhang", "wrong"), ("li", "right"), ("", ""), ("Zhang", "")])
def test_wrong_user_or_password_is_refused_and_recorded(wrong: tuple[str, str], store: Store):
    gate = Gate(settings((ZHANG,)), store)
    with pytest.raises(LogInRefused) as refusal:
        gate.log_in(*wrong, "10.0.0.9")
    assert not isinstance(refusal.value, TooManyTries)
    assert happened(store) == ["log-in-failed"]


def test_a_session_without_log_in_is_nobody(store: Store):
    gate = Gate(settings((ZHANG,)), store)
    good = gate.log_in("zhang", "right", "a")
    others = (good | {"of": "0"}, good | {"user": "li"}, good | {"at": ""})
    for bad in ({}, {"user": "zhang"}, *others):
        assert gate.person(bad, "a") is None


def test_a_session_ends(store: Store):
    gate = Gate(settings((ZHANG,)), store)
    session = gate.log_in("zhang", "right", "a")
    assert gate.person(session | {"at": time.time() - auth.SESSION_S + 5}, "a")
    assert gate.person(session | {"at": time.time() - auth.SESSION_S - 5}, "a") is None


def test_a_changed_password_ends_its_sessions(store: Store):
    session = Gate(settings((ZHANG,)), store).log_in("zhang", "right", "a")
    changed = ZHANG.model_copy(update={"password_hash": hash_password("new")})
    assert Gate(settings((changed,)), store).person(session, "a") is None


def test_guessing_is_stopped_even_with_the_right_password(store: Store):
    gate = Gate(settings((ZHANG,)), store, FailureLimit(per_user=2))
    for _ in range(2):
        with pytest.raises(LogInRefused):
            gate.log_in("zhang", "wrong", "a")
    with pytest.raises(TooManyTries) as refusal:
        gate.log_in("zhang", "right", "another address")
    assert 0 < refusal.value.wait_s <= 900
    assert happened(store)[-1] == "log-in-refused"


def test_many_names_from_one_address_are_stopped():
    limit = FailureLimit(per_address=3)
    for name in ("a", "b", "c"):
        assert limit.wait_s(name, "10.0.0.9") == 0
        limit.failed(name, "10.0.0.9")
    assert limit.wait_s("d", "10.0.0.9") > 0
    assert limit.wait_s("d", "10.0.0.10") == 0


def test_failures_are_forgotten_after_the_window_and_after_a_success():
    limit = FailureLimit(per_user=1, window_s=0.05)
    limit.failed("zhang", "a")
    assert limit.wait_s("zhang", "b") > 0
    time.sleep(0.06)
    assert limit.wait_s("zhang", "b") == 0
    limit = FailureLimit(per_user=1)
    limit.failed("zhang", "a")
    limit.succeeded("zhang")
    assert limit.wait_s("zhang", "b") == 0


def test_the_session_key_is_kept_for_its_owner_only(tmp_path: Path):
    key = session_key(tmp_path / "data")
    path = tmp_path / "data" / "session.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert session_key(tmp_path / "data") == key
    assert list((tmp_path / "data").iterdir()) == [path]


def test_a_key_that_others_could_read_is_made_anew(tmp_path: Path):
    key = session_key(tmp_path)
    (tmp_path / "session.key").chmod(0o644)
    assert session_key(tmp_path) != key
    assert stat.S_IMODE((tmp_path / "session.key").stat().st_mode) == 0o600


def test_a_damaged_key_is_made_anew(tmp_path: Path):
    path = tmp_path / "session.key"
    path.write_text("")
    path.chmod(0o600)
    assert len(session_key(tmp_path)) >= 43


def test_a_folder_that_cannot_be_written_is_an_error_of_the_settings(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"storage\.folder"):
        session_key(tmp_path / "file" / "data")
