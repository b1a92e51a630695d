"""The worklist and the study's page, as HTML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from imaging.draft import draft_of
from imaging.guidelines.pancreas_values import PancreasReading
from imaging.guidelines.values import FLEISCHNER, LUNG_RADS, Clinical
from imaging.report import Report, Stage, Verdict
from pacs_bridge.errors import UnknownStudy
from pacs_bridge.review.editing import (
    categories_of,
    editable,
    pending_numbers,
    version_of,
    version_of_facts,
    version_of_reviews,
    version_of_text,
)
from pacs_bridge.review.labels import EVENTS
from pacs_bridge.review.nodules import clinical_fields, compared, described, guides
from pacs_bridge.review.pancreas import gland_card, lesion_card, pancreas_form
from pacs_bridge.review.plan import read_plan
from pacs_bridge.review.room import KnownVisit, Visit
from pacs_bridge.review.rows import FILTERS, LIMIT, worklist
from pacs_bridge.review.studio import ObjectKind
from pacs_bridge.revisions import revisions_of
from pacs_bridge.states import State
from pacs_bridge.store import Event, Reading, Store

router = APIRouter(include_in_schema=False)

FILES: tuple[ObjectKind, ...] = (
    "report.html", "report.pdf", "findings.json", "SR", "SEG", "RTSTRUCT", "GSPS", "SC", "PDF",
)  # fmt: skip
EVENTS_SHOWN = 200
_OF_THE_LUNGS = (LUNG_RADS, FLEISCHNER)


@dataclass(frozen=True)
class Draft:
    """What was typed into a form that was refused; shown again, so that nothing is lost."""

    tracking_uid: str = ""
    text: str = ""
    impression: str | None = None
    name: str = ""
    organization: str = ""
    clinical: Clinical | None = None
    pancreas: PancreasReading | None = None
    guideline: str = ""
    category: str = ""
    reason: str = ""


@router.get("/")
def worklist_page(visit: KnownVisit, state: str = "", q: str = "") -> HTMLResponse:
    """All studies."""
    visit.room.views.note(visit.who.who, "worklist-viewed", detail=f"filter {state!r}, {q!r}")
    return visit.page("worklist.html", **_list(visit, state, q))


@router.get("/worklist")
def worklist_fragment(visit: KnownVisit, state: str = "", q: str = "") -> HTMLResponse:
    """The part of it that changes."""
    visit.room.views.note(visit.who.who, "worklist-viewed", detail=f"filter {state!r}, {q!r}")
    return visit.page("list.html", **_list(visit, state, q))


def _list(visit: Visit, state: str, search: str) -> dict[str, Any]:
    listener = visit.room.settings.listener
    return {
        "list": worklist(visit.room.store, state, search),
        "filters": [(name, _filter_label(visit, name)) for name in ("", *FILTERS)],
        "state": state,
        "search": search,
        "limit": LIMIT,
        "listener": listener,
        "listener_host": (
            visit.request.url.hostname if listener.host in ("0.0.0.0", "::") else listener.host
        ),
        "anywhere": listener.host in ("0.0.0.0", "::"),
    }


def _filter_label(visit: Visit, name: str) -> str:
    if name in list(State):
        return State(name).label.in_(visit.language)
    return visit.say(f"filter-{name or 'all'}")


@router.get("/studies/{study_uid}")
def study_page(visit: KnownVisit, study_uid: str, revision: int | None = None) -> HTMLResponse:
    """One reading: the newest, or the revision asked for."""
    reading = find_reading(visit.room.store, study_uid, revision)
    visit.room.store.record(
        visit.who.who, "study-viewed", study_uid, f"revision {reading.revision}, {reading.state}"
    )
    return show_study(visit, reading)


@router.get("/studies/{study_uid}/deliveries")
def deliveries_fragment(visit: KnownVisit, study_uid: str, revision: int) -> HTMLResponse:
    """The part of the page that changes while results go out."""
    reading = find_reading(visit.room.store, study_uid, revision)
    return visit.page("deliveries.html", reading=reading, **_deliveries(visit, reading))


@router.get("/studies/{study_uid}/derived")
def derived_fragment(visit: KnownVisit, study_uid: str, revision: int) -> HTMLResponse:
    """The parts of the page that follow from verdicts and answers: guidelines and draft."""
    reading = find_reading(visit.room.store, study_uid, revision)
    return visit.page("derived.html", cards=_cards(visit, reading), **_derived(reading))


def _derived(reading: Reading, typed: PancreasReading | None = None) -> dict[str, Any]:
    report = reading.report
    return {
        "reading": reading,
        "report": report,
        "study": reading.study,
        "editable": editable(reading),
        "guides": guides(report) if report else (),
        "categories": categories_of(report) if report else {},
        "pancreas": pancreas_form(report, typed) if report else None,
        "suggested": draft_of(report) if report else None,
        "seen_facts": version_of_facts(report) if report else "",
    }


def find_reading(store: Store, study_uid: str, revision: int | None = None) -> Reading:
    """The reading asked for, also of a study that has none yet: still coming in, or a prior.

    Raises:
        UnknownStudy: no such study or revision.
    """
    try:
        return store.reading(study_uid, revision or None)
    except UnknownStudy:
        for reading in store.worklist([State.RECEIVING, State.PRIOR], limit=LIMIT):
            if reading.study.study_uid == study_uid and not revision:
                return reading
        raise


def show_study(
    visit: Visit,
    reading: Reading,
    *,
    status: int = 200,
    problem: str = "",
    draft: Draft | None = None,
) -> HTMLResponse:
    """The study's page, maybe with what went wrong and what was typed."""
    store, report = visit.room.store, reading.report
    newest = find_reading(store, reading.study.study_uid)
    plans = read_plan(reading.plan)
    several = newest.revision > 1  # one alone says on the page itself what there is to say
    revisions = revisions_of(store, reading.study.study_uid) if several else []
    return visit.page(
        "study.html",
        status,
        **_derived(reading, draft.pancreas if draft else None),
        newest=newest.revision,
        verified=report is not None and report.stage is Stage.FINAL,
        problem=problem,
        draft=draft or Draft(),
        cards=_cards(visit, reading),
        comparisons=compared(report) if report else (),
        clinical=clinical_fields((draft and draft.clinical) or report.clinical) if report else (),
        empty_facts=Clinical(),
        gland=gland_card(report, visit.language) if report else None,
        lungs_guided=report is not None
        and any(guidance.guideline in _OF_THE_LUNGS for guidance in report.guidance),
        slices=slice_total(report) if report else 0,
        pending=pending_numbers(report) if report else (),
        decided=_decided(report),
        seen_reviews=version_of_reviews(report) if report else "",
        seen_impression=version_of_text(report.impression) if report else "",
        plans=plans or (),
        revisions=revisions,
        late=next((r.new_images for r in revisions if r.number == reading.revision), 0),
        plan_damaged=bool(reading.plan) and plans is None,
        files=[kind for kind in FILES if visit.room.studio.object_path(reading, kind)],
        events=_events(visit, reading),
        **_deliveries(visit, reading),
    )


