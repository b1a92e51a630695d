"""The structured report as one value; every object, page and file renders this value.

``Report`` is the JSON contract of ``findings.json``: ``schema_version`` grows with every
change that a consumer could notice (minor: a field more; major: anything else).
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from imaging.finding import Finding, Structure
from imaging.guidelines.pancreas_values import PancreasReading
from imaging.guidelines.values import Clinical, Guidance, Override
from imaging.identity import derive_uid
from imaging.language import Text
from imaging.notices import Notice
from imaging.pancreatic import Gland
from imaging.priors.values import Comparison
from imaging.urgency import Urgency as Urgency

SCHEMA_VERSION: Final = "1.4"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class Stage(StrEnum):
    """Where a report stands; PreliminaryFlag and VerificationFlag of its SR follow from it."""

    PRELIMINARY = "preliminary"
    """Made by the model, seen by nobody: PRELIMINARY, UNVERIFIED."""
    FINAL = "final"
    """Signed by a radiologist: FINAL, VERIFIED."""


class Verdict(StrEnum):
    """What the reader says of one finding."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class Patient(_Value):
    """Patient as the source images name them (unchanged, any character set decoded)."""

    patient_id: str = ""
    patient_name: str = ""
    birth_date: str = Field(default="", description="DICOM DA, YYYYMMDD")
    sex: str = Field(default="", description="DICOM PatientSex")


class Model(_Value):
    """Which model made the findings."""

    name: str
    version: str
    title: Text
    sha256: str = Field(description="over the model's weight files; names exactly what ran")
    sites: tuple[str, ...] = Field(
        default=(), description="SNOMED CT codes of the organs in which it marks lesions"
    )


class FindingReview(_Value):
    """What the reader made of one finding."""

    tracking_uid: str
    verdict: Verdict = Verdict.PENDING
    text: str = Field(default="", description="the reader's own words on this finding")


class Signature(_Value):
    """Who verified the report."""

    name: str = Field(description="DICOM PN form, e.g. 'Zhang^San'")
    organization: str
    signed_at: datetime


class Superseded(_Value):
    """The result of an earlier revision of the study, as it was sent: the predecessor."""

    revision: int
    stage: Stage
    sr_uid: str = Field(description="SOPInstanceUID of its SR")
    sr_series_uid: str


