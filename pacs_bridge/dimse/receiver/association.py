"""The life of one association, from its first byte to its last (PS3.8 9)."""

from __future__ import annotations

import logging
import socket
import ssl
import struct
from collections.abc import Callable, Mapping

from pydicom.uid import UID

from pacs_bridge.dimse.accepted import Refusal
from pacs_bridge.dimse.answers import PROCESSING_FAILURE, comment
from pacs_bridge.dimse.house import House
from pacs_bridge.dimse.receiver import commands
from pacs_bridge.dimse.receiver.commands import Command
from pacs_bridge.dimse.receiver.data_sets import decoded_data_set, encoded_data_set
from pacs_bridge.dimse.receiver.events import Events
from pacs_bridge.dimse.receiver.negotiation import (
    Context,
    agree,
    read_request,
    rejection,
)
from pacs_bridge.dimse.receiver.storing import Storing
from pacs_bridge.dimse.receiver.violation import (
    INVALID_VALUE,
    UNEXPECTED_PARAMETER,
    UNEXPECTED_PDU,
    UNRECOGNISED_PDU,
    Gone,
    Silent,
    Violation,
)
from pacs_bridge.dimse.receiver.wire import Wire
from pacs_bridge.dimse.services import Asked, Kind

_log = logging.getLogger(__name__)

_ASSOCIATE_RQ, _P_DATA, _RELEASE_RQ, _RELEASE_RP, _ABORT = 0x01, 0x04, 0x05, 0x06, 0x07
_ALL_PDUS = range(0x01, 0x08)
_LONGEST_REQUEST = 1 << 20
"""Bytes of an A-ASSOCIATE-RQ: 128 presentation contexts with every syntax fit ten times."""
_LONGEST_COMMAND = 64 << 10
_LONGEST_MESSAGE = 64 << 20
"""Bytes of a data set that is kept in memory; a large commitment request is some megabytes."""
_SMALLEST_PIECE = 128
_GOODBYE_S = 2.0
"""How long the peer has to close the connection after our last word."""
_HEADER = struct.Struct(">BxI")
_ITEM = struct.Struct(">IBB")
_COMMAND, _LAST = 0x01, 0x02
_UNRECOGNISED_OPERATION = 0x0211
_NORMALISED: dict[int, tuple[Kind, int, int, int | None]] = {
    commands.N_ACTION: (
        "N-ACTION", commands.REQUESTED_CLASS, commands.REQUESTED_INSTANCE, commands.ACTION_TYPE,
    ),
    commands.N_CREATE: ("N-CREATE", commands.AFFECTED_CLASS, commands.AFFECTED_INSTANCE, None),
    commands.N_EVENT_REPORT: (
        "N-EVENT-REPORT", commands.AFFECTED_CLASS, commands.AFFECTED_INSTANCE, commands.EVENT_TYPE,
    ),
}  # fmt: skip


