"""An object on its way out: what has to be negotiated for it, and how its sending went."""

from __future__ import annotations

import copy
import logging
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from pacs_bridge.errors import BridgeError
from pacs_bridge.identify import identify
from pacs_bridge.part10 import split_file

_log = logging.getLogger(__name__)

Compression = Literal["none", "pictures", "everything"]
"""As ``DestinationSettings.compression``."""

PICTURE_SYNTAXES = tuple(str(uid) for uid in (JPEGLSLossless, JPEG2000Lossless, RLELossless))
"""Lossless, the preferred one first: JPEG-LS is the smallest, and Orthanc shows it."""
DEFLATED = str(DeflatedExplicitVRLittleEndian)
_WORTHWHILE = 64 * 1024
"""Bytes; a smaller object is sent as it is."""
_CONVERTIBLE = (
    str(ExplicitVRLittleEndian),
    str(ImplicitVRLittleEndian),
    DEFLATED,
)


@dataclass(frozen=True)
class StoreOutcome:
    """How the sending of one object went."""

    sop_instance_uid: str
    status: int | None
    """DIMSE status; None: no answer came."""
    error: BridgeError | None = None
    """None: the peer has it. Its ``retryable`` says whether trying again can help."""
    note: str = ""
    """What the peer warned of, although it took the object."""


class Outgoing:
    """An object to send; its data set is read when its turn comes.

    ``error`` says why it can't be; ``syntax`` is its own transfer syntax, ``syntaxes`` are those
    it can be sent in, the preferred one first, ``smaller`` those of them in which it is smaller;
    ``size`` is in bytes.

    Args:
        source: a DICOM file, or a data set with its file meta information.
        compression: what is made smaller, without loss, where the receiver takes that.
    """

    def __init__(self, source: Path | Dataset, compression: Compression = "none") -> None:
        self._source = source
        self.error: BridgeError | None = None
        self.sop_class_uid = self.sop_instance_uid = ""
        self.size = 0
        self.syntax = ""
        if isinstance(source, Dataset):
            self.sop_class_uid = str(source.SOPClassUID)
            self.sop_instance_uid = str(source.SOPInstanceUID)
            self.syntax = str(source.file_meta.TransferSyntaxUID)
            self.size = sum(len(e.value) for e in source if isinstance(e.value, bytes))
        else:
            try:
                content = source.read_bytes()
                parts = split_file(content)
                identity = identify(parts.dataset, parts.transfer_syntax_uid)
            except OSError as error:
                self.error = BridgeError(f"{source} can't be read: {error}")
            except BridgeError as error:
                self.error = error
            else:
                self.sop_class_uid = identity.sop_class_uid
                self.sop_instance_uid = identity.sop_instance_uid
                self.syntax = parts.transfer_syntax_uid
                self.size = len(content)
        self.syntaxes: tuple[str, ...] = ()
        self.smaller: tuple[str, ...] = ()
        if self.error is None:
            self.smaller = self._made_smaller(compression)
            self.syntaxes = tuple(dict.fromkeys((*self.smaller, self.syntax, *_CONVERTIBLE[:2])))

    def dataset(self, accepted: Container[str] = ()) -> Dataset:
        """The data set, read now, in the first of ``syntaxes`` that is among ``accepted``.

        Raises:
            BridgeError: it is compressed in a way that can't be undone here.
        """
        for syntax in self.smaller:
            if syntax in accepted and (smaller := self.compressed(syntax)) is not None:
                return smaller
        dataset = self._source if isinstance(self._source, Dataset) else dcmread(self._source)
        if self.syntax in accepted or self.syntax in _CONVERTIBLE:
            return dataset
        if dataset is self._source:  # the caller's stays as it is
            dataset = copy.deepcopy(dataset)
        try:
            dataset.decompress(generate_instance_uid=False)
        except Exception as error:  # decoders raise anything over pixels that are none
            raise BridgeError(f"it can't be decompressed: {error}") from error
        return dataset

    def compressed(self, syntax: str) -> Dataset | None:
        """A data set of its own in one of the lossless syntaxes; None where that can't be made."""
        source = self._source
        dataset = copy.deepcopy(source) if isinstance(source, Dataset) else dcmread(source)
        if syntax == DEFLATED:  # whoever encodes it deflates it
            dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
            return dataset
        try:
            dataset.compress(syntax, generate_instance_uid=False)
        except Exception as error:  # noqa: BLE001 - encoders raise anything over odd pixels
            _log.warning("%s is not sent as %s: %s", self.sop_instance_uid, syntax, error)
            return None
        return dataset

    def _made_smaller(self, compression: Compression) -> tuple[str, ...]:
        if (
            compression == "none"
            or self.syntax != ExplicitVRLittleEndian
            or self.size < _WORTHWHILE
        ):
            return ()
        if self.sop_class_uid == SecondaryCaptureImageStorage:
            return PICTURE_SYNTAXES
        return (DEFLATED,) if compression == "everything" else ()

    def unsent(self, error: BridgeError | None) -> StoreOutcome:
        """The outcome of an object that got no answer."""
        return StoreOutcome(self.sop_instance_uid, None, error)
