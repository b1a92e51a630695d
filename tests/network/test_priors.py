"""Earlier studies found in a real Orthanc, fetched in each way, and never read by themselves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from imaging.language import Text
from pacs_bridge import doctor
from pacs_bridge.dimse.listener import Listener
from pacs_bridge.doctor import Health
from pacs_bridge.errors import WrongState
from pacs_bridge.inbox import Inbox
from pacs_bridge.priors.ledger import Ledger
from pacs_bridge.settings import ListenerSettings
from pacs_bridge.states import State
from pacs_bridge.store import Instance, open_store
from tests.network.earlier import NOW, SLICES, Site, make_site, study, study_uid
from tests.network.orthanc import BINARY, DICOMWEB, Orthanc, free_port, running_orthanc
from tests.network.strange_pacs import Swallowing, strange
from tests.patience import PATIENT_S

OLD, OLDER, ANCIENT = "20250110", "20240110", "20150110"


@pytest.fixture(scope="module")
def ports() -> tuple[int, int]:
    return free_port(), free_port()


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory, ports: tuple[int, int]) -> Iterator[Orthanc]:
    """The patient's history: chest CTs of some years, and what must not be taken for one."""
    if BINARY is None:
        pytest.skip("no Orthanc here: apt-get install orthanc orthanc-dicomweb")
    folder = tmp_path_factory.mktemp("pacs")
    with running_orthanc(folder / "orthanc", ports[0]) as orthanc:
        for files in (
            study(folder, OLD),
            study(folder, OLD, "scout", slices=2),
            study(folder, OLD, "CHEST COR", slices=40),
            study(folder, OLDER),
            study(folder, ANCIENT),
            study(folder, "20251001", StudyDescription="CT brain", BodyPartExamined="HEAD"),
            study(folder, "20250701", Modality="MR"),
        ):
            for path in files:
                orthanc.upload(path)
        yield orthanc


@pytest.fixture
def arrived() -> list[Instance]:
    return []


@pytest.fixture
def site(
    tmp_path: Path, pacs: Orthanc, ports: tuple[int, int], arrived: list[Instance]
) -> Iterator[Site]:
    store = open_store(f"sqlite:///{tmp_path / 'preread.sqlite'}")
    inbox = Inbox(tmp_path / "inbox", store, minimum_free_gb=0)
    settings = ListenerSettings(host="127.0.0.1", port=ports[0])
    with Listener(settings, inbox, arrived.append) as listener:
        yield make_site(tmp_path, store, inbox, listener, pacs)
    store.engine.dispose()


def web(site: Site, pacs: Orthanc) -> Site:
    if not DICOMWEB.exists():
        pytest.skip("no DICOMweb plugin here: apt-get install orthanc-dicomweb")
    return site.with_priors(method="dicomweb", dicomweb_url=f"{pacs.http}/dicom-web", pacs=None)


@pytest.mark.parametrize("method", ["c-move", "c-get", "dicomweb"])
def test_the_latest_chest_ct_is_fetched_one_series_of_it(
    site: Site, pacs: Orthanc, method: str
) -> None:
    site = web(site, pacs) if method == "dicomweb" else site.with_priors(method=method)
    found = site.gather()
    assert found.notices == ()
    (prior,) = found.priors
    assert (prior.study_uid, prior.study_date) == (study_uid(OLD), OLD)
    assert len(prior.paths) == SLICES
    assert all(path.is_file() for path in prior.paths)
    held = site.store.instances_of(study_uid(OLD))
    assert sorted(i.path for i in held) == sorted(prior.paths), "the series needed, no other"
    (told,) = site.said("prior-fetched")
    assert f"{SLICES} objects from" in told and f"by {method} in" in told
    assert site.said("prior-taken") == [f"{OLD}, {study_uid(OLD)}: {SLICES} images"]
    (asked,) = site.said("priors-asked")
    assert "CT studies 20210105 to 20260104" in asked and OLD in asked and ANCIENT not in asked


@pytest.mark.parametrize("method", ["c-move", "c-get"])
def test_what_was_fetched_is_not_read_unless_a_person_asks(site: Site, method: str) -> None:
    site.with_priors(method=method).gather()
    store, uid = site.store, study_uid(OLD)
    assert store.unread_studies() == []
    assert store.open_reading(uid, "nobody") is None
    assert [r.study.study_uid for r in store.worklist()] == [study_uid(NOW)]
    (listed,) = store.worklist([State.PRIOR])
    assert (listed.study.study_uid, listed.revision, listed.state) == (uid, 0, State.PRIOR)
    store.take_up_prior(uid, "Zhang")
    assert store.unread_studies() == [uid]
    assert store.worklist([State.PRIOR]) == []
    assert store.open_reading(uid, "wanted") == 1
    with pytest.raises(WrongState, match="no image that waits"):
        store.take_up_prior(uid, "Zhang")


