"""N-EVENT-REPORTs that we send over an association a peer opened (PS3.7 10.1.1)."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from pydicom.uid import UID

from pacs_bridge.dimse.normalised import EVENT_ANSWER_S, GOODBYE_S
from pacs_bridge.dimse.receiver import commands
from pacs_bridge.dimse.receiver.commands import Command
from pacs_bridge.dimse.receiver.data_sets import encoded_data_set
from pacs_bridge.dimse.receiver.violation import Gone
from pacs_bridge.dimse.receiver.wire import Wire
from pacs_bridge.dimse.services import Event

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Due:
    event: Event
    context_id: int
    syntax: UID
    at: float


class Events:
    """What is to be said of our own accord; sent by the association's thread while it waits.

    Only that thread writes to the connection, so that TLS has one user. While something is
    pending the thread wakes up now and then; otherwise it sleeps.

    Args:
        wire: the connection.
        send: sends a command with its data set in a presentation context.
        who: the peer, for the log.
    """

    def __init__(self, wire: Wire, send: Callable[[int, bytes, bytes], None], who: str) -> None:
        self._wire = wire
        self._send = send
        self._who = who
        self._made: queue.SimpleQueue[_Due | None] = queue.SimpleQueue()
        self._being_made = 0
        self._due: list[_Due] = []
        self._unanswered: dict[int, tuple[Event, float]] = {}
        self._number = 0
        self._closed = threading.Event()
        self._closing = threading.Lock()

    def follow(self, then: Callable[[], Event], context_id: int, syntax: UID) -> None:
        """Make an event, on a thread of its own, and report it if the peer is still there."""
        self._being_made += 1
        self._wire.while_waiting = self._turn
        at = time.monotonic() + GOODBYE_S
        threading.Thread(
            target=self._make, args=(then, context_id, syntax, at), name="dicom-event", daemon=True
        ).start()

    def answered(self, response: Command) -> None:
        """The peer answered one."""
        number = response.number(commands.ANSWERED_ID)
        event, _ = self._unanswered.pop(number if number is not None else -1, (None, 0.0))
        if event is not None:
            _tell(event, response.number(commands.STATUS))

    def close(self) -> None:
        """The association is over: what was not answered never will be."""
        with self._closing:
            self._closed.set()
        for event, _ in self._unanswered.values():
            _tell(event, None)
        left = list(self._due)
        while not self._made.empty():
            due = self._made.get()
            if due is not None:
                left.append(due)
        for due in left:
            _tell(due.event, None)
        self._unanswered, self._due = {}, []

    def _make(self, then: Callable[[], Event], context_id: int, syntax: UID, at: float) -> None:
        try:
            event = then()
        except Exception:  # noqa: BLE001 - the boundary of this thread
            _log.exception("what follows a response to %s failed", self._who)
            self._made.put(None)
            return
        with self._closing:
            if not self._closed.is_set():
                self._made.put(_Due(event, context_id, syntax, at))
                return
        _tell(event, None)

    def _turn(self) -> None:
        """Called while the peer is silent."""
        while not self._made.empty():
            self._being_made -= 1
            due = self._made.get()
            if due is not None:
                self._due.append(due)
        now = time.monotonic()
        for due in [each for each in self._due if each.at <= now]:
            self._due.remove(due)
            self._report(due, now)
        for number, (event, until) in list(self._unanswered.items()):
            if now > until:
                del self._unanswered[number]
                _tell(event, None)
        if not (self._being_made or self._due or self._unanswered):
            self._wire.while_waiting = None

    def _report(self, due: _Due, now: float) -> None:
        event, syntax = due.event, due.syntax
        self._number = self._number % 0xFFFF + 1
        try:
            content = encoded_data_set(event.dataset, syntax)
            command = commands.encoded(
                (commands.AFFECTED_CLASS, event.sop_class_uid),
                (commands.COMMAND_FIELD, commands.N_EVENT_REPORT),
                (commands.MESSAGE_ID, self._number),
                (
                    commands.DATA_SET_TYPE,
                    commands.A_DATA_SET if content else commands.NO_DATA_SET,
                ),
                (commands.AFFECTED_INSTANCE, event.sop_instance_uid),
                (commands.EVENT_TYPE, event.number),
            )
            self._send(due.context_id, command, content)
        except (Gone, ValueError) as error:
            _log.info("an event could not be sent to %s: %s", self._who, error)
            _tell(event, None)
            return
        self._unanswered[self._number] = (event, now + EVENT_ANSWER_S)


def _tell(event: Event, status: int | None) -> None:
    try:
        event.done(status)
    except Exception:  # noqa: BLE001 - the boundary: whoever asked must not end the association
        _log.exception("what waits for the end of an event failed")
