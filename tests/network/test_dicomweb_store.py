"""Storing over HTTP: each object's outcome, damaged bodies, full disks, who may."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from pacs_bridge.dicomweb.stow import WebStore
from pacs_bridge.settings import DestinationSettings, Settings
from tests.network.test_dicomweb_read import request
from tests.network.web_site import (
    HASH,
    WebSite,
    basic,
    content_of,
    images,
    running_web,
)
from tests.patience import PATIENT_S
from tests.unit.imaging.objects.made import two_findings

KIND = 'multipart/related; type="application/dicom"; boundary=xyz'


@pytest.fixture
def site(tmp_path: Path) -> Iterator[WebSite]:
    with running_web(tmp_path / "web") as site:
        yield site


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebSite]:
    """A server for those whose objects it never keeps."""
    with running_web(tmp_path_factory.mktemp("empty")) as site:
        yield site


@pytest.fixture(scope="module")
def made() -> list[Dataset]:
    return images(two_findings())


def body(*contents: bytes, end: bool = True) -> bytes:
    pieces = [b"--xyz\r\nContent-Type: application/dicom\r\n\r\n" + each for each in contents]
    return b"\r\n".join(pieces) + (b"\r\n--xyz--\r\n" if end else b"")


def outcome(answer: httpx.Response) -> Dataset:
    return Dataset.from_json(answer.json())


def reasons(answer: httpx.Response) -> list[int]:
    told = outcome(answer)
    items = [*told.get("FailedSOPSequence", []), *told.get("OtherFailuresSequence", [])]
    return [item.FailureReason for item in items]


def test_what_dicomweb_client_stores_is_held_and_announced(
    site: WebSite, made: list[Dataset]
) -> None:
    answer = site.client().store_instances(made)
    uids = {str(image.SOPInstanceUID) for image in made}
    assert {item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence} == uids
    assert "FailedSOPSequence" not in answer
    held = site.store.instances_of(str(made[0].StudyInstanceUID))
    assert {each.sop_instance_uid for each in held} == uids
    assert {each.source_ae for each in held} == {"both"}
    assert {each.sop_instance_uid for each in site.stored} == uids
    for instance in held:
        assert pydicom.dcmread(instance.path) in made
    (study,) = site.client().search_for_studies()
    assert answer.RetrieveURL == study["00081190"]["Value"][0]
    (event,) = [each for each in site.happened() if each.what == "web-stored"]
    assert (event.who, event.study_uid) == ("both", made[0].StudyInstanceUID)
    assert event.detail == f"{len(made)} objects kept"


def test_our_own_stow_client_stores_here(
    site: WebSite, made: list[Dataset], tmp_path: Path
) -> None:
    url = site.url.replace("//", "//sender:right@") + "/dicom-web"
    settings = DestinationSettings(name="us", dicomweb_url=url)
    path = tmp_path / "one.dcm"
    path.write_bytes(content_of(made[0]))
    outcomes = WebStore(settings).store([path, made[1]])
    assert [each.error for each in outcomes] == [None, None]
    assert len(site.stored) == 2


def test_each_object_has_its_own_outcome(site: WebSite, made: list[Dataset]) -> None:
    good = content_of(made[0])
    private, strange, cut = (pydicom.dcmread(io.BytesIO(content_of(each))) for each in made[1:4])
    private.SOPClassUID = private.file_meta.MediaStorageSOPClassUID = "1.2.3.4"
    strange.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    odd = content_of(strange).replace(
        str(ExplicitVRLittleEndian).encode() + b"\0", b"1.2.840.10008.9.9.1\0"
    )
    liar = content_of(cut)
    of_it = str(cut.SOPInstanceUID).encode()
    at = liar.rindex(of_it)
    liar = liar[:at] + of_it[:-1] + b"0" + liar[at + len(of_it) :]
    answer = site.post(
        "/studies", body(b"no file at all" * 20, good, content_of(private), odd, liar), KIND
    )
    assert answer.status_code == 202
    assert sorted(reasons(answer)) == sorted([0xC000, 0x0122, 0xC122, 0xA900])
    (kept,) = outcome(answer).ReferencedSOPSequence
    assert kept.ReferencedSOPInstanceUID == made[0].SOPInstanceUID
    assert kept.ReferencedSOPClassUID == CTImageStorage
    assert len(site.stored) == 1
    assert not list(site.inbox.folder.rglob(".*.part"))


def test_the_same_object_twice_is_no_failure(site: WebSite, made: list[Dataset]) -> None:
    for _ in range(2):
        assert site.post("/studies", body(content_of(made[0])), KIND).status_code == 200
    assert len(site.store.instances_of(str(made[0].StudyInstanceUID))) == 1


def test_an_object_of_another_study_is_refused(site: WebSite, made: list[Dataset]) -> None:
    answer = site.post("/studies/1.2.3", body(content_of(made[0])), KIND)
    assert answer.status_code == 409 and reasons(answer) == [0xA900]
    assert not site.stored
    right = f"/studies/{made[0].StudyInstanceUID}"
    assert site.post(right, content_of(made[0]), "application/dicom").status_code == 200


@pytest.mark.parametrize(
    ("kind", "content", "status"),
    [
        ("application/json", b"{}", 415),
        ('multipart/related; type="application/dicom+json"; boundary=xyz', b"--xyz--", 415),
        ('multipart/related; type="application/dicom"', b"--xyz--", 400),
        (KIND, b"", 400),
        (KIND, b"--xyz--\r\n", 400),
        (KIND, b"nothing of the kind", 400),
        (KIND, b"--xyz\r\nContent-Type: x", 400),
        (KIND, b"--xyz\r\n" + b"A: b\r\n" * 20_000, 400),
        (KIND, body(b""), 409),
    ],
)
def test_bodies_that_hold_nothing(empty: WebSite, kind: str, content: bytes, status: int) -> None:
    assert empty.post("/studies", content, kind).status_code == status
    assert not empty.stored


def test_what_came_whole_before_a_broken_end_is_kept(site: WebSite, made: list[Dataset]) -> None:
    first, second = content_of(made[0]), content_of(made[1])
    answer = site.post("/studies", body(first, second[:-200], end=False), KIND)
    assert answer.status_code == 202
    assert "ends before" in answer.headers["warning"]
    assert [each.sop_instance_uid for each in site.stored] == [made[0].SOPInstanceUID]
    assert not list(site.inbox.folder.rglob(".*.part"))


def test_a_sender_that_goes_away_leaves_nothing_half(site: WebSite, made: list[Dataset]) -> None:
    content = body(content_of(made[0]))
    host, port = site.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as line:
        head = (
            f"POST /dicom-web/studies HTTP/1.1\r\nHost: {host}:{port}\r\n"
            f"Authorization: {basic('sender')['Authorization']}\r\nContent-Type: {KIND}\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        line.sendall(head.encode() + content[:-300])
    until = time.monotonic() + PATIENT_S
    while time.monotonic() < until and not _broken_off(site):
        time.sleep(0.05)
    assert _broken_off(site)
    assert not site.stored and not list(site.inbox.folder.rglob(".*.part"))


def _broken_off(site: WebSite) -> bool:
    return any(each.detail.startswith("broken off") for each in site.happened())


def test_a_body_without_a_length_is_taken(site: WebSite, made: list[Dataset]) -> None:
    content = body(*(content_of(image) for image in made))
    pieces = (content[at : at + 777] for at in range(0, len(content), 777))
    assert site.post("/studies", pieces, KIND).status_code == 200
    assert len(site.stored) == len(made)


def test_a_full_disk_is_said_to_be_one(tmp_path: Path, made: list[Dataset]) -> None:
    with running_web(tmp_path / "web") as site:
        site.inbox.shelves._minimum_free = 1 << 60
        answer = site.post("/studies", body(content_of(made[0])), KIND)
        assert answer.status_code == 503 and reasons(answer) == [0xA700]
        assert answer.headers["retry-after"]


def test_an_object_can_be_too_large(tmp_path: Path, made: list[Dataset]) -> None:
    limit = {"enabled": True, "largest_object_mb": 1}
    with running_web(tmp_path / "web", dicomweb=limit) as site:
        big = pydicom.dcmread(io.BytesIO(content_of(made[0])))
        big.add_new(0x00091001, "OB", bytes(2_000_000))
        answer = site.post("/studies", body(content_of(big), content_of(made[1])), KIND)
        assert answer.status_code == 202 and reasons(answer) == [0xA701]
        assert len(site.stored) == 1


READER = {"user": "zhang", "name": "Zhang^San", "organization": "County Hospital"}


def test_where_readers_log_in_nobody_else_comes_in(tmp_path: Path) -> None:
    readers = [{**READER, "password_hash": HASH}]
    with running_web(tmp_path / "web", readers=readers) as site:
        answer = request(site, "GET", "/studies")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith('Basic realm="Preread"')
        with httpx.Client(base_url=site.url, trust_env=False) as browser:
            page = browser.get("/login").text
            csrf = page.split('name="csrf" value="')[1].split('"')[0]
            browser.post("/login", data={"user": "zhang", "password": "right", "csrf": csrf})
            assert browser.get("/dicom-web/studies").status_code == 204
            assert browser.post("/dicom-web/studies").status_code == 403  # a person stores nothing
        for _ in range(8):
            assert request(site, "GET", "/studies", headers=basic("viewer", "x")).status_code == 401
        assert request(site, "GET", "/studies", headers=basic("viewer", "x")).status_code == 429
        whats = [each.what for each in site.happened()]
        assert whats.count("web-log-in-failed") == 8 and "web-refused" in whats


@pytest.mark.parametrize("header", ["Basic !", "Basic", "Digest x", "Bearer", "Basic " + "=" * 9])
def test_headers_that_say_nobody(empty: WebSite, header: str) -> None:
    answer = request(empty, "GET", "/studies", headers={"Authorization": header})
    assert answer.status_code == 401


def test_pages_elsewhere_may_not_make_a_browser_store(tmp_path: Path, made: list[Dataset]) -> None:
    options: dict[str, Any] = {"enabled": True, "viewers": ["https://viewer.example"]}
    with running_web(tmp_path / "web", dicomweb=options) as site:

        def post(origin: str) -> httpx.Response:
            headers = {"Origin": origin, "Content-Type": "application/dicom"}
            return request(
                site, "POST", "/studies", headers=headers, content=content_of(made[0])
            )  # at the machine itself, where nobody logs in

        assert post("https://evil.example").status_code == 403
        assert not site.stored
        assert post(site.url).status_code == 200
        allowed = post("https://viewer.example")
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == "https://viewer.example"
        headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
        answer = request(site, "OPTIONS", "/studies", headers=headers)
        assert "access-control-allow-origin" not in answer.headers
        headers["Origin"] = "https://viewer.example"
        headers["Access-Control-Request-Headers"] = "authorization"
        assert request(site, "OPTIONS", "/studies", headers=headers).status_code == 200


def test_it_is_off_unless_switched_on() -> None:
    assert not Settings().dicomweb.enabled