def test_sent_by_auto_routing_afterwards_it_is_read(site: Site, pacs: Orthanc) -> None:
    site.gather()
    uid = study_uid(OLD)
    first = site.store.study(uid).first_received_at
    assert not site.store.has_unread(uid)
    pacs.send_to("PREREAD", uid)  # C-STORE, no move originator
    assert site.store.has_unread(uid)
    images = site.store.instances_of(uid)
    assert len(images) == SLICES + 2 + 40
    assert site.store.study(uid).first_received_at > first, "the wait for it begins now"
    assert site.store.open_reading(uid, "preliminary") == 1
    assert site.store.has_unread(uid) is False


def test_while_it_is_fetched_only_what_was_not_asked_for_is_read(site: Site, pacs: Orthanc) -> None:
    """Orthanc names who asked (MoveOriginatorApplicationEntityTitle) in what C-MOVE sends."""
    uid = study_uid(OLD)
    Ledger(site.store).expect(uid, study_uid(NOW), "ORTHANC", 60)
    pacs.send_to("PREREAD", uid)
    # It doesn't say that somebody else asked: within the time it counts as what we asked for.
    assert not site.store.has_unread(uid)
    image = site.store.instances_of(uid)[0]
    assert site.store.record_instance(image, site.store.study(uid), fetched=False)
    assert site.store.has_unread(uid)


@pytest.mark.parametrize("method", ["c-move", "c-get", "dicomweb"])
def test_nothing_is_fetched_twice(
    site: Site, pacs: Orthanc, arrived: list[Instance], method: str
) -> None:
    site = web(site, pacs) if method == "dicomweb" else site.with_priors(method=method)
    first = site.gather()
    came = len(arrived)
    assert site.gather() == first
    assert len(arrived) == came
    assert len(site.said("prior-fetched")) == 1


def test_a_fetch_that_was_cut_short_is_made_good(site: Site, pacs: Orthanc, tmp_path: Path) -> None:
    """The server died when three images had come."""
    uid = study_uid(OLD)
    Ledger(site.store).expect(uid, study_uid(NOW), "ORTHANC", 60)
    for path in study(tmp_path / "part", OLD)[:3]:
        site.inbox.import_file(path, "ORTHANC")
    assert site.with_priors(find="store").gather().priors == (), "it has gaps"
    (prior,) = site.gather().priors
    assert len(prior.paths) == SLICES
    assert site.store.unread_studies() == []


def test_several_are_taken_the_latest_first(site: Site) -> None:
    found = site.with_priors(most=3).gather()
    assert [prior.study_date for prior in found.priors] == [OLD, OLDER]
    found = site.with_priors(most=3, years=12).gather()
    assert [prior.study_date for prior in found.priors] == [OLD, OLDER, ANCIENT]


def test_our_own_store_comes_first_and_needs_no_pacs(site: Site, tmp_path: Path) -> None:
    for path in study(tmp_path / "own", OLD):
        site.inbox.import_file(path, "CT1")
    assert site.store.open_reading(study_uid(OLD), "test") == 1
    (prior,) = site.gather().priors
    assert prior.study_uid == study_uid(OLD)
    assert site.said("prior-fetched") == []
    found = site.with_priors(find="store").gather()
    assert found.priors == (prior,)


def test_off_looks_nowhere(site: Site) -> None:
    assert site.with_priors(find="off").gather() == type(site.gather())()


def test_a_study_of_another_patient_with_the_same_id_is_refused(site: Site, tmp_path: Path) -> None:
    for path in study(tmp_path / "own", "20250601", PatientBirthDate="19800102"):
        site.inbox.import_file(path, "CT1")
    found = site.with_priors(find="store").gather()
    assert found.priors == ()
    told, none = found.notices
    assert (told.code, none.code) == ("prior-refused", "no-prior")
    assert told.text == Text(
        en="the examination of 2025-06-01 was not taken for comparison: its PatientBirthDate "
        "differs, it may be another patient's",
        zh="未采用 2025-06-01 的检查作对比：其出生日期（PatientBirthDate）不一致，可能属于另一患者",
    )
    assert "19800102" not in site.said("prior-refused")[0], "it may be a stranger's"


def test_none_at_all_is_said_in_both_languages(site: Site, pacs: Orthanc) -> None:
    found = site.with_priors(years=0.5).gather()
    assert found.priors == ()
    (told,) = found.notices
    assert told.text == Text(
        en="no earlier chest CT to compare with: none of the last 0.5 years in our own store and "
        "PACS ORTHANC",
        zh="无既往胸部 CT 可供对比：本机及 PACS ORTHANC 中近 0.5 年未找到",
    )


def test_a_pacs_that_is_down_holds_nothing_up(site: Site) -> None:
    dead = site.settings.priors.pacs.model_copy(update={"port": free_port()})  # type: ignore[union-attr]
    begun = time.monotonic()
    found = site.with_priors(pacs=dead).gather()
    assert time.monotonic() - begun < PATIENT_S / 2
    assert found.priors == ()
    (told,) = found.notices
    assert told.code == "prior-not-sought"
    assert "no association" in told.text.en and "PACS ORTHANC" in told.text.zh


