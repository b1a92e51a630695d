"""The rules of a reader's work: what may be changed, what a signature needs.

Forms and the JSON API both go through here. A change names the version it was made from, so
that of two people (or two tabs) the second is told instead of wiping out the first.
"""

from __future__ import annotations

import hashlib
import re
import threading
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import get_args

from imaging.guidelines import pancreatic_lesions
from imaging.guidelines.pancreas_values import PancreasReading
from imaging.guidelines.values import (
    LUNG_RADS,
    NCCN,
    SAR_APA,
    Clinical,
    LungRads,
    Override,
    Resectability,
)
from imaging.report import FindingReview, Report, Signature, Verdict
from pacs_bridge.auth import Person
from pacs_bridge.errors import UnknownStudy, WrongState
from pacs_bridge.review.studio import Studio
from pacs_bridge.states import State
from pacs_bridge.store import Reading, Store

TEXT_LIMIT = 20_000
"""Characters of a text."""
REASON_LIMIT = 2_000
CATEGORY_LIMIT = 200
OLDEST = 130
"""Years."""
CATEGORIES: dict[str, tuple[str, ...]] = {
    LUNG_RADS: get_args(LungRads),
    NCCN: get_args(Resectability),
}
"""The categories a guideline has; one that is not named takes the reader's own words."""

_PN_GROUP = re.compile(r"[^\\=\x00-\x1f\x7f]{1,64}")
_LONG_STRING = re.compile(r"[^\\\x00-\x1f\x7f]{1,64}")


class NotAccepted(WrongState):
    """A change was refused; ``label`` is the page's sentence for it, with ``values``."""

    def __init__(self, message: str, label: str, **values: str) -> None:
        super().__init__(message)
        self.label = label
        self.values = values


def version_of(review: FindingReview) -> str:
    """Names the state of one verdict."""
    return _digest(review.tracking_uid, review.verdict, review.text)


def version_of_text(text: str) -> str:
    """Names the state of the impression."""
    return _digest(text)


def version_of_reviews(report: Report) -> str:
    """Names the state of all verdicts and their texts, and of what the guidelines go by."""
    reviews = (version_of(report.review_of(finding)) for finding in report.findings)
    return _digest(*reviews, version_of_facts(report))


def version_of_facts(report: Report) -> str:
    """Names the state of the facts that the guidelines go by, and of the reader's categories."""
    own = (override.model_dump_json() for override in report.overrides)
    facts = report.clinical.model_dump_json(), report.pancreas_reading.model_dump_json()
    return _digest(*facts, *own)


def pending_numbers(report: Report) -> tuple[int, ...]:
    """Numbers of the findings without a verdict."""
    return tuple(
        f.number for f in report.findings if report.review_of(f).verdict is Verdict.PENDING
    )


