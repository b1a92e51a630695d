"""Storing by STOW-RS: a real Orthanc, and servers that answer as they like."""

from __future__ import annotations

import socket
import ssl
import threading
from email import message_from_bytes
from email.policy import HTTP
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO

from pacs_bridge import doctor
from pacs_bridge.dicomweb.stow import WebStore
from pacs_bridge.doctor import Health
from pacs_bridge.errors import PeerBusy, PeerRefused, PeerUnreachable
from pacs_bridge.settings import DestinationSettings, Settings
from tests.network.certificates import make_authority, make_certificate
from tests.network.orthanc import Orthanc, free_port
from tests.network.webstore import response, web_server
from tests.unit.pacs_bridge.made import ct, saved


def store_at(port: int, scheme: str = "http", login: str = "", **values: object) -> WebStore:
    url = f"{scheme}://{login}127.0.0.1:{port}/dicom-web"
    settings = DestinationSettings.model_validate({"name": "web", "dicomweb_url": url, **values})
    return WebStore(settings, 5.0)


def test_orthanc_keeps_what_is_stored_byte_for_byte(orthanc: Orthanc, tmp_path: Path) -> None:
    images = [ct(), ct()]
    path = saved(images[0], tmp_path / "a.dcm")
    port = int(orthanc.http.rpartition(":")[2])
    outcomes = store_at(port).store([path, images[1], path, tmp_path / "gone.dcm"])
    assert [outcome.error is None for outcome in outcomes] == [True, True, True, False]
    assert [o.sop_instance_uid for o in outcomes[:2]] == [i.SOPInstanceUID for i in images]
    (held,) = orthanc.find("Instance", {"SOPInstanceUID": outcomes[0].sop_instance_uid})
    assert orthanc.file(held["ID"]) == path.read_bytes()
    store_at(port).reach()
    with pytest.raises(PeerRefused, match="Check dicomweb_url: STOW-RS is .*/nowhere/studies"):
        WebStore(
            DestinationSettings(name="web", dicomweb_url=f"http://127.0.0.1:{port}/nowhere"), 5.0
        ).store([path])


def test_the_request_is_as_the_standard_says_and_names_nobody() -> None:
    image = ct()
    uid = str(image.SOPInstanceUID)
    with web_server(answer=response(uid)) as server:
        (outcome,) = store_at(server.port, login="us:s%40cret@").store([image])
    assert outcome.error is None
    ((method, path, headers, body),) = server.requests
    assert (method, path) == ("POST", "/dicom-web/studies")
    assert headers["Authorization"] == "Basic dXM6c0BjcmV0"
    assert headers["Accept"] == "application/dicom+json"
    head = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
    (part,) = message_from_bytes(head + body, policy=HTTP).iter_parts()
    assert part.get_content_type() == "application/dicom"
    content = body.split(b"\r\n\r\n", 1)[1].rpartition(b"\r\n--")[0]
    assert dcmread(DicomBytesIO(content)).SOPInstanceUID == uid
    assert "s@cret" not in str(store_at(server.port, login="us:s%40cret@"))


@pytest.mark.parametrize(
    ("status", "failure", "kind", "told"),
    [
        (409, 0xA700, PeerBusy, "failure reason 0xA700"),
        (409, 0x0122, PeerRefused, "failure reason 0x0122"),
        (409, 0xC122, PeerRefused, "failure reason 0xC122"),
        (202, 0x0110, PeerBusy, "with 202, failure reason 0x0110"),
        (200, 0xA900, PeerRefused, "with 200, failure reason 0xA900"),
        (400, None, PeerRefused, "with 400, and does not say that it kept it"),
        (413, None, PeerRefused, "with 413"),
        (500, None, PeerBusy, "with 500"),
        (202, None, PeerRefused, "with 202, and does not say"),
    ],
)
def test_a_failure_is_the_objects_own(
    status: int, failure: int | None, kind: type[Exception], told: str
) -> None:
    image = ct()
    answer = None if failure is None else response(str(image.SOPInstanceUID), failure)
    with web_server(status=status, answer=answer) as server:
        (outcome,) = store_at(server.port).store([image])
    assert type(outcome.error) is kind
    assert told in str(outcome.error)


