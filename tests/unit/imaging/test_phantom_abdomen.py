"""The simulated abdomen must be what it says: densities, gland, duct and lesion, valid files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from imaging.headers import scan_files
from imaging.load import load_series
from imaging.pancreatic import Part, Phase
from imaging.phantom_abdomen import AbdomenPhantom, make_abdomen
from imaging.phantom_abdomen_anatomy import DENSITIES
from imaging.phantom_series import write_series
from imaging.series import group_series


@pytest.fixture(scope="module")
def phantom() -> AbdomenPhantom:
    return make_abdomen(
        3, phase=Phase.ARTERIAL, lesion=Part.BODY, atrophy=0.7, low_mm=50, high_mm=170
    )


def inside(phantom: AbdomenPhantom, name: str) -> np.ndarray:
    """HU of an organ's voxels that have no neighbour outside it in their slice."""
    mask = phantom.masks[name]
    core = mask.copy()
    for axis, shift in ((1, 1), (1, -1), (2, 1), (2, -1)):
        core &= np.roll(mask, shift, axis)
    return phantom.volume.voxels[core]


def test_organs_have_the_density_of_their_phase(phantom: AbdomenPhantom) -> None:
    wanted = DENSITIES[Phase.ARTERIAL]
    for name, hu in (
        ("aorta", wanted.aorta), ("portal", wanted.portal), ("liver", wanted.liver),
        ("spleen", wanted.spleen), ("pancreas", wanted.pancreas), ("lesion", wanted.lesion),
        ("cava_high", wanted.cava_high),
    ):  # fmt: skip
        assert np.median(inside(phantom, name)) == pytest.approx(hu, abs=6), name


def test_the_gland_has_an_adults_size(phantom: AbdomenPhantom) -> None:
    ml = phantom.volume.grid.voxel_volume_mm3 / 1000
    assert 40 < phantom.masks["pancreas"].sum() * ml < 100
    line = phantom.line_lps_mm
    assert 110 < np.linalg.norm(np.diff(line, axis=0), axis=1).sum() < 180
    k, j, i = np.round(phantom.volume.grid.to_index(line)).astype(int).T
    assert phantom.masks["pancreas"][k, j, i].mean() > 0.9


def test_the_lesion_has_the_stated_place_and_size(phantom: AbdomenPhantom) -> None:
    lesion = phantom.lesion
    assert lesion is not None
    region = phantom.region("lesion")
    assert np.linalg.norm(np.subtract(region.centre_mm, lesion.centre_lps_mm)) < 2
    a, b, c = (d / 2 for d in lesion.axes_mm)
    wanted = 4 / 3 * np.pi * a * b * c
    assert region.mask.volume_mm3 == pytest.approx(wanted, rel=0.1)
    assert lesion.delta_hu == -48


def test_the_duct_is_wide_behind_the_lesion_only(phantom: AbdomenPhantom) -> None:
    """Its area in slices through head and tail, as the widths say."""
    duct = np.argwhere(phantom.masks["duct"])
    points = phantom.volume.grid.to_lps(duct)
    distance = np.linalg.norm(points[:, None] - phantom.line_lps_mm[None], axis=2).argmin(axis=1)
    head = np.count_nonzero(distance < 4)
    tail = np.count_nonzero(distance > 18)
    assert tail > 4 * head
    assert phantom.duct_mm == (2.0, 7.0)


def test_the_tail_is_atrophied_and_a_healthy_gland_is_not(phantom: AbdomenPhantom) -> None:
    healthy = make_abdomen(3, slice_mm=5, pixels=128, low_mm=70, high_mm=160)
    assert healthy.lesion is None
    assert "lesion" not in healthy.masks
    assert phantom.radii_mm[-6:] == pytest.approx(0.7 * healthy.radii_mm[-6:])
    assert phantom.radii_mm[:6] == pytest.approx(healthy.radii_mm[:6])
    with pytest.raises(KeyError, match="no lesion"):
        healthy.region("lesion")


def test_the_same_seed_makes_the_same_voxels() -> None:
    small = {"slice_mm": 10.0, "pixels": 64, "low_mm": 80.0, "high_mm": 150.0}
    one, same, other = (make_abdomen(seed, **small) for seed in (5, 5, 6))  # type: ignore[arg-type]
    assert np.array_equal(one.volume.voxels, same.volume.voxels)
    assert not np.array_equal(one.volume.voxels, other.volume.voxels)


def test_what_cannot_be_made_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown"):
        make_abdomen(phase=Phase.UNKNOWN)
    with pytest.raises(ValueError, match="holds 1 slices"):
        make_abdomen(low_mm=100, high_mm=105, slice_mm=5)


def test_the_series_reads_back_and_is_valid(tmp_path: Path) -> None:
    phantom = make_abdomen(
        2, phase=Phase.PORTAL, slice_mm=10, pixels=64, low_mm=60, high_mm=160, lesion=Part.TAIL
    )
    files = write_series(phantom, tmp_path)
    scan = scan_files(files)
    (series,) = group_series(scan)
    loaded = load_series(series)
    assert loaded.volume.grid.same_as(phantom.volume.grid)
    assert np.array_equal(loaded.volume.voxels, phantom.volume.voxels)
    assert series.header.contrast
    assert series.header.body_part == "ABDOMEN"
    if shutil.which("dciodvfy"):
        said = subprocess.run(["dciodvfy", files[0]], capture_output=True, text=True).stderr
        assert "Error" not in said
