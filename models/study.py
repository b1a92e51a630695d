"""A study's files to a report: plan, load, analyse. What the server and the command line share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydicom.dataset import Dataset

from imaging.errors import NothingToEncode
from imaging.finding import Finding
from imaging.headers import Scan, read_header, scan_files
from imaging.identity import derive_uid
from imaging.load import load_series
from imaging.measure import measure
from imaging.notices import Notice, notice
from imaging.report import Model, Patient, Report
from imaging.series import SeriesPlan, choose_series, group_series
from imaging.volume import Region, Volume
from models.loaded import LoadedModel
from models.pipeline import Candidate, find_lesions
from models.spec import ModelSpec

Progress = Callable[[str], None]
"""Called with the name of each step as it begins."""


@dataclass(frozen=True, eq=False)
class StudyReading:
    """What one model made of one study.

    Attributes:
        report: the preliminary report.
        regions: the mask of each finding by tracking UID, on ``volume``'s grid.
        volume: the series that was read.
        seconds: how long each step took.
    """

    report: Report
    regions: dict[str, Region]
    volume: Volume
    seconds: dict[str, float]


def plan_study(paths: Iterable[Path], spec: ModelSpec) -> tuple[Scan, SeriesPlan]:
    """Read the headers and choose the series the model will read.

    Files that can't be used and series that don't suit become notices of the plan.
    """
    scan = scan_files(paths)
    return scan, choose_series(scan, spec.input, spec.name)


def read_study(
    scan: Scan,
    plan: SeriesPlan,
    model: LoadedModel,
    *,
    revision: int = 1,
    progress: Progress = lambda step: None,
) -> StudyReading:
    """Load the chosen series, find and measure lesions, and put them into a report.

    Raises:
        SeriesError: the chosen series makes no volume.
        InputRefused: the volume is not what the model is for.
        InferenceFailed: a network could not be run.
        ValueError: the plan chose no series.
    """
    chosen = next((s for s in group_series(scan) if s.uid == plan.chosen), None)
    if chosen is None:
        raise ValueError("the plan has no series to read")
    spec = model.spec
    seconds: dict[str, float] = {}
    clock = time.perf_counter()

    def lap(step: str) -> None:
        nonlocal clock
        now = time.perf_counter()
        seconds[step] = round(now - clock, 3)
        clock = now

    progress("load")
    loaded = load_series(chosen)
    lap("load")
    volume = loaded.volume
    with model.lock:
        lesions = find_lesions(volume, spec, model.networks, progress)
    seconds |= lesions.seconds
    clock = time.perf_counter()
    progress("measure")
    header = read_header(next(s.path for s in volume.sources if s is not None))
    findings, regions, unplaced = _findings(volume, lesions.candidates, spec, header, revision)
    lap("measure")
    warnings: list[Notice] = [*plan.notices, *_verdict_notices(plan), *loaded.notices]
    warnings += [*lesions.notices, *unplaced]
    if len(plan.verdicts) > 1:
        warnings.append(notice("several-series", count=len(plan.verdicts), chosen=chosen.name))
    if spec.reference_weights:
        warnings.append(notice("reference-weights"))
    if spec.fake:
        warnings.append(notice("fake-model"))

    def text(keyword: str) -> str:
        return str(header.get(keyword) or "")

    report = Report(
        revision=revision,
        created_at=datetime.now().astimezone().replace(microsecond=0),
        patient=Patient(
            patient_id=text("PatientID"),
            patient_name=text("PatientName"),
            birth_date=text("PatientBirthDate"),
            sex=text("PatientSex"),
        ),
        study_uid=chosen.header.study_uid,
        series_uid=chosen.uid,
        accession_number=text("AccessionNumber"),
        study_date=text("StudyDate"),
        study_description=text("StudyDescription"),
        series_description=chosen.header.description,
        modality=chosen.header.modality,
        slice_count=volume.grid.shape[0],
        spacing_mm=volume.grid.spacing_mm,
        model=Model(
            name=spec.name, version=spec.version, title=spec.title, sha256=spec.fingerprint
        ),
        warnings=tuple(warnings),
        findings=findings,
        fake=spec.fake,
    )
    return StudyReading(report, regions, volume, seconds)


def _findings(
    volume: Volume,
    candidates: tuple[Candidate, ...],
    spec: ModelSpec,
    header: Dataset,
    revision: int,
) -> tuple[tuple[Finding, ...], dict[str, Region], list[Notice]]:
    findings: list[Finding] = []
    regions: dict[str, Region] = {}
    unplaced: list[Notice] = []
    for candidate in candidates:
        try:
            measured = measure(volume, candidate.region)
        except NothingToEncode:
            unplaced.append(notice("finding-between-slices", score=candidate.score))
            continue
        label = spec.label_of(candidate.label)
        assert label is not None, f"{spec.name}: label {candidate.label} is not described"
        number = len(findings) + 1
        uid = derive_uid(
            header.StudyInstanceUID, header.SeriesInstanceUID, spec.name, spec.version, revision,
            "finding", number,
        )  # fmt: skip
        regions[uid] = candidate.region
        findings.append(
            Finding(
                number=number,
                tracking_uid=uid,
                tracking_id=f"{label.name.en} {number}",
                label=label.code,
                site=label.site,
                score=round(candidate.score, 4),
                segment_number=number,
                **vars(measured),
            )
        )
    return tuple(findings), regions, unplaced


def _verdict_notices(plan: SeriesPlan) -> list[Notice]:
    return [n for verdict in plan.verdicts if verdict.accepted for n in verdict.notices]
