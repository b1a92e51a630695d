"""What happens to a study, one method a step; ``workflow`` strings them together.

Every step can be done again after a crash and then leaves what it would have left: UIDs are
derived, files are replaced whole, rows are entered once. Nothing here knows the workflow
engine.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from imaging.headers import scan_files
from imaging.language import Text
from imaging.notices import Notice, notice
from imaging.report import Stage, Superseded
from imaging.series import refusals
from models.engine.turns import Priority
from models.study.plan import StudyPlan, plan_together
from models.study.priors import compares
from pacs_bridge import shadow
from pacs_bridge.completeness import Completeness as Completeness
from pacs_bridge.completeness import judge, look
from pacs_bridge.deliver import Courier
from pacs_bridge.delivery.origin import origin_of
from pacs_bridge.late import leave_pictures
from pacs_bridge.ordered import ordered_urgently
from pacs_bridge.priors.gather import NOTHING, Gathered, Priors
from pacs_bridge.results import KINDS, load_analysis, objects_in, write_objects
from pacs_bridge.settings import Settings
from pacs_bridge.states import State
from pacs_bridge.store import Store
from pacs_bridge.waits import Waits
from pacs_bridge.withdrawals import withdrawn
from pacs_bridge.workers import StudyTask, Workers
from pacs_bridge.workers.failures import StudyKillsWorkers
from pacs_bridge.workers.watch import ModelWatch

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Steps:
    """The steps, with what they work on."""

    settings: Settings
    store: Store
    courier: Courier
    models: ModelWatch
    workers: Workers
    priors: Priors | None = None
    """None: nothing is compared."""

    def folder(self, study_uid: str, revision: int) -> Path:
        """Where the results of a reading lie. UIDs were checked when the images came."""
        return self.settings.storage.folder.absolute() / "results" / study_uid / str(revision)

    def judge_complete(self, study_uid: str) -> Completeness:
        """After the quiet time: is all of the study here? See :mod:`pacs_bridge.completeness`."""
        known = look(self.settings, self.store, study_uid, ours=self._our_pictures(study_uid))
        judged = judge(known, self.settings.assembly)
        if not judged.complete and Waits(self.store).keep(study_uid, judged.because):
            self.store.record("preread", "waiting", study_uid, judged.because.en)
        return judged

    def open(
        self, study_uid: str, opened_by: str, because: Text, missing: Text | None = None
    ) -> int | None:
        """Begin a reading of all images held; None when there is nothing new to read.

        Args:
            study_uid: which study.
            opened_by: asked again by the same, it is the same reading.
            because: why it is taken for complete.
            missing: what it begins without; its report will say so.
        """
        leave_pictures(self.store, study_uid, self.models.enabled)
        revision = self.store.open_reading(study_uid, opened_by)
        waits = Waits(self.store)
        waits.forget(study_uid)
        if revision is not None:
            self.store.set_complete_because(study_uid, revision, because)
            if missing is not None:
                waits.given_up(study_uid, revision, missing)
            self.store.record("preread", "reading-opened", study_uid, f"{revision}: {because.en}")
        return revision

    def plan(self, study_uid: str, revision: int) -> bool:
        """Choose the series; False when none suits, with the reason on the page and in the log."""
        if self._withdrawn(study_uid, revision):
            return False
        self.store.set_state(study_uid, revision, State.PLANNING)
        plan = plan_together(scan_files(self._paths(study_uid)), self.models.enabled)
        self.store.set_plan(study_uid, revision, plan.model_dump_json())
        if plan.chosen is None:
            self._not_analysed(study_uid, revision, _why_nothing(plan))
        return plan.chosen is not None

    def find_priors(self, study_uid: str, revision: int) -> Gathered:
        """Find earlier examinations to compare with, and fetch them where they are not here.

        Only a study that a model for lung nodules will read is compared. Never raises for what
        the PACS did: the study is read without.
        """
        if self.priors is None:
            return NOTHING
        plan = StudyPlan.model_validate_json(self.store.reading(study_uid, revision).plan)
        specs = {spec.name: spec for spec in self.models.enabled}
        for one in plan.reading:
            spec = specs.get(one.model)
            if spec is not None and compares(spec):
                urgent = self.priority(study_uid) is Priority.URGENT
                return self.priors.gather(study_uid, one, spec, urgent=urgent)
        return NOTHING

    def analyse(
        self,
        study_uid: str,
        revision: int,
        last_try: bool = False,
        gathered: Gathered = NOTHING,
    ) -> bool:
        """Find and measure; False when the images turn out not to be what the models take.

        Args:
            study_uid: which study.
            revision: which reading of it.
            last_try: a model that fails even now is left out, where another one read the study.
            gathered: what to compare with, and what the report has to say of it.

        Raises:
            InferenceFailed: a network could not be run, or the worker was lost (retryable).
            StudyKillsWorkers: the worker process died twice over this study.
        """
        task = StudyTask(
            study_uid,
            revision,
            tuple(self._paths(study_uid)),
            self.folder(study_uid, revision),
            self.settings.models.enabled,
            self.priority(study_uid),
            give_up=last_try,
            priors=gathered.priors,
        )

        def begun() -> None:
            self.store.set_state(study_uid, revision, State.ANALYSING)

        if self._withdrawn(study_uid, revision):
            return False
        told_of_priors = gathered.notices
        try:
            outcome = self.workers.read(task, begun=begun)
        except StudyKillsWorkers:
            if not task.priors:
                raise
            # It may be the earlier one, or the two together: the study itself must be read.
            log.exception("study %s: once more, compared with nothing", study_uid)
            told_of_priors = (*told_of_priors, notice("prior-left-out"))
            outcome = self.workers.read(replace(task, priors=()), begun=begun)
        if self._withdrawn(study_uid, revision):
            return False
        # A model may have been replaced since the study was planned: what was read counts.
        self.store.set_plan(study_uid, revision, outcome.plan.model_dump_json())
        if outcome.report is None:
            why = list(outcome.refusal) or _why_nothing(outcome.plan)
            self._not_analysed(study_uid, revision, why)
            return False
        report = outcome.report
        added = {
            "warnings": (
                *self._begun_without(study_uid, revision),
                *report.warnings,
                *told_of_priors,
            ),
            "supersedes": self._superseded(study_uid, revision),
        }
        self.store.set_report(study_uid, revision, report.model_copy(update=added))
        took = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in outcome.seconds.items())
        found = f"{len(report.findings)} finding(s)"
        told = f"{found} by {report.model_names} on {outcome.worker}; {took}"
        log.info("study %s revision %d analysed: %s", study_uid, revision, told)
        self.store.record("preread", "analysed", study_uid, told)
        if report.urgency is not None:
            flagged = report.urgency.why.en
            log.info("study %s revision %d is flagged as urgent: %s", study_uid, revision, flagged)
            self.store.record("preread", "urgent-flagged", study_uid, flagged)
        for each in report.comparisons:
            detail = f"{each.study_date}, {each.study_uid}: {len(each.changes)} nodule(s)"
            self.store.record("preread", "compared", study_uid, detail)
        return True

    def run_shadow(self, study_uid: str, revision: int, model: str) -> None:
        """Have a model read that reports nothing; keep what it found beside what was reported.

        The reading's state, report and objects stay untouched, whatever happens here.

        Raises:
            InferenceFailed: a network could not be run, or the worker was lost (retryable).
            ModelError: the model can't be used.
        """
        task = StudyTask(
            study_uid, revision, tuple(self._paths(study_uid)), None, (model,), Priority.SHADOW
        )
        outcome = self.workers.read(task)
        reported = self.store.reading(study_uid, revision).report
        compared = None
        if reported is not None and outcome.report is not None:
            compared = shadow.agreement(reported, outcome.report)
        why_not = tuple(outcome.refusal) if outcome.report is None else ()
        if outcome.report is None and not why_not:
            why_not = tuple(_why_nothing(outcome.plan))
        kept = shadow.ShadowOutcome(
            model=model,
            read_at=datetime.now().astimezone().replace(microsecond=0),
            report=outcome.report,
            agreement=compared,
            why_not=why_not,
        )
        shadow.keep(self.folder(study_uid, revision), kept)
        name = outcome.report.model_names if outcome.report else model
        told = str(compared) if compared else "; ".join(n.text.en for n in why_not)
        self.store.record("preread", "shadow-read", study_uid, f"{name}: {told}")

    def shadow_failed(self, study_uid: str, model: str, told: str) -> None:
        """A shadow model came to nothing; the audit trail says so, and nothing else changes."""
        log.error("study %s: shadow model %s: %s", study_uid, model, told)
        self.store.record("preread", "shadow-failed", study_uid, f"{model}: {told}")

    def priority(self, study_uid: str) -> Priority:
        """How soon a study is read: of an emergency scanner, or ordered as HIGH, it goes first."""
        emergency = self.store.study(study_uid).source_ae in self.settings.assembly.urgent_ae_titles
        urgent = emergency or ordered_urgently(self.store, study_uid)
        return Priority.URGENT if urgent else Priority.ROUTINE

    def compose(self, study_uid: str, revision: int) -> None:
        """Make the objects of the report as it stands, preliminary or signed."""
        if self._withdrawn(study_uid, revision):
            return
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
            wanted=self.settings.objects_wanted,
        )

    def deliver(self, study_uid: str, revision: int) -> None:
        """Hand the objects to the courier, who sends them to every destination by itself."""
        reading = self.store.reading(study_uid, revision)
        if reading.report is None or reading.state is State.SUPERSEDED:
            return
        stage = reading.report.stage
        if stage is Stage.PRELIMINARY and not self.store.set_state(
            study_uid, revision, State.DELIVERING
        ):  # superseded or withdrawn at this moment
            return
        folder = self.folder(study_uid, revision) / stage
        objects = list(objects_in(folder, reading.report))
        sender = self.store.study(study_uid).source_ae
        self.courier.enqueue(
            study_uid,
            revision,
            stage,
            objects,
            urgent=reading.report.urgent,
            positive=bool(reading.report.standing_findings),
            origin=origin_of(self.store.instances_of(study_uid), reading.report.series_uid, sender),
        )

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

    def _withdrawn(self, study_uid: str, revision: int) -> bool:
        """Whether whoever ordered it wants it no longer; people see why."""
        because = withdrawn(self.store.engine, study_uid, revision)
        if because is not None:
            self.store.set_state(study_uid, revision, State.NOT_ANALYSED, because)
        return because is not None

    def _our_pictures(self, study_uid: str) -> frozenset[str]:
        """Series of secondary captures that earlier revisions sent: a PACS counts them too."""
        sent = {d.revision for d in self.store.deliveries_of(study_uid) if d.kind == "SC"}
        reports = [self.store.reading(study_uid, revision).report for revision in sent]
        return frozenset(
            uid
            for report in reports
            if report is not None
            for uid in (report.uid_of("sc-series"), report.preliminary_uid_of("sc-series"))
        )

    def _superseded(self, study_uid: str, revision: int) -> Superseded | None:
        """The newest result of an earlier revision: signed, or made and maybe sent."""
        for earlier in range(revision - 1, 0, -1):
            report = self.store.reading(study_uid, earlier).report
            if report is None:
                continue
            made = self.folder(study_uid, earlier) / report.stage / KINDS["SR"]
            if report.stage is Stage.FINAL or made.exists():
                return report.as_superseded
        return None

    def _begun_without(self, study_uid: str, revision: int) -> list[Notice]:
        """What has to be said of a reading that did not wait for all images."""
        missing = Waits(self.store).missed(study_uid, revision)
        return [] if missing is None else [notice("begun-incomplete", why=missing)]

    def _paths(self, study_uid: str) -> Sequence[Path]:
        return [instance.path for instance in self.store.instances_of(study_uid)]

    def _not_analysed(self, study_uid: str, revision: int, reasons: Sequence[Notice]) -> None:
        reasons = [*reasons, *self._begun_without(study_uid, revision)]
        reason = Text(
            en="; ".join(r.text.en for r in reasons), zh=";".join(r.text.zh for r in reasons)
        )
        log.warning("study %s revision %d not analysed: %s", study_uid, revision, reason.en)
        self.store.set_state(study_uid, revision, State.NOT_ANALYSED, reason)
        self.store.record("preread", "not-analysed", study_uid, reason.en)


def _why_nothing(plan: StudyPlan) -> list[Notice]:
    """Each reason once, with the series it speaks of."""
    told: list[Notice] = []
    for one in plan.plans:
        reasons = refusals(one)
        for verdict, item in reasons:
            text = Text(
                en=f"series {verdict.name}: {item.text.en}",
                zh=f"序列 {verdict.name}:{item.text.zh}",
            )
            told.append(item.model_copy(update={"text": text}))
        told += one.notices
        if not reasons:
            told.append(notice("nothing-suits", model=one.model))
    return list(dict.fromkeys(told))
