"""What the page needs beyond the database: pictures, files, and the steps that follow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from imaging.report import Signature
from pacs_bridge.delivery.standing import DestinationState
from pacs_bridge.store import Reading
from pacs_bridge.workers.state import EngineState

ObjectKind = Literal[
    "SR", "SEG", "RTSTRUCT", "GSPS", "SC", "PDF", "report.html", "report.pdf", "findings.json"
]


class Studio(Protocol):
    """Given to the page by the composition root.

    Every method is called from threads, several at once. What it can't do it says with a
    ``BridgeError`` or an ``ImagingError``, which the page shows.
    """

    def key_image(self, reading: Reading, tracking_uid: str) -> bytes:
        """PNG of the finding's key slice with its outline drawn."""
        ...

    def why_picture(self, reading: Reading, tracking_uid: str) -> Path | None:
        """PNG of what made the model mark the finding; None where none was made."""
        ...

    def slice_image(self, reading: Reading, k: int, outlines: bool) -> bytes:
        """PNG of slice ``k`` of the analysed series, with or without the outlines on it."""
        ...

    def object_path(self, reading: Reading, kind: ObjectKind) -> Path | None:
        """The newest object of that kind; None while there is none. SC is a zip of several."""
        ...

    def sign(self, study_uid: str, revision: int, signature: Signature, who: str) -> None:
        """Sign (``store.sign``) and start making and delivering the final objects.

        Raises:
            UnknownStudy: no such report.
            WrongState: the reading no longer awaits a signature.
        """
        ...

    def begin_again(self, study_uid: str, revision: int, who: str) -> None:
        """Begin a reading that failed or was not analysed again (and enter it into the trail).

        Raises:
            UnknownStudy: no such reading.
            WrongState: the reading did not come to nothing.
        """
        ...

    def retry_delivery(self, sop_instance_uid: str, destination: str, who: str) -> None:
        """Try one delivery again at once, also after it was given up; record who asked.

        Raises:
            UnknownStudy: no such delivery.
        """
        ...

    def retry_destination(self, destination: str, who: str) -> int:
        """Try everything again that was given up on at a destination; how many that is.

        Raises:
            UnknownStudy: no such destination.
        """
        ...

    def set_aside(self, destination: str, sop_instance_uid: str, who: str, reason: str) -> int:
        """Say of one delivery that was given up on that it need not get there, or of all.

        Args:
            destination: where they did not get to.
            sop_instance_uid: of one object; empty: everything given up on there.
            who: says so; recorded, with the reason.
            reason: why.

        Returns:
            How many that is.

        Raises:
            UnknownStudy: no such delivery.
            WrongState: it was not given up on.
            BridgeError: no reason.
        """
        ...

    def destinations(self) -> Sequence[DestinationState]:
        """Where every destination stands."""
        ...

    def engine(self) -> EngineState:
        """How workers and models stand."""
        ...
