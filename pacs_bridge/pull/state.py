"""How fetching stands, for people and programs: every rule, and the studies that it found."""

from __future__ import annotations

import time
from datetime import datetime

from pydantic import BaseModel, Field

from pacs_bridge.pull.hours import open_at
from pacs_bridge.pull.ledger import PullLedger
from pacs_bridge.pull.values import Pull, PullState
from pacs_bridge.settings import PullSettings, Settings
from pacs_bridge.store import Store


class RuleState(BaseModel):
    """One rule and when it looked."""

    name: str
    archive: str
    method: str
    every_minutes: float = Field(description="0: only by hand, or when a study is announced")
    hours: list[str]
    announced: bool
    open: bool = Field(description="it is within its hours")
    looking: bool = Field(description="it asks its archive at this moment")
    asked: bool = Field(description="somebody asked for it, and it has not begun yet")
    looked_at: float | None = Field(description="seconds since the epoch, as all times here")
    next_at: float | None = Field(description="when it looks next, its hours aside")
    found: int = Field(description="studies that the archive told of, when it was last asked")
    taken: int = Field(description="of them, to be fetched")
    problem: str


class PullOut(BaseModel):
    """One study."""

    study_uid: str
    rule: str
    archive: str
    study_date: str
    description: str
    state: PullState
    came: int = Field(description="images")
    wanted: int
    attempts: int
    last_error: str
    found_at: float
    next_attempt_at: float
    fetched_at: float | None


class PullOverview(BaseModel):
    """Every rule, and the newest studies."""

    rules: list[RuleState]
    studies: list[PullOut]


def overview(settings: Settings, store: Store, limit: int = 100) -> PullOverview:
    """How fetching stands now."""
    ledger = PullLedger(store)
    return PullOverview(
        rules=[_rule(rule, ledger) for rule in settings.pull],
        studies=[_study(pull) for pull in ledger.newest(limit)],
    )


def _rule(rule: PullSettings, ledger: PullLedger) -> RuleState:
    run = ledger.run_of(rule.name)
    begun = run.begun_at
    after = None if begun is None else begun + rule.every_minutes * 60
    return RuleState(
        name=rule.name,
        archive=rule.archive,
        method=rule.method,
        every_minutes=rule.every_minutes,
        hours=list(rule.hours),
        announced=rule.announced,
        open=open_at(rule.hours, datetime.now()),
        looking=begun is not None and run.ended_at is None,
        asked=run.asked_at is not None,
        looked_at=run.ended_at or begun,
        next_at=(after or time.time()) if rule.every_minutes else None,
        found=run.found,
        taken=run.taken,
        problem=run.problem,
    )


def _study(pull: Pull) -> PullOut:
    return PullOut(**{name: getattr(pull, name) for name in PullOut.model_fields})
