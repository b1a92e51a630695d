"""Fetching from another DICOM node: C-MOVE to ourselves, or C-GET; bounded in time and size.

C-MOVE (PS3.4 C.4.2) names our AE title; the PACS looks our address up and sends to our listener
over an association of its own. C-GET (C.4.3) brings the objects over the association that asked:
nothing has to be known there but our AE title.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from pydicom.dataset import Dataset
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    EnhancedMRColorImageStorage,
    EnhancedMRImageStorage,
    EnhancedPETImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    LegacyConvertedEnhancedPETImageStorage,
    MRImageStorage,
    NuclearMedicineImageStorage,
    PositronEmissionTomographyImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
)
from pynetdicom import build_context, build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelGet as _GET,
)
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelMove as _MOVE,
)
from sqlalchemy.exc import SQLAlchemyError

from imaging.identity import derive_uid
from pacs_bridge.dimse.peer import Peer
from pacs_bridge.errors import BridgeError, PeerBusy, PeerError, PeerRefused

_MESSAGE = 1
_NO_STUDY = derive_uid("preread", "a study that nobody has")
_PENDING = (0xFF00, 0xFF01)
_CANCELLED = 0xFE00
_UNKNOWN_DESTINATION = 0xA801
FETCHED_CLASSES: dict[str, tuple[str, ...]] = {
    "CT": (
        CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage,
        SecondaryCaptureImageStorage,
    ),
    "MR": (
        MRImageStorage, EnhancedMRImageStorage, EnhancedMRColorImageStorage,
        LegacyConvertedEnhancedMRImageStorage, SecondaryCaptureImageStorage,
    ),
    "PT": (
        PositronEmissionTomographyImageStorage, EnhancedPETImageStorage,
        LegacyConvertedEnhancedPETImageStorage, SecondaryCaptureImageStorage,
    ),
    "NM": (NuclearMedicineImageStorage, SecondaryCaptureImageStorage),
}  # fmt: skip
"""Storage classes that we are the SCP of when C-GET brings a series, by its Modality, where the
archive does not say which it has. Dose screens are secondary captures in a CT series."""
FETCHED_SYNTAXES = (
    ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless,
    JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2K, RLELossless,
)  # fmt: skip
"""Transfer syntaxes that they may come in."""
_MOST_CLASSES = 127 // len(FETCHED_SYNTAXES)
"""An association has 128 presentation contexts (PS3.8 9.3.2.2), one of them for C-GET itself."""


class Keep(Protocol):
    """Keeps an object that came over C-GET; see :meth:`pacs_bridge.inbox.Inbox.receive`."""

    def __call__(
        self,
        encoded: bytes | memoryview,
        *,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
    ) -> object:
        """Raises a ``BridgeError`` where it can't be kept."""


@dataclass(frozen=True)
class Wanted:
    """What to fetch, and when to stop.

    Args:
        study_uid: StudyInstanceUID.
        series_uid: SeriesInstanceUID; None: the whole study.
        until: ``time.monotonic()`` after which nothing more is waited for.
        too_much: asked again and again; why fetching has to end, empty while it needn't.
        instance_uids: SOPInstanceUIDs of that series; empty: all of it.
        sop_classes: storage classes that may come over C-GET; the first
            nine of them: an association has no room for more.
        came: told again and again how many objects came.
    """

    study_uid: str
    series_uid: str | None
    until: float
    too_much: Callable[[int], str] = lambda images: ""
    instance_uids: tuple[str, ...] = ()
    sop_classes: tuple[str, ...] = FETCHED_CLASSES["CT"]
    came: Callable[[int], None] = lambda images: None

    @property
    def left_s(self) -> float:
        """Time that is left, at least a second: an answer under way is waited for."""
        return max(1.0, self.until - time.monotonic())

    def keys(self) -> Dataset:
        """The identifier of the request (PS3.4 C.4.2.1.4, C.4.3.1.3)."""
        keys = Dataset()
        keys.QueryRetrieveLevel = "STUDY" if self.series_uid is None else "SERIES"
        keys.StudyInstanceUID = self.study_uid
        if self.series_uid is not None:
            keys.SeriesInstanceUID = self.series_uid
        if self.instance_uids:
            keys.QueryRetrieveLevel = "IMAGE"
            keys.SOPInstanceUID = list(self.instance_uids)
        return keys


class UnknownHere(PeerRefused):
    """The node does not know our AE title as a destination: no C-MOVE will ever come."""