class Association:
    """One connection; :meth:`run` returns at its end.

    Args:
        house: what the listener works with.
        connection: just accepted, blocking.
        peer: its address and port.
        context: for TLS; None: without.
    """

    def __init__(
        self,
        house: House,
        connection: socket.socket,
        peer: tuple[str, int],
        context: ssl.SSLContext | None,
    ) -> None:
        self._house = house
        self._connection = connection
        self._address, self._port = peer
        self._tls = context
        self._calling = ""
        self._contexts: Mapping[int, Context] = {}
        self._longest_pdu = 0
        self._established = False
        self._entered = False
        self._wire: Wire
        self._events: Events
        # the message that is coming
        self._command = bytearray()
        self._context_id, self._context = 0, Context("", "")
        self._request: Command | None = None
        self._storing: Storing | None = None
        self._data_set = bytearray()

    def __str__(self) -> str:
        return f"{self._calling!r} at {self._address}:{self._port}"

    def run(self) -> None:
        """Serve the peer until it goes, is silent for too long, or breaks the protocol."""
        try:
            self._secure()
            self._wire = Wire(self._connection, self._house.settings.idle_timeout_s)
            self._wire.before_overwrite = self._flush
            self._events = Events(self._wire, self._send, str(self))
            self._converse()
            self._linger()
        except Violation as error:
            _log.warning("ended the association with %s: %s", self, error)
            self._abort(2, error.reason)
        except Silent:
            _log.info("ended the association with %s: it was silent for too long", self)
            self._abort(0, 0)
        except Gone as error:
            _log.info("association with %s was aborted: %s", self, error)
        except Exception:  # noqa: BLE001 - the boundary of this thread: its peer is told
            _log.exception("the association with %s failed", self)
            self._abort(2, 0)
        finally:
            self._end()

    def stop(self) -> None:
        """End it from another thread, which wakes it where it waits."""
        try:
            if self._tls is None and self._established:
                self._connection.sendall(_abort_pdu(0, 0))
            # below TLS, whose state is the association's thread's alone
            socket.socket.shutdown(self._connection, socket.SHUT_RDWR)
        except OSError:
            _log.debug("the connection with %s had ended already", self)

    # its stages --------------------------------------------------------------------------

    def _secure(self) -> None:
        if self._tls is None:
            return
        seconds = self._house.settings.request_timeout_s
        plain = self._connection
        plain.settimeout(seconds)
        try:
            self._connection = self._tls.wrap_socket(plain, server_side=True)
        except OSError as error:
            _log.warning("no TLS with %s:%d: %s", self._address, self._port, error)
            raise Gone(str(error)) from error
        self._connection.settimeout(None)

    def _converse(self) -> None:
        if not self._negotiate():
            return
        while True:
            kind, length = self._header()
            if kind == _P_DATA:
                self._data(length)
            elif kind == _RELEASE_RQ:
                self._wire.exactly(min(length, 4))
                self._wire.send(_HEADER.pack(_RELEASE_RP, 4) + bytes(4))
                return
            elif kind == _ABORT:
                raise Gone("the peer aborted it")
            elif kind in _ALL_PDUS:
                raise Violation(f"a PDU of type {kind} out of place", UNEXPECTED_PDU)
            else:
                raise Violation(f"no PDU: type {kind}", UNRECOGNISED_PDU)

    def _header(self) -> tuple[int, ...]:
        return _HEADER.unpack(self._wire.exactly(_HEADER.size))

    def _negotiate(self) -> bool:
        house = self._house
        self._wire.hurry(house.settings.request_timeout_s)
        kind, length = self._header()
        if kind != _ASSOCIATE_RQ:
            reason = UNEXPECTED_PDU if kind in _ALL_PDUS else UNRECOGNISED_PDU
            raise Violation(f"type {kind} where an association request should be", reason)
        if length > _LONGEST_REQUEST:
            raise Violation(f"an association request of {length} bytes", INVALID_VALUE)
        request = read_request(_HEADER.pack(kind, length) + self._wire.exactly(length))
        self._calling = request.calling
        refusal = (
            request.malformed
            or house.door.refusal(request.called, request.calling, self._address)
            or self._enter()
        )
        if refusal is not None:
            _log.warning(
                "refused association from %s calling %r: %s", self, request.called, refusal.why
            )
            self._wire.send(rejection(refusal))
            return False
        agreement = agree(request, house.normalised)
        if agreement.refused:
            _log.warning(
                "refused presentation contexts from %s: %s (not a storage class, or no known "
                "transfer syntax)",
                self,
                ", ".join(agreement.refused)[:400],
            )
        self._wire.hurry(None)
        self._contexts, self._longest_pdu = agreement.contexts, agreement.longest_pdu
        self._wire.send(agreement.answer)
        self._established = True
        return True

    def _enter(self) -> Refusal | None:
        refusal = self._house.door.enter(self._address, self._calling)
        self._entered = refusal is None
        return refusal

    def _end(self) -> None:
        self._drop()
        if hasattr(self, "_events"):
            self._events.close()
        self._leave()
        self._connection.close()

    def _drop(self) -> None:
        storing, self._storing = self._storing, None
        if storing is not None:
            storing.discard()

    def _leave(self) -> None:
        if self._entered:
            self._entered = False
            self._house.door.leave(self._address, self._calling)

    def _abort(self, source: int, reason: int) -> None:
        if not hasattr(self, "_wire"):
            return
        try:
            self._wire.send(_abort_pdu(source, reason))
        except Gone:
            _log.debug("%s can't be told of the abort", self)
        else:
            self._linger()

    def _linger(self) -> None:
        """Our last word is said; the peer closes the connection (PS3.8 9.2, state 13)."""
        self._leave()
        self._drop()
        self._wire.hurry(_GOODBYE_S)
        try:
            while True:
                self._wire.some(1 << 20)
        except (Gone, Silent):
            _log.debug("the connection with %s is closed", self)

    # messages ----------------------------------------------------------------------------

    def _data(self, left: int) -> None:
        """A P-DATA-TF of so many bytes: fragments of commands and data sets (PS3.8 9.3.5)."""
        wire = self._wire
        while left:
            if left < _ITEM.size:
                raise Violation("a fragment that is cut off", INVALID_VALUE)
            length, context_id, control = _ITEM.unpack(wire.exactly(_ITEM.size))
            if length < 2 or length + 4 > left:
                raise Violation(f"a fragment of {length} bytes in {left}", INVALID_VALUE)
            left -= length + 4
            length -= 2
            if control & _COMMAND:
                self._of_command(context_id, length, bool(control & _LAST))
            else:
                self._of_data_set(context_id, length, bool(control & _LAST))

    def _of_command(self, context_id: int, length: int, last: bool) -> None:
        if self._request is not None:
            raise Violation("a command inside a data set", UNEXPECTED_PARAMETER)
        if len(self._command) + length > _LONGEST_COMMAND:
            raise Violation("a command without end", INVALID_VALUE)
        self._command += self._wire.exactly(length)
        if not last:
            return
        command = Command(self._command)
        self._command.clear()
        context = self._contexts.get(context_id)
        if context is None:
            raise Violation(
                f"presentation context {context_id}, which was not accepted", UNEXPECTED_PARAMETER
            )
        self._context_id, self._context = context_id, context
        if command.field == commands.C_STORE:
            self._wire.widen()
            self._storing = Storing(self._house, command, context, self._calling, str(self))
        if command.has_data_set:
            self._request = command
        else:
            self._complete(command, context)

    def _of_data_set(self, context_id: int, length: int, last: bool) -> None:
        command = self._request
        if command is None or context_id != self._context_id:
            raise Violation("a data set without a command", UNEXPECTED_PARAMETER)
        add: Callable[[memoryview], object] = self._data_set.extend
        if self._storing is not None:
            add = self._storing.add
        elif command.field not in _NORMALISED:
            add = len  # of no use: only taken off the connection
        elif len(self._data_set) + length > _LONGEST_MESSAGE:
            raise Violation("a data set too large for its command", INVALID_VALUE)
        take = self._wire.some
        while length:
            piece = take(length)
            length -= len(piece)
            add(piece)
        if last:
            self._request = None
            self._complete(command, self._context)

    def _flush(self) -> None:
        if self._storing is not None:
            self._storing.flush()

    def _complete(self, command: Command, context: Context) -> None:
        """All of a message is here."""
        field = command.field
        if self._storing is not None:
            storing, self._storing = self._storing, None
            with self._house.keeping():
                status, words = storing.finish()
                self._send(self._context_id, commands.answer_to(command, status, words))
        elif field == commands.C_ECHO:
            self._send(self._context_id, commands.answer_to(command, 0x0000))
        elif field in _NORMALISED:
            with self._house.keeping():
                self._normalised(command, context)
        elif field == commands.N_EVENT_REPORT | commands.RESPONSE:
            self._events.answered(command)
        elif field is not None and field != commands.C_CANCEL and not field & commands.RESPONSE:
            self._send(
                self._context_id,
                commands.answer_to(command, _UNRECOGNISED_OPERATION, "no such service here"),
            )
        self._data_set = bytearray()

    def _normalised(self, command: Command, context: Context) -> None:
        kind, of_class, of_instance, number = _NORMALISED[command.field or 0]
        syntax = UID(context.transfer_syntax)
        try:
            dataset = decoded_data_set(bytes(self._data_set), syntax)
        except Exception as error:  # noqa: BLE001 - pydicom's decoder fails in many ways on garbage
            _log.warning("a data set of %s from %s can't be read: %s", kind, self, error)
            words = "the data set can't be read"
            answer = commands.answer_to(command, PROCESSING_FAILURE, words)
            self._send(self._context_id, answer)
            return
        asked = Asked(
            kind=kind,
            sop_class_uid=command.text(of_class),
            sop_instance_uid=command.text(of_instance),
            number=command.number(number) if number is not None else None,
            dataset=dataset,
            calling_ae=self._calling.strip(),
            address=self._address,
        )
        answered = self._house.normalised.answer(asked)
        content = b""
        if answered.dataset is not None:
            content = encoded_data_set(answered.dataset, syntax)
        instance = ""
        if kind == "N-CREATE" and answered.dataset is not None:
            instance = str(answered.dataset.get("AffectedSOPInstanceUID", ""))
        answer = commands.answer_to(
            command,
            answered.status,
            comment(answered.comment) if answered.status else "",
            instance=instance,
            data_set=bool(content),
        )
        self._send(self._context_id, answer, content)
        if answered.then is not None:
            self._events.follow(answered.then, self._context_id, syntax)

    def _send(self, context_id: int, command: bytes, data_set: bytes = b"") -> None:
        """A message, in pieces that the peer takes.

        Raises:
            Gone: it can't be told.
        """
        longest = self._longest_pdu
        piece = max(longest - 6, _SMALLEST_PIECE) if longest else 1 << 20
        parts = []
        for content, control in ((command, _COMMAND), (data_set, 0)):
            for start in range(0, len(content), piece):
                part = content[start : start + piece]
                last = _LAST if start + piece >= len(content) else 0
                parts.append(
                    _HEADER.pack(_P_DATA, len(part) + 6)
                    + _ITEM.pack(len(part) + 2, context_id, control | last)
                    + part
                )
        self._wire.send(b"".join(parts))


def _abort_pdu(source: int, reason: int) -> bytes:
    return _HEADER.pack(_ABORT, 4) + bytes((0, 0, source, reason))
