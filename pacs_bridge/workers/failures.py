"""Errors across the process boundary: what a worker raised, raised again in the server.

Exceptions with arguments of their own don't survive pickling; a :class:`Failure` does, and
gives back an error of the same class with the same message and attributes.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from imaging.errors import ImagingError
from models.errors import InferenceFailed, ModelError, OutOfMemory
from pacs_bridge.errors import BridgeError

_ROOTS: tuple[type[Exception], ...] = (ImagingError, ModelError, BridgeError)


class AnalysisFailed(BridgeError):
    """A worker met an error that nobody foresaw; its log holds the trace."""


class StudyKillsWorkers(BridgeError):
    """The worker process died twice over this study; it is not tried again by itself."""


class WorkerLost(InferenceFailed):
    """The worker process ended while it read the study."""


class ServerStops(BaseException):
    """The server ends while a study is read.

    No ``Exception``: nothing may take it for the study's failure. The step is not done and is
    begun again at the next start.
    """


@dataclass(frozen=True)
class Failure:
    """An error as it crosses.

    Attributes:
        kinds: the names of its class and of the classes above, nearest first.
        message: what it said.
        values: its attributes, as far as they can cross.
        trace: for the log.
    """

    kinds: tuple[str, ...]
    message: str
    values: dict[str, Any]
    trace: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """What is to be said of an error."""
        trace = "".join(traceback.format_exception(error))
        if isinstance(error, MemoryError):
            # Python's own: the machine, not the device, was short of memory.
            error = OutOfMemory("the worker had too little memory for the study")
        return cls(
            kinds=tuple(_name(kind) for kind in type(error).__mro__),
            message=str(error),
            values={name: value for name, value in vars(error).items() if _crosses(value)},
            trace=trace,
        )

    def error(self) -> Exception:
        """The same error, or one of the nearest class above that is known here.

        An ``OSError`` of any kind stays one; what is no error of this product becomes
        :class:`AnalysisFailed`.
        """
        known = {_name(kind): kind for kind in _known()}
        kind = next((known[name] for name in self.kinds if name in known), None)
        if kind is not None:
            # Not by calling it: its arguments are its own affair.
            error = kind.__new__(kind, self.message)
            error.args = (self.message,)
            vars(error).update(self.values)
            return error
        if _name(OSError) in self.kinds:
            return OSError(self.message)
        return AnalysisFailed(f"{self.kinds[0].rpartition('.')[2]}: {self.message}")


def _name(kind: type[BaseException]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _crosses(value: object) -> bool:
    try:
        pickle.dumps(value)
    except (pickle.PicklingError, TypeError, AttributeError):
        return False
    return True


def _known() -> Iterator[type[Exception]]:
    waiting: list[type[Exception]] = list(_ROOTS)
    while waiting:
        kind = waiting.pop()
        yield kind
        waiting += kind.__subclasses__()