class Retriever(Peer):
    """A DICOM node that things are fetched from."""

    def move(self, wanted: Wanted) -> int:
        """C-MOVE to our own AE title; returns how many objects the node says it sent.

        Raises:
            PeerUnreachable, PeerRefused, PeerBusy: with the answer; also when not everything
                came, or not in time.
            UnknownHere: our AE title is no destination there.
        """
        with self._association([build_context(_MOVE)]) as association:
            self._patient(association, wanted)
            answers = association.send_c_move(wanted.keys(), self._our_ae, _MOVE, _MESSAGE)
            return self._follow(association, answers, wanted, "C-MOVE", _MOVE)

    def knows_us(self) -> bool:
        """Whether C-MOVE to our AE title is not refused for a destination that it doesn't know.

        Asked for a study that nobody has: whatever else it answers says nothing against us.

        Raises:
            PeerUnreachable, PeerRefused, PeerBusy: it can't be asked, or hangs up.
        """
        nothing = Wanted(_NO_STUDY, None, time.monotonic() + self._timeout_s)
        with self._association([build_context(_MOVE)]) as association:
            for answer, _ in association.send_c_move(nothing.keys(), self._our_ae, _MOVE):
                if "Status" not in answer:
                    raise PeerBusy(f"{self} did not answer C-MOVE in time, or hung up")
                if answer.Status == _UNKNOWN_DESTINATION:
                    return False
        return True

    def get(self, wanted: Wanted, keep: Keep) -> int:
        """C-GET; returns how many objects came.

        Args:
            wanted: what.
            keep: called with each object before the node is told that it is safe.

        Raises:
            PeerUnreachable, PeerRefused, PeerBusy: as :meth:`move`.
            BridgeError, OSError, SQLAlchemyError: the first that ``keep`` raised.
        """
        failures: list[Exception] = []

        def store(event: evt.Event) -> int:
            request: Any = event.request
            try:
                keep(
                    event.encoded_dataset(include_meta=False),
                    sop_class_uid=str(request.AffectedSOPClassUID or ""),
                    sop_instance_uid=str(request.AffectedSOPInstanceUID or ""),
                    transfer_syntax_uid=str(event.context.transfer_syntax),
                )
            except (BridgeError, OSError, SQLAlchemyError) as error:
                failures.append(error)
                return 0xA700
            return 0x0000

        kinds = wanted.sop_classes[:_MOST_CLASSES]
        contexts = [build_context(_GET)]
        contexts += [build_context(kind, [each]) for kind in kinds for each in FETCHED_SYNTAXES]
        roles = [build_role(kind, scp_role=True) for kind in kinds]
        handlers = [(evt.EVT_C_STORE, store)]
        with self._association(contexts, roles, handlers) as association:
            self._patient(association, wanted)
            answers = association.send_c_get(wanted.keys(), _GET, _MESSAGE)
            try:
                done = self._follow(association, answers, wanted, "C-GET", _GET)
            except PeerError as error:
                if failures:  # the node did what it was asked, we did not
                    raise failures[0] from error
                raise
            if failures:  # not every node counts what was refused
                raise failures[0]
            return done

    def _patient(self, association: Association, wanted: Wanted) -> None:
        """Between two answers the node may be silent for as long as there is time."""
        association.dimse_timeout = association.network_timeout = wanted.left_s

    def _follow(
        self, association: Association, answers: Any, wanted: Wanted, what: str, model: str
    ) -> int:
        """Go through the answers to the last one.

        ============== =================================================================
        status         meaning (PS3.4 C.4.2.1.5, C.4.3.1.4)
        ============== =================================================================
        0xFF00, 0xFF01 pending: so many sub-operations are done, so many are left
        0x0000         all done
        0xB000         done, and some failed
        0xFE00         cancelled, by us: too late or too much
        0xA801         it doesn't know our AE title (C-MOVE)
        no answer      time-out, or the association was dropped
        all others     as in :meth:`Peer._error_of`
        ============== =================================================================
        """
        why = ""
        for answer, _ in answers:
            if "Status" in answer and answer.Status in _PENDING:
                done = _count(answer, "NumberOfCompletedSuboperations")
                if why:
                    association.abort()  # it was told, and goes on
                    raise PeerBusy(f"{self}: {why}")
                wanted.came(done)
                left = _count(answer, "NumberOfRemainingSuboperations")
                why = wanted.too_much(done + left)
                if not why and time.monotonic() > wanted.until:
                    why = f"{what} took too long, {left} objects were still to come"
                if why:
                    association.send_c_cancel(_MESSAGE, query_model=model)
                else:
                    self._patient(association, wanted)
                continue
            return self._finished(answer, what, why)
        raise PeerBusy(f"{self} ended {what} without an answer")

    def _finished(self, answer: Dataset, what: str, why: str) -> int:
        if why:
            raise PeerBusy(f"{self}: {why}")
        status = int(answer.Status) if "Status" in answer else None
        if status is None:
            raise PeerBusy(f"{self} did not finish {what} in time, or hung up")
        done = _count(answer, "NumberOfCompletedSuboperations")
        failed = _count(answer, "NumberOfFailedSuboperations")
        if status == _UNKNOWN_DESTINATION:
            raise UnknownHere(
                f"{self} answered {what} with 0x{status:04X}: it does not know {self._our_ae} as a "
                "destination. Enter our AE title, address and port there, or set method to c-get "
                'in [priors] or the [[pull]] rule, or priors.find to "store"'
            )
        error = self._error_of(answer, what)
        if error is not None:
            raise error
        if failed:
            raise PeerBusy(f"{self}: {what} brought {done} objects, {failed} failed")
        return done


def _count(answer: Dataset, keyword: str) -> int:
    value = answer.get(keyword)
    return int(value) if value else 0
