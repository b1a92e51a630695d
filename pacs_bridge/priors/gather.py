"""The step before the analysis: earlier chest CTs found, and fetched where they are not here.

Bounded by ``priors.wait_s`` (``urgent_wait_s``), and never a reason for a study to fail or to be
held up longer: whatever comes in between is told in the report and in the audit trail, and the
study is read without. Done again after a crash it fetches nothing that is here already.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from imaging.grouping import series_uid_of
from imaging.headers import read_header
from imaging.language import Text
from imaging.notices import Notice, notice
from imaging.series import SeriesPlan
from models.spec import ModelSpec
from models.study.priors import PriorImages
from pacs_bridge.dimse.retrieve import UnknownHere, Wanted
from pacs_bridge.errors import BridgeError, PeerUnreachable
from pacs_bridge.inbox import Inbox
from pacs_bridge.priors.archive import Pacs, open_archive
from pacs_bridge.priors.choice import EarlierStudy, candidates, order_series, parse_date, period
from pacs_bridge.priors.held import Held
from pacs_bridge.priors.person import Person, differs
from pacs_bridge.settings import Settings
from pacs_bridge.store import Store

log = logging.getLogger(__name__)

SPARE_TRIES = 2
"""Studies tried beyond ``priors.most`` when one turns out not to be comparable."""
SERIES_TRIES = 2
"""Series of a study fetched, when the model doesn't take the first."""
OWN_STORE = Text(en="our own store", zh="本机")
NO_SERIES = Text(
    en="none of its series is a chest CT to compare with", zh="其序列均非可供对比的胸部 CT"
)


@dataclass(frozen=True)
class Gathered:
    """What there is to compare with, the latest first, and what the reader has to know of it."""

    priors: tuple[PriorImages, ...] = ()
    notices: tuple[Notice, ...] = ()


NOTHING = Gathered()
"""Nothing was looked for."""


class Priors:
    """Finds and fetches earlier examinations.

    Args:
        settings: their section ``priors`` says where, how and how many.
        store: our own studies, and the audit trail.
        inbox: where fetched objects are kept.
    """

    def __init__(self, settings: Settings, store: Store, inbox: Inbox) -> None:
        self._settings = settings
        self._held = Held(store)
        self._store = store
        self._archive = open_archive(settings, inbox)

    def gather(
        self, study_uid: str, plan: SeriesPlan, spec: ModelSpec, *, urgent: bool = False
    ) -> Gathered:
        """Look for earlier examinations of the patient of a study.

        Args:
            study_uid: the study that is about to be read.
            plan: the series chosen of it.
            spec: the model that will read it, and the earlier ones.
            urgent: it waits ``priors.urgent_wait_s`` at most.
        """
        if self._settings.priors.find == "off":
            return NOTHING
        search = _Search(
            self._settings, self._held, self._store, self._archive, study_uid, spec, urgent
        )
        try:
            return search.run(plan)
        except Exception as error:  # the loop boundary: whatever came, the study is read
            log.exception("study %s: earlier examinations", study_uid)
            return Gathered((), (search.not_sought(search.everywhere, str(error)),))


