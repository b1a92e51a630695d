"""Forms: what a reader changes without any script running."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from imaging.draft import draft_of
from imaging.guidelines.pancreas_values import PancreasReading
from imaging.guidelines.values import Clinical
from imaging.report import FindingReview, Report, Verdict
from pacs_bridge.errors import UnknownStudy, WrongState
from pacs_bridge.review.editing import TEXT_LIMIT, NotAccepted
from pacs_bridge.review.nodules import facts_of
from pacs_bridge.review.pages import Draft, find_reading, show_study
from pacs_bridge.review.pancreas import reading_of
from pacs_bridge.review.room import KnownVisit, Visit, form_token

router = APIRouter(
    prefix="/studies/{study_uid}", include_in_schema=False, dependencies=[Depends(form_token)]
)

FormText = Annotated[str, Form(max_length=TEXT_LIMIT)]
FormWord = Annotated[str, Form(max_length=400)]
FormNumber = Annotated[int, Form()]


async def form_fields(request: Request) -> dict[str, str]:
    """Every text field of the form, which FastAPI has read already."""
    form = await request.form()
    return {name: value for name, value in form.items() if isinstance(value, str)}


@router.post("/findings/{tracking_uid}")
def review(
    visit: KnownVisit,
    study_uid: str,
    tracking_uid: str,
    revision: FormNumber,
    verdict: Annotated[Verdict, Form()],
    text: FormText = "",
    seen: FormWord = "",
) -> Response:
    """Keep a verdict and its text."""
    value = FindingReview(tracking_uid=tracking_uid, verdict=verdict, text=text)
    try:
        visit.room.desk.review(study_uid, revision, value, visit.who, seen)
    except WrongState as error:
        draft = Draft(tracking_uid=tracking_uid, text=text)
        return _refused(visit, study_uid, revision, error, draft)
    return _back(study_uid, revision, f"finding-{tracking_uid}")


@router.post("/report")
def report(
    visit: KnownVisit,
    study_uid: str,
    revision: FormNumber,
    do: Annotated[Literal["save", "sign", "draft", "draft-all"], Form()],
    impression: FormText = "",
    name: FormWord = "",
    organization: FormWord = "",
    seen_impression: FormWord = "",
    seen_reviews: FormWord = "",
    signer: FormWord = "",
) -> Response:
    """Keep the impression, take the draft into it, or sign.

    ``signer`` is whose name the page showed beside the button.
    """
    desk, reader = visit.room.desk, visit.who.reader
    try:
        if do == "sign" and signer and reader and signer != reader.user:
            raise NotAccepted("somebody else logged in meanwhile", "other-reader")
        if do != "sign":
            if do != "save":
                kept = find_reading(visit.room.store, study_uid, revision).report
                impression = _with_draft(visit, kept, impression, whole=do == "draft-all")
            desk.impression(study_uid, revision, impression, visit.who, seen_impression)
            return _back(study_uid, revision, "sign")
        desk.sign(
            study_uid,
            revision,
            visit.who,
            name=name,
            organization=organization,
            impression=impression,
            seen_impression=seen_impression,
            seen_reviews=seen_reviews,
        )
    except WrongState as error:
        draft = Draft(impression=impression, name=name, organization=organization)
        return _refused(visit, study_uid, revision, error, draft)
    return _back(study_uid, revision, "top")


@router.post("/clinical")
def clinical(
    visit: KnownVisit,
    study_uid: str,
    revision: FormNumber,
    fields: Annotated[dict[str, str], Depends(form_fields)],
    seen: FormWord = "",
) -> Response:
    """Keep what is known of the patient; the guidelines are applied again."""
    facts: Clinical | None = None
    try:
        facts = facts_of(fields)
        visit.room.desk.clinical(study_uid, revision, facts, visit.who, seen)
    except WrongState as error:
        return _refused(visit, study_uid, revision, error, Draft(clinical=facts))
    return _back(study_uid, revision, "guidelines")


@router.post("/pancreas")
def pancreas(
    visit: KnownVisit,
    study_uid: str,
    revision: FormNumber,
    fields: Annotated[dict[str, str], Depends(form_fields)],
    seen: FormWord = "",
) -> Response:
    """Keep what the reader says of a pancreatic lesion; the guidelines are applied again."""
    said: PancreasReading | None = None
    try:
        said = reading_of(fields)
        visit.room.desk.pancreas(study_uid, revision, said, visit.who, seen)
    except WrongState as error:
        return _refused(visit, study_uid, revision, error, Draft(pancreas=said))
    return _back(study_uid, revision, "pancreas-reading")


@router.post("/override")
def override(
    visit: KnownVisit,
    study_uid: str,
    revision: FormNumber,
    guideline: FormWord,
    do: Annotated[Literal["set", "remove"], Form()],
    category: FormWord = "",
    reason: FormText = "",
    seen: FormWord = "",
) -> Response:
    """Put the reader's own category beside the computed one, or go back to that."""
    desk = visit.room.desk
    try:
        if do == "remove":
            desk.drop_override(study_uid, revision, guideline, visit.who, seen)
        else:
            desk.override(study_uid, revision, guideline, category, reason, visit.who, seen)
    except WrongState as error:
        draft = Draft(guideline=guideline, category=category, reason=reason)
        return _refused(visit, study_uid, revision, error, draft)
    return _back(study_uid, revision, "guidelines")


