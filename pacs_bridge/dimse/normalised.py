"""Services of DIMSE-N in pynetdicom's terms: contexts to support, handlers to bind."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context

from pacs_bridge.dimse.answers import PROCESSING_FAILURE, comment
from pacs_bridge.dimse.services import Answered, Asked, Event, Kind, Service

_log = logging.getLogger(__name__)

MESSAGE_SYNTAXES = (
    str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian),
    str(DeflatedExplicitVRLittleEndian), str(ExplicitVRBigEndian),
)  # fmt: skip
"""Transfer syntaxes of data sets that go with DIMSE-N messages."""
NO_SUCH_CLASS = 0x0118
GOODBYE_S = 0.5
"""Peers that don't wait for an event release the association at once: they have so long."""
EVENT_ANSWER_S = 20.0
"""How long the answer to an event is waited for."""
_KINDS: tuple[tuple[Any, Kind, str, str, str], ...] = (
    (evt.EVT_N_ACTION, "N-ACTION", "Requested", "ActionTypeID", "action_information"),
    (evt.EVT_N_CREATE, "N-CREATE", "Affected", "", "attribute_list"),
    (
        evt.EVT_N_EVENT_REPORT, "N-EVENT-REPORT", "Affected", "EventTypeID", "event_information",
    ),
)  # fmt: skip


class Normalised:
    """Answers DIMSE-N requests by the services given.

    Args:
        services: what is offered; nothing is negotiated beside it.
    """

    def __init__(self, services: Sequence[Service]) -> None:
        self._services = {(each.sop_class_uid, kind): each for each in services
                          for kind in each.kinds}  # fmt: skip
        self._roles = roles(services)
        self._lock = threading.Lock()
        self._afterwards: dict[tuple[int, int], Callable[[], Event]] = {}
        self._silent: set[int] = set()

    def context(self, sop_class_uid: str, syntaxes: Iterable[str]) -> PresentationContext | None:
        """What to support of a SOP class in the syntaxes proposed; None: no service of ours."""
        accepted = self._roles.get(sop_class_uid)
        known = [each for each in dict.fromkeys(syntaxes) if each in MESSAGE_SYNTAXES]
        if accepted is None or not known:
            return None
        context = build_context(sop_class_uid, known)
        context.scu_role, context.scp_role = accepted
        return context

    def handlers(self) -> list[Any]:
        """Handlers to bind to an association."""
        if not self._services:
            return []
        bound = [(event, self._handle, list(rest)) for event, *rest in _KINDS]
        return [*bound, (evt.EVT_DIMSE_SENT, self._sent), (evt.EVT_DIMSE_RECV, self._came),
                (evt.EVT_CONN_CLOSE, self._closed)]  # fmt: skip

    def _handle(
        self, event: evt.Event, kind: Kind, naming: str, number: str, information: str
    ) -> tuple[Dataset, Dataset | None]:
        request: Any = event.request
        requestor = event.assoc.requestor
        name = getattr(request, f"{naming}SOPInstanceUID")
        asked = Asked(
            kind=kind,
            sop_class_uid=str(getattr(request, f"{naming}SOPClassUID") or ""),
            sop_instance_uid=str(name or generate_uid()),
            number=getattr(request, number) if number else None,
            dataset=_decoded(event, information),
            calling_ae=str(requestor.ae_title).strip(),
            address=str(requestor.address or ""),
        )
        answered = self.answer(asked)
        if answered.then is not None:
            with self._lock:
                self._afterwards[id(event.assoc), request.MessageID] = answered.then
        status = Dataset()
        status.Status = answered.status
        if answered.comment and answered.status:
            status.ErrorComment = comment(answered.comment)
        reply = answered.dataset
        if name is None and kind == "N-CREATE":
            reply = reply or Dataset()
            reply.AffectedSOPInstanceUID = asked.sop_instance_uid  # pynetdicom takes it from here
        return status, reply

    def answer(self, asked: Asked) -> Answered:
        """The service's answer; its errors are answers too."""
        service = self._services.get((asked.sop_class_uid, asked.kind))
        if service is None:
            return Answered(NO_SUCH_CLASS, comment=f"no {asked.kind} of this SOP class here")
        try:
            return service.handle(asked)
        except Exception:  # noqa: BLE001 - the boundary: one request must not end the association
            _log.exception("%s from %s failed (0x0110)", asked.kind, asked.calling_ae)
            return Answered(PROCESSING_FAILURE, comment="internal error, see the receiver's log")

    # what follows a response --------------------------------------------------------------

    def _sent(self, event: evt.Event) -> None:
        answered = event.message.command_set.get("MessageIDBeingRespondedTo")
        if answered is None:
            return
        with self._lock:
            then = self._afterwards.pop((id(event.assoc), int(answered)), None)
            if then is not None:
                self._silent.add(id(event.assoc))
        if then is not None:
            threading.Thread(
                target=self._follow_up, args=(event.assoc, then), name="dicom-event", daemon=True
            ).start()

    def _came(self, event: evt.Event) -> None:
        with self._lock:
            self._silent.discard(id(event.assoc))

    def _closed(self, event: evt.Event) -> None:
        with self._lock:
            self._silent.discard(id(event.assoc))
            for key in [key for key in self._afterwards if key[0] == id(event.assoc)]:
                del self._afterwards[key]

    def _follow_up(self, association: Association, then: Callable[[], Event]) -> None:
        until = time.monotonic() + GOODBYE_S
        try:
            event = then()
        except Exception:  # noqa: BLE001 - the boundary of this thread
            _log.exception("what follows a response failed")
            return
        while association.is_established and time.monotonic() < until:
            time.sleep(0.02)
        with self._lock:
            # pynetdicom would take the next request of a peer that goes on for the answer
            silent = id(association) in self._silent
        status = _send(association, event) if silent else None
        try:
            event.done(status)
        except Exception:  # noqa: BLE001 - the boundary of this thread
            _log.exception("what waits for the end of an event failed")


def roles(services: Sequence[Service]) -> dict[str, tuple[bool, bool]]:
    """By SOP class, whether a peer that calls may be its SCU, and its SCP (PS3.7 D.3.3.4)."""
    found: dict[str, tuple[bool, bool]] = {}
    for each in services:
        scu, scp = found.get(each.sop_class_uid, (False, False))
        found[each.sop_class_uid] = (scu or not each.peer_is_scp, scp or each.peer_is_scp)
    return found


def _send(association: Association, event: Event) -> int | None:
    if not association.is_established:
        return None
    association.dimse_timeout = EVENT_ANSWER_S
    try:
        answer, _ = association.send_n_event_report(
            event.dataset, event.number, event.sop_class_uid, event.sop_instance_uid
        )
    except (RuntimeError, ValueError, AttributeError, OSError) as error:
        _log.info("the event could not be sent over the association of the request: %s", error)
        return None
    return int(answer.Status) if "Status" in answer else None


def _decoded(event: evt.Event, information: str) -> Dataset:
    """The data set of a request; empty where none came."""
    dataset: Dataset = getattr(event, information)
    return dataset
