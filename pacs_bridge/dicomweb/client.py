"""Asking a DICOMweb server: QIDO-RS for what it has, WADO-RS for the objects as it holds them.

On the standard library, not on dicomweb-client: that one parses every object it fetches, so that
it would have to be encoded anew for the inbox, and has no bound on an answer's size or time. Here
an object goes from the wire to the inbox byte by byte. Certificates are verified, by the
authorities of this system or those that the settings name; proxies are those of the environment.
User and password go to the host that the settings name alone, never after a redirect, and stand in
no message.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydicom.dataset import Dataset

from pacs_bridge.dicomweb.address import split_login
from pacs_bridge.dicomweb.multipart import BLOCK, Malformed, boundary_of, parts
from pacs_bridge.dimse.tls import client_context
from pacs_bridge.errors import (
    PeerBusy,
    PeerError,
    PeerRefused,
    PeerUnreachable,
    SettingsError,
)
from pacs_bridge.sections import TlsSettings

SILENCE_S = 30.0
"""A server may need so long to find a series, and between two pieces of it."""
LARGEST_OBJECT = 1 << 30
LARGEST_ANSWER = 1 << 26
"""Bytes of a QIDO answer."""
_BUSY = frozenset((408, 425, 429, 500, 502, 503, 504))
_OBJECTS = 'multipart/related; type="application/dicom"; transfer-syntax=*'


class WebArchive:
    """A DICOMweb server.

    Args:
        url: where its services are; ``user:password@`` before the host makes it HTTP Basic.
        timeout_s: longest wait for the connection, and for the whole answer to a question.
        section: of the settings, which its keys are in, for messages.
        tls: our certificate, and the authorities that vouch for the server's; None: we show none,
            and the authorities are this system's.

    Raises:
        SettingsError: a file of ``tls`` can't be used.
    """

    def __init__(
        self, url: str, timeout_s: float, section: str, tls: TlsSettings | None = None
    ) -> None:
        self._url, self._authorization = split_login(url)
        self._timeout_s = timeout_s
        self._section = section
        handlers: list[urllib.request.BaseHandler] = []
        if tls is not None:
            try:
                handlers.append(urllib.request.HTTPSHandler(context=client_context(tls)))
            except SettingsError as error:
                raise SettingsError(f"{section}: {error}") from error
        self._opener = urllib.request.build_opener(*handlers)

    def __str__(self) -> str:
        return self._url

    def search(
        self, path: str, keys: Mapping[str, str], fields: Sequence[str] = ()
    ) -> list[Dataset]:
        """QIDO-RS (PS3.18 10.6).

        Args:
            path: ``studies``, ``studies/{uid}/series`` ...
            keys: what has to match, by keyword.
            fields: keywords asked for besides what the server gives by itself.

        Raises:
            PeerUnreachable, PeerRefused, PeerBusy: with address, answer and remedy.
        """
        # One parameter each: not every server takes several with commas.
        given = [*keys.items(), *(("includefield", field) for field in fields)]
        query = urllib.parse.urlencode(given, quote_via=urllib.parse.quote)
        until = time.monotonic() + self._timeout_s
        content = bytearray()
        with self._open(f"{path}?{query}", "application/dicom+json", self._timeout_s) as answer:
            while piece := self._read(answer, BLOCK, path, until):
                content += piece
                if len(content) > LARGEST_ANSWER:
                    raise PeerRefused(
                        f"{self} answered {path} with more than {LARGEST_ANSWER} bytes. See there "
                        "whether it heeds PatientID and StudyDate"
                    )
        if not content:  # 204: nothing matches
            return []
        try:
            return [Dataset.from_json(item) for item in json.loads(content)]
        except Exception as error:  # pydicom raises anything over a damaged value
            raise PeerRefused(f"{self} answered {path} with no DICOM JSON: {error}") from error

    def retrieve(
        self, study_uid: str, series_uid: str | None, until: float, instance_uid: str | None = None
    ) -> Iterator[bytes]:
        """WADO-RS (PS3.18 10.4): the objects of a series, or of a whole study, as DICOM files.

        Args:
            study_uid: StudyInstanceUID.
            series_uid: SeriesInstanceUID; None: all of them.
            until: ``time.monotonic()`` after which nothing more is waited for.
            instance_uid: SOPInstanceUID, of one object of that series; None: all of them.

        Raises:
            PeerUnreachable, PeerRefused, PeerBusy: with address, answer and remedy.
        """
        path = f"studies/{study_uid}" + (f"/series/{series_uid}" if series_uid else "")
        path += f"/instances/{instance_uid}" if instance_uid else ""
        left = min(max(1.0, until - time.monotonic()), SILENCE_S)
        with self._open(path, _OBJECTS, left) as answer:
            try:
                boundary = boundary_of(answer.headers.get("Content-Type", ""))
                yield from parts(
                    lambda size: self._read(answer, size, path, until), boundary, LARGEST_OBJECT
                )
            except Malformed as error:
                raise PeerBusy(f"{self}: the answer to {path} is cut off or wrong: {error}") from (
                    error
                )

    # inside ------------------------------------------------------------------------------

    def _open(self, path: str, accept: str, timeout_s: float) -> http.client.HTTPResponse:
        request = urllib.request.Request(f"{self._url}/{path}", headers={"Accept": accept})
        if self._authorization:
            request.add_unredirected_header("Authorization", self._authorization)
        answer: http.client.HTTPResponse = self._guarded(
            lambda: self._opener.open(request, timeout=timeout_s)
        )
        return answer

    def _read(self, answer: http.client.HTTPResponse, size: int, path: str, until: float) -> bytes:
        """What is there now, so that the time is looked at again before more is awaited."""
        if time.monotonic() > until:
            raise PeerBusy(f"{self}: {path} took too long")
        content: bytes = self._guarded(lambda: answer.read1(size))
        return content

    def _guarded(self, act: Callable[[], Any]) -> Any:
        try:
            return act()
        except urllib.error.HTTPError as error:
            raise self._error_of(error) from error
        except (urllib.error.URLError, TimeoutError, OSError, http.client.HTTPException) as error:
            why = getattr(error, "reason", None) or error
            if isinstance(why, ssl.SSLError):
                raise PeerRefused(
                    f"{self}: {why}. Check its certificate, and {self._section}.tls"
                ) from error
            raise PeerUnreachable(
                f"{self}: {why}. Check that it runs, its address, and the firewall between"
            ) from error
        except ValueError as error:
            raise PeerRefused(
                f"{self} is no address: {error}. See {self._section}.dicomweb_url"
            ) from error

    def _error_of(self, error: urllib.error.HTTPError) -> PeerError:
        error.close()
        said = f"{self} answered {error.code} {error.reason}"
        if error.code in _BUSY:
            return PeerBusy(f"{said}. It may answer later")
        setting = f"{self._section}.dicomweb_url"
        if error.code in (401, 403):
            return PeerRefused(f"{said}. Check user and password in {setting}")
        return PeerRefused(f"{said}. Check {setting}")
