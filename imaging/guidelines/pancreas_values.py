"""What a radiologist says of a pancreatic lesion that no model here can see.

One value a report; the pancreas template and the resectability rule read it beside what was
measured. None: not said, never assumed. The items are those of the SAR/APA template
(Al-Hawary et al., Radiology 2014;270:248) and what the NCCN's criteria ask beyond them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from imaging.pancreatic import Part, Vessel

Degrees = Literal["none", "up-to-180", "over-180"]
"""How much of a vessel's circumference is touched; 180 degrees themselves are ``up-to-180``."""
Large = Literal["none", "ivc", "aorta"]
"""Which of the large vessels is touched; ``aorta``: whether or not the IVC is touched as well."""
Liver = Literal["none", "likely-benign", "indeterminate", "suspicious"]
"""Lesions of the liver, as the reader judges them."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class VesselReading(_Value):
    """What the reader says of one vessel; it stands before what was measured."""

    vessel: Vessel
    degrees: Degrees | None = Field(default=None, description="contact of solid tumour")
    hazy: Degrees | None = Field(
        default=None,
        description="haze or stranding around it, told apart from solid contact; decides nothing",
    )
    contour_irregular: bool | None = Field(
        default=None, description="deformed, narrowed, teardrop-shaped"
    )
    occluded: bool | None = None
    thrombus: bool | None = Field(default=None, description="of tumour or bland")
    reconstructible: bool | None = Field(
        default=None,
        description="veins: suitable segments above and below; CHA: safe resection and "
        "reconstruction",
    )
    extends_beyond: bool | None = Field(
        default=None,
        description="CHA: to the coeliac axis or the bifurcation; SMA: to its first jejunal "
        "branch; SMV: to its first draining jejunal vein",
    )
    variant: str = Field(default="", description="a variant of the anatomy, in the reader's words")


class PancreasReading(_Value):
    """The reader's own part of the structured pancreas template."""

    lesion: int | None = Field(default=None, description="number of the finding it is about")
    part: Part | None = Field(default=None, description="stands before the measured one")
    appearance: Literal["hypo", "iso", "hyper", "cystic"] | None = Field(
        default=None, description="against the parenchyma; stands before the measured one"
    )
    duct_dilated: bool | None = Field(default=None, description="the main duct, upstream")
    duct_cut_off: bool | None = Field(default=None, description="narrowed or cut off abruptly")
    atrophy_upstream: bool | None = None
    bile_duct_dilated: bool | None = Field(
        default=None, description="cut off, with or without dilatation upstream"
    )
    vessels: tuple[VesselReading, ...] = ()
    gda_contact: bool | None = Field(default=None, description="gastroduodenal artery")
    variant_artery_contact: Degrees | None = Field(
        default=None,
        description="replaced or accessory right hepatic, replaced common hepatic artery, or its "
        "origin; none: there is no such artery, or it is free",
    )
    aorta_or_ivc_contact: Large | None = Field(
        default=None, description="aorta: whether or not the IVC is touched as well"
    )
    collaterals: bool | None = Field(default=None, description="venous")
    liver_lesions: Liver | None = None
    nodes_suspicious: bool | None = Field(default=None, description="regional ones")
    distant_nodes: bool | None = Field(
        default=None, description="suspicious ones beyond the regional nodes"
    )
    peritoneal: bool | None = Field(default=None, description="peritoneal or omental nodules")
    ascites: bool | None = None
    other_metastases: bool | None = Field(
        default=None, description="lung, bone, anywhere else that was imaged"
    )
    other: str = Field(default="", description="neighbouring organs and what else there is to say")

    @field_validator("vessels")
    @classmethod
    def _one_each(cls, vessels: tuple[VesselReading, ...]) -> tuple[VesselReading, ...]:
        names = [reading.vessel for reading in vessels]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                f"vessels names {', '.join(twice)} more than once; say each vessel's findings in "
                "one entry"
            )
        return vessels

    def of(self, vessel: Vessel) -> VesselReading:
        """What is said of one vessel; nothing where it is not named."""
        for reading in self.vessels:
            if reading.vessel is vessel:
                return reading
        return VesselReading(vessel=vessel)

    @property
    def of_the_patient(self) -> PancreasReading:
        """Only what holds whichever lesion it is: liver, nodes, peritoneum, elsewhere."""
        kept = {name: getattr(self, name) for name in _OF_THE_PATIENT}
        return PancreasReading(**kept)


_OF_THE_PATIENT = (
    "liver_lesions",
    "nodes_suspicious",
    "distant_nodes",
    "peritoneal",
    "ascites",
    "other_metastases",
    "collaterals",
    "other",
)
