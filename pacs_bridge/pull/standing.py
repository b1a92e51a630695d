"""What a study's reading has to know of its fetching: whether it goes on, and what was left out."""

from __future__ import annotations

from dataclasses import dataclass

from pacs_bridge.pull.ledger import PullLedger
from pacs_bridge.pull.values import PullState
from pacs_bridge.store import Store


@dataclass(frozen=True)
class Standing:
    """How a study stands that a rule fetches.

    Attributes:
        archive: where it comes from.
        under_way: more of it is still to come.
        came: images of those wanted that are here.
        wanted: images of the series that the rule wants.
        left_out: SeriesInstanceUIDs that the rule leaves in the archive: they don't count.
    """

    archive: str
    under_way: bool
    came: int
    wanted: int
    left_out: frozenset[str]


def standing_of(store: Store, study_uid: str) -> Standing | None:
    """How a study stands; None: no rule fetches it."""
    pull = PullLedger(store).of(study_uid)
    if pull is None or pull.state is PullState.SETTLING:
        return None
    return Standing(
        pull.archive,
        pull.state in (PullState.WAITING, PullState.FETCHING),
        pull.came,
        pull.wanted,
        frozenset(pull.left_out),
    )
