"""How many images a PACS says it holds, by C-FIND: what it leaves out at one level, another has."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from pydicom.dataset import Dataset

from imaging.image_classes import NON_IMAGE_MODALITIES
from pacs_bridge.errors import PeerRefused

Find = Callable[[dict[str, str]], list[Dataset]]
"""C-FIND, study root: keys by keyword, ``QueryRetrieveLevel`` among them."""


@dataclass(frozen=True)
class SeriesCount:
    """What the PACS says it holds of one series."""

    series_uid: str
    modality: str
    instances: int | None
    """None: it doesn't say."""


def series_of(find: Find, study_uid: str) -> list[SeriesCount]:
    """The series of a study; empty when the PACS does not know it.

    Raises:
        PeerError: as ``find`` does.
    """
    keys = {
        "QueryRetrieveLevel": "SERIES",
        "StudyInstanceUID": study_uid,
        "SeriesInstanceUID": "",
        "Modality": "",
        "NumberOfSeriesRelatedInstances": "",
    }
    # Some archives answer once for every image of a series; each series counts once.
    counted: dict[str, SeriesCount] = {}
    for match in find(keys):
        uid = str(match.get("SeriesInstanceUID", ""))
        modality = str(match.get("Modality", "") or "")
        counted[uid] = SeriesCount(uid, modality, _number(match, "NumberOfSeriesRelatedInstances"))
    return list(counted.values())


def images_of(find: Find, study_uid: str, besides: Collection[str]) -> int | None:
    """How many images of a study there are: see :meth:`pacs_bridge.dimse.peer.Peer.count_images`.

    Raises:
        PeerError: as ``find`` does.
    """
    try:
        series = series_of(find, study_uid)
    except PeerRefused:
        return _study_count(find, study_uid)
    wanted = [
        each
        for each in series
        if each.modality not in NON_IMAGE_MODALITIES and each.series_uid not in besides
    ]
    if not wanted:
        return None
    return sum(
        _listed(find, study_uid, each.series_uid) if each.instances is None else each.instances
        for each in wanted
    )


def _listed(find: Find, study_uid: str, series_uid: str) -> int:
    keys = {
        "QueryRetrieveLevel": "IMAGE",
        "StudyInstanceUID": study_uid,
        "SeriesInstanceUID": series_uid,
        "SOPInstanceUID": "",
    }
    return len({str(match.get("SOPInstanceUID")) for match in find(keys)})


def _study_count(find: Find, study_uid: str) -> int | None:
    keys = {
        "QueryRetrieveLevel": "STUDY",
        "StudyInstanceUID": study_uid,
        "NumberOfStudyRelatedInstances": "",
    }
    for match in find(keys):
        return _number(match, "NumberOfStudyRelatedInstances")
    return None


def _number(match: Dataset, keyword: str) -> int | None:
    try:
        return int(match[keyword].value)
    except (KeyError, TypeError, ValueError):
        return None
