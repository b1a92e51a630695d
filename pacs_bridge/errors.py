"""What can go wrong between Preread and the world around it.

::

    BridgeError
    ├── SettingsError            the configuration can't be used (names key, value, remedy)
    ├── InboxError               an object can't be kept
    │   ├── Refused              it is not what the sender says, or not ours to take
    │   └── DiskFull             retryable: free space first
    ├── PeerError                another DICOM node (names AE, host, port, status)
    │   ├── PeerUnreachable      retryable
    │   ├── PeerRefused          it answered, and said no
    │   └── PeerBusy             retryable: out of resources, try again
    ├── LibraryError             a model can't be added or removed (names what and why)
    │   ├── DownloadFailed       retryable: the address refused, or the line stayed broken
    │   └── DownloadWrong        what came is not what was promised
    ├── UnknownStudy             asked for a study that is not here
    ├── WorkitemRefused          a request about a workitem that the standard has us refuse
    └── WrongState               asked for a step that the study's state doesn't allow

``retryable`` says whether the same call can succeed later with nothing changed here.
"""

from __future__ import annotations

from typing import ClassVar


class BridgeError(Exception):
    """Root of this package's errors."""

    retryable: ClassVar[bool] = False


class SettingsError(BridgeError):
    """The configuration can't be used; the message names key, value and remedy."""


class InboxError(BridgeError):
    """An object that was sent can't be kept."""


class Refused(InboxError):
    """The object is damaged, is not what the sender said, or breaks a rule of ours.

    Args:
        reason: what was found, with tag and value.
        status: the DIMSE status that tells the sender (PS3.4 B.2.3).
    """

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


class DiskFull(InboxError):
    """Too little room to keep the object safely; the sender is told 0xA700."""

    retryable = True


class PeerError(BridgeError):
    """Another DICOM node did not do what was asked; the message names it and its answer."""


class PeerUnreachable(PeerError):
    """No connection or no association in time."""

    retryable = True


class PeerRefused(PeerError):
    """The peer answered with a failure that trying again will not change."""


class PeerBusy(PeerError):
    """The peer said it lacks resources, or dropped the association midway."""

    retryable = True


class LibraryError(BridgeError):
    """A model can't be added or removed; the message names the file and the remedy."""


class DownloadFailed(LibraryError):
    """A file could not be fetched this time; what came of it is kept for the next."""

    retryable = True


class DownloadWrong(LibraryError):
    """The file that came is not the one that was promised; nothing of it was kept."""


class UnknownStudy(BridgeError):
    """No such study, revision or finding is held here."""


class WrongState(BridgeError):
    """The study's state doesn't allow this step; the message names both."""


class WorkitemRefused(BridgeError):
    """A request about a workitem that the standard has us refuse.

    Args:
        status: of HTTP.
        warning: the text that PS3.18 11 has for it.
        detail: more, for people; which attribute, which value.
        code: the DIMSE status that PS3.4 CC has for it.
    """

    def __init__(self, status: int, warning: str, detail: str = "", code: int = 0xC000) -> None:
        super().__init__(f"{warning} {detail}".strip())
        self.status = status
        self.warning = warning
        self.detail = detail
        self.code = code
