"""The phantom must be what it says: nodules of the stated size, density and place, valid files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest

from imaging.phantom import NoduleKind, Phantom, PlantedNodule, make_phantom
from imaging.phantom_series import write_series

SMALL = {"slices": 120, "pixels": 256}


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(3, **SMALL)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def files(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_series(phantom, tmp_path_factory.mktemp("phantom"))


def offsets(phantom: Phantom, nodule: PlantedNodule, reach_mm: float) -> tuple[np.ndarray, ...]:
    """HU and distance from a nodule's centre, mm, of the voxels in a box around it."""
    grid = phantom.volume.grid
    centre = grid.to_index(nodule.centre_lps_mm)
    low = np.floor(centre - reach_mm / np.array(grid.spacing_mm)).astype(int)
    high = np.ceil(centre + reach_mm / np.array(grid.spacing_mm)).astype(int) + 1
    low, high = np.maximum(low, 0), np.minimum(high, grid.shape)
    index = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), axis=-1)
    hu = phantom.volume.voxels[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    return hu, np.linalg.norm(grid.to_lps(index) - nodule.centre_lps_mm, axis=-1)


def test_nodules_have_the_stated_density(phantom: Phantom) -> None:
    for nodule in phantom.nodules:
        hu, distance = offsets(phantom, nodule, nodule.diameter_mm)
        core = hu[distance < 0.3 * nodule.diameter_mm]
        assert core.mean() == pytest.approx(nodule.hu, abs=15), nodule


def test_nodules_have_the_stated_size(phantom: Phantom) -> None:
    """The volume above half-way between lung and nodule is that of the stated sphere."""
    grid = phantom.volume.grid
    free = [nodule for nodule in phantom.nodules if not nodule.touches_pleura]
    assert len(free) >= 3
    for nodule in free:
        hu, distance = offsets(phantom, nodule, nodule.diameter_mm)
        half_way = (nodule.hu - 860) / 2
        inside = (hu > half_way) & (distance < 0.68 * nodule.diameter_mm)
        volume = np.count_nonzero(inside) * grid.voxel_volume_mm3
        diameter = (6 * volume / np.pi) ** (1 / 3)
        assert diameter == pytest.approx(nodule.diameter_mm, rel=0.1), nodule


def test_nodules_lie_in_lung(phantom: Phantom) -> None:
    for nodule in phantom.nodules:
        hu, distance = offsets(phantom, nodule, nodule.diameter_mm + 6)
        around = hu[
            (distance > 0.7 * nodule.diameter_mm) & (distance < 0.5 * nodule.diameter_mm + 6)
        ]
        aerated = float((around < -700).mean())
        if nodule.touches_pleura:
            assert 0.3 < aerated < 0.95, nodule
        else:
            assert aerated > 0.85, nodule


def test_nodules_are_apart_and_in_both_lungs(phantom: Phantom) -> None:
    centres = np.array([nodule.centre_lps_mm for nodule in phantom.nodules])
    gaps = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    assert gaps[~np.eye(len(centres), dtype=bool)].min() >= 40
    assert (centres[:, 0] < 0).any()
    assert (centres[:, 0] > 0).any()


def test_tissues_are_where_a_chest_has_them(phantom: Phantom) -> None:
    """Densities at places that anatomy fixes."""
    grid, voxels = phantom.volume.grid, phantom.volume.voxels

    def around(x: float, y: float, z: float) -> float:
        k, j, i = np.rint(grid.to_index((x, y, z))).astype(int)
        return float(voxels[k - 1 : k + 2, j - 3 : j + 4, i - 3 : i + 4].mean())

    assert around(0, -150, 0) == pytest.approx(-1000, abs=15)
    assert around(-70, 0, -130) == pytest.approx(56, abs=12)
    assert around(30, -30, -40) == pytest.approx(46, abs=12)
    assert around(0, 10, 80) < -930
    spine = voxels[:, :, voxels.shape[2] // 2][:, int(grid.to_index((0, 54, 0))[1])]
    assert spine.mean() > 120
    share = float(((voxels > -950) & (voxels < -700)).mean()) * voxels.size
    litres = share * grid.voxel_volume_mm3 / 1e6
    assert 3.0 < litres < 7.0


def test_noise_is_of_a_scanners_size(phantom: Phantom) -> None:
    """In the liver, where nothing else varies, the standard deviation is that of a chest CT."""
    k, j, i = np.rint(phantom.volume.grid.to_index((-75, 0, -125))).astype(int)
    patch = phantom.volume.voxels[k, j - 8 : j + 9, i - 8 : i + 9]
    assert 8 < patch.std() < 30


def test_same_seed_same_voxels_and_another_seed_others() -> None:
    tiny = {"slices": 24, "pixels": 64, "nodules": ((14.0, NoduleKind.SOLID, False),)}
    one, same, other = (make_phantom(seed, **tiny) for seed in (5, 5, 6))  # type: ignore[arg-type]
    assert np.array_equal(one.volume.voxels, same.volume.voxels)
    assert one.nodules == same.nodules
    assert not np.array_equal(one.volume.voxels, other.volume.voxels)
    assert one.nodules != other.nodules


def test_ground_glass_stays_below_soft_tissue() -> None:
    wanted = ((20.0, NoduleKind.GROUND_GLASS, False),)
    phantom = make_phantom(4, slices=60, pixels=128, nodules=wanted)
    (nodule,) = phantom.nodules
    hu, distance = offsets(phantom, nodule, nodule.diameter_mm)
    assert -760 < np.median(hu[distance < 6]) < -480


def test_the_series_reads_back(phantom: Phantom, files: list[Path]) -> None:
    """Positions, pixels and identity of the files are those of the phantom."""
    grid = phantom.volume.grid
    images = [pydicom.dcmread(path) for path in files]
    assert len(images) == grid.shape[0]
    for k, image in enumerate(images):
        assert image.ImagePositionPatient == pytest.approx(grid.to_lps((k, 0, 0)), abs=1e-3)
        assert list(image.ImageType) == ["ORIGINAL", "PRIMARY", "AXIAL"]
        assert (image.PatientName, image.PatientID) == ("Phantom^Chest", "PHANTOM-1")
        assert "Simulated" in image.SeriesDescription
        assert "Simulated" in image.ImageComments
    assert len({image.SOPInstanceUID for image in images}) == len(images)
    assert len({image.SeriesInstanceUID for image in images}) == 1
    middle = images[60]
    hu = middle.pixel_array.astype(int) * int(middle.RescaleSlope) + int(middle.RescaleIntercept)
    assert np.array_equal(hu, phantom.volume.voxels[60])


def test_the_same_phantom_gets_the_same_uids(
    phantom: Phantom, files: list[Path], tmp_path: Path
) -> None:
    again = write_series(phantom, tmp_path)
    assert again[7].read_bytes() == files[7].read_bytes()
    other = write_series(phantom, tmp_path / "other", patient_id="PHANTOM-2")
    tag = "StudyInstanceUID"
    assert pydicom.dcmread(other[0])[tag].value != pydicom.dcmread(files[0])[tag].value


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not here")
def test_dciodvfy_finds_no_error(files: list[Path]) -> None:
    for path in (files[0], files[-1]):
        said = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        lines = (said.stdout + said.stderr).splitlines()
        assert "CTImage" in lines
        assert [line for line in lines if line.startswith("Error")] == []
