"""The worklist: which studies a filter shows, and how many each filter would."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pacs_bridge.review.present import person_name
from pacs_bridge.states import State
from pacs_bridge.store import Reading, Store

LIMIT = 500
"""So many of the newest studies are listed and searched."""

WORKING = (
    State.RECEIVING, State.PLANNING, State.ANALYSING, State.COMPOSING, State.DELIVERING,
    State.FINALISING,
)  # fmt: skip
FILTERS = (
    "urgent", "person", State.AWAITING_SIGNATURE, State.NOT_ANALYSED, State.FAILED, "flagged",
    "working", State.FINAL,
)  # fmt: skip
"""What can be chosen beside "all"."""


@dataclass(frozen=True)
class Worklist:
    """What one look at the list shows."""

    rows: tuple[Reading, ...]
    counts: dict[str, int]
    """Studies by filter, under the search; ``""`` is all."""
    held: int
    """Studies there are, whatever the filter."""
    cut: bool
    """There may be more than were looked at."""


def worklist(store: Store, state: str = "", search: str = "") -> Worklist:
    """The newest reading of each study that passes filter and search.

    Unsigned urgent ones come first, then the newest.

    Args:
        store: where the studies are.
        state: one of :data:`FILTERS`, any other state's value, or "" for all.
        search: words that must all occur in patient, ids or description.
    """
    # What was fetched to compare with is listed where it is asked for, and nowhere else.
    everything = store.worklist([State.PRIOR] if state == State.PRIOR else (), limit=LIMIT)
    found = [reading for reading in everything if _mentions(reading, search.casefold().split())]
    counts = {str(name): sum(_passes(r, name) for r in found) for name in FILTERS}
    counts[""] = len(found)
    rows = tuple(reading for reading in found if _passes(reading, state))
    return Worklist(rows, counts, len(everything), len(everything) >= LIMIT)


def _mentions(reading: Reading, words: Iterable[str]) -> bool:
    study = reading.study
    text = " ".join(
        (
            study.patient_name, person_name(study.patient_name), study.patient_id,
            study.accession_number, study.description, study.study_date, study.study_uid,
            study.source_ae,
        )
    ).casefold()  # fmt: skip
    return all(word in text for word in words)


def _passes(reading: Reading, state: str) -> bool:
    match state:
        case "":
            return True
        case "person":
            return reading.state.needs_person
        case "urgent":
            return reading.urgent and not reading.state.signed
        case "flagged":
            return reading.positive > 0
        case "working":
            return reading.state in WORKING
    return reading.state == state
