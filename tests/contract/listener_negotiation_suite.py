"""What a listener answers to the request for an association (PS3.8 9.3, PS3.7 D.3.3)."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.uid import UID, CTImageStorage
from pynetdicom import build_role
from pynetdicom.pdu_primitives import (
    AsynchronousOperationsWindowNegotiation,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)

from tests.contract.listener_suite import Running
from tests.network.raw_peer import (
    COMMAND,
    DATA,
    LAST,
    RJ,
    RawPeer,
    pdu,
    pdv,
    rejection,
    store_command,
)
from tests.network.raw_peer import association_request as request
from tests.unit.pacs_bridge.made import ct, encoded

APPLICATION = b"1.2.840.10008.3.1.1.1"
OTHERS = APPLICATION[:-1] + b"9"


def _identity(kind: int, answer: bool) -> UserIdentityNegotiation:
    item = UserIdentityNegotiation()
    item.user_identity_type = kind
    item.positive_response_requested = answer
    item.primary_field = b"somebody"
    if kind == 2:
        item.secondary_field = b"a password"
    return item


class NegotiationSuite:
    """Mixed into a class that has the fixture ``running``: settings and services to a listener."""

    @pytest.mark.parametrize(
        ("asked", "settings", "answer"),
        [
            (request(called="OTHER"), {}, (1, 1, 7)),
            (request(), {"calling_ae_titles": ("CT1",)}, (1, 1, 3)),
            (request(), {"calling_addresses": ("10.0.0.0/8",)}, (1, 1, 3)),
            (request(), {"calling_addresses": ("RAW@10.0.0.0/8", "127.0.0.1")}, (1, 1, 3)),
            (request().replace(APPLICATION, OTHERS), {}, (1, 1, 2)),
        ],
        ids=["called", "calling", "address", "title and address", "application"],
    )
    def test_a_rejection_says_which_rule(
        self, running: Running, asked: bytes, settings: dict[str, Any], answer: tuple[int, ...]
    ) -> None:
        """Result, source and reason of PS3.8 table 9-21."""
        with running(**settings) as listener, RawPeer(listener.port) as peer:
            peer.send(asked)
            assert peer.receive() == (RJ, bytes((0, *answer)))

    def test_one_too_many_may_try_again(self, running: Running) -> None:
        with running(maximum_associations=1) as listener, RawPeer(listener.port) as first:
            first.associate()
            assert rejection(listener.port) == (2, 3, 2)  # local limit exceeded

    def test_storage_says_what_it_does_to_a_sender_that_asks(self, running: Running) -> None:
        item = SOPClassExtendedNegotiation()
        item.sop_class_uid = UID(CTImageStorage)
        item.service_class_application_information = bytes((2, 0, 0, 0, 0, 0))
        with running() as listener, RawPeer(listener.port) as peer:
            answer = peer.associate(items=[item])
        (said,) = answer.user_information.ext_neg
        assert said.service_class_application_information == bytes((2, 0, 3, 0, 0, 0))

    def test_we_say_who_we_are(self, running: Running) -> None:
        with running() as listener, RawPeer(listener.port) as peer:
            answer = peer.associate()
        version = answer.user_information.implementation_version_name
        assert str(version).startswith("PREREAD_")

    def test_a_request_without_a_presentation_context_we_take_is_answered(
        self, running: Running
    ) -> None:
        with running() as listener, RawPeer(listener.port) as peer:
            answer = peer.associate(syntaxes=("1.2.3.4",))
            assert [each.result for each in answer.presentation_context] == [3]

    def test_a_sender_that_says_who_its_user_is_sends_as_without(self, running: Running) -> None:
        """We know no users here: no answer is the standard's answer (PS3.7 D.3.3.7.2)."""
        image = ct()
        with running() as listener:
            for kind, wants in ((1, False), (1, True), (2, True)):
                with RawPeer(listener.port) as peer:
                    answer = peer.associate(items=[_identity(kind, wants)])
                    assert not [x for x in answer.user_information.user_data if x.item_type == 0x59]
                    command = store_command(str(image.SOPInstanceUID))
                    peer.send(pdu(DATA, pdv(1, COMMAND | LAST, command)))
                    peer.send(pdu(DATA, pdv(1, LAST, encoded(image))))
                    assert peer.status() == 0x0000

    def test_what_else_a_sender_may_say_is_passed_over(self, running: Running) -> None:
        """Common extended negotiation has no answer (PS3.7 D.3.3.6); the SCP's role is not ours."""
        common = SOPClassCommonExtendedNegotiation()
        common.sop_class_uid = UID(CTImageStorage)
        common.service_class_uid = UID("1.2.840.10008.4.2")
        role = build_role(CTImageStorage, scu_role=True, scp_role=True)
        window = AsynchronousOperationsWindowNegotiation()
        window.maximum_number_operations_invoked = 1
        window.maximum_number_operations_performed = 1
        with running() as listener, RawPeer(listener.port) as peer:
            answer = peer.associate(items=[common, role, window])
        assert [each.result for each in answer.presentation_context] == [0]
        said = answer.user_information.user_data
        assert not [each for each in said if each.item_type == 0x57]
        assert not [each for each in answer.user_information.role_selection if each.scp_role]
        for each in said:
            if each.item_type == 0x53:
                assert each.maximum_number_operations_invoked == 1
                assert each.maximum_number_operations_performed == 1
