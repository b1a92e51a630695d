"""A large file over HTTP that arrives whole, however often the line breaks.

MONAI's own ``download_url`` begins again at every break; model weights of a gigabyte over a thin
line need more. What has come stays in ``NAME.part`` with a note of where it is from
(``NAME.part.json``), and the next attempt, or the next run, asks for the rest::

    Range: bytes=N-, If-Range: ETag
      206  the rest is appended
      200  the server can't resume, or its file has changed: begin again
      416  N is the whole length: it was complete already
    404, 401, 403, ...   refused, not tried again
    408, 429, 5xx, a broken line, silence   tried again after 1, 2, 4, ... s

Only when size and hash are right does the file get its name.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import json
import logging
import re
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pacs_bridge.errors import DownloadFailed, DownloadWrong

log = logging.getLogger(__name__)

BLOCK = 1 << 18
FREE_AFTERWARDS = 1 << 29
"""Bytes that must stay free on the disk when the file is there."""
_AGAIN = {408, 425, 429}
_OTHERWISE = (
    "bring the file another way: `preread models pull NAME --from FILE_OR_URL`, or "
    "`preread models add FILE`"
)

HashKind = Literal["md5", "sha1", "sha256", "sha512"]
NAMELESS_ATTEMPTS = 3
"""Where the host's name can't be found."""
Progress = Callable[[int, int | None], None]
"""Called with the bytes that are here and the bytes there will be (None: not said)."""


@dataclass(frozen=True)
class Digest:
    """A hash that a file must have."""

    kind: HashKind
    value: str

    def of(self, path: Path) -> str:
        """The file's own, in hexadecimal."""
        with path.open("rb") as file:
            # md5 and sha1 are what publishers give; they guard against damage, not forgery.
            return hashlib.file_digest(
                file, lambda: hashlib.new(self.kind, usedforsecurity=False)
            ).hexdigest()

    def check(self, path: Path, whence: str) -> None:
        """Compare.

        Raises:
            DownloadWrong: it is another file; the message says both hashes.
        """
        found = self.of(path)
        if found != self.value.lower():
            raise DownloadWrong(
                f"{whence}: {self.kind} is {found}, but {self.value} was promised: not the file "
                "that was published, or damaged on the way. It is not used; try again, and if it "
                f"stays so, {_OTHERWISE}"
            )


@dataclass(frozen=True)
class Patience:
    """How long to try.

    Args:
        attempts: in a row without a single new byte.
        first_wait_s: after the first failure; doubles each time.
        longest_wait_s: where the doubling stops, and the most that a Retry-After is obeyed.
        silence_s: no byte for this long is a failure.
    """

    attempts: int = 6
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    silence_s: float = 30.0


def is_address(text: str) -> bool:
    """Whether it is an http(s) address rather than a path."""
    return urllib.parse.urlsplit(text).scheme in ("http", "https")


def fetch(
    url: str,
    target: Path,
    *,
    digest: Digest | None = None,
    progress: Progress = lambda here, whole: None,
    patience: Patience = Patience(),
) -> Path:
    """Bring the file at ``url`` to ``target``, going on where an earlier run stopped.

    Raises:
        DownloadFailed: refused, or the line stayed broken; what came is kept for the next run.
        DownloadWrong: the file that came is not the one promised; nothing is kept.
    """
    if not is_address(url):
        raise DownloadFailed(f"{url}: an address must begin with http:// or https://")
    target.parent.mkdir(parents=True, exist_ok=True)
    transfer = _Transfer(url, target, progress, patience, hashed=digest is not None)
    again = transfer.resumes
    while True:
        transfer.run()
        try:
            if digest is not None:
                digest.check(transfer.part, url)
        except DownloadWrong:
            transfer.forget()
            # What an earlier run left may belong to another version of the file: once more, whole.
            if not again:
                raise
            again = False
            continue
        transfer.part.replace(target)
        transfer.forget()
        return target


