"""A study's files to a report: plan, load, analyse. What the server and the command line share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pydicom.dataset import Dataset

from imaging.errors import SeriesError
from imaging.guidelines import clinical_from, with_clinical
from imaging.headers import Scan, read_header, scan_files
from imaging.load import Loaded, load_series
from imaging.notices import Notice, notice
from imaging.priors.values import Comparison
from imaging.report import Model, Patient, Report
from imaging.series import Series, SeriesPlan, group_series
from imaging.undeclared import text_of
from imaging.volume import Region, Volume
from models.clock import Clock
from models.engine.warm import InUse
from models.errors import InputRefused, ModelError
from models.lesions import Why
from models.loaded import LoadedModel
from models.pipeline import Lesions, find_lesions
from models.spec import ModelSpec
from models.study.describe import Description, describe, display_window
from models.study.plan import StudyPlan, plan_one
from models.study.priors import Current, PriorScan, compare_priors
from models.study.urgency import urgency_of

log = logging.getLogger(__name__)

Progress = Callable[[str], None]
"""Called with the name of each step as it begins."""
Open = Callable[[str], AbstractContextManager[InUse]]
"""Gives a model by name for as long as a block runs; raises a ``ModelError``."""


@dataclass(frozen=True, eq=False)
class StudyReading:
    """What the models made of one study.

    Attributes:
        report: the preliminary report.
        regions: the mask of each finding and structure by tracking UID, on ``volume``'s grid.
        volume: the series that was read.
        seconds: how long each step took.
        why: what made the model flag a finding, by tracking UID; not of every finding.
    """

    report: Report
    regions: dict[str, Region]
    volume: Volume
    seconds: dict[str, float]
    why: dict[str, Why] = field(default_factory=dict)


def plan_study(paths: Iterable[Path], spec: ModelSpec) -> tuple[Scan, SeriesPlan]:
    """Read the headers and choose the series (of each role, one) that one model will read.

    Files that can't be used and series that don't suit become notices of the plan.
    """
    scan = scan_files(paths)
    return scan, plan_one(scan, spec)


def read_study(
    scan: Scan,
    plan: SeriesPlan,
    model: LoadedModel,
    *,
    revision: int = 1,
    progress: Progress = lambda step: None,
) -> StudyReading:
    """Read a study with one model, alone. Raises as :func:`read_together`."""

    @contextmanager
    def opened(_name: str) -> Iterator[InUse]:
        with model.lock:
            yield InUse(model, model.runners, ())

    together = StudyPlan(plans=(plan,))
    return read_together(scan, together, opened, revision=revision, progress=progress)


def read_together(
    scan: Scan,
    plan: StudyPlan,
    opened: Open,
    *,
    revision: int = 1,
    progress: Progress = lambda step: None,
    give_up: bool = False,
    priors: Sequence[PriorScan] = (),
    research: Collection[str] = (),
) -> StudyReading:
    """Load the chosen series, find and measure with each model, and put all into one report.

    A model that refuses the volume, or fails for good, is named in the report's warnings as
    long as another one read the study.

    Args:
        scan: the study's headers.
        plan: from :func:`models.study.plan.plan_together`.
        opened: where the models come from.
        revision: of the reading.
        progress: called with the name of each step as it begins.
        give_up: this is the last try: a model that fails as it might not fail next time is
            left out too, as long as another one read the study.
        priors: earlier examinations to compare with, the latest first.
        research: names of the models whose research maps the site switched on.

    Raises:
        SeriesError: a chosen series makes no volume.
        InputRefused: the volume is not what any of the models is for.
        InferenceFailed: a network could not be run.
        ModelError: the only model can't be used.
        ValueError: the plan chose no series.
    """
    if plan.chosen is None:
        raise ValueError("the plan has no series to read")
    work = _Work({s.uid: s for s in group_series(scan)}, progress)
    parts: list[tuple[ModelSpec, Lesions]] = []
    warnings: list[Notice] = []
    failures: list[Exception] = []
    for one in plan.reading:
        try:
            several = len(plan.reading) > 1
            parts.append(_read(one, work, opened, several, research=one.model in research))
        except (ModelError, SeriesError) as error:
            first_series = isinstance(error, SeriesError) and plan.chosen not in work.loaded
            if first_series or (error.retryable and not give_up):
                raise
            log.warning("model %s: %s", one.model, error)
            failures.append(error)
            warnings.append(_left_out(one.model, error))
    if not parts:
        raise failures[0]
    volume = work.loaded[plan.chosen].volume
    progress("measure")
    header = read_header(next(s.path for s in volume.sources if s is not None))
    description = describe(volume, parts, header, revision)
    work.seconds.update(description.seconds)
    series = work.series[plan.chosen]
    study_date = str(header.get("StudyDate") or "")
    compared, not_compared = compare_priors(
        priors,
        Current.of(volume, series.header, study_date, parts, description),
        opened,
        progress=progress,
        seconds=work.seconds,
    )
    told = [*_told(plan), *work.notices, *description.notices, *warnings, *plan.not_run]
    told += not_compared
    told += _series_count(plan, work.series)
    if any(spec.reference_weights for spec, _ in parts):
        told.append(notice("reference-weights"))
    if any(spec.fake for spec, _ in parts):
        told.append(notice("fake-model"))
    report = _report(series, volume, header, parts, description, compared, told, revision)
    return StudyReading(report, description.regions, volume, work.seconds, description.why)


@dataclass
class _Work:
    """What several models share while they read one study."""

    series: dict[str, Series]
    progress: Progress
    loaded: dict[str, Loaded] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)

    def volume(self, uid: str) -> Volume:
        """A series as a volume, loaded once."""
        if uid not in self.loaded:
            clock = Clock(self.seconds)
            self.progress("load")
            self.loaded[uid] = load_series(self.series[uid])
            self.notices += self.loaded[uid].notices
            clock.lap("load" if len(self.loaded) == 1 else f"load {len(self.loaded)}")
        return self.loaded[uid].volume


def _read(
    plan: SeriesPlan, work: _Work, opened: Open, several: bool, *, research: bool
) -> tuple[ModelSpec, Lesions]:
    # Loaded before the model is taken, so that no device waits for a disk.
    volumes = [work.volume(uid) for uid in plan.series_uids]
    with opened(plan.model) as use:
        lesions = find_lesions(volumes, use.model, use.networks, work.progress, research=research)
        work.notices += [how.notice for how in use.degradations() if how.notice not in work.notices]
    name = f"{plan.model} " if several else ""
    work.seconds.update({f"{name}{step}": took for step, took in lesions.seconds.items()})
    return use.model.spec, lesions


def _left_out(model: str, error: ModelError | SeriesError) -> Notice:
    if isinstance(error, InputRefused):
        made = notice("model-refused", model=model, problem=error.reason.text.en)
        zh = notice("model-refused", model=model, problem=error.reason.text.zh).text.zh
        return made.model_copy(update={"text": made.text.model_copy(update={"zh": zh})})
    code = "model-refused" if isinstance(error, SeriesError) else "model-failed"
    return notice(code, model=model, problem=str(error))


def _told(plan: StudyPlan) -> list[Notice]:
    """What the plans of those who read say of files and of the series they chose."""
    told: list[Notice] = []
    for one in plan.reading:
        told += one.notices
        told += [n for verdict in one.verdicts if verdict.accepted for n in verdict.notices]
    return list(dict.fromkeys(told))


def _series_count(plan: StudyPlan, series: dict[str, Series]) -> list[Notice]:
    read = list(dict.fromkeys(uid for one in plan.reading for uid in one.series_uids))
    if len(series) <= len(read):
        return []
    if len(read) == 1:
        return [notice("several-series", count=len(series), chosen=series[read[0]].name)]
    names = ", ".join(series[uid].name for uid in read)
    return [notice("series-left", count=len(series), read=len(read), chosen=names)]


def _report(
    series: Series,
    volume: Volume,
    header: Dataset,
    parts: list[tuple[ModelSpec, Lesions]],
    description: Description,
    comparisons: tuple[Comparison, ...],
    warnings: list[Notice],
    revision: int,
) -> Report:
    def text(keyword: str) -> str:
        return text_of(header, keyword)

    models = tuple(
        Model(
            name=spec.name,
            version=spec.version,
            title=spec.title,
            sha256=spec.fingerprint,
            sites=tuple(label.site.value for label in spec.labels if label.kind == "lesion"),
        )
        for spec, _ in parts
    )
    report = Report(
        revision=revision,
        created_at=datetime.now().astimezone().replace(microsecond=0),
        patient=Patient(
            patient_id=text("PatientID"),
            patient_name=text("PatientName"),
            birth_date=text("PatientBirthDate"),
            sex=text("PatientSex"),
        ),
        study_uid=series.header.study_uid,
        series_uid=series.header.series_uid,
        accession_number=text("AccessionNumber"),
        study_date=text("StudyDate"),
        study_description=text("StudyDescription"),
        series_description=series.description,
        modality=series.header.modality,
        slice_count=volume.grid.shape[0],
        spacing_mm=volume.grid.spacing_mm,
        window=display_window(volume, series.header.modality, [spec for spec, _ in parts]),
        model=models[0],
        models=models if len(models) > 1 else (),
        warnings=tuple(warnings),
        findings=description.findings,
        structures=description.structures,
        comparisons=comparisons,
        gland=description.gland,
        urgency=urgency_of([spec for spec, _ in parts], description.findings),
        fake=any(spec.fake for spec, _ in parts),
    )
    clinical = clinical_from(
        text("PatientBirthDate"), text("StudyDate"), text("PatientSex"), text("PatientAge")
    )
    return with_clinical(report, clinical)
