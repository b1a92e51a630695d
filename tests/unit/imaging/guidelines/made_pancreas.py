"""Pancreatic lesions and readings made by hand."""

from __future__ import annotations

from typing import Any

from imaging.finding import Code, Finding
from imaging.guidelines.pancreas_resectability import resectability
from imaging.guidelines.pancreas_values import PancreasReading, VesselReading
from imaging.guidelines.values import Guidance
from imaging.image_reference import ImageReference
from imaging.language import Text
from imaging.pancreatic import (
    Attenuation,
    Contact,
    Duct,
    Fitness,
    Gland,
    PancreaticLesion,
    Part,
    Phase,
    PhaseEstimate,
    Place,
    Vessel,
)

from .made import SAME, finding

PANCREAS = Code(value="15776009", scheme="SCT", meaning=Text(en="Pancreas", zh="胰腺"))
NEOPLASM = Code(value="108369006", scheme="SCT", meaning=Text(en="Neoplasm", zh="肿瘤"))
PORTAL = PhaseEstimate(
    phase=Phase.PORTAL, why=SAME, aorta_hu=152.0, pancreas_hu=98.0, liver_hu=110.0
)
PLAIN = PhaseEstimate(phase=Phase.PLAIN, why=SAME, aorta_hu=42.0)


def lesion(contacts: dict[Vessel, float] | None = None, **changes: Any) -> PancreaticLesion:
    """A hypoattenuating lesion of the head; a vessel without a contact was not segmented."""
    touched = contacts or {}
    values: dict[str, Any] = {
        "part": Part.HEAD,
        "part_why": SAME,
        "axes_mm": (28.0, 22.0, 20.0),
        "volume_mm3": 6400.0,
        "mean_hu": 60.0,
        "parenchyma_hu": 101.0,
        "delta_hu": -41.0,
        "attenuation": Attenuation.HYPO,
        "phase": PORTAL,
        "contacts": tuple(
            Contact(vessel=vessel, degrees=touched.get(vessel), why=SAME) for vessel in Vessel
        ),
    }
    return PancreaticLesion.model_validate(values | changes)


def pancreatic(
    number: int = 1, described: PancreaticLesion | None = None, **changes: Any
) -> Finding:
    """A finding in the pancreas."""
    values = {"site": PANCREAS, "label": NEOPLASM, "pancreatic": described}
    return finding(number, **(values | changes))


def vessel(which: Vessel, degrees: str | None = None, **changes: Any) -> VesselReading:
    return VesselReading.model_validate({"vessel": which, "degrees": degrees} | changes)


def free(*touched: VesselReading, **changes: Any) -> PancreasReading:
    """Everything said, nothing touched and no metastasis, but for what is given."""
    said = {each.vessel for each in touched}
    rest = [
        vessel(which, "none", contour_irregular=False, thrombus=False, extends_beyond=False)
        for which in Vessel
        if which not in said
    ]
    values: dict[str, Any] = {
        "vessels": (*touched, *rest),
        "gda_contact": False,
        "variant_artery_contact": "none",
        "aorta_or_ivc_contact": "none",
        "liver_lesions": "none",
        "distant_nodes": False,
        "peritoneal": False,
        "other_metastases": False,
    }
    return PancreasReading.model_validate(values | changes)


def place(number: int = 1, **changes: Any) -> Place:
    """A place of a research map."""
    values: dict[str, Any] = {
        "number": number,
        "centre_lps_mm": (0.0, 0.0, 0.0),
        "part": Part.HEAD,
        "diameter_mm": 11.0,
        "delta_hu": -28.0,
        "darkness": 0.4,
        "key_image": ImageReference(sop_class_uid="1.2.3", sop_instance_uid="1.3.1"),
        "key_slice": 4,
    }
    return Place.model_validate(values | changes)


def gland(**changes: Any) -> Gland:
    """A pancreas with a wide duct in its tail."""
    values: dict[str, Any] = {
        "tracking_uid": "1.2.9",
        "volume_ml": 71.3,
        "length_mm": 168.0,
        "parenchyma_hu": 98.0,
        "parenchyma_sd_hu": 18.0,
        "thinnest_mm": 8.9,
        "duct": Duct(
            widest_mm=6.2, widest_at=Part.TAIL, dilated=True, cut_off_at=Part.BODY, why=SAME
        ),
        "phase": PORTAL,
        "fitness": Fitness(slice_mm=5.0, whole_gland=True),
    }
    return Gland.model_validate(values | changes)


def resectability_of(reading: PancreasReading, *findings: Finding) -> Guidance:
    """What the NCCN's criteria say of lesions; without any, of a plain one of the head."""
    said = resectability(findings or [pancreatic(1, lesion())], reading)
    assert said is not None
    return said
