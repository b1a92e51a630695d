"""What a listener promises of TLS (PS3.15 B.12), whichever data path takes the objects in."""

from __future__ import annotations

import os
import socket
import ssl
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import CTImageStorage
from pynetdicom import AE, build_context

from pacs_bridge.dimse.tls import client_context
from pacs_bridge.errors import SettingsError
from pacs_bridge.sections import ListenerTlsSettings, TlsSettings
from pacs_bridge.store import Instance
from tests.contract.listener_suite import Running
from tests.network.certificates import Certificate, make_authority, make_certificate
from tests.network.raw_peer import RJ, RawPeer, association_request
from tests.network.senders import association
from tests.unit.pacs_bridge.made import ct


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def ours(authority: Certificate) -> Certificate:
    return make_certificate(authority.key.parent, "preread", authority)


@pytest.fixture(scope="session")
def theirs(authority: Certificate) -> Certificate:
    return make_certificate(authority.key.parent, "scanner", authority)


class ListenerTlsSuite:
    """Mixed into a class that has the fixture ``running``: settings and services to a listener."""

    def tls(self, ours: Certificate, authority: Certificate, **more: Any) -> ListenerTlsSettings:
        return ListenerTlsSettings(
            port=0,
            certificate=str(ours.certificate),
            key=str(ours.key),
            authorities=str(authority.certificate),
            **more,
        )

    def test_who_has_a_certificate_sends_over_tls(
        self, running: Running, authority: Certificate, ours: Certificate, theirs: Certificate
    ) -> None:
        client = TlsSettings(
            authorities=str(authority.certificate),
            certificate=str(theirs.certificate),
            key=str(theirs.key),
        )
        stored: list[Instance] = []
        with running(tls=self.tls(ours, authority), on_stored=stored.append) as listener:
            assert listener.tls_port is not None
            made = AE("SENDER").associate(
                "127.0.0.1",
                listener.tls_port,
                [build_context(CTImageStorage)],
                ae_title="PREREAD",
                tls_args=(client_context(client), "127.0.0.1"),
            )
            assert made.is_established
            image = ct(PixelData=os.urandom(1_000_000))
            assert made.send_c_store(image).Status == 0x0000
            made.release()
            with association(listener.port) as sender:  # the other port, without
                assert sender.is_established
        assert dcmread(stored[0].path).PixelData == image.PixelData

    def test_who_has_none_or_speaks_an_old_version_does_not(
        self, running: Running, authority: Certificate, ours: Certificate, theirs: Certificate
    ) -> None:
        stranger = make_authority(authority.key.parent, "stranger")
        known = {"certificate": str(theirs.certificate), "key": str(theirs.key)}
        trusted = {"authorities": str(authority.certificate)}
        with running(tls=self.tls(ours, authority), plain=False) as listener:
            assert listener.tls_port is not None
            address = ("127.0.0.1", listener.tls_port)
            waits = socket.create_connection(address)  # says nothing, holds up nobody
            other = {"certificate": str(stranger.certificate), "key": str(stranger.key)}
            old = client_context(TlsSettings(**trusted, **known))
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
            for context in (
                client_context(TlsSettings(**trusted)),
                client_context(TlsSettings(**trusted, **other)),
                old,
            ):
                with (
                    pytest.raises(OSError),
                    context.wrap_socket(
                        socket.create_connection(address, timeout=10),
                        server_hostname="127.0.0.1",
                    ) as secure,
                ):
                    secure.sendall(association_request())
                    if not secure.recv(6):
                        raise ConnectionResetError
            with pytest.raises(ssl.SSLCertVerificationError):  # it isn't who it says
                client_context(TlsSettings(authorities=str(stranger.certificate))).wrap_socket(
                    socket.create_connection(address, timeout=10), server_hostname="127.0.0.1"
                )
            with RawPeer(listener.tls_port) as peer:  # no TLS at all
                peer.send(association_request())
                assert peer.receive()[0] != RJ
            context = client_context(TlsSettings(**trusted, **known))
            with context.wrap_socket(
                socket.create_connection(address, timeout=10), server_hostname="127.0.0.1"
            ) as secure:
                assert secure.version() == "TLSv1.3"
                secure.sendall(association_request())
                assert secure.recv(1) == b"\x02"
            waits.close()

    def test_a_certificate_that_is_not_there_is_a_clear_error(self, running: Running) -> None:
        nowhere = ListenerTlsSettings(port=0, certificate="/nowhere.pem", client_certificates="off")
        expected = "listener.tls.certificate = '/nowhere.pem'"
        with pytest.raises(SettingsError, match=expected), running(tls=nowhere):
            pass
