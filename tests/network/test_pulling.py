"""Studies pulled from a real Orthanc by rules: found, fetched in each way, never twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pacs_bridge import doctor
from pacs_bridge.doctor import Health
from pacs_bridge.errors import PeerUnreachable
from pacs_bridge.pull import standing_of
from pacs_bridge.pull.values import PullState
from pacs_bridge.settings import PullSettings
from tests.network.orthanc import BINARY, DICOMWEB, Orthanc, free_port, running_orthanc
from tests.network.pulling import (
    SLICES,
    PullSite,
    day,
    pull_site,
    rule_for,
    series,
    series_uid_of,
    uid_of,
)
from tests.network.strange_pacs import Swallowing, strange
from tests.patience import PATIENT_S

METHODS = ["c-move", "c-get", "dicomweb"]


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Orthanc]:
    """A day in the archive: a chest with a thick twin and a scout, a head, an MR, an old chest."""
    if BINARY is None:
        pytest.skip("no Orthanc here: apt-get install orthanc orthanc-dicomweb")
    folder = tmp_path_factory.mktemp("pacs")
    with running_orthanc(folder / "orthanc", port) as orthanc:
        for files in (
            series(folder, "chest"),
            series(folder, "chest", "thick", 8, SliceThickness="7.5"),
            series(folder, "chest", "scout", 1),
            series(folder, "head", StudyDescription="CT head", BodyPartExamined="HEAD"),
            series(folder, "mr", Modality="MR"),
            series(folder, "old", StudyDate=day(40)),
        ):
            for path in files:
                orthanc.upload(path)
        yield orthanc


@pytest.fixture
def site(tmp_path: Path, pacs: Orthanc, port: int) -> Iterator[PullSite]:
    with pull_site(tmp_path, port) as site:
        yield site


def thin_chest(pacs: Orthanc, method: str = "c-move", **values: Any) -> PullSettings:
    """ "Every chest CT of today, slices <= 3 mm, not yet analysed"."""
    if method == "dicomweb" and not DICOMWEB.exists():
        pytest.skip("no DICOMweb plugin here: apt-get install orthanc-dicomweb")
    wanted = {"thickest_mm": 3, "body_parts": ["CHEST"], "fewest_images": 5}
    return rule_for(pacs, method, **(wanted | values))


@pytest.mark.parametrize("method", METHODS)
def test_every_thin_chest_of_today_and_nothing_else(
    site: PullSite, pacs: Orthanc, method: str
) -> None:
    looked = site.pull(thin_chest(pacs, method))
    assert looked == {uid_of("chest"): "", uid_of("head"): "no series of it is wanted"}
    assert site.held("chest") == {series_uid_of("chest", "thin"): SLICES}
    assert len(site.arrived) == SLICES
    assert {instance.source_ae for instance in site.arrived} == (
        {"PACS WEB"} if method == "dicomweb" else {"ORTHANC"}
    )
    assert site.store.unread_studies() == [uid_of("chest")], "it is to be read"
    (told,) = site.said("chest", "pulled")
    assert f"rule chest: {SLICES} images of 1 series" in told
    assert "2 series left out" in told
    standing = standing_of(site.store, uid_of("chest"))
    assert standing is not None
    assert not standing.under_way
    assert standing.left_out == {series_uid_of("chest", n) for n in ("thick", "scout")}


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_fetched_twice(site: PullSite, pacs: Orthanc, method: str) -> None:
    rule = thin_chest(pacs, method)
    site.pull(rule)
    came = len(site.arrived)
    assert site.pull(rule)[uid_of("chest")] == "it was fetched already"
    other = rule.model_copy(update={"name": "another rule"})
    looked = site.pull(other, by_hand=True)
    assert looked[uid_of("chest")] == "all that is wanted of it is here"
    assert len(site.arrived) == came
    site.store.open_reading(uid_of("chest"), "test")
    assert site.pull(other, by_hand=True)[uid_of("chest")] == "it was read here already"


@pytest.mark.parametrize("method", METHODS)
def test_only_what_is_missing_is_asked_for(
    site: PullSite, pacs: Orthanc, tmp_path: Path, method: str
) -> None:
    for path in series(tmp_path / "part", "chest")[::2]:
        site.inbox.import_file(path, "CT1")
    assert site.pull(thin_chest(pacs, method))[uid_of("chest")] == "it is coming by itself"
    site.pull(thin_chest(pacs, method), by_hand=True)
    assert site.held("chest") == {series_uid_of("chest", "thin"): SLICES}
    assert len(site.arrived) == SLICES // 2, "the other half was here"


@pytest.mark.parametrize("method", METHODS)
def test_killed_in_the_middle_it_goes_on_where_it_was(
    site: PullSite, pacs: Orthanc, method: str
) -> None:
    """The first process dies after some images: its study is another's then, without them."""
    rule = thin_chest(pacs, method, images_a_minute=12)  # two images a request, ten seconds apart
    dying = site.puller(rule)
    dying.find()
    threading.Thread(target=dying.bring, daemon=True).start()
    deadline = time.monotonic() + PATIENT_S
    while len(site.arrived) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(site.arrived) == 2
    standing = standing_of(site.store, uid_of("chest"))
    assert standing is not None
    assert standing.under_way
    dying.stop()
    while site.ledger.of(uid_of("chest")).state is PullState.FETCHING:  # type: ignore[union-attr]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    fast = thin_chest(pacs, method)
    assert site.puller(fast).bring() == 1
    assert len(site.arrived) == SLICES, "no image came twice"
    assert site.held("chest") == {series_uid_of("chest", "thin"): SLICES}
    pull = site.ledger.of(uid_of("chest"))
    assert pull is not None
    assert (pull.state, pull.came, pull.attempts) == (PullState.FETCHED, SLICES, 0)


