"""What an archive told of, and what becomes of it; plain values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PullState(StrEnum):
    """Where a study that was found stands."""

    SETTLING = "settling"
    """The archive may still be getting images of it; looked at again."""
    WAITING = "waiting"
    """To be fetched, or tried again, at ``next_attempt_at``."""
    FETCHING = "fetching"
    """A process is at it."""
    FETCHED = "fetched"
    """All that was wanted is here."""
    GIVEN_UP = "given-up"
    """Every attempt failed; ``last_error`` says why."""


@dataclass(frozen=True)
class FoundStudy:
    """A study as the archive describes it; ``images`` is None where it doesn't count."""

    study_uid: str
    study_date: str = ""
    description: str = ""
    modalities: tuple[str, ...] = ()
    images: int | None = None

    @property
    def counted(self) -> int:
        """``images`` as the ledger keeps it: -1 where the archive doesn't count."""
        return -1 if self.images is None else self.images


@dataclass(frozen=True)
class FoundSeries:
    """A series of it."""

    series_uid: str
    modality: str = ""
    description: str = ""
    body_part: str = ""
    protocol: str = ""
    images: int | None = None

    def __str__(self) -> str:
        count = "?" if self.images is None else str(self.images)
        return f"{self.modality} {self.description or '(no description)'} ({count})".strip()


@dataclass(frozen=True)
class SeriesWish:
    """A series to be fetched.

    Attributes:
        series: which.
        missing: SOPInstanceUIDs that are not here; empty with ``images`` 0: none; None: the
            archive doesn't list them, and all of it is fetched.
        images: how many are missing.
        sop_classes: of those; empty: not known.
    """

    series: FoundSeries
    missing: tuple[str, ...] | None
    images: int
    sop_classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """A study that the archive told of, and what the rule makes of it.

    Attributes:
        study: which.
        wanted: series that the rule wants, those among them that are here whole too.
        left_out: series that it doesn't, with the reason.
        why_not: why the study is not fetched; empty: it is.
        settling: it is not fetched yet, since it may still grow.
    """

    study: FoundStudy
    wanted: tuple[SeriesWish, ...] = ()
    left_out: tuple[tuple[FoundSeries, str], ...] = ()
    why_not: str = ""
    settling: bool = False

    @property
    def images(self) -> int:
        """Images of the series that the rule wants."""
        return sum(each.series.images or each.images for each in self.wanted)

    @property
    def missing(self) -> int:
        """Images to fetch."""
        return sum(each.images for each in self.wanted)

    @property
    def here(self) -> int:
        """Images of those that the rule wants that are here."""
        return max(0, self.images - self.missing)


@dataclass(frozen=True)
class Pull:
    """A study in the ledger; see :data:`pacs_bridge.tables.pulls`."""

    study_uid: str
    rule: str
    archive: str
    study_date: str
    description: str
    state: PullState
    in_archive: int
    wanted: int
    came: int
    series: tuple[str, ...]
    left_out: tuple[str, ...]
    attempts: int
    last_error: str
    found_at: float
    next_attempt_at: float
    fetched_at: float | None = None


@dataclass(frozen=True)
class RuleRun:
    """When a rule last looked at its archive, and what came of it."""

    rule: str
    asked_at: float | None = None
    asked_by: str = ""
    begun_at: float | None = None
    ended_at: float | None = None
    found: int = 0
    taken: int = 0
    problem: str = ""