def categories_of(report: Report) -> dict[str, tuple[str, ...]]:
    """The guidelines that a reader may overrule, each with its categories; none: any words.

    The pancreas template is filled in, not overruled.
    """
    applied = (guidance.guideline for guidance in report.guidance)
    return {name: CATEGORIES.get(name, ()) for name in applied if name != SAR_APA}


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Desk:
    """Where verdicts, texts and signatures are taken.

    Args:
        store: keeps them.
        studio: starts what follows a signature.
    """

    store: Store
    studio: Studio
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def review(
        self, study_uid: str, revision: int, review: FindingReview, person: Person, seen: str = ""
    ) -> Report:
        """Keep a verdict and its text; ``seen`` names the version it was made from.

        Raises:
            UnknownStudy: no such report or finding.
            WrongState: not awaiting a signature, or changed by somebody else since.
        """
        review = review.model_copy(update={"text": _tidy(review.text)})
        with self._lock:
            report = self._open(study_uid, revision)
            for finding in report.findings:
                if finding.tracking_uid == review.tracking_uid:
                    now = report.review_of(finding)
                    break
            else:
                raise UnknownStudy(f"study {study_uid} has no finding {review.tracking_uid}")
            if now == review:
                return report
            if seen and seen != version_of(now):
                raise NotAccepted("the finding was changed by somebody else", "stale")
            return self.store.save_review(study_uid, revision, review, person.who)

    def impression(
        self, study_uid: str, revision: int, text: str, person: Person, seen: str = ""
    ) -> Report:
        """Keep the impression. Raises as :meth:`review`."""
        text = _tidy(text)
        with self._lock:
            report = self._open(study_uid, revision)
            if report.impression == text:
                return report
            if seen and seen != version_of_text(report.impression):
                raise NotAccepted("the impression was changed by somebody else", "stale")
            return self.store.save_impression(study_uid, revision, text, person.who)

    def clinical(
        self, study_uid: str, revision: int, facts: Clinical, person: Person, seen: str = ""
    ) -> Report:
        """Keep what is known of the patient; the guidelines are applied again.

        Raises as :meth:`review`; :class:`NotAccepted` for an age that is none.
        """
        if facts.age_years is not None and not 0 <= facts.age_years <= OLDEST:
            raise NotAccepted(f"an age of {facts.age_years} years is none", "bad-age")
        with self._lock:
            report = self._open(study_uid, revision)
            if report.clinical == facts:
                return report
            self._fresh(report, seen)
            return self.store.save_clinical(study_uid, revision, facts, person.who)

    def pancreas(
        self, study_uid: str, revision: int, said: PancreasReading, person: Person, seen: str = ""
    ) -> Report:
        """Keep what the reader says of a pancreatic lesion; the guidelines are applied again.

        Raises as :meth:`review`; :class:`NotAccepted` for a lesion that does not stand.
        """
        with self._lock:
            report = self._open(study_uid, revision)
            if report.pancreas_reading == said:
                return report
            numbers = {finding.number for finding in pancreatic_lesions(report)}
            if said.lesion is not None and said.lesion not in numbers:
                raise NotAccepted(f"no pancreatic lesion {said.lesion} stands", "bad-lesion")
            self._fresh(report, seen)
            return self.store.save_pancreas(study_uid, revision, said, person.who)

    def override(
        self,
        study_uid: str,
        revision: int,
        guideline: str,
        category: str,
        reason: str,
        person: Person,
        seen: str = "",
    ) -> Report:
        """Keep the reader's own category beside the computed one.

        Raises as :meth:`review`; :class:`NotAccepted` for a guideline that was not applied or a
        category that it does not have.
        """
        category, reason = _tidy(category), _tidy(reason)
        with self._lock:
            report = self._open(study_uid, revision)
            known = categories_of(report)
            if guideline not in known:
                raise NotAccepted(f"guideline {guideline!r} was not applied", "bad-guideline")
            if known[guideline] and category not in known[guideline]:
                raise NotAccepted(f"{guideline} has no category {category!r}", "bad-category")
            if not 0 < len(category) <= CATEGORY_LIMIT:
                raise NotAccepted("the category is empty or too long", "bad-category")
            self._fresh(report, seen)
            by = person.reader.name if person.reader is not None else person.who
            value = Override(
                guideline=guideline,
                category=category,
                reason=reason[:REASON_LIMIT],
                by=by,
                at=datetime.now().astimezone(),
            )
            return self.store.save_override(study_uid, revision, value, person.who)

    def drop_override(
        self, study_uid: str, revision: int, guideline: str, person: Person, seen: str = ""
    ) -> Report:
        """Go back to the computed category. Raises as :meth:`review`."""
        with self._lock:
            report = self._open(study_uid, revision)
            if guideline not in {override.guideline for override in report.overrides}:
                return report
            self._fresh(report, seen)
            return self.store.drop_override(study_uid, revision, guideline, person.who)

    def sign(
        self,
        study_uid: str,
        revision: int,
        person: Person,
        *,
        name: str = "",
        organization: str = "",
        impression: str | None = None,
        seen_impression: str = "",
        seen_reviews: str = "",
    ) -> None:
        """Sign what the reader saw, and start what follows.

        Args:
            study_uid: of the reading.
            revision: of the reading.
            person: a reader signs with their own name; nobody logged in, with what follows.
            name: DICOM PN, as typed.
            organization: as typed.
            impression: as it stands on the screen, kept first; None: as it was kept.
            seen_impression: version of the kept impression that it was made from.
            seen_reviews: version of the verdicts that were on the screen.

        Raises:
            UnknownStudy: no such report.
            WrongState: a finding is undecided, the report changed since, the name is none, or
                the reading does not await a signature.
        """
        if person.reader is not None:
            name, organization = person.reader.name, person.reader.organization
        with self._lock:
            report = self._open(study_uid, revision)
            text = report.impression if impression is None else _tidy(impression)
            written = text != report.impression
            now = version_of_reviews(report), version_of_text(report.impression)
            if (seen_reviews and seen_reviews != now[0]) or (
                written and seen_impression and seen_impression != now[1]
            ):
                raise NotAccepted("the report changed after it was loaded", "stale-sign")
            undecided = pending_numbers(report)
            if undecided:
                numbers = ", ".join(str(number) for number in undecided)
                raise NotAccepted(
                    f"finding {numbers} has no verdict yet", "pending-left", numbers=numbers
                )
            signature = Signature(
                name=_person_name(name),
                organization=_organization(organization),
                signed_at=datetime.now().astimezone(),
            )
            if written:
                self.store.save_impression(study_uid, revision, text, person.who)
            who = person.who
            if person.reader is None:
                who = f"{person.who}, typed name: {signature.name}"
            self.studio.sign(study_uid, revision, signature, who)

    def _fresh(self, report: Report, seen: str) -> None:
        if seen and seen != version_of_facts(report):
            raise NotAccepted("the clinical facts were changed by somebody else", "stale")

    def _open(self, study_uid: str, revision: int) -> Report:
        reading = self.store.reading(study_uid, revision)
        if reading.state is not State.AWAITING_SIGNATURE:
            raise WrongState(f"study {study_uid} is {reading.state}")
        if reading.report is None:
            raise UnknownStudy(f"no report on study {study_uid}, revision {revision}")
        return reading.report


def editable(reading: Reading) -> bool:
    """Whether verdicts, texts and the signature are still open."""
    return reading.state is State.AWAITING_SIGNATURE and reading.report is not None


def _tidy(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    kept = (c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs"))
    return "".join(kept).strip()[:TEXT_LIMIT]


def _person_name(text: str) -> str:
    groups: Sequence[str] = text.strip().split("=")
    right = len(groups) <= 3 and all(_PN_GROUP.fullmatch(g) or not g for g in groups)
    if not right or not any(g.strip("^ ") for g in groups) or any(g.count("^") > 4 for g in groups):
        raise NotAccepted("the name is no DICOM PN", "bad-name")
    return text.strip()


def _organization(text: str) -> str:
    if not _LONG_STRING.fullmatch(text.strip()):
        raise NotAccepted("the organization is no DICOM LO", "bad-organization")
    return text.strip()
