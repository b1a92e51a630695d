"""Who asked for storage commitment of what, until the report was heard: survives a restart."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import uuid4

from sqlalchemy import RowMapping, delete, select, update

from pacs_bridge.database import writing
from pacs_bridge.dimse.commitment import Reference
from pacs_bridge.store import Store
from pacs_bridge.tables import custody_requests as table


class ReportState(StrEnum):
    """Where the report of a request stands."""

    WAITING = "waiting"
    REPORTED = "reported"
    GIVEN_UP = "given up"


@dataclass(frozen=True)
class Request:
    """One request for storage commitment, as it stands."""

    id: str
    asker: str
    """AE title."""
    transaction_uid: str
    references: tuple[Reference, ...]
    refused: int = 0
    """Failure reason that holds for all of it; 0: each object is looked for."""
    state: ReportState = ReportState.WAITING
    attempts: int = 0
    last_error: str = ""
    asked_at: float = 0.0
    reported_at: float | None = None


@dataclass(frozen=True)
class Ledger:
    """The ``custody_requests`` table."""

    store: Store = field(repr=False)

    def enter(
        self,
        asker: str,
        transaction_uid: str,
        references: Sequence[Reference],
        *,
        hold_s: float,
        duplicate: int,
    ) -> Request:
        """Keep a request; the report of it is due after ``hold_s``.

        The same request again is reported again. The transaction UID of a request that is not
        reported yet, with other objects, is kept as one that is refused for ``duplicate``.
        """
        now = time.time()
        text = json.dumps([[each.sop_class_uid, each.sop_instance_uid] for each in references])
        mine = (table.c.asker == asker) & (table.c.transaction_uid == transaction_uid)
        change = {"state": ReportState.WAITING, "attempts": 0, "last_error": "",
                  "next_attempt_at": now + hold_s, "reported_at": None}  # fmt: skip
        with writing(self.store.engine) as db:
            known = db.execute(select(table).where(mine)).mappings().all()
            same = next((row for row in known if row["objects"] == text), None)
            if same is not None:
                db.execute(update(table).where(table.c.id == same["id"]).values(change))
                row = dict(same) | change
            else:
                clash = any(row["state"] == ReportState.WAITING for row in known)
                row = change | {
                    "id": uuid4().hex, "asker": asker, "transaction_uid": transaction_uid,
                    "objects": text, "refused": duplicate if clash else 0, "asked_at": now,
                }  # fmt: skip
                db.execute(table.insert().values(row))
        return _request(row)

    def due(self, asker: str) -> list[Request]:
        """What is to be reported to a peer now, oldest first."""
        query = (
            select(table)
            .where(
                table.c.state == ReportState.WAITING,
                table.c.asker == asker,
                table.c.next_attempt_at <= time.time(),
            )
            .order_by(table.c.asked_at)
        )
        with self.store.engine.connect() as db:
            return [_request(row) for row in db.execute(query).mappings()]

    def claim(self, request: Request, hold_s: float) -> bool:
        """Whether the report is ours to make: no other server makes it in the next ``hold_s``."""
        now = time.time()
        with writing(self.store.engine) as db:
            taken = db.execute(
                update(table)
                .where(
                    table.c.id == request.id,
                    table.c.state == ReportState.WAITING,
                    table.c.next_attempt_at <= now,
                )
                .values(next_attempt_at=now + hold_s)
            )
        return taken.rowcount == 1

    def of(self, asker: str, transaction_uid: str) -> list[Request]:
        """The requests of a transaction, oldest first."""
        query = (
            select(table)
            .where(table.c.asker == asker, table.c.transaction_uid == transaction_uid)
            .order_by(table.c.asked_at)
        )
        with self.store.engine.connect() as db:
            return [_request(row) for row in db.execute(query).mappings()]

    def reported(self, request: Request) -> None:
        """The peer has heard."""
        self._change(request, state=ReportState.REPORTED, reported_at=time.time(), last_error="")

    def later(self, request: Request, wait_s: float, error: str = "", attempts: int = 0) -> None:
        """Not heard: due again after ``wait_s``; ``attempts`` were made until now."""
        self._change(
            request, next_attempt_at=time.time() + wait_s, last_error=error, attempts=attempts
        )

    def give_up(self, request: Request, error: str, attempts: int) -> None:
        """No more tries, until the peer asks again."""
        self._change(request, state=ReportState.GIVEN_UP, last_error=error, attempts=attempts)

    def forget(self, before: float) -> int:
        """Remove what was reported or given up on and asked before a time; how many."""
        old = (table.c.state != ReportState.WAITING) & (table.c.asked_at < before)
        with writing(self.store.engine) as db:
            return db.execute(delete(table).where(old)).rowcount

    def _change(self, request: Request, **values: object) -> None:
        with writing(self.store.engine) as db:
            db.execute(
                update(table)
                .where(table.c.id == request.id, table.c.state == ReportState.WAITING)
                .values(**values)
            )


def _request(row: RowMapping | dict[str, object]) -> Request:
    references = tuple(Reference(*pair) for pair in json.loads(str(row["objects"])))
    same = {name: row[name] for name in Request.__dataclass_fields__
            if name not in ("references", "state")}  # fmt: skip
    return Request(references=references, state=ReportState(str(row["state"])), **same)  # type: ignore[arg-type]
