"""`preread pull` as an administrator runs it, against an archive of this process and Orthanc."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pacs_bridge.cli import main
from pacs_bridge.inbox import Inbox
from pacs_bridge.pull.ledger import PullLedger
from pacs_bridge.pull.puller import Puller
from pacs_bridge.pull.values import PullState
from pacs_bridge.settings import load_settings
from pacs_bridge.store import open_store
from tests.network.orthanc import Orthanc, free_port
from tests.network.pulling import SLICES, day, series, uid_of
from tests.network.small_archive import SmallArchive, small_archive


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[SmallArchive]:
    with small_archive(SmallArchive([])) as archive:
        archive.add(series(tmp_path / "there", "chest"))
        archive.add(series(tmp_path / "there", "head", StudyDescription="CT head"))
        archive.add(series(tmp_path / "there", "old", StudyDate=day(9)))
        yield archive


def config_of(folder: Path, archive: SmallArchive | None, *, port: int = 0, first: str = "") -> str:
    path = folder / "preread.toml"
    text = f'[storage]\nfolder = "{folder / "data"}"\nminimum_free_gb = 0\n'
    text += f'[listener]\nhost = "127.0.0.1"\nport = {port or free_port()}\n'
    text += first
    if archive is not None:
        assert archive.settings is not None
        where = f'ae_title = "ARCHIVE", host = "127.0.0.1", port = {archive.settings.port}'
        text += f'[[pull]]\nname = "chest"\nmethod = "c-get"\nsource = {{ {where} }}\n'
        text += 'study_descriptions = ["*chest*"]\n'
        text += f'[priors]\nmethod = "c-get"\n[assembly]\nsource = {{ {where} }}\n'
    path.write_text(text, encoding="utf-8")
    return str(path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["pull", *arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def held(folder: Path) -> dict[str, int]:
    store = open_store(f"sqlite:///{folder / 'data' / 'preread.sqlite'}")
    found = {n: len(store.instances_of(uid_of(n))) for n in ("chest", "head", "old", "one")}
    store.engine.dispose()
    return {name: count for name, count in found.items() if count}


def test_the_rules_of_the_settings(
    tmp_path: Path, archive: SmallArchive, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").mkdir()
    config = config_of(tmp_path, archive)
    status, text, _ = run(capsys, "--config", config, "--dry-run")
    assert status == 0
    assert "to be fetched" in text and "StudyDescription = 'CT head'" in text
    assert "3 studies found, 1 of them wanted and not here" in text
    assert held(tmp_path) == {}
    assert run(capsys, "--config", config, "--rule", "chest")[0] == 0
    assert held(tmp_path) == {"chest": SLICES}
    status, text, _ = run(capsys, "--config", config)
    assert "all that is wanted of it is here" in text
    assert archive.asked.count("get SERIES") == 1


def test_a_query_asks_the_archive_of_the_settings(
    tmp_path: Path, archive: SmallArchive, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_of(tmp_path, archive)
    query = ("--query", "StudyDate=today", "--query", "StudyDescription=*head")
    status, text, _ = run(capsys, "--config", config, *query, "--json")
    assert status == 0
    rows = {row["study_uid"]: row for row in json.loads(text)}
    assert rows[uid_of("head")]["state"] == "fetched"
    assert rows[uid_of("head")]["detail"] == f"{SLICES} images"
    assert rows[uid_of("old")]["state"] == "left out"
    assert held(tmp_path) == {"head": SLICES}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no [[pull]] in the settings"),
        (("--rule", "x"), "no rule is called x; there are: none"),
        (("--rule", "x", "--thickest", "3"), "--thickest goes with a --query alone"),
        (("--from", "A@b:1"), "--from goes with a --query alone"),
        (("--query", "PatientID=1"), "no archive to ask"),
        (("--query", "PatientID=*"), "names nothing that has to match"),
        (("--query", "Patient=1", "--from", "A@b:1"), "write Keyword=value"),
        (("--query", "PatientID=1", "--from", "A-b"), "write AE@HOST:PORT"),
        (("--query", "PatientID=1", "--url", "ftp://x"), "no http:// or https://"),
    ],
)
def test_what_can_t_be_asked_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    status, _, told = run(capsys, "--config", config_of(tmp_path, None), *arguments)
    assert status == 2
    assert said in told


def test_an_archive_that_is_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = f"PACS@127.0.0.1:{free_port()}"
    config = config_of(tmp_path, None)
    status, _, told = run(capsys, "--config", config, "--from", there, "--query", "PatientID=1")
    assert status == 2
    assert "Check that it runs" in told


def test_a_query_beside_a_rule_leaves_alone_what_the_rule_waits_for(
    tmp_path: Path, archive: SmallArchive, capsys: pytest.CaptureFixture[str]
) -> None:
    archive.add(series(tmp_path / "there", "one", PatientID="X1"))
    (tmp_path / "data").mkdir()
    config = config_of(tmp_path, archive)
    settings = load_settings(Path(config))
    store = open_store(settings.storage.database_url)
    inbox = Inbox(tmp_path / "data" / "inbox", store, minimum_free_gb=0)
    (settled,) = (rule.model_copy(update={"settle_minutes": 0}) for rule in settings.pull)
    Puller(settled, settings, inbox).find(study_uid=uid_of("chest"))
    status, text, _ = run(capsys, "--config", config, "--rule", "chest", "--query", "PatientID=X1")
    assert status == 0
    assert "chest, by hand:" in text
    assert held(tmp_path) == {"one": SLICES}
    pull = PullLedger(store).of(uid_of("chest"))
    assert pull is not None
    assert (pull.state, pull.attempts) == (PullState.WAITING, 0)
    assert run(capsys, "--config", config)[0] == 0
    assert held(tmp_path) == {"one": SLICES, "chest": SLICES}
    store.engine.dispose()


def test_one_archive_that_is_away_does_not_keep_the_others_from_being_asked(
    tmp_path: Path, archive: SmallArchive, capsys: pytest.CaptureFixture[str]
) -> None:
    away = '[[pull]]\nname = "a"\nmethod = "c-get"\nsource = { ae_title = "A", host = "127.0.0.1", '
    config = config_of(tmp_path, archive, first=away + f"port = {free_port()} }}\n")
    status, text, told = run(capsys, "--config", config)
    assert status == 1
    assert "rule a: A at 127.0.0.1" in told and "Check that it runs" in told
    assert held(tmp_path) == {"chest": SLICES}
    assert run(capsys, "--config", config, "--rule", "a")[0] == 2


def test_c_move_needs_somebody_who_takes_what_comes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Our port can't be had, and no server of ours is there: the command says so."""
    config = config_of(tmp_path, None)
    text = Path(config).read_text().replace('host = "127.0.0.1"', 'host = "192.0.2.1"')
    Path(config).write_text(text)
    query = ("--from", "A@127.0.0.1:104", "--method", "c-move", "--query", "PatientID=1")
    status, _, told = run(capsys, "--config", config, *query)
    assert status == 2
    assert "can't listen on 192.0.2.1" in told


def test_c_move_to_ourselves_without_a_server(
    tmp_path: Path, orthanc: Orthanc, preread_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody listens: the command does, for as long as it fetches."""
    for path in series(tmp_path, "chest"):
        orthanc.upload(path)
    config = config_of(tmp_path, None, port=preread_port)
    there = f"ORTHANC@127.0.0.1:{orthanc.dicom_port}"
    query = ("--query", "PatientID=S1", "--thickest", "3")
    status, text, _ = run(capsys, "--config", config, "--from", there, *query)
    assert status == 0, text
    assert "fetched" in text and f"{SLICES} images" in text
    assert held(tmp_path) == {"chest": SLICES}
