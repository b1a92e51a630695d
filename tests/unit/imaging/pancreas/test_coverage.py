"""Where a pancreas can lie: not in a chest, a pelvis, a head; all of it in an abdomen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imaging.geometry import Grid
from imaging.headers import scan_files
from imaging.load import load_series
from imaging.pancreas.coverage import Levels, coverage, judge
from imaging.pancreatic import Phase
from imaging.phantom_abdomen import AbdomenPhantom, make_abdomen
from imaging.resample import to_isotropic
from imaging.series import group_series
from imaging.volume import Volume
from tests.unit.imaging.pancreas.abdomens import abdomen


@pytest.fixture(scope="module")
def trunk() -> AbdomenPhantom:
    """From the hips to the heart."""
    return make_abdomen(2, slice_mm=5, pixels=160, low_mm=-150, high_mm=260)


def test_a_trunk_is_bounded_by_lungs_and_ilium(trunk: AbdomenPhantom) -> None:
    found = coverage(trunk.volume)
    assert found.possible
    assert not found.open_above and not found.open_below
    z = trunk.volume.grid.to_lps(np.argwhere(trunk.masks["pancreas"]))[:, 2]
    assert found.holds(z).all()
    lung = trunk.masks["lung"].sum(axis=(1, 2)) * np.prod(trunk.volume.grid.spacing_mm[1:])
    heights = trunk.volume.grid.to_lps(np.array([[k, 0, 0] for k in range(len(lung))]))[:, 2]
    assert not found.holds(heights[lung > 14000]).any()
    ilium = trunk.masks["ilium"].any(axis=(1, 2))
    assert np.count_nonzero(found.holds(heights[ilium])) * 5 <= 30


@pytest.mark.parametrize("phase", [Phase.PLAIN, Phase.ARTERIAL])
def test_a_pelvis_shows_no_pancreas(phase: Phase) -> None:
    pelvis = abdomen(phase, -150, 30)
    found = coverage(pelvis.volume)
    assert not found.possible
    assert found.why.en == "only the pelvis is in view"
    assert not found.holds([0.0, -120.0]).any()


def test_lungs_alone_show_no_pancreas(trunk: AbdomenPhantom) -> None:
    found = coverage(abdomen(Phase.PORTAL, 200, 260).volume)
    assert not found.possible
    assert found.why.en == "only the chest is in view"


def test_an_abdomen_that_ends_early_is_open() -> None:
    found = coverage(abdomen().volume)
    assert found.open_below and found.open_above
    assert found.low_mm == pytest.approx(-102.5) and found.high_mm == pytest.approx(77.5)


def test_a_thin_head_is_no_trunk() -> None:
    """A skull: a small ring of bone round brain."""
    j, i = np.mgrid[-100:101:2, -100:101:2]
    r = np.hypot(j / 95, i / 75)
    plane = np.where(r < 0.92, 35, np.where(r < 1, 900, -1000)).astype(np.int16)
    hu = np.repeat(plane[None], 30, axis=0)
    grid = Grid.from_dicom(hu.shape, (-100, -100, 0), (1, 0, 0, 0, 1, 0), (2, 2), (0, 0, 5))
    found = coverage(Volume(hu, grid))
    assert not found.possible
    assert found.why.en == "no abdomen is in view"


def test_slices_stored_from_the_head_down_give_the_same(trunk: AbdomenPhantom) -> None:
    volume = trunk.volume
    affine = volume.grid.affine.copy()
    affine[:3, 3] = volume.grid.to_lps((volume.grid.shape[0] - 1, 0, 0))
    affine[:3, 0] *= -1
    turned = Volume(volume.voxels[::-1].copy(), Grid(volume.grid.shape, affine))
    one, other = coverage(volume), coverage(turned)
    assert one.low_mm == pytest.approx(other.low_mm, abs=5.1)
    assert one.high_mm == pytest.approx(other.high_mm, abs=5.1)
    assert to_isotropic(turned, 4.0).grid.same_as(to_isotropic(volume, 4.0).grid)


def test_shoulder_blades_are_no_ilium() -> None:
    """Long bones on both sides above the lungs do not end the abdomen below them."""
    z = np.arange(0, 400, 5.0)
    lung = np.where((z > 150) & (z < 350), 20000.0, 0.0)
    levels = Levels(z, lung, np.ones(len(z), bool), z > 340)
    found = judge(levels)
    assert found.low_mm == pytest.approx(-2.5)
    assert found.high_mm is not None and 145 < found.high_mm < 158


def test_the_abdomen_of_a_patient_is_in_view(abdomen_ct: Path) -> None:
    (series,) = group_series(scan_files(sorted(abdomen_ct.iterdir())))
    found = coverage(load_series(series).volume)
    assert found.possible and found.open_below
    # The gland lies between -320 and -250 in this patient.
    assert found.holds([-320.0, -285.0, -250.0]).all()


def test_the_chest_of_a_patient_is_left_out(lidc_0005: Path) -> None:
    series = next(
        s for s in group_series(scan_files(sorted(lidc_0005.rglob("*")))) if len(s.slices) > 50
    )
    found = coverage(load_series(series).volume)
    assert found.possible and not found.open_above and found.open_below
    # The liver's dome and the heart begin at -230; stomach and spleen are seen below -250.
    assert not found.holds([-225.0, -150.0, -50.0]).any()
    assert found.holds(-260.0)
