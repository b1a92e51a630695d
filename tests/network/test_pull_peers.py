"""Pulling from archives with habits of their own: dcmqrscp of DCMTK, and some of pynetdicom."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pacs_bridge.pull.values import PullState
from pacs_bridge.settings import PullSettings
from tests.network.conftest import dcmtk
from tests.network.orthanc import free_port
from tests.network.pulling import SLICES, PullSite, pull_site, series, series_uid_of, uid_of
from tests.network.small_archive import SmallArchive, small_archive

THIN, THICK = series_uid_of("chest", "thin"), series_uid_of("chest", "thick")


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def site(tmp_path: Path, port: int) -> Iterator[PullSite]:
    with pull_site(tmp_path, port) as site:
        yield site


def rule(source: Any, method: str = "c-get", **values: Any) -> PullSettings:
    given = {"name": "r", "source": source, "method": method, "settle_minutes": 0}
    return PullSettings.model_validate(given | values)


@contextmanager
def dcmqrscp(folder: Path, preread_port: int) -> Iterator[dict[str, Any]]:
    """DCMTK's archive, knowing us as PREREAD."""
    elsewhere = [each for each in os.get_exec_path() if Path(each) != Path(sys.executable).parent]
    program = shutil.which("dcmqrscp", path=os.pathsep.join(elsewhere))
    if program is None:
        pytest.skip("no dcmqrscp here: apt-get install dcmtk")
    port = free_port()
    (folder / "db").mkdir()
    (folder / "dcmqrscp.cfg").write_text(
        f"""
NetworkTCPPort = {port}
MaxPDUSize = 16384
MaxAssociations = 16
HostTable BEGIN
preread = (PREREAD, 127.0.0.1, {preread_port})
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
DCMTK {folder / "db"} RW (200, 1024mb) ANY
AETable END
"""
    )
    with (folder / "dcmqrscp.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "-c", str(folder / "dcmqrscp.cfg")],
            stdout=log, stderr=log, env=os.environ | {"TCP_NODELAY": "1"},
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, (folder / "dcmqrscp.log").read_text()
                time.sleep(0.05)
        yield {"ae_title": "DCMTK", "host": "127.0.0.1", "port": port}
    finally:
        process.kill()
        process.wait()


def test_dcmqrscp_by_c_move_and_c_get(tmp_path: Path, site: PullSite, port: int) -> None:
    """It tells no SliceThickness: over C-GET an image is looked at, over C-MOVE none can be."""
    files = series(tmp_path, "chest")
    thick = series(tmp_path, "chest", "thick", 8, SliceThickness="7.5")
    with dcmqrscp(tmp_path, port) as source:
        for folder in (files[0].parent, thick[0].parent):
            sent = dcmtk("storescu", "-aec", "DCMTK", "127.0.0.1", str(source["port"]), "+sd",
                         str(folder))  # fmt: skip
            assert sent.returncode == 0, sent.stderr
        site.inbox.import_file(files[3], "CT1")
        by_get = rule(source, thickest_mm=3)
        assert site.pull(by_get, by_hand=True)[uid_of("chest")] == ""
        assert site.held("chest") == {THIN: SLICES}
        assert len(site.arrived) == SLICES - 1
        by_move = rule(source, "c-move", thickest_mm=3, thickness_unknown="skip", name="move")
        (found,) = site.puller(by_move).find(dry=True, by_hand=True)
        assert [why for _, why in found.left_out] == ["SliceThickness is not known"]
        site.pull(rule(source, "c-move", name="all"), by_hand=True)
        assert site.held("chest") == {THIN: SLICES, THICK: 8}
        assert len(site.arrived) == SLICES - 1 + 8, "the thin one was here"


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[SmallArchive]:
    with small_archive(SmallArchive([])) as archive:
        archive.add(series(tmp_path / "there", "chest"))
        archive.add(series(tmp_path / "there", "chest", "thick", 8, SliceThickness="7.5"))
        yield archive


def test_an_archive_that_counts_nothing(site: PullSite, archive: SmallArchive) -> None:
    archive.counts = False
    site.pull(rule(archive.settings, thickest_mm=3))
    assert site.held("chest") == {THIN: SLICES}
    assert site.pull(rule(archive.settings, thickest_mm=3), by_hand=True) == {
        uid_of("chest"): "all that is wanted of it is here"
    }


def test_an_archive_without_image_level(
    site: PullSite, archive: SmallArchive, tmp_path: Path
) -> None:
    """Then the whole series comes, once."""
    archive.image_level = False
    site.inbox.import_file(series(tmp_path, "chest")[0], "CT1")
    wanted = rule(archive.settings, thickest_mm=3)  # which it can't be known of
    site.pull(wanted, by_hand=True)
    assert site.held("chest") == {THIN: SLICES, THICK: 8}
    assert archive.asked.count("get SERIES") == 2
    assert site.pull(wanted)[uid_of("chest")] == "it was fetched already"


def test_an_archive_that_matches_nothing_but_uids(
    site: PullSite, archive: SmallArchive, tmp_path: Path
) -> None:
    """What it sends back too much is sorted out here, without asking for a single image."""
    archive.add(series(tmp_path / "there", "head", StudyDescription="CT head"))
    archive.add(series(tmp_path / "there", "old", StudyDate="20200101"))
    archive.add(series(tmp_path / "there", "mr", Modality="MR", PatientID="X9"))
    archive.asked.clear()
    wanted = rule(archive.settings, study_descriptions=["*chest*"], query=["PatientID=S1"])
    looked = site.pull(wanted)
    assert looked[uid_of("chest")] == ""
    assert looked[uid_of("head")] == "StudyDescription = 'CT head'"
    assert looked[uid_of("old")] == "StudyDate = 20200101"
    assert looked[uid_of("mr")] == "PatientID = X9"
    assert archive.asked == ["find STUDY", "find SERIES", "get SERIES", "get SERIES"]


def test_an_archive_that_loses_images_is_not_believed(
    site: PullSite, archive: SmallArchive
) -> None:
    archive.lose = 2
    wanted = rule(archive.settings, first_wait_s=0.01, attempts=2)
    site.pull(wanted)
    time.sleep(0.02)
    assert site.puller(wanted).bring() == 1
    pull = site.ledger.of(uid_of("chest"))
    assert pull is not None
    assert (pull.state, pull.attempts) == (PullState.GIVEN_UP, 2)
    assert "said that it sent all, and 4 of" in pull.last_error
    assert [e.what for e in site.store.events_of(uid_of("chest"))] == [
        "pull-failed", "pull-given-up"
    ]  # fmt: skip
    assert site.pull(wanted)[uid_of("chest")].startswith("it was given up on")
    archive.lose = 0
    archive.asked.clear()
    assert site.pull(wanted, by_hand=True)[uid_of("chest")] == ""
    assert site.held("chest") == {THIN: SLICES, THICK: 8}
    assert archive.asked.count("get IMAGE") == 2, "only what was missing of each"


def test_a_chinese_query_and_answer(site: PullSite, archive: SmallArchive, tmp_path: Path) -> None:
    archive.add(series(tmp_path / "there", "胸部", StudyDescription="胸部平扫",
                       SpecificCharacterSet="GB18030"))  # fmt: skip
    found = site.puller(rule(archive.settings, study_descriptions=["*胸*"])).find(dry=True)
    assert [f.study.description for f in found if not f.why_not] == ["胸部平扫"]
