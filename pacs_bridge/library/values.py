"""What the library is told and what it tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from imaging.language import Text
from models.spec import ModelSpec


@dataclass(frozen=True)
class Terms:
    """What somebody must agree to before a model comes here."""

    licence: str
    note: Text | None = None
    non_commercial: bool = False


@dataclass(frozen=True)
class Entry:
    """One line of the list: a model and how it stands. ``problem`` where its files are wrong."""

    name: str
    state: str
    spec: ModelSpec | None
    problem: str = ""


@dataclass(frozen=True)
class Added:
    """A model that came, and what a person must know or do next."""

    spec: ModelSpec
    notes: tuple[str, ...]


Agree = Callable[[Terms], bool]
Watch = Callable[[str, int, int | None], None]
"""Called with what is coming, the bytes that are here, and those there will be."""
