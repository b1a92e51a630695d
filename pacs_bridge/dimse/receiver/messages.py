"""What a listener process and its server say to each other, over a socket pair; pickled."""

from __future__ import annotations

from dataclasses import dataclass

from pacs_bridge.dimse.accepted import Refusal
from pacs_bridge.dimse.services import Answered, Asked, Event, Kind
from pacs_bridge.settings import ListenerSettings
from pacs_bridge.store import Instance


@dataclass(frozen=True)
class Offered:
    """A service as a process knows it: what answers stays with the server."""

    sop_class_uid: str
    kinds: frozenset[Kind]
    peer_is_scp: bool


@dataclass(frozen=True)
class Setup:
    """First to a process: what it works with."""

    settings: ListenerSettings
    inbox_folder: str
    minimum_free_gb: float
    sync: bool
    database_url: str
    services: tuple[Offered, ...]
    plain: int | None
    """File descriptor of the listening socket; inherited."""
    tls: int | None
    log_level: int


@dataclass(frozen=True)
class Stop:
    """Last to a process."""

    grace_s: float


@dataclass(frozen=True)
class Begun:
    """First of a process. Answer: None."""

    pid: int


@dataclass(frozen=True)
class Enter:
    """May there be one more association from that address? Answer: Refusal or None."""

    address: str
    calling: str


@dataclass(frozen=True)
class Leave:
    """One less. Answer: None."""

    address: str
    calling: str


@dataclass(frozen=True)
class Stored:
    """An object is kept. Answer: None."""

    instance: Instance


@dataclass(frozen=True)
class Serve:
    """A request of DIMSE-N for the service of that number. Answer: Served."""

    service: int
    asked: Asked


@dataclass(frozen=True)
class Served:
    """Its answer; ``then`` is the number to ask for what follows it, if anything does."""

    answered: Answered
    then: int | None


@dataclass(frozen=True)
class Follow:
    """What follows? Answer: Event, without what it calls at its end."""

    then: int


@dataclass(frozen=True)
class Told:
    """How the event went. Answer: None."""

    then: int
    status: int | None


@dataclass(frozen=True)
class Failed:
    """Instead of an answer: what was raised, in words."""

    why: str


Ask = Begun | Enter | Leave | Stored | Serve | Follow | Told
Answer = Refusal | Served | Event | Failed | None
