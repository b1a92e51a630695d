"""Pulling from archives with habits of their own: dcmqrscp of DCMTK, and some of pynetdicom."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pacs_bridge.errors import PeerRefused, PeerUnreachable, SettingsError
from pacs_bridge.inbox import Inbox
from pacs_bridge.late import CAPTURES
from pacs_bridge.pull.pace import Pace
from pacs_bridge.pull.values import Found, PullState
from pacs_bridge.settings import PullSettings
from tests.network.certificates import make_authority, make_certificate
from tests.network.dcmqrscp import dcmqrscp, send
from tests.network.orthanc import free_port
from tests.network.pulling import SLICES, PullSite, pull_site, series, series_uid_of, uid_of
from tests.network.small_archive import SmallArchive, small_archive
from tests.network.webstore import web_server

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


def test_dcmqrscp_by_c_move_and_c_get(tmp_path: Path, site: PullSite, port: int) -> None:
    """It tells no SliceThickness: over C-GET an image is looked at, over C-MOVE none can be."""
    files = series(tmp_path, "chest")
    thick = series(tmp_path, "chest", "thick", 8, SliceThickness="7.5")
    with dcmqrscp(tmp_path, port) as source:
        send(source, files[0].parent, thick[0].parent)
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


def test_over_dicomweb_only_with_our_certificate_where_one_is_wanted(
    site: PullSite, tmp_path: Path
) -> None:
    authority = make_authority(tmp_path)
    theirs = make_certificate(tmp_path, "server", authority)
    ours = make_certificate(tmp_path, "preread", authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(theirs.certificate, theirs.key)
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    trusting = {"authorities": str(authority.certificate)}
    mutual = trusting | {"certificate": str(ours.certificate), "key": str(ours.key)}
    with web_server(context, answer=[]) as server:

        def look(tls: dict[str, str] | None) -> list[Found]:
            url = f"https://127.0.0.1:{server.port}/dicom-web"
            return site.puller(rule(None, "dicomweb", dicomweb_url=url, tls=tls)).find(dry=True)

        with pytest.raises(PeerRefused, match="certificate verify failed.*pull.tls"):
            look(None)
        with pytest.raises((PeerRefused, PeerUnreachable)):
            look(trusting)
        assert server.requests == []
        assert look(mutual) == []
        assert [path.partition("?")[0] for _, path, _, _ in server.requests] == [
            "/dicom-web/studies"
        ]
        with pytest.raises(SettingsError, match="pull: tls.certificate = '/none'"):
            look(mutual | {"certificate": "/none"})


def test_an_archive_that_lists_images_and_brings_none_of_them_singly(
    site: PullSite, archive: SmallArchive, tmp_path: Path
) -> None:
    """The series comes whole, once, in however many requests its images were asked for."""
    archive.image_retrieval = False
    site.inbox.import_file(series(tmp_path, "chest")[0], "CT1")
    slow = rule(archive.settings, series_descriptions=["thin"], images_a_minute=60_000)
    puller = site.puller(slow)
    puller._courier.pace = Slowed(4)
    puller.find(by_hand=True)
    puller.bring()
    assert site.held("chest") == {THIN: SLICES}
    assert archive.asked.count("get IMAGE") == archive.asked.count("get SERIES") == 1
    pull = site.ledger.of(uid_of("chest"))
    assert pull is not None
    assert (pull.state, pull.came, pull.wanted) == (PullState.FETCHED, SLICES, SLICES)


class Slowed(Pace):
    """So many images a request, and no wait."""

    def __init__(self, images: int) -> None:
        super().__init__(0)
        self._images = images

    @property
    def images_a_request(self) -> int:
        return self._images


def test_dose_screens_among_the_series_come_over_c_get(
    site: PullSite, archive: SmallArchive, tmp_path: Path
) -> None:
    """Secondary captures say Modality CT, and their class only one by one."""
    screens = series(tmp_path / "there", "chest", "dose", 2, SOPClassUID=CAPTURES)
    archive.add(screens)
    site.pull(rule(archive.settings))
    assert site.held("chest") == {THIN: SLICES, THICK: 8, series_uid_of("chest", "dose"): 2}


def test_what_we_cannot_keep_is_our_own_trouble(
    site: PullSite, archive: SmallArchive, tmp_path: Path
) -> None:
    """A full disk is told as such, asks for nothing a second time, and gives no study up."""
    site.inbox = Inbox(tmp_path / "inbox", site.store, minimum_free_gb=1e9)
    wanted = rule(archive.settings, first_wait_s=0.01, attempts=1)
    site.pull(wanted)
    pull = site.ledger.of(uid_of("chest"))
    assert pull is not None
    assert pull.state is PullState.WAITING
    assert "free" in pull.last_error and "sent all" not in pull.last_error
    assert archive.asked.count("get SERIES") == 1