class _Transfer:
    """The bytes of one file, and the note beside them."""

    def __init__(
        self, url: str, target: Path, progress: Progress, patience: Patience, *, hashed: bool
    ) -> None:
        self.url = url
        self.part = target.with_name(target.name + ".part")
        self._note = target.with_name(target.name + ".part.json")
        self._progress = progress
        self._patience = patience
        self._hashed = hashed
        if self._read_note().get("url") != url:
            self.forget()

    @property
    def here(self) -> int:
        """Bytes that have come."""
        return self.part.stat().st_size if self.part.exists() else 0

    @property
    def resumes(self) -> bool:
        """Whether an earlier run left something that can be gone on with."""
        return self.here > 0

    def forget(self) -> None:
        """Drop what came."""
        self.part.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def run(self) -> None:
        """Attempts until the file is whole."""
        failures, most = 0, self._patience.attempts
        while True:
            before = self.here
            wait = 0.0
            try:
                if self._attempt():
                    return
                why = f"the line broke after {self.here} bytes"
            except urllib.error.HTTPError as error:
                why = f"HTTP {error.code} {error.reason}"
                if error.code not in _AGAIN and error.code < 500:
                    raise DownloadFailed(f"{self.url}: {why}; {_remedy(error.code)}") from error
                wait = _retry_after(error.headers.get("Retry-After"))
            except (OSError, http.client.HTTPException) as error:
                self._give_up_on(error)
                why = str(getattr(error, "reason", "") or error) or type(error).__name__
                if isinstance(getattr(error, "reason", None), socket.gaierror):
                    # No network at all, most likely: people should not wait for it.
                    most = min(most, NAMELESS_ATTEMPTS)
            failures = 1 if self.here > before else failures + 1
            if failures >= most:
                raise DownloadFailed(
                    f"{self.url}: {why}; tried {failures} times. {self.here} bytes are kept: run "
                    f"the same command again to go on, or {_OTHERWISE}"
                )
            grown = self._patience.first_wait_s * 2 ** (failures - 1)
            wait = min(max(wait, grown), self._patience.longest_wait_s)
            log.warning("%s: %s; again in %.0f s", self.url, why, wait)
            time.sleep(wait)

    def _attempt(self) -> bool:
        """One request; whether the file is whole now."""
        note = self._read_note()
        # Without a mark of the version or a hash to check at the end, two versions could mix.
        if self.here and not (note.get("mark") or self._hashed):
            self.forget()
        headers = {"Accept-Encoding": "identity", "User-Agent": "preread"}
        if self.here:
            headers["Range"] = f"bytes={self.here}-"
            if note.get("mark"):
                headers["If-Range"] = note["mark"]
        request = urllib.request.Request(self.url, headers=headers)
        try:
            answer = urllib.request.urlopen(request, timeout=self._patience.silence_s)
        except urllib.error.HTTPError as error:
            if error.code == 416 and self.here:
                if _length_of_range(error.headers.get("Content-Range")) == self.here:
                    return True
                self.forget()
                return False
            raise
        with answer:
            return self._receive(answer)

    def _receive(self, answer: Any) -> bool:
        appending = answer.status == 206
        if appending and _start_of_range(answer.headers.get("Content-Range")) != self.here:
            self.forget()
            return False
        if not appending:
            self.part.unlink(missing_ok=True)
        length = answer.headers.get("Content-Length")
        whole = self.here + int(length) if length and length.isdigit() else None
        if appending and whole is None:
            whole = _length_of_range(answer.headers.get("Content-Range"))
        self._write_note(answer.headers)
        self._check_room(0 if whole is None else whole - self.here)
        self._progress(self.here, whole)
        with self.part.open("ab") as file:
            here = file.tell()
            while block := answer.read1(BLOCK):
                file.write(block)
                here += len(block)
                self._progress(here, whole)
        if whole is not None and here > whole:
            self.forget()
            return False
        return whole is None or here == whole

    def _give_up_on(self, error: Exception) -> None:
        """Raise for what trying again will not mend."""
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DownloadFailed(
                f"{self.part}: the disk is full after {self.here} bytes; make room and run the "
                "same command again to go on"
            ) from error
        if isinstance(getattr(error, "reason", error), ssl.SSLCertVerificationError):
            raise DownloadFailed(
                f"{self.url}: its certificate is not trusted here ({error}); install your site's "
                f"root certificate (SSL_CERT_FILE), or {_OTHERWISE}"
            ) from error

    def _check_room(self, coming: int) -> None:
        free = shutil.disk_usage(self.part.parent).free
        if free < coming + FREE_AFTERWARDS:
            raise DownloadFailed(
                f"{self.part.parent}: {free / 2**30:.1f} GB free, but {coming / 2**30:.1f} GB are "
                "coming; make room, or choose another disk with models.folder"
            )

    def _read_note(self) -> dict[str, Any]:
        # A note that was cut short is no note: the download begins again.
        with contextlib.suppress(OSError, ValueError):
            note = json.loads(self._note.read_text(encoding="utf-8"))
            if isinstance(note, dict):
                return note
        return {}

    def _write_note(self, headers: Any) -> None:
        tag = headers.get("ETag") or ""
        # A weak tag is no promise that the bytes are the same (RFC 9110, 13.1.5).
        mark = tag if tag.startswith('"') else headers.get("Last-Modified") or ""
        note = {"url": self.url, "mark": mark}
        self._note.write_text(json.dumps(note), encoding="utf-8")


def _start_of_range(header: str | None) -> int | None:
    found = re.match(r"bytes (\d+)-", header or "")
    return int(found[1]) if found else None


def _length_of_range(header: str | None) -> int | None:
    found = re.match(r"bytes [^/]*/(\d+)$", header or "")
    return int(found[1]) if found else None


def _retry_after(header: str | None) -> float:
    return float(header) if header and header.strip().isdigit() else 0.0


def _remedy(status: int) -> str:
    if status in (401, 403, 407):
        return f"ask who runs it for access, or {_OTHERWISE}"
    return f"check the address, or {_OTHERWISE}"
