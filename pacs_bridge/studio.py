"""What the review page gets beyond the database: pictures, files, and the steps that follow."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imaging.headers import scan_files
from imaging.load import load_series
from imaging.measure import outlines_on
from imaging.objects import render_slice
from imaging.objects.key_images import WINDOW, Circle
from imaging.report import Signature, Stage
from imaging.series import group_series
from imaging.volume import Region, Volume
from pacs_bridge.deliver import Courier
from pacs_bridge.delivery.standing import DestinationState
from pacs_bridge.errors import UnknownStudy
from pacs_bridge.results import KINDS, key_image_path, load_analysis, why_picture_path
from pacs_bridge.review import ObjectKind
from pacs_bridge.steps import Steps
from pacs_bridge.store import Reading
from pacs_bridge.workers import EngineState
from pacs_bridge.workflow import Workflows

VOLUMES_KEPT = 2
"""A chest CT is 70 to 300 MB; turning pages in one study reads it once."""


@dataclass
class _Volume:
    """A volume that is kept, or just being loaded."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    volume: Volume | None = None
    structures: tuple[Region, ...] = ()
    """Masks of the report's organs, to draw on every slice that they reach."""


class ServerStudio:
    """The server's side of :class:`pacs_bridge.review.Studio`."""

    def __init__(self, steps: Steps, workflows: Workflows, courier: Courier) -> None:
        self._steps = steps
        self._workflows = workflows
        self._courier = courier
        self._volumes: OrderedDict[tuple[str, int], _Volume] = OrderedDict()
        self._lock = threading.Lock()

    def key_image(self, reading: Reading, tracking_uid: str) -> bytes:
        """PNG of the finding's key slice, made when the study was analysed.

        Raises:
            UnknownStudy: no such finding.
        """
        known = reading.report.findings if reading.report else ()
        if all(finding.tracking_uid != tracking_uid for finding in known):
            raise UnknownStudy(f"study {reading.study.study_uid} has no finding {tracking_uid}")
        return key_image_path(self._folder(reading), tracking_uid).read_bytes()

    def why_picture(self, reading: Reading, tracking_uid: str) -> Path | None:
        """The picture of why a finding was marked, made when the study was analysed."""
        known = reading.report.findings if reading.report else ()
        if all(finding.tracking_uid != tracking_uid for finding in known):
            return None
        path = why_picture_path(self._folder(reading), tracking_uid)
        return path if path.is_file() else None

    def slice_image(self, reading: Reading, k: int, outlines: bool) -> bytes:
        """PNG of slice ``k`` of the analysed series.

        Raises:
            UnknownStudy: nothing was analysed, or the series has no such slice.
        """
        report = reading.report
        if report is None or not 0 <= k < report.slice_count:
            raise UnknownStudy(f"study {reading.study.study_uid} has no analysed slice {k}")
        found = report.standing_findings if outlines else ()
        drawn = [outline for finding in found for outline in finding.outlines]
        window = report.window or WINDOW
        places = report.gland.places if report.gland and outlines else ()
        circles = [Circle(place.centre_lps_mm, place.diameter_mm / 2 + 3) for place in places]
        kept = self._kept(reading)
        assert kept.volume is not None
        volume, shown = kept.volume, kept.structures if outlines else ()
        organs = [each for region in shown for each in outlines_on(volume, region, k)]
        return render_slice(volume, k, drawn, organs=organs, circles=circles, window=window)

    def object_path(self, reading: Reading, kind: ObjectKind) -> Path | None:
        """The newest object of that kind: the final one, else the preliminary one."""
        for stage in (Stage.FINAL, Stage.PRELIMINARY):
            if (self._folder(reading) / stage / KINDS["SR"]).exists():
                path = self._folder(reading) / stage / KINDS[kind]
                return path if path.exists() else None
        return None

    def sign(self, study_uid: str, revision: int, signature: Signature, who: str) -> None:
        """See :meth:`Workflows.sign`."""
        self._workflows.sign(study_uid, revision, signature, who)

    def begin_again(self, study_uid: str, revision: int, who: str) -> None:
        """See :meth:`Workflows.begin_again`."""
        self._workflows.begin_again(study_uid, revision, who)

    def retry_delivery(self, sop_instance_uid: str, destination: str, who: str) -> None:
        """See :meth:`Courier.retry`."""
        self._courier.retry(sop_instance_uid, destination, who)

    def retry_destination(self, destination: str, who: str) -> int:
        """See :meth:`Courier.retry_all`."""
        return self._courier.retry_all(destination, who)

    def set_aside(self, destination: str, sop_instance_uid: str, who: str, reason: str) -> int:
        """See :meth:`Courier.set_aside`, :meth:`Courier.set_aside_all`."""
        if not sop_instance_uid:
            return self._courier.set_aside_all(destination, who, reason)
        self._courier.set_aside(sop_instance_uid, destination, who, reason)
        return 1

    def destinations(self) -> Sequence[DestinationState]:
        """Where every destination stands."""
        return self._courier.destinations()

    def engine(self) -> EngineState:
        """How workers and models stand."""
        return self._steps.workers.state().model_copy(update={"models": self._steps.models.state()})

    def _folder(self, reading: Reading) -> Path:
        return self._steps.folder(reading.study.study_uid, reading.revision)

    def _kept(self, reading: Reading) -> _Volume:
        key = (reading.study.study_uid, reading.revision)
        with self._lock:
            if key not in self._volumes:
                self._volumes[key] = _Volume()
                while len(self._volumes) > VOLUMES_KEPT:
                    self._volumes.popitem(last=False)
            self._volumes.move_to_end(key)
            kept = self._volumes[key]
        # One load a study, and nobody who looks at another study waits for it.
        with kept.lock:
            if kept.volume is None:
                kept.structures = self._structures(reading)
                kept.volume = self._load(reading)
            return kept

    def _structures(self, reading: Reading) -> tuple[Region, ...]:
        report = reading.report
        if report is None or not report.structures:
            return ()
        regions = load_analysis(self._folder(reading)).regions
        return tuple(regions[each.tracking_uid] for each in report.structures)

    def _load(self, reading: Reading) -> Volume:
        report = reading.report
        assert report is not None
        paths = [i.path for i in self._steps.store.instances_of(reading.study.study_uid)]
        scan = scan_files(paths)
        found = [s for s in group_series(scan) if s.header.series_uid == report.series_uid]
        if len(found) > 1:  # several stacks under one UID: the one that was analysed
            sources = load_analysis(self._folder(reading)).sources
            read = {(s.sop_instance_uid, s.frame_number) for s in sources if s is not None}
            found = [
                each
                for each in found
                if any((s.sop_instance_uid, s.frame_number) in read for s in each.slices)
            ]
        series = next(iter(found), None)
        if series is None:
            raise UnknownStudy(f"series {report.series_uid} is no longer held here")
        return load_series(series).volume
