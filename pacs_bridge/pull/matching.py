"""Whether what an archive tells of is what a rule wants; pure functions.

Archives leave out attributes that they don't support, and then match everything (PS3.4 C.2.2.1):
so every answer is looked at again here. What an answer leaves out decides nothing, but of the
body part, of which the descriptions may speak.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset

from imaging.image_classes import NON_IMAGE_MODALITIES
from pacs_bridge.archive import Level, listed
from pacs_bridge.pull.values import FoundSeries, FoundStudy
from pacs_bridge.settings import PullSettings

_OF_SERIES = frozenset((
    "Modality", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "SeriesDate",
    "SeriesTime", "BodyPartExamined", "ProtocolName", "StationName", "InstitutionName",
    "InstitutionalDepartmentName", "Manufacturer", "ManufacturerModelName", "Laterality",
    "OperatorsName", "PerformingPhysicianName", "PerformedProcedureStepDescription",
    "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime",
    "NumberOfSeriesRelatedInstances", "PatientPosition", "ContrastBolusAgent",
))  # fmt: skip
_OF_IMAGE = frozenset((
    "SOPInstanceUID", "SOPClassUID", "InstanceNumber", "SliceThickness", "ImageType", "KVP",
    "ConvolutionKernel", "ReconstructionDiameter", "Rows", "Columns", "NumberOfFrames",
    "AcquisitionNumber", "ContentDate", "ContentTime", "AcquisitionDate", "AcquisitionTime",
))  # fmt: skip
"""Where a keyword belongs that does not belong to the study (PS3.4 C.6.1.1, and where archives
look for what no table of it names)."""


def level_of(keyword: str) -> Level:
    """The level at which a keyword is asked for."""
    if keyword in _OF_SERIES:
        return "SERIES"
    return "IMAGE" if keyword in _OF_IMAGE else "STUDY"


def keys_of(rule: PullSettings, level: Level) -> dict[str, str]:
    """What a rule's ``query`` asks for at a level."""
    split = (each.partition("=") for each in rule.query)
    return {keyword: value for keyword, _, value in split if level_of(keyword) == level}


def study_refusal(rule: PullSettings, match: Dataset, study: FoundStudy, dates: str) -> str:
    """Why a study is not wanted; empty: it is, as far as its own level tells."""
    for keyword, wanted in {"StudyDate": dates, **keys_of(rule, "STUDY")}.items():
        if wanted and not agrees(keyword, match.get(keyword), wanted):
            return f"{keyword} = {_shown(match.get(keyword))}"
    if rule.modalities and study.modalities and not set(rule.modalities) & set(study.modalities):
        return f"modalities {', '.join(study.modalities)}"
    if not _like(study.description, rule.study_descriptions):
        return f"StudyDescription = {study.description!r}"
    return ""


def series_refusal(
    rule: PullSettings, match: Dataset, series: FoundSeries, study: FoundStudy
) -> str:
    """Why a series is not wanted; empty: it is, as far as its own level tells."""
    for keyword, wanted in keys_of(rule, "SERIES").items():
        if not agrees(keyword, match.get(keyword), wanted):
            return f"{keyword} = {_shown(match.get(keyword))}"
    if rule.modalities and series.modality and series.modality not in rule.modalities:
        return f"Modality {series.modality}"
    if series.modality in NON_IMAGE_MODALITIES:
        return f"Modality {series.modality}: no images"
    if series.description and _like(series.description, rule.not_series_descriptions, empty=False):
        return "in not_series_descriptions"
    if not _like(series.description, rule.series_descriptions):
        return "not in series_descriptions"
    if not _of_body_part(rule.body_parts, series, study):
        return f"BodyPartExamined = {series.body_part!r}"
    if series.images is not None and series.images < rule.fewest_images:
        return f"{series.images} images, fewest_images = {rule.fewest_images}"
    if series.images is not None and series.images > rule.most_images:
        return f"{series.images} images, most_images = {rule.most_images}"
    return ""


def image_agrees(rule: PullSettings, match: Dataset) -> bool:
    """Whether an image is what the rule's ``query`` asks for."""
    return all(agrees(k, match.get(k), wanted) for k, wanted in keys_of(rule, "IMAGE").items())


def agrees(keyword: str, value: Any, wanted: str) -> bool:
    """Whether a value matches as an archive should have matched it (PS3.4 C.2.2.2).

    Single value, list of UIDs (backslash), wildcard, range of dates or times; capitals count for
    nothing, as for names in most archives. Of a name, one component group is enough (letters,
    characters or sounds; PS3.4 C.2.2.2.4, PS3.5 6.2.1.1). An empty value, or one that wasn't told,
    agrees: the archive has judged it, or cannot.
    """
    values = [str(each).strip() for each in listed(value)]
    if dictionary_VR(keyword) == "PN":
        groups = [group for each in values for group in each.split("=")]
        values = [each.rstrip("^ ") for each in (*values, *groups)]
        wanted = wanted.rstrip("^ ")
    values = [each for each in values if each]
    if not values or not wanted:
        return True
    span = re.fullmatch(r"([\d.:]*)-([\d.:]*)", wanted)
    if span and any(span.groups()) and dictionary_VR(keyword) in ("DA", "DT", "TM"):
        first, last = (re.sub(r"[.:](?=\d\d)", "", bound) for bound in span.groups())
        return any(_within(each, first, last) for each in values)
    patterns = wanted.split("\\")
    return any(_like(each, patterns) for each in values)


def _within(value: str, first: str, last: str) -> bool:
    value = re.sub(r"[.:](?=\d\d)", "", value)
    return (not first or value >= first) and (not last or value[: len(last)] <= last)


def _like(text: str, patterns: Sequence[str], *, empty: bool = True) -> bool:
    """Whether a text is like one of them; ``empty``: what no pattern at all means."""
    if not patterns:
        return empty
    folded = text.casefold()
    # [ is a character like others: only * and ? are wildcards in DICOM
    return any(fnmatchcase(folded, pattern.casefold().replace("[", "[[]")) for pattern in patterns)


def _of_body_part(wanted: Sequence[str], series: FoundSeries, study: FoundStudy) -> bool:
    if series.body_part or not wanted:
        return _like(series.body_part, wanted)
    said = f"{study.description} {series.description} {series.protocol}"
    return _like(said, [f"*{word}*" for word in wanted])


def _shown(value: Any) -> str:
    return "\\".join(_cut(listed(value)))


def _cut(values: Iterable[Any]) -> list[str]:
    return [str(each)[:64] for each in values]
