"""The worklist on a real server, and those who call it, for tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from pydicom.dataset import Dataset
from websockets.sync.client import ClientConnection, connect

from pacs_bridge.dicomweb.server import PATH, create_dicomweb
from pacs_bridge.inbox import Inbox
from pacs_bridge.review import create_app, serve_in_thread
from pacs_bridge.settings import Settings
from pacs_bridge.store import Store, open_store
from pacs_bridge.ups import Orders
from tests.network.review_samples import SampleStudio
from tests.network.review_site import HASH, ZHANG
from tests.patience import PATIENT_S

JSON = {"Content-Type": "application/dicom+json"}
MACHINES = [
    {"name": "pacs", "password_hash": HASH, "may": ["read", "order", "store"]},
    {"name": "viewer", "password_hash": HASH, "may": ["read"]},
]


@dataclass
class UpsSite:
    """A server, and a PACS that calls it."""

    url: str
    store: Store
    orders: Orders
    pacs: httpx.Client
    begun: list[tuple[str, int, str]] = field(default_factory=list)
    """Readings that were begun again."""

    def post(self, path: str, dataset: Dataset | None = None, **more: Any) -> httpx.Response:
        content = b"" if dataset is None else dataset.to_json().encode()
        return self.pacs.post(path, content=content, headers=JSON, **more)

    def put(self, path: str, dataset: Dataset) -> httpx.Response:
        return self.pacs.put(path, content=dataset.to_json().encode(), headers=JSON)

    def create(self, dataset: Dataset) -> str:
        """The path of the new workitem."""
        made = self.post("/workitems", dataset)
        assert made.status_code == 201, made.text
        location = made.headers["Location"]
        assert location.startswith(f"{self.url}/workitems/")
        return location.removeprefix(self.url)

    def get(self, path: str) -> Dataset:
        answer = self.pacs.get(path)
        assert answer.status_code == 200, answer.text
        (told,) = answer.json()
        return Dataset.from_json(told)

    def find(self, **keys: str) -> list[Dataset]:
        answer = self.pacs.get("/workitems", params={k.replace("__", "."): v
                                                     for k, v in keys.items()})  # fmt: skip
        assert answer.status_code in (200, 204, 206), answer.text
        return [Dataset.from_json(each) for each in answer.json()] if answer.content else []

    def channel(self, ae_title: str, **more: Any) -> ClientConnection:
        """A notification channel."""
        url = f"ws{self.url.removeprefix('http')}/subscribers/{ae_title}"
        token = {"Authorization": "Bearer pacs.right"}
        return connect(url, additional_headers=token, proxy=None, **more)


def heard(channel: ClientConnection, timeout: float = PATIENT_S) -> Dataset:
    """The next event report."""
    return Dataset.from_json(json.loads(channel.recv(timeout)))


def silent(channel: ClientConnection, seconds: float = 0.25) -> bool:
    """Whether nothing comes."""
    try:
        channel.recv(seconds)
    except TimeoutError:
        return True
    return False


def told(report: Dataset) -> tuple[int, str, str]:
    """Event type, workitem, and state (or nothing)."""
    state = str(report.get("ProcedureStepState", ""))
    return int(report.EventTypeID), str(report.AffectedSOPInstanceUID), state


def ups_settings(folder: Path, **more: Any) -> Settings:
    folder.mkdir(exist_ok=True)
    values: dict[str, Any] = {
        "storage": {"folder": str(folder), "minimum_free_gb": 0},
        "dicomweb": {"enabled": True, "most_results": 10}, "ups": {"enabled": True},
        "machines": MACHINES, "readers": [ZHANG],
    }  # fmt: skip
    return Settings.model_validate({**values, **more})


@contextmanager
def ups_site(
    settings: Settings, store: Store | None = None, perform: bool = False
) -> Iterator[UpsSite]:
    """The page, the DICOMweb server and the worklist.

    Args:
        settings: from :func:`ups_settings`.
        store: None: one of its own.
        perform: whether the performer's thread runs.
    """
    folder = settings.storage.folder
    own = store is None
    store = store or open_store(settings.storage.database_url)
    inbox = Inbox(folder / "inbox", store, 0)
    app = create_app(settings, store, SampleStudio(store, folder))
    begun: list[tuple[str, int, str]] = []
    begin: Callable[[str, int, str], None] = lambda *asked: begun.append(asked)  # noqa: E731
    page: list[str] = []
    orders = Orders(settings, inbox, lambda instance: None, begin, lambda: page[0])
    web = create_dicomweb(settings, store, inbox, app.state.room.gate, lambda instance: None)
    orders.mount(web)
    app.mount(PATH, web)
    running = serve_in_thread(app, "127.0.0.1", 0)
    page.append(running.url)
    if perform:
        orders.start()
    url = running.url + PATH
    try:
        with httpx.Client(
            base_url=url, auth=("pacs", "right"), timeout=PATIENT_S, trust_env=False
        ) as pacs:
            yield UpsSite(url, store, orders, pacs, begun)
    finally:
        if perform:
            orders.stop()
        running.stop()
        if own:
            store.engine.dispose()
