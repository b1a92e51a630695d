"""Contact with a vessel in bands and in words; the names of parts and vessels beside it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from imaging.guidelines.pancreas_values import Degrees
from imaging.guidelines.rounding import to_tenth, to_whole
from imaging.language import Text
from imaging.pancreatic import Vessel
from imaging.pancreatic_names import MEASURED_ATTENUATIONS as MEASURED_ATTENUATIONS
from imaging.pancreatic_names import PARTS as PARTS
from imaging.pancreatic_names import PHASES as PHASES
from imaging.pancreatic_names import VESSELS as VESSELS

ARTERIES: Final = (Vessel.SMA, Vessel.COELIAC, Vessel.CHA)
VEINS: Final = (Vessel.SMV, Vessel.PV)
CONTACTS: Final[dict[Degrees, Text]] = {
    "none": Text(en="no contact", zh="无接触"),
    "up-to-180": Text(en="contact of 180° or less", zh="接触 ≤180°"),
    "over-180": Text(en="contact of more than 180°", zh="接触 >180°"),
}


UNSURE_DEGREES: Final = 30
"""A measured contact this near to a limit of the bands may lie on either side of it: both masks
are drawn by networks (see :mod:`imaging.pancreas.contact`)."""


def bands(degrees: float) -> tuple[Degrees, ...]:
    """The published bands that a measured contact may come to, the least first.

    Args:
        degrees: of the circumference; counted as a person would read the figure.

    Raises:
        ValueError: the figure is no part of a circle.
    """
    whole = to_whole(degrees)
    if not 0 <= whole <= 360:
        raise ValueError(f"A contact of {degrees} degrees; it must lie between 0 and 360.")
    if whole == 0:
        return ("none",)
    if whole < UNSURE_DEGREES:
        return ("none", "up-to-180")
    if whole < 180 - UNSURE_DEGREES:
        return ("up-to-180",)
    return ("up-to-180", "over-180") if whole <= 180 + UNSURE_DEGREES else ("over-180",)


def measured_contact(degrees: float, length_mm: float | None) -> Text:
    """``contact of 40° over 8.0 mm``."""
    if bands(degrees) == ("none",):
        return CONTACTS["none"]
    angle = f"{to_whole(degrees)}°"
    if length_mm is None:
        return Text(en=f"contact of {angle}", zh=f"接触 {angle}")
    along = f"{to_tenth(length_mm):.1f} mm"
    return Text(en=f"contact of {angle} over {along}", zh=f"接触 {angle}，长约 {along}")


def listed(texts: Iterable[Text]) -> Text:
    """``A, B and C``; ``A、B和C`` in Chinese."""
    every = list(texts)
    if len(every) < 2:
        return every[0] if every else Text.same("")
    first, last = every[:-1], every[-1]
    return Text(
        en=f"{', '.join(t.en for t in first)} and {last.en}",
        zh=f"{'、'.join(t.zh for t in first)}和{last.zh}",
    )
