"""The worklist put together: its service, its resources, and ourselves as a performer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from fastapi import FastAPI, Request
from fastapi.responses import Response
from sqlalchemy.exc import SQLAlchemyError

from pacs_bridge.dicomweb.server.app import include
from pacs_bridge.dicomweb.server.house import PATH, house_of
from pacs_bridge.errors import SettingsError, WorkitemRefused
from pacs_bridge.inbox import Inbox
from pacs_bridge.settings import Settings
from pacs_bridge.store import Instance
from pacs_bridge.ups import channel, routes
from pacs_bridge.ups.fetch import Fetcher
from pacs_bridge.ups.performer import Performer
from pacs_bridge.ups.wire import refusal
from pacs_bridge.ups.worklist import Worklist

_log = logging.getLogger(__name__)

FORGET_EVERY_S = 3600.0


class Orders:
    """What others order here by workitems.

    Args:
        settings: ``ups``; ``listener``, ``site``, ``storage``, ``destinations`` and the archives
            are read too.
        inbox: where a study that is fetched is kept.
        kept: told of each object that is fetched (not by C-MOVE).
        begin_again: see :class:`Performer`.
        url: where people reach the page.

    Raises:
        SettingsError: the DICOMweb server is off.
    """

    def __init__(
        self,
        settings: Settings,
        inbox: Inbox,
        kept: Callable[[Instance], None],
        begin_again: Callable[[str, int, str], None],
        url: Callable[[], str],
    ) -> None:
        if not settings.dicomweb.enabled:
            raise SettingsError(
                "ups.enabled = true needs the DICOMweb server: set dicomweb.enabled = true"
            )
        self._keep_s = settings.ups.keep_days * 86400
        performs = settings.ups.perform
        stations = settings.ups.stations or (settings.listener.ae_title,)
        self.worklist = Worklist(
            inbox.store, stations if performs else (), settings.ups.work if performs else ()
        )
        self._fetcher = Fetcher(settings, inbox, kept)
        self.performer = Performer(
            settings, inbox.store, self.worklist, self._fetcher, begin_again, lambda: url() + PATH
        )
        self._performs = performs
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._forget, name="ups-forget", daemon=True)

    def mount(self, web: FastAPI) -> None:
        """Add the resources to the DICOMweb server."""
        web.state.worklist = self.worklist
        web.state.channels = channel.Channels()
        include(web, routes.router)
        include(web, channel.router)
        web.add_exception_handler(WorkitemRefused, _refused)

    def start(self) -> None:
        """Tell watchers of the restart, forget what is old, and begin to perform."""
        self.worklist.restarted()
        self._keeper.start()
        if self._performs:
            self._fetcher.start()
            self.performer.start()

    def stop(self) -> None:
        """End; what is under way is gone on with at the next start."""
        self._stopping.set()
        if self._keeper.is_alive():
            self._keeper.join()
        if self._performs:
            self.performer.stop()
            self._fetcher.stop()

    def _forget(self) -> None:
        while True:
            try:
                self.worklist.forget(time.time() - self._keep_s)
            except SQLAlchemyError as error:  # the database is away: an hour later
                _log.error("old workitems could not be removed: %s", error)
            if self._stopping.wait(FORGET_EVERY_S):
                return


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, WorkitemRefused)
    return refusal(error, house_of(request).url(request))
