"""What the JSON API takes and gives."""

from __future__ import annotations

from pydantic import BaseModel, Field

from imaging.guidelines.pancreas_values import PancreasReading
from imaging.guidelines.values import Clinical, Guidance, Override
from imaging.language import Language, Text
from imaging.report import Report, Verdict
from pacs_bridge.review.editing import REASON_LIMIT, TEXT_LIMIT
from pacs_bridge.states import DeliveryState, State


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
    headline: str = Field(description="category for the worklist, e.g. 'Lung-RADS 4A'")
    urgent: bool = Field(
        description="a model with a validated operating point flagged it, and the reader has not "
        "rejected every finding that did"
    )
    urgent_why: Text | None = Field(description="what raised the flag, also where taken back")
    reason: Text
    waiting: Text | None = Field(
        description="why the images are not taken for complete, first or late ones; null: nothing "
        "is waited for"
    )
    received_at: str
    changed_at: str


class Versions(BaseModel):
    """Names of what is kept now; send them back as ``seen`` and the like."""

    reviews: str
    impression: str
    by_finding: dict[str, str]
    facts: str = Field(
        description="of the clinical facts, the reader's part on a pancreatic lesion and the "
        "reader's own categories"
    )


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


class ClinicalIn(Clinical):
    """What is known of the patient; whatever is left out becomes unknown."""

    seen: str = Field(default="", description="version the change was made from; empty: any")


class PancreasIn(PancreasReading):
    """What the reader says of a pancreatic lesion; whatever is left out becomes not said."""

    seen: str = Field(default="", description="version the change was made from; empty: any")


class OverrideIn(BaseModel):
    """The reader's own category."""

    category: str
    reason: str = Field(default="", max_length=REASON_LIMIT)
    seen: str = Field(default="", description="version the change was made from; empty: any")


class DraftOut(BaseModel):
    """The structured draft, a statement each, both languages."""

    findings: list[Text]
    impression: list[Text] = Field(description="a suggestion, never kept unless it is put")


class RetryIn(BaseModel):
    """Which delivery to try again."""

    sop_instance_uid: str
    destination: str


class Saved(BaseModel):
    """How the report stands after a change."""

    versions: Versions
    positive: int
    pending: list[int] = Field(description="numbers of the findings without a verdict")
    guidance: list[Guidance] = Field(description="as it is now")
    overrides: list[Override]


class Problem(BaseModel):
    """Why it was not done."""

    problem: str = Field(description="for people, in the visitor's language")
    error: str = Field(description="for programs")
