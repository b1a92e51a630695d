"""What is known of a pancreas and of a lesion in it: measured values, never a diagnosis.

Values only; ``imaging.pancreas`` measures. Lengths mm, volumes ml or mm³, density HU,
places LPS mm. None: not measured, and the text beside it says why.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from imaging.geometry import Point
from imaging.image_reference import ImageReference
from imaging.language import Text

DILATED_MM: Final = 4.0
"""A main duct this wide counts as dilated, where it is so along at least 10 mm of gland."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class Part(StrEnum):
    """Which part of the pancreas, along its centre line from the duodenum to the spleen."""

    HEAD = "head"
    UNCINATE = "uncinate"
    NECK = "neck"
    BODY = "body"
    TAIL = "tail"


class Phase(StrEnum):
    """When after the contrast agent a CT was taken."""

    PLAIN = "plain"
    ARTERIAL = "arterial"
    """Arterial or pancreatic: the aorta well above the portal vein."""
    PORTAL = "portal-venous"
    UNKNOWN = "unknown"


class Vessel(StrEnum):
    """The vessels that decide on resection (NCCN; SAR/APA template, Al-Hawary 2014)."""

    SMA = "superior-mesenteric-artery"
    COELIAC = "coeliac-axis"
    CHA = "common-hepatic-artery"
    SMV = "superior-mesenteric-vein"
    PV = "portal-vein"


class PhaseEstimate(_Value):
    """The phase, and the densities it was told from."""

    phase: Phase
    why: Text
    aorta_hu: float | None = None
    pancreas_hu: float | None = None
    liver_hu: float | None = None


class Fitness(_Value):
    """What a series was and was not fit for."""

    slice_mm: float
    whole_gland: bool | None = Field(
        description="the pancreas ends inside the series; None: no pancreas was found"
    )
    motion: float | None = Field(
        default=None, description="shift of neighbouring slices against each other, mm, median"
    )
    limits: tuple[Text, ...] = Field(default=(), description="what it was not fit for, and why")


class ProfilePoint(_Value):
    """The gland at one place of its centre line."""

    along_mm: float = Field(description="from the line's beginning in the head")
    part: Part
    centre_lps_mm: Point
    thickness_mm: float = Field(description="across the line, in the axial plane")
    duct_mm: float | None = Field(default=None, description="width of the duct; None: not seen")
    mean_hu: float = Field(description="of the parenchyma there")


class Duct(_Value):
    """The main pancreatic duct along the gland."""

    widest_mm: float | None = Field(default=None, description="None: no duct was seen")
    widest_at: Part | None = None
    dilated: bool = Field(default=False, description="from 4 mm on over at least 10 mm of gland")
    cut_off_at: Part | None = Field(
        default=None, description="where a dilated duct ends abruptly towards the head"
    )
    why: Text


class Place(_Value):
    """A place to look at: research grade, no finding, no probability.

    Darker than the patient's own parenchyma, at a place where that is unusual.
    """

    number: int
    centre_lps_mm: Point
    part: Part
    diameter_mm: float
    delta_hu: float = Field(description="mean density less the median of the own parenchyma")
    darkness: float = Field(description="darkness x place, 0 to 1; no probability")
    learned: float | None = Field(
        default=None, description="the trained map's value, 0 to 1; no probability"
    )
    key_image: ImageReference
    key_slice: int


class Gland(_Value):
    """The pancreas of one CT, measured."""

    tracking_uid: str = Field(description="of the structure it was measured in")
    volume_ml: float
    length_mm: float
    parenchyma_hu: float = Field(description="median, the duct and lesions left out")
    parenchyma_sd_hu: float
    profile: tuple[ProfilePoint, ...] = ()
    thinnest_mm: float | None = Field(default=None, description="of body and tail")
    duct: Duct
    phase: PhaseEstimate
    fitness: Fitness
    places: tuple[Place, ...] = Field(
        default=(), description="research grade, only where the site switched it on"
    )
    places_shown: bool = Field(default=False, description="whether the site switched it on")
    told: tuple[Text, ...] = Field(default=(), description="what a reader must know of all this")


class Attenuation(StrEnum):
    """A lesion's density against the patient's own parenchyma in the same phase."""

    HYPO = "hypoattenuating"
    ISO = "isoattenuating"
    HYPER = "hyperattenuating"
    CYSTIC = "cystic"


class Contact(_Value):
    """How far round a vessel a lesion lies. Only where the vessel was segmented."""

    vessel: Vessel
    degrees: float | None = Field(description="of the circumference, the most of any place")
    length_mm: float | None = Field(default=None, description="along the vessel")
    why: Text = Field(description="what it was measured from, or why it is left to the reader")


class UnnamedContact(_Value):
    """How far round vessels a lesion lies that a model segmented without naming each.

    As of PANORAMA's labels (all arteries in one, all veins in another) or a portal and splenic
    vein in one. It decides nothing; it shows the reader where to look.
    """

    label: Text = Field(description="what the model calls them")
    degrees: float = Field(description="of the circumference, the most of any place")
    length_mm: float = Field(description="along the vessels")
    why: Text


class PancreaticLesion(_Value):
    """A lesion of the pancreas, described; ``Finding.pancreatic``."""

    part: Part | None = Field(description="None: no gland was segmented around it")
    part_why: Text
    axes_mm: tuple[float, float, float] = Field(
        description="longest, the longest across it, and across both"
    )
    volume_mm3: float
    mean_hu: float
    parenchyma_hu: float | None = None
    delta_hu: float | None = None
    attenuation: Attenuation | None = None
    phase: PhaseEstimate | None = None
    duct_upstream_mm: float | None = Field(
        default=None, description="widest duct towards the tail of it"
    )
    duct_cut_off: bool | None = None
    thickness_upstream_mm: float | None = None
    atrophy_upstream: bool | None = None
    contacts: tuple[Contact, ...] = Field(description="one for each vessel, measured or left blank")
    unnamed_contacts: tuple[UnnamedContact, ...] = Field(
        default=(), description="with vessels that a model segmented without naming each"
    )
    told: tuple[Text, ...] = ()
