"""A study flagged as urgent, made by hand, for tests of what shows and sends it."""

from __future__ import annotations

from imaging.urgency import RaisedBy, Urgency


def urgency(*findings: int) -> Urgency:
    """Raised by one model over these findings (1 and 2)."""
    return Urgency(
        raised_by=(
            RaisedBy(
                model="site_model", version="2.1", findings=findings or (1, 2),
                score_threshold=0.62, validated_by="County Hospital, Radiology",
                date="2026-03-01", patients=400, sensitivity=0.93, specificity=0.975,
                reference="QA-2026-014",
            ),
        )
    )  # fmt: skip
