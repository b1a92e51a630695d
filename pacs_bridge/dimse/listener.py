"""Storage and Verification SCP: takes objects in from scanners, PACS and routers.

Built on pynetdicom. What the rest of the house sees is the constructor, ``start``, ``stop``
and ``port``, so that another data path can take this one's place.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from pydicom.dataset import Dataset
from pynetdicom import AE, _config, evt, register_uid
from pynetdicom._globals import ALL_TRANSFER_SYNTAXES
from pynetdicom.presentation import (
    AllStoragePresentationContexts,
    PresentationContext,
    build_context,
)
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer

from pacs_bridge.errors import BridgeError, DiskFull, Refused
from pacs_bridge.inbox import Inbox
from pacs_bridge.settings import ListenerSettings
from pacs_bridge.store import Instance

_log = logging.getLogger(__name__)

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
OUT_OF_RESOURCES = 0xA700
MISMATCH = 0xA900

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

_REJECTIONS = {
    (1, 3): "we take associations only from the titles in listener.calling_ae_titles",
    (1, 7): "that is not our AE title (listener.ae_title)",
    (3, 2): "listener.maximum_associations are open already",
}


class Listener:
    """Takes objects over DICOM associations into the inbox.

    Args:
        settings: AE title, address, rules and limits.
        inbox: where objects are kept.
        on_stored: called for every object kept, a repeated one too, from the association's
            thread, before the sender is told success.
    """

    def __init__(
        self,
        settings: ListenerSettings,
        inbox: Inbox,
        on_stored: Callable[[Instance], None] = lambda instance: None,
    ) -> None:
        self._settings = settings
        self._inbox = inbox
        self._on_stored = on_stored
        self._server: ThreadedAssociationServer | None = None
        self._storing = 0
        self._lock = threading.Lock()

    @property
    def port(self) -> int:
        """The port in force; where the settings say 0, known once started."""
        return int(self._server.server_address[1]) if self._server else self._settings.port

    def start(self) -> None:
        """Begin to listen; returns at once.

        Raises:
            BridgeError: the address can't be listened on (in use, not ours, not allowed).
        """
        settings = self._settings
        _config.LOG_HANDLER_LEVEL = "none"  # pynetdicom formats every PDU for its log otherwise
        ae = AE(settings.ae_title)
        ae.require_called_aet = settings.require_called_ae
        ae.require_calling_aet = list(settings.calling_ae_titles)
        ae.maximum_associations = settings.maximum_associations
        ae.maximum_pdu_size = 0  # unlimited
        ae.network_timeout = settings.idle_timeout_s
        ae.dimse_timeout = settings.idle_timeout_s
        ae.supported_contexts = [build_context(Verification)]
        handlers: list[Any] = [
            (evt.EVT_REQUESTED, self._offer),
            (evt.EVT_REJECTED, self._rejected),
            (evt.EVT_ACCEPTED, self._accepted),
            (evt.EVT_ABORTED, self._aborted),
            (evt.EVT_C_ECHO, self._echo),
            (evt.EVT_C_STORE, self._store),
        ]
        try:
            server = ae.make_server(
                (settings.host, settings.port), evt_handlers=handlers, server_class=_Server
            )
        except OSError as error:
            raise BridgeError(
                f"can't listen on {settings.host}:{settings.port}: {error}. Is another server "
                "running there? Change listener.port or listener.host"
            ) from error
        ae._servers.append(server)  # what AE.start_server does
        self._server = server
        threading.Thread(
            target=server.serve_forever,
            kwargs={"poll_interval": 0.1},
            name="dicom-listener",
            daemon=True,
        ).start()
        _log.info("listening as %s on %s:%d", settings.ae_title, settings.host, self.port)

    def stop(self, grace_s: float = 5.0) -> None:
        """Take no new associations, let objects being kept be finished, end the rest."""
        server, self._server = self._server, None
        if server is None:
            return
        self._settings = self._settings.model_copy(update={"port": server.server_address[1]})
        associations = server.active_associations
        server.shutdown()
        deadline = time.monotonic() + grace_s
        while self._storing and time.monotonic() < deadline:
            time.sleep(0.01)
        for association in associations:
            association.abort()
        for association in associations:
            association.join(max(0.1, deadline - time.monotonic()))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # association -------------------------------------------------------------------------

    def _offer(self, event: evt.Event) -> None:
        """Before negotiation: support what was asked for, in the order the sender prefers.

        pynetdicom takes the first syntax of *ours* that the sender proposes; the first of the
        sender's own is how it holds the object, and taking that spares it a conversion.
        """
        wanted: dict[str, list[str]] = {}
        asked = event.assoc.requestor.primitive
        for context in asked.presentation_context_definition_list if asked else ():
            name = str(context.abstract_syntax)
            if name not in STORAGE_CLASSES and name != Verification:
                continue
            known = wanted.setdefault(name, [])
            known += [
                str(syntax)
                for syntax in context.transfer_syntax
                if syntax in TRANSFER_SYNTAXES and syntax not in known
            ]
        supported: list[PresentationContext] = [
            build_context(name, syntaxes) for name, syntaxes in wanted.items() if syntaxes
        ]
        event.assoc.acceptor.supported_contexts = supported

    def _rejected(self, event: evt.Event) -> None:
        answer = event.assoc.acceptor.primitive
        reason = "no reason known"
        if answer is not None:
            source, diagnostic = answer.result_source or 0, answer.diagnostic or 0
            reason = _REJECTIONS.get(
                (source, diagnostic), f"source {source}, diagnostic {diagnostic}"
            )
        asked = event.assoc.requestor.primitive
        called = asked.called_ae_title if asked else ""
        _log.warning("refused association from %s calling %r: %s", _who(event), called, reason)

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
        """Answer C-STORE (PS3.4 B.2.3); an ErrorComment (0000,0902) goes with every refusal.

        ====== ============================================================================
        status meaning
        ====== ============================================================================
        0x0000 Success: written, fsynced, renamed, recorded (or held already, unchanged)
        0x0110 Processing failure: disk or database failed, or a bug here; see the log;
               sending again is safe
        0xA700 Refused, out of resources: less free space than storage.minimum_free_gb
        0xA900 Data set does not match SOP class: data set, command and presentation context
               disagree on SOP class or instance
        0xC000 Cannot understand: cut off, not parseable, or a UID is missing or is no UID
        ====== ============================================================================
        """
        with self._lock:
            self._storing += 1
        try:
            return self._kept(event)
        except Refused as error:
            _log.warning("refused object from %s: %s (0x%04X)", _who(event), error, error.status)
            return _answer(error.status, str(error))
        except DiskFull as error:
            _log.error("REFUSED object from %s: %s (0xA700)", _who(event), error)
            return _answer(OUT_OF_RESOURCES, str(error))
        except Exception:  # noqa: BLE001 - the boundary: one object must not end the association
            _log.exception("object from %s failed (0x0110)", _who(event))
            return _answer(PROCESSING_FAILURE, "internal error, see the receiver's log")
        finally:
            with self._lock:
                self._storing -= 1

    def _kept(self, event: evt.Event) -> Dataset:
        request: Any = event.request
        sop_class = str(request.AffectedSOPClassUID or "")
        if sop_class != event.context.abstract_syntax:
            raise Refused(
                f"AffectedSOPClassUID (0000,0002) = {sop_class[:64]!r} in a presentation context "
                f"for {event.context.abstract_syntax}",
                MISMATCH,
            )
        instance = self._inbox.receive(
            event.encoded_dataset(include_meta=False),
            sop_class_uid=sop_class,
            sop_instance_uid=str(request.AffectedSOPInstanceUID or ""),
            transfer_syntax_uid=str(event.context.transfer_syntax),
            source_ae=str(event.assoc.requestor.ae_title),
            fetched=self._asked_by_us(request),
        )
        self._on_stored(instance)
        _log.debug("kept %s from %s", instance.path, _who(event))
        return _answer(SUCCESS, "")

    def _asked_by_us(self, request: Any) -> bool | None:
        """Whether the object comes because of our C-MOVE (PS3.7 9.3.1); None: it isn't said."""
        originator = str(request.MoveOriginatorApplicationEntityTitle or "").strip()
        return originator == self._settings.ae_title if originator else None


class _Server(ThreadedAssociationServer):
    request_queue_size = 128  # socketserver's 5 makes a burst of senders wait a second


def _who(event: evt.Event) -> str:
    requestor = event.assoc.requestor
    primitive = requestor.primitive
    title = primitive.calling_ae_title if primitive is not None else ""
    return f"{title!r} at {requestor.address}:{requestor.port}"


def _answer(status: int, comment: str) -> Dataset:
    answer = Dataset()
    answer.Status = status
    if comment:
        printable = "".join(c if " " <= c <= "~" and c != "\\" else "?" for c in comment)
        answer.ErrorComment = printable[:64]
    return answer
