"""A sender that puts every byte on the connection itself: what no library would send."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import build_context
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification

RQ, AC, RJ, DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
COMMAND, LAST = 1, 2


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxI", kind, len(body)) + body


def pdv(context_id: int, control: int, content: bytes) -> bytes:
    return struct.pack(">IBB", len(content) + 2, context_id, control) + content


def association_request(
    syntaxes: Sequence[str] = (CTImageStorage,),
    items: Sequence[Any] = (),
    called: str = "PREREAD",
    calling: str = "RAW",
    longest_pdu: int = 16382,
) -> bytes:
    """An A-ASSOCIATE-RQ for Explicit VR Little Endian."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.called_ae_title, primitive.calling_ae_title = called, calling
    primitive.maximum_length_received = longest_pdu
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = UID("1.2.3.4")
    primitive.user_information += [implementation, *items]
    contexts = []
    for number, syntax in enumerate(syntaxes):
        context = build_context(syntax, ExplicitVRLittleEndian)
        context.context_id = 2 * number + 1
        contexts.append(context)
    primitive.presentation_context_definition_list = contexts
    request = A_ASSOCIATE_RQ()
    request.from_primitive(primitive)
    return bytes(request.encode())


def store_command(
    sop_instance_uid: str, message_id: int = 1, sop_class_uid: str = CTImageStorage
) -> bytes:
    """The command set of a C-STORE request."""

    def element(number: int, value: bytes) -> bytes:
        value += b"\x00" * (len(value) % 2)
        return struct.pack("<HHI", 0, number, len(value)) + value

    body = (
        element(0x0002, sop_class_uid.encode())
        + element(0x0100, struct.pack("<H", 1))
        + element(0x0110, struct.pack("<H", message_id))
        + element(0x0700, struct.pack("<H", 0))
        + element(0x0800, struct.pack("<H", 1))
        + element(0x1000, sop_instance_uid.encode())
    )
    return element(0, struct.pack("<I", len(body))) + body


class RawPeer:
    """A connection to a listener on the loopback."""

    def __init__(self, port: int, timeout_s: float = 10, address: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection((address, port), timeout=timeout_s)

    def send(self, *parts: bytes) -> None:
        self.socket.sendall(b"".join(parts))

    def receive(self) -> tuple[int, bytes]:
        """The next PDU: its type and what stands after its header; (0, b"") at the end."""
        header = self._exactly(6)
        if len(header) < 6:
            return 0, b""
        kind, length = struct.unpack(">BxI", header)
        return kind, self._exactly(length)

    def associate(self, *arguments: Any, **more: Any) -> A_ASSOCIATE_AC:
        """Ask, and return what was accepted."""
        self.send(association_request(*arguments, **more))
        kind, body = self.receive()
        assert kind == AC, (kind, body[:40])
        answer = A_ASSOCIATE_AC()
        answer.decode(pdu(AC, body))
        return answer

    def answer(self) -> dict[int, bytes]:
        """The elements of the next command that comes."""
        kind, body = self.receive()
        assert kind == DATA, (kind, body)
        values, position = {}, 6
        while position < len(body):
            _, number, length = struct.unpack_from("<HHI", body, position)
            position += 8
            values[number] = body[position : position + length]
            position += length
        return values

    def status(self) -> int:
        """The status of the next response."""
        return int(struct.unpack("<H", self.answer()[0x0900])[0])

    def close(self) -> None:
        self.socket.close()

    def _exactly(self, count: int) -> bytes:
        parts = b""
        while len(parts) < count:
            try:
                piece = self.socket.recv(count - len(parts))
            except ConnectionResetError:
                piece = b""
            if not piece:
                break
            parts += piece
        return parts

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


@contextmanager
def raw_peer(port: int, *arguments: Any, **more: Any) -> Iterator[RawPeer]:
    """One with an association."""
    with RawPeer(port) as peer:
        peer.associate(*arguments, **more)
        yield peer


def rejection(port: int, **more: Any) -> tuple[int, int, int] | None:
    """Result, source and reason of the rejection of an association; None: it is accepted.

    By hand: pynetdicom's requestor takes one that comes at once for a lost connection.
    """
    with RawPeer(port) as peer:
        peer.send(association_request(**more))
        kind, body = peer.receive()
        assert kind in (AC, RJ), (kind, body)
        return (body[1], body[2], body[3]) if kind == RJ else None
