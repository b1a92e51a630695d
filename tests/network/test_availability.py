"""Instance Availability Notification SCP, told by pynetdicom over real sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import build_context

from pacs_bridge.announced import Announcements, availability_service
from pacs_bridge.announced.service import read_notification
from pacs_bridge.dimse.listener import Listener
from pacs_bridge.inbox import Inbox
from pacs_bridge.settings import ListenerSettings
from pacs_bridge.store import Store
from tests.network.announcing import AVAILABILITY, notification
from tests.network.senders import association
from tests.unit.pacs_bridge.made import command, ct, encoded


@pytest.fixture
def studies() -> list[str]:
    """Studies that were told of, in order."""
    return []


@pytest.fixture
def hearing(inbox: Inbox, store: Store, studies: list[str]) -> Iterator[Listener]:
    services = availability_service(Announcements(store), ["PACS"], studies.append)
    settings = ListenerSettings(host="127.0.0.1", port=0)
    with Listener(settings, inbox, services=services) as listener:
        yield listener


def tell(port: int, told: Dataset, calling: str = "PACS", uid: str | None = "") -> tuple[int, str]:
    with association(port, [build_context(AVAILABILITY)], calling=calling) as sender:
        name = generate_uid() if uid == "" else uid
        answer, _ = sender.send_n_create(told, AVAILABILITY, name)
        return int(answer.Status), str(answer.get("ErrorComment", ""))


def test_what_an_archive_has_is_kept(
    hearing: Listener, store: Store, inbox: Inbox, studies: list[str]
) -> None:
    here, there = ct(), ct()
    there.StudyInstanceUID = here.StudyInstanceUID
    inbox.receive(encoded(here), **command(here))
    assert tell(hearing.port, notification(here, there)) == (0x0000, "")
    ledger = Announcements(store)
    study = str(here.StudyInstanceUID)
    assert studies == [study]
    assert ledger.image_count(study) == 2
    (missing,) = ledger.missing_images(study)
    assert missing.sop_instance_uid == there.SOPInstanceUID
    assert (missing.series_uid, missing.retrieve_ae) == (there.SeriesInstanceUID, "PACS\\PACS2")
    assert missing.told_by == "PACS"


def test_what_is_told_again_is_not_new(store: Store) -> None:
    first, second = ct(), ct()
    second.StudyInstanceUID = first.StudyInstanceUID
    ledger = Announcements(store)
    alone, both = (
        read_notification(notification(*images), "PACS") for images in ((first,), (first, second))
    )
    assert [ledger.keep(told) for told in (alone, alone, both, both)] == [1, 0, 1, 0]
    (other,) = read_notification(notification(ct()), "PACS")
    assert ledger.keep([other]) == 1


def test_a_notification_without_a_name_is_kept_too(hearing: Listener, studies: list[str]) -> None:
    image = ct()
    assert tell(hearing.port, notification(image), uid=None) == (0x0000, "")
    assert studies == [image.StudyInstanceUID]


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")  # sent on purpose
def test_what_does_not_fit_is_answered_so(
    hearing: Listener, store: Store, studies: list[str]
) -> None:
    image = ct()
    no_study, no_series, odd, bad = (notification(image) for _ in range(4))
    del no_study.StudyInstanceUID
    no_series.ReferencedSeriesSequence = []
    odd.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].InstanceAvailability = "PERHAPS"
    bad.ReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.03"
    port = hearing.port
    assert tell(port, no_study) == (0x0120, "StudyInstanceUID is missing")
    assert tell(port, no_series)[0] == 0x0120
    assert tell(port, odd) == (0x0106, "InstanceAvailability = 'PERHAPS'")
    assert tell(port, bad) == (0x0106, "SeriesInstanceUID = '1.2.03' is no UID")
    assert tell(port, notification(image), calling="OTHER")[0] == 0x0124
    assert studies == [] and Announcements(store).of(str(image.StudyInstanceUID)) == []


def test_not_offered_unless_it_is_set_up(listener: Listener, store: Store) -> None:
    assert availability_service(Announcements(store), []) == ()
    with association(listener.port, [build_context(AVAILABILITY)]) as sender:
        assert not sender.is_established