class Report(_Value):
    """What the models that took a series of a study made of it.

    1.1 added ``models``, ``structures``, ``window`` and ``model`` of a finding; 1.2 ``nodule`` of
    a finding, ``clinical``, ``guidance``, ``overrides`` and ``comparisons``; 1.3 ``pancreatic`` of
    a finding, ``gland``, ``pancreas_reading`` and ``urgency``; 1.4 ``supersedes``.
    """

    schema_version: Literal["1.0", "1.1", "1.2", "1.3", "1.4"] = SCHEMA_VERSION
    stage: Stage = Stage.PRELIMINARY
    revision: int = Field(default=1, description="grows when late images change the study")
    supersedes: Superseded | None = Field(
        default=None, description="the result of an earlier revision that this one replaces"
    )
    created_at: datetime
    patient: Patient
    study_uid: str
    series_uid: str = Field(description="the series that was analysed")
    accession_number: str = ""
    study_date: str = Field(default="", description="DICOM DA, YYYYMMDD")
    study_description: str = ""
    series_description: str = ""
    modality: str
    slice_count: int
    spacing_mm: tuple[float, float, float] = Field(description="along (k, j, i) of the source")
    window: tuple[float, float] | None = Field(
        default=None, description="centre and width for display, in the volume's unit"
    )
    model: Model = Field(description="the first of the models that read")
    models: tuple[Model, ...] = Field(
        default=(), description="all of them where there are several, the first included"
    )
    warnings: tuple[Notice, ...] = ()
    findings: tuple[Finding, ...] = Field(default=(), description="lesions, of all models")
    structures: tuple[Structure, ...] = Field(
        default=(), description="organs that were segmented and measured; no findings"
    )
    reviews: tuple[FindingReview, ...] = ()
    clinical: Clinical = Clinical()
    guidance: tuple[Guidance, ...] = Field(
        default=(), description="guidelines applied to the findings that were not rejected"
    )
    overrides: tuple[Override, ...] = Field(
        default=(), description="the reader's own categories, beside the computed ones"
    )
    comparisons: tuple[Comparison, ...] = Field(
        default=(), description="with earlier examinations, the latest first"
    )
    gland: Gland | None = Field(default=None, description="the pancreas, measured")
    pancreas_reading: PancreasReading = Field(
        default=PancreasReading(), description="what the reader says of a pancreatic lesion"
    )
    urgency: Urgency | None = Field(
        default=None, description="a validated model asks for the study to be read first"
    )
    impression: str = ""
    signature: Signature | None = None
    fake: bool = Field(default=False, description="made by a stand-in model, not for clinical use")

    def uid_of(self, what: str) -> str:
        """UID of one of this report's objects (``"sr"``, ``"seg"``, ``"sr-series"`` ...).

        Derived from study, series, models, revision and stage, so a retry makes the same.
        """
        models = [part for model in self.all_models for part in (model.name, model.version)]
        return derive_uid(self.study_uid, self.series_uid, *models, self.revision, self.stage, what)

    def preliminary_uid_of(self, what: str) -> str:
        """UID of the same object of the preliminary report, the final one's predecessor."""
        return self.model_copy(update={"stage": Stage.PRELIMINARY}).uid_of(what)

    @property
    def as_superseded(self) -> Superseded:
        """This report as a later revision names it."""
        return Superseded(
            revision=self.revision,
            stage=self.stage,
            sr_uid=self.uid_of("sr"),
            sr_series_uid=self.uid_of("sr-series"),
        )

    def review_of(self, finding: Finding) -> FindingReview:
        """The reader's verdict on ``finding``; pending when there is none yet."""
        for review in self.reviews:
            if review.tracking_uid == finding.tracking_uid:
                return review
        return FindingReview(tracking_uid=finding.tracking_uid)

    @property
    def all_models(self) -> tuple[Model, ...]:
        """Every model that read, the first first."""
        return self.models or (self.model,)

    @property
    def model_names(self) -> str:
        """Name and version of every model, for people."""
        return ", ".join(f"{model.name} {model.version}" for model in self.all_models)

    @property
    def title(self) -> Text:
        """What people call the models."""
        titles = [model.title for model in self.all_models]
        return Text(en=", ".join(t.en for t in titles), zh="、".join(t.zh for t in titles))

    def model_of(self, marked: Finding | Structure) -> Model:
        """The model that marked a finding or a structure."""
        return next((m for m in self.all_models if m.name == marked.model), self.model)

    @property
    def urgent(self) -> bool:
        """Whether it is to be read before others: flagged, and the flag not taken back."""
        return self.urgency is not None and not self.urgency.taken_back

    @property
    def segmented(self) -> tuple[Finding | Structure, ...]:
        """What has a segment: the standing findings, then the structures."""
        return (*self.standing_findings, *self.structures)

    @property
    def standing_findings(self) -> tuple[Finding, ...]:
        """The findings that were not rejected."""
        return tuple(f for f in self.findings if self.review_of(f).verdict is not Verdict.REJECTED)

    def with_review(self, review: FindingReview) -> Report:
        """The report with a reader's verdict on one of its findings, in place of an earlier one.

        The urgent flag is taken back when every finding that raised it is rejected, and stands
        again when one of them is not.

        Raises:
            KeyError: no finding has that tracking UID.
        """
        if all(finding.tracking_uid != review.tracking_uid for finding in self.findings):
            raise KeyError(review.tracking_uid)
        others = [r for r in self.reviews if r.tracking_uid != review.tracking_uid]
        reviewed = self.model_copy(update={"reviews": (*others, review)})
        if self.urgency is None:
            return reviewed
        standing = {finding.number for finding in reviewed.standing_findings}
        rejected = frozenset(f.number for f in self.findings if f.number not in standing)
        return reviewed.model_copy(update={"urgency": self.urgency.judged(rejected)})

    def signed(self, signature: Signature) -> Report:
        """The final report: this one with a signature under it."""
        return self.model_copy(update={"signature": signature, "stage": Stage.FINAL})