@router.post("/retry")
def retry(
    visit: KnownVisit,
    study_uid: str,
    revision: FormNumber,
    sop_instance_uid: FormWord,
    destination: FormWord,
) -> Response:
    """Try a delivery again."""
    retry_delivery(visit, study_uid, sop_instance_uid, destination)
    return _back(study_uid, revision, "deliveries")


@router.post("/again")
def again(visit: KnownVisit, study_uid: str, revision: FormNumber) -> Response:
    """Begin a reading that failed or was not analysed again."""
    try:
        visit.room.studio.begin_again(study_uid, revision, visit.who.who)
    except WrongState as error:
        return _refused(visit, study_uid, revision, error, Draft())
    return _back(study_uid, revision, "top")


def retry_delivery(visit: Visit, study_uid: str, sop_instance_uid: str, destination: str) -> None:
    """Try one of the study's deliveries again (the studio enters it into the audit trail).

    Raises:
        UnknownStudy: the study has no such delivery.
    """
    held = visit.room.store.deliveries_of(study_uid)
    if (sop_instance_uid, destination) not in {(d.sop_instance_uid, d.destination) for d in held}:
        raise UnknownStudy(f"study {study_uid} has no such delivery to {destination!r}")
    visit.room.studio.retry_delivery(sop_instance_uid, destination, visit.who.who)


def _with_draft(visit: Visit, report: Report | None, text: str, *, whole: bool) -> str:
    """The draft in the visitor's language; after what was written, where there is something."""
    if report is None:
        return text
    draft = draft_of(report)
    suggested = draft.impression_in(visit.language)
    if whole:
        suggested = f"{draft.findings_in(visit.language)}\n\n{suggested}"
    if not text.strip():
        return suggested
    return text if suggested in text else f"{text.rstrip()}\n\n{suggested}"


def refusal_of(visit: Visit, study_uid: str, revision: int, error: WrongState) -> str:
    """The page's sentence for a change that was refused."""
    if isinstance(error, NotAccepted):
        return visit.say(error.label, **error.values)
    state = find_reading(visit.room.store, study_uid, revision).state
    return visit.say("wrong-state", state=state.label.in_(visit.language))


def _refused(
    visit: Visit, study_uid: str, revision: int, error: WrongState, draft: Draft
) -> Response:
    problem = refusal_of(visit, study_uid, revision, error)
    reading = find_reading(visit.room.store, study_uid, revision)
    return show_study(visit, reading, status=409, problem=problem, draft=draft)


def _back(study_uid: str, revision: int, anchor: str) -> Response:
    return RedirectResponse(f"/studies/{quote(study_uid)}?revision={revision}#{anchor}", 303)
