"""What can go wrong between voxels and findings.

::

    ModelError
    ├── SpecError            a model's folder or its preread.toml can't be used (names the key)
    ├── RuntimeMissing       the library or device that a model needs is not here
    ├── InferenceFailed      retryable: the network could not be run this time
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


class RuntimeMissing(ModelError):
    """The library or device that a model needs is not here; the message says how to mend it."""


class InferenceFailed(ModelError):
    """The network could not be run (out of memory, a device that went away)."""

    retryable = True


class InputRefused(ModelError):
    """The volume is not what the model is for.

    Args:
        reason: what people are told.
    """

    def __init__(self, reason: Notice) -> None:
        super().__init__(reason.text.en)
        self.reason = reason
