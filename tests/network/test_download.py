"""Downloads over a real HTTP server that breaks, lies, forgets and dawdles."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import threading
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from pacs_bridge.errors import DownloadFailed, DownloadWrong
from pacs_bridge.library.download import Digest, Patience, fetch, is_address
from tests.network.fileserver import FileServer, file_server
from tests.network.orthanc import free_port

CONTENT = random.Random(4).randbytes(900_000)
OTHER = random.Random(5).randbytes(900_000)
SHA1 = Digest("sha1", hashlib.sha1(CONTENT).hexdigest())
QUICK = Patience(attempts=3, first_wait_s=0.01, longest_wait_s=0.05, silence_s=5)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as running:
        running.files["/bundle.zip"] = CONTENT
        yield running


def get(server: FileServer, folder: Path, digest: Digest | None = SHA1) -> Path:
    return fetch(f"{server.url}/bundle.zip", folder / "bundle.zip", digest=digest, patience=QUICK)


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_file_comes_whole_with_progress(server: FileServer, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    target = tmp_path / "new" / "bundle.zip"
    fetch(
        f"{server.url}/bundle.zip", target, digest=SHA1,
        progress=lambda here, whole: seen.append((here, whole)),
    )  # fmt: skip
    assert target.read_bytes() == CONTENT
    assert left_in(target.parent) == {"bundle.zip"}
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [here for here, _ in seen] == sorted(here for here, _ in seen)


def test_a_line_that_breaks_is_gone_on_with(server: FileServer, tmp_path: Path) -> None:
    server.break_after = [300_000, 200_000]
    assert get(server, tmp_path).read_bytes() == CONTENT
    asked = [headers.get("range") for _, headers in server.requests]
    assert asked == [None, "bytes=300000-", "bytes=500000-"]
    assert all("if-range" in headers for _, headers in server.requests[1:])


def test_a_later_run_goes_on_where_the_earlier_gave_up(server: FileServer, tmp_path: Path) -> None:
    server.break_after = [400_000, 0, 0, 0]
    with pytest.raises(DownloadFailed, match=r"400000 bytes are kept.*same command again.*--from"):
        get(server, tmp_path)
    assert left_in(tmp_path) == {"bundle.zip.part", "bundle.zip.part.json"}
    server.break_after, server.requests = [], []
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert server.requests[0][1]["range"] == "bytes=400000-"
    assert left_in(tmp_path) == {"bundle.zip"}


def test_a_broken_line_is_given_up_on_only_when_nothing_more_comes(
    server: FileServer, tmp_path: Path
) -> None:
    server.break_after = [100_000] * 8
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == 9 > QUICK.attempts


def test_a_server_without_ranges_begins_again(server: FileServer, tmp_path: Path) -> None:
    server.ranges = False
    server.break_after = [500_000]
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_a_file_that_changed_meanwhile_is_not_mixed(server: FileServer, tmp_path: Path) -> None:
    server.break_after = [500_000, 0, 0, 0]
    with pytest.raises(DownloadFailed):
        get(server, tmp_path, None)
    server.break_after = []
    server.files["/bundle.zip"] = OTHER
    assert get(server, tmp_path, None).read_bytes() == OTHER


@pytest.mark.parametrize("tag", ["", 'W/"weak"'])
def test_without_a_mark_of_the_version_a_hash_decides(
    server: FileServer, tmp_path: Path, tag: str
) -> None:
    server.tag = tag
    server.break_after = [500_000, 0, 0, 0]
    with pytest.raises(DownloadFailed):
        get(server, tmp_path)
    server.break_after = []
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert server.requests[-1][1]["range"] == "bytes=500000-"
    # Another version in the meantime: the mixture is noticed, and the file comes once more.
    (tmp_path / "bundle.zip.part").write_bytes(OTHER[:500_000])
    note = {"url": f"{server.url}/bundle.zip", "mark": ""}
    (tmp_path / "bundle.zip.part.json").write_text(json.dumps(note))
    assert get(server, tmp_path).read_bytes() == CONTENT
    # Without a hash nothing would notice: no going on then.
    server.requests.clear()
    (tmp_path / "bundle.zip.part").write_bytes(OTHER[:500_000])
    (tmp_path / "bundle.zip.part.json").write_text(json.dumps(note))
    assert get(server, tmp_path, None).read_bytes() == CONTENT
    assert "range" not in server.requests[0][1]


def test_what_another_address_left_is_not_gone_on_with(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "bundle.zip.part").write_bytes(OTHER[:500_000])
    note = {"url": "http://elsewhere.example/bundle.zip", "mark": '"x"'}
    (tmp_path / "bundle.zip.part.json").write_text(json.dumps(note))
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert "range" not in server.requests[0][1]


@pytest.mark.parametrize("note", ["", "{", "[]", None])
def test_a_damaged_note_only_costs_the_time(
    server: FileServer, tmp_path: Path, note: str | None
) -> None:
    (tmp_path / "bundle.zip.part").write_bytes(CONTENT[:500_000])
    if note is not None:
        (tmp_path / "bundle.zip.part.json").write_text(note)
    assert get(server, tmp_path).read_bytes() == CONTENT


def test_a_part_that_is_whole_already_is_taken(server: FileServer, tmp_path: Path) -> None:
    """The run before was ended between the last byte and the renaming."""
    note = {"url": f"{server.url}/bundle.zip", "mark": ""}
    (tmp_path / "bundle.zip.part").write_bytes(CONTENT)
    (tmp_path / "bundle.zip.part.json").write_text(json.dumps(note))
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == 1
    (tmp_path / "bundle.zip.part").write_bytes(CONTENT + b"more")
    (tmp_path / "bundle.zip.part.json").write_text(json.dumps(note))
    assert get(server, tmp_path).read_bytes() == CONTENT


def test_the_wrong_hash_is_refused_and_nothing_kept(server: FileServer, tmp_path: Path) -> None:
    server.files["/bundle.zip"] = OTHER
    with pytest.raises(DownloadWrong, match="sha1 is .* was promised.*--from") as caught:
        get(server, tmp_path)
    assert SHA1.value in str(caught.value)
    assert hashlib.sha1(OTHER).hexdigest() in str(caught.value)
    assert left_in(tmp_path) == set()
    assert len(server.requests) == 1, "a whole file that is wrong stays wrong"


@pytest.mark.parametrize(
    ("status", "said"), [(404, "check the address"), (403, "for access"), (410, "--from")]
)
def test_a_refusal_is_final(server: FileServer, tmp_path: Path, status: int, said: str) -> None:
    server.status = [status]
    with pytest.raises(DownloadFailed, match=f"HTTP {status} .*{said}"):
        get(server, tmp_path)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_busy_server_is_asked_again(server: FileServer, tmp_path: Path, status: int) -> None:
    server.status = [status, status]
    server.headers = {"Retry-After": "0"}
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == 3


def test_a_redirect_is_followed_with_the_range(server: FileServer, tmp_path: Path) -> None:
    server.files["/store/1"] = CONTENT
    server.redirects["/bundle.zip"] = f"{server.url}/store/1"
    server.break_after = [500_000]
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert server.requests[-1][0] == "/store/1"
    assert server.requests[-1][1]["range"] == "bytes=500000-"


def test_a_slow_server_is_waited_for(server: FileServer, tmp_path: Path) -> None:
    server.pause_s = 0.02
    patience = Patience(attempts=1, silence_s=1)
    got = fetch(f"{server.url}/bundle.zip", tmp_path / "slow", digest=SHA1, patience=patience)
    assert got.read_bytes() == CONTENT


def test_a_silent_server_is_not(server: FileServer, tmp_path: Path) -> None:
    server.pause_s = 30
    server.ranges = False
    patience = Patience(attempts=2, first_wait_s=0.01, silence_s=0.3)
    with pytest.raises(DownloadFailed, match="timed out"):
        fetch(f"{server.url}/bundle.zip", tmp_path / "x", digest=SHA1, patience=patience)


def test_no_length_is_no_hindrance(server: FileServer, tmp_path: Path) -> None:
    server.length = False
    assert get(server, tmp_path).read_bytes() == CONTENT


def test_nobody_there_is_said_with_the_address(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/bundle.zip"
    with pytest.raises(DownloadFailed, match="refused.*tried 3 times") as caught:
        fetch(url, tmp_path / "x", patience=QUICK)
    assert url in str(caught.value)
    assert caught.value.retryable


def test_a_full_disk_is_noticed_before_it_is_full(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2**30, 2**30 - 1, 600_000))
    with pytest.raises(DownloadFailed, match=r"GB free.*make room.*models\.folder"):
        get(server, tmp_path)
    assert len(server.requests) == 1


def test_an_interrupted_download_keeps_what_came(server: FileServer, tmp_path: Path) -> None:
    def stop(here: int, whole: int | None) -> None:
        if here > 300_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(f"{server.url}/bundle.zip", tmp_path / "bundle.zip", digest=SHA1, progress=stop)
    kept = (tmp_path / "bundle.zip.part").stat().st_size
    assert kept > 300_000
    assert get(server, tmp_path).read_bytes() == CONTENT
    assert server.requests[-1][1]["range"] == f"bytes={kept}-"


def test_only_http_is_an_address(tmp_path: Path) -> None:
    assert is_address("https://a.example/b.zip")
    assert not is_address("/a/b.zip")
    assert not is_address("C:\\models\\b.zip")
    with pytest.raises(DownloadFailed, match="http://"):
        fetch(f"file://{tmp_path}/x", tmp_path / "y")


def test_downloads_at_the_same_time_do_not_disturb_one_another(
    server: FileServer, tmp_path: Path
) -> None:
    server.files["/other.zip"] = OTHER
    wanted = {"bundle.zip": CONTENT, "other.zip": OTHER}
    threads = [
        threading.Thread(target=fetch, args=(f"{server.url}/{name}", tmp_path / name))
        for name in wanted
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert {name: (tmp_path / name).read_bytes() for name in wanted} == wanted
