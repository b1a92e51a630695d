"""Whether a study is to be read before others: findings against a validated operating point."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from imaging.finding import Code, Finding
from imaging.urgency import RaisedBy, Urgency
from models.spec import ModelSpec


def urgency_of(specs: Iterable[ModelSpec], findings: Sequence[Finding]) -> Urgency | None:
    """Why the study is urgent; None where no model may say so, or none of its findings does.

    A finding counts where its model's operating point is validated (``preread.toml``, section
    ``[operating_point.validated]``), its label is one of those the validation holds for, and its
    score reaches the threshold that was validated. Reference weights and stand-ins never count.

    Args:
        specs: the models that read, in order.
        findings: of all of them.
    """
    raised = [one for spec in specs if (one := _raised(spec, findings)) is not None]
    return Urgency(raised_by=tuple(raised)) if raised else None


def _raised(spec: ModelSpec, findings: Sequence[Finding]) -> RaisedBy | None:
    validated = spec.operating_point.validated
    if validated is None or spec.reference_weights or spec.fake:
        return None
    marks = [
        (label.code, label.site)
        for label in spec.labels
        if label.kind == "lesion" and (not validated.labels or label.index in validated.labels)
    ]
    reached = tuple(
        finding.number
        for finding in findings
        if finding.model == spec.name
        and finding.score >= validated.score_threshold
        and _is_one_of(finding, marks)
    )
    if not reached:
        return None
    return RaisedBy(
        model=spec.name,
        version=spec.version,
        findings=reached,
        score_threshold=validated.score_threshold,
        validated_by=validated.by,
        date=validated.date.isoformat(),
        patients=validated.patients,
        sensitivity=validated.sensitivity,
        specificity=validated.specificity,
        reference=validated.reference,
    )


def _is_one_of(finding: Finding, marks: Sequence[tuple[Code, Code]]) -> bool:
    return any((finding.label, finding.site) == mark for mark in marks)
