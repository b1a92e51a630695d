"""What the library is told and what it tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from imaging.language import Text
from models.sections import Origin
from models.spec import ModelSpec

FREE_LICENCES = {"", "Apache-2.0", "MIT"}
"""Those that nobody need agree to before use."""


@dataclass(frozen=True)
class Terms:
    """What somebody must agree to before a model comes here."""

    licence: str
    note: Text | None = None
    non_commercial: bool = False

    @classmethod
    def of(cls, origin: Origin | None, said: str = "") -> Terms:
        """What a description says of the licence; what the model says, where that alone binds.

        Args:
            origin: of the description, if it names one.
            said: the licence that came with the files; empty: none did.
        """
        if origin is None:
            return cls(said)
        described = cls(origin.licence, origin.licence_note, origin.non_commercial)
        return cls(said) if described.free and not cls(said).free else described

    @property
    def free(self) -> bool:
        """Whether nobody need agree before use."""
        return self.licence in FREE_LICENCES and not self.non_commercial


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
