"""What a reader changes of a report: verdicts, words, clinical facts, categories, signature.

Each change is one transaction that reads the report, changes it and writes it back with a line
of the audit trail; a report that somebody else changed in between is left as they made it.
Guidelines go by what the reader says: they are applied again with every verdict and fact.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Connection, Engine, select, update

from imaging.guidelines import (
    Clinical,
    Override,
    guided,
    with_clinical,
    with_override,
    with_pancreas_reading,
    without_override,
)
from imaging.guidelines.pancreas_values import PancreasReading
from imaging.report import FindingReview, Report, Signature
from pacs_bridge.audit import write_event
from pacs_bridge.database import writing
from pacs_bridge.errors import UnknownStudy, WrongState
from pacs_bridge.headlines import keep_headline
from pacs_bridge.states import State
from pacs_bridge.tables import readings
from pacs_bridge.urgencies import keep_urgency, tell_of_change


class ReaderEdits:
    """The store's methods for them; ``engine`` is the store's.

    All raise:
        UnknownStudy: no such reading, or no report on it.
        WrongState: the reading does not await a signature, or somebody else changed it at the
            same moment.
    """

    engine: Engine

    def save_review(self, study_uid: str, revision: int, review: FindingReview, who: str) -> Report:
        """Keep a reader's verdict on one finding; returns the changed report, guided anew.

        Raises:
            UnknownStudy: no such reading or finding.
        """

        def change(report: Report) -> Report:
            try:
                reviewed = report.with_review(review)
            except KeyError:
                raise UnknownStudy(
                    f"study {study_uid} has no finding {review.tracking_uid}"
                ) from None
            same = reviewed.standing_findings == report.standing_findings
            return reviewed if same else guided(reviewed)

        detail = f"finding {review.tracking_uid}: {review.verdict}, text {review.text!r}"
        return self._edit(study_uid, revision, change, who, "finding-reviewed", detail)

    def save_impression(self, study_uid: str, revision: int, text: str, who: str) -> Report:
        """Keep the reader's impression."""

        def change(report: Report) -> Report:
            return report.model_copy(update={"impression": text})

        return self._edit(study_uid, revision, change, who, "impression-edited", text)

    def save_clinical(self, study_uid: str, revision: int, facts: Clinical, who: str) -> Report:
        """Keep what the reader knows of the patient; returns the report, guided anew."""
        before = self._report(study_uid, revision).clinical
        moved = [
            f"{name}: {getattr(before, name)} -> {getattr(facts, name)}"
            for name in Clinical.model_fields
            if getattr(before, name) != getattr(facts, name)
        ]
        return self._edit(
            study_uid, revision, lambda report: with_clinical(report, facts), who,
            "clinical-edited", "; ".join(moved),
        )  # fmt: skip

    def save_pancreas(
        self, study_uid: str, revision: int, said: PancreasReading, who: str
    ) -> Report:
        """Keep what the reader says of a pancreatic lesion; returns the report, guided anew."""
        detail = said.model_dump_json(exclude_defaults=True)
        return self._edit(
            study_uid, revision, lambda report: with_pancreas_reading(report, said), who,
            "pancreas-edited", detail,
        )  # fmt: skip

    def save_override(self, study_uid: str, revision: int, override: Override, who: str) -> Report:
        """Keep the reader's own category beside the computed one, in place of an earlier one."""
        computed = _computed(self._report(study_uid, revision), override.guideline)
        detail = f"{override.guideline}: {override.category}, computed {computed}"
        return self._edit(
            study_uid, revision, lambda report: with_override(report, override), who,
            "override-set", f"{detail}; {override.reason}" if override.reason else detail,
        )  # fmt: skip

    def drop_override(self, study_uid: str, revision: int, guideline: str, who: str) -> Report:
        """Go back to the computed category."""
        computed = _computed(self._report(study_uid, revision), guideline)
        return self._edit(
            study_uid, revision, lambda report: without_override(report, guideline), who,
            "override-removed", f"{guideline}: back to the computed {computed}",
        )  # fmt: skip

    def sign(self, study_uid: str, revision: int, signature: Signature, who: str) -> Report:
        """Put the signature under the report and move the reading to FINALISING.

        The report kept becomes the final one (stage FINAL).
        """
        detail = f"{signature.name}, {signature.organization}"
        return self._edit(
            study_uid, revision, lambda report: report.signed(signature), who, "report-signed",
            detail, State.FINALISING,
        )  # fmt: skip

    def _report(self, study_uid: str, revision: int) -> Report:
        where = (readings.c.study_uid == study_uid) & (readings.c.revision == revision)
        with self.engine.connect() as db:
            kept = db.execute(select(readings.c.report).where(where)).scalar()
        if not kept:
            raise UnknownStudy(f"no report on study {study_uid}, revision {revision}")
        return Report.model_validate_json(kept)

    def _writing(self) -> AbstractContextManager[Connection]:
        return writing(self.engine)

    def _edit(
        self, study_uid: str, revision: int, change: Callable[[Report], Report], who: str,
        what: str, detail: str, state: State | None = None,
    ) -> Report:  # fmt: skip
        where = (readings.c.study_uid == study_uid) & (readings.c.revision == revision)
        with self._writing() as db:
            query = select(readings.c.state, readings.c.report).where(where).with_for_update()
            row = db.execute(query).mappings().first()
            if row is None or not row["report"]:
                raise UnknownStudy(f"no report on study {study_uid}, revision {revision}")
            if row["state"] != State.AWAITING_SIGNATURE:
                raise WrongState(
                    f"study {study_uid} is {row['state']}; only a study that is "
                    f"{State.AWAITING_SIGNATURE} can be reviewed"
                )
            before = Report.model_validate_json(row["report"])
            report = change(before)
            values: dict[str, Any] = {
                "report": report.model_dump_json(),
                "positive": len(report.standing_findings),
                "changed_at": time.time(),
            }
            if state is not None:
                values["state"] = state
            done = db.execute(
                update(readings)
                .where(where, readings.c.report == row["report"], readings.c.state == row["state"])
                .values(values)
            )
            if done.rowcount != 1:
                raise WrongState(f"study {study_uid} was changed by somebody else; load it again")
            keep_headline(db, study_uid, revision, report)
            keep_urgency(db, study_uid, revision, report)
            write_event(db, who, what, study_uid, detail)
            tell_of_change(db, who, study_uid, before, report)
            return report


def _computed(report: Report, guideline: str) -> str:
    found = (g.category for g in report.guidance if g.guideline == guideline)
    return next(found, None) or "none"
