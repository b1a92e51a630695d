"""What the listener takes: storage classes, transfer syntaxes, and who may send."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from pynetdicom import register_uid
from pynetdicom._globals import ALL_TRANSFER_SYNTAXES, APPLICATION_CONTEXT_NAME
from pynetdicom.presentation import (
    AllStoragePresentationContexts,
    PresentationContext,
    build_context,
)
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from pacs_bridge.dimse.normalised import Normalised
from pacs_bridge.settings import ListenerSettings

# Retired classes that old archives still send, beside all current ones (PS3.6 annex A).
_RETIRED = {
    "RetiredUltrasoundMultiFrameImageStorage": "1.2.840.10008.5.1.4.1.1.3",
    "RetiredNuclearMedicineImageStorage": "1.2.840.10008.5.1.4.1.1.5",
    "RetiredUltrasoundImageStorage": "1.2.840.10008.5.1.4.1.1.6",
    "RetiredXRayAngiographicBiPlaneImageStorage": "1.2.840.10008.5.1.4.1.1.12.3",
}
for _keyword, _uid in _RETIRED.items():
    register_uid(_uid, _keyword, StorageServiceClass)  # else pynetdicom has no one to serve them
STORAGE_CLASSES = frozenset(
    [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    + list(_RETIRED.values())
)
"""Abstract syntaxes taken for C-STORE."""
TRANSFER_SYNTAXES = frozenset(ALL_TRANSFER_SYNTAXES)
"""Transfer syntaxes taken, each kept as sent."""
STORAGE_LEVEL = bytes((2, 0, 3, 0, 0, 0))
"""What we say of our storage (PS3.4 table B.3-1): level 2, all elements kept; digital signatures
level 3, every bit as sent; no element coerced."""
OPERATIONS_AT_ONCE = 16
"""How many objects a sender may have under way unanswered, if it asks (PS3.7 D.3.3.3)."""


def supported(
    proposed: Iterable[PresentationContext], normalised: Normalised
) -> list[PresentationContext]:
    """What to support of what a sender proposes, in the order that it prefers.

    pynetdicom takes the first syntax of *ours* that the sender proposes; the first of the
    sender's own is how it holds the object, and taking that spares it a conversion.
    """
    wanted: dict[str, list[str]] = {}
    messages: dict[str, list[str]] = {}
    for context in proposed:
        name = str(context.abstract_syntax)
        messages.setdefault(name, []).extend(str(each) for each in context.transfer_syntax)
        if name not in STORAGE_CLASSES and name != Verification:
            continue
        known = wanted.setdefault(name, [])
        known += [
            str(syntax)
            for syntax in context.transfer_syntax
            if syntax in TRANSFER_SYNTAXES and syntax not in known
        ]
    storage = [build_context(name, syntaxes) for name, syntaxes in wanted.items() if syntaxes]
    services = [normalised.context(name, syntaxes) for name, syntaxes in messages.items()]
    return storage + [each for each in services if each is not None]


@dataclass(frozen=True)
class Refusal:
    """Why an association is rejected, in DICOM's numbers (PS3.8 9.3.4) and in words."""

    result: int
    source: int
    diagnostic: int
    why: str


WRONG_PROTOCOL = Refusal(1, 2, 2, "it speaks another version of the protocol")
_WRONG_APPLICATION = Refusal(1, 1, 2, "it names another application context than DICOM's")
_WRONG_CALLED = Refusal(1, 1, 7, "that is not our AE title (listener.ae_title)")
_WRONG_CALLING = Refusal(
    1, 1, 3, "we take associations only from the titles in listener.calling_ae_titles"
)
_WRONG_ADDRESS = Refusal(
    1, 1, 3, "that title, or anybody, at that address isn't in listener.calling_addresses"
)
TOO_MANY = Refusal(2, 3, 2, "listener.maximum_associations are open already")
TOO_MANY_EACH = Refusal(2, 3, 2, "listener.maximum_each are open from that address already")
REFUSALS = (
    WRONG_PROTOCOL, _WRONG_APPLICATION, _WRONG_CALLED, _WRONG_CALLING, _WRONG_ADDRESS, TOO_MANY,
    TOO_MANY_EACH,
)  # fmt: skip
"""Every reason why an association is rejected."""


def application_refusal(context_name: str | None) -> Refusal | None:
    """Why no association of that application context is wanted; None: it is DICOM's."""
    return None if context_name == APPLICATION_CONTEXT_NAME else _WRONG_APPLICATION


class Door:
    """Who may enter, and how many at once; used by every thread of a listener.

    Args:
        settings: the rules and limits.
        on_left: called with a calling AE title when its last association is over.
    """

    def __init__(
        self, settings: ListenerSettings, on_left: Callable[[str], None] = lambda title: None
    ) -> None:
        self._settings = settings
        self._on_left = on_left
        self._titles = frozenset(title.strip() for title in settings.calling_ae_titles)
        self._rules = [_rule(each) for each in settings.calling_addresses]
        self._inside: Counter[str] = Counter()
        self._titled: Counter[str] = Counter()
        self._lock = threading.Lock()

    def refusal(self, called: str, calling: str, address: str) -> Refusal | None:
        """Why an association is not wanted; None: it is."""
        settings = self._settings
        if settings.require_called_ae and called.strip() != settings.ae_title.strip():
            return _WRONG_CALLED
        if self._titles and calling.strip() not in self._titles:
            return _WRONG_CALLING
        if self._rules and not _allowed(self._rules, calling.strip(), address):
            return _WRONG_ADDRESS
        return None

    def enter(self, address: str, calling: str) -> Refusal | None:
        """One association more, until :meth:`leave`; or why not."""
        settings = self._settings
        with self._lock:
            if self._inside.total() >= settings.maximum_associations:
                return TOO_MANY
            if 0 < settings.maximum_each <= self._inside[address]:
                return TOO_MANY_EACH
            self._inside[address] += 1
            self._titled[calling.strip()] += 1
            return None

    def leave(self, address: str, calling: str) -> None:
        """That association is over."""
        title = calling.strip()
        with self._lock:
            self._inside[address] -= 1
            if self._inside[address] <= 0:
                del self._inside[address]
            self._titled[title] -= 1
            last = self._titled[title] <= 0
            if last:
                del self._titled[title]
        if last:
            self._on_left(title)


_Rule = tuple[str, IPv4Network | IPv6Network]


def _rule(text: str) -> _Rule:
    title, _, network = text.rpartition("@")
    return title.strip(), ip_network(network, strict=False)


def _allowed(rules: Sequence[_Rule], calling: str, address: str) -> bool:
    """A title that has rules of its own is taken from there only, others by the general ones."""
    its_own = [network for title, network in rules if title and title == calling]
    general = [network for title, network in rules if not title]
    networks = its_own or general
    if not networks:  # only other titles have rules
        return True
    try:
        where = ip_address(address.removeprefix("::ffff:").partition("%")[0])
    except ValueError:
        return False
    return any(where in network for network in networks)
