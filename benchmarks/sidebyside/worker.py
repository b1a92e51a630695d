"""One way in a process of its own, so that its memory and its threads are its own.

Two such processes take turns; the one that waits sleeps on its pipe.
"""

from __future__ import annotations

import multiprocessing
import sys
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from models.engine.footprint import peak_process_bytes


class Worker:
    """A process that holds one way, warm, and does what it is told.

    Args:
        way: ``monai`` or ``ours``.
        bundle: the model's folder.
        device: ``cpu`` or ``cuda:0``.
        how: runtime and precision of ours.
    """

    def __init__(self, way: str, bundle: Path, device: str, *how: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        args = (way, str(bundle), device, how, other)
        self._process = context.Process(target=_serve, args=args, daemon=True)
        self._process.start()
        other.close()
        self.runtime: str = self._answer()

    def run(self, study: Path, mask: Path) -> dict[str, Any]:
        """One study; ``total`` and ``seconds`` as :class:`Timed`, its mask in an ``.npy``."""
        return self._ask("run", str(study), str(mask))

    def seconds_of(self, what: str, studies: list[Path]) -> float:
        """``together`` or ``one_by_one`` of several studies (ours)."""
        return float(self._ask(what, [str(study) for study in studies]))

    def call(self, what: str, *arguments: Any) -> Any:
        """A measurement of its own: see :mod:`benchmarks.sidebyside.gpu`."""
        return self._ask(what, *arguments)

    def peak_bytes(self) -> dict[str, int]:
        """Greatest memory so far: ``host``, and ``device`` where PyTorch holds some."""
        answer: dict[str, int] = self._ask("peak")
        return answer

    def close(self) -> None:
        """End the process."""
        self._pipe.send(None)
        self._process.join(30)
        self._pipe.close()

    def _ask(self, *message: Any) -> Any:
        self._pipe.send(message)
        return self._answer()

    def _answer(self) -> Any:
        try:
            kind, value = self._pipe.recv()
        except EOFError:
            raise RuntimeError("the process of one way died") from None
        if kind == "error":
            raise RuntimeError(value)
        return value


def _serve(way: str, bundle: str, device: str, how: tuple[str, ...], pipe: Connection) -> None:
    # MONAI tells of its own deprecations on every run.
    warnings.simplefilter("ignore")
    try:
        actions = _actions(way, Path(bundle), device, how)
        pipe.send(("ready", actions.pop("runtime")()))
        while (message := pipe.recv()) is not None:
            what, *arguments = message
            pipe.send(("done", actions[what](*arguments)))
    except Exception as error:  # noqa: BLE001 - the process's boundary: the parent raises it
        pipe.send(("error", f"{way}: {type(error).__name__}: {error}"))


def _actions(
    way: str, bundle: Path, device: str, how: tuple[str, ...]
) -> dict[str, Callable[..., Any]]:
    from benchmarks.sidebyside import gpu

    actions: dict[str, Callable[..., Any]] = {"peak": _peak}
    if way == "monai":
        from benchmarks.sidebyside.monai_way import open_monai

        run = open_monai(bundle, device)
        actions["runtime"] = lambda: f"torch eager {device}{', AMP' if device != 'cpu' else ''}"
    else:
        from benchmarks.sidebyside.our_way import Ours

        ours = Ours(bundle, device, *how)
        run = ours.run
        actions["runtime"] = lambda: ours.runtime
        for what in ("together", "one_by_one"):
            actions[what] = lambda studies, what=what: getattr(ours, what)(list(map(Path, studies)))
        actions["profile"] = lambda study: gpu.profile(lambda: ours.run(Path(study)))
    actions["share of peak"] = lambda: gpu.share_of_peak(bundle, device)

    def one(study: str, mask: str) -> dict[str, Any]:
        timed = run(Path(study))
        np.save(mask, timed.mask)
        return {"total": timed.total, "seconds": timed.seconds}

    return actions | {"run": one}


def _peak() -> dict[str, int]:
    peak = {"host": peak_process_bytes()}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        peak["device"] = int(torch.cuda.max_memory_allocated())
    return peak
