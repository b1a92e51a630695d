"""The notification channel: event reports as DICOM JSON over WebSocket (PS3.18 8.10, 11.13)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import cast

import anyio
from anyio import to_thread
from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from pacs_bridge.dicomweb.server.access import Access
from pacs_bridge.errors import WorkitemRefused
from pacs_bridge.ups.watching import checked_ae
from pacs_bridge.ups.worklist import Worklist

_log = logging.getLogger(__name__)

router = APIRouter()

LOOK_AGAIN_S = 2.0
"""What another server on the same database reports is noticed after this."""
PROTOCOL = "dicom"
"""Subprotocol that is agreed to where it is offered."""
REPLACED = 4000
"""Close code of a channel in whose place the same AE has opened another."""


class Channels:
    """The newest channel of each AE; only from the event loop."""

    def __init__(self) -> None:
        self._open: dict[str, anyio.CancelScope] = {}

    def take(self, ae_title: str, scope: anyio.CancelScope) -> None:
        """An AE has opened a channel: an older one is ended."""
        if older := self._open.get(ae_title):
            older.cancel()
        self._open[ae_title] = scope

    def leave(self, ae_title: str, scope: anyio.CancelScope) -> None:
        """A channel has ended."""
        if self._open.get(ae_title) is scope:
            del self._open[ae_title]


@router.websocket("/subscribers/{ae_title}")
async def subscriber(websocket: WebSocket, ae_title: str) -> None:
    """Report to an AE what it subscribed to, what it has missed first."""
    access = cast(Access, websocket.app.state.access)
    worklist = cast(Worklist, websocket.app.state.worklist)
    channels = cast(Channels, websocket.app.state.channels)
    try:
        caller = await to_thread.run_sync(access.caller, websocket, "order")
        ae_title = checked_ae(ae_title)
    except HTTPException as error:
        answer = PlainTextResponse(f"{error.detail}\n", error.status_code, error.headers)
        await websocket.send_denial_response(answer)
        return
    except WorkitemRefused as error:
        await websocket.send_denial_response(PlainTextResponse(f"{error}\n", error.status))
        return
    offered = websocket.scope.get("subprotocols") or ()
    await websocket.accept(PROTOCOL if PROTOCOL in offered else None)
    _log.info("%s opened the notification channel of %s", caller.who, ae_title)
    bell = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ring() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended with the server
            loop.call_soon_threadsafe(bell.set)

    end = worklist.listen(ring)
    with anyio.CancelScope() as scope:
        channels.take(ae_title, scope)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(_until_closed, websocket, group.cancel_scope)
                await _report(websocket, worklist, ae_title, bell)
        finally:
            end()
            channels.leave(ae_title, scope)
    if scope.cancelled_caught:
        await websocket.close(REPLACED, "another channel was opened for this AE")


async def _report(
    websocket: WebSocket, worklist: Worklist, ae_title: str, bell: asyncio.Event
) -> None:
    message = 0
    while True:
        bell.clear()
        for number, report in await to_thread.run_sync(worklist.waiting_for, ae_title):
            message = message % 65535 + 1
            report.MessageID = message
            try:
                await websocket.send_text(json.dumps(report.to_json_dict(), ensure_ascii=False))
            except (WebSocketDisconnect, RuntimeError):  # closed: it is told the next time
                return
            await to_thread.run_sync(worklist.heard, number)
        with anyio.move_on_after(LOOK_AGAIN_S):
            await bell.wait()


async def _until_closed(websocket: WebSocket, scope: anyio.CancelScope) -> None:
    """Whatever the other side says is ignored, but that it goes."""
    try:
        while True:
            await websocket.receive_text()
    except (WebSocketDisconnect, KeyError, RuntimeError):
        scope.cancel()
