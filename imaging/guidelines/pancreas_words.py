"""What the parts, vessels and appearances of a pancreas are called, in both languages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from imaging.guidelines.pancreas_values import Degrees
from imaging.guidelines.rounding import to_tenth, to_whole
from imaging.language import Text
from imaging.pancreatic import Attenuation, Part, Phase, Vessel

PARTS: Final[dict[Part, Text]] = {
    Part.HEAD: Text(en="head", zh="胰头"),
    Part.UNCINATE: Text(en="uncinate process", zh="胰腺钩突"),
    Part.NECK: Text(en="neck", zh="胰颈"),
    Part.BODY: Text(en="body", zh="胰体"),
    Part.TAIL: Text(en="tail", zh="胰尾"),
}
VESSELS: Final[dict[Vessel, Text]] = {
    Vessel.SMA: Text(en="superior mesenteric artery", zh="肠系膜上动脉"),
    Vessel.COELIAC: Text(en="coeliac axis", zh="腹腔干"),
    Vessel.CHA: Text(en="common hepatic artery", zh="肝总动脉"),
    Vessel.SMV: Text(en="superior mesenteric vein", zh="肠系膜上静脉"),
    Vessel.PV: Text(en="portal vein", zh="门静脉"),
}
ARTERIES: Final = (Vessel.SMA, Vessel.COELIAC, Vessel.CHA)
VEINS: Final = (Vessel.SMV, Vessel.PV)
PHASES: Final[dict[Phase, Text]] = {
    Phase.PLAIN: Text(en="unenhanced", zh="平扫"),
    Phase.ARTERIAL: Text(en="arterial or pancreatic phase", zh="动脉期或胰腺期"),
    Phase.PORTAL: Text(en="portal-venous phase", zh="门静脉期"),
    Phase.UNKNOWN: Text(en="phase not known", zh="期相不明"),
}
ATTENUATIONS: Final[dict[Attenuation, Text]] = {
    Attenuation.HYPO: Text(en="hypoattenuating", zh="低密度"),
    Attenuation.ISO: Text(en="isoattenuating", zh="等密度"),
    Attenuation.HYPER: Text(en="hyperattenuating", zh="高密度"),
    Attenuation.CYSTIC: Text(en="cystic", zh="囊性"),
}
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