@pytest.mark.parametrize("method", ["c-move", "c-get", "dicomweb"])
def test_a_pacs_that_falls_silent_is_not_waited_for(site: Site, pacs: Orthanc, method: str) -> None:
    """It answers every question, and then sends nothing: a proxy that swallows the rest."""
    port = pacs.dicom_port if method != "dicomweb" else int(pacs.http.rpartition(":")[2])
    with Swallowing(port, method) as silent:
        if method == "dicomweb":
            url = f"http://127.0.0.1:{silent}/dicom-web"
            site = web(site, pacs).with_priors(dicomweb_url=url, wait_s=1.0)
        else:
            peer = site.settings.priors.pacs.model_copy(update={"port": silent})  # type: ignore[union-attr]
            site = site.with_priors(method=method, pacs=peer, wait_s=1.0)
        begun = time.monotonic()
        found = site.gather()
        assert time.monotonic() - begun < PATIENT_S / 2
    assert found.priors == ()
    assert [n.code for n in found.notices] == ["prior-not-fetched"]


def test_a_pacs_that_does_not_know_us_is_named_with_the_remedy(
    site: Site, tmp_path: Path, pacs: Orthanc
) -> None:
    """Orthanc knows PREREAD and no other; C-FIND from a stranger is refused already."""
    stranger = site.settings.listener.model_copy(update={"ae_title": "STRANGER"})
    settings = site.settings.model_copy(update={"listener": stranger})
    other = Site(settings, site.store, site.inbox, site.listener, site.spec, site.plan)
    (told,) = other.gather().notices
    assert told.code == "prior-not-sought"


def test_too_many_images_are_not_fetched(site: Site) -> None:
    found = site.with_priors(most_images=SLICES - 1).gather()
    assert found.priors == ()
    assert {n.code for n in found.notices} == {"prior-refused"}
    assert site.store.worklist([State.PRIOR]) == []


@pytest.mark.parametrize("method", ["c-move", "c-get", "dicomweb"])
def test_too_many_bytes_end_the_fetch(site: Site, pacs: Orthanc, method: str) -> None:
    site = web(site, pacs) if method == "dicomweb" else site.with_priors(method=method)
    found = site.with_priors(most_mb=0.01).gather()
    assert found.priors == ()
    assert "priors.most_mb" in found.notices[0].text.en
    assert site.store.unread_studies() == []


@pytest.mark.parametrize("method", ["c-move", "c-get", "dicomweb"])
def test_the_doctor_asks_the_pacs(site: Site, pacs: Orthanc, method: str) -> None:
    site = web(site, pacs) if method == "dicomweb" else site.with_priors(method=method)
    (found,) = doctor.priors(site.settings)
    assert found.health is Health.GOOD
    assert ("QIDO-RS" if method == "dicomweb" else "C-FIND") in found.found


def test_the_doctor_says_what_is_wrong(site: Site, pacs: Orthanc) -> None:
    stranger = site.settings.listener.model_copy(update={"ae_title": "STRANGER"})
    (found,) = doctor.priors(site.settings.model_copy(update={"listener": stranger}))
    assert found.health is Health.BAD and found.remedy
    wrong = site.with_priors(method="dicomweb", dicomweb_url=f"{pacs.http}/nowhere")
    (found,) = doctor.priors(wrong.settings)
    assert found.health is Health.BAD and "404" in found.found
    (found,) = doctor.priors(site.with_priors(pacs=None).settings)
    assert found.health is Health.NOTE and "priors.pacs" in found.remedy
    (found,) = doctor.priors(site.with_priors(find="off").settings)
    assert found.health is Health.NOTE


def test_a_pacs_that_c_move_will_not_come_from_costs_one_warning(site: Site) -> None:
    told = []
    for date in (OLD, OLDER):
        header = dcmread(study(site.settings.storage.folder / "there", date)[0])
        answer = Dataset()
        for keyword in ("StudyInstanceUID", "StudyDate", "PatientID", "PatientBirthDate"):
            setattr(answer, keyword, header.get(keyword))
        answer.StudyDescription, answer.ModalitiesInStudy = "CT chest", "CT"
        told.append(answer)
    begun = time.monotonic()
    with strange(told) as peer:
        found = site.with_priors(pacs=peer).gather()
    assert time.monotonic() - begun < PATIENT_S / 2
    (warning,) = found.notices
    assert warning.code == "prior-not-fetched"
    assert "Enter our AE title" in warning.text.en and 'priors.find to "store"' in warning.text.en
    assert len(site.said("prior-not-fetched")) == 1, "the second is not asked for"


def test_the_doctor_sees_that_c_move_would_not_come(site: Site) -> None:
    with strange() as peer:
        good, bad = doctor.priors(site.with_priors(pacs=peer).settings)
    assert good.health is Health.GOOD
    assert bad.health is Health.BAD
    assert "does not know PREREAD as a destination" in bad.found and "c-get" in bad.remedy
