"""A validated operating point put into a model's ``preread.toml``, for tests of the urgent flag."""

from __future__ import annotations

from pathlib import Path

from models.spec import read_spec

SECTION = """
[operating_point.validated]
by = "County Hospital, Radiology"
data = "consecutive CTs of 2025, pathology or a year of follow-up"
patients = 400
diseased = 100
score_threshold = {threshold}
sensitivity = 0.93
specificity = 0.975
date = 2026-03-01
reference = "QA-2026-014"
weights = "{weights}"
"""


def validate(folder: Path, *, threshold: float = 0.7, weights: str = "", more: str = "") -> Path:
    """Add the section to the model in ``folder``; ``weights`` as they are unless named."""
    path = folder / "preread.toml"
    text = path.read_text(encoding="utf-8")
    section = SECTION.format(threshold=threshold, weights=weights or read_spec(folder).fingerprint)
    path.write_text(text + section + more, encoding="utf-8")
    return folder
