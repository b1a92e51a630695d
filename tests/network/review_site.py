"""The page on a store of its own, and somebody who visits it, for tests."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi.testclient import TestClient
from sqlalchemy import select

from imaging.report import FindingReview, Report, Verdict
from pacs_bridge.auth import hash_password
from pacs_bridge.review import create_app
from pacs_bridge.settings import Settings
from pacs_bridge.store import Store, Study, open_store
from pacs_bridge.tables import events
from tests.network.review_samples import SampleStudio, report_of

HOME = "http://127.0.0.1"
HASH = hash_password("right")
ZHANG = {"user": "zhang", "name": "Zhang^San=张^三", "organization": "County Hospital",
         "password_hash": HASH}  # fmt: skip


@dataclass
class Site:
    """A server in this process, and somebody's browser."""

    client: TestClient
    store: Store
    studio: SampleStudio
    settings: Settings

    def browser(self, **headers: str) -> TestClient:
        return TestClient(self.client.app, HOME, follow_redirects=False, headers=headers)

    def csrf(self) -> str:
        return str(self.client.get("/api/session").json()["csrf"])

    def put(self, path: str, **body: Any) -> httpx.Response:
        return self.client.put(path, json=body, headers={"X-CSRF-Token": self.csrf()})

    def form(self, path: str, **fields: Any) -> httpx.Response:
        return self.client.post(path, data={"csrf": self.csrf(), "revision": 1, **fields})

    def happened(self) -> list[tuple[str, str]]:
        with self.store.engine.connect() as db:
            rows = db.execute(select(events.c.what, events.c.who).order_by(events.c.id))
            return [(row.what, row.who) for row in rows]

    def report(self, study: Study) -> Report:
        """As it stands."""
        return report_of(self.store, study)

    def decide(self, study: Study, verdict: str = "accepted") -> None:
        """A verdict on every finding."""
        for found in self.report(study).findings:
            self.store.save_review(
                study.study_uid, 1,
                FindingReview(tracking_uid=found.tracking_uid, verdict=Verdict(verdict)), "zhang",
            )  # fmt: skip


def make_site(tmp_path: Path, **values: Any) -> Site:
    tmp_path.mkdir(exist_ok=True)
    store = open_store(f"sqlite:///{tmp_path / 'preread.sqlite'}")
    settings = Settings.model_validate({"storage": {"folder": str(tmp_path)}, **values})
    studio = SampleStudio(store, tmp_path)
    app = create_app(settings, store, studio)
    return Site(TestClient(app, HOME, follow_redirects=False), store, studio, settings)


def page_of(study: Study) -> str:
    return f"/studies/{study.study_uid}"


def first(study: Study) -> str:
    return f"{study.study_uid}.9.1"


def token_in(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def log_in(site: Site, password: str = "right", **fields: str) -> httpx.Response:
    csrf = token_in(site.client.get("/login").text)
    data = {"user": "zhang", "password": password, "csrf": csrf, **fields}
    return site.client.post("/login", data=data)
