"""Opening a destination: C-STORE or STOW-RS, with text that it can read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from pacs_bridge.delivery.wording import Fitted, Unfit, fit
from pacs_bridge.dicomweb.stow import WebStore
from pacs_bridge.dimse.outgoing import StoreOutcome
from pacs_bridge.dimse.peer import Peer
from pacs_bridge.dimse.tls import client_context
from pacs_bridge.errors import BridgeError, PeerRefused, SettingsError
from pacs_bridge.settings import DestinationSettings


class Sender(Protocol):
    """What a courier needs of a peer."""

    def store(self, objects: Sequence[Path]) -> list[StoreOutcome]:
        """As :meth:`pacs_bridge.dimse.peer.Peer.store`."""


class _Stores(Protocol):
    """What a sender hands objects on to."""

    def store(self, objects: Sequence[Path | Dataset]) -> list[StoreOutcome]:
        """As :meth:`pacs_bridge.dimse.peer.Peer.store`."""


def open_sender(destination: DestinationSettings, our_ae: str) -> Sender:
    """The sender for a destination, by what its settings name.

    Raises:
        PeerRefused: what its settings say of TLS can't be used.
    """
    store: _Stores
    if destination.dicomweb_url:
        try:
            store = WebStore(destination)
        except SettingsError as error:
            raise PeerRefused(f"{destination.name} can't be called over TLS: {error}") from error
    else:
        store = Peer(destination, our_ae, compression=destination.compression)
    return _Fitting(store, destination.character_sets)


def check_destinations(destinations: Sequence[DestinationSettings]) -> None:
    """See that what the settings name for TLS is there.

    Raises:
        SettingsError: a file can't be used; names destination, key, file and remedy.
    """
    for destination in destinations:
        try:
            if destination.tls is not None:
                client_context(destination.tls)
        except SettingsError as error:
            raise SettingsError(f"destination {destination.name!r}: {error}") from error


class _Fitting:
    """Puts the text of each object into what the destination reads, then hands it on."""

    def __init__(self, store: _Stores, character_sets: Sequence[str]) -> None:
        self._store = store
        self._character_sets = character_sets

    def store(self, objects: Sequence[Path]) -> list[StoreOutcome]:
        """See :meth:`Sender.store`."""
        return [self._store_one(path) for path in objects]

    def _store_one(self, path: Path) -> StoreOutcome:
        try:
            fitted: Fitted = fit(path, self._character_sets)
        except Unfit as error:
            return StoreOutcome("", None, error)
        except (OSError, InvalidDicomError) as error:
            return StoreOutcome("", None, BridgeError(f"{path} can't be read: {error}"))
        (outcome,) = self._store.store([fitted.source])
        notes = [note for note in (outcome.note, fitted.note) if note]
        return replace(outcome, note="; ".join(notes))
