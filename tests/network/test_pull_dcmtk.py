"""DCMTK's movescu and findscu beside us: told by them, archives send to us, and answer as to us."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from pacs_bridge.dimse.peer import Peer
from pacs_bridge.settings import PeerSettings
from tests.network.conftest import dcmtk
from tests.network.dcmqrscp import dcmqrscp, send
from tests.network.orthanc import BINARY, free_port, running_orthanc
from tests.network.pulling import PullSite, day, pull_site, series, series_uid_of, uid_of

FEW = 4
"""Images of a study: these tests are about questions."""


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module", params=["dcmqrscp", "Orthanc"])
def archive(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, port: int
) -> Iterator[PeerSettings]:
    """Three patients, one of them called in letters and characters, one of another year."""
    folder = tmp_path_factory.mktemp("archive")
    files = [
        series(folder, "chest", slices=FEW),
        series(folder, "zhang", slices=FEW, SpecificCharacterSet="ISO_IR 192", PatientID="Z1",
               PatientName="Zhang^San=张^三", StudyDescription="胸部平扫", StudyDate=day(3)),
        series(folder, "old", slices=FEW, PatientID="O1", StudyDate="20010203"),
    ]  # fmt: skip
    if request.param == "dcmqrscp":
        with dcmqrscp(folder, port) as peer:
            send(peer, *(each[0].parent for each in files))
            yield peer
        return
    if BINARY is None:
        pytest.skip("no Orthanc here: apt-get install orthanc orthanc-dicomweb")
    with running_orthanc(folder / "orthanc", port, DefaultEncoding="Utf8") as orthanc:
        peer = PeerSettings(ae_title="ORTHANC", host="127.0.0.1", port=orthanc.dicom_port)
        send(peer, *(each[0].parent for each in files))
        yield peer


def find_by_dcmtk(archive: PeerSettings, keys: dict[str, str], folder: Path) -> list[Dataset]:
    """The answers that findscu gets."""
    asked = ["-k", "SpecificCharacterSet=ISO_IR 192"]
    for keyword, value in keys.items():
        asked += ["-k", f"{keyword}={value}" if value else keyword]
    done = dcmtk("findscu", "-S", "-X", "-od", str(folder), "-aet", "PREREAD", "-aec",
                 archive.ae_title, *asked, archive.host, str(archive.port))  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [dcmread(path) for path in sorted(folder.glob("rsp*"))]


@pytest.mark.parametrize(
    ("keys", "studies"),
    [
        ({"PatientID": "Z1"}, {"zhang"}),
        ({"PatientID": "Z?"}, {"zhang"}),
        ({"PatientName": "*三*"}, {"zhang"}),
        ({"PatientName": "Zhang*"}, {"zhang"}),
        ({"StudyDescription": "胸部*"}, {"zhang"}),
        ({"StudyDescription": "*chest*"}, {"chest", "old"}),
        ({"StudyDate": day()}, {"chest"}),
        ({"StudyDate": f"{day(5)}-{day()}"}, {"chest", "zhang"}),
        ({"StudyDate": "-20091231"}, {"old"}),
        ({"StudyDate": f"{day(5)}-", "PatientID": "S1"}, {"chest"}),
        ({"PatientID": "nobody"}, set()),
    ],
    ids=[
        "id",
        "id-one-letter",
        "name-chinese",
        "name-roman",
        "description-chinese",
        "description-within",
        "today",
        "days",
        "until",
        "since-of-a-patient",
        "nobody",
    ],  # fmt: skip
)
def test_an_archive_answers_us_as_it_answers_findscu(
    archive: PeerSettings, tmp_path: Path, keys: dict[str, str], studies: set[str]
) -> None:
    fields = ("StudyInstanceUID", "PatientID", "PatientName", "StudyDate", "StudyDescription")
    asked = {"QueryRetrieveLevel": "STUDY", **dict.fromkeys(fields, ""), **keys}
    ours = Peer(archive, "PREREAD").find(asked)
    theirs = find_by_dcmtk(archive, asked, tmp_path)

    def told(answers: list[Dataset]) -> set[tuple[str, ...]]:
        return {tuple(str(each.get(field) or "") for field in fields) for each in answers}

    assert told(ours) == told(theirs)
    assert {uid for uid, *_ in told(ours)} == {uid_of(name) for name in studies}
    if studies == {"zhang"}:
        ((_, _, name, _, description),) = told(ours)
        assert (name, description) == ("Zhang^San=张^三", "胸部平扫")


def test_series_and_images_too(archive: PeerSettings, tmp_path: Path) -> None:
    above = {"StudyInstanceUID": uid_of("chest")}
    series_uid = series_uid_of("chest", "thin")
    for level, keys, field in (
        ("SERIES", above, "SeriesInstanceUID"),
        ("IMAGE", above | {"SeriesInstanceUID": series_uid}, "SOPInstanceUID"),
    ):
        asked = {"QueryRetrieveLevel": level, **keys}
        asked.setdefault(field, "")
        ours = Peer(archive, "PREREAD").find(asked)
        folder = tmp_path / level
        folder.mkdir()
        theirs = find_by_dcmtk(archive, asked, folder)
        assert {each[field].value for each in ours} == {each[field].value for each in theirs}
        assert len(ours) == (1 if level == "SERIES" else FEW)


@pytest.fixture
def site(tmp_path: Path, port: int) -> Iterator[PullSite]:
    with pull_site(tmp_path, port) as site:
        yield site


def test_told_by_movescu_an_archive_sends_a_study_to_us(
    archive: PeerSettings, site: PullSite
) -> None:
    done = dcmtk(
        "movescu", "-S", "-aet", "PREREAD", "-aec", archive.ae_title, "-aem", "PREREAD",
        "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid_of('zhang')}",
        archive.host, str(archive.port),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert site.held("zhang") == {series_uid_of("zhang", "thin"): FEW}
    assert {each.source_ae for each in site.arrived} == {archive.ae_title}
    study = site.store.study(uid_of("zhang"))
    assert (study.patient_name, study.description) == ("Zhang^San=张^三", "胸部平扫")
    assert site.store.unread_studies() == [uid_of("zhang")], "it is to be read"
