"""An object on its way out: what has to be negotiated for it, and how its sending went."""

from __future__ import annotations

import copy
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from pacs_bridge.errors import BridgeError
from pacs_bridge.identify import identify
from pacs_bridge.part10 import split_file

_CONVERTIBLE = (
    str(ExplicitVRLittleEndian),
    str(ImplicitVRLittleEndian),
    str(DeflatedExplicitVRLittleEndian),
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

    ``error`` says why it can't be; ``syntaxes`` are the transfer syntaxes it can be sent in,
    its own first; ``size`` is in bytes.

    Args:
        source: a DICOM file, or a data set with its file meta information.
    """

    def __init__(self, source: Path | Dataset) -> None:
        self._source = source
        self.error: BridgeError | None = None
        self.sop_class_uid = self.sop_instance_uid = ""
        self.size = 0
        syntax = ""
        if isinstance(source, Dataset):
            self.sop_class_uid = str(source.SOPClassUID)
            self.sop_instance_uid = str(source.SOPInstanceUID)
            syntax = str(source.file_meta.TransferSyntaxUID)
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
                syntax = parts.transfer_syntax_uid
                self.size = len(content)
        self.syntaxes: tuple[str, ...] = ()
        if self.error is None:
            self.syntaxes = tuple(dict.fromkeys((syntax, *_CONVERTIBLE[:2])))

    def dataset(self, accepted: Container[str] = ()) -> Dataset:
        """The data set, read now; decompressed where its own syntax is not among ``accepted``.

        Raises:
            BridgeError: it is compressed in a way that can't be undone here.
        """
        own = self.syntaxes[0]
        given = isinstance(self._source, Dataset)
        dataset = self._source if isinstance(self._source, Dataset) else dcmread(self._source)
        if own in accepted or own in _CONVERTIBLE:
            return dataset
        if given:  # the caller's stays as it is
            dataset = copy.deepcopy(dataset)
        try:
            dataset.decompress(generate_instance_uid=False)
        except Exception as error:  # decoders raise anything over pixels that are none
            raise BridgeError(f"it can't be decompressed: {error}") from error
        return dataset

    def unsent(self, error: BridgeError | None) -> StoreOutcome:
        """The outcome of an object that got no answer."""
        return StoreOutcome(self.sop_instance_uid, None, error)