@pytest.mark.parametrize(
    ("answer", "note"),
    [
        (lambda uid: response(uid, warning=0xB000), "warning 0xB000"),
        (lambda uid: response(uid, failure=0x0111), "the server had it already"),
        (lambda uid: [response(uid)], ""),
        (lambda uid: b"<xml/>", ""),
        (lambda uid: {"00081199": "odd"}, ""),
        (lambda uid: None, ""),
    ],
)  # fmt: skip
def test_what_counts_as_stored(answer, note: str) -> None:  # type: ignore[no-untyped-def]
    image = ct()
    with web_server(answer=answer(str(image.SOPInstanceUID))) as server:
        (outcome,) = store_at(server.port).store([image])
    assert outcome.error is None
    assert outcome.note == note


@pytest.mark.parametrize(
    ("status", "kind", "told"),
    [
        (401, PeerRefused, "401 Unauthorized. Check user and password in dicomweb_url"),
        (403, PeerRefused, "403 Forbidden"),
        (404, PeerRefused, "404 Not Found. Check dicomweb_url: STOW-RS is"),
        (503, PeerBusy, "503 Service Unavailable. It may take us later"),
    ],
)
def test_a_server_that_takes_nothing_is_named_without_the_password(
    status: int, kind: type[Exception], told: str
) -> None:
    with web_server(status=status) as server, pytest.raises(kind) as error:
        store_at(server.port, login="us:secret@").store([ct()])
    assert told in str(error.value)
    assert "secret" not in str(error.value)


def test_the_doctor_asks_web_destinations_too() -> None:
    with web_server(answer=[]) as good, web_server(status=401) as bad:
        destinations = [
            DestinationSettings(name=name, dicomweb_url=f"http://us:secret@127.0.0.1:{port}/dw")
            for name, port in (("good", good.port), ("bad", bad.port))
        ]
        found = list(doctor._peers(Settings(destinations=tuple(destinations))))
    assert [(each.subject, each.health) for each in found] == [
        ("Destination good", Health.GOOD), ("Destination bad", Health.BAD),
    ]  # fmt: skip
    assert "401 Unauthorized" in found[1].found
    assert "secret" not in f"{found}"


def test_a_redirection_is_not_followed() -> None:
    with (
        web_server() as elsewhere,
        web_server(
            status=307, headers={"Location": f"http://127.0.0.1:{elsewhere.port}/"}
        ) as server,
        pytest.raises(PeerRefused, match="307 Temporary Redirect"),
    ):
        store_at(server.port, login="us:secret@").store([ct()])
    assert elsewhere.requests == []


def test_nobody_there_is_unreachable() -> None:
    with pytest.raises(PeerUnreachable, match="Connection refused.*firewall"):
        store_at(free_port()).store([ct()])


def test_over_tls_only_to_whom_we_trust_and_with_our_certificate(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    theirs = make_certificate(tmp_path, "server", authority)
    ours = make_certificate(tmp_path, "preread", authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(theirs.certificate, theirs.key)
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    image = ct()
    trusting = {"authorities": str(authority.certificate)}
    mutual = trusting | {"certificate": str(ours.certificate), "key": str(ours.key)}
    with web_server(context, answer=response(str(image.SOPInstanceUID))) as server:
        with pytest.raises(PeerRefused, match="certificate verify failed.*Check its certificate"):
            store_at(server.port, "https").store([image])
        with pytest.raises((PeerRefused, PeerUnreachable)):
            store_at(server.port, "https", tls=trusting).store([image])
        (outcome,) = store_at(server.port, "https", tls=mutual).store([image])
    assert outcome.error is None
    assert len(server.requests) == 1


def test_a_server_that_hangs_up_over_a_large_body_is_told_apart_from_one_that_is_not_there() -> (
    None
):
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up() -> None:
            connection, _ = listening.accept()
            connection.recv(1000)
            connection.close()  # with more to read: the caller is reset

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(PeerBusy, match="hung up on us .* the largest body that it, or a proxy"):
            store_at(listening.getsockname()[1]).store([ct(PixelData=bytes(20_000_000))])
        thread.join()
