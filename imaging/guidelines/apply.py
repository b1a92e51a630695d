"""The guidelines applied to a report, and the reader's own category beside them.

``imaging.report`` imports this package's values, so it is imported here for types only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from imaging.guidelines import fleischner, lung_rads
from imaging.guidelines.fleischner_table import SOURCE as FLEISCHNER_SOURCE
from imaging.guidelines.lesion import lesion_of
from imaging.guidelines.lung_rads_table import SOURCE as LUNG_RADS_SOURCE
from imaging.guidelines.pancreas_resectability import resectability
from imaging.guidelines.pancreas_template import structured_report
from imaging.guidelines.pancreas_tumour import Staged, staged
from imaging.guidelines.pancreas_values import PancreasReading
from imaging.guidelines.risk import with_brock
from imaging.guidelines.values import FLEISCHNER, LUNG_RADS, Clinical, Guidance, Override
from imaging.language import Text

if TYPE_CHECKING:
    from imaging.finding import Finding
    from imaging.report import Report

LUNG: Final = "39607008"
"""SNOMED CT's code of the lung."""
NODULES: Final = frozenset({"27925004", "427359005", "786838002"})
"""SNOMED CT's codes under which a model may mark a lung nodule."""
PANCREAS: Final = "15776009"
"""SNOMED CT's code of the pancreas."""
SCREENING_UNKNOWN: Final = Text(
    en="whether this is a screening examination is not known", zh="是否为肺癌筛查检查不明"
)


def guidance_of(report: Report) -> tuple[Guidance, ...]:
    """What the guidelines say of the findings that stand: lung nodules, then the pancreas.

    Nothing where the report is no CT.
    """
    if report.modality != "CT":
        return ()
    return (*_lung_guidance(report), *_pancreas_guidance(report))


def _lung_guidance(report: Report) -> tuple[Guidance, ...]:
    """Lung-RADS for a screening examination, Fleischner for another.

    Where it is not known which, both, each without a category but with what would hold. Nothing
    where no model looked for lung nodules.
    """
    if not _lungs_read(report):
        return ()
    clinical = report.clinical
    found = [f for f in report.standing_findings if _is_nodule(f)]
    lesions = [lesion_of(f, report.comparisons, clinical.earlier_ct) for f in found]
    if report.comparisons:
        clinical = clinical.model_copy(update={"earlier_ct": True})
    given: list[Guidance] = []
    if clinical.screening is not False:
        screened = lung_rads.assess(lesions, clinical)
        if clinical.screening is None:
            screened = screened.unless_known(
                (SCREENING_UNKNOWN,),
                Text(en="If this is a screening examination", zh="若为筛查检查"),
            )
        given.append(screened.guidance(LUNG_RADS, LUNG_RADS_SOURCE))
    if clinical.screening is not True and lesions:
        incidental = fleischner.assess(lesions, clinical)
        if clinical.screening is None:
            incidental = incidental.unless_known(
                (SCREENING_UNKNOWN,),
                Text(en="If this is no screening examination", zh="若非筛查检查"),
            )
        given.append(incidental.guidance(FLEISCHNER, FLEISCHNER_SOURCE))
    return tuple(given)


def pancreatic_lesions(report: Report) -> tuple[Finding, ...]:
    """The lesions of the pancreas that stand. Places of a research map are none."""
    return tuple(f for f in report.standing_findings if is_pancreatic(f))


def staged_lesion(report: Report) -> Staged | None:
    """The pancreatic lesion that the guidelines stage; None where none stands, or in no CT."""
    if report.modality != "CT":
        return None
    return staged(pancreatic_lesions(report), report.pancreas_reading)


def _pancreas_guidance(report: Report) -> tuple[Guidance, ...]:
    """The structured template and the resectability of the lesion that is staged."""
    found, reading = pancreatic_lesions(report), report.pancreas_reading
    given = (structured_report(found, reading), resectability(found, reading))
    return tuple(guidance for guidance in given if guidance is not None)


def guided(report: Report) -> Report:
    """The report with its guidance computed anew; overrides stay as they are."""
    return report.model_copy(update={"guidance": guidance_of(report)})


def with_clinical(report: Report, clinical: Clinical) -> Report:
    """The report with other clinical facts, and the Brock hints and guidance they give."""
    findings = with_brock(report.findings, clinical)
    return guided(report.model_copy(update={"clinical": clinical, "findings": findings}))


def with_pancreas_reading(report: Report, reading: PancreasReading) -> Report:
    """The report with what the reader says of a pancreatic lesion, and the guidance it gives."""
    return guided(report.model_copy(update={"pancreas_reading": reading}))


def with_override(report: Report, override: Override) -> Report:
    """The report with the reader's category beside the computed one, in place of their earlier."""
    return report.model_copy(update={"overrides": (*_others(report, override.guideline), override)})


def without_override(report: Report, guideline: str) -> Report:
    """The report with the reader's category for ``guideline`` taken back."""
    return report.model_copy(update={"overrides": _others(report, guideline)})


def overridden(report: Report, guideline: str) -> Override | None:
    """The reader's own category for ``guideline``; None where they left the computed one."""
    return next((o for o in report.overrides if o.guideline == guideline), None)


def _others(report: Report, guideline: str) -> tuple[Override, ...]:
    return tuple(o for o in report.overrides if o.guideline != guideline)


def _lungs_read(report: Report) -> bool:
    if any(LUNG in model.sites for model in report.all_models):
        return True
    return any(_is_nodule(finding) for finding in report.findings)


def _is_nodule(finding: Finding) -> bool:
    in_lung = finding.site.scheme == "SCT" and finding.site.value == LUNG
    return finding.nodule is not None or (in_lung and finding.label.value in NODULES)


def is_pancreatic(finding: Finding) -> bool:
    """Whether a finding is a lesion of the pancreas, by its description or its site."""
    in_pancreas = finding.site.scheme == "SCT" and finding.site.value == PANCREAS
    return finding.pancreatic is not None or in_pancreas
