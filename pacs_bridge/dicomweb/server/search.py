"""QIDO-RS (PS3.18 10.6): studies, series and instances that match, a page at a time."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from pydicom.dataset import Dataset

from imaging.image_classes import is_image_class
from pacs_bridge.dicomweb.server.held import Held, Holdings
from pacs_bridge.dicomweb.server.modalities import BySeries, Modalities
from pacs_bridge.dicomweb.server.query import BadQuery, Query
from pacs_bridge.dicomweb.server.reading import Unreadable
from pacs_bridge.errors import UnknownStudy
from pacs_bridge.records import Study

_log = logging.getLogger(__name__)

STUDY = frozenset((
    "SpecificCharacterSet", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName",
    "TimezoneOffsetFromUTC", "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "StudyInstanceUID", "StudyID", "StudyDescription", "IssuerOfPatientID", "OtherPatientIDs",
    "PatientAge", "InstitutionName",
))  # fmt: skip
"""Attributes of a study (PS3.18 table 10.6.3-3)."""
SERIES = frozenset((
    "Modality", "SeriesDescription", "SeriesInstanceUID", "SeriesNumber", "SeriesDate",
    "SeriesTime", "BodyPartExamined", "PerformedProcedureStepStartDate", "Laterality",
    "PerformedProcedureStepStartTime", "RequestAttributesSequence", "ProtocolName",
    "StationName", "Manufacturer",
))  # fmt: skip
"""Attributes of a series (table 10.6.3-4)."""
INSTANCE = frozenset((
    "SOPClassUID", "SOPInstanceUID", "InstanceNumber", "Rows", "Columns", "BitsAllocated",
    "NumberOfFrames", "ImageType", "ContentDate", "ContentTime",
))  # fmt: skip
"""Attributes of an instance (table 10.6.3-5)."""
_COUNTED = frozenset((
    "ModalitiesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances",
    "NumberOfSeriesRelatedInstances", "SOPClassesInStudy", "InstanceAvailability",
    "RetrieveURL",
))  # fmt: skip

_BY_MODALITY = frozenset(("Modality", "ModalitiesInStudy"))
MADE = ("SR", "SEG", "RTSTRUCT", "PR", "DOC")
"""Modalities of what we make of a study (a secondary capture has that of its images)."""
_OF_STUDY = frozenset(("ModalitiesInStudy", "SOPClassesInStudy"))


@dataclass(frozen=True)
class Page:
    """One answer."""

    matches: list[Dataset]
    more: bool
    """Whether others match, behind these."""


class Search:
    """Searches what is held.

    Args:
        holdings: what is held.
        most: matches in one answer.
    """

    def __init__(self, holdings: Holdings, most: int) -> None:
        self._holdings = holdings
        self._modalities = Modalities(holdings.store)
        self._most = most

    def studies(self, query: Query, url: str) -> Page:
        """Studies that match.

        Args:
            query: may name attributes of studies, ModalitiesInStudy among them.
            url: of the service, for RetrieveURL.

        Raises:
            BadQuery: it names attributes of series or instances.
        """
        _check(query, STUDY | _COUNTED, "study")
        return self._page(query, self._studies(query, url))

    def series(self, query: Query, url: str, study_uid: str | None = None) -> Page:
        """Series that match, of one study or of all.

        Raises:
            BadQuery: it names attributes of instances.
            UnknownStudy: nothing of that study is held.
        """
        _check(query, (STUDY | SERIES | _COUNTED) - _OF_STUDY, "series")
        return self._page(query, self._series(query, url, self._chosen(query, study_uid)))

    def instances(
        self, query: Query, url: str, study_uid: str | None = None, series_uid: str | None = None
    ) -> Page:
        """Instances that match, of one study or series, or of all; any attribute may be named.

        Raises:
            UnknownStudy: nothing of that study or series is held.
        """
        found = self._instances(query, url, self._chosen(query, study_uid), series_uid)
        return self._page(query, found)

    # inside ------------------------------------------------------------------------------

    def _page(self, query: Query, found: Iterator[Dataset]) -> Page:
        limit = self._most if query.limit is None else min(query.limit, self._most)
        matches = list(islice(found, query.offset, query.offset + limit))
        return Page(matches, next(found, None) is not None)

    def _chosen(self, query: Query, study_uid: str | None) -> Iterator[str]:
        if study_uid is not None:
            self._holdings.objects(study_uid)
            return iter((study_uid,))
        return (study.study_uid for study in self._candidates(query))

    def _candidates(self, query: Query) -> Iterator[Study]:
        """Studies that may match by what the database knows of them."""
        wanted = query.of("StudyInstanceUID").replace("\\", ",")
        uids = tuple(filter(None, wanted.split(",")))
        among = self._with_modality(query, uids) if query.names & _BY_MODALITY else None
        for study in self._holdings.studies(uids):
            if among is not None and study.study_uid not in among:
                continue
            known = Dataset()
            known.StudyInstanceUID, known.StudyDate = study.study_uid, study.study_date
            known.PatientID, known.PatientName = study.patient_id, study.patient_name
            known.AccessionNumber = study.accession_number
            known.StudyDescription = study.description
            if query.matches(known, known.dir()):
                yield study

    def _with_modality(self, query: Query, uids: Sequence[str]) -> set[str]:
        """Studies that may hold a modality that is wanted, among what came or what we made.

        Args:
            query: names modalities.
            uids: only these studies; empty: all.
        """

        def wanted(modality: str) -> bool:
            known = Dataset()
            known.Modality = known.ModalitiesInStudy = modality
            return query.matches(known, _BY_MODALITY)

        found = {
            study_uid
            for study_uid, by_series in self._modalities.of_studies(uids).items()
            if any(map(wanted, set(by_series.values())))
        }
        return found | self._holdings.read_studies() if any(map(wanted, MADE)) else found

    def _studies(self, query: Query, url: str) -> Iterator[Dataset]:
        for candidate in self._candidates(query):
            series = self._grouped(candidate.study_uid)
            if not series:
                continue
            match = self._of_study(series, query)
            if match is None:
                continue
            modalities = self._modalities.of(candidate.study_uid)
            told = {self._modality(series[uid][0], modalities) for uid in series}
            match.ModalitiesInStudy = sorted(told - {""})
            match.SOPClassesInStudy = sorted(
                {each.sop_class_uid for group in series.values() for each in group}
            )
            match.NumberOfStudyRelatedSeries = len(series)
            match.NumberOfStudyRelatedInstances = sum(map(len, series.values()))
            match.RetrieveURL = f"{url}/studies/{candidate.study_uid}"
            match.InstanceAvailability = "ONLINE"
            if query.matches(match):
                yield match

    def _of_study(self, series: dict[str, list[Held]], query: Query) -> Dataset | None:
        """What the first object that can be read says of the study; None: none can be.

        The patient as the images name him, rather than what was made of them.
        """
        first = sorted(
            (each[0] for each in series.values()),
            key=lambda held: not is_image_class(held.sop_class_uid),
        )
        wanted = STUDY | (query.fields - SERIES - INSTANCE)
        for held in first:
            head = self._head(held, wanted)
            if head is not None:
                return _some(head, wanted)
        return None

    def _modality(self, held: Held, received: BySeries) -> str:
        if held.series_uid in received:
            return received[held.series_uid]
        head = self._head(held, SERIES)
        return str(head.get("Modality") or "") if head is not None else ""

    def _series(self, query: Query, url: str, study_uids: Iterator[str]) -> Iterator[Dataset]:
        wanted = STUDY | SERIES | (query.fields - INSTANCE)
        for study_uid in study_uids:
            for series_uid, group in self._grouped(study_uid).items():
                head = self._head(group[0], wanted)
                if head is None:
                    continue
                match = _some(head, wanted)
                match.NumberOfSeriesRelatedInstances = len(group)
                match.RetrieveURL = f"{url}/studies/{study_uid}/series/{series_uid}"
                match.InstanceAvailability = "ONLINE"
                if query.matches(match):
                    yield match

    def _instances(
        self, query: Query, url: str, study_uids: Iterator[str], series_uid: str | None
    ) -> Iterator[Dataset]:
        wanted = STUDY | SERIES | INSTANCE | query.fields | (query.names - _COUNTED)
        for study_uid in study_uids:
            for held in self._holdings.objects(study_uid, series_uid):
                head = self._head(held, wanted)
                if head is None:
                    continue
                match = _some(head, wanted)
                match.RetrieveURL = (
                    f"{url}/studies/{study_uid}/series/{held.series_uid}"
                    f"/instances/{held.sop_instance_uid}"
                )
                match.InstanceAvailability = "ONLINE"
                if query.matches(match):
                    yield match

    def _grouped(self, study_uid: str) -> dict[str, list[Held]]:
        groups: dict[str, list[Held]] = defaultdict(list)
        try:
            for held in self._holdings.objects(study_uid):
                groups[held.series_uid].append(held)
        except UnknownStudy:  # a row whose images are gone
            return {}
        return groups

    def _head(self, held: Held, keywords: frozenset[str]) -> Dataset | None:
        try:
            return self._holdings.head(held, keywords)
        except Unreadable as error:
            _log.error("%s can't be read and is left out: %s", held.path, error)
            return None


def _check(query: Query, allowed: frozenset[str], level: str) -> None:
    # left out of account, a key would give back what nobody asked for: other patients' studies
    wrong = sorted(query.names - allowed)
    if wrong:
        raise BadQuery(f"{', '.join(wrong)} can't be searched for at the level of a {level}")


def _some(head: Dataset, keywords: Sequence[str] | frozenset[str]) -> Dataset:
    """A data set with those of its attributes."""
    chosen = Dataset()
    for keyword in keywords:
        if keyword in head:
            chosen[keyword] = head[keyword]
    return chosen
