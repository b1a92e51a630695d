"""The values that the store takes and gives, frozen, and how rows become them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import RowMapping

from imaging.language import Text
from imaging.report import Report, Stage
from pacs_bridge.states import DeliveryState, State
from pacs_bridge.tables import readings, studies, waits

WAITING = (waits.c.because_en.label("waiting_en"), waits.c.because_zh.label("waiting_zh"))
"""What a study waits for, as columns."""


@dataclass(frozen=True)
class Instance:
    """One received object: what it is and where it lies."""

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    path: Path
    digest: str
    bytes: int
    source_ae: str


@dataclass(frozen=True)
class Study:
    """A study as its images name it."""

    study_uid: str
    patient_id: str = ""
    patient_name: str = ""
    accession_number: str = ""
    study_date: str = ""
    description: str = ""
    source_ae: str = ""
    first_received_at: float = 0.0
    last_received_at: float = 0.0


@dataclass(frozen=True)
class Reading:
    """One revision of a study and where it stands."""

    study: Study
    revision: int
    state: State
    reason: Text
    complete_because: Text
    plan: str
    report: Report | None
    positive: int
    opened_at: float
    changed_at: float
    image_count: int = 0
    headline: str = ""
    urgent: bool = False
    urgent_why: Text = Text(en="", zh="")
    waiting: Text = Text(en="", zh="")
    """What the study waits for, its first images or late ones; empty: for nothing."""


@dataclass(frozen=True)
class Delivery:
    """One object on its way to one destination."""

    sop_instance_uid: str
    destination: str
    study_uid: str
    revision: int
    stage: Stage
    kind: str
    path: Path
    state: DeliveryState = DeliveryState.WAITING
    attempts: int = 0
    last_error: str = ""
    next_attempt_at: float = 0.0
    delivered_at: float | None = None


@dataclass(frozen=True)
class Event:
    """One line of the audit trail."""

    at: float
    who: str
    what: str
    study_uid: str | None
    detail: str


def row_of(value: Any) -> dict[str, Any]:
    """The columns of a value."""
    row = dict(vars(value))
    if "path" in row:
        row["path"] = str(row["path"])
    return row


def study_of(row: RowMapping) -> Study:
    """A study from a row that has its columns."""
    return Study(**{name: row[studies.c[name]] for name in Study.__dataclass_fields__})


def instance_of(row: RowMapping) -> Instance:
    """An instance from its row."""
    values = {name: row[name] for name in Instance.__dataclass_fields__}
    return Instance(**(values | {"path": Path(row["path"])}))


def reading_of(row: RowMapping, image_count: int) -> Reading:
    """A reading from a row of readings joined with studies and :data:`WAITING`.

    Where there is none yet: RECEIVING, or PRIOR where the images are held back from reading.
    """
    study = study_of(row)
    waiting = Text(en=row["waiting_en"] or "", zh=row["waiting_zh"] or "")
    if row[readings.c.revision] is None:
        nothing = Text(en="", zh="")
        at = study.first_received_at
        state = State.PRIOR if row["held_back"] else State.RECEIVING
        return Reading(
            study, 0, state, nothing, nothing, "", None, 0, at, at, image_count, waiting=waiting
        )
    report = Report.model_validate_json(row["report"]) if row["report"] else None
    urgent = bool(row.get("urgent"))
    why = Text(en=row.get("urgent_en") or "", zh=row.get("urgent_zh") or "")
    if report is not None and report.urgency is not None:
        urgent, why = report.urgent, report.urgency.why
    return Reading(
        study=study,
        revision=row["revision"],
        state=State(row["state"]),
        reason=Text(en=row["reason_en"], zh=row["reason_zh"]),
        complete_because=Text(en=row["complete_en"], zh=row["complete_zh"]),
        plan=row["plan"],
        report=report,
        positive=row["positive"],
        opened_at=row["opened_at"],
        changed_at=row["changed_at"],
        image_count=image_count,
        headline=row.get("headline") or "",
        urgent=urgent,
        urgent_why=why,
        waiting=waiting,
    )


def delivery_of(row: RowMapping) -> Delivery:
    """A delivery from its row."""
    values = {name: row[name] for name in Delivery.__dataclass_fields__}
    return Delivery(
        **(values | {"path": Path(row["path"]), "state": DeliveryState(row["state"]),
                     "stage": Stage(row["stage"])})
    )  # fmt: skip
