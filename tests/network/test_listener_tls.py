"""The listener's TLS against DCMTK's senders."""

from __future__ import annotations

import logging
import shutil
import subprocess
from pathlib import Path

import pytest
from pydantic import ValidationError

from pacs_bridge.dimse.listener import Listener
from pacs_bridge.dimse.tls import CIPHER_SUITES_1_2, client_context, server_context
from pacs_bridge.errors import SettingsError
from pacs_bridge.inbox import Inbox
from pacs_bridge.sections import ListenerTlsSettings, TlsSettings
from pacs_bridge.settings import ListenerSettings
from pacs_bridge.store import Instance
from tests.network.certificates import make_authority, make_certificate
from tests.network.conftest import dcmtk
from tests.network.raw_peer import ABORT, AC, association_request, pdu
from tests.unit.pacs_bridge.made import ct, saved


@pytest.mark.parametrize("data_path", ["own", "pynetdicom"])
def test_storescu_sends_over_tls_if_it_is_known(
    inbox: Inbox, stored: list[Instance], tmp_path: Path, data_path: str
) -> None:
    authority = make_authority(tmp_path)
    ours, theirs = (make_certificate(tmp_path, name, authority) for name in ("us", "them"))
    tls = ListenerTlsSettings(
        port=0,
        certificate=str(ours.certificate),
        key=str(ours.key),
        authorities=str(authority.certificate),
    )
    settings = ListenerSettings(host="127.0.0.1", port=0, plain=False, tls=tls, data_path=data_path)
    path = saved(ct(PixelData=bytes(2_000_000)), tmp_path / "a.dcm")
    with Listener(settings, inbox, stored.append) as listener:
        sends = ["-aec", "PREREAD", "127.0.0.1", str(listener.tls_port), str(path)]
        trusts = ["+cf", str(authority.certificate)]
        known = ["+tls", str(theirs.key), str(theirs.certificate)]
        answer = dcmtk("storescu", *known, *trusts, *sends)
        assert answer.returncode == 0, answer.stderr
        assert dcmtk("storescu", "+tla", *trusts, *sends).returncode != 0
        stranger = make_authority(tmp_path, "stranger")
        unknown = ["+tls", str(stranger.key), str(stranger.certificate)]
        assert dcmtk("storescu", *unknown, *trusts, *sends).returncode != 0
        assert dcmtk("storescu", *sends).returncode != 0
    assert len(stored) == 1


def test_openssl_is_let_in_by_the_rules_of_the_profile(
    inbox: Inbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """PS3.15 B.12: RFC 8996 (no version below 1.2), RFC 9325 (forward secrecy, AEAD)."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here")
    authority = make_authority(tmp_path)
    ours, theirs = (make_certificate(tmp_path, name, authority) for name in ("us", "them"))
    stranger = make_authority(tmp_path, "stranger")
    tls = ListenerTlsSettings(
        port=0, certificate=str(ours.certificate), key=str(ours.key),
        authorities=str(authority.certificate),
    )  # fmt: skip
    settings = ListenerSettings(host="127.0.0.1", port=0, plain=False, tls=tls)
    known = ["-cert", str(theirs.certificate), "-key", str(theirs.key)]
    caplog.set_level(logging.INFO, "pacs_bridge")
    with Listener(settings, inbox) as listener:

        def enters(*arguments: str) -> bool:
            """Whether an association is accepted over what openssl negotiates."""
            client = subprocess.run(
                [openssl, "s_client", "-quiet", "-connect", f"127.0.0.1:{listener.tls_port}",
                 "-verify_return_error", "-CAfile", str(authority.certificate), *arguments],
                input=association_request() + pdu(ABORT, bytes(4)),
                capture_output=True, timeout=30, check=False,
            )  # fmt: skip
            return client.stdout[:1] == bytes([AC])

        assert enters(*known)
        for suite in CIPHER_SUITES_1_2[::2]:  # those of an elliptic key, as ours is
            assert enters(*known, "-tls1_2", "-cipher", suite), suite
        assert not enters()
        assert not enters("-tls1_2")
        assert not enters("-cert", str(stranger.certificate), "-key", str(stranger.key))
        old = "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"
        assert not enters(*known, "-tls1_1", "-cipher", old)
        assert not enters(*known, "-tls1_2", "-cipher", old)
    told = [each.getMessage() for each in caplog.records if "no TLS" in each.getMessage()]
    assert len(told) == 5


def test_a_device_is_trusted_by_its_own_certificate_alone(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    device = make_certificate(tmp_path, "device", authority)
    context = client_context(TlsSettings(authorities=str(device.certificate), check_name=False))
    assert context.cert_store_stats()["x509"] == 1
    assert context.check_hostname is False


def test_what_can_not_be_used_is_named(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    ours = make_certificate(tmp_path, "us", authority)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.pem").write_text("no certificate")
    for values, told in (
        ({"authorities": str(tmp_path / "empty")}, "no certificate there"),
        ({"authorities": "/nowhere"}, "no such file or folder"),
        ({"authorities": str(tmp_path / "text.pem")}, "PEM certificates are wanted"),
        ({"key": str(ours.key)}, "tls.certificate is not"),
        ({"certificate": str(ours.certificate), "key": str(authority.key)}, "belongs to"),
        ({"certificate": str(ours.certificate), "key": "/nowhere.key"}, "tls.key = '/nowhere.key'"),
    ):
        with pytest.raises(SettingsError, match=told):
            client_context(TlsSettings(**values))
    with pytest.raises(ValidationError, match="authorities"):
        ListenerTlsSettings(certificate=str(ours.certificate))
    open_to_all = ListenerTlsSettings(
        certificate=str(ours.certificate), key=str(ours.key), client_certificates="off"
    )
    assert not server_context(open_to_all).verify_mode
