"""The same as JSON, under ``/api``; described by ``/api/openapi.json``.

Changes need the session's token (``GET /api/session``) in the header ``X-CSRF-Token``.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends
from pydantic import BaseModel, Field

from imaging.language import Language, Text
from imaging.report import FindingReview, Report, Verdict
from pacs_bridge.review.actions import retry_delivery
from pacs_bridge.review.editing import (
    TEXT_LIMIT,
    editable,
    pending_numbers,
    version_of,
    version_of_reviews,
    version_of_text,
)
from pacs_bridge.review.pages import find_reading
from pacs_bridge.review.present import iso
from pacs_bridge.review.room import KnownVisit, header_token
from pacs_bridge.review.rows import worklist
from pacs_bridge.states import DeliveryState, State
from pacs_bridge.store import Delivery, Reading
from pacs_bridge.workers.state import EngineState

router = APIRouter(prefix="/api", tags=["review"])

CHANGE = [Depends(header_token)]


class SessionOut(BaseModel):
    """Who is logged in."""

    user: str | None = Field(description="null where nobody logs in")
    name: str | None = Field(description="DICOM PN that will sign")
    language: Language
    csrf: str = Field(description="to be sent as X-CSRF-Token with every change")


class StudyOut(BaseModel):
    """A study and where its newest reading stands."""

    study_uid: str
    patient_id: str
    patient_name: str
    accession_number: str
    study_date: str
    description: str
    source_ae: str
    images: int
    revision: int = Field(description="0 while images are still coming in")
    state: State
    needs_person: bool
    positive: int = Field(description="findings that were not rejected")
    reason: Text
    received_at: str
    changed_at: str


class Versions(BaseModel):
    """Names of what is kept now; send them back as ``seen`` and the like."""

    reviews: str
    impression: str
    by_finding: dict[str, str]


class DeliveryOut(BaseModel):
    """One object on its way to one destination."""

    sop_instance_uid: str
    destination: str
    revision: int
    stage: str
    kind: str
    state: DeliveryState
    attempts: int
    last_error: str
    next_attempt_at: float
    delivered_at: float | None


class EventOut(BaseModel):
    """One line of the audit trail."""

    at: str
    who: str
    what: str
    detail: str


class ReadingOut(StudyOut):
    """One reading, whole."""

    editable: bool
    complete_because: Text
    report: Report | None
    versions: Versions | None
    deliveries: list[DeliveryOut]
    events: list[EventOut]


class StatusOut(BaseModel):
    """What a page that is open needs to notice a change."""

    state: State
    revision: int
    newest: int
    versions: Versions | None
    deliveries: str = Field(description="changes whenever a delivery does")


class ReviewIn(BaseModel):
    """A verdict and the reader's words."""

    verdict: Verdict
    text: str = Field(default="", max_length=TEXT_LIMIT)
    seen: str = Field(default="", description="version the change was made from; empty: any")


class ImpressionIn(BaseModel):
    """The impression."""

    text: str = Field(max_length=TEXT_LIMIT)
    seen: str = Field(default="", description="version the change was made from; empty: any")


class SignatureIn(BaseModel):
    """Who signs; a reader who is logged in signs with their own name and organization."""

    name: str = ""
    organization: str = ""
    seen_reviews: str = Field(default="", description="version that was on the screen")


class RetryIn(BaseModel):
    """Which delivery to try again."""

    sop_instance_uid: str
    destination: str


class Saved(BaseModel):
    """How the report stands after a change."""

    versions: Versions
    positive: int
    pending: list[int] = Field(description="numbers of the findings without a verdict")


class Problem(BaseModel):
    """Why it was not done."""

    problem: str = Field(description="for people, in the visitor's language")
    error: str = Field(description="for programs")


PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "log in first"},
    403: {"model": Problem, "description": "X-CSRF-Token is missing or wrong"},
    404: {"model": Problem, "description": "no such study, revision or finding"},
    409: {"model": Problem, "description": "the state, or somebody else's change, forbids it"},
}


@router.get("/session", responses=PROBLEMS)
def session(visit: KnownVisit) -> SessionOut:
    """Who is logged in, and the token for changes."""
    reader = visit.who.reader
    return SessionOut(
        user=reader.user if reader else None,
        name=reader.name if reader else None,
        language=visit.language,
        csrf=visit.token(),
    )


@router.get("/worklist", responses=PROBLEMS)
def list_studies(visit: KnownVisit, state: str = "", q: str = "") -> list[StudyOut]:
    """The studies, newest first; ``state`` and ``q`` as on the page."""
    visit.room.views.note(visit.who.who, "worklist-viewed", detail=f"api, {state!r}, {q!r}")
    return [StudyOut(**_study(reading)) for reading in worklist(visit.room.store, state, q).rows]


@router.get("/engine", responses=PROBLEMS)
def engine(visit: KnownVisit) -> EngineState:
    """How workers and models stand: what waits, what is warm, batches and memory."""
    return visit.room.studio.engine()


