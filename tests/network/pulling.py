"""An archive full of studies, and a site that pulls from it, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from imaging.identity import derive_uid
from pacs_bridge.dimse.listener import Listener
from pacs_bridge.inbox import Inbox
from pacs_bridge.pull.ledger import PullLedger
from pacs_bridge.pull.puller import Puller
from pacs_bridge.settings import ListenerSettings, PullSettings, Settings
from pacs_bridge.store import Instance, Store, open_store
from tests.network.orthanc import DICOMWEB, Orthanc
from tests.unit.imaging.synthetic import make_images, random_hu, write

SLICES = 24


def day(ago: int = 0) -> str:
    """A StudyDate so many days ago."""
    return (datetime.now() - timedelta(days=ago)).strftime("%Y%m%d")


def uid_of(name: str) -> str:
    """The StudyInstanceUID of a study made by :func:`series`."""
    return derive_uid("pulled", name)


def series_uid_of(name: str, series: str) -> str:
    return derive_uid("pulled", name, series)


def series(
    folder: Path, name: str, series: str = "thin", slices: int = SLICES, **changes: Any
) -> list[Path]:
    """Files of one series of a study of today; ``changes`` by keyword."""

    def change(k: int, image: Any) -> None:
        image.StudyInstanceUID = uid_of(name)
        image.SeriesInstanceUID = series_uid_of(name, series)
        image.SOPInstanceUID = derive_uid("pulled", name, series, k)
        image.FrameOfReferenceUID = derive_uid("pulled", name, "frame")
        image.StudyDate = image.SeriesDate = day()
        image.StudyDescription, image.SeriesDescription = "CT chest", series
        image.BodyPartExamined = "CHEST"
        for keyword, value in changes.items():
            setattr(image, keyword, value)

    hu = random_hu((slices, 32, 28), seed=len(name) + slices)
    return write(folder / f"{name}-{series}", make_images(hu, change=change))


@dataclass
class PullSite:
    """Our side: store, inbox and a listener that the archive knows."""

    settings: Settings
    store: Store
    inbox: Inbox
    arrived: list[Instance] = field(default_factory=list)

    @property
    def ledger(self) -> PullLedger:
        return PullLedger(self.store)

    def puller(self, rule: PullSettings, **options: Any) -> Puller:
        """With a memory of its own, as after a restart."""
        return Puller(rule, self.settings, self.inbox, self.arrived.append, **options)

    def pull(self, rule: PullSettings, **options: Any) -> dict[str, str]:
        """One look, and everything fetched; why not, by StudyInstanceUID."""
        puller = self.puller(rule)
        found = puller.find(**options)
        puller.bring()
        return {each.study.study_uid: each.why_not for each in found}

    def held(self, name: str) -> dict[str, int]:
        """Images held of a study, by series."""
        held = self.ledger.held(uid_of(name))
        return {series_uid: len(uids) for series_uid, uids in held.items()}

    def said(self, name: str, what: str) -> list[str]:
        return [e.detail for e in self.store.events_of(uid_of(name)) if e.what == what]


@contextmanager
def pull_site(folder: Path, port: int) -> Iterator[PullSite]:
    """A site whose listener is where the archive thinks it is."""
    store = open_store(f"sqlite:///{folder / 'preread.sqlite'}")
    inbox = Inbox(folder / "inbox", store, minimum_free_gb=0)
    settings = Settings.model_validate({"storage": {"folder": folder}})
    site = PullSite(settings, store, inbox)
    listening = ListenerSettings(host="127.0.0.1", port=port)
    with Listener(listening, inbox, site.arrived.append):
        yield site
    store.engine.dispose()


def rule_for(orthanc: Orthanc, method: str = "c-move", **values: Any) -> PullSettings:
    """A rule that asks an Orthanc, at once."""
    given: dict[str, Any] = {"name": "chest", "method": method, "settle_minutes": 0} | values
    if method == "dicomweb":
        assert DICOMWEB.exists()
        given |= {
            "dicomweb_url": f"{orthanc.http}/dicom-web", "dicomweb_ae_title": "PACS WEB",
        }  # fmt: skip
    else:
        given["source"] = {
            "ae_title": orthanc.ae_title, "host": "127.0.0.1", "port": orthanc.dicom_port,
        }  # fmt: skip
    return PullSettings.model_validate(given)
