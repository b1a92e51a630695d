"""One lung lesion as the guidelines see it, with what is not known left open.

``Lesion`` is what the rules take. It is made from a measured finding and its comparisons, or
by hand for what no model measures (airway nodules, cysts, shape).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from imaging.finding import Finding
from imaging.guidelines.follow_up import ANY_TIMING, Timing, follow_up
from imaging.language import Text
from imaging.nodule import Margin, NoduleType
from imaging.priors.values import Comparison

TOUCHING_MM: Final = 1.0
"""A mask's edge nearer than this to pleura or fissure is taken to lie on it.

Ours, and strict: lying on the pleura can only lower a category.
"""


class Airway(StrEnum):
    """Where in the airways a nodule lies (Lung-RADS v2022)."""

    SUBSEGMENTAL = "subsegmental"
    PROXIMAL = "segmental or more proximal"


class Cyst(StrEnum):
    """A cyst by what Lung-RADS v2022 asks of it."""

    THIN_UNILOCULAR = "thin-walled, unilocular"
    THICK = "thick-walled"
    MULTILOCULAR = "multilocular"
    BECAME_MULTILOCULAR = "became multilocular"
    THICK_CAVITY_GREW = "thick-walled, its cavity grew"
    THICK_WALL_GREW = "thick-walled, its wall or a nodule in it grew"
    MULTILOCULAR_GREW = "multilocular, grew"
    MULTILOCULAR_DENSER = "multilocular, more loculi or more opacity"


class Lesion(BaseModel):
    """Sizes are unrounded mm and mm³; None and several ``timings`` mean: not known."""

    model_config = ConfigDict(frozen=True)

    number: int | None = Field(default=None, description="of the finding")
    type: NoduleType | None = None
    mean_mm: float | None = Field(default=None, description="mean diameter")
    volume_mm3: float | None = None
    solid_mm: float | None = Field(default=None, description="mean diameter of the solid part")
    solid_volume_mm3: float | None = None
    plane: str = Field(default="", description="in which the mean diameter was measured")
    spiculated: bool = Field(default=False, description="as measured; not confirmed by a reader")
    smooth: bool | None = None
    on_pleura: bool | None = Field(default=None, description="costal, mediastinal or a fissure")
    on_fissure: bool | None = None
    benign_shape: bool | None = Field(
        default=None, description="oval, lentiform or triangular, as the reader sees it"
    )
    airway: Airway | None = None
    cyst: Cyst | None = None
    timings: tuple[Timing, ...] = Field(default=ANY_TIMING, description="the possible ones")
    timing_told: Text | None = Field(default=None, description="what the timing was told from")
    days: int | None = Field(default=None, description="since the examination compared with")
    stable_days: int | None = Field(
        default=None, description="since the earliest examination in which it was as now"
    )
    prior_mm: float | None = Field(default=None, description="mean diameter then")
    prior_now_mm: float | None = Field(
        default=None, description="mean diameter now, measured the same way as ``prior_mm``"
    )
    doubled_in_a_year: bool = Field(default=False, description="its volume")

    @property
    def timing(self) -> Timing | None:
        """The timing where it is known."""
        return self.timings[0] if len(self.timings) == 1 else None

    @property
    def benign(self) -> bool:
        """Benign calcification or fat."""
        return self.type in (NoduleType.CALCIFIED, NoduleType.FAT)


def lesion_of(
    finding: Finding, comparisons: Sequence[Comparison] = (), earlier_ct: bool | None = None
) -> Lesion:
    """A finding with what became of it.

    Size is the mean diameter in the plane of the longest axis: Lung-RADS v2022 takes any plane
    that shows the true size, Fleischner (Bankier 2017, Radiology 285:584) the plane with the
    greatest dimension. A finding that was not described has the mean of its axial
    axes and no type.

    Args:
        finding: a nodule in the lung.
        comparisons: of the report, the latest first.
        earlier_ct: see :class:`Clinical`.
    """
    since = follow_up(finding, comparisons, earlier_ct)
    values: dict[str, object] = {
        "number": finding.number,
        "timings": since.timings,
        "timing_told": since.told,
        "days": since.days,
        "stable_days": since.stable_days,
        "prior_mm": since.prior_mm,
        "prior_now_mm": since.now_mm,
        "doubled_in_a_year": since.doubled_in_a_year,
    }
    nodule = finding.nodule
    if nodule is None:
        values |= {
            "mean_mm": (finding.long_axis_mm + finding.short_axis_mm) / 2,
            "volume_mm3": finding.volume_mm3,
            "plane": "axial",
        }
        return Lesion.model_validate(values)
    place = nodule.place
    # An unseen fissure leaves it open whether the nodule lies on one.
    on_fissure = None if place.fissure_mm is None else place.fissure_mm <= TOUCHING_MM
    on_wall = place.pleura_mm <= TOUCHING_MM
    core = nodule.solid_core
    values |= {
        "type": nodule.type,
        "mean_mm": nodule.largest.mean_mm,
        "plane": nodule.largest.plane,
        "volume_mm3": nodule.volume_mm3.value,
        "solid_mm": None if core is None else core.mean_mm,
        "spiculated": nodule.margin is Margin.SPICULATED,
        "smooth": nodule.margin is Margin.SMOOTH,
        "on_pleura": True if on_wall or on_fissure else on_fissure,
        "on_fissure": on_fissure,
    }
    return Lesion.model_validate(values)