@dataclass
class _Search:
    """One study's search."""

    settings: Settings
    held: Held
    store: Store
    archive: Pacs | None
    study_uid: str
    spec: ModelSpec
    urgent: bool
    until: float = 0.0
    notices: list[Notice] = field(default_factory=list)
    priors: list[PriorImages] = field(default_factory=list)
    fetching: bool = True
    """False once the time is up, or the PACS can't be reached or doesn't know us at all."""
    asked: bool = True
    """Whether everywhere could be looked in."""

    def run(self, plan: SeriesPlan) -> Gathered:
        wanted = self.settings.priors
        self.until = time.monotonic() + self._patience[1]
        verdict = next(v for v in plan.verdicts if v.series_uid == plan.chosen)
        images = self.store.instances_of(self.study_uid)
        uid = series_uid_of(verdict.series_uid)
        header = read_header(next(i.path for i in images if i.series_uid == uid))
        person, study_date = Person.of(header), str(header.get("StudyDate") or "")
        for value, keyword in ((person.patient_id, "PatientID"), (study_date, "StudyDate")):
            if not value or (keyword == "StudyDate" and parse_date(value) is None):
                missing = Text(
                    en=f"the study has no usable {keyword}", zh=f"该检查没有可用的 {keyword}"
                )
                self.notices.append(self.not_sought(self.everywhere, missing))
                return self._done()
        found = [*self._here(person), *self._in_archive(person, study_date)]
        choice = candidates(person, self.study_uid, study_date, found, wanted.years)
        for study, reason in choice.refused:
            self._refuse(study, reason)
        for study in choice.chosen[: wanted.most + SPARE_TRIES]:
            if len(self.priors) < wanted.most and (study.held or self.fetching):
                self._try(study, person, verdict.description)
        if not self.priors and not choice.chosen and self.asked:
            where = self.everywhere
            self.notices.append(notice("no-prior", years=wanted.years, where=where))
            self._note("no-prior", f"none of the last {wanted.years:g} years in {where.en}")
        return self._done()

    @property
    def _patience(self) -> tuple[str, float]:
        """The setting that bounds this study's wait, and its seconds."""
        key = "urgent_wait_s" if self.urgent else "wait_s"
        return f"priors.{key}", getattr(self.settings.priors, key)

    def _check_time(self) -> None:
        if time.monotonic() > self.until:
            key, seconds = self._patience
            raise BridgeError(f"no time left of the {seconds:g} s ({key})")

    # finding -----------------------------------------------------------------------------

    @property
    def everywhere(self) -> Text:
        """Where is looked."""
        if self.archive is None:
            return OWN_STORE
        return Text(
            en=f"{OWN_STORE.en} and PACS {self.archive}",
            zh=f"{OWN_STORE.zh}及 PACS {self.archive} ",
        )

    def not_sought(self, where: Text, problem: str | Text) -> Notice:
        """Enter into the trail that nothing could be looked for; what the report says of it."""
        self.asked = False
        en = problem.en if isinstance(problem, Text) else problem
        log.warning(
            "study %s: no earlier examination sought in %s: %s", self.study_uid, where.en, en
        )
        self._note("priors-not-sought", f"{where.en}: {en}")
        return notice("prior-not-sought", where=where, problem=problem)

    def _here(self, person: Person) -> list[EarlierStudy]:
        return self.held.studies(person.patient_id)

    def _in_archive(self, person: Person, study_date: str) -> list[EarlierStudy]:
        span = period(study_date, self.settings.priors.years)
        if self.archive is None or span is None:
            return []
        try:
            found = self.archive.studies(person.patient_id, *span)
        except BridgeError as error:
            where = Text(en=f"PACS {self.archive}", zh=f" PACS {self.archive} ")
            self.notices.append(self.not_sought(where, str(error)))
            return []
        # PatientID matches with wildcards (PS3.4 C.2.2.2.4): only what is equal was meant.
        found = [each for each in found if each.person.patient_id == person.patient_id]
        dates = ", ".join(sorted(each.study_date for each in found)) or "none"
        self._note("priors-asked", f"{self.archive}: CT studies {span[0]} to {span[1]}: {dates}")
        return found

    # one study ---------------------------------------------------------------------------

    def _try(self, study: EarlierStudy, person: Person, like: str) -> None:
        """Take a study for comparison, fetched if it has to be; or say why not."""
        images: PriorImages | Text = NO_SERIES
        if study.held:
            images = self.held.suiting(study, self.spec)
        if isinstance(images, Text) and self.archive is not None:
            try:
                images = self._fetched(study, like, self.archive) or images
            except (BridgeError, OSError) as error:
                lost = isinstance(error, (PeerUnreachable, UnknownHere))
                self.fetching = not lost and time.monotonic() <= self.until
                log.warning("study %s: prior %s: %s", self.study_uid, study.study_uid, error)
                self._note("prior-not-fetched", f"{_named(study)}: {error}")
                told = notice("prior-not-fetched", date=_date(study), problem=str(error))
                self.notices.append(told)
                return
        if isinstance(images, Text):
            self._refuse(study, images)
            return
        # The images themselves say more of the patient than a query's answer does.
        reason = differs(person, self.held.person(images))
        if reason is not None:
            self._refuse(study, reason)
            return
        self._note("prior-taken", f"{_named(study)}: {len(images.paths)} images")
        self.priors.append(images)

    def _fetched(self, study: EarlierStudy, like: str, archive: Pacs) -> PriorImages | Text | None:
        """Its images from the PACS; or why the model doesn't take them; None: none were fetched.

        Raises:
            BridgeError, OSError: they could not be fetched.
        """
        limits = self.settings.priors
        too_much = self.held.check_size(
            study.study_uid, limits.most_images, int(limits.most_mb * 1e6)
        )
        reason: Text | None = None
        for series_uid in self._series(study, like, archive):
            self._check_time()
            self._bring(study, Wanted(study.study_uid, series_uid, self.until, too_much), archive)
            images = self.held.suiting(study, self.spec)
            if isinstance(images, PriorImages):
                return images
            reason = images
        return reason

    def _series(self, study: EarlierStudy, like: str, archive: Pacs) -> Sequence[str | None]:
        """The series to fetch, the best first; the whole study where the PACS tells of none."""
        limits = self.settings.priors
        self._check_time()
        known = archive.series(study.study_uid)
        if known:
            new = [s for s in known if self.held.count(study.study_uid, s.series_uid) != s.images]
            best = order_series(new, like, limits.most_images)
            return [series.series_uid for series in best[:SERIES_TRIES]]
        if study.held:
            return []
        if study.images is not None and study.images > limits.most_images:
            raise BridgeError(f"{study.images} images, priors.most_images = {limits.most_images}")
        return [None]

    def _bring(self, study: EarlierStudy, wanted: Wanted, archive: Pacs) -> None:
        started = time.monotonic()
        left = max(0.0, self.until - started)
        self.held.ledger.expect(study.study_uid, self.study_uid, str(archive), left)
        count = archive.fetch(wanted)
        self.held.ledger.fetched(study.study_uid)
        told = (
            f"{_named(study)}, series {wanted.series_uid or 'all'}: {count} "
            f"objects from {archive} by {archive.method} in "
            f"{time.monotonic() - started:.1f} s"
        )
        log.info("study %s: prior fetched: %s", self.study_uid, told)
        self._note("prior-fetched", told)
        self.store.record("preread", "fetched-as-prior", study.study_uid, f"for {self.study_uid}")

    # telling -----------------------------------------------------------------------------

    def _refuse(self, study: EarlierStudy, reason: Text) -> None:
        log.warning("study %s: prior %s refused: %s", self.study_uid, study.study_uid, reason.en)
        self._note("prior-refused", f"{_named(study)}: {reason.en}")
        self.notices.append(notice("prior-refused", date=_date(study), problem=reason))

    def _note(self, what: str, detail: str) -> None:
        self.store.record("preread", what, self.study_uid, detail)

    def _done(self) -> Gathered:
        return Gathered(tuple(self.priors), tuple(self.notices))


def _named(study: EarlierStudy) -> str:
    return f"{study.study_date}, {study.study_uid}"


def _date(study: EarlierStudy) -> str:
    day = parse_date(study.study_date)
    return day.isoformat() if day else study.study_date
