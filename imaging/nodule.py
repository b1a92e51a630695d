"""What is known of one lung nodule beyond its axes: density, type, shape, place, hints.

Values only; ``imaging.character`` measures, ``imaging.lobes`` locates, ``models.character`` hints.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from imaging.language import Text


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class NoduleType(StrEnum):
    """What a nodule is made of, as Fleischner 2017 and Lung-RADS 2022 divide them."""

    SOLID = "solid"
    PART_SOLID = "part-solid"
    GROUND_GLASS = "ground-glass"
    CALCIFIED = "calcified"
    FAT = "fat-containing"


class Margin(StrEnum):
    """How a nodule's border runs (RadLex margin descriptors)."""

    SMOOTH = "smooth"
    LOBULATED = "lobulated"
    SPICULATED = "spiculated"
    ILL_DEFINED = "ill-defined"


class Side(StrEnum):
    """Which lung, the patient's own side."""

    RIGHT = "right"
    LEFT = "left"


class Third(StrEnum):
    """Which third of its lung's height."""

    UPPER = "upper"
    MIDDLE = "middle"
    LOWER = "lower"


class Lobe(StrEnum):
    """Which lobe."""

    RIGHT_UPPER = "right-upper"
    RIGHT_MIDDLE = "right-middle"
    RIGHT_LOWER = "right-lower"
    LEFT_UPPER = "left-upper"
    LEFT_LOWER = "left-lower"


class Diameters(_Value):
    """Axes in one plane, Fleischner rule (Bankier 2017, Radiology 285:584).

    Long axis, the longest perpendicular to it in the same slice, and their mean; mm.
    """

    long_mm: float
    short_mm: float
    mean_mm: float
    plane: str = Field(description="axial, coronal or sagittal of the source grid")


class Interval(_Value):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


class Calcification(_Value):
    """Calcium in a nodule. Diffuse and central calcium are benign patterns, eccentric is not."""

    pattern: Literal["diffuse", "central", "eccentric"]
    volume_mm3: float
    share: float = Field(description="of the solid part's inside, 0 to 1")


class Density(_Value):
    """HU over the mask; the core leaves out the edge, whose partial volume drags the mean."""

    mean_hu: float
    sd_hu: float
    p5_hu: float
    p25_hu: float
    median_hu: float
    p75_hu: float
    p95_hu: float
    core_mean_hu: float | None = Field(
        default=None, description="mean of the mask's inside; None where there is no inside"
    )


class Place(_Value):
    """Where in the lungs. ``lobe`` and what follows from it are None where they are not sure."""

    side: Side
    third: Third
    lobe: Lobe | None = None
    lobe_why: Text = Field(description="what the lobe was told from, or why it was not told")
    segment: str | None = Field(default=None, description="only where sure, e.g. 'S6'")
    pleura_mm: float = Field(description="from the mask's edge to costal or mediastinal pleura")
    fissure_mm: float | None = Field(default=None, description="from the mask's edge; None: unseen")
    subpleural: bool = Field(description="within 10 mm of the pleura or touching it")


class Hint(_Value):
    """How likely malignancy is, by one named method; never by itself a diagnosis.

    ``probability`` is None where inputs are missing; ``missing`` names them.
    """

    method: str = Field(description="'lidc-rating' or 'brock'")
    title: Text
    probability: float | None = None
    low: float | None = None
    high: float | None = None
    inputs: tuple[tuple[Text, Text], ...] = Field(default=(), description="name, value used")
    missing: tuple[Text, ...] = ()
    meaning: Text = Field(description="what this number is and is not")


class Nodule(_Value):
    """One lung nodule, described. Lengths mm, volumes mm³, mass mg, density HU."""

    type: NoduleType
    type_why: Text = Field(description="the measurements that decided the type")
    axial: Diameters
    largest: Diameters = Field(description="in the plane where the long axis is longest")
    solid_core: Diameters | None = Field(
        default=None, description="part-solid: the solid part, in its own largest axial slice"
    )
    calcification: Calcification | None = Field(
        default=None, description="above 200 HU; the type is calcified only in benign patterns"
    )
    volume_mm3: Interval
    mass_mg: float = Field(
        description="volume x (mean HU + 1000) / 1000, the mean over what is at least half nodule"
    )
    density: Density
    sphericity: float = Field(description="0 to 1; 1 is a ball")
    margin: Margin
    margin_why: Text
    place: Place
    hints: tuple[Hint, ...] = ()
