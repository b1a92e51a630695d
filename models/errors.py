"""What can go wrong between voxels and findings.

::

    ModelError
    ├── SpecError            a model's folder or its preread.toml can't be used (names the key)
    │   └── CodeRefused      a bundle wants Python of its own run; --trust-code allows it
    ├── RuntimeMissing       the library or device that a model needs is not here
    ├── DatasetError         labelled images for an evaluation can't be used (names the file)
    ├── PrecisionRefused     a reduced precision that no evaluation has let through
    ├── InferenceFailed      retryable: the network could not be run this time
    │   ├── OutOfMemory      the device had no room for this batch
    │   ├── EndpointFailed   a Triton server answered late, wrongly or not at all
    │   └── SessionClosed    the study or the engine was stopped while the patch waited
    ├── PatchRefused         one study's patch is poisoned (NaN, wrong shape); no other suffers
    └── InputRefused         this volume is not what the model is for; carries the notice

``retryable`` says whether the same call can succeed later with nothing changed here.
"""

from __future__ import annotations

from typing import ClassVar

from imaging.notices import Notice


class ModelError(Exception):
    """Root of this package's errors."""

    retryable: ClassVar[bool] = False


class SpecError(ModelError):
    """A model's folder or its ``preread.toml`` can't be used."""


class CodeRefused(SpecError):
    """A bundle names Python that is somebody's own; the message names it and ``--trust-code``."""


class RuntimeMissing(ModelError):
    """The library or device that a model needs is not here; the message says how to mend it."""


class DatasetError(ModelError):
    """Labelled images can't be used; the message names the file and what is wrong with it."""


class PrecisionRefused(ModelError):
    """A reduced precision has not passed ``preread models evaluate``; the message says how."""


class InferenceFailed(ModelError):
    """The network could not be run (a device that went away, an endpoint that is down)."""

    retryable = True


class OutOfMemory(InferenceFailed):
    """The device had no room for the batch; a smaller one may pass."""


class EndpointFailed(InferenceFailed):
    """A Triton server answered late, wrongly or not at all; the message names it."""


class SessionClosed(InferenceFailed):
    """The study was given up or the engine stopped while the patch (or the study) waited."""


class PatchRefused(ModelError):
    """A patch can't be run and never will (not finite, wrong shape); only its study fails."""


class InputRefused(ModelError):
    """The volume is not what the model is for.

    Args:
        reason: what people are told.
    """

    def __init__(self, reason: Notice) -> None:
        super().__init__(reason.text.en)
        self.reason = reason
