"""The weights of one fold, read without running what a pickle may hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.bundle.checkpoint import load_values
from models.errors import SpecError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Checkpoint:
    """What inference needs of a ``checkpoint_*.pth``.

    Args:
        weights: the network's state.
        trainer: class that trained it; it may change the architecture.
        configuration: key in the plans' configurations, e.g. ``3d_fullres``.
        mirror: axes of a patch along which test-time mirroring is allowed.
    """

    weights: dict[str, Tensor]
    trainer: str
    configuration: str
    mirror: tuple[int, ...]


def read_checkpoint(path: Path) -> Checkpoint:
    """Read one fold's checkpoint.

    nnU-Net writes its training log into it: numpy numbers, which are let in.

    Raises:
        SpecError: the file is missing, damaged, no checkpoint of nnU-Net v2, or would execute
            code.
    """
    return _checked(path, load_values(path))


def _checked(path: Path, values: Any) -> Checkpoint:
    try:
        weights = dict(values["network_weights"])
        trainer = str(values["trainer_name"])
        configuration = str(values["init_args"]["configuration"])
        mirror = values.get("inference_allowed_mirroring_axes")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SpecError(
            f"{path}: no checkpoint of nnU-Net v2 ({_first_line(error)} is missing or wrong)"
        ) from error
    # A trainer without mirroring writes None; one along every axis a tuple.
    return Checkpoint(weights, trainer, configuration, tuple(int(axis) for axis in mirror or ()))


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0]
