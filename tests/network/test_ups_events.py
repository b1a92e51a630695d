"""Subscriptions, and event reports over WebSocket (PS3.18 8.10, 11.10 to 11.13; PS3.4 CC.2.3)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.network.ups_site import UpsSite, heard, silent, told, ups_settings, ups_site
from tests.patience import PATIENT_S
from tests.workitems import performed, progress, state, workitem

EVERY, MATCHING = "1.2.840.10008.5.1.4.34.5", "1.2.840.10008.5.1.4.34.5.1"
LOCK = "1.2.3.4"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpsSite]:
    with ups_site(ups_settings(tmp_path_factory.mktemp("ups"))) as site:
        yield site


def uid_of(path: str) -> str:
    return path.rpartition("/")[2]


def test_the_one_who_ordered_follows_it_to_the_end(site: UpsSite) -> None:
    path = site.create(workitem(station="OTHER"))
    uid = uid_of(path)
    made = site.post(f"{path}/subscribers/PACS")
    assert made.status_code == 201
    url = made.headers["Content-Location"]
    assert url == f"ws{site.url.removeprefix('http')}/subscribers/PACS"
    with site.channel("PACS", subprotocols=["dicom"]) as channel:
        assert channel.subprotocol == "dicom"
        first = heard(channel)
        assert told(first) == (1, uid, "SCHEDULED")
        assert first.AffectedSOPClassUID == "1.2.840.10008.5.1.4.34.6.4"
        assert (first.InputReadinessState, first.MessageID) == ("READY", 1)
        site.put(f"{path}/state", state("IN PROGRESS", LOCK))
        assert told(heard(channel)) == (1, uid, "IN PROGRESS")
        site.post(f"{path}?transaction-uid={LOCK}", progress(40, "half way"))
        report = heard(channel)
        assert told(report) == (3, uid, "") and report.MessageID == 3
        (item,) = report.ProcedureStepProgressInformationSequence
        assert (item.ProcedureStepProgress, item.ProcedureStepProgressDescription) == (
            40, "half way",
        )  # fmt: skip
        why = Dataset()
        why.ReasonForCancellation = "not needed"
        why.ContactDisplayName = "Dr. Li"
        assert site.post(f"{path}/cancelrequest", why).status_code == 202
        asked = heard(channel)
        assert told(asked) == (2, uid, "")
        assert (asked.RequestingAE, asked.ReasonForCancellation, asked.ContactDisplayName) == (
            "pacs", "not needed", "Dr. Li",
        )  # fmt: skip
        site.post(f"{path}?transaction-uid={LOCK}", performed())
        site.put(f"{path}/state", state("COMPLETED", LOCK))
        assert told(heard(channel)) == (1, uid, "COMPLETED")
        assert silent(channel)


def test_who_watches_everything_hears_of_what_is_new(site: UpsSite) -> None:
    old = site.create(workitem(station="OTHER"))
    assert site.post(f"/workitems/{EVERY}/subscribers/BOARD").status_code == 201
    with site.channel("BOARD") as board:
        assert silent(board)  # without a lock, what is there is not told of
        new = site.create(workitem(station="OTHER"))
        assert told(heard(board)) == (1, uid_of(new), "SCHEDULED")
        assigned = heard(board)
        assert told(assigned) == (5, uid_of(new), "")
        assert assigned.ScheduledStationNameCodeSequence[0].CodeValue == "OTHER"
        site.put(f"{old}/state", state("IN PROGRESS", LOCK))
        assert told(heard(board)) == (1, uid_of(old), "IN PROGRESS")
        assert site.pacs.delete(f"{old}/subscribers/BOARD").status_code == 200
        site.put(f"{old}/state", state("CANCELED", LOCK))
        assert silent(board)
        suspended = site.post(f"/workitems/{EVERY}/subscribers/BOARD/suspend")
        assert suspended.status_code == 200
        site.create(workitem(station="OTHER"))
        assert silent(board)
        site.put(f"{new}/state", state("IN PROGRESS", LOCK))
        assert told(heard(board)) == (1, uid_of(new), "IN PROGRESS")
        assert site.pacs.delete(f"/workitems/{EVERY}/subscribers/BOARD").status_code == 200
        site.put(f"{new}/state", state("CANCELED", LOCK))
        assert silent(board)
    assert site.pacs.delete(f"/workitems/{EVERY}/subscribers/BOARD").status_code == 404
    assert site.post(f"/workitems/{EVERY}/subscribers/BOARD/suspend").status_code == 404
    assert site.post(f"{new}/subscribers/BOARD/suspend").status_code == 400


def test_with_a_lock_what_is_there_is_told_of_too(site: UpsSite) -> None:
    old = site.create(workitem(station="OTHER"))
    made = site.post(f"/workitems/{EVERY}/subscribers/KEEPER?deletionlock=true")
    assert made.status_code == 201
    with site.channel("KEEPER") as keeper:
        while (report := told(heard(keeper)))[1] != uid_of(old):
            pass
        assert report == (1, uid_of(old), "SCHEDULED")
    assert site.pacs.delete(f"/workitems/{EVERY}/subscribers/KEEPER").status_code == 200


def test_a_filter_tells_of_what_matches(site: UpsSite) -> None:
    theirs = f"/workitems/{MATCHING}/subscribers/AI1"
    assert site.post(theirs).status_code == 400
    assert site.post(f"{theirs}?filter=Nonsense=1").status_code == 400
    filtered = "ScheduledStationNameCodeSequence.CodeValue=AI1,ProcedureStepState=SCHEDULED"
    assert site.post(theirs, params={"filter": filtered}).status_code == 201
    with site.channel("AI1") as channel:
        site.create(workitem(station="AI2"))
        mine = site.create(workitem(station="AI1"))
        assert told(heard(channel)) == (1, uid_of(mine), "SCHEDULED")
        assert told(heard(channel)) == (5, uid_of(mine), "")
        assert silent(channel)


def test_what_was_missed_is_told_later(tmp_path: Path) -> None:
    settings = ups_settings(tmp_path / "data")
    with ups_site(settings) as site:
        path = site.create(workitem(station="OTHER"))
        site.post(f"{path}/subscribers/PACS")
        site.put(f"{path}/state", state("IN PROGRESS", LOCK))
    with ups_site(settings, perform=True) as site:  # the server was started anew
        with site.channel("PACS") as channel:
            reports = [heard(channel) for _ in range(3)]
            assert silent(channel)
        assert [told(each) for each in reports[:2]] == [
            (1, uid_of(path), "SCHEDULED"), (1, uid_of(path), "IN PROGRESS"),
        ]  # fmt: skip
        assert told(reports[2]) == (4, EVERY, "")
        assert reports[2].SCPStatus == "RESTARTED"
        assert reports[2].SubscriptionListStatus == "WARM START"
        with site.channel("PACS") as channel:
            assert silent(channel)
            site.put(f"{path}/state", state("CANCELED", LOCK))
            assert told(heard(channel)) == (1, uid_of(path), "CANCELED")


def test_a_new_channel_takes_the_place_of_the_old(site: UpsSite) -> None:
    path = site.create(workitem(station="OTHER"))
    site.post(f"{path}/subscribers/RIS")
    with site.channel("RIS") as old:
        heard(old)
        with site.channel("RIS") as new:
            with pytest.raises(ConnectionClosed) as closed:
                old.recv(PATIENT_S)
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 4000
            site.put(f"{path}/state", state("IN PROGRESS", LOCK))
            assert told(heard(new)) == (1, uid_of(path), "IN PROGRESS")


def test_strangers_get_no_channel(site: UpsSite) -> None:
    url = f"ws{site.url.removeprefix('http')}/subscribers/PACS"
    for headers, status in (
        ({}, 401),
        ({"Authorization": "Bearer pacs.wrong"}, 401),
        ({"Authorization": "Bearer viewer.right"}, 403),
    ):
        with pytest.raises(InvalidStatus) as refused:
            connect(url, additional_headers=headers, proxy=None)
        assert refused.value.response.status_code == status
    for name in ("%00", "A%5CB"):
        with pytest.raises(InvalidStatus) as refused, site.channel(name):
            pass
        assert refused.value.response.status_code == 400
    with pytest.raises(InvalidStatus) as refused:
        connect(url, origin="https://evil.example", proxy=None,
                additional_headers={"Authorization": "Bearer pacs.right"})  # fmt: skip
    assert refused.value.response.status_code == 403


def test_an_ae_title_has_to_be_one(site: UpsSite) -> None:
    path = site.create(workitem(station="OTHER"))
    for name in ("SEVENTEEN_LETTERS", "A%5CB", "%20"):
        assert site.post(f"{path}/subscribers/{name}").status_code == 400


def test_events_come_at_once(site: UpsSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """They ring: the database, which is else looked at every so often, is not waited for."""
    monkeypatch.setattr("pacs_bridge.ups.channel.LOOK_AGAIN_S", PATIENT_S)
    path = site.create(workitem(station="OTHER"))
    site.post(f"{path}/subscribers/QUICK")
    with site.channel("QUICK") as channel:
        heard(channel)
        begun = time.monotonic()
        site.put(f"{path}/state", state("IN PROGRESS", LOCK))
        heard(channel)
        assert time.monotonic() - begun < PATIENT_S / 2


def test_a_channel_does_not_hold_up_the_servers_end(tmp_path: Path) -> None:
    with ExitStack() as stack:
        with ups_site(ups_settings(tmp_path / "data")) as site:
            channel = stack.enter_context(site.channel("PACS"))
            begun = time.monotonic()
        assert time.monotonic() - begun < 9
        with pytest.raises(ConnectionClosed):
            channel.recv(PATIENT_S)