@pytest.mark.parametrize("method", METHODS)
def test_an_archive_that_falls_silent_is_tried_again(
    site: PullSite, pacs: Orthanc, method: str
) -> None:
    target = int(pacs.http.rpartition(":")[2]) if method == "dicomweb" else pacs.dicom_port
    with Swallowing(target, method) as swallowing:
        rule = thin_chest(pacs, method, wait_s=1, first_wait_s=0.01, attempts=2)
        if method == "dicomweb":
            url = f"http://127.0.0.1:{swallowing}/dicom-web"
            silent = rule.model_copy(update={"dicomweb_url": url})
        else:
            assert rule.source is not None
            source = rule.source.model_copy(update={"port": swallowing})
            silent = rule.model_copy(update={"source": source})
        puller = site.puller(silent)
        puller.find()
        try:
            assert puller.bring() >= 1
        except PeerUnreachable:
            assert method == "dicomweb"  # it says nothing at all, as one that is away
    pull = site.ledger.of(uid_of("chest"))
    assert pull is not None
    assert pull.last_error
    site.ledger.retry(uid_of("chest"), "zhang")
    assert site.puller(rule).bring() == 1
    assert site.held("chest") == {series_uid_of("chest", "thin"): SLICES}


def test_a_study_that_still_grows_is_waited_for(
    site: PullSite, pacs: Orthanc, tmp_path: Path
) -> None:
    rule = rule_for(pacs, query=["PatientID=S1"], study_descriptions=["growing"], settle_minutes=60)
    files = series(tmp_path, "growing", StudyDescription="growing")
    for path in files[:10]:
        pacs.upload(path)
    try:
        assert site.pull(rule)[uid_of("growing")] == ""
        pull = site.ledger.of(uid_of("growing"))
        assert pull is not None
        assert pull.state is PullState.SETTLING
        soon = rule.model_copy(update={"settle_minutes": 0.001})
        for path in files[10:]:
            pacs.upload(path)
        site.pull(soon)  # it has more than it had
        assert site.held("growing") == {}
        time.sleep(0.1)
        site.pull(soon)
        assert site.held("growing") == {series_uid_of("growing", "thin"): SLICES}
    finally:
        (study,) = pacs.find("Study", {"StudyInstanceUID": uid_of("growing")})
        httpx.delete(f"{pacs.http}/studies/{study['ID']}", trust_env=False).raise_for_status()