def _deliveries(visit: Visit, reading: Reading) -> dict[str, Any]:
    return {
        "deliveries": visit.room.store.deliveries_of(reading.study.study_uid, reading.revision),
        "destinations": visit.room.settings.destinations,
    }


def _cards(visit: Visit, reading: Reading) -> list[dict[str, Any]]:
    report, studio = reading.report, visit.room.studio
    if report is None:
        return []
    cards = []
    for finding in report.findings:
        review = report.review_of(finding)
        card = {"finding": finding, "review": review, "version": version_of(review)}
        card["why"] = studio.why_picture(reading, finding.tracking_uid) is not None
        cards.append(card | described(report, finding) | lesion_card(finding))
    return cards


def _decided(report: Report | None) -> dict[str, int]:
    verdicts = [report.review_of(f).verdict for f in report.findings] if report else []
    return {verdict.value: verdicts.count(verdict) for verdict in Verdict}


def slice_total(report: Report) -> int:
    """Slices of the analysed volume, as far as the report knows (interpolated ones count)."""
    shown = [finding.key_slice for finding in report.findings]
    shown += [place.key_slice for place in report.gland.places] if report.gland else []
    return max([report.slice_count, *(k + 1 for k in shown)])


def _events(visit: Visit, reading: Reading) -> list[tuple[Event, str, str]]:
    names: dict[str, str] = {}
    if reading.report:
        names = {f.tracking_uid: f.tracking_id for f in reading.report.findings}
    shown = []
    for event in reversed(visit.room.store.events_of(reading.study.study_uid)[-EVENTS_SHOWN:]):
        what = EVENTS[event.what].in_(visit.language) if event.what in EVENTS else event.what
        detail = event.detail
        for uid, name in names.items():
            detail = detail.replace(f"finding {uid}", name)
        shown.append((event, what, detail))
    return shown


def wants_json(request: Request) -> bool:
    """Whether a script asks, who has no use for a page."""
    return request.url.path.startswith("/api/") or "fetch" in request.headers.get(
        "x-requested-with", ""
    )
