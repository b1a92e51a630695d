"""Keeping objects: what is acknowledged is on disk and recorded."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from sqlalchemy import delete

from pacs_bridge.errors import DiskFull, Refused
from pacs_bridge.inbox import Inbox
from pacs_bridge.part10 import split_file
from pacs_bridge.store import Store
from pacs_bridge.tables import instances
from tests.unit.pacs_bridge.made import command, ct, encoded, saved


def files(inbox: Inbox) -> list[Path]:
    return sorted(path for path in inbox.folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
    ],
)
def test_an_object_is_kept_as_sent_and_recorded(inbox: Inbox, store: Store, syntax: str) -> None:
    image = ct(PatientName="张^三", SpecificCharacterSet="GB18030")
    data = encoded(image, syntax)
    instance = inbox.receive(data, **command(image, syntax))

    assert instance.path.parent == (inbox.folder / image.StudyInstanceUID / image.SeriesInstanceUID)
    assert instance.path.name.startswith(image.SOPInstanceUID + ".")
    assert files(inbox) == [instance.path]
    content = instance.path.read_bytes()
    assert content.endswith(data)
    parts = split_file(content)
    assert bytes(parts.dataset) == data
    assert (parts.source_ae, parts.transfer_syntax_uid) == ("SENDER", syntax)

    held = dcmread(instance.path)
    assert held.file_meta.TransferSyntaxUID == syntax
    assert held.file_meta.FileMetaInformationGroupLength == len(content) - len(data) - 144
    assert held.PatientName == "张^三"
    assert held.PixelData == image.PixelData

    assert store.instances_of(image.StudyInstanceUID) == [instance]
    study = store.worklist()[0].study
    assert (study.patient_name, study.patient_id) == ("张^三", "P1")
    assert (study.accession_number, study.study_date) == ("A1", "20240102")
    assert (study.description, study.source_ae) == ("Chest", "SENDER")


def test_the_same_object_again_is_success_and_no_second_file(inbox: Inbox, store: Store) -> None:
    image = ct()
    first = inbox.receive(encoded(image), **command(image))
    assert store.open_reading(image.StudyInstanceUID, "a") == 1
    assert inbox.receive(encoded(image), **command(image)) == first
    assert files(inbox) == [first.path]
    assert store.unread_studies() == []


def test_the_same_uid_with_other_content_keeps_both_and_records_the_newer(
    inbox: Inbox, store: Store
) -> None:
    image = ct()
    first = inbox.receive(encoded(image), **command(image))
    image.PixelData = b"\x01" * 512
    second = inbox.receive(encoded(image), **command(image))
    assert files(inbox) == sorted([first.path, second.path])
    assert store.instances_of(image.StudyInstanceUID) == [second]
    assert dcmread(first.path).PixelData == bytes(512)


def test_many_threads_sending_one_object_leave_one_whole_file(inbox: Inbox, store: Store) -> None:
    image = ct(PixelData=os.urandom(512))
    with ThreadPoolExecutor(16) as pool:
        kept = list(pool.map(lambda _: inbox.receive(encoded(image), **command(image)), range(64)))
    assert len(set(kept)) == 1
    assert files(inbox) == [kept[0].path]
    assert len(store.instances_of(image.StudyInstanceUID)) == 1


@pytest.mark.parametrize(
    "value", ["../../../../tmp/x", "/etc/passwd", "1.2/3", "..", ".", "1..2", "1.2.", "1" * 65, "x"]
)
@pytest.mark.parametrize(
    "keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"]
)
@pytest.mark.filterwarnings("ignore")
def test_what_is_no_uid_never_becomes_a_path(
    inbox: Inbox, store: Store, keyword: str, value: str
) -> None:
    image = ct(**{keyword: value})
    with pytest.raises(Refused, match="is not a UID") as refusal:
        inbox.receive(encoded(image), **command(image))
    assert refusal.value.status == 0xC000
    assert repr(value) in str(refusal.value)
    assert list(inbox.folder.iterdir()) == []
    assert store.worklist() == []


@pytest.mark.parametrize("value", ["../x", "1.2 3", ""])
def test_a_command_with_a_bad_uid_is_refused(inbox: Inbox, value: str) -> None:
    image = ct()
    for keyword in ("sop_instance_uid", "sop_class_uid", "transfer_syntax_uid"):
        with pytest.raises(Refused):
            inbox.receive(encoded(image), **(command(image) | {keyword: value}))


@pytest.mark.parametrize(
    "keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"]
)
def test_a_missing_uid_is_refused_by_name(inbox: Inbox, keyword: str) -> None:
    image = ct()
    said = command(image)
    del image[keyword]
    with pytest.raises(Refused, match=f"{keyword} .* is missing") as refusal:
        inbox.receive(encoded(image), **said)
    assert refusal.value.status == 0xC000


@pytest.mark.parametrize("keyword", ["sop_class_uid", "sop_instance_uid"])
def test_command_and_data_set_must_agree(inbox: Inbox, keyword: str) -> None:
    image = ct()
    with pytest.raises(Refused, match=r"in the data set, 1\.2\.3 in the command") as refusal:
        inbox.receive(encoded(image), **(command(image) | {keyword: "1.2.3"}))
    assert refusal.value.status == 0xA900


def test_a_full_disk_is_noticed_before_it_is_too_late(tmp_path: Path, store: Store) -> None:
    inbox = Inbox(tmp_path / "inbox", store, minimum_free_gb=10**9)
    image = ct()
    with pytest.raises(DiskFull, match="minimum_free_gb"):
        inbox.receive(encoded(image), **command(image))
    assert files(inbox) == []
    assert store.worklist() == []


def test_a_disk_that_fills_midway_leaves_nothing_behind(
    inbox: Inbox, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    image = ct()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull, match="no room"):
        inbox.receive(encoded(image), **command(image))
    monkeypatch.undo()
    (left,) = files(inbox)
    assert left.stat().st_size == 0
    assert store.worklist() == []
    kept = inbox.receive(encoded(image), **command(image))  # there is room again
    assert dcmread(kept.path).PixelData == image.PixelData
    assert files(inbox) == [left] == [kept.path]


def test_what_a_full_disk_left_is_gone_after_the_next_start(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = ct()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(5, "I/O error")))
        with pytest.raises(OSError, match="I/O error"):
            inbox.receive(encoded(image), **command(image))
    assert inbox.recover().removed == 1
    assert files(inbox) == []


def test_file_is_renamed_and_durable_before_it_is_recorded(
    inbox: Inbox, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    really_sync, really_rename = os.fsync, Path.rename
    really_record = Store.record_instance

    def sync(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink()
        steps.append("sync file" if name.suffix == ".dcm" else "sync folder")
        really_sync(descriptor)

    def rename(self: Path, target: Any) -> Path:
        steps.append("rename")
        return really_rename(self, target)

    def record(self: Store, *arguments: Any, **more: Any) -> bool:
        steps.append("record")
        return really_record(self, *arguments, **more)

    first, image = ct(), ct()
    image.StudyInstanceUID, image.SeriesInstanceUID = (
        first.StudyInstanceUID,
        first.SeriesInstanceUID,
    )
    inbox.receive(encoded(first), **command(first))
    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "rename", rename)
    monkeypatch.setattr(Store, "record_instance", record)
    inbox.receive(encoded(image), **command(image))
    assert steps == ["rename", "sync file", "sync folder", "record"]


def test_it_grows_beside_its_series_where_its_head_says_which(inbox: Inbox) -> None:
    image = ct(PixelData=os.urandom(512))
    data = encoded(image)
    series = inbox.folder / image.StudyInstanceUID / image.SeriesInstanceUID
    for head, folder in ((data[:-100], series), (data[:40], inbox.folder)):
        with inbox.begin(**command(image)) as incoming:
            incoming.add(head)
            incoming.flush()
            (part,) = inbox.folder.rglob("*.part")
            assert part.parent == folder
            incoming.add(data[len(head) :])
            kept = incoming.keep()
        assert files(inbox) == [kept.path]
        assert kept.path.parent == series


def test_what_comes_no_further_leaves_no_folder(inbox: Inbox) -> None:
    image = ct()
    with inbox.begin(**command(image)) as incoming:
        incoming.add(encoded(image)[:-100])
        incoming.flush()
        assert files(inbox)
    assert list(inbox.folder.iterdir()) == []


class TestRecovery:
    def test_a_crash_before_the_rename_leaves_no_half_file(self, inbox: Inbox) -> None:
        kept = inbox.receive(encoded(ct_ := ct()), **command(ct_))
        half = kept.path.parent / ".0123.part"
        half.write_bytes(b"half")
        assert inbox.recover().removed == 1
        assert files(inbox) == [kept.path]

    def test_a_crash_before_the_record_is_made_good(
        self, inbox: Inbox, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        image = ct()
        with monkeypatch.context() as patch:
            patch.setattr(Store, "record_instance", lambda *_, **__: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                inbox.receive(encoded(image), **command(image))
        assert store.instances_of(image.StudyInstanceUID) == []
        (instance,) = inbox.recover().recorded
        assert store.instances_of(image.StudyInstanceUID) == [instance]
        assert store.worklist()[0].study.patient_name == "Zhang^San"
        assert instance.source_ae == "SENDER"
        assert inbox.recover().recorded == []
        assert inbox.receive(encoded(image), **command(image)) == instance

    def test_a_file_that_a_power_cut_left_half_is_not_recorded(
        self, inbox: Inbox, store: Store
    ) -> None:
        image = ct()
        kept = inbox.receive(encoded(image), **command(image))
        with store.engine.begin() as db:
            db.execute(delete(instances))
        content = kept.path.read_bytes()
        kept.path.write_bytes(content[:-100])  # renamed, but not all of it was on the disk
        found = inbox.recover()
        assert (found.recorded, found.unreadable) == ([], [kept.path])
        assert inbox.receive(encoded(image), **command(image)).path == kept.path
        assert kept.path.read_bytes() == content

    def test_an_older_version_does_not_displace_the_newer(self, inbox: Inbox, store: Store) -> None:
        image = ct()
        inbox.receive(encoded(image), **command(image))
        time.sleep(0.02)
        image.PixelData = b"\x01" * 512
        newer = inbox.receive(encoded(image), **command(image))
        assert inbox.recover().recorded == []
        assert store.instances_of(image.StudyInstanceUID) == [newer]

    def test_the_first_version_sent_again_is_the_newest_and_stays_it(
        self, inbox: Inbox, store: Store
    ) -> None:
        image = ct()
        first = inbox.receive(encoded(image), **command(image))
        time.sleep(0.02)
        changed = ct(**{e.keyword: e.value for e in image if e.keyword != "PixelData"})
        changed.PixelData = b"\x01" * 512
        inbox.receive(encoded(changed), **command(changed))
        time.sleep(0.02)
        assert inbox.receive(encoded(image), **command(image)) == first
        assert inbox.recover().recorded == []
        assert store.instances_of(image.StudyInstanceUID) == [first]

    def test_a_foreign_file_is_left_alone_and_named(self, inbox: Inbox) -> None:
        image = ct()
        kept = inbox.receive(encoded(image), **command(image))
        foreign = kept.path.parent / "notes.dcm"
        foreign.write_text("not an image, but somebody put it here")
        assert inbox.recover().unreadable == [foreign]
        assert foreign.exists()


class TestImport:
    def test_a_file_and_the_same_object_by_network_are_one(
        self, inbox: Inbox, tmp_path: Path
    ) -> None:
        image = ct()
        instance = inbox.import_file(saved(image, tmp_path / "a.dcm"), source_ae="folder")
        assert instance.source_ae == "folder"
        again = inbox.receive(
            bytes(split_file(instance.path.read_bytes()).dataset), **command(image)
        )
        assert again.path == instance.path

    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    def test_a_bare_data_set_is_taken(self, inbox: Inbox, tmp_path: Path, syntax: str) -> None:
        image = ct()
        path = tmp_path / "bare"
        path.write_bytes(encoded(image, syntax))
        assert inbox.import_file(path).sop_instance_uid == image.SOPInstanceUID

    @pytest.mark.parametrize("content", [b"", b"x", b"hello, I am no image", bytes(200)])
    def test_what_is_no_dicom_file_is_refused(
        self, inbox: Inbox, tmp_path: Path, content: bytes
    ) -> None:
        path = tmp_path / "file"
        path.write_bytes(content)
        with pytest.raises(Refused):
            inbox.import_file(path)

    def test_a_cut_off_meta_header_is_refused(self, inbox: Inbox, tmp_path: Path) -> None:
        path = saved(ct(), tmp_path / "a.dcm")
        path.write_bytes(path.read_bytes()[:160])
        with pytest.raises(Refused):
            inbox.import_file(path)
