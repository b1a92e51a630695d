"""Which destinations the results of a reading go to, and why not to the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pacs_bridge.settings import DestinationSettings


@dataclass(frozen=True)
class Origin:
    """Where a reading's images come from, as their headers and their sender say it."""

    sending_ae: str = ""
    institutions: tuple[str, ...] = ()
    """InstitutionName (0008,0080)."""
    modalities: tuple[str, ...] = ()
    body_parts: tuple[str, ...] = ()
    """BodyPartExamined (0018,0015); nothing where the images do not say."""
    descriptions: tuple[str, ...] = ()
    """Of series, protocol and study: where the body part is not said, it may stand there."""


@dataclass(frozen=True)
class Outcome:
    """What a reading came to, as far as it decides where it goes."""

    positive: bool = False
    """A finding stands."""
    urgent: bool = False
    """A model with a validated operating point flagged it, and no reader took that back."""


def why_not(
    destination: DestinationSettings, origin: Origin, outcome: Outcome, *, told: bool
) -> str:
    """Why the results do not go to ``destination``; empty: they do.

    Args:
        destination: with its rules.
        origin: of the images.
        outcome: of the reading.
        told: it was sent something of this study before, so that what it came to goes there too.
    """
    rules = (
        ("sent by", destination.from_ae_titles, (origin.sending_ae,)),
        ("institution", destination.institutions, origin.institutions),
        ("modality", destination.modalities, origin.modalities),
        ("body part", destination.body_parts, origin.body_parts),
    )
    for what, wanted, found in rules:
        if not wanted or _any_matches(wanted, found):
            continue
        if what == "body part" and not found:
            described = [f"*{pattern.strip()}*" for pattern in wanted]
            if _any_matches(described, origin.descriptions):
                continue
        said = ", ".join(filter(None, found)) or "not said"
        return f"{what} {said}, not {' or '.join(wanted)}"
    if destination.studies == "positive" and not (outcome.positive or outcome.urgent or told):
        return "nothing found"
    if destination.studies == "urgent" and not (outcome.urgent or told):
        return "not urgent"
    return ""


def _any_matches(patterns: Sequence[str], values: Iterable[str]) -> bool:
    folded = [value.strip().casefold() for value in values]
    # Of what fnmatch knows, the settings promise * and ? alone: a bracket stands for itself.
    wanted = [pattern.strip().casefold().replace("[", "[[]") for pattern in patterns]
    return any(fnmatchcase(value, pattern) for pattern in wanted for value in folded)
