"""Taking objects in with pynetdicom alone: the data path that the library keeps for us."""

from __future__ import annotations

import logging
import socket
import struct
import threading
import time
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, _config, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer

from pacs_bridge.dimse.accepted import (
    STORAGE_CLASSES,
    STORAGE_LEVEL,
    application_refusal,
    supported,
)
from pacs_bridge.dimse.answers import SUCCESS, asked_by_us, comment, not_kept, wrong_context
from pacs_bridge.dimse.house import House
from pacs_bridge.dimse.ports import Ports
from pacs_bridge.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION

_log = logging.getLogger(__name__)


class LibraryPath:
    """See :class:`pacs_bridge.dimse.listener.DataPath`."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._servers: list[_Server] = []
        self._entered: dict[int, tuple[str, str]] = {}
        self._lock = threading.Lock()

    def start(self, ports: Ports) -> None:
        """Serve what arrives at the ports; returns at once."""
        settings = self._house.settings
        _config.LOG_HANDLER_LEVEL = "none"  # pynetdicom formats every PDU for its log otherwise
        ae = AE(settings.ae_title)
        ae.require_called_aet = False  # who may enter is decided in _offer
        ae.maximum_associations = 1 << 30
        ae.maximum_pdu_size = 0  # unlimited
        ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        ae.implementation_version_name = IMPLEMENTATION_VERSION
        ae.acse_timeout = settings.request_timeout_s
        ae.network_timeout = settings.idle_timeout_s
        ae.dimse_timeout = settings.idle_timeout_s
        ae.add_supported_context(Verification)
        handlers: list[Any] = [
            (evt.EVT_REQUESTED, self._offer),
            (evt.EVT_ACCEPTED, self._accepted),
            (evt.EVT_ABORTED, self._aborted),
            (evt.EVT_CONN_CLOSE, self._closed),
            (evt.EVT_SOP_EXTENDED, self._extended),
            (evt.EVT_C_ECHO, self._echo),
            (evt.EVT_C_STORE, self._store),
            *self._house.normalised.handlers(),
        ]
        for listening, context in ports.listening:
            server = _Server(
                ae,
                listening.getsockname()[:2],
                settings.ae_title,
                ae.supported_contexts,
                ssl_context=context,
                evt_handlers=handlers,
            )
            server.take_over(listening)
            ae._servers.append(server)  # what AE.start_server does
            self._servers.append(server)
            threading.Thread(
                target=server.serve_forever,
                kwargs={"poll_interval": 0.1},
                name="dicom-listener",
                daemon=True,
            ).start()

    def stop(self, grace_s: float) -> None:
        """Take no new associations, let objects being kept be finished, end the rest."""
        servers, self._servers = self._servers, []
        associations = [each for server in servers for each in server.active_associations]
        for server in servers:
            server.shutdown()
        deadline = time.monotonic() + grace_s
        self._house.wait_until_quiet(grace_s)
        # one that asked for nothing yet sleeps until its time for that is up
        talking = [each for each in associations if each.is_established]
        for association in associations:
            association.abort()
        for association in talking:
            association.join(max(0.1, deadline - time.monotonic()))

    # association -------------------------------------------------------------------------

    def _offer(self, event: evt.Event) -> None:
        """Before negotiation: reject whom we don't want, support what others ask for."""
        asked: Any = event.assoc.requestor.primitive
        address = str(event.assoc.requestor.address or "")
        calling = str(asked.calling_ae_title)
        refusal = (
            application_refusal(asked.application_context_name)
            or self._house.door.refusal(str(asked.called_ae_title), calling, address)
            or self._house.door.enter(address, calling)
        )
        if refusal is not None:
            _log.warning(
                "refused association from %s calling %r: %s",
                _who(event),
                asked.called_ae_title,
                refusal.why,
            )
            event.assoc.acse.send_reject(refusal.result, refusal.source, refusal.diagnostic)
            event.assoc.kill()
            return
        with self._lock:
            self._entered[id(event.assoc)] = address, calling
        event.assoc.acceptor.supported_contexts = supported(
            asked.presentation_context_definition_list, self._house.normalised
        )

    def _extended(self, event: evt.Event) -> dict[str, bytes]:
        """What we say of our storage to a sender that asks (PS3.4 B.3.1)."""
        asked = event.assoc.requestor.sop_class_extended
        return {uid: STORAGE_LEVEL for uid in asked if uid in STORAGE_CLASSES}

    def _accepted(self, event: evt.Event) -> None:
        refused = sorted({str(cx.abstract_syntax) for cx in event.assoc.rejected_contexts})
        if refused:
            _log.warning(
                "refused presentation contexts from %s: %s (not a storage class, or no known "
                "transfer syntax)",
                _who(event),
                ", ".join(refused)[:400],
            )

    def _aborted(self, event: evt.Event) -> None:
        _log.info("association with %s was aborted", _who(event))

    def _closed(self, event: evt.Event) -> None:
        with self._lock:
            sender = self._entered.pop(id(event.assoc), None)
        if sender is not None:
            self._house.door.leave(*sender)

    # services ----------------------------------------------------------------------------

    def _echo(self, event: evt.Event) -> int:
        """Answer C-ECHO (PS3.4 A.4).

        ====== =======
        status meaning
        ====== =======
        0x0000 Success
        ====== =======
        """
        return SUCCESS

    def _store(self, event: evt.Event) -> Dataset:
        """Answer C-STORE; :mod:`pacs_bridge.dimse.answers` has the table."""
        with self._house.keeping():
            try:
                self._keep(event)
            except Exception as error:  # noqa: BLE001 - the boundary: one object must not end the rest
                return _answer(*not_kept(error, _who(event)))
        return _answer(SUCCESS, "")

    def _keep(self, event: evt.Event) -> None:
        request: Any = event.request
        sop_class = str(request.AffectedSOPClassUID or "")
        if sop_class != event.context.abstract_syntax:
            raise wrong_context(sop_class, str(event.context.abstract_syntax))
        originator = str(request.MoveOriginatorApplicationEntityTitle or "")
        instance = self._house.inbox.receive(
            event.encoded_dataset(include_meta=False),
            sop_class_uid=sop_class,
            sop_instance_uid=str(request.AffectedSOPInstanceUID or ""),
            transfer_syntax_uid=str(event.context.transfer_syntax),
            source_ae=str(event.assoc.requestor.ae_title),
            fetched=asked_by_us(originator, self._house.settings.ae_title),
        )
        self._house.on_stored(instance)
        _log.debug("kept %s from %s", instance.path, _who(event))


class _Server(ThreadedAssociationServer):
    """Serves a socket that listens already."""

    def server_bind(self) -> None:
        """Nothing: :meth:`take_over` brings the socket."""

    def server_activate(self) -> None:
        """Nothing: it listens already."""

    def take_over(self, listening: socket.socket) -> None:
        """Serve this one."""
        if self.socket is not None:
            self.socket.close()
        self.socket = listening

    def get_request(self) -> tuple[socket.socket, Any]:
        """A connection; its TLS handshake is its own thread's affair, so that none waits here."""
        assert self.socket is not None
        connection, address = self.socket.accept()
        # pynetdicom reads when something is there, and would wait for the rest of it for ever
        seconds = self.ae.acse_timeout or 0
        interval = struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)
        if self.ssl_context is not None:
            connection = self.ssl_context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address


def _who(event: evt.Event) -> str:
    requestor = event.assoc.requestor
    primitive = requestor.primitive
    title = primitive.calling_ae_title if primitive is not None else ""
    return f"{title!r} at {requestor.address}:{requestor.port}"


def _answer(status: int, said: str) -> Dataset:
    answer = Dataset()
    answer.Status = status
    if said:
        answer.ErrorComment = comment(said)
    return answer
