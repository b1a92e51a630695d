"""Where each destination stands, for the page and the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, Field

from pacs_bridge.delivery.circuit import CircuitState, CircuitStatus
from pacs_bridge.delivery.ledger import DeliveryLedger, Tally
from pacs_bridge.dicomweb.address import split_login
from pacs_bridge.settings import DestinationSettings
from pacs_bridge.states import DeliveryState


class DestinationState(BaseModel):
    """One destination; times are UTC, seconds since the epoch."""

    name: str
    protocol: Literal["C-STORE", "STOW-RS"]
    address: str = Field(description="without user and password")
    tls: bool
    accepts: list[str]
    studies: str
    rules: dict[str, list[str]] = Field(description="by the key of the settings; empty: none")
    character_sets: list[str] = Field(description="what it can read; empty: anything")
    commitment: bool = Field(description="delivered means that it has committed itself")
    circuit: CircuitState = Field(
        description="closed: it is sent what is due; open: nobody was found there, nothing is "
        "sent; half-open: one object is tried"
    )
    failures: int = Field(description="tries in a row that found nobody")
    down_since: float | None
    next_try_at: float | None
    last_error: str = Field(description="of the last try that found nobody")
    waiting: int
    sent: int = Field(description="taken, not yet committed to")
    delivered: int
    given_up: int
    set_aside: int = Field(description="given up on, and a person said that it need not get there")
    delivered_at: float | None = Field(description="the last one")


@dataclass(frozen=True)
class Trouble:
    """What somebody should look at, for every page's head."""

    given_up: int
    """Objects that could not be delivered, and were not set aside."""
    down: tuple[str, ...]
    """Destinations where nobody is found."""

    def __bool__(self) -> bool:
        return bool(self.given_up or self.down)


def trouble(destinations: Sequence[DestinationSettings], ledger: DeliveryLedger) -> Trouble:
    """What can't be delivered now, or never was."""
    failures = ledger.failures()
    return Trouble(
        ledger.given_up_count(),
        tuple(
            each.name
            for each in destinations
            if failures.get(each.name, 0) >= each.circuit_failures
        ),
    )


_RULES = ("from_ae_titles", "institutions", "modalities", "body_parts")


def standing(
    destinations: Sequence[DestinationSettings],
    circuits: Mapping[str, CircuitStatus],
    ledger: DeliveryLedger,
) -> tuple[DestinationState, ...]:
    """Every destination of the settings, in their order."""
    tallies = ledger.tallies()
    return tuple(
        _state(each, circuits[each.name], tallies.get(each.name, Tally())) for each in destinations
    )


def _state(
    destination: DestinationSettings, circuit: CircuitStatus, tally: Tally
) -> DestinationState:
    web = destination.dicomweb_url
    return DestinationState(
        name=destination.name,
        protocol="STOW-RS" if web else "C-STORE",
        address=address_of(destination),
        tls=web.startswith("https://") or (destination.tls is not None and not web),
        accepts=list(destination.accepts),
        studies=destination.studies,
        rules={key: list(getattr(destination, key)) for key in _RULES if getattr(destination, key)},
        character_sets=list(destination.character_sets),
        commitment=destination.commitment,
        circuit=circuit.state,
        failures=circuit.failures,
        down_since=circuit.since,
        next_try_at=circuit.next_try_at,
        last_error=circuit.last_error,
        waiting=tally.counts.get(DeliveryState.WAITING, 0),
        sent=tally.counts.get(DeliveryState.SENT, 0),
        delivered=tally.counts.get(DeliveryState.DELIVERED, 0),
        given_up=tally.counts.get(DeliveryState.GIVEN_UP, 0),
        set_aside=tally.counts.get(DeliveryState.SET_ASIDE, 0),
        delivered_at=tally.delivered_at,
    )


def address_of(destination: DestinationSettings) -> str:
    """Where it is, without user and password."""
    if not destination.dicomweb_url:
        return f"{destination.ae_title} {destination.host}:{destination.port}"
    return split_login(destination.dicomweb_url)[0]
