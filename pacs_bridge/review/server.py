"""Runs the page on uvicorn in a thread of its own."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass

import uvicorn
from fastapi import FastAPI

from pacs_bridge.errors import SettingsError

START_S = 20.0
STOP_S = 5


@dataclass(frozen=True)
class RunningServer:
    """The page, being served.

    Args:
        url: without a trailing slash.
    """

    url: str
    port: int
    _server: uvicorn.Server
    _thread: threading.Thread

    def stop(self) -> None:
        """Stop taking requests, let the running ones end, and return when it is over."""
        self._server.should_exit = True
        self._thread.join(STOP_S + 5)

    @property
    def running(self) -> bool:
        """Whether it still serves."""
        return self._thread.is_alive()


def serve_in_thread(app: FastAPI, host: str, port: int) -> RunningServer:
    """Serve ``app``; returns when the port answers.

    Args:
        app: from :func:`pacs_bridge.review.app.create_app`.
        host: address to bind.
        port: 0 picks a free one.

    Raises:
        SettingsError: the address can't be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host.strip("[]"), port))
    except OSError as error:
        listening.close()
        raise SettingsError(
            f"review.host = {host!r}, review.port = {port}: can't be bound: {error}. Choose "
            "another port, or stop what uses this one"
        ) from error
    bound = listening.getsockname()[1]
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False,
        timeout_graceful_shutdown=STOP_S, lifespan="off",
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listening]}, name="review", daemon=True
    )
    thread.start()
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    deadline = threading.Event()
    waited = 0.0
    while not server.started:
        if not thread.is_alive() or waited > START_S:
            raise SettingsError(f"the review page did not start on {shown}:{bound}; see the log")
        deadline.wait(0.02)
        waited += 0.02
    return RunningServer(f"http://{shown}:{bound}", bound, server, thread)
