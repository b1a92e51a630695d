"""The same as JSON, under ``/api``; described by ``/api/openapi.json``.

Changes need the session's token (``GET /api/session``) in the header ``X-CSRF-Token``.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends

from imaging.draft import draft_of, headline
from imaging.guidelines.pancreas_values import PancreasReading
from imaging.guidelines.values import Clinical
from imaging.report import FindingReview, Report
from pacs_bridge.errors import UnknownStudy
from pacs_bridge.review.actions import retry_delivery
from pacs_bridge.review.api_values import (
    ClinicalIn,
    DeliveryOut,
    DraftOut,
    EventOut,
    ImpressionIn,
    OverrideIn,
    PancreasIn,
    Problem,
    ReadingOut,
    RetryIn,
    ReviewIn,
    Saved,
    SessionOut,
    SignatureIn,
    StatusOut,
    StudyOut,
    Versions,
)
from pacs_bridge.review.editing import (
    editable,
    pending_numbers,
    version_of,
    version_of_facts,
    version_of_reviews,
    version_of_text,
)
from pacs_bridge.review.pages import find_reading
from pacs_bridge.review.present import iso
from pacs_bridge.review.room import KnownVisit, header_token
from pacs_bridge.review.rows import worklist
from pacs_bridge.store import Delivery, Reading
from pacs_bridge.workers.state import EngineState

router = APIRouter(prefix="/api", tags=["review"])

CHANGE = [Depends(header_token)]


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
    """The studies, unsigned urgent ones first, then the newest; filters as on the page."""
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


@router.put(
    "/studies/{study_uid}/revisions/{revision}/clinical",
    dependencies=CHANGE, responses=PROBLEMS,
)  # fmt: skip
def put_clinical(visit: KnownVisit, study_uid: str, revision: int, body: ClinicalIn) -> Saved:
    """Say what is known of the patient; the guidelines are applied again."""
    facts = Clinical.model_validate(body.model_dump(exclude={"seen"}))
    return _saved(visit.room.desk.clinical(study_uid, revision, facts, visit.who, body.seen))


@router.put(
    "/studies/{study_uid}/revisions/{revision}/pancreas",
    dependencies=CHANGE, responses=PROBLEMS,
)  # fmt: skip
def put_pancreas(visit: KnownVisit, study_uid: str, revision: int, body: PancreasIn) -> Saved:
    """Say what is seen of a pancreatic lesion; template and resectability are applied again."""
    said = PancreasReading.model_validate(body.model_dump(exclude={"seen"}))
    return _saved(visit.room.desk.pancreas(study_uid, revision, said, visit.who, body.seen))


@router.put(
    "/studies/{study_uid}/revisions/{revision}/overrides/{guideline}",
    dependencies=CHANGE, responses=PROBLEMS,
)  # fmt: skip
def put_override(
    visit: KnownVisit, study_uid: str, revision: int, guideline: str, body: OverrideIn
) -> Saved:
    """Put the reader's own category beside the computed one."""
    desk = visit.room.desk
    return _saved(
        desk.override(
            study_uid, revision, guideline, body.category, body.reason, visit.who, body.seen
        )
    )


@router.delete(
    "/studies/{study_uid}/revisions/{revision}/overrides/{guideline}",
    dependencies=CHANGE, responses=PROBLEMS,
)  # fmt: skip
def delete_override(
    visit: KnownVisit, study_uid: str, revision: int, guideline: str, seen: str = ""
) -> Saved:
    """Go back to the computed category."""
    desk = visit.room.desk
    return _saved(desk.drop_override(study_uid, revision, guideline, visit.who, seen))


@router.get("/studies/{study_uid}/revisions/{revision}/draft", responses=PROBLEMS)
def draft(visit: KnownVisit, study_uid: str, revision: int) -> DraftOut:
    """The structured draft of the report as it stands now."""
    report = find_reading(visit.room.store, study_uid, revision).report
    if report is None:
        raise UnknownStudy(f"no report on study {study_uid}, revision {revision}")
    made = draft_of(report)
    return DraftOut(findings=list(made.findings), impression=list(made.impression))


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
        "headline": headline(reading.report) if reading.report else reading.headline,
        "urgent": reading.urgent,
        "urgent_why": reading.urgent_why if reading.urgent_why.en else None,
        "reason": reading.reason,
        "waiting": reading.waiting if reading.waiting.en else None,
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
        facts=version_of_facts(report),
    )


def _saved(report: Report) -> Saved:
    return Saved(
        versions=_versions_of(report),
        positive=len(report.standing_findings),
        pending=list(pending_numbers(report)),
        guidance=list(report.guidance),
        overrides=list(report.overrides),
    )
