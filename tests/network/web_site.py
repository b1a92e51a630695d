"""Our DICOMweb server on a port of the loopback, with a study of images, SEG and SR, for tests."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from imaging.objects import make_seg, make_sr
from imaging.report import Report
from pacs_bridge.dicomweb.server import PATH, create_dicomweb
from pacs_bridge.inbox import Inbox
from pacs_bridge.review import create_app, serve_in_thread
from pacs_bridge.settings import Settings
from pacs_bridge.states import State
from pacs_bridge.store import Event, Instance, Store, open_store
from pacs_bridge.tables import events
from tests.network.review_samples import SampleStudio
from tests.patience import PATIENT_S
from tests.unit.imaging.objects.made import Study, two_findings

_KEY = hashlib.scrypt(b"right", salt=b"salt", n=16, r=8, p=1, dklen=32)
HASH = f"scrypt$4$8$1${b'salt'.hex()}${_KEY.hex()}"
"""Of the password ``right``, cheaper to check than those that people are given."""
MACHINES = [
    {"name": "viewer", "password_hash": HASH},
    {"name": "sender", "password_hash": HASH, "may": ["store"]},
    {"name": "both", "password_hash": HASH, "may": ["read", "store"]},
]
NAME = "Zhang^San=张^三"
_NUMBERS = count(1)


def basic(name: str, password: str = "right") -> dict[str, str]:
    """A header that says who calls."""
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


@dataclass
class WebSite:
    """The running server."""

    url: str
    store: Store
    inbox: Inbox
    settings: Settings
    stored: list[Instance] = field(default_factory=list)

    def client(self, name: str = "both", **options: Any) -> DICOMwebClient:
        """dicomweb-client, as one of the machines."""
        session = requests.Session()
        session.trust_env = False
        session.headers.update(basic(name))
        return DICOMwebClient(self.url + PATH, session=session, **options)

    def get(self, path: str, name: str = "viewer", **headers: str) -> httpx.Response:
        """One GET below the service."""
        return httpx.get(
            self.url + PATH + path,
            headers={**basic(name), **headers},
            trust_env=False,
            timeout=PATIENT_S,
        )

    def post(self, path: str, content: Any, kind: str, name: str = "sender") -> httpx.Response:
        """One POST below the service."""
        headers = {**basic(name), "Content-Type": kind, "Accept": "application/dicom+json"}
        return httpx.post(
            self.url + PATH + path,
            content=content,
            headers=headers,
            trust_env=False,
            timeout=PATIENT_S,
        )

    def happened(self) -> list[Event]:
        """The audit trail."""
        with self.store.engine.connect() as db:
            rows = db.execute(events.select().order_by(events.c.id)).mappings()
            return [Event(r["at"], r["who"], r["what"], r["study_uid"], r["detail"]) for r in rows]


@contextmanager
def running_web(folder: Path, **values: Any) -> Iterator[WebSite]:
    """Serve an empty store."""
    folder.mkdir(exist_ok=True)
    store = open_store(f"sqlite:///{folder / 'preread.sqlite'}")
    inbox = Inbox(folder / "inbox", store, minimum_free_gb=0)
    settings = Settings.model_validate(
        {
            "storage": {"folder": str(folder)},
            "dicomweb": {"enabled": True},
            "machines": MACHINES,
            **values,
        }
    )
    app = create_app(settings, store, SampleStudio(store, folder))
    site = WebSite("", store, inbox, settings)
    gate = app.state.room.gate
    app.mount(PATH, create_dicomweb(settings, store, inbox, gate, site.stored.append))
    server = serve_in_thread(app, "127.0.0.1", 0)
    site.url = server.url
    try:
        yield site
    finally:
        server.stop()
        store.engine.dispose()


def images(study: Study) -> list[Dataset]:
    """The CT images of a made-up study, with pixels and a Chinese name."""
    made = []
    for header, plane in zip(study.headers, study.volume.voxels, strict=True):
        image = Dataset()
        image.update(deepcopy(header))
        image.SpecificCharacterSet = "ISO_IR 192"
        image.PatientName = NAME
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit = 16, 16, 15
        image.PixelRepresentation = 1
        image.RescaleSlope, image.RescaleIntercept = 1, 0
        image.WindowCenter, image.WindowWidth = -600, 1500
        image.add_new(0x00091001, "OB", bytes(range(256)) * 8)
        image.PixelData = plane.astype("<i2").tobytes()
        image.file_meta = FileMetaDataset()
        image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.append(image)
    return made


def content_of(dataset: Dataset) -> bytes:
    """A data set as a DICOM file."""
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@dataclass
class Held:
    """What :func:`put_study` put there."""

    study: Study
    images: list[Dataset]
    seg: Dataset
    sr: Dataset

    @property
    def study_uid(self) -> str:
        return str(self.images[0].StudyInstanceUID)

    @property
    def series_uid(self) -> str:
        return str(self.images[0].SeriesInstanceUID)

    @property
    def path(self) -> str:
        """Of the series of images, below the service."""
        return f"/studies/{self.study_uid}/series/{self.series_uid}"

    def of(self, image: Dataset) -> str:
        return f"{self.path}/instances/{image.SOPInstanceUID}"


@cache
def _read(shape: tuple[int, int, int]) -> tuple[Study, Report, Dataset, Dataset]:
    study = two_findings(shape=shape)
    report = study.report()
    seg = make_seg(report, study.regions, study.headers, slices=study.volume.sources)
    return study, report, seg, make_sr(report, study.headers, seg)


def put_study(site: WebSite, shape: tuple[int, int, int] = (9, 24, 20)) -> Held:
    """Images as if they had come, and the objects that a reading made of them."""
    study, report, seg, sr = _read(shape)
    made = images(study)
    for image in made:
        site.inbox.import_content(content_of(image), "CT1")
    revision = site.store.open_reading(report.study_uid, "test")
    assert revision == 1
    site.store.set_report(report.study_uid, 1, report)
    site.store.set_state(report.study_uid, 1, State.AWAITING_SIGNATURE)
    folder = site.settings.storage.folder / "results" / report.study_uid / "1" / "preliminary"
    folder.mkdir(parents=True)
    (folder / "seg.dcm").write_bytes(content_of(seg))
    (folder / "sr.dcm").write_bytes(content_of(sr))
    return Held(study, made, seg, sr)


def another(site: WebSite, held: Held, number: int, **changes: Any) -> Dataset:
    """One of the images with changes, as an object of its own in the same series."""
    image = changed(held, number, **changes)
    site.inbox.import_content(content_of(image))
    return image


def changed(held: Held, number: int, **changes: Any) -> Dataset:
    """The same, which is yet to be sent."""
    image = deepcopy(held.images[number])
    image.SOPInstanceUID += f".{next(_NUMBERS)}"
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    for keyword, value in changes.items():
        setattr(image, keyword, value)
    return image


def parts(answer: httpx.Response) -> list[tuple[str, bytes]]:
    """Content-Type and content of each part of a multipart answer."""
    kind = answer.headers["content-type"]
    mark = b"--" + kind.split("boundary=")[1].encode()
    found = []
    for piece in answer.content.split(mark)[1:-1]:
        head, _, content = piece.strip(b"\r\n").partition(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n"))
        size = int(fields[b"Content-Length"])
        start = piece.index(b"\r\n\r\n") + 4
        found.append((fields[b"Content-Type"].decode(), piece[start : start + size]))
        assert len(content) <= size
    return found


def same_pixels(image: Dataset, plane: bytes) -> bool:
    """Whether a plane holds an image's values."""
    return bool((np.frombuffer(plane, "<i2") == np.frombuffer(image.PixelData, "<i2")).all())
