"""Fixtures that every folder of tests may use."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.archives import unpack
from tests.abdomen import write_abdomen

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real public images beside the checkout; skips where there is none."""
    if not SHARED.is_dir():
        pytest.skip("no folder of real images (../shared) beside the checkout")
    data = SHARED / "data"
    if not data.is_dir():
        pytest.fail(f"{SHARED} exists but has no data/")
    return data


def _unpacked(archive: Path, into: Path) -> Path:
    if not archive.is_file():
        pytest.fail(f"{archive} is missing although its folder of real images exists")
    return unpack(archive, into)


@pytest.fixture(scope="session")
def lidc_0001(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LIDC-IDRI-0001: 133 CT slices with one 33 mm mass; a folder of DICOM files."""
    archive = shared_data / "chest" / "LIDC-IDRI-0001" / "CT.tar.xz"
    return _unpacked(archive, tmp_path_factory.mktemp("lidc_0001"))


@pytest.fixture(scope="session")
def lidc_0005(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LIDC-IDRI-0005: 133 CT slices with nodules of 5.8 and 7.9 mm; a folder of DICOM files."""
    archive = shared_data / "chest" / "LIDC-IDRI-0005" / "ct.tar.xz"
    return _unpacked(archive, tmp_path_factory.mktemp("lidc_0005"))


@pytest.fixture(scope="session")
def lung_dx_a0002(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lung_Dx-A0002: 30 CT slices of 8 mm; a folder of DICOM files."""
    archive = shared_data / "chest" / "Lung_Dx-A0002" / "ct.tar.xz"
    return _unpacked(archive, tmp_path_factory.mktemp("lung_dx_a0002"))


@pytest.fixture(scope="session")
def abdomen_archive(shared_data: Path) -> Path:
    """TCGA-LIHC-BC-A3KF: voxels of an arterial-phase abdomen, 37 x 5 mm; see tests.abdomen."""
    archive = shared_data / "abdomen" / "TCGA-LIHC-BC-A3KF.npz"
    if not archive.is_file():
        pytest.fail(f"{archive} is missing although its folder of real images exists")
    return archive


@pytest.fixture(scope="session")
def abdomen_ct(abdomen_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a CT series; a folder of DICOM files."""
    folder = tmp_path_factory.mktemp("abdomen_ct")
    write_abdomen(abdomen_archive, folder)
    return folder
