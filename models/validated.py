"""``[operating_point.validated]``: what was shown of an operating point, and by whom.

A model that has it may raise a study's urgent flag (``models.study.urgency``). The section is an
operator's, written after a validation at their site: it holds for the weights and the precision
it was made with and for no others, and reference weights may not have one.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from models.runtime.source import Precision

if TYPE_CHECKING:
    from models.spec import ModelSpec


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("it is empty; an urgent flag needs somebody who answers for it")
    return text.strip()


Said = Annotated[str, AfterValidator(_said)]


def _not_to_come(day: date) -> date:
    if day > date.today():
        raise ValueError("lies in the future")
    return day


PastDay = Annotated[date, AfterValidator(_not_to_come)]


class Validated(BaseModel):
    """A validation of the operating point, for each patient: did a finding reach the threshold?"""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Said = Field(description="who validated it and answers for it, e.g. a department")
    data: Said = Field(description="on what: where the studies come from, phase, reference")
    patients: int = Field(ge=1, description="how many, with and without the disease")
    diseased: int = Field(ge=1, description="of them with the disease; without, there must be some")
    score_threshold: float = Field(
        gt=0, le=1, description="from this score on a finding flags the study as urgent"
    )
    sensitivity: float = Field(gt=0, le=1, description="of patients, at the threshold")
    specificity: float = Field(gt=0, le=1, description="of patients, at the threshold")
    date: PastDay = Field(description="of the validation, e.g. 2026-03-01")
    reference: Said = Field(description="where it is reported: DOI, document number")
    weights: str = Field(
        pattern=r"^[0-9a-f]{64}$",
        description="fingerprint of the weights that were validated; `preread models show NAME` "
        "prints it",
    )
    precision: Precision = Field(
        default="fp32", description="in which the network ran; in any other it raises no flag"
    )
    labels: tuple[int, ...] = Field(
        default=(),
        description="indices of the labels it holds for; needed where several are lesions",
    )


def objection_to(spec: ModelSpec) -> str | None:
    """Why a model may not have the section, or not so; begins with the key inside it.

    None: there is nothing to object to, or no such section. That it was made with other weights
    is seen later, when the model is to run (``ModelSpec.validation_is_stale``).
    """
    point = spec.operating_point
    validated = point.validated
    if validated is None:
        return None
    if spec.reference_weights or spec.fake:
        what = "reference_weights" if spec.reference_weights else "fake"
        return f": a model with {what} = true may flag no study as urgent; take the section out"
    if spec.network.kind == "triton":
        return (
            ": which weights a Triton server runs can't be told from here; take the section out, "
            "or run the model's own files"
        )
    if validated.score_threshold < point.score_threshold:
        return (
            f".score_threshold = {validated.score_threshold:g} is below operating_point."
            f"score_threshold = {point.score_threshold:g}: findings between the two are never "
            "made; lower the latter"
        )
    if validated.diseased >= validated.patients:
        return (
            f".diseased = {validated.diseased} of {validated.patients} patients: a specificity "
            "needs patients without the disease; correct the two"
        )
    return _objection_to_labels(spec, validated)


def _objection_to_labels(spec: ModelSpec, validated: Validated) -> str | None:
    lesions = {label.index: label for label in spec.labels if label.kind == "lesion"}
    if not lesions:
        return ": the model marks no lesion that could flag a study; take the section out"
    numbers = ", ".join(str(index) for index in lesions)
    if len(lesions) > 1 and not validated.labels:
        return f".labels is missing: name those of {numbers} that were validated"
    wrong = sorted(set(validated.labels) - set(lesions))
    if wrong:
        return f".labels: {wrong[0]} is no lesion of the model; its lesions are {numbers}"
    held = [lesions[index] for index in validated.labels]
    for index, label in lesions.items():
        if label not in held and any((label.code, label.site) == (h.code, h.site) for h in held):
            return (
                f".labels: label {index} has the same code and site as one that was validated, so "
                "that a report can't tell them apart; give it its own code, or validate it too"
            )
    return None
