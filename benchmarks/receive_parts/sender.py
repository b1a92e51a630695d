"""A sender that costs little, so that the receiver is what is timed: bytes made beforehand."""

import socket
import struct
import threading
import time
from collections.abc import Sequence

from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import build_context
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification

from benchmarks.receive_parts.messages import Objects, store_request

LARGEST_PDU = 131072
"""What DCMTK's senders send at most, where the receiver takes it."""


class Sender:
    """An association with a receiver."""

    def __init__(self, port: int, called: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(_request(called))
        kind, body = self._pdu()
        if kind != 2:
            raise RuntimeError(f"no association with port {port}: PDU {kind} {body[:8]!r}")
        answer = A_ASSOCIATE_AC()
        answer.decode(struct.pack(">BxI", kind, len(body)) + body)
        if answer.presentation_context[0].result != 0:
            raise RuntimeError("the receiver takes no CT images")
        taken = answer.user_information.maximum_length or LARGEST_PDU
        self.longest_pdu = min(taken, LARGEST_PDU)

    def send(self, message: bytes) -> None:
        """One object, and wait for its answer."""
        self._socket.sendall(message)
        _, body = self._pdu()
        status = body[body.index(struct.pack("<HHI", 0, 0x0900, 2)) + 8 :][:2]
        if status != b"\x00\x00":
            raise RuntimeError(f"refused with 0x{int.from_bytes(status, 'little'):04X}")

    def release(self) -> None:
        """End the association."""
        self._socket.sendall(struct.pack(">BxI", 5, 4) + bytes(4))
        self._pdu()
        self._socket.close()

    def _pdu(self) -> tuple[int, bytes]:
        kind, length = struct.unpack(">BxI", self._exactly(6))
        return kind, self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        parts = b""
        while len(parts) < count:
            piece = self._socket.recv(count - len(parts))
            if not piece:
                raise RuntimeError("the receiver hung up")
            parts += piece
        return parts


def timed(port: int, called: str, objects: Objects, senders: int, count: int) -> tuple[float, int]:
    """Send ``count`` objects over so many associations at once: seconds, and bytes sent."""
    open_ones = [Sender(port, called) for _ in range(senders)]
    shares: list[list[bytes]] = []
    for number, sender in enumerate(open_ones):
        share = []
        for message_id in range(1, count // senders + 1):
            uid, dataset = objects.next(number)
            share.append(store_request(uid, dataset, message_id, sender.longest_pdu))
        shares.append(share)
    start = threading.Barrier(senders + 1)
    problems: list[Exception] = []

    def run(sender: Sender, share: Sequence[bytes]) -> None:
        start.wait()
        try:
            for message in share:
                sender.send(message)
        except (OSError, RuntimeError, ValueError) as error:
            problems.append(error)

    threads = [
        threading.Thread(target=run, args=pair) for pair in zip(open_ones, shares, strict=True)
    ]
    for thread in threads:
        thread.start()
    start.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    if problems:
        raise problems[0]
    for sender in open_ones:
        sender.release()
    return seconds, sum(len(message) for share in shares for message in share)


def _request(called: str) -> bytes:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = UID("1.2.840.10008.3.1.1.1")
    primitive.called_ae_title, primitive.calling_ae_title = called, "BENCH"
    primitive.maximum_length_received = 16384
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = UID("1.2.3.4")
    primitive.user_information.append(implementation)
    context = build_context(CTImageStorage, ExplicitVRLittleEndian)
    context.context_id = 1
    primitive.presentation_context_definition_list = [context]
    request = A_ASSOCIATE_RQ()
    request.from_primitive(primitive)
    return bytes(request.encode())
