"""The whole server: listener, workflows, courier, page and workers, started in order."""

from __future__ import annotations

import logging
import os
from types import TracebackType
from typing import Self

from imaging.image_classes import is_image_class
from models.intake.installation import trust_statement
from pacs_bridge.announced import Announcements, availability_service
from pacs_bridge.custody import Keeper
from pacs_bridge.deliver import Courier
from pacs_bridge.delivery.senders import check_destinations
from pacs_bridge.dicomweb.server import PATH, create_dicomweb
from pacs_bridge.dimse.listener import Listener
from pacs_bridge.errors import SettingsError
from pacs_bridge.inbox import Inbox
from pacs_bridge.priors.gather import Priors
from pacs_bridge.pull import PullSchedule
from pacs_bridge.review import RunningServer, create_app, serve_in_thread
from pacs_bridge.settings import Settings
from pacs_bridge.steps import Steps
from pacs_bridge.store import Instance, Store, open_store
from pacs_bridge.studio import ServerStudio
from pacs_bridge.ups import Orders
from pacs_bridge.workers import Workers
from pacs_bridge.workers.watch import ModelWatch
from pacs_bridge.workflow import Workflows

log = logging.getLogger(__name__)


class Server:
    """Everything `preread serve` runs; a context manager.

    Args:
        settings: read once.

    Raises:
        SettingsError: the folder, the database, a model or an address can't be used.
        ModelError: a model's files are wrong or its runtime is missing.
    """

    def __init__(self, settings: Settings) -> None:
        folder = settings.storage.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"storage.folder = {str(folder)!r}: {error}. Choose a folder this user may write"
            ) from error
        if not os.access(folder, os.W_OK):
            raise SettingsError(f"storage.folder = {str(folder)!r} is not writable")
        if not settings.models.enabled:
            raise SettingsError("models.enabled = []: name at least one; see `preread models list`")
        self.settings = settings
        self.store: Store = open_store(settings.storage.database_url)
        self.inbox = Inbox(
            folder.absolute() / "inbox", self.store, settings.storage.minimum_free_gb
        )
        check_destinations(settings.destinations)
        self.workers = Workers(settings)
        self.models = ModelWatch(settings, self._models_changed)
        self._trusted: set[tuple[str, str]] = set()
        self.courier = Courier(self.store, settings.destinations, settings.listener.ae_title)
        priors = Priors(settings, self.store, self.inbox)
        self.steps = Steps(settings, self.store, self.courier, self.models, self.workers, priors)
        self.workflows = Workflows(self.steps)
        self.studio = ServerStudio(self.steps, self.workflows, self.courier)
        self.pulls = PullSchedule(settings, self.inbox, self._stored, self.workflows.touch)
        self.keeper = Keeper(settings.commitment, self.store, settings.listener.ae_title)
        self.announcements = Announcements(self.store, settings.availability.keep_days * 86400)
        services = (
            *self.keeper.services,
            *availability_service(
                self.announcements, settings.availability.ae_titles, self.pulls.announced
            ),
            *self.courier.services,
        )
        self.listener = Listener(
            settings.listener, self.inbox, self._received, services, self.workflows.left
        )
        self._app = create_app(settings, self.store, self.studio)
        self.orders = (
            Orders(
                settings,
                self.inbox,
                self._stored,
                self.workflows.begin_again,
                lambda: self.url,
            )
            if settings.ups.enabled
            else None
        )
        if settings.dicomweb.enabled:
            gate = self._app.state.room.gate
            web = create_dicomweb(settings, self.store, self.inbox, gate, self._stored)
            self._app.mount(PATH, web)
            if self.orders is not None:
                self.orders.mount(web)
        self._page: RunningServer | None = None

    @property
    def url(self) -> str:
        """Where people reach the page."""
        if self.settings.review.url:
            return self.settings.review.url.rstrip("/")
        if self._page is None:
            raise RuntimeError("the server has not been started")
        return self._page.url

    def start(self) -> Self:
        """Recover what was interrupted, then open the page, and last the listener.

        Raises:
            ModelError: a model can't be loaded.
            SettingsError, BridgeError: an address can't be listened on.

        Whatever it raises, nothing is left running.
        """
        try:
            self.workers.start()
            return self._open()
        except BaseException:
            self.stop()
            raise

    def _open(self) -> Self:
        self.inbox.recover()
        self._record_trust()
        self.models.start()
        self.courier.start()
        self.keeper.start()
        self.workflows.start()
        self._page = serve_in_thread(
            self._app, self.settings.review.host, self.settings.review.port
        )
        self.listener.start()
        self.pulls.start()
        if self.orders is not None:
            self.orders.start()
        log.info("the page is at %s", self.url)
        return self

    def stop(self) -> None:
        """Stop taking images first; what is under way resumes at the next start."""
        if self.orders is not None:
            self.orders.stop()
        self.pulls.stop()
        self.listener.stop()
        if self._page is not None:
            self._page.stop()
        self.models.stop()
        self.workflows.stop()
        self.workers.stop()
        self.courier.stop()
        self.keeper.stop()

    def refresh_models(self) -> None:
        """Take up new versions of the models now (SIGHUP); the watch does by itself."""
        self.models.refresh()
        self._models_changed()

    def _models_changed(self) -> None:
        self._record_trust()
        self.workers.refresh()

    def _record_trust(self) -> None:
        """The audit trail says whose Python runs here, and who answers for it."""
        for spec in self.models.all:
            statement = trust_statement(spec.folder)
            if statement is not None and statement not in self._trusted:
                self._trusted.add(statement)
                who, what = statement
                self.store.record(who, "model-code-trusted", detail=what)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _received(self, instance: Instance) -> None:
        """By an association, whose end is heard of."""
        if is_image_class(instance.sop_class_uid):
            self.workflows.touch(instance.study_uid, instance.source_ae.strip())

    def _stored(self, instance: Instance) -> None:
        if is_image_class(instance.sop_class_uid):
            self.workflows.touch(instance.study_uid)
