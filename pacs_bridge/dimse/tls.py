"""TLS contexts for DICOM (PS3.15 B.12, the profile of BCP 195: RFC 8996 and RFC 9325).

TLS 1.2 and 1.3; of 1.2 only key exchange with forward secrecy and authenticated encryption
(RFC 9325 4.2); no compression, no renegotiation. A context is made once, when the files of the
settings are read; a renewed certificate is taken up with the next start.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from pacs_bridge.errors import SettingsError
from pacs_bridge.sections import ListenerTlsSettings, TlsSettings

CIPHER_SUITES_1_2 = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
)
"""OpenSSL's names of the suites of RFC 9325 4.2; TLS 1.3 has its own, all of them sound."""
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def server_context(settings: ListenerTlsSettings) -> ssl.SSLContext:
    """The context that the listener wraps connections with.

    Raises:
        SettingsError: a file can't be used; names key, file and remedy.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, settings)
    where = "listener.tls"
    _show(context, settings, where)
    if settings.client_certificates == "required":
        _trust(context, settings.authorities, where)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(settings: TlsSettings) -> ssl.SSLContext:
    """The context for calling a node; give the node's host as the server's name with it.

    For pynetdicom: ``ae.associate(..., tls_args=(client_context(tls), host))``.

    Raises:
        SettingsError: a file can't be used; names key, file and remedy.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT, settings)
    context.check_hostname = settings.check_name
    if settings.authorities:
        _trust(context, settings.authorities, "tls")
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if settings.certificate:
        _show(context, settings, "tls")
    elif settings.key:
        raise SettingsError("tls.key is set and tls.certificate is not: name both, or neither")
    return context


def _context(side: int, settings: TlsSettings | ListenerTlsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.minimum_version = _VERSIONS[settings.minimum]
    context.set_ciphers(":".join(CIPHER_SUITES_1_2))
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    return context


def _show(context: ssl.SSLContext, settings: TlsSettings | ListenerTlsSettings, where: str) -> None:
    for key, file in (("certificate", settings.certificate), ("key", settings.key)):
        if file and not Path(file).is_file():
            raise SettingsError(f"{where}.{key} = {file!r}: no such file")
    try:
        context.load_cert_chain(
            settings.certificate,
            settings.key or None,
            # never None: OpenSSL would ask for it on the terminal
            password=settings.key_password,
        )
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{where}.certificate = {settings.certificate!r}, key = "
            f"{settings.key or settings.certificate!r}: {error}. Both are PEM files, the key "
            "belongs to the first certificate, and key_password opens it"
        ) from error


def _trust(context: ssl.SSLContext, authorities: str, where: str) -> None:
    path = Path(authorities)
    if not path.exists():
        raise SettingsError(f"{where}.authorities = {authorities!r}: no such file or folder")
    files = [path] if path.is_file() else sorted(path.glob("*.pem")) + sorted(path.glob("*.crt"))
    try:
        for file in files:
            context.load_verify_locations(file)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{where}.authorities = {authorities!r}: {error}. PEM certificates are wanted"
        ) from error
    if not context.get_ca_certs() and not context.cert_store_stats()["x509"]:
        raise SettingsError(
            f"{where}.authorities = {authorities!r}: no certificate there. In a folder, *.pem and "
            "*.crt are read"
        )
    # a device's own certificate may be what is trusted, with no authority above it
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
