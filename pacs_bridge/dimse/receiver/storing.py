"""One C-STORE request: its data set goes to the inbox as it comes."""

from __future__ import annotations

import logging

from pacs_bridge.dimse.answers import SUCCESS, asked_by_us, comment, not_kept, wrong_context
from pacs_bridge.dimse.house import House
from pacs_bridge.dimse.receiver.commands import (
    AFFECTED_CLASS,
    AFFECTED_INSTANCE,
    MOVE_ORIGINATOR,
    Command,
)
from pacs_bridge.dimse.receiver.negotiation import Context
from pacs_bridge.inbox import Incoming

_log = logging.getLogger(__name__)


class Storing:
    """An object on its way. What can't be kept is still taken off the connection.

    Args:
        house: what the listener works with.
        command: the request.
        context: its presentation context.
        calling: the sender's AE title.
        who: the sender, for the log.
    """

    def __init__(
        self, house: House, command: Command, context: Context, calling: str, who: str
    ) -> None:
        self._house = house
        self._who = who
        self._fetched = asked_by_us(command.text(MOVE_ORIGINATOR), house.settings.ae_title)
        self._incoming: Incoming | None = None
        self._failure: Exception | None = None
        sop_class = command.text(AFFECTED_CLASS)
        try:
            if sop_class != context.abstract_syntax:
                raise wrong_context(sop_class, context.abstract_syntax)
            self._incoming = house.inbox.begin(
                sop_class_uid=sop_class,
                sop_instance_uid=command.text(AFFECTED_INSTANCE),
                transfer_syntax_uid=context.transfer_syntax,
                source_ae=calling,
            )
        except Exception as error:  # noqa: BLE001 - the boundary: told when all of it has come
            self._failure = error

    def add(self, piece: memoryview) -> None:
        """More of the data set; its memory is read until :meth:`flush`."""
        if self._incoming is not None:
            try:
                self._incoming.add(piece)
            except Exception as error:  # noqa: BLE001 - the boundary: as above
                self._give_up(error)

    def flush(self) -> None:
        """Be done with the pieces so far."""
        if self._incoming is not None:
            try:
                self._incoming.flush()
            except Exception as error:  # noqa: BLE001 - the boundary: as above
                self._give_up(error)

    def finish(self) -> tuple[int, str]:
        """All of it came: status and comment of the answer, when it is safe or refused."""
        try:
            if self._incoming is None:
                raise self._failure or RuntimeError("an object that was discarded is finished")
            instance = self._incoming.keep(self._fetched)
            self._house.on_stored(instance)
        except Exception as error:  # noqa: BLE001 - the boundary: one object must not end the rest
            status, words = not_kept(error, self._who)
            return status, comment(words)
        finally:
            self.discard()
        _log.debug("kept %s from %s", instance.path, self._who)
        return SUCCESS, ""

    def discard(self) -> None:
        """Leave nothing that isn't kept."""
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            incoming.discard()

    def _give_up(self, error: Exception) -> None:
        self._failure = error
        self.discard()
