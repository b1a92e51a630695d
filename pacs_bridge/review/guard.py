"""What every request and answer passes: the host asked for, the size, the headers.

Plain ASGI, because it must see answers before they leave; the routes are synchronous.
"""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Set on every answer that does not set them itself."""

LARGEST_BODY = 512 * 1024
"""Bytes; the page takes texts, no files."""
UNBOUNDED = "/dicom-web/"
"""What lies there takes images, and looks after their size itself."""


class Guard:
    """Refuses foreign hosts and large bodies; puts :data:`HEADERS` on every answer.

    Args:
        app: what to guard.
        hosts: names the page is reached by, without port (a page elsewhere whose name was
            rebound to this address asks for its own name); empty: any.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = ()) -> None:
        self._app = app
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        if self._hosts and _name(headers.get("host", "")) not in self._hosts:
            return PlainTextResponse("This page is not served under that name.\n", 421)
        if scope["method"] in ("GET", "HEAD", "OPTIONS") or scope["path"].startswith(UNBOUNDED):
            return None
        length = headers.get("content-length", "0" if scope["method"] == "DELETE" else "")
        if not length.isdecimal():
            return PlainTextResponse("Content-Length is needed.\n", 411)
        if int(length) > LARGEST_BODY:
            return PlainTextResponse(f"At most {LARGEST_BODY} bytes.\n", 413)
        return None


def _name(host: str) -> str:
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
