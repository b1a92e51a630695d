"""What models mark in a pancreas becomes a measured gland and described lesions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from imaging.pancreatic import Part, Phase, Vessel
from imaging.phantom_abdomen import AbdomenPhantom, make_abdomen
from imaging.volume import Region, SourceSlice, Volume
from models.lesions import Candidate, HeatMap, Lesions
from models.spec import ModelSpec, read_spec
from models.study.describe import Description, describe

CATALOG = Path(__file__).resolve().parents[4] / "models" / "catalog"
HEADER = Dataset()
HEADER.Modality = "CT"
HEADER.StudyInstanceUID, HEADER.SeriesInstanceUID = "1.2.3", "1.2.3.4"
HEADER.SliceThickness = 2.5
LESION, VEINS, ARTERIES, PARENCHYMA, DUCT = 1, 2, 3, 4, 5


@pytest.fixture(scope="module")
def phantom() -> AbdomenPhantom:
    return make_abdomen(
        1, lesion=Part.BODY, slice_mm=2.5, pixels=256, low_mm=50, high_mm=175, atrophy=0.8
    )


@pytest.fixture(scope="module")
def volume(phantom: AbdomenPhantom) -> Volume:
    """The phantom as if it had been read from files."""
    sources = tuple(
        SourceSlice(Path("none"), "1.2.840.10008.5.1.4.1.1.2", f"1.2.3.4.{k}")
        for k in range(len(phantom.volume.voxels))
    )
    return Volume(phantom.volume.voxels, phantom.volume.grid, sources)


def panorama() -> ModelSpec:
    return read_spec(CATALOG / "panorama_pancreas_nnunet")


def marked(phantom: AbdomenPhantom, **masks: int) -> Lesions:
    """What a model with PANORAMA's labels would say, its masks being the truth."""
    found = []
    for name, label in masks.items():
        region = phantom.region(name)
        if name == "pancreas":
            own = region.voxels & ~phantom.masks["lesion"][region.box]
            own &= ~phantom.masks["duct"][region.box]
            region = Region(own, region.start, region.within)
        found.append(Candidate(region, 0.9, label))
    return Lesions(tuple(found), (), {})


@pytest.fixture(scope="module")
def described(phantom: AbdomenPhantom, volume: Volume) -> Description:
    lesions = marked(
        phantom, lesion=LESION, portal=VEINS, sma=ARTERIES, pancreas=PARENCHYMA, duct=DUCT
    )
    return describe(volume, [(panorama(), lesions)], HEADER, revision=1)


def test_a_lesion_is_described_in_its_gland(
    phantom: AbdomenPhantom, described: Description
) -> None:
    (finding,) = described.findings
    lesion, gland = finding.pancreatic, described.gland
    assert lesion is not None and gland is not None
    assert lesion.part is Part.BODY
    assert lesion.duct_cut_off is True
    # The lesion ends at the aorta's left border, where the tail begins.
    assert gland.duct.cut_off_at in (Part.BODY, Part.TAIL)
    assert lesion.phase == gland.phase
    assert gland.phase.phase is Phase.PORTAL
    # Parenchyma, duct and lesion together are the gland.
    whole = phantom.region("pancreas").mask.volume_mm3 / 1000
    assert gland.volume_ml == pytest.approx(whole, rel=0.02)
    structure = next(s for s in described.structures if s.tracking_uid == gland.tracking_uid)
    assert structure.label.value == "15776009"
    assert not gland.places and not gland.places_shown
    assert {"phase", "pancreas", "lesions"} <= set(described.seconds)


def test_arteries_as_a_whole_are_no_named_artery(described: Description) -> None:
    lesion = described.findings[0].pancreatic
    assert lesion is not None
    assert all(contact.degrees is None for contact in lesion.contacts)
    assert {c.label.en for c in lesion.unnamed_contacts} == {
        "veins around the pancreas",
        "arteries around the pancreas",
    }


def test_research_places_appear_only_with_a_map(phantom: AbdomenPhantom, volume: Volume) -> None:
    spec = read_spec(CATALOG / "panorama_pancreas_nnunet")
    region = phantom.region("pancreas")
    heat = HeatMap(np.zeros(region.voxels.shape, np.float32), region)
    lesions = Lesions((Candidate(region, 0.9, PARENCHYMA),), (), {}, heat=heat)
    gland = describe(volume, [(spec, lesions)], HEADER, revision=1).gland
    assert gland is not None and gland.places_shown
    assert gland.places and gland.places[0].learned == 0.0


def test_a_lesion_without_a_gland_leaves_the_rest_to_the_reader(
    phantom: AbdomenPhantom, volume: Volume
) -> None:
    lesions = marked(phantom, lesion=LESION)
    found = describe(volume, [(panorama(), lesions)], HEADER, revision=1)
    assert found.gland is None
    lesion = found.findings[0].pancreatic
    assert lesion is not None and lesion.part is None and lesion.duct_cut_off is None
    assert {contact.vessel for contact in lesion.contacts} == set(Vessel)


def test_a_gland_too_small_to_measure_is_told(volume: Volume) -> None:
    few = Region(np.ones((2, 10, 10), bool), (5, 100, 100), volume.grid)
    lesions = Lesions((Candidate(few, 0.9, PARENCHYMA),), (), {})
    found = describe(volume, [(panorama(), lesions)], HEADER, revision=1)
    assert found.gland is None and len(found.structures) == 1
    (told,) = [n for n in found.notices if n.code == "pancreas-not-measured"]
    assert "less than 3 ml" in told.text.en


def test_other_organs_are_left_alone(volume: Volume) -> None:
    spec = read_spec(CATALOG / "spleen_ct_segmentation")
    piece = Region(np.ones((4, 30, 30), bool), (5, 100, 150), volume.grid)
    found = describe(volume, [(spec, Lesions((Candidate(piece, 0.9),), (), {}))], HEADER, 1)
    assert found.gland is None and len(found.structures) == 1
    assert "pancreas" not in found.seconds
