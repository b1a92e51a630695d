"""Senders for the listener's tests: one that keeps the rules, one that says what we want."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
)
from pynetdicom import AE, build_context
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import PresentationContext

from pacs_bridge.dimse.peer import keep_answers
from pacs_bridge.inbox import Inbox


@contextmanager
def association(
    port: int,
    contexts: list[PresentationContext] | None = None,
    called: str = "PREREAD",
    calling: str = "SENDER",
) -> Iterator[Association]:
    """An association, established or not, ended at the end."""
    ae = AE(calling)
    ae.acse_timeout = ae.dimse_timeout = ae.connection_timeout = 30
    contexts = contexts or [build_context(CTImageStorage, [ExplicitVRLittleEndian])]
    made = ae.associate("127.0.0.1", port, contexts=contexts, ae_title=called)
    keep_answers(made)
    try:
        yield made
    finally:
        if made.is_established:
            made.release()


def store_raw(
    sender: Association, data: bytes, sop_class: str, sop_instance: str
) -> tuple[int | None, str]:
    """A C-STORE whose command says what we want, whatever the data set is: status, comment."""
    request = C_STORE()
    request.MessageID = 1
    request.Priority = 2
    request._affected_sop_class_uid = request._affected_sop_instance_uid = None
    request.AffectedSOPClassUID = sop_class
    request.AffectedSOPInstanceUID = sop_instance
    request.DataSet = BytesIO(data)
    context = next(cx for cx in sender.accepted_contexts)
    sender._reactor_checkpoint.clear()
    while not sender._is_paused:
        time.sleep(0.001)
    assert context.context_id is not None
    sender.dimse.send_msg(request, context.context_id)
    _, answer = sender.dimse.get_msg(block=True)
    sender._reactor_checkpoint.set()
    if answer is None:
        return None, ""
    return answer.Status, str(getattr(answer, "ErrorComment", "") or "")


def kept_files(inbox: Inbox) -> list[Path]:
    return sorted(path for path in inbox.folder.rglob("*") if path.is_file())
