"""Series brought together as a spec asks, refused by name, and labels brought back."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from imaging.agreement import Agreement
from imaging.coregister import Coregistration
from imaging.geometry import Grid
from imaging.notices import Notice
from imaging.volume import Volume
from models.errors import InputRefused
from models.sections import RegistrationSection
from models.spec import CATALOG, ModelSpec, read_spec
from models.voxels.labelmap import LabelMap
from models.voxels.together import bring_together, judged

TURNED = np.array([[0.0, -0.6, 1.6, -20], [0.0, 1.6, 0.6, 5], [3.0, 0, 0, -30], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def brats() -> ModelSpec:
    return read_spec(CATALOG / "brats_mri_segmentation")


def noise(count: int, affine: np.ndarray = TURNED) -> list[Volume]:
    rng = np.random.default_rng(2)
    grid = Grid((16, 30, 30), affine)
    return [Volume(rng.integers(1, 900, grid.shape).astype(np.int16), grid) for _ in range(count)]


def spec_with(spec: ModelSpec, **keys: Any) -> ModelSpec:
    section = RegistrationSection(**keys)
    return spec.model_copy(update={"registration": section, "skull_strip": False})


def test_nothing_asked_is_nothing_done(brats: ModelSpec) -> None:
    volumes = noise(4)
    together = bring_together(volumes, spec_with(brats))
    assert all(a is b for a, b in zip(together.volumes, volumes, strict=True))
    assert together.notices == ()
    labels = LabelMap(np.zeros(volumes[0].grid.shape, np.uint8), volumes[0].grid)
    assert together.back(labels) is labels


def test_the_axial_grid_is_brats_s_and_labels_come_back_to_the_oblique_one(
    brats: ModelSpec,
) -> None:
    volumes = noise(4)
    together = bring_together(volumes, spec_with(brats, axial_mm=1.5))
    grid = together.volumes[0].grid
    assert all(volume.grid.same_as(grid) for volume in together.volumes)
    assert np.allclose(grid.affine[:3, :3], 1.5 * np.eye(3)[:, ::-1])  # k to S, j to P, i to L
    labels = np.zeros(grid.shape, np.uint8)
    middle = volumes[0].grid.to_lps((8, 15, 15))
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    labels[np.linalg.norm(grid.to_lps(index) - middle, axis=-1) < 9] = 4
    back = together.back(LabelMap(labels, grid, np.where(labels, 200, 0).astype(np.uint8)))
    assert back.grid is together.source is volumes[0].grid
    at = np.argwhere(back.labels == 4)
    assert np.allclose(back.grid.to_lps(at).mean(axis=0), middle, atol=0.5)
    volume = len(at) * back.grid.voxel_volume_mm3
    assert volume == pytest.approx(4 / 3 * np.pi * 9**3, rel=0.06)
    assert back.confidence is not None and set(np.unique(back.confidence)) == {0, 200}


def test_what_can_t_be_laid_over_is_refused_by_its_role(brats: ModelSpec) -> None:
    steps: list[str] = []
    with pytest.raises(InputRefused) as refused:
        bring_together(noise(4), spec_with(brats, method="rigid"), steps.append)
    assert refused.value.reason.code == "not-aligned"
    assert "T1 " in refused.value.reason.text.en and "T1c" in refused.value.reason.text.zh
    assert steps == ["register"]


def test_no_brain_is_refused(brats: ModelSpec) -> None:
    spec = spec_with(brats).model_copy(update={"skull_strip": True})
    with pytest.raises(InputRefused) as refused:
        bring_together(noise(1), spec)
    assert refused.value.reason.code == "no-brain"


@pytest.mark.parametrize(
    ("left", "found", "moved", "code"),
    [(0.4, 60, 1.0, None), (0.4, 60, 9.0, "moved-series"), (1.8, 60, 9.0, "coarsely-aligned"),
     (3.4, 60, 9.0, "badly-aligned"), (0.4, 5, 9.0, "not-aligned"), (None, 60, 9.0, "not-aligned")],
)  # fmt: skip
def test_what_is_left_over_decides(
    left: float | None, found: int, moved: float, code: str | None
) -> None:
    laid = Coregistration(np.eye(4), Agreement(90, found, left), moved, 2.0)
    asked = RegistrationSection(method="rigid")
    told: list[Notice] = []
    try:
        told = judged("T2", "T1c", laid, asked)
    except InputRefused as refused:
        told = [refused.reason]
    assert [item.code for item in told] == ([code] if code else [])
    for item in told:
        assert "T2" in item.text.en and re.search("[一-鿿]", item.text.zh)


@pytest.mark.parametrize(
    ("keys", "said"),
    [({"across_frames": True}, 'needs method = "rigid"'),
     ({"method": "rigid", "warned_mm": 4.0}, "must not lie below"),
     ({"method": "affine"}, "method"), ({"grid": "axial"}, "grid")],
)  # fmt: skip
def test_a_section_that_contradicts_itself(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(said)):
        RegistrationSection(**keys)


def test_the_catalogue_s_brats_asks_for_all_of_it(brats: ModelSpec) -> None:
    asked = brats.registration
    assert (asked.method, asked.across_frames, asked.axial_mm) == ("rigid", True, 1.0)
    assert brats.skull_strip
    rules = [(r.role, r.input.weighting, r.input.contrast) for r in brats.series]
    assert rules == [
        ("T1c", "T1", "with"), ("T1", "T1", "without"), ("T2", "T2", "any"),
        ("FLAIR", "FLAIR", "any"),
    ]  # fmt: skip
    assert Path(brats.folder).name == brats.name
