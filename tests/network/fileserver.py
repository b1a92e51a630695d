"""A real HTTP server in a thread that serves files, and misbehaves when asked to."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FileServer:
    """Files by path, and how they are served. ``requests`` keeps each (path, headers)."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.ranges = True
        """Whether Range is obeyed."""
        self.tag: str | None = None
        """ETag; None: made of the content; empty: none is sent."""
        self.length = True
        """Whether Content-Length is sent."""
        self.break_after: list[int] = []
        """One number a request, as long as there are any: bytes after which the line breaks."""
        self.status: list[int] = []
        """One status a request, as long as there are any, instead of the file."""
        self.redirects: dict[str, str] = {}
        self.headers: dict[str, str] = {}
        self.pause_s = 0.0
        """Wait between pieces of 64 KiB."""
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.url = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = {name.lower(): value for name, value in handler.headers.items()}
        self.requests.append((handler.path, asked))
        if self.status:
            self._refuse(handler, self.status.pop(0))
            return
        if handler.path in self.redirects:
            handler.send_response(302)
            handler.send_header("Location", self.redirects[handler.path])
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        content = self.files.get(handler.path.split("?")[0])
        if content is None:
            self._refuse(handler, 404)
            return
        tag = self.tag if self.tag is not None else f'"{hashlib.md5(content).hexdigest()}"'
        start = self._start(asked, tag)
        if start >= len(content):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(content)}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if self.length:
            handler.send_header("Content-Length", str(len(content) - start))
        if tag:
            handler.send_header("ETag", tag)
        handler.end_headers()
        self._send(handler, content[start:])

    def _start(self, asked: dict[str, str], tag: str) -> int:
        if not self.ranges or "range" not in asked or asked.get("if-range", tag) != tag:
            return 0
        return int(asked["range"].removeprefix("bytes=").rstrip("-"))

    def _send(self, handler: BaseHTTPRequestHandler, content: bytes) -> None:
        until = self.break_after.pop(0) if self.break_after else len(content)
        for at in range(0, min(until, len(content)), 1 << 16):
            handler.wfile.write(content[at : min(at + (1 << 16), until)])
            if self.pause_s:
                handler.wfile.flush()
                time.sleep(self.pause_s)
        handler.close_connection = True

    def _refuse(self, handler: BaseHTTPRequestHandler, status: int) -> None:
        handler.send_response(status)
        for name, value in self.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()


@contextmanager
def file_server() -> Iterator[FileServer]:
    """A server on a free port, up for as long as the block runs."""
    server = FileServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.answer(self)

        def log_message(self, format: str, *args: Any) -> None: ...

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    # A client that went away must not hold up the end of the test.
    listening.daemon_threads = True
    listening.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{listening.server_port}"
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join(timeout=10)
