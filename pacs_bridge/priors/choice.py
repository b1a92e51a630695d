"""Which earlier studies, and which of their series, are worth fetching; pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from imaging.language import Text
from pacs_bridge.priors.person import Person, differs

FEWEST_IMAGES = 20
"""Fewer make no chest that a nodule could be followed in."""
_CHEST = re.compile(
    r"chest|thora|lung|pulmo|\bcxr\b|\bctpa\b|\btho\b|胸|肺|胸部|poumon|torax|t[oó]rax|brust",
    re.IGNORECASE,
)
_ELSEWHERE = re.compile(
    r"head|brain|skull|cran|neck|sinus|orbit|temporal|abdom|pelvi|liver|kidney|renal|pancrea|"
    r"colon|spine|lumb|cervi|knee|hip|foot|hand|wrist|ankle|shoulder|extrem|dental|"
    r"头|颅|脑|颈|鼻窦|眼眶|腹|盆|肝|肾|胰|腰|脊|膝|髋|足|腕|踝|肩|牙",
    re.IGNORECASE,
)
_NO_VOLUME = re.compile(
    r"scout|topogram|locali[sz]er|surview|scanogram|dose|protocol|screen|monitor|premonitor|"
    r"\bmip\b|\bminip\b|\bvrt?\b|\bcor\b|\bsag\b|coronal|sagittal|\bmpr\b|3d|bolus|smart\s*prep|"
    r"定位|剂量|冠状|矢状|重建图",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class EarlierStudy:
    """A study that may be earlier, of the same patient.

    Attributes:
        study_uid: StudyInstanceUID.
        study_date: DA.
        person: what it says of the patient.
        description: StudyDescription, and body part where known.
        modalities: ModalitiesInStudy; empty: not said.
        images: how many objects it has; None: not said.
        held: it lies in our own store.
    """

    study_uid: str
    study_date: str
    person: Person
    description: str = ""
    modalities: tuple[str, ...] = ()
    images: int | None = None
    held: bool = False


@dataclass(frozen=True)
class EarlierSeries:
    """A series of it, as the archive describes it; ``images`` is None where it doesn't say."""

    series_uid: str
    modality: str
    description: str = ""
    body_part: str = ""
    images: int | None = None


@dataclass(frozen=True)
class Candidates:
    """What may be compared with, the latest first, and what is refused for whose it may be."""

    chosen: tuple[EarlierStudy, ...]
    refused: tuple[tuple[EarlierStudy, Text], ...]


def period(study_date: str, years: float) -> tuple[str, str] | None:
    """First and last day (DA) that an earlier study may be of; None: the study's isn't known."""
    day = parse_date(study_date)
    if day is None:
        return None
    first = day - timedelta(days=round(years * 365.25))
    return _da(first), _da(day - timedelta(days=1))


def parse_date(text: str) -> date | None:
    """A DA value (PS3.5 6.2), also in the old form with dots; None: it is none."""
    try:
        return datetime.strptime(text.strip().replace(".", ""), "%Y%m%d").date()
    except ValueError:
        return None


def candidates(
    person: Person,
    study_uid: str,
    study_date: str,
    found: Iterable[EarlierStudy],
    years: float,
) -> Candidates:
    """Of what was found, what may be compared with.

    Left out without a word: the study itself, what is not earlier or too old, what is no CT, and
    what is plainly of another body part. Refused with the reason: what has the PatientID, but may
    be another patient's. A study that was found twice counts as held.

    Args:
        person: of the current study.
        study_uid: of the current study.
        study_date: of the current study, DA.
        found: in any order.
        years: how far back.
    """
    span = period(study_date, years)
    if span is None:
        return Candidates((), ())
    single: dict[str, EarlierStudy] = {}
    for each in found:
        if each.study_uid not in single or each.held:
            single[each.study_uid] = each
    chosen: list[EarlierStudy] = []
    refused: list[tuple[EarlierStudy, Text]] = []
    for each in single.values():
        day = parse_date(each.study_date)
        if each.study_uid == study_uid or day is None or not span[0] <= _da(day) <= span[1]:
            continue
        if each.modalities and "CT" not in each.modalities:
            continue
        if not may_be_chest(each.description):
            continue
        reason = differs(person, each.person)
        if reason is None:
            chosen.append(each)
        else:
            refused.append((each, reason))
    chosen.sort(key=lambda each: (each.study_date, each.study_uid), reverse=True)
    return Candidates(tuple(chosen), tuple(refused))


def may_be_chest(description: str) -> bool:
    """Whether a description says chest, or doesn't say."""
    return bool(_CHEST.search(description)) or not _ELSEWHERE.search(description)


def order_series(
    series: Sequence[EarlierSeries], like: str, most_images: int
) -> tuple[EarlierSeries, ...]:
    """The series worth fetching, the best first.

    A series of the same description as the one it will be compared with comes first; then one
    that says chest; then the one with most images, which is the thinnest.

    Args:
        series: of one study.
        like: SeriesDescription of the series it will be compared with.
        most_images: a series of more is left out.
    """

    def suits(one: EarlierSeries) -> bool:
        enough = one.images is None or FEWEST_IMAGES <= one.images <= most_images
        said = f"{one.description} {one.body_part}"
        return (
            one.modality == "CT"
            and enough
            and not _NO_VOLUME.search(one.description)
            and may_be_chest(said)
        )

    def merit(one: EarlierSeries) -> tuple[bool, bool, int, str]:
        said = f"{one.description} {one.body_part}"
        same = bool(like) and one.description.casefold() == like.casefold()
        return same, bool(_CHEST.search(said)), one.images or 0, one.series_uid

    return tuple(sorted(filter(suits, series), key=merit, reverse=True))


def _da(day: date) -> str:
    return day.strftime("%Y%m%d")
