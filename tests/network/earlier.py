"""A patient with studies of several dates, small enough to travel in a moment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from imaging.headers import scan_files
from imaging.identity import derive_uid
from imaging.series import SeriesPlan
from models.spec import ModelSpec, find_spec
from models.study.plan import plan_one
from pacs_bridge.dimse.listener import Listener
from pacs_bridge.inbox import Inbox
from pacs_bridge.priors.gather import Gathered, Priors
from pacs_bridge.settings import Settings
from pacs_bridge.store import Store
from tests.network.orthanc import Orthanc
from tests.unit.imaging.synthetic import make_images, random_hu, write

SLICES = 24
NOW = "20260105"


def study_uid(date: str) -> str:
    """The StudyInstanceUID that :func:`study` gives a date."""
    return derive_uid("earlier", date)


def study(
    folder: Path, date: str, name: str = "chest", slices: int = SLICES, **changes: Any
) -> list[Path]:
    """A series of a study of that date; ``changes`` by keyword. Patient S1, born 19700102."""

    def change(_k: int, image: Dataset) -> None:
        image.StudyInstanceUID = study_uid(date)
        image.SeriesInstanceUID = derive_uid("earlier", date, name)
        image.SOPInstanceUID = derive_uid("earlier", date, name, _k)
        image.FrameOfReferenceUID = derive_uid("earlier", date, "frame")
        image.StudyDate = image.SeriesDate = date
        image.StudyDescription, image.SeriesDescription = "CT chest", name
        image.BodyPartExamined = "CHEST"
        for keyword, value in changes.items():
            setattr(image, keyword, value)

    hu = random_hu((slices, 32, 28), seed=len(name) + int(date[:4]))
    return write(folder / f"{date}-{name}", make_images(np.asarray(hu), change=change))


@dataclass(frozen=True)
class Site:
    """Our side: the listener with what lies behind it, and a study about to be read."""

    settings: Settings
    store: Store
    inbox: Inbox
    listener: Listener
    spec: ModelSpec
    plan: SeriesPlan

    def gather(self) -> Gathered:
        """The step, with a memory of its own as after a restart."""
        priors = Priors(self.settings, self.store, self.inbox)
        return priors.gather(study_uid(NOW), self.plan, self.spec)

    def with_priors(self, **values: Any) -> Site:
        """The same with other settings."""
        priors = self.settings.priors.model_copy(update=values)
        settings = self.settings.model_copy(update={"priors": priors})
        return Site(settings, self.store, self.inbox, self.listener, self.spec, self.plan)

    def said(self, what: str) -> list[str]:
        """The trail's lines of one kind, of the current study."""
        return [e.detail for e in self.store.events_of(study_uid(NOW)) if e.what == what]


def make_site(
    folder: Path,
    store: Store,
    inbox: Inbox,
    listener: Listener,
    orthanc: Orthanc | None,
    **priors: Any,
) -> Site:
    """A site that has received a study of :data:`NOW` and knows one PACS."""
    values: dict[str, Any] = {"wait_s": 20.0} | priors
    if orthanc is not None:
        values.setdefault(
            "pacs",
            {"ae_title": orthanc.ae_title, "host": "127.0.0.1", "port": orthanc.dicom_port},
        )
    settings = Settings.model_validate({"storage": {"folder": folder}, "priors": values})
    files = study(folder / "now", NOW)
    for path in files:
        inbox.import_file(path, "CT1")
    assert store.open_reading(study_uid(NOW), "test") == 1
    spec = find_spec("lung_nodule_reference", ())
    return Site(settings, store, inbox, listener, spec, plan_one(scan_files(files), spec))
