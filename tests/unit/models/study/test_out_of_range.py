"""What is no chest CT, or too coarse a one, is refused by the shipped model with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from benchmarks.archives import unpack
from models.errors import InputRefused
from models.loaded import LoadedModel, load_model
from models.spec import CATALOG, read_spec
from models.study.reading import plan_study, read_study
from tests.unit.imaging.synthetic import make_images, write


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return load_model(read_spec(CATALOG / "lung_nodule_reference"), threads=1)


def refusal(files: list[Path], model: LoadedModel) -> str:
    """The code of the reason; the plan's, or the reading's where the plan takes the series."""
    scan, plan = plan_study(files, model.spec)
    if plan.chosen is None:
        return plan.verdicts[0].notices[0].code
    with pytest.raises(InputRefused) as caught:
        read_study(scan, plan, model)
    assert caught.value.reason.text.en and caught.value.reason.text.zh
    return caught.value.reason.code


def test_slices_of_8_mm(lung_dx_a0002: Path, model: LoadedModel) -> None:
    files = [p for p in lung_dx_a0002.rglob("*") if p.is_file()]
    assert refusal(files, model) == "too-thick"


def test_an_abdomen_has_too_little_lung(
    shared_data: Path, tmp_path: Path, model: LoadedModel
) -> None:
    path = shared_data / "abdomen" / "TCGA-LIHC-BC-A3KF.npz"
    with np.load(path) as arrays:
        hu, z, pixel = arrays["hu"], arrays["z_mm"], arrays["pixel_mm"]
    images = make_images(
        hu, first=(-200, -200, float(z[0])), spacing=(float(pixel[0]), float(pixel[1])),
        step=(0, 0, float(z[1] - z[0])),
    )  # fmt: skip
    assert refusal(write(tmp_path, images), model) == "no-lung"


def test_a_head_has_no_lung(shared_data: Path, tmp_path: Path, model: LoadedModel) -> None:
    """A tilted head CT: its slices as they are, then as if they had been scanned upright."""
    archive = shared_data / "protocol" / "geometry_tilt_gaps" / "dcm_qa_ct_GE_tilt18.5_gap.tar.xz"
    unpack(archive, tmp_path / "head")
    files = sorted(p for p in (tmp_path / "head").rglob("*") if p.is_file())
    scan, plan = plan_study(files, model.spec)
    assert plan.chosen is None
    (item,) = plan.verdicts[0].notices
    assert item.code == "irregular-geometry"
    assert "uneven (1.08 to 7.00 mm" in item.text.en

    images = [pydicom.dcmread(image.path) for image in scan.slices]
    images.sort(key=lambda image: float(image.ImagePositionPatient[2]))
    hu = np.stack([i.pixel_array * i.RescaleSlope + i.RescaleIntercept for i in images])
    pixel = float(images[0].PixelSpacing[0])
    upright = make_images(hu.astype(np.int16), spacing=(pixel, pixel), step=(0, 0, 4.0))
    assert refusal(write(tmp_path / "upright", upright), model) == "no-lung"
