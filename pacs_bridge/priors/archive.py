"""A PACS that earlier studies are looked for in and fetched from, over DIMSE or DICOMweb."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.dataset import Dataset

from pacs_bridge.archive import Archive, DicomWebArchive, DimseArchive, count_of, listed
from pacs_bridge.dicomweb.client import WebArchive
from pacs_bridge.dimse.retrieve import Retriever, Wanted
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


@dataclass(frozen=True)
class Pacs:
    """What is asked of a PACS. A call that comes to nothing raises a ``PeerError``."""

    archive: Archive

    def __str__(self) -> str:
        return str(self.archive)

    @property
    def method(self) -> str:
        """How objects come, for the audit trail."""
        return self.archive.method

    def studies(self, patient_id: str, first: str, last: str) -> list[EarlierStudy]:
        """The CT studies of a PatientID between two days (DA), both included."""
        keys = {
            "PatientID": patient_id,
            "StudyDate": f"{first}-{last}",
            "ModalitiesInStudy": "CT",
        }
        return [_study_of(match) for match in self.archive.find("STUDY", keys, _STUDY_KEYS)]

    def series(self, study_uid: str) -> list[EarlierSeries]:
        """The series of a study."""
        keys = {"StudyInstanceUID": study_uid}
        return _series_of(self.archive.find("SERIES", keys, _SERIES_KEYS))

    def fetch(self, wanted: Wanted) -> int:
        """Bring objects into the inbox; how many came."""
        return self.archive.fetch(wanted, prior=True)


def open_archive(settings: Settings, inbox: Inbox) -> Pacs | None:
    """The PACS that the settings name; None where none is set up."""
    wanted = settings.priors
    if wanted.find != "pacs":
        return None
    if wanted.method == "dicomweb":
        if not wanted.dicomweb_url:
            return None
        client = WebArchive(wanted.dicomweb_url, ASK_S, "priors", wanted.tls)
        return Pacs(DicomWebArchive(client, inbox))
    pacs = settings.priors_pacs
    if pacs is None:
        return None
    peer = Retriever(pacs, settings.listener.ae_title, ASK_S)
    return Pacs(DimseArchive(peer, inbox, pacs.ae_title, wanted.method))


def _study_of(match: Dataset) -> EarlierStudy:
    return EarlierStudy(
        study_uid=str(match.get("StudyInstanceUID") or ""),
        study_date=str(match.get("StudyDate") or ""),
        person=Person.of(match),
        description=str(match.get("StudyDescription") or ""),
        modalities=tuple(str(m) for m in listed(match.get("ModalitiesInStudy"))),
        images=count_of(match.get("NumberOfStudyRelatedInstances")),
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
                count_of(match.get("NumberOfSeriesRelatedInstances")),
            )
    return list(found.values())