@router.get("/studies/{study_uid}", responses=PROBLEMS)
def reading(visit: KnownVisit, study_uid: str, revision: int | None = None) -> ReadingOut:
    """One reading with its report; the newest unless a revision is named."""
    store = visit.room.store
    found = find_reading(store, study_uid, revision)
    store.record(visit.who.who, "study-viewed", study_uid, f"api, revision {found.revision}")
    return ReadingOut(
        **_study(found),
        editable=editable(found),
        complete_because=found.complete_because,
        report=found.report,
        versions=_versions(found.report),
        deliveries=[_delivery(d) for d in store.deliveries_of(study_uid, found.revision)],
        events=[
            EventOut(at=iso(e.at), who=e.who, what=e.what, detail=e.detail)
            for e in store.events_of(study_uid)
        ],
    )


@router.get("/studies/{study_uid}/status", responses=PROBLEMS)
def status(visit: KnownVisit, study_uid: str, revision: int) -> StatusOut:
    """Whether an open page is out of date."""
    store = visit.room.store
    found = find_reading(store, study_uid, revision)
    deliveries = store.deliveries_of(study_uid, found.revision)
    return StatusOut(
        state=found.state,
        revision=found.revision,
        newest=find_reading(store, study_uid).revision,
        versions=_versions(found.report),
        deliveries=version_of_text(repr([(d.state, d.attempts, d.last_error) for d in deliveries])),
    )


@router.put(
    "/studies/{study_uid}/revisions/{revision}/findings/{tracking_uid}/review",
    dependencies=CHANGE, responses=PROBLEMS,
)  # fmt: skip
def put_review(
    visit: KnownVisit, study_uid: str, revision: int, tracking_uid: str, body: ReviewIn
) -> Saved:
    """Accept, reject or leave open one finding, and put words to it."""
    value = FindingReview(tracking_uid=tracking_uid, verdict=body.verdict, text=body.text)
    return _saved(visit.room.desk.review(study_uid, revision, value, visit.who, body.seen))


@router.put(
    "/studies/{study_uid}/revisions/{revision}/impression",
    dependencies=CHANGE, responses=PROBLEMS,
)  # fmt: skip
def put_impression(visit: KnownVisit, study_uid: str, revision: int, body: ImpressionIn) -> Saved:
    """Write the impression."""
    desk = visit.room.desk
    return _saved(desk.impression(study_uid, revision, body.text, visit.who, body.seen))


@router.post(
    "/studies/{study_uid}/revisions/{revision}/signature",
    dependencies=CHANGE, responses=PROBLEMS, status_code=202,
)  # fmt: skip
def sign(
    visit: KnownVisit, study_uid: str, revision: int, body: Annotated[SignatureIn, Body()]
) -> StudyOut:
    """Sign; the final objects are made and delivered after this returns."""
    visit.room.desk.sign(
        study_uid,
        revision,
        visit.who,
        name=body.name,
        organization=body.organization,
        seen_reviews=body.seen_reviews,
    )
    return StudyOut(**_study(find_reading(visit.room.store, study_uid, revision)))


@router.post(
    "/studies/{study_uid}/deliveries/retry",
    dependencies=CHANGE, responses=PROBLEMS, status_code=202,
)  # fmt: skip
def retry(visit: KnownVisit, study_uid: str, body: RetryIn) -> list[DeliveryOut]:
    """Try a delivery again at once; returns the study's deliveries."""
    retry_delivery(visit, study_uid, body.sop_instance_uid, body.destination)
    return [_delivery(d) for d in visit.room.store.deliveries_of(study_uid)]


def _study(reading: Reading) -> dict[str, Any]:
    names = (
        "study_uid", "patient_id", "patient_name", "accession_number", "study_date",
        "description", "source_ae",
    )  # fmt: skip
    return {
        **{name: getattr(reading.study, name) for name in names},
        "images": reading.image_count,
        "revision": reading.revision,
        "state": reading.state,
        "needs_person": reading.state.needs_person,
        "positive": reading.positive,
        "reason": reading.reason,
        "received_at": iso(reading.study.last_received_at),
        "changed_at": iso(reading.changed_at),
    }


def _delivery(delivery: Delivery) -> DeliveryOut:
    values = asdict(delivery)
    return DeliveryOut(**{name: values[name] for name in DeliveryOut.model_fields})


def _versions(report: Report | None) -> Versions | None:
    return None if report is None else _versions_of(report)


def _versions_of(report: Report) -> Versions:
    return Versions(
        reviews=version_of_reviews(report),
        impression=version_of_text(report.impression),
        by_finding={f.tracking_uid: version_of(report.review_of(f)) for f in report.findings},
    )


def _saved(report: Report) -> Saved:
    return Saved(
        versions=_versions_of(report),
        positive=len(report.standing_findings),
        pending=list(pending_numbers(report)),
    )
