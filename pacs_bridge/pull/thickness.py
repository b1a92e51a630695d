"""How thick a series' slices are, before it is fetched.

SliceThickness (0018,0050) belongs to the image, and few archives tell it in an answer; where this
one doesn't, an image from the middle of the series is looked at, if it can come without staying.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from pydicom.dataset import Dataset

from pacs_bridge.archive import Archive
from pacs_bridge.dimse.retrieve import FETCHED_CLASSES, Wanted
from pacs_bridge.errors import PeerError, PeerUnreachable
from pacs_bridge.pull.values import FoundSeries

log = logging.getLogger(__name__)

LOOK_S = 60.0
"""Longest wait for the one image that is looked at."""


def thickness_of(
    archive: Archive, study_uid: str, series: FoundSeries, images: Sequence[Dataset]
) -> float | None:
    """The thickest slice in mm; None where neither archive nor image tells.

    Args:
        archive: where the series is.
        study_uid: its study.
        series: the series.
        images: the archive's answers at IMAGE level.

    Raises:
        PeerUnreachable: the archive is gone.
    """
    told = [mm for mm in map(_thickness, images) if mm is not None]
    if told:
        return max(told)
    if not images:
        return None
    ordered = sorted(images, key=lambda image: _number(image.get("InstanceNumber")))
    middle = ordered[len(ordered) // 2]
    sop_class = str(middle.get("SOPClassUID") or "")
    known = FETCHED_CLASSES.get(series.modality, FETCHED_CLASSES["CT"])
    wanted = Wanted(
        study_uid,
        series.series_uid,
        time.monotonic() + LOOK_S,
        instance_uids=(str(middle.get("SOPInstanceUID")),),
        sop_classes=(sop_class,) if sop_class else known,
    )
    try:
        header = archive.look(wanted)
    except PeerUnreachable:
        raise
    except PeerError as error:
        log.info("series %s: no image of it can be looked at: %s", series.series_uid, error)
        return None
    return None if header is None else _thickness(header)


def _thickness(header: Dataset) -> float | None:
    value = header.get("SliceThickness")
    if value is None:  # enhanced: in the functional groups (PS3.3 C.7.6.16.2.1)
        for groups in header.get("SharedFunctionalGroupsSequence") or ():
            for measures in groups.get("PixelMeasuresSequence") or ():
                value = measures.get("SliceThickness")
    try:
        return float(str(value))
    except ValueError:
        return None


def _number(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        return 0
