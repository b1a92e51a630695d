"""`preread plan`: which series of a study each model would read, and why, without reading it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from imaging.errors import NoImages
from imaging.headers import scan_files
from imaging.language import Language
from imaging.notices import Severity
from imaging.series import SeriesPlan, SeriesVerdict
from imaging.suitability import Factor
from models.spec import ModelSpec, look_up
from models.study.plan import StudyPlan, plan_together
from pacs_bridge.analyse import files_at, one_study
from pacs_bridge.console import out
from pacs_bridge.settings import Settings


def plan_path(path: Path, settings: Settings) -> dict[str, StudyPlan]:
    """The plan of every study in a folder, zip or file, by StudyInstanceUID.

    Models need not be installed: only their descriptions are read, and no pixel.

    Raises:
        NoImages: there is no DICOM image in it.
        SpecError: a model has no description, or a wrong one.
    """
    specs = _specs(settings)
    with files_at(path) as files:
        scan = scan_files(files)
    studies = sorted({image.study_uid for image in scan.slices})
    if not studies:
        raise NoImages(f"{path}: no DICOM images in it. Give the folder that holds a study")
    return {uid: plan_together(one_study(scan, uid), specs) for uid in studies}


def _specs(settings: Settings) -> Sequence[ModelSpec]:
    names = settings.models.enabled
    specs = [look_up(name, settings.model_folders) for name in names]
    return [spec.at_site(settings.series_rules) for spec in specs]


def plans_as_json(plans: dict[str, StudyPlan]) -> list[dict[str, Any]]:
    """Plain data: one object a study."""
    return [{"study_uid": uid, **plan.model_dump(mode="json")} for uid, plan in plans.items()]


def print_plans(plans: dict[str, StudyPlan], language: Language) -> None:
    """A table for each study and model on standard output."""
    for uid, plan in plans.items():
        out.print(f"study {uid}", style="bold", soft_wrap=True)
        for one in plan.plans:
            out.print(_table(one, language))
            for item in one.notices:
                out.print(f"  note {item.text.in_(language)}", style="yellow", soft_wrap=True)


def _table(plan: SeriesPlan, language: Language) -> Table:
    read = len(plan.series_uids)
    title = f"{plan.model}: {f'{read} series would be read' if read else 'nothing to read'}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("", "series", "images", "score"):
        table.add_column(name, justify="right" if name in ("images", "score") else "left")
    table.add_column("why", overflow="fold", ratio=1)
    for verdict in plan.verdicts:
        table.add_row(
            (verdict.role or "read") if verdict.accepted else "-",
            verdict.name,
            str(verdict.images),
            f"{verdict.score:.2f}" if verdict.score > 0 else "-",
            "\n".join(_why(verdict, language)),
            style="" if verdict.accepted else "dim",
        )
    return table


def _why(verdict: SeriesVerdict, language: Language) -> list[str]:
    """Reasons first, then what the score is made of."""
    told = [
        ("" if item.severity is Severity.REFUSAL else "note: ") + item.text.in_(language)
        for item in verdict.notices
    ]
    if verdict.factors:
        told.append(" ".join(_made_of(each, language) for each in verdict.factors))
    return told


def _made_of(factor: Factor, language: Language) -> str:
    sign = {"slices": "", "site": "+ "}.get(factor.aspect, "x ")
    return f"{sign}{factor.value:g} ({factor.text.in_(language)})"
