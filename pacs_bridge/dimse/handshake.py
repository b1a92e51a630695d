"""Why a node and we do not come together over TLS: the library below says only that we don't."""

from __future__ import annotations

import contextlib
import socket
import ssl

_ALERT_S = 3.0
"""With TLS 1.3 a node that refuses our certificate says so only after the handshake."""


def handshake_problem(host: str, port: int, context: ssl.SSLContext, timeout_s: float) -> str:
    """Try a handshake; what stands in its way, or nothing where it works or nobody is there."""
    try:
        with (
            socket.create_connection((host, port), timeout_s) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            secured.settimeout(_ALERT_S)
            with contextlib.suppress(TimeoutError):
                secured.recv(1)
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not trusted: {error.verify_message}"
    except ssl.SSLError as error:
        return (error.reason or str(error)).replace("_", " ").lower()
    except OSError:
        return ""
    return ""