def test_what_was_fetched_to_compare_with_is_read_when_a_rule_wants_it(
    site: PullSite, pacs: Orthanc, tmp_path: Path
) -> None:
    from pacs_bridge.priors.ledger import Ledger

    Ledger(site.store).expect(uid_of("chest"), "1.2.3", "ORTHANC", 60)
    for path in series(tmp_path, "chest"):
        site.inbox.import_file(path, "ORTHANC", fetched=True)
    assert site.store.unread_studies() == []
    site.pull(thin_chest(pacs), by_hand=True)
    assert site.arrived == [], "it was here"
    assert site.store.unread_studies() == [uid_of("chest")]


def test_late_images_are_fetched_where_the_rule_says_so(
    site: PullSite, pacs: Orthanc, tmp_path: Path
) -> None:
    for path in series(tmp_path, "chest")[:20]:
        site.inbox.import_file(path, "CT1")
    assert site.store.open_reading(uid_of("chest"), "first") == 1
    rule = thin_chest(pacs)
    assert site.pull(rule, by_hand=True)[uid_of("chest")] == "it was read here already"
    site.pull(rule.model_copy(update={"read_already": "complete"}), by_hand=True)
    assert len(site.arrived) == SLICES - 20
    assert site.store.open_reading(uid_of("chest"), "second") == 2


def test_one_study_that_was_announced(site: PullSite, pacs: Orthanc) -> None:
    looked = site.pull(thin_chest(pacs), study_uid=uid_of("old"))
    assert looked == {uid_of("old"): ""}, "of whatever date"
    assert site.held("old") == {series_uid_of("old", "thin"): SLICES}


def test_a_dry_run_enters_nothing(site: PullSite, pacs: Orthanc) -> None:
    found = site.puller(thin_chest(pacs)).find(dry=True)
    assert [each.missing for each in found if not each.why_not] == [SLICES]
    assert site.ledger.newest() == []
    assert site.ledger.run_of("chest").begun_at is None


def test_most_studies_bounds_one_look(site: PullSite, pacs: Orthanc) -> None:
    rule = rule_for(pacs, most_studies=1)
    looked = site.pull(rule)
    enough = [uid for uid, why in looked.items() if "most_studies = 1" in why]
    assert len(enough) == 1
    assert len(site.ledger.newest()) == 1
    assert site.pull(rule)[enough[0]] == "", "the next look takes it"


def test_several_studies_at_once(site: PullSite, pacs: Orthanc) -> None:
    site.pull(rule_for(pacs, "c-get", days=0, studies_at_once=3))
    assert {p.state for p in site.ledger.newest()} == {PullState.FETCHED}
    assert sum(sum(site.held(name).values()) for name in ("chest", "head", "old")) == (
        3 * SLICES + 9
    )


def test_an_mr_comes_over_c_get_too(site: PullSite, pacs: Orthanc, tmp_path: Path) -> None:
    mr = "1.2.840.10008.5.1.4.1.1.4"
    for path in series(tmp_path, "brain", Modality="MR", SOPClassUID=mr, StudyDate=day(3)):
        pacs.upload(path)
    site.pull(rule_for(pacs, "c-get", modalities=["MR"], days=4, study_descriptions=["CT*"]))
    assert {i.sop_class_uid for i in site.arrived if i.study_uid == uid_of("brain")} == {mr}


def test_nobody_there_and_nobody_who_knows_us(site: PullSite, pacs: Orthanc) -> None:
    rule = thin_chest(pacs)
    assert rule.source is not None
    away = rule.source.model_copy(update={"port": free_port()})
    with pytest.raises(PeerUnreachable, match="Check that it runs"):
        site.pull(rule.model_copy(update={"source": away}))
    assert "Check that it runs" in site.ledger.run_of("chest").problem
    assert site.ledger.run_of("chest").ended_at is not None


def test_the_doctor_says_whether_a_rule_would_work(site: PullSite, pacs: Orthanc) -> None:
    settings = site.settings.model_copy(update={"pull": (thin_chest(pacs),)})
    (found,) = doctor.pulls(settings)
    assert found.health is Health.GOOD
    assert found.subject == "Pull rule chest"
    with strange() as stranger:
        rule = thin_chest(pacs).model_copy(update={"source": stranger})
        *_, bad = doctor.pulls(settings.model_copy(update={"pull": (rule,)}))
    assert bad.health is Health.BAD
    assert "pull.method" in bad.remedy
