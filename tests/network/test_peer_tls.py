"""Calling nodes over TLS: DCMTK's storescp, our own listener, and reasons when it does not work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pacs_bridge.deliver import Courier
from pacs_bridge.delivery.senders import check_destinations
from pacs_bridge.dimse.peer import Peer
from pacs_bridge.errors import PeerRefused, PeerUnreachable, SettingsError
from pacs_bridge.sections import TlsSettings
from pacs_bridge.settings import PeerSettings
from pacs_bridge.states import DeliveryState
from pacs_bridge.store import Store
from tests.network.archive import destination, entered, state_of
from tests.network.certificates import Certificate, make_authority, make_certificate
from tests.network.orthanc import free_port
from tests.network.receiving import running_storescp
from tests.patience import PATIENT_S
from tests.unit.pacs_bridge.made import ct


@dataclass(frozen=True)
class Papers:
    """Who is who."""

    authority: Certificate
    stranger: Certificate
    theirs: Certificate
    elsewhere: Certificate
    """Vouched for, and made out to another host."""
    ours: Certificate

    @property
    def tls(self) -> dict[str, object]:
        """What the settings of a destination say."""
        return {
            "authorities": str(self.authority.certificate),
            "certificate": str(self.ours.certificate),
            "key": str(self.ours.key),
        }


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    folder = tmp_path_factory.mktemp("certificates")
    authority = make_authority(folder)
    return Papers(
        authority,
        make_authority(folder, "stranger"),
        make_certificate(folder, "archive", authority),
        make_certificate(folder, "elsewhere", authority, "DNS:elsewhere.example"),
        make_certificate(folder, "preread", authority),
    )


@contextmanager
def storescp(folder: Path, papers: Papers, own: Certificate) -> Iterator[int]:
    """DCMTK's receiver, which asks for a certificate that the authority vouches for."""
    options = (
        "+tls", str(own.key), str(own.certificate), "+cf", str(papers.authority.certificate), "-rc",
    )  # fmt: skip
    with running_storescp(folder, *options) as port:
        yield port


def peer(port: int, tls: dict[str, object] | None, timeout_s: float = 5.0) -> Peer:
    secured = TlsSettings.model_validate(tls) if tls is not None else None
    where = PeerSettings(ae_title="ORTHANC", host="127.0.0.1", port=port, tls=secured)
    return Peer(where, "PREREAD", timeout_s)


def test_results_reach_storescp_over_tls(store: Store, tmp_path: Path, papers: Papers) -> None:
    with storescp(tmp_path / "kept", papers, papers.theirs) as port:
        pacs = destination(port, tls=papers.tls)
        courier = Courier(store, [pacs], "PREREAD")
        image, path = entered(courier, tmp_path, PixelData=bytes(3_000_000))
        courier.start()
        until = time.monotonic() + PATIENT_S
        while state_of(store, image) is not DeliveryState.DELIVERED:
            assert time.monotonic() < until, store.deliveries_of(str(image.StudyInstanceUID))
            time.sleep(0.02)
        courier.stop()
        (state,) = courier.destinations()
    assert state.tls
    (kept,) = (tmp_path / "kept").iterdir()
    assert kept.stat().st_size == pytest.approx(path.stat().st_size, abs=400)


def test_what_stands_in_the_way_is_named(tmp_path: Path, papers: Papers) -> None:
    trusting = {"authorities": str(papers.authority.certificate)}
    with storescp(tmp_path / "a", papers, papers.theirs) as port:
        peer(port, papers.tls).echo()
        with pytest.raises(PeerRefused, match="no TLS: its certificate is not trusted: "):
            peer(port, papers.tls | {"authorities": str(papers.stranger.certificate)}).echo()
        with pytest.raises(PeerRefused, match="no TLS: .*(alert|handshake|certificate)"):
            peer(port, trusting).echo()  # it asks for ours
        with pytest.raises(PeerUnreachable):
            peer(port, None, 1.0).echo()
    with storescp(tmp_path / "b", papers, papers.elsewhere) as port:
        with pytest.raises(PeerRefused, match="IP address mismatch.*check_name"):
            peer(port, papers.tls).store([ct()])
        peer(port, papers.tls | {"check_name": False}).echo()


def test_nobody_there_is_unreachable_over_tls_too(papers: Papers) -> None:
    with pytest.raises(PeerUnreachable, match="no association"):
        peer(free_port(), papers.tls).echo()


def test_files_that_are_missing_are_said_at_the_start_and_at_each_call(papers: Papers) -> None:
    wrong = papers.tls | {"key": "/no/such.key"}
    with pytest.raises(SettingsError, match="destination 'pacs': tls.key = '/no/such.key'"):
        check_destinations([destination(104, tls=wrong)])
    with pytest.raises(PeerRefused, match="can't be called over TLS: tls.key"):
        peer(104, wrong).echo()
