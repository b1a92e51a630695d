"""A PACS that earlier studies are looked for in and fetched from, over DIMSE or DICOMweb."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from pacs_bridge.dicomweb.client import WebArchive
from pacs_bridge.dimse.retrieve import Retriever, Wanted
from pacs_bridge.errors import PeerBusy, PeerRefused
from pacs_bridge.inbox import Inbox
from pacs_bridge.priors.choice import EarlierSeries, EarlierStudy
from pacs_bridge.priors.person import Person
from pacs_bridge.settings import Settings

ASK_S = 10.0
"""Longest wait for an answer to a question; fetching has what is left of ``priors.wait_s``."""

_STUDY_KEYS = (
    "StudyInstanceUID", "StudyDate", "StudyDescription", "ModalitiesInStudy", "PatientID",
    "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex",
    "NumberOfStudyRelatedInstances",
)  # fmt: skip
_SERIES_KEYS = (
    "SeriesInstanceUID", "Modality", "SeriesDescription", "BodyPartExamined",
    "NumberOfSeriesRelatedInstances",
)  # fmt: skip


class Archive(Protocol):
    """What is asked of a PACS. A call that comes to nothing raises a ``PeerError``."""

    @property
    def method(self) -> str:
        """How objects come, for the audit trail."""

    def studies(self, patient_id: str, first: str, last: str) -> list[EarlierStudy]:
        """The CT studies of a PatientID between two days (DA), both included."""

    def series(self, study_uid: str) -> list[EarlierSeries]:
        """The series of a study."""

    def fetch(self, wanted: Wanted) -> int:
        """Bring objects into the inbox; how many came."""


def open_archive(settings: Settings, inbox: Inbox) -> Archive | None:
    """The PACS that the settings name; None where none is set up."""
    wanted = settings.priors
    if wanted.find != "pacs":
        return None
    if wanted.method == "dicomweb":
        return (
            WebPacs(WebArchive(wanted.dicomweb_url, ASK_S), inbox) if wanted.dicomweb_url else None
        )
    if settings.priors_pacs is None:
        return None
    peer = Retriever(settings.priors_pacs, settings.listener.ae_title, ASK_S)
    return DimsePacs(peer, inbox, settings.priors_pacs.ae_title, wanted.method)


@dataclass(frozen=True)
class DimsePacs:
    """By C-FIND, and C-MOVE or C-GET."""

    peer: Retriever
    inbox: Inbox
    ae_title: str
    method: str

    def __str__(self) -> str:
        return self.ae_title

    def studies(self, patient_id: str, first: str, last: str) -> list[EarlierStudy]:
        """See :class:`Archive`."""
        keys = dict.fromkeys(_STUDY_KEYS, "") | {
            "QueryRetrieveLevel": "STUDY",
            "PatientID": patient_id,
            "StudyDate": f"{first}-{last}",
            "ModalitiesInStudy": "CT",
        }
        return [_study_of(match) for match in self.peer.find(keys)]

    def series(self, study_uid: str) -> list[EarlierSeries]:
        """See :class:`Archive`."""
        keys = dict.fromkeys(_SERIES_KEYS, "") | {
            "QueryRetrieveLevel": "SERIES",
            "StudyInstanceUID": study_uid,
        }
        return _series_of(self.peer.find(keys))

    def fetch(self, wanted: Wanted) -> int:
        """See :class:`Archive`."""
        if self.method == "c-move":
            return self.peer.move(wanted)

        def keep(encoded: bytes | memoryview, **said: str) -> object:
            return self.inbox.receive(encoded, **said, source_ae=self.ae_title, fetched=True)

        return self.peer.get(wanted, keep)


@dataclass(frozen=True)
class WebPacs:
    """By QIDO-RS and WADO-RS."""

    archive: WebArchive
    inbox: Inbox
    method: str = "dicomweb"

    def __str__(self) -> str:
        return str(self.archive)

    def studies(self, patient_id: str, first: str, last: str) -> list[EarlierStudy]:
        """See :class:`Archive`."""
        keys = {
            "PatientID": patient_id,
            "StudyDate": f"{first}-{last}",
            "ModalitiesInStudy": "CT",
        }
        found = self.archive.search("studies", keys, _STUDY_KEYS)
        return [_study_of(match) for match in found]

    def series(self, study_uid: str) -> list[EarlierSeries]:
        """See :class:`Archive`."""
        return _series_of(self.archive.search(f"studies/{study_uid}/series", {}, _SERIES_KEYS))

    def fetch(self, wanted: Wanted) -> int:
        """See :class:`Archive`."""
        count = 0
        for content in self.archive.retrieve(wanted.study_uid, wanted.series_uid, wanted.until):
            self.inbox.import_content(content, fetched=True)
            count += 1
            why = wanted.too_much(count)
            if why:
                raise PeerBusy(f"{self}: {why}")
        if not count:
            raise PeerRefused(f"{self} answered without a single object")
        return count


def _study_of(match: Dataset) -> EarlierStudy:
    return EarlierStudy(
        study_uid=str(match.get("StudyInstanceUID") or ""),
        study_date=str(match.get("StudyDate") or ""),
        person=Person.of(match),
        description=str(match.get("StudyDescription") or ""),
        modalities=tuple(str(m) for m in _listed(match.get("ModalitiesInStudy"))),
        images=_number(match.get("NumberOfStudyRelatedInstances")),
    )


def _series_of(matches: Iterable[Dataset]) -> list[EarlierSeries]:
    # Some archives answer once for every image of a series; each series counts once.
    found: dict[str, EarlierSeries] = {}
    for match in matches:
        uid = str(match.get("SeriesInstanceUID") or "")
        if uid:
            found[uid] = EarlierSeries(
                uid,
                str(match.get("Modality") or ""),
                str(match.get("SeriesDescription") or ""),
                str(match.get("BodyPartExamined") or ""),
                _number(match.get("NumberOfSeriesRelatedInstances")),
            )
    return list(found.values())


def _listed(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, (list, tuple, MultiValue)) else [value]


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None
