"""Storing at a DICOMweb server: STOW-RS (PS3.18 10.5), one object a request.

On the standard library, as ``client`` is, and by the same rules: certificates are verified, what
a server says is bounded, user and password go to the host that the settings name alone and stand
in no message. A redirection is not followed: an object would go where nobody said.
"""

from __future__ import annotations

import http.client
import io
import json
import ssl
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from pacs_bridge.dicomweb.address import split_login
from pacs_bridge.dimse.outgoing import Outgoing, StoreOutcome
from pacs_bridge.dimse.status import DUPLICATE, failure_of
from pacs_bridge.dimse.tls import client_context
from pacs_bridge.errors import BridgeError, PeerBusy, PeerError, PeerRefused, PeerUnreachable
from pacs_bridge.settings import DestinationSettings

BLOCK = 1 << 18
LARGEST_ANSWER = 1 << 22
_BUSY = frozenset((408, 425, 429, 502, 503, 504))
_ELSEWHERE = frozenset((404, 405, 501))
"""The address has no such service."""


class WebStore:
    """A DICOMweb server that takes objects.

    Args:
        settings: ``dicomweb_url``; ``tls`` where its certificates are not this system's;
            ``compression``, what is sent smaller unless the server refuses that.
        timeout_s: longest wait for the connection, and for each piece of request and answer.

    Raises:
        SettingsError: a file of ``tls`` can't be used.
    """

    def __init__(self, settings: DestinationSettings, timeout_s: float = 30.0) -> None:
        self._url, self._authorization = split_login(settings.dicomweb_url)
        self._timeout_s = timeout_s
        self._compression = settings.compression
        handlers: list[urllib.request.BaseHandler] = [_Redirections()]
        if self._url.startswith("https:"):
            tls = client_context(settings.tls) if settings.tls else ssl.create_default_context()
            handlers.append(urllib.request.HTTPSHandler(context=tls))
        self._opener = urllib.request.build_opener(*handlers)

    def __str__(self) -> str:
        return self._url

    def store(self, objects: Sequence[Path | Dataset]) -> list[StoreOutcome]:
        """Store each object, in the order given.

        Returns:
            One outcome for each object, in order; its status is the failure reason or the
            warning reason (PS3.18 table 10.5.3-2) where the server gives one.

        Raises:
            PeerUnreachable, PeerRefused, PeerBusy: the server as a whole took nothing more.
        """
        return [self._store_one(Outgoing(each, self._compression), each) for each in objects]

    def reach(self) -> None:
        """See that somebody answers there and lets us in.

        Raises:
            PeerUnreachable, PeerRefused, PeerBusy: with address, answer and remedy.
        """
        # Whether it can be queried is its own affair: it only has to store.
        status, _ = self._ask(f"{self._url}/studies?limit=1", None, {"Accept": _JSON})
        if status in (401, 403) or status in _BUSY:
            raise self._refusal(status)

    # inside ------------------------------------------------------------------------------

    def _store_one(self, outgoing: Outgoing, source: Path | Dataset) -> StoreOutcome:
        if outgoing.error is not None:
            return outgoing.unsent(outgoing.error)
        # Nothing is negotiated: what is refused smaller is sent as it is.
        for syntax in outgoing.smaller[:1]:
            smaller = outgoing.compressed(syntax)
            if smaller is not None:
                outcome = self._post(outgoing, smaller)
                if not isinstance(outcome.error, PeerRefused):
                    return outcome
        return self._post(outgoing, source)

    def _post(self, outgoing: Outgoing, source: Path | Dataset) -> StoreOutcome:
        boundary = uuid.uuid4().hex
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        tail = f"\r\n--{boundary}--\r\n".encode()
        content = source if isinstance(source, Path) else _encoded(source)
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        headers = {
            "Accept": _JSON,
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Content-Length": str(len(head) + size + len(tail)),
        }
        body = _body(head, content, tail)
        status, answer = self._ask(f"{self._url}/studies", body, headers)
        if status in (401, 403) or status in _ELSEWHERE or status in _BUSY or 300 <= status < 400:
            raise self._refusal(status)
        return self._outcome(outgoing, status, answer)

    def _outcome(self, outgoing: Outgoing, status: int, answer: bytes) -> StoreOutcome:
        said = f"{self} answered STOW-RS of {outgoing.sop_instance_uid} with {status}"
        stored, reason = _read(answer, outgoing.sop_instance_uid)
        if stored or (reason is None and status == 200):
            note = f"warning 0x{reason:04X}" if reason else ""
            return StoreOutcome(outgoing.sop_instance_uid, reason or 0, note=note)
        if reason == DUPLICATE:  # UIDs are derived: it has just this object
            return StoreOutcome(outgoing.sop_instance_uid, reason, note="the server had it already")
        error: BridgeError
        if reason is not None:
            kind = failure_of(reason) or PeerRefused
            error = kind(f"{said}, failure reason 0x{reason:04X}. See the server's log for why")
        elif status >= 500:
            error = PeerBusy(f"{said}. See the server's log for why")
        else:
            error = PeerRefused(f"{said}, and does not say that it kept it")
        return StoreOutcome(outgoing.sop_instance_uid, reason, error)

    def _ask(
        self, url: str, body: Iterator[bytes] | None, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        request = urllib.request.Request(url, data=body, headers=headers)
        if self._authorization:
            request.add_unredirected_header("Authorization", self._authorization)
        try:
            with self._opener.open(request, timeout=self._timeout_s) as answer:
                return answer.status, answer.read(LARGEST_ANSWER)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(LARGEST_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "reason", None) or error
            if isinstance(why, ssl.SSLError):
                raise PeerRefused(
                    f"{self}: {why}. Check its certificate, and `tls` of the destination"
                ) from error
            if isinstance(why, BrokenPipeError | ConnectionResetError):
                raise PeerBusy(
                    f"{self} hung up on us ({why}). See its log, and the largest body that it, or "
                    "a proxy before it, takes"
                ) from error
            raise PeerUnreachable(
                f"{self}: {why}. Check that it runs, its address, and the firewall between"
            ) from error

    def _refusal(self, status: int) -> PeerError:
        said = f"{self} answered {status} {http.client.responses.get(status, '')}".rstrip()
        if status in _BUSY:
            return PeerBusy(f"{said}. It may take us later")
        if status in (401, 403):
            return PeerRefused(f"{said}. Check user and password in dicomweb_url")
        return PeerRefused(f"{said}. Check dicomweb_url: STOW-RS is {self}/studies")


_JSON = "application/dicom+json"


class _Redirections(urllib.request.HTTPRedirectHandler):
    """Follows none: the redirection is the answer."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _body(head: bytes, content: Path | bytes, tail: bytes) -> Iterator[bytes]:
    yield head
    if isinstance(content, bytes):
        yield content
    else:
        with content.open("rb") as file:
            while block := file.read(BLOCK):
                yield block
    yield tail


def _encoded(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _read(answer: bytes, uid: str) -> tuple[bool, int | None]:
    """Whether the server says that it stored the object, and its failure or warning reason.

    DICOM JSON (PS3.18 F.2) of PS3.18 table 10.5.3-1; a server need not say more than its status.
    """
    try:
        said = json.loads(answer)
    except ValueError:
        return False, None
    response = said[0] if isinstance(said, list) and said else said
    for item in _values(response, "00081199"):  # ReferencedSOPSequence
        if uid in _values(item, "00081155"):  # ReferencedSOPInstanceUID
            return True, _number(item, "00081196")  # WarningReason
    for item in (*_values(response, "00081198"), *_values(response, "0008119A")):
        # FailedSOPSequence; OtherFailuresSequence has no UIDs: there was one object.
        if uid in (_values(item, "00081155") or [uid]):
            return False, _number(item, "00081197") or 0x0110  # FailureReason
    return False, None


def _values(item: Any, tag: str) -> list[Any]:
    element = item.get(tag) if isinstance(item, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def _number(item: Any, tag: str) -> int | None:
    found = _values(item, tag)
    return found[0] if found and isinstance(found[0], int) else None
