"""What models found, as a report says it: measured, named, numbered on over several models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from imaging.errors import NothingToEncode
from imaging.finding import Finding, Structure
from imaging.identity import derive_uid
from imaging.measure import Measurement, StructureMeasurement, measure, measure_structure
from imaging.notices import Notice, notice
from imaging.pancreatic import Gland
from imaging.volume import Region, Volume
from models.clock import Clock
from models.lesions import Candidate, Lesions, Why
from models.sections import Label
from models.spec import ModelSpec
from models.study.nodules import LUNG, describe_nodules
from models.study.pancreas import describe_pancreas

LUNG_WINDOW, SOFT_WINDOW = (-600.0, 1500.0), (40.0, 400.0)
"""Centre and width, HU."""

Part = tuple[ModelSpec, Lesions]
"""A model and what it found."""


@dataclass(frozen=True)
class Description:
    """Findings and structures of all models, their masks by tracking UID, and what was left out.

    ``gland`` is the pancreas, measured, where a model marked it.

    ``seconds`` says how long each step took; ``why`` what made the model flag a finding, by
    tracking UID, where the model's way tells it.
    """

    findings: tuple[Finding, ...]
    structures: tuple[Structure, ...]
    regions: dict[str, Region]
    notices: tuple[Notice, ...]
    seconds: dict[str, float]
    why: dict[str, Why] = field(default_factory=dict)
    gland: Gland | None = None


def describe(
    volume: Volume,
    parts: Sequence[Part],
    header: Dataset,
    revision: int,
    *,
    nodules: bool = True,
) -> Description:
    """Measure what the models found, and describe lung nodules and the pancreas of a CT.

    Findings are numbered over all models, the first model's first, each model's by score.
    Their UIDs are derived from study, series, model and revision, so that the same again has
    the same ones, whatever other models read.

    Args:
        volume: the series that was read, with sources.
        parts: each model with what it found on the volume's grid.
        header: of one of the volume's images.
        revision: of the reading.
        nodules: describe lung nodules and the pancreas; False: measure only.
    """
    seconds: dict[str, float] = {}
    clock = Clock(seconds)
    told = [item for _, lesions in parts for item in lesions.notices]
    marker = _Marker(volume, header, revision, told)
    findings: list[Finding] = []
    structures: list[Structure] = []
    gland: Gland | None = None
    for spec, lesions in parts:
        own = 0
        for candidate, label in _labelled(spec, lesions, "lesion"):
            number = len(findings) + 1
            values = marker.mark(spec, label, candidate, "finding", own + 1)
            if values is not None:
                own += 1
                values |= {"number": number, "tracking_id": f"{label.name.en} {number}"}
                findings.append(Finding.model_validate(values | {"segment_number": number}))
    for spec, lesions in parts:
        for candidate, label in _labelled(spec, lesions, "organ"):
            values = marker.mark(spec, label, candidate, "structure", label.index)
            if values is not None:
                number = len(findings) + len(structures) + 1
                values |= {"tracking_id": label.name.en, "segment_number": number}
                structures.append(Structure.model_validate(values))
    clock.lap("measure")
    if nodules and header.get("Modality") == "CT":
        lungs = next((found.lungs for _, found in parts if found.lungs is not None), None)
        findings = list(describe_nodules(volume, findings, marker.regions, lungs, told, seconds))
        heat = next((found.heat for _, found in parts if found.heat is not None), None)
        described, gland = describe_pancreas(
            volume, header, findings, structures, marker.regions, heat, told, seconds
        )
        findings = list(described)
    return Description(
        tuple(findings), tuple(structures), marker.regions, tuple(told), seconds, marker.why, gland
    )


class _Marker:
    """Measures one candidate after the other and keeps their masks."""

    def __init__(self, volume: Volume, header: Dataset, revision: int, told: list[Notice]) -> None:
        self.regions: dict[str, Region] = {}
        self.why: dict[str, Why] = {}
        self._volume = volume
        self._header = header
        self._revision = revision
        self._told = told

    def mark(
        self, spec: ModelSpec, label: Label, candidate: Candidate, what: str, number: int
    ) -> dict[str, Any] | None:
        """What a finding and a structure share; None where no image shows it."""
        measured: Measurement | StructureMeasurement
        try:
            if label.kind == "lesion":
                measured = measure(self._volume, candidate.region)
            else:
                measured = measure_structure(self._volume, candidate.region)
        except NothingToEncode:
            self._told.append(notice("finding-between-slices", score=candidate.score))
            return None
        header = self._header
        uid = derive_uid(
            header.StudyInstanceUID, header.SeriesInstanceUID, spec.name, spec.version,
            self._revision, what, number,
        )  # fmt: skip
        self.regions[uid] = candidate.region
        if candidate.why is not None:
            self.why[uid] = candidate.why
        values = {
            **vars(measured),
            "tracking_uid": uid,
            "label": label.code,
            "site": label.site,
            "score": round(candidate.score, 4),
            "model": spec.name,
        }
        # The values of other modalities are no Hounsfield units.
        return values if header.get("Modality") == "CT" else values | {"mean_hu": None}


def _labelled(spec: ModelSpec, lesions: Lesions, kind: str) -> Iterator[tuple[Candidate, Label]]:
    for candidate in lesions.candidates:
        label = spec.label_of(candidate.label)
        assert label is not None, f"{spec.name}: label {candidate.label} is not described"
        if label.kind == kind:
            yield candidate, label


def display_window(
    volume: Volume, modality: str, specs: Sequence[ModelSpec]
) -> tuple[float, float]:
    """Centre and width that show what was looked for: lung, soft tissue, or the signal's range.

    Of MR, whose units are the scanner's own, between the 1st and the 99th percentile of the
    values above 0.
    """
    if modality == "CT":
        lung = any(label.site.value == LUNG for spec in specs for label in spec.labels)
        return LUNG_WINDOW if lung else SOFT_WINDOW
    sample = volume.voxels[:: max(1, len(volume.voxels) // 16), ::4, ::4]
    shown = sample[sample > 0]
    low, high = np.percentile(shown if shown.size else sample, (1, 99)).tolist()
    return (low + high) / 2, max(high - low, 1.0)
