"""Weights and other saved values of a bundle, read so that nothing in them is executed.

``torch.save`` writes a pickle; ``weights_only`` reads tensors and plain containers from it
and refuses the rest. NumPy arrays (the search code of a DiNTS) are let in too: rebuilding an
array of numbers runs no code.
"""

from __future__ import annotations

import hashlib
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.errors import SpecError

_BLOCK = 1 << 20
_LOCK = threading.Lock()


def load_values(path: Path) -> Any:
    """What ``torch.save`` wrote, on the CPU.

    Raises:
        SpecError: no such file, not such a file, or one that would execute code.
    """
    import torch

    if not path.is_file():
        raise SpecError(f"{path}: no such file; add the bundle again, or put the file there")
    try:
        # safe_globals changes what the whole process lets in; one at a time, and not for long
        with _LOCK, torch.serialization.safe_globals(_numpy_globals()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = _wanted(path)
        if not wanted:
            raise SpecError(f"{path}: not a file of weights, or damaged ({error})") from None
        raise SpecError(
            f"{path}: the pickle would execute code: it names {', '.join(wanted)}. It was not "
            "loaded. Ask the authors for a file of weights alone (a state dict)"
        ) from None
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, AttributeError) as error:
        raise SpecError(f"{path}: not a file of weights, or damaged ({error})") from error


def sha256_of(path: Path, text: str = "") -> str:
    """SHA-256 over a file and what is said of it.

    Raises:
        SpecError: it can't be read.
    """
    found = hashlib.sha256(text.encode())
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                found.update(block)
    except OSError as error:
        raise SpecError(f"{path}: cannot be read ({error}); add the bundle again") from error
    return found.hexdigest()


def _numpy_globals() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """What a pickled array of numbers names, under NumPy 1's module name and NumPy 2's."""
    import numpy as np
    from numpy._core import multiarray

    found: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [np.ndarray, np.dtype]
    for function in (multiarray._reconstruct, multiarray.scalar):
        for home in ("numpy.core.multiarray", "numpy._core.multiarray"):
            found.append((function, f"{home}.{function.__name__}"))
    # object arrays stay out: what they hold would come from the pickle
    codes = "?bBhHiIlLqQefdFD"
    return found + sorted({type(np.dtype(code)) for code in codes}, key=lambda kind: kind.__name__)


def _wanted(path: Path) -> list[str]:
    """Names that the pickle calls for and that are not let in."""
    import torch

    try:
        found = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception as error:  # noqa: BLE001 - a hostile pickle breaks it anyhow; told
        return [f"something that can't be read ({type(error).__name__})"]
    return sorted(set(found))[:5]
