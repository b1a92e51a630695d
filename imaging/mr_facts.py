"""What an MR image says of how it was made: the attributes that tell T1 from T2 from FLAIR."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Get = Callable[[str], Any]
"""A keyword's value from wherever it stands (data set, or functional groups); None: absent."""

_UNSAID = {"", "UNKNOWN", "MIXED", "NONE"}


@dataclass(frozen=True)
class MrFacts:
    """Attributes of PS3.3 C.8.3 (MR Image) or C.8.13 (Enhanced MR), as they stand.

    Times in ms, None where they are absent. ``inverted`` is None where nothing says it.
    """

    acquisition_contrast: str = ""
    """Of Enhanced MR (0008,9209): T1, T2, FLUID_ATTENUATED, DIFFUSION ..."""
    scanning_sequence: tuple[str, ...] = ()
    """SE, GR, IR, EP, RM (0018,0020)."""
    sequence_variant: tuple[str, ...] = ()
    """SP spoiled, SS steady state, MP prepared, TOF ... (0018,0021)."""
    sequence_name: str = ""
    """The maker's name of the pulse sequence (0018,0024) or (0018,9005)."""
    repetition_ms: float | None = None
    echo_ms: float | None = None
    inversion_ms: float | None = None
    inverted: bool | None = None


def read_facts(get: Get) -> MrFacts:
    """The facts of one image or frame; what can't be read as it should be counts as absent."""
    inversion = _number(get("InversionTime")) or _number(get("InversionTimes"))
    said = _text(get("InversionRecovery"))
    contrast = _text(get("AcquisitionContrast"))
    echo = _number(get("EffectiveEchoTime"))
    kinds = _texts(get("ScanningSequence"))
    pulse = _text(get("EchoPulseSequence"))
    if not kinds and pulse:
        kinds = {"SPIN": ("SE",), "GRADIENT": ("GR",), "BOTH": ("SE", "GR")}.get(pulse, ())
        kinds += ("EP",) if _text(get("EchoPlanarPulseSequence")) == "YES" else ()
    return MrFacts(
        acquisition_contrast="" if contrast in _UNSAID else contrast,
        scanning_sequence=kinds,
        sequence_variant=_texts(get("SequenceVariant")),
        sequence_name=_text(get("SequenceName")) or _text(get("PulseSequenceName")),
        repetition_ms=_number(get("RepetitionTime")),
        echo_ms=echo if echo is not None else _number(get("EchoTime")),
        inversion_ms=inversion or None,
        inverted={"YES": True, "NO": False}.get(said, True if inversion else None),
    )


def _listed(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return list(value) if hasattr(value, "__iter__") and not isinstance(value, str) else [value]


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(part).strip().upper() for part in _listed(value))


def _text(value: Any) -> str:
    return "/".join(_texts(value))


def _number(value: Any) -> float | None:
    try:
        return float(_listed(value)[0])
    except (IndexError, TypeError, ValueError):
        return None
