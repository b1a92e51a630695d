"""A lesion in a simulated abdomen whose place, size, density and vessels are known."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.errors import NotMeasured
from imaging.geometry import Grid
from imaging.language import Text
from imaging.pancreas import (
    Anatomy,
    Around,
    Unnamed,
    Vessels,
    anatomy_of,
    describe_lesion,
)
from imaging.pancreatic import Attenuation, Part, Phase, PhaseEstimate, Vessel
from imaging.phantom_abdomen import PLACE_OF_PART, AbdomenPhantom, make_abdomen
from imaging.volume import Region

PHASE = PhaseEstimate(phase=Phase.PORTAL, why=Text(en="set", zh="设定"))
PLACE_OF_PART_LPS = {part: (x, y, u - 120) for part, (x, y, u) in PLACE_OF_PART.items()}
VEINS = Text(en="Portal vein and splenic vein", zh="门静脉和脾静脉")


def abdomen(part: Part | None, **values: float) -> AbdomenPhantom:
    return make_abdomen(2, lesion=part, slice_mm=2.5, pixels=256, low_mm=62, high_mm=160, **values)


def taken_apart(phantom: AbdomenPhantom) -> Anatomy:
    return anatomy_of(
        phantom.volume,
        phantom.region("pancreas"),
        Around(
            lesions=[phantom.region("lesion")],
            aorta=phantom.region("aorta"),
            confluence=phantom.region("portal"),
        ),
    )


@pytest.fixture(scope="module")
def body() -> AbdomenPhantom:
    """A lesion of the body with a dilated duct and a thin gland behind it."""
    return abdomen(Part.BODY, upstream_mm=7.0, atrophy=0.7)


@pytest.fixture(scope="module")
def anatomy(body: AbdomenPhantom) -> Anatomy:
    return taken_apart(body)


def test_a_lesion_of_the_body(body: AbdomenPhantom, anatomy: Anatomy) -> None:
    lesion = describe_lesion(body.volume, body.region("lesion"), anatomy, phase=PHASE)
    assert body.lesion is not None
    assert lesion.part is Part.BODY
    assert "in the body" in lesion.part_why.en and "vein and aorta" in lesion.part_why.en
    assert lesion.axes_mm == pytest.approx(sorted(body.lesion.axes_mm, reverse=True), abs=2.5)
    assert lesion.volume_mm3 == pytest.approx(body.region("lesion").mask.volume_mm3, abs=1)
    assert lesion.delta_hu == pytest.approx(body.lesion.delta_hu, abs=6)
    assert lesion.attenuation is Attenuation.HYPO
    assert lesion.duct_upstream_mm == pytest.approx(7, abs=1.2)
    assert lesion.duct_cut_off is True
    assert lesion.phase == PHASE


def test_what_lies_upstream_is_thinner_by_its_duct(body: AbdomenPhantom, anatomy: Anatomy) -> None:
    lesion = describe_lesion(body.volume, body.region("lesion"), anatomy, phase=PHASE)
    true_mm = 2 * np.median(body.radii_mm[int(0.6 * len(body.radii_mm)) : -2])
    assert lesion.thickness_upstream_mm == pytest.approx(true_mm, abs=2.5)
    # 13 mm of gland around 7 mm of duct leave 6 mm of tissue.
    assert lesion.atrophy_upstream is True
    assert "atrophy below 7 mm" in lesion.told[-1].en


def test_a_healthy_gland_behind_a_lesion_is_not_atrophic() -> None:
    phantom = abdomen(Part.NECK, upstream_mm=2.0)
    lesion = describe_lesion(
        phantom.volume, phantom.region("lesion"), taken_apart(phantom), phase=PHASE
    )
    assert lesion.atrophy_upstream is False
    assert not lesion.duct_cut_off
    assert lesion.part in (Part.NECK, Part.BODY)


def test_the_tail_and_the_head_are_told_apart(anatomy: Anatomy) -> None:
    for part in set(Part) - {Part.UNCINATE}:
        assert anatomy.part_of(PLACE_OF_PART_LPS[part]) is part
    # The phantom's uncinate process begins right of the vein: told only where it lies behind it.
    x, y, z = PLACE_OF_PART_LPS[Part.UNCINATE]
    assert anatomy.part_of((x, y, z)) in (Part.UNCINATE, Part.HEAD)
    assert anatomy.part_of((x + 14, y, z - 4)) is Part.UNCINATE


def test_vessels_are_left_blank_unless_a_model_named_them(
    body: AbdomenPhantom, anatomy: Anatomy
) -> None:
    veins = Unnamed(VEINS, body.region("portal"), frozenset({Vessel.SMV, Vessel.PV}))
    vessels = Vessels({Vessel.SMA: body.region("sma")}, [veins])
    lesion = describe_lesion(
        body.volume, body.region("lesion"), anatomy, phase=PHASE, vessels=vessels
    )
    found = {contact.vessel: contact for contact in lesion.contacts}
    assert set(found) == set(Vessel)
    assert found[Vessel.SMA].degrees is not None and found[Vessel.SMA].length_mm is not None
    for vessel in (Vessel.COELIAC, Vessel.CHA, Vessel.SMV, Vessel.PV):
        assert found[vessel].degrees is None and found[vessel].length_mm is None
    assert "no model segmented" in found[Vessel.CHA].why.en
    assert VEINS.en in found[Vessel.SMV].why.en and VEINS.zh in found[Vessel.SMV].why.zh
    (unnamed,) = lesion.unnamed_contacts
    assert unnamed.label == VEINS and 0 <= unnamed.degrees <= 360


def test_a_lesion_without_a_gland_is_measured_and_left_to_the_reader(
    body: AbdomenPhantom,
) -> None:
    lesion = describe_lesion(body.volume, body.region("lesion"), None, phase=PHASE)
    assert lesion.part is None and lesion.delta_hu is None and lesion.attenuation is None
    assert lesion.duct_upstream_mm is None and lesion.atrophy_upstream is None
    assert "no pancreas was segmented" in lesion.part_why.en
    assert lesion.axes_mm[0] > lesion.axes_mm[2] > 10


def test_fluid_is_called_cystic_with_or_without_a_gland() -> None:
    phantom = abdomen(Part.TAIL, lesion_hu=5.0)
    alone = describe_lesion(phantom.volume, phantom.region("lesion"), None, phase=None)
    assert alone.attenuation is Attenuation.CYSTIC


def test_a_mask_on_another_grid_is_refused(body: AbdomenPhantom) -> None:
    region = body.region("lesion")
    grid = Grid(region.within.shape, region.within.affine @ np.diag([2.0, 1, 1, 1]))
    with pytest.raises(NotMeasured, match="another grid"):
        describe_lesion(body.volume, Region(region.voxels, region.start, grid), None, phase=None)
