"""Objects as a receiver can read them: transfer syntax, character set, C-STORE or STOW-RS."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import evt

from pacs_bridge.deliver import Courier
from pacs_bridge.dimse.peer import Peer
from pacs_bridge.settings import DestinationSettings
from pacs_bridge.states import DeliveryState
from pacs_bridge.store import Delivery, Store
from tests.network.archive import archive, destination, entered, row_of
from tests.network.orthanc import Orthanc
from tests.network.scripted_peer import peer_at, scp
from tests.patience import PATIENT_S

WAITING = DeliveryState.WAITING


def delivered(
    store: Store, there: DestinationSettings, folder: Path, **changes: object
) -> tuple[Dataset, Delivery]:
    """Deliver an image, and where it came to stand."""
    courier = Courier(store, [there], "PREREAD")
    image, _ = entered(courier, folder, **changes)
    courier.start()
    until = time.monotonic() + PATIENT_S
    while row_of(store, image, there.name).state is WAITING:
        assert time.monotonic() < until, row_of(store, image, there.name)
        time.sleep(0.02)
    courier.stop()
    return image, row_of(store, image, there.name)


def note_of(store: Store, image: Dataset) -> str:
    (event,) = store.events_of(str(image.StudyInstanceUID))
    return event.detail


def test_each_receiver_gets_the_character_set_it_reads(store: Store, tmp_path: Path) -> None:
    texts = {
        "SpecificCharacterSet": "ISO_IR 192", "PatientName": "Zhang^San=张^三",
        "StudyDescription": "Chest",
    }  # fmt: skip
    with archive() as pacs:
        for sets, name, note in (
            ((), "Zhang^San=张^三", ""),
            (("GB18030", "ISO_IR 100"), "Zhang^San=张^三", "text converted to GB18030"),
            (("ISO_IR 100",), "Zhang^San", "of PatientName the part that is not alphabetic"),
        ):
            there = destination(pacs.port, character_sets=sets)
            image, row = delivered(store, there, tmp_path, **texts)
            assert row.state is DeliveryState.DELIVERED
            got = pacs.got[-1]
            assert got.SpecificCharacterSet == (sets[0] if sets else "ISO_IR 192")
            assert got.PatientName == name
            assert got.PixelData == image.PixelData
            assert note in note_of(store, image)
        there = destination(pacs.port, character_sets=("ISO_IR 100",))
        image, row = delivered(store, there, tmp_path, **texts | {"StudyDescription": "右肺结节"})
    assert row.state is DeliveryState.GIVEN_UP
    assert (
        "StudyDescription (0008,1030) = '右肺结节' can't be written in ISO_IR 100" in row.last_error
    )
    assert len(pacs.got) == 3


def test_orthanc_gets_it_by_stow_and_the_other_one_goes_on(
    store: Store, orthanc: Orthanc, tmp_path: Path
) -> None:
    web = DestinationSettings(
        name="web", dicomweb_url=f"{orthanc.http}/dicom-web", character_sets=("GB18030",),
        first_wait_s=0.1,
    )  # fmt: skip
    image, row = delivered(
        store, web, tmp_path, SpecificCharacterSet="ISO_IR 192", PatientName="张^三"
    )
    assert (row.state, row.attempts) == (DeliveryState.DELIVERED, 1)
    (held,) = orthanc.instances(str(image.StudyInstanceUID))
    kept = dcmread(DicomBytesIO(orthanc.file(held["ID"])))
    assert (kept.SpecificCharacterSet, kept.PatientName) == ("GB18030", "张^三")
    (state,) = Courier(store, [web], "PREREAD").destinations()
    assert (state.protocol, state.tls, state.delivered) == ("STOW-RS", False, 1)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_what_is_compressed_is_decompressed_for_who_takes_it_plain_only(
    shared_data: Path, syntax: str
) -> None:
    folder = shared_data / "protocol" / "transfer_syntaxes"
    paths = [folder / f"CT2_{kind}" for kind in ("J2KR", "JLSL", "JPLL", "RLE", "UNC")]
    got: list[Dataset] = []

    def keep(event: evt.Event) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        got.append(dataset)
        return 0

    with scp([(evt.EVT_C_STORE, keep)], [(str(CTImageStorage), [str(syntax)])]) as port:
        outcomes = peer_at(port).store(paths)
    assert [outcome.error for outcome in outcomes] == [None] * len(paths)
    for path, dataset in zip(paths, got, strict=True):
        source = dcmread(path)
        assert dataset.file_meta.TransferSyntaxUID == syntax
        assert dataset.SOPInstanceUID == source.SOPInstanceUID
        np.testing.assert_array_equal(dataset.pixel_array, source.pixel_array)


def test_a_data_set_that_was_given_stays_as_it_is(shared_data: Path) -> None:
    source = dcmread(shared_data / "protocol" / "transfer_syntaxes" / "CT2_RLE")
    before = source.PixelData
    with archive() as pacs:
        (outcome,) = Peer(destination(pacs.port), "PREREAD").store([source])
    assert outcome.error is None
    assert source.PixelData == before
    assert source.file_meta.TransferSyntaxUID.is_compressed
