"""What the server can give: objects that we received, and those that we made of a study.

Of what we made, a search tells what stands: the final objects of the newest reading, else its
preliminary ones. Older ones are still given to whoever names them.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset
from sqlalchemy import func, select

from imaging.report import Stage
from pacs_bridge.dicomweb.server.reading import Unreadable, read_clean
from pacs_bridge.errors import UnknownStudy
from pacs_bridge.records import Study, study_of
from pacs_bridge.results import KINDS
from pacs_bridge.store import Store
from pacs_bridge.tables import instances, readings, studies

_HEADS_KEPT = 20_000
"""Heads in memory, about 3 kB each."""


@dataclass(frozen=True)
class Held:
    """One object and its file."""

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    path: Path


@dataclass
class Holdings:
    """Finds objects, and reads their heads once. Safe to call from any number of threads.

    Args:
        store: what was received.
        results: the folder of what was made, see :mod:`pacs_bridge.results`.
    """

    store: Store
    results: Path
    _heads: OrderedDict[tuple[str, int, frozenset[str]], Dataset] = field(
        default_factory=OrderedDict
    )
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def studies(self, study_uids: tuple[str, ...] = ()) -> Iterator[Study]:
        """Every study of which something is held, the newest examination first.

        Args:
            study_uids: only these; empty: all.
        """
        query = select(studies).order_by(studies.c.study_date.desc(), studies.c.study_uid)
        if study_uids:
            query = query.where(studies.c.study_uid.in_(study_uids))
        with self.store.engine.connect() as db:
            rows = db.execute(query).mappings().all()
        return (study_of(row) for row in rows)

    def objects(
        self, study_uid: str, series_uid: str | None = None, sop_instance_uid: str | None = None
    ) -> list[Held]:
        """The objects of a study, of one of its series, or a single one.

        Raises:
            UnknownStudy: there is none.
        """
        found = {
            each.sop_instance_uid: each for each in self._received(study_uid, sop_instance_uid)
        }
        if sop_instance_uid is None:
            found = {each.sop_instance_uid: each for each in self.made(study_uid)} | found
        elif not found:
            found = {each.sop_instance_uid: each for each in self._made_ever(study_uid)}
        wanted = [
            each
            for each in found.values()
            if series_uid in (None, each.series_uid)
            and sop_instance_uid in (None, each.sop_instance_uid)
        ]
        if not wanted:
            parts = (study_uid, series_uid, sop_instance_uid)
            raise UnknownStudy(f"{'/'.join(filter(None, parts))[:200]} is not held here")
        return sorted(wanted, key=lambda each: (each.series_uid, each.sop_instance_uid))

    def read_studies(self) -> set[str]:
        """Studies of which there may be objects that we made."""
        with self.store.engine.connect() as db:
            return set(db.execute(select(readings.c.study_uid).distinct()).scalars())

    def made(self, study_uid: str) -> list[Held]:
        """What stands of what we made of a study."""
        newest = select(func.max(readings.c.revision)).where(readings.c.study_uid == study_uid)
        with self.store.engine.connect() as db:
            revision = db.execute(newest).scalar()
        if revision is None:
            return []
        folder = self.results / study_uid / str(revision)
        for stage in (Stage.FINAL, Stage.PRELIMINARY):
            if (folder / stage / KINDS["SR"]).exists():
                return list(self._in(folder / stage))
        return []

    def page_of(self, held: Held) -> Path | None:
        """The page of the report that an SR of ours tells, also where it was sent back to us.

        None: it is no SR of ours.
        """
        for each in self._made_ever(held.study_uid):
            if each.sop_instance_uid == held.sop_instance_uid and each.path.name == KINDS["SR"]:
                page = each.path.with_name(KINDS["report.html"])
                return page if page.exists() else None
        return None

    def head(self, held: Held, keywords: frozenset[str]) -> Dataset:
        """Some attributes of an object, none of which holds pixels.

        Raises:
            Unreadable: its file can't be read.
        """
        try:
            key = (str(held.path), held.path.stat().st_mtime_ns, keywords)
        except OSError as error:
            raise Unreadable(str(error)) from error
        with self._lock:
            if key in self._heads:
                self._heads.move_to_end(key)
                return self._heads[key]
        head = read_clean(held.path, keywords)
        with self._lock:
            self._heads[key] = head
            while len(self._heads) > _HEADS_KEPT:
                self._heads.popitem(last=False)
        return head

    # inside ------------------------------------------------------------------------------

    def _received(self, study_uid: str, sop_instance_uid: str | None) -> Iterator[Held]:
        query = select(
            instances.c.series_uid,
            instances.c.sop_instance_uid,
            instances.c.sop_class_uid,
            instances.c.path,
        ).where(instances.c.study_uid == study_uid)
        if sop_instance_uid is not None:
            query = query.where(instances.c.sop_instance_uid == sop_instance_uid)
        with self.store.engine.connect() as db:
            rows = db.execute(query).all()
        return (Held(study_uid, row[0], row[1], row[2], Path(row[3])) for row in rows)

    def _made_ever(self, study_uid: str) -> Iterator[Held]:
        if os.sep in study_uid or study_uid.startswith("."):
            return
        for folder in sorted((self.results / study_uid).glob("*/*/")):
            if folder.name in list(Stage):
                yield from self._in(folder)

    def _in(self, folder: Path) -> Iterator[Held]:
        for path in sorted(folder.glob("*.dcm")):
            named = Held("", "", "", "", path)
            head = self.head(named, _IDENTITY)
            yield Held(
                str(head.StudyInstanceUID), str(head.SeriesInstanceUID),
                str(head.SOPInstanceUID), str(head.SOPClassUID), path,
            )  # fmt: skip


_IDENTITY = frozenset(("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"))
