"""The rules inside the server, on their clock; what was pulled is read when it is whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from pacs_bridge.announced import Announced, Announcements
from pacs_bridge.pull import PullLedger, PullSchedule, schedule
from pacs_bridge.pull.values import PullState
from pacs_bridge.settings import PeerSettings, PullSettings, Settings
from pacs_bridge.steps import Steps
from tests.network.orthanc import free_port
from tests.network.pulling import SLICES, PullSite, day, pull_site, series, uid_of
from tests.network.small_archive import SmallArchive, small_archive
from tests.patience import PATIENT_S


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "TICK_S", 0.05)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[PullSite]:
    with pull_site(tmp_path, 0) as site:
        yield site


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[SmallArchive]:
    with small_archive(SmallArchive([])) as archive:
        archive.add(series(tmp_path / "there", "chest"))
        yield archive


def rule(archive: SmallArchive, name: str = "r", **values: Any) -> PullSettings:
    given = {"name": name, "source": archive.settings, "method": "c-get", "settle_minutes": 0}
    return PullSettings.model_validate(given | values)


def settings_of(site: PullSite, *rules: PullSettings, **values: Any) -> Settings:
    return site.settings.model_copy(update={"pull": rules, **values})


class Running:
    """The schedule of a server, and what it handed on."""

    def __init__(self, site: PullSite, *rules: PullSettings) -> None:
        self.touched: list[str] = []
        settings = settings_of(site, *rules)
        self.schedule = PullSchedule(settings, site.inbox, site.arrived.append, self.touched.append)

    def __enter__(self) -> Running:
        self.schedule.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.schedule.stop()


def until(true: Callable[[], object], seconds: float = PATIENT_S) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_rule_looks_on_its_clock_and_hands_on_what_came(
    site: PullSite, archive: SmallArchive, tmp_path: Path
) -> None:
    with Running(site, rule(archive, every_minutes=0.005)) as running:
        until(lambda: running.touched == [uid_of("chest")])
        assert len(site.arrived) == SLICES
        archive.add(series(tmp_path / "there", "later"))
        until(lambda: running.touched == [uid_of("chest"), uid_of("later")])
    assert len(site.arrived) == 2 * SLICES, "nothing came twice"
    asked = len(archive.asked)
    time.sleep(0.5)
    assert len(archive.asked) == asked, "it has stopped"


def test_by_hand_alone_and_at_any_hour(site: PullSite, archive: SmallArchive) -> None:
    closed = (
        f"{(time.localtime().tm_hour + 2) % 24:02}:00-{(time.localtime().tm_hour + 3) % 24:02}:00"
    )
    one = rule(archive, every_minutes=0.005, hours=[closed])
    with Running(site, one) as running:
        time.sleep(0.4)
        assert archive.asked == [], "not at this hour"
        site.ledger.ask("r", "zhang")
        until(lambda: running.touched == [uid_of("chest")])
        assert site.ledger.run_of("r").asked_at is None


def test_an_announced_study_is_looked_at_at_once(
    site: PullSite, archive: SmallArchive, tmp_path: Path
) -> None:
    archive.add(series(tmp_path / "there", "old", StudyDate=day(30)))
    deaf = rule(archive, "deaf")
    with Running(site, rule(archive, announced=True), deaf) as running:
        running.schedule.announced(uid_of("old"))
        until(lambda: running.touched == [uid_of("old")])
    assert site.held("chest") == {}
    assert site.ledger.run_of("deaf").begun_at is None


def test_what_is_to_settle_is_looked_at_again_without_a_clock(
    site: PullSite, archive: SmallArchive, tmp_path: Path
) -> None:
    """The rule has no clock, and the archive announces a study once."""
    one = rule(archive, announced=True, settle_minutes=0.005)
    archive.add(series(tmp_path / "there", "gone"))
    with Running(site, one) as running:
        for name in ("chest", "gone"):
            running.schedule.announced(uid_of(name))
        until(lambda: len(site.ledger.newest()) == 2)
        assert {each.state for each in site.ledger.newest()} == {PullState.SETTLING}
        archive.images = [i for i in archive.images if i.StudyInstanceUID != uid_of("gone")]
        until(lambda: running.touched == [uid_of("chest")])
        until(lambda: site.ledger.of(uid_of("gone")) is None)
    assert site.ledger.run_of("r").begun_at is None, "one study is no look at the archive"


def test_what_is_announced_while_the_archive_is_away_is_looked_at_later(
    site: PullSite, archive: SmallArchive
) -> None:
    port = free_port()
    there = {"ae_title": "ARCHIVE", "host": "127.0.0.1", "port": port}
    one = rule(archive, announced=True, first_wait_s=0.1).model_copy(
        update={"source": PeerSettings.model_validate(there)}
    )
    with Running(site, one) as running:
        running.schedule.announced(uid_of("chest"))
        until(lambda: "Check that it runs" in site.ledger.run_of("r").problem)
        with small_archive(SmallArchive(archive.images), port):
            until(lambda: running.touched == [uid_of("chest")])
            until(lambda: site.ledger.run_of("r").problem == "")


def test_what_was_announced_before_a_start_is_looked_at_where_images_are_missing(
    site: PullSite, archive: SmallArchive
) -> None:
    images = [(i.SeriesInstanceUID, i.SOPClassUID, i.SOPInstanceUID) for i in archive.images]
    Announcements(site.store).keep(
        Announced(uid_of("chest"), *uids, "ONLINE", told_by="ARCHIVE", told_at=time.time() - 60)
        for uids in images
    )
    with Running(site, rule(archive, announced=True)) as running:
        until(lambda: running.touched == [uid_of("chest")])
    asked = len(archive.asked)
    with Running(site, rule(archive, announced=True)):
        time.sleep(0.3)
    assert len(archive.asked) == asked, "all of it is here"


def test_an_archive_that_is_away_is_told_of_and_asked_again(
    site: PullSite, archive: SmallArchive
) -> None:
    gone = archive.settings.model_copy(update={"port": free_port()})  # type: ignore[union-attr]
    away = rule(archive, every_minutes=0.005, first_wait_s=0.1).model_copy(update={"source": gone})
    with Running(site, away, rule(archive, "other", every_minutes=0.005)) as running:
        until(lambda: "Check that it runs" in site.ledger.run_of("r").problem)
        until(lambda: running.touched == [uid_of("chest")])
        first = site.ledger.run_of("r").begun_at
        until(lambda: (site.ledger.run_of("r").begun_at or 0) > (first or 0))


def test_what_a_killed_server_was_at_is_gone_on_with(
    site: PullSite, archive: SmallArchive, tmp_path: Path
) -> None:
    """Its row says that a process fetches it; that process is no more."""
    one = rule(archive)
    site.puller(one).find()
    dead = site.ledger.claim("r", "nobody:0")
    assert dead is not None
    for path in series(tmp_path, "chest")[:10]:
        site.inbox.import_file(path, "ARCHIVE")
    PullLedger(site.store, lease_s=-1).at_work(uid_of("chest"), "nobody:0", 10, SLICES)
    archive.asked.clear()
    with Running(site, one) as running:
        until(lambda: running.touched == [uid_of("chest")])
    assert len(site.arrived) == SLICES - 10
    assert archive.asked[-1] == "get IMAGE"


def test_a_study_is_not_read_before_all_of_it_was_pulled(
    site: PullSite, archive: SmallArchive, tmp_path: Path
) -> None:
    assert archive.settings is not None
    archive.add(series(tmp_path / "there", "chest", "thick", 8, SliceThickness="7.5"))
    assembly = site.settings.assembly.model_copy(update={"source": archive.settings})
    nothing = cast(Any, None)
    steps = Steps(settings_of(site, assembly=assembly), site.store, nothing, nothing, nothing)
    one = rule(archive, thickest_mm=3)
    puller = site.puller(one)
    puller.find()
    for path in series(tmp_path, "chest")[:10]:
        site.inbox.import_file(path, "ARCHIVE")
    waits = steps.judge_complete(uid_of("chest"))
    assert not waits.complete
    assert waits.because.en == f"0 of {SLICES} images fetched from ARCHIVE"
    assert waits.because.zh
    puller.bring()
    whole = steps.judge_complete(uid_of("chest"))
    assert whole.complete
    # the archive has 32: the rule left a series there, and nobody waits for it
    assert whole.because.en == f"PACS ARCHIVE counts {SLICES} images, {SLICES} are held"


def test_fetching_that_never_ends_holds_a_study_up_no_longer_than_others(
    site: PullSite, archive: SmallArchive, tmp_path: Path
) -> None:
    assembly = site.settings.assembly.model_copy(update={"longest_wait_s": 0.01})
    nothing = cast(Any, None)
    steps = Steps(settings_of(site, assembly=assembly), site.store, nothing, nothing, nothing)
    site.puller(rule(archive)).find()
    for path in series(tmp_path, "chest")[:10]:
        site.inbox.import_file(path, "ARCHIVE")
    time.sleep(0.02)
    assert steps.judge_complete(uid_of("chest")).complete
    pull = site.ledger.of(uid_of("chest"))
    assert pull is not None
    assert pull.state is PullState.WAITING
