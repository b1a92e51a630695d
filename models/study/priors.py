"""Earlier examinations read by the same model, and compared with the current one.

The earlier images are read anew rather than an old report: only what the same model found and
the same rules measured on both dates can be compared. Whatever goes wrong with an earlier
examination is told in the report; it never costs the current one its reading.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from imaging.finding import Finding
from imaging.headers import Scan, SeriesHeader, read_header, scan_files
from imaging.language import Text
from imaging.load import load_series
from imaging.lungs import LungMask
from imaging.notices import Notice, notice
from imaging.priors.compare import Examination, Seen, compare
from imaging.priors.values import Comparison
from imaging.series import group_series, refusals
from imaging.volume import Region, Volume
from models.clock import Clock
from models.engine.warm import InUse
from models.errors import InputRefused
from models.pipeline import find_lesions
from models.spec import ModelSpec
from models.study.describe import Description, Part, describe
from models.study.nodules import LUNG
from models.study.plan import plan_one

log = logging.getLogger(__name__)


def compares(spec: ModelSpec) -> bool:
    """Whether a model's findings are followed over time: nodules of the lung on CT."""
    lung = any(label.kind == "lesion" and label.site.value == LUNG for label in spec.labels)
    return lung and spec.input.modality == "CT"


@dataclass(frozen=True)
class PriorImages:
    """The images of an earlier examination, plain data.

    Args:
        study_uid: StudyInstanceUID.
        study_date: DICOM DA.
        paths: its files.
    """

    study_uid: str
    study_date: str
    paths: tuple[Path, ...]


@dataclass(frozen=True)
class PriorScan:
    """The same with its headers read."""

    study_uid: str
    study_date: str
    scan: Scan

    @classmethod
    def of(cls, images: PriorImages) -> PriorScan:
        """Read the headers."""
        return cls(images.study_uid, images.study_date, scan_files(images.paths))

    @property
    def day(self) -> str:
        """The date as people write it."""
        date = self.study_date
        return f"{date[:4]}-{date[4:6]}-{date[6:]}" if len(date) == 8 else date


@dataclass(frozen=True, eq=False)
class Current:
    """The examination that is being read, and what was found in it."""

    volume: Volume
    study_uid: str
    series_uid: str
    study_date: str
    part: Part | None
    """The model that is followed over time, with what it found; None: none of them is."""
    findings: Sequence[Finding]
    regions: dict[str, Region]

    @classmethod
    def of(
        cls,
        volume: Volume,
        series: SeriesHeader,
        study_date: str,
        parts: Sequence[Part],
        description: Description,
    ) -> Current:
        """From what was made of it; the first model whose findings are followed is compared."""
        part = next((part for part in parts if compares(part[0])), None)
        name = part[0].name if part else ""
        findings = [f for f in description.findings if f.model == name and f.site.value == LUNG]
        return cls(
            volume, series.study_uid, series.series_uid, study_date, part, findings,
            description.regions,
        )  # fmt: skip


def compare_priors(
    priors: Sequence[PriorScan],
    current: Current,
    opened: Callable[[str], AbstractContextManager[InUse]],
    *,
    progress: Callable[[str], None],
    seconds: dict[str, float],
) -> tuple[tuple[Comparison, ...], list[Notice]]:
    """Read each earlier examination and compare.

    Args:
        priors: the latest first.
        current: the examination that is being read.
        opened: where the models come from.
        progress: called with the name of each step as it begins.
        seconds: gets the steps.

    Returns:
        The comparisons, in order, and what of it could not be compared.
    """
    compared: list[Comparison] = []
    told: list[Notice] = []
    if current.part is None or not priors:
        return (), told
    spec, lesions = current.part
    now = _examination(
        current.volume, current.study_uid, current.series_uid, current.study_date, lesions.lungs,
        current.findings, current.regions,
    )  # fmt: skip
    for number, prior in enumerate(priors, start=1):
        name = "prior" if len(priors) == 1 else f"prior {number}"
        clock = Clock(seconds)
        try:
            progress(name)
            then, warnings = _read(prior, spec, opened)
            clock.lap(name)
            progress("compare")
            comparison = compare(now, then)
        except InputRefused as error:
            told.append(not_compared(prior, error.reason.text))
        except Exception as error:  # the loop boundary: the current one is read already
            log.exception("prior %s", prior.study_uid)
            told.append(not_compared(prior, str(error)))
        else:
            clock.lap("compare" if len(priors) == 1 else f"compare {number}")
            both = (*comparison.warnings, *warnings)
            compared.append(comparison.model_copy(update={"warnings": both}))
    return tuple(compared), told


def _read(
    prior: PriorScan, spec: ModelSpec, opened: Callable[[str], AbstractContextManager[InUse]]
) -> tuple[Examination, list[Text]]:
    """An earlier examination, and what a reader must know of how it was read.

    Raises:
        InputRefused: the model doesn't take it.
        SeriesError, ModelError, OSError: it could not be read.
    """
    plan = plan_one(prior.scan, spec)
    if plan.chosen is None:
        raise InputRefused(_why_nothing(plan.model, [n for _, n in refusals(plan)]))
    series = next(s for s in group_series(prior.scan) if s.uid == plan.chosen)
    loaded = load_series(series)
    with opened(spec.name) as use:
        lesions = find_lesions([loaded.volume], use.model, use.networks)
    source = next(s.path for s in loaded.volume.sources if s is not None)
    part = (use.model.spec, lesions)
    found = describe(loaded.volume, [part], read_header(source), revision=0, nodules=False)
    taken = [n for v in plan.verdicts if v.accepted for n in v.notices]
    told = [n.text for n in dict.fromkeys((*taken, *loaded.notices, *found.notices))]
    if use.model.spec.version != spec.version:
        told.append(_versions(spec.version, use.model.spec.version))
    examination = _examination(
        loaded.volume, prior.study_uid, series.header.series_uid, prior.study_date, lesions.lungs,
        [f for f in found.findings if f.site.value == LUNG], found.regions,
    )  # fmt: skip
    return examination, told


def _examination(
    volume: Volume,
    study_uid: str,
    series_uid: str,
    study_date: str,
    lungs: LungMask | None,
    findings: Sequence[Finding],
    regions: dict[str, Region],
) -> Examination:
    return Examination(
        volume=volume,
        study_uid=study_uid,
        series_uid=series_uid,
        study_date=study_date,
        lungs=lungs,
        nodules=tuple(
            Seen(
                tracking_uid=finding.tracking_uid,
                number=finding.number,
                region=regions[finding.tracking_uid],
                mean_diameter_mm=(finding.long_axis_mm + finding.short_axis_mm) / 2,
                volume_mm3=finding.volume_mm3,
            )
            for finding in findings
        ),
    )


def _why_nothing(model: str, refused: Sequence[Notice]) -> Notice:
    return refused[0] if refused else notice("nothing-suits", model=model)


def not_compared(prior: PriorScan, problem: str | Text) -> Notice:
    """What the report says of an earlier examination that could not be compared."""
    return notice("prior-not-compared", date=prior.day, problem=problem)


def _versions(now: str, then: str) -> Text:
    return Text(
        en=f"the model was replaced meanwhile: version {now} read this examination, {then} that",
        zh=f"模型在此期间已更换：本次检查由版本 {now} 分析，该检查由版本 {then} 分析",
    )
