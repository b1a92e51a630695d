"""A measured pancreas and a lesion in it made by hand, for tests of what shows them."""

from __future__ import annotations

from typing import Any

import numpy as np

from imaging.finding import Finding, ImageReference
from imaging.guidelines import guided
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
    ProfilePoint,
    Vessel,
)
from imaging.report import Model, Report
from imaging.urgency import RaisedBy, Urgency
from tests.unit.imaging.guidelines.made_pancreas import NEOPLASM, PANCREAS
from tests.unit.imaging.objects.made import Study, block, make_study

PORTAL = PhaseEstimate(
    phase=Phase.PORTAL,
    why=Text(en="portal vein and liver as bright as the aorta", zh="门静脉、肝与主动脉强化相近"),
    aorta_hu=152.0,
    pancreas_hu=98.0,
    liver_hu=108.0,
)
THICK = Text(
    en="slices of 5.0 mm: a duct below 3 mm may be missed", zh="层厚 5.0 mm：可能漏检 3 mm 以下胰管"
)
_PARTS = (Part.HEAD, Part.HEAD, Part.NECK, Part.BODY, Part.BODY, Part.TAIL)


def profile(points: int = 25, widest: float = 7.4) -> tuple[ProfilePoint, ...]:
    """150 mm of gland whose duct is wide from the body on, and not seen in the head."""
    made = []
    for n in range(points):
        share = n / (points - 1)
        part = _PARTS[min(int(share * len(_PARTS)), len(_PARTS) - 1)]
        thick = 24 - 10 * share + 2.5 * np.sin(9 * share)
        duct = None if share < 0.4 else widest * (1 - 0.5 * (share - 0.4))
        made.append(
            ProfilePoint(
                along_mm=150 * share,
                part=part,
                centre_lps_mm=(-30 + 100 * share, -20.0, -200 + 20 * share),
                thickness_mm=round(float(thick), 1),
                duct_mm=None if duct is None else round(duct, 1),
                mean_hu=96.0 - 8 * share,
            )
        )
    return tuple(made)


def place(number: int = 1, key_slice: int = 3) -> Place:
    """A dark place in the body."""
    return Place(
        number=number,
        centre_lps_mm=(12.0, -20.0, -190.0),
        part=Part.BODY,
        diameter_mm=11.5,
        delta_hu=-32.0,
        darkness=0.71,
        key_image=ImageReference(
            sop_class_uid="1.2.840.10008.5.1.4.1.1.2", sop_instance_uid="1.2.3"
        ),
        key_slice=key_slice,
    )


def gland(tracking_uid: str, **changes: Any) -> Gland:
    """A gland of 71.3 ml with a dilated duct, in the portal phase."""
    values: dict[str, Any] = {
        "tracking_uid": tracking_uid,
        "volume_ml": 71.3,
        "length_mm": 150.0,
        "parenchyma_hu": 97.0,
        "parenchyma_sd_hu": 17.0,
        "profile": profile(),
        "thinnest_mm": 11.8,
        "duct": Duct(
            widest_mm=7.4,
            widest_at=Part.BODY,
            dilated=True,
            cut_off_at=Part.NECK,
            why=Text(
                en="a ridge of 92 mm, 7.4 mm wide at most", zh="脊状结构长 92 mm，最宽 7.4 mm"
            ),
        ),
        "phase": PORTAL,
        "fitness": Fitness(slice_mm=5.0, whole_gland=True, motion=0.4, limits=(THICK,)),
        "told": (Text(en="The tail touches the spleen.", zh="胰尾与脾相邻。"),),
    }
    return Gland.model_validate(values | changes)


def lesion(**changes: Any) -> PancreaticLesion:
    """A hypoattenuating lesion of the head; SMV and SMA were segmented, the others were not."""
    left = Text(en="not segmented: left to the reader", zh="未分割，由医师判断")
    measured = Text(en="measured round the segmented vessel", zh="沿分割的血管测量")
    values: dict[str, Any] = {
        "part": Part.HEAD,
        "part_why": Text(en="nearest the head's centre line", zh="距胰头中心线最近"),
        "axes_mm": (28.4, 22.1, 19.6),
        "volume_mm3": 6400.0,
        "mean_hu": 58.0,
        "parenchyma_hu": 97.0,
        "delta_hu": -39.0,
        "attenuation": Attenuation.HYPO,
        "phase": PORTAL,
        "duct_upstream_mm": 7.4,
        "duct_cut_off": True,
        "thickness_upstream_mm": 12.3,
        "atrophy_upstream": True,
        "contacts": (
            Contact(vessel=Vessel.SMA, degrees=0.0, why=measured),
            Contact(vessel=Vessel.COELIAC, degrees=None, why=left),
            Contact(vessel=Vessel.CHA, degrees=None, why=left),
            Contact(vessel=Vessel.SMV, degrees=120.0, length_mm=9.0, why=measured),
            Contact(vessel=Vessel.PV, degrees=None, why=left),
        ),
        "told": (
            Text(en="Iso-attenuating tumour is not in the mask.", zh="等密度肿瘤不在分割范围内。"),
        ),
    }
    return PancreaticLesion.model_validate(values | changes)


def pancreatic_study(**options: Any) -> Study:
    """A gland and a lesion that lies half inside it."""
    study = make_study(**options)
    study.add(block(study, slice(2, 6), slice(6, 14), slice(4, 11)))
    study.add_organ(block(study, slice(1, 8), slice(9, 22), slice(3, 18)))
    finding = study.findings[0].model_copy(
        update={
            "tracking_id": "Pancreatic tumour 1",
            "label": NEOPLASM,
            "site": PANCREAS,
            "pancreatic": lesion(),
        }
    )
    study.findings[0] = finding
    organ = {"tracking_id": "Pancreas", "label": PANCREAS, "site": PANCREAS}
    study.structures[0] = study.structures[0].model_copy(update=organ)
    return study


def pancreatic_report(study: Study, **changes: Any) -> Report:
    """Its report, guided; an operator's model marked the lesion."""
    model = Model(
        name="site-pancreas",
        version="2",
        title=Text(en="Pancreatic tumour", zh="胰腺肿瘤"),
        sha256="0f" * 32,
    )
    values: dict[str, Any] = {"model": model, "gland": gland(study.structures[0].tracking_uid)}
    return guided(study.report(**(values | changes)))


def urgent(finding: Finding) -> Urgency:
    """Raised by a validated model."""
    raised = RaisedBy(
        model="site-pancreas", version="2", findings=(finding.number,), score_threshold=0.6,
        validated_by="County Hospital", date="2026-01-15", patients=240, sensitivity=0.93,
        specificity=0.97, reference="report 12",
    )  # fmt: skip
    return Urgency(raised_by=(raised,))
