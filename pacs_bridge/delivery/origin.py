"""Where the images of a reading come from, read from one of them."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue

from pacs_bridge.delivery.routing import Origin
from pacs_bridge.records import Instance

_KEYWORDS = ("InstitutionName", "Modality", "BodyPartExamined")
_DESCRIPTIONS = ("SeriesDescription", "ProtocolName", "StudyDescription")
_READ = [*_KEYWORDS, *_DESCRIPTIONS, "SpecificCharacterSet"]


def origin_of(instances: Sequence[Instance], series_uid: str, sending_ae: str) -> Origin:
    """What the destinations' rules are about.

    Args:
        instances: of the study.
        series_uid: the series that was read.
        sending_ae: who sent the study.

    Returns:
        Of an image that can't be read no more than the sender: a rule about it matches nothing.
    """
    head = Dataset()
    for instance in (each for each in instances if each.series_uid == series_uid):
        try:
            head = dcmread(instance.path, specific_tags=_READ, stop_before_pixels=True)
        except (OSError, InvalidDicomError):
            continue
        break
    institution, modality, body_part = (_values(head, keyword) for keyword in _KEYWORDS)
    descriptions = [value for keyword in _DESCRIPTIONS for value in _values(head, keyword)]
    return Origin(sending_ae, institution, modality, body_part, tuple(descriptions))


def _values(head: Dataset, keyword: str) -> tuple[str, ...]:
    value = head.get(keyword)
    several = value if isinstance(value, MultiValue) else (value,)
    return tuple(str(each) for each in several if each not in (None, ""))
