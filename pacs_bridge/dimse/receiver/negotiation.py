"""Answering the request for an association, with pynetdicom's PDUs and its negotiation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydicom.uid import UID
from pynetdicom._globals import APPLICATION_CONTEXT_NAME
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    AsynchronousOperationsWindowNegotiation,
    ImplementationVersionNameNotification,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassExtendedNegotiation,
)
from pynetdicom.presentation import negotiate_as_acceptor

from pacs_bridge.dimse.accepted import (
    OPERATIONS_AT_ONCE,
    STORAGE_CLASSES,
    STORAGE_LEVEL,
    WRONG_PROTOCOL,
    Refusal,
    application_refusal,
    supported,
)
from pacs_bridge.dimse.normalised import Normalised
from pacs_bridge.dimse.receiver.violation import INVALID_VALUE, Violation
from pacs_bridge.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION


@dataclass(frozen=True)
class Request:
    """What a peer asks for."""

    primitive: A_ASSOCIATE
    protocol_version: int

    @property
    def called(self) -> str:
        """The AE title it calls."""
        return str(self.primitive.called_ae_title)

    @property
    def calling(self) -> str:
        """Its own."""
        return str(self.primitive.calling_ae_title)

    @property
    def malformed(self) -> Refusal | None:
        """Why it can't be had whoever asks; None: it can."""
        if not self.protocol_version & 1:
            return WRONG_PROTOCOL
        return application_refusal(self.primitive.application_context_name)


@dataclass(frozen=True)
class Context:
    """An accepted presentation context."""

    abstract_syntax: str
    transfer_syntax: str


@dataclass(frozen=True)
class Agreement:
    """An association as it was accepted."""

    contexts: Mapping[int, Context]
    refused: tuple[str, ...]
    """Abstract syntaxes that were proposed in vain."""
    longest_pdu: int
    """What the peer takes at a time (PS3.8 D.1); 0: any length."""
    answer: bytes
    """The A-ASSOCIATE-AC."""


def read_request(pdu: bytes) -> Request:
    """Take an A-ASSOCIATE-RQ apart.

    Args:
        pdu: all of it, its header too.

    Raises:
        Violation: it can't be understood.
    """
    request = A_ASSOCIATE_RQ()
    try:
        request.decode(pdu)
        return Request(request.to_primitive(), request.protocol_version)
    except Exception as error:
        raise _not_understood(error) from error


def agree(request: Request, normalised: Normalised) -> Agreement:
    """Accept what we support of what is proposed (PS3.8 9.3.3, PS3.7 D.3.3).

    Raises:
        Violation: what is proposed makes no sense, as a context without a syntax.
    """
    try:
        return _agreed(request, normalised)
    except Exception as error:  # pynetdicom's values fail in many ways on garbage
        raise _not_understood(error) from error


def _agreed(request: Request, normalised: Normalised) -> Agreement:
    asked = request.primitive
    proposed = asked.presentation_context_definition_list
    information = asked.user_information
    roles = {
        item.sop_class_uid: (item.scu_role, item.scp_role)
        for item in information
        if isinstance(item, SCP_SCU_RoleSelectionNegotiation) and item.sop_class_uid is not None
    }
    results, answered_roles = negotiate_as_acceptor(
        proposed, supported(proposed, normalised), roles
    )
    primitive = A_ASSOCIATE()
    primitive.application_context_name = UID(APPLICATION_CONTEXT_NAME)
    primitive.calling_ae_title = asked.calling_ae_title
    primitive.called_ae_title = asked.called_ae_title
    primitive.result, primitive.result_source = 0x00, 0x01
    primitive.presentation_context_definition_results_list = results
    primitive.maximum_length_received = 0
    primitive.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION
    answers = primitive.user_information
    answers.append(version)
    answers += answered_roles
    for item in information:
        if isinstance(item, AsynchronousOperationsWindowNegotiation):
            answers.append(_window(item))
        elif isinstance(item, SOPClassExtendedNegotiation) and (
            str(item.sop_class_uid) in STORAGE_CLASSES
        ):
            level = SOPClassExtendedNegotiation()
            level.sop_class_uid = item.sop_class_uid
            level.service_class_application_information = STORAGE_LEVEL
            answers.append(level)
    answer = A_ASSOCIATE_AC()
    answer.from_primitive(primitive)
    accepted = {
        each.context_id: Context(str(each.abstract_syntax), str(each.transfer_syntax[0]))
        for each in results
        if each.result == 0x00 and each.context_id is not None
    }
    refused = sorted({str(each.abstract_syntax) for each in results if each.result != 0x00})
    longest = asked.maximum_length_received or 0
    return Agreement(accepted, tuple(refused), longest, answer.encode())


def rejection(refusal: Refusal) -> bytes:
    """The A-ASSOCIATE-RJ."""
    primitive = A_ASSOCIATE()
    primitive.result = refusal.result
    primitive.result_source = refusal.source
    primitive.diagnostic = refusal.diagnostic
    answer = A_ASSOCIATE_RJ()
    answer.from_primitive(primitive)
    return answer.encode()


def _not_understood(error: Exception) -> Violation:
    return Violation(
        f"an association request that can't be understood ({type(error).__name__}: {error})",
        INVALID_VALUE,
    )


def _window(
    asked: AsynchronousOperationsWindowNegotiation,
) -> AsynchronousOperationsWindowNegotiation:
    """It may have several objects under way; we never ask it for more than one thing at a time."""
    answer = AsynchronousOperationsWindowNegotiation()
    wanted = asked.maximum_number_operations_invoked
    answer.maximum_number_operations_invoked = min(wanted or OPERATIONS_AT_ONCE, OPERATIONS_AT_ONCE)
    answer.maximum_number_operations_performed = 1
    return answer
