"""What was found in archives and what became of it: the tables ``pulls`` and ``pull_rules``.

Several processes may be at it (a server, a `preread pull` beside it): a study is one process's
from :meth:`PullLedger.claim` on, for as long as that process says that it is at work.
"""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, delete, func, or_, select, update

from pacs_bridge.audit import write_event
from pacs_bridge.database import upsert, writing
from pacs_bridge.errors import UnknownStudy
from pacs_bridge.pull.values import Found, Pull, PullState, RuleRun
from pacs_bridge.store import Store
from pacs_bridge.tables import instances, pull_rules, pulls, readings

LEASE_S = 120.0
"""A process that has said nothing for so long, beyond what a request may take, is taken to be
dead, and its study is free."""
_WAITS = (PullState.SETTLING, PullState.WAITING)


def owner_here() -> str:
    """This process, as the ledger names it."""
    return f"{socket.gethostname()}:{os.getpid()}"


@dataclass(frozen=True)
class PullLedger:
    """The tables, and the questions about the store that go with them."""

    store: Store = field(repr=False)
    lease_s: float = LEASE_S

    # studies -----------------------------------------------------------------------------

    def enter(self, found: Found, rule: str, archive: str) -> None:
        """Keep that a study is to be fetched (or is to settle first); it is tried from now on.

        One that a process fetches at this moment is left as it is.
        """
        now = time.time()
        with writing(self.store.engine) as db:
            known = _row(db, found.study.study_uid)
            if known is not None and known["state"] == PullState.FETCHING:
                return
            images = found.study.counted
            # it settles since it was seen first with as many images
            same = (
                known is not None
                and known["state"] == PullState.SETTLING
                and known["in_archive"] == images
            )
            row = {
                "study_uid": found.study.study_uid,
                "rule": rule,
                "archive": archive,
                "study_date": found.study.study_date,
                "description": found.study.description,
                "state": PullState.SETTLING if found.settling else PullState.WAITING,
                "in_archive": images,
                "wanted": found.images,
                "came": found.here,
                "series": json.dumps([each.series.series_uid for each in found.wanted]),
                "left_out": json.dumps([series.series_uid for series, _ in found.left_out]),
                "attempts": 0,
                "last_error": "",
                "found_at": known["found_at"] if known is not None and same else now,
                "next_attempt_at": now,
                "owner": "",
                "until": 0.0,
                "fetched_at": None,
                "handed_on": 0,
            }
            upsert(db, pulls, row, ["study_uid"], row)

    def of(self, study_uid: str) -> Pull | None:
        """How a study stands; None: it was never found."""
        with self.store.engine.connect() as db:
            row = _row(db, study_uid)
        return None if row is None else _pull(row)

    def newest(self, limit: int = 100) -> list[Pull]:
        """The studies, those under way first, then the newest."""
        at = func.coalesce(pulls.c.fetched_at, pulls.c.found_at)
        query = select(pulls).order_by(pulls.c.fetched_at.is_not(None), at.desc()).limit(limit)
        with self.store.engine.connect() as db:
            return [_pull(row) for row in db.execute(query).mappings()]

    def claim(self, rule: str, owner: str) -> Pull | None:
        """Take the next study of a rule that is due, or that a dead process has left."""
        now = time.time()
        due = or_(
            and_(pulls.c.state == PullState.WAITING, pulls.c.next_attempt_at <= now),
            and_(pulls.c.state == PullState.FETCHING, pulls.c.until < now),
        )
        wanted = (pulls.c.rule == rule) & due
        query = select(pulls).where(wanted).order_by(pulls.c.next_attempt_at).limit(1)
        with writing(self.store.engine) as db:
            row = db.execute(query.with_for_update(skip_locked=True)).mappings().first()
            if row is None:
                return None
            change = {"state": PullState.FETCHING, "owner": owner, "until": now + self.lease_s}
            db.execute(update(pulls).where(pulls.c.study_uid == row["study_uid"]).values(**change))
            return _pull({**row, **change})

    def waiting(self, rule: str) -> float | None:
        """When the next study of a rule may be tried; None: none waits."""
        query = select(func.min(pulls.c.next_attempt_at)).where(
            pulls.c.rule == rule, pulls.c.state == PullState.WAITING
        )
        with self.store.engine.connect() as db:
            at = db.execute(query).scalar()
        return None if at is None else float(at)

    def settled(self, rule: str, settle_s: float) -> list[str]:
        """Studies that have had time to settle, to be looked at again; each is told of once.

        Args:
            rule: whose studies.
            settle_s: how long they were left alone; told of again after as long.
        """
        now = time.time()
        mine = (pulls.c.rule == rule) & (pulls.c.state == PullState.SETTLING)
        due = select(pulls.c.study_uid).where(mine, pulls.c.next_attempt_at <= now - settle_s)
        with self.store.engine.connect() as db:
            uids = list(db.execute(due).scalars())
        if uids:
            with writing(self.store.engine) as db:
                db.execute(
                    update(pulls)
                    .where(mine, pulls.c.study_uid.in_(uids))
                    .values(next_attempt_at=now)
                )
        return uids

    def forget(self, study_uid: str) -> None:
        """A study that was to settle is not to be fetched after all."""
        with writing(self.store.engine) as db:
            db.execute(
                delete(pulls).where(
                    pulls.c.study_uid == study_uid, pulls.c.state == PullState.SETTLING
                )
            )

    def at_work(self, study_uid: str, owner: str, came: int, wanted: int) -> bool:
        """Say that a study is still being fetched; False: somebody else has taken it over."""
        values = {"until": time.time() + self.lease_s, "came": came, "wanted": wanted}
        return self._mine(study_uid, owner, values)

    def fetched(self, study_uid: str, owner: str, came: int, detail: str) -> None:
        """All that was wanted is here."""
        now = time.time()
        values = {
            "state": PullState.FETCHED, "fetched_at": now, "came": came, "last_error": "",
            "owner": "", "until": now, "handed_on": 0,
        }  # fmt: skip
        if self._mine(study_uid, owner, values):
            self.store.record("preread", "pulled", study_uid, detail)

    def failed(
        self, study_uid: str, owner: str, error: str, wait_s: float | None, *, counts: bool = True
    ) -> None:
        """An attempt came to nothing.

        Args:
            study_uid: which.
            owner: who tried.
            error: why.
            wait_s: until the next one; None: there is none.
            counts: whether it was an attempt at all.
        """
        now = time.time()
        values: dict[str, Any] = {"last_error": error, "owner": "", "until": 0.0, "handed_on": 0}
        if counts:
            values["attempts"] = pulls.c.attempts + 1
        if wait_s is None:
            values["state"] = PullState.GIVEN_UP
        else:
            values |= {"state": PullState.WAITING, "next_attempt_at": now + wait_s}
        if self._mine(study_uid, owner, values) and counts:
            what = "pull-given-up" if wait_s is None else "pull-failed"
            self.store.record("preread", what, study_uid, error)

    def retry(self, study_uid: str, who: str) -> None:
        """Try a study again at once that waits or was given up on.

        Raises:
            UnknownStudy: there is none such.
        """
        with writing(self.store.engine) as db:
            done = db.execute(
                update(pulls)
                .where(
                    pulls.c.study_uid == study_uid,
                    pulls.c.state.in_((*_WAITS, PullState.GIVEN_UP)),
                )
                .values(state=PullState.WAITING, attempts=0, next_attempt_at=time.time())
            )
            if done.rowcount == 0:
                raise UnknownStudy(f"study {study_uid} doesn't wait to be fetched")
            write_event(db, who, "pull-retried", study_uid, "")

    def release(self, here: str = "") -> int:
        """Free what processes of this machine left that are no more; how many studies.

        Called by a process that fetches nothing yet: what is under its own number was left by one
        of an earlier life (in a container the number is always the same).

        Args:
            here: the machine's name; by default this one's.
        """
        here = here or socket.gethostname()
        freed = 0
        with writing(self.store.engine) as db:
            rows = db.execute(
                select(pulls.c.study_uid, pulls.c.owner).where(pulls.c.state == PullState.FETCHING)
            ).all()
            for study_uid, owner in rows:
                machine, _, process = owner.rpartition(":")
                if machine == here and (owner == owner_here() or not _lives(int(process))):
                    db.execute(
                        update(pulls)
                        .where(pulls.c.study_uid == study_uid)
                        .values(state=PullState.WAITING, next_attempt_at=time.time(), owner="")
                    )
                    freed += 1
        return freed

    def take_handed_on(self) -> list[str]:
        """Studies that were fetched, or given up on, since last asked; each is told of once."""
        ended = (pulls.c.handed_on == 0) & pulls.c.state.in_(
            (PullState.FETCHED, PullState.GIVEN_UP)
        )
        with self.store.engine.connect() as db:  # nearly always nothing: no lock is taken
            if db.execute(select(pulls.c.study_uid).where(ended).limit(1)).first() is None:
                return []
        with writing(self.store.engine) as db:
            uids = list(db.execute(select(pulls.c.study_uid).where(ended)).scalars())
            db.execute(update(pulls).where(pulls.c.study_uid.in_(uids)).values(handed_on=1))
            return uids

    # rules -------------------------------------------------------------------------------

    def run_of(self, rule: str) -> RuleRun:
        """When a rule last looked, and what came of it."""
        query = select(pull_rules).where(pull_rules.c.rule == rule)
        with self.store.engine.connect() as db:
            row = db.execute(query).mappings().first()
        return RuleRun(rule) if row is None else RuleRun(**row)

    def ask(self, rule: str, who: str) -> None:
        """Have a rule look at its archive now."""
        with writing(self.store.engine) as db:
            values = {"asked_at": time.time(), "asked_by": who}
            upsert(db, pull_rules, {"rule": rule, **values}, ["rule"], values)
            write_event(db, who, "pull-asked", None, rule)

    def begun(self, rule: str, *, asked: bool) -> None:
        """A rule looks at its archive; ``asked``: since a person asked for it."""
        values: dict[str, Any] = {"begun_at": time.time(), "ended_at": None, "problem": ""}
        if asked:
            values["asked_at"] = None
        with writing(self.store.engine) as db:
            upsert(db, pull_rules, {"rule": rule, **values}, ["rule"], values)

    def ended(self, rule: str, found: int, taken: int, problem: str = "") -> None:
        """It has looked."""
        values = {"ended_at": time.time(), "found": found, "taken": taken, "problem": problem}
        with writing(self.store.engine) as db:
            upsert(db, pull_rules, {"rule": rule, **values}, ["rule"], values)

    def trouble(self, rule: str, problem: str) -> None:
        """Fetching for a rule meets something that no study is to blame for; empty: no more."""
        with writing(self.store.engine) as db:
            upsert(db, pull_rules, {"rule": rule, "problem": problem}, ["rule"],
                   {"problem": problem})  # fmt: skip

    # the store ---------------------------------------------------------------------------

    def held(self, study_uid: str) -> dict[str, set[str]]:
        """SOPInstanceUIDs held of a study, by SeriesInstanceUID."""
        query = select(instances.c.series_uid, instances.c.sop_instance_uid).where(
            instances.c.study_uid == study_uid
        )
        found: dict[str, set[str]] = {}
        with self.store.engine.connect() as db:
            for series_uid, sop_instance_uid in db.execute(query):
                found.setdefault(series_uid, set()).add(sop_instance_uid)
        return found

    def last_arrival(self, study_uid: str) -> float | None:
        """When the last object of a study came; None: none did."""
        query = select(func.max(instances.c.received_at)).where(instances.c.study_uid == study_uid)
        with self.store.engine.connect() as db:
            at = db.execute(query).scalar()
        return None if at is None else float(at)

    def was_read(self, study_uid: str) -> bool:
        """Whether a study was read here, or is being read."""
        query = select(readings.c.revision).where(readings.c.study_uid == study_uid).limit(1)
        with self.store.engine.connect() as db:
            return db.execute(query).first() is not None

    # inside ------------------------------------------------------------------------------

    def _mine(self, study_uid: str, owner: str, values: dict[str, Any]) -> bool:
        mine = (
            (pulls.c.study_uid == study_uid)
            & (pulls.c.owner == owner)
            & (pulls.c.state == PullState.FETCHING)
        )
        with writing(self.store.engine) as db:
            return db.execute(update(pulls).where(mine).values(**values)).rowcount == 1


def _row(db: Connection, study_uid: str) -> RowMapping | None:
    return db.execute(select(pulls).where(pulls.c.study_uid == study_uid)).mappings().first()


def _pull(row: Any) -> Pull:
    values = {name: row[name] for name in Pull.__dataclass_fields__}
    for name in ("series", "left_out"):
        values[name] = tuple(json.loads(row[name]))
    return Pull(**(values | {"state": PullState(row["state"])}))


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True
