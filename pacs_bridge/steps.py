"""What happens to a study, one method a step; ``workflow`` strings them together.

Every step can be done again after a crash and then leaves what it would have left: UIDs are
derived, files are replaced whole, rows are entered once. Nothing here knows the workflow
engine.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imaging.errors import SeriesError
from imaging.image_classes import is_image_class
from imaging.language import Text
from imaging.notices import Notice, notice
from imaging.report import Stage
from imaging.series import SeriesPlan, refusals
from models.errors import InputRefused
from models.loaded import LoadedModel
from models.study import plan_study, read_study
from pacs_bridge.deliver import Courier
from pacs_bridge.dimse.peer import Peer
from pacs_bridge.errors import PeerError
from pacs_bridge.results import load_analysis, save_analysis, write_objects
from pacs_bridge.settings import Settings
from pacs_bridge.states import State
from pacs_bridge.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Completeness:
    """Whether a study may be taken for complete.

    ``because`` is kept with the reading; with ``complete`` False it says what is waited for.
    """

    complete: bool
    because: Text


@dataclass(frozen=True)
class Steps:
    """The steps, with what they work on."""

    settings: Settings
    store: Store
    courier: Courier
    model: LoadedModel

    def folder(self, study_uid: str, revision: int) -> Path:
        """Where the results of a reading lie. UIDs were checked when the images came."""
        return self.settings.storage.folder.absolute() / "results" / study_uid / str(revision)

    def judge_complete(self, study_uid: str) -> Completeness:
        """After the quiet time: does the PACS hold more images than arrived?

        A PACS that is not set up, doesn't answer or doesn't count leaves the quiet time to
        decide; so does the longest wait.
        """
        quiet_s = self.settings.assembly.quiet_s
        source = self.settings.assembly.source
        held = sum(is_image_class(i.sop_class_uid) for i in self.store.instances_of(study_uid))
        quiet = Text(
            en=f"no new image for {quiet_s:g} s, {held} images held",
            zh=f"{quiet_s:g} 秒内无新图像，已收到 {held} 幅",
        )
        if source is None:
            return _complete(quiet, "no PACS set up to ask", "未配置可查询的 PACS")
        pacs = f"PACS {source.ae_title}"
        try:
            count = Peer(source, self.settings.listener.ae_title).count_images(study_uid)
        except PeerError as error:
            log.warning("study %s: the PACS could not be asked for its count: %s", study_uid, error)
            return _complete(quiet, f"{pacs} did not answer: {error}", f"{pacs} 未应答：{error}")
        if count is None:
            return _complete(quiet, f"{pacs} gives no count", f"{pacs} 未提供图像数")
        counted = Text(
            en=f"{pacs} counts {count} images, {held} are held",
            zh=f"{pacs} 计 {count} 幅图像，已收到 {held} 幅",
        )
        if held >= count:
            return Completeness(True, counted)
        waited = time.time() - self.store.study(study_uid).first_received_at
        if waited >= self.settings.assembly.longest_wait_s:
            return _complete(counted, f"waited {waited:.0f} s", f"已等待 {waited:.0f} 秒")
        return Completeness(False, counted)

    def open(self, study_uid: str, opened_by: str, because: Text) -> int | None:
        """Begin a reading of all images held; None when there is nothing new to read."""
        revision = self.store.open_reading(study_uid, opened_by)
        if revision is not None:
            self.store.set_complete_because(study_uid, revision, because)
            self.store.record("preread", "reading-opened", study_uid, f"{revision}: {because.en}")
        return revision

    def plan(self, study_uid: str, revision: int) -> bool:
        """Choose the series; False when none suits, with the reason on the page and in the log."""
        self.store.set_state(study_uid, revision, State.PLANNING)
        _, plan = plan_study(self._paths(study_uid), self.model.spec)
        self.store.set_plan(study_uid, revision, plan.model_dump_json())
        if plan.chosen is None:
            self._not_analysed(study_uid, revision, _why_nothing(plan))
        return plan.chosen is not None

    def analyse(self, study_uid: str, revision: int) -> bool:
        """Find and measure; False when the images turn out not to be what the model takes.

        Raises:
            InferenceFailed: a network could not be run (retryable).
        """
        self.store.set_state(study_uid, revision, State.ANALYSING)
        scan, plan = plan_study(self._paths(study_uid), self.model.spec)
        try:
            reading = read_study(scan, plan, self.model, revision=revision)
        except InputRefused as error:
            self._not_analysed(study_uid, revision, [error.reason])
            return False
        except SeriesError as error:
            self._not_analysed(
                study_uid, revision, [notice("irregular-geometry", problem=str(error))]
            )
            return False
        save_analysis(
            self.folder(study_uid, revision), reading.report, reading.regions, reading.volume
        )
        self.store.set_report(study_uid, revision, reading.report)
        took = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in reading.seconds.items())
        told = f"{len(reading.report.findings)} finding(s); {took}"
        log.info("study %s revision %d analysed: %s", study_uid, revision, told)
        self.store.record("preread", "analysed", study_uid, told)
        return True

    def compose(self, study_uid: str, revision: int) -> None:
        """Make the objects of the report as it stands, preliminary or signed."""
        reading = self.store.reading(study_uid, revision)
        if reading.report is None:
            raise ValueError(f"study {study_uid} revision {revision} has no report to compose")
        stage = reading.report.stage
        if stage is Stage.PRELIMINARY:
            self.store.set_state(study_uid, revision, State.COMPOSING)
        folder = self.folder(study_uid, revision)
        write_objects(
            folder / stage,
            reading.report,
            load_analysis(folder),
            language=self.settings.report_language,
        )

    def deliver(self, study_uid: str, revision: int) -> None:
        """Hand the objects to the courier, who sends them to every destination by itself."""
        reading = self.store.reading(study_uid, revision)
        if reading.report is None or reading.state is State.SUPERSEDED:
            return
        stage = reading.report.stage
        if stage is Stage.PRELIMINARY:
            self.store.set_state(study_uid, revision, State.DELIVERING)
        folder = self.folder(study_uid, revision) / stage
        objects = [
            (kind, reading.report.uid_of(kind.lower()), path)
            for kind, path in (("SEG", folder / "seg.dcm"), ("SR", folder / "sr.dcm"))
            if path.exists()
        ]
        self.courier.enqueue(study_uid, revision, stage, objects)

    def await_signature(self, study_uid: str, revision: int) -> None:
        """A person is needed now."""
        self.store.set_state(study_uid, revision, State.AWAITING_SIGNATURE)

    def finish(self, study_uid: str, revision: int) -> None:
        """The signed report is on its way to every destination."""
        self.store.set_state(study_uid, revision, State.FINAL)

    def fail(self, study_uid: str, revision: int, told: str) -> None:
        """A step failed for good; say so where people look."""
        log.error("study %s revision %d failed: %s", study_uid, revision, told)
        reason = Text(en=f"The analysis failed: {told}", zh=f"分析失败:{told}")
        self.store.set_state(study_uid, revision, State.FAILED, reason)
        self.store.record("preread", "reading-failed", study_uid, told)

    def _paths(self, study_uid: str) -> Sequence[Path]:
        return [instance.path for instance in self.store.instances_of(study_uid)]

    def _not_analysed(self, study_uid: str, revision: int, reasons: Sequence[Notice]) -> None:
        reason = Text(
            en="; ".join(r.text.en for r in reasons), zh=";".join(r.text.zh for r in reasons)
        )
        log.warning("study %s revision %d not analysed: %s", study_uid, revision, reason.en)
        self.store.set_state(study_uid, revision, State.NOT_ANALYSED, reason)
        self.store.record("preread", "not-analysed", study_uid, reason.en)


def _complete(because: Text, en: str, zh: str) -> Completeness:
    return Completeness(True, Text(en=f"{because.en}; {en}", zh=f"{because.zh}；{zh}"))


def _why_nothing(plan: SeriesPlan) -> list[Notice]:
    reasons = [item for _, item in refusals(plan)]
    if not reasons:
        return [*plan.notices, notice("nothing-suits", model=plan.model)]
    # Each reason once, with the series it speaks of.
    told = []
    for verdict, item in refusals(plan):
        name = " ".join(x for x in (verdict.number, verdict.description) if x) or "-"
        told.append(
            item.model_copy(
                update={
                    "text": Text(
                        en=f"series {name}: {item.text.en}", zh=f"序列 {name}:{item.text.zh}"
                    )
                }
            )
        )
    return [*told, *plan.notices]
