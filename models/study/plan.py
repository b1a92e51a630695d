"""Which series of a study the enabled models will read, together.

One report stands on one series: its findings, its SEG and its outlines lie on that series'
grid. The first enabled model that takes a series decides which one. Every other model that
takes that series too reads it as well, even where another would suit it a little better
(which is then said); a model that takes only other series is not run, and that is said too,
on the page and in the report.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from imaging.headers import Scan
from imaging.notices import Notice, Severity, notice
from imaging.roles import choose_roles
from imaging.series import SeriesPlan, SeriesVerdict, choose_series
from models.spec import ModelSpec


class StudyPlan(BaseModel):
    """What each enabled model will read of one study, and every refusal."""

    model_config = ConfigDict(frozen=True)

    plans: tuple[SeriesPlan, ...]

    @property
    def reading(self) -> tuple[SeriesPlan, ...]:
        """The models that will read."""
        return tuple(plan for plan in self.plans if plan.chosen is not None)

    @property
    def chosen(self) -> str | None:
        """SeriesInstanceUID of the series that the report will stand on; None: nothing suits."""
        return self.reading[0].chosen if self.reading else None

    @property
    def not_run(self) -> tuple[Notice, ...]:
        """Models that take a series of this study and will not read."""
        return tuple(n for plan in self.plans for n in plan.notices if n.code == "not-run")


def plan_one(scan: Scan, spec: ModelSpec) -> SeriesPlan:
    """The series that one model reads, or each role's series where it takes several."""
    if spec.series:
        across = spec.registration.across_frames
        return choose_roles(
            scan, spec.series, spec.name, across_frames=across, site=spec.site_rules
        )
    return choose_series(scan, spec.input, spec.name, spec.site_rules)


def plan_together(scan: Scan, specs: Sequence[ModelSpec]) -> StudyPlan:
    """Plan every model, then settle on one series; see the module's text."""
    plans = [plan_one(scan, spec) for spec in specs]
    first = next((plan for plan in plans if plan.chosen is not None), None)
    if first is None or first.chosen is None:
        return StudyPlan(plans=tuple(plans))
    base = next(v for v in first.verdicts if v.series_uid == first.chosen)
    return StudyPlan(plans=tuple(_on(plan, base, first) for plan in plans))


def _on(plan: SeriesPlan, base: SeriesVerdict, first: SeriesPlan) -> SeriesPlan:
    """A plan brought to the series of the first model."""
    if plan.chosen is None or plan.chosen == base.series_uid:
        return plan
    mine = next(v for v in plan.verdicts if v.series_uid == base.series_uid)
    own = next(v for v in plan.verdicts if v.series_uid == plan.chosen)
    if plan.roles or mine.score <= 0:
        item = notice(
            "not-run", model=plan.model, own=own.name, series=base.name, first=first.model
        )
        verdicts = [v.model_copy(update={"accepted": False}) for v in plan.verdicts]
        return plan.model_copy(
            update={
                "chosen": None,
                "roles": {},
                "verdicts": tuple(verdicts),
                "notices": (*plan.notices, item),
            }
        )
    instead = notice("read-on-shared-series", model=plan.model, own=own.name, first=first.model)
    taken = mine.model_copy(
        update={"accepted": True, "notices": (*_warnings(mine), instead)},
    )
    reason = notice("shared-series", series=base.name, first=first.model)
    left = own.model_copy(update={"accepted": False, "notices": (reason,)})
    others = [v for v in plan.verdicts if v is not mine and v is not own]
    return plan.model_copy(update={"chosen": base.series_uid, "verdicts": (taken, left, *others)})


def _warnings(verdict: SeriesVerdict) -> tuple[Notice, ...]:
    return tuple(n for n in verdict.notices if n.severity is Severity.WARNING)
