"""Boxes in the patient, and the ellipsoids that stand for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imaging.geometry import Grid
from imaging.notices import notice
from imaging.volume import Volume
from models.detection.boxes import Selection
from models.detection.detect import Box, DetectionPlan, candidates, detect, ellipsoid
from models.errors import PatchRefused
from models.recipe import Orient, Windows
from models.runner import Direct
from models.runtime import Batch, Outputs
from models.spec import ModelSpec, read_spec
from tests.unit.models.made import Here

SHAPE = (20, 30, 40)
GRID = Grid.from_dicom(SHAPE, (-20, -30, 100), (1, 0, 0, 0, 1, 0), (1.0, 0.8), (0, 0, 2.0))


class Centres(Here):
    """A detector without weights: one level, one cell a voxel block of 4, score by its mean."""

    def __init__(self, bad: float | None = None) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self._bad = bad

    def run(self, batch: Batch) -> Outputs:
        self.shapes.append(batch.shape[1:])
        n, _, x, y, z = batch.shape
        cells = batch.reshape(n, x // 4, 4, y // 4, 4, z // 4, 4).mean(axis=(2, 4, 6))
        logits = (cells[:, None] * 8 - 4).astype(np.float32)
        codes = np.zeros((n, 6, *cells.shape[1:]), np.float32)
        if self._bad is not None:
            codes[:, 3] = self._bad
        return logits, codes


def a_plan(**more: object) -> DetectionPlan:
    return DetectionPlan(
        prepare=(Orient(axes="RAS"),),
        windows=Windows(patch=(64, 64, 64), batch=1),
        divisible=(4, 4, 4),
        anchors=(((-3, -3, -3, 3, 3, 3),),),
        classes=1,
        selection=Selection(score=0.5, overlap=0.1),
        **more,
    )


def a_volume(where: tuple[slice, slice, slice], grid: Grid = GRID) -> Volume:
    voxels = np.zeros(grid.shape, np.float32)
    voxels[where] = 1.0
    return Volume(voxels, grid)


def test_a_box_lies_where_the_bright_block_is() -> None:
    """In RAS the block's cell is (x, y, z) = (20..24, 16..20, 8..12) from the right front foot."""
    runtime = Centres()
    volume = a_volume((slice(8, 12), slice(10, 14), slice(16, 20)))
    seconds: dict[str, float] = {}
    steps: list[str] = []
    (box,) = detect([volume], a_plan(), Direct(runtime), steps.append, seconds)
    # 30 rows and 20 slices are filled up to 32 and 20; the whole image is one patch.
    assert runtime.shapes == [(1, 40, 32, 20)]
    low, high = box.corners
    # An anchor's centre is the stride's half from its cell's first voxel: index 22, 18, 10 of
    # the RAS image, which is column 39 - 22, row 29 - 18, slice 10.
    np.testing.assert_allclose(box.centre, GRID.to_lps((10, 11, 17)), atol=1e-6)
    np.testing.assert_allclose(np.subtract(high, low), (6 * 0.8, 6 * 1.0, 6 * 2.0), atol=1e-6)
    assert box.class_number == 0
    assert box.score == pytest.approx(1 / (1 + np.exp(-4)), abs=1e-6)
    assert steps == list(seconds) == ["prepare", "network", "finish"]


def test_windows_give_the_same_boxes_where_the_network_sees_no_further() -> None:
    volume = a_volume((slice(8, 12), slice(10, 14), slice(16, 20)))
    whole = detect([volume], a_plan(), Direct(Centres()))
    runtime = Centres()
    plan = a_plan().model_copy(
        update={"windows": Windows(patch=(16, 16, 16), overlap=(0.25, 0.25, 0.25), batch=1)}
    )
    parts = detect([volume], plan, Direct(runtime))
    assert set(runtime.shapes) == {(1, 16, 16, 16)} and len(runtime.shapes) > 8
    assert [box.centre for box in parts] == [box.centre for box in whole]
    # An image of fewer voxels than a window runs in windows where the plan insists.
    runtime = Centres()
    detect([volume], a_plan(always_windows=True), Direct(runtime))
    assert runtime.shapes == [(1, 64, 64, 64)]


def test_however_the_series_is_stored_the_box_lies_in_the_same_place() -> None:
    volume = a_volume((slice(8, 12), slice(10, 14), slice(16, 20)))
    (box,) = detect([volume], a_plan(), Direct(Centres()))
    affine = GRID.affine @ np.diag([-1.0, -1, 1, 1])
    affine[:3, 3] = GRID.to_lps((SHAPE[0] - 1, SHAPE[1] - 1, 0))
    turned = Volume(volume.voxels[::-1, ::-1], Grid(SHAPE, affine))
    (other,) = detect([turned], a_plan(), Direct(Centres()))
    np.testing.assert_allclose(other.corners, box.corners, atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_output_that_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(PatchRefused, match="finite"):
        detect([a_volume((slice(0, 4),) * 3)], a_plan(), Direct(Centres(bad)))


def test_output_of_another_network_is_refused() -> None:
    volume = a_volume((slice(0, 4),) * 3)
    two = (((-3, -3, -3, 3, 3, 3),), ((-6, -6, -6, 6, 6, 6),))
    with pytest.raises(PatchRefused, match="2 maps, not 4"):
        detect([volume], a_plan().model_copy(update={"anchors": two}), Direct(Centres()))
    with pytest.raises(PatchRefused, match="channels, expected"):
        detect([volume], a_plan().model_copy(update={"classes": 2}), Direct(Centres()))
    with pytest.raises(ValueError, match="2 volumes"):
        detect([volume, volume], a_plan(), Direct(Centres()))


def a_box(centre: tuple[float, float, float], mm: float = 10.0, score: float = 0.9) -> Box:
    return Box(centre, np.eye(3) * mm / 2, score, 0)


def test_the_mask_is_the_ellipsoid_in_the_box() -> None:
    grid = Grid((40, 40, 40), np.diag([1.0, 1, 1, 1])[[2, 1, 0, 3]])
    centre = (20.0, 18.0, 22.0)
    region = ellipsoid(Box(centre, np.diag([8.0, 6.0, 5.0]), 0.9, 0), grid)
    volume = np.count_nonzero(region.voxels)
    assert volume == pytest.approx(4 / 3 * np.pi * 8 * 6 * 5, rel=0.03)
    assert region.voxels.shape == (11, 13, 17)
    middle = grid.to_lps(np.argwhere(region.voxels) + np.array(region.start)).mean(axis=0)
    np.testing.assert_allclose(middle, centre, atol=1e-6)


def test_a_box_on_an_oblique_grid_has_its_mask_along_that_grid() -> None:
    turn = np.array([[np.cos(0.5), -np.sin(0.5), 0], [np.sin(0.5), np.cos(0.5), 0], [0, 0, 1]])
    box = Box((20.0, 20.0, 20.0), turn @ np.diag([12.0, 3.0, 3.0]), 0.9, 0)
    grid = Grid((41, 41, 41), np.eye(4)[[2, 1, 0, 3]])
    region = ellipsoid(box, grid)
    at = grid.to_lps(np.argwhere(region.voxels) + np.array(region.start)) - 20.0
    assert np.abs(at @ turn).max(axis=0) == pytest.approx((12, 3, 3), abs=1.2)


def test_a_tiny_box_and_one_at_the_edge_still_have_a_voxel() -> None:
    tiny = ellipsoid(a_box((0.3, -0.2, 110.6), mm=0.1), GRID)
    assert tiny.voxels.sum() == 1 and tiny.start == (5, 30 - 1, 25)
    edge = ellipsoid(a_box(tuple(GRID.to_lps((-1, -1, -1)))), GRID)
    assert edge.voxels.any() and min(edge.start) == 0


def a_spec(folder: Path) -> ModelSpec:
    folder.mkdir()
    (folder / "preread.toml").write_text(
        f"""
name = "{folder.name}"
version = "1"
task = "detection"
title = {{en = "T", zh = "T"}}
intended_use = {{en = "T", zh = "T"}}
limits = {{en = "T", zh = "T"}}
operating_point = {{score_threshold = 0.5, most_findings = 2}}
[[labels]]
index = 1
name = {{en = "Nodule", zh = "结节"}}
code = {{value = "27925004", scheme = "SCT", meaning = {{en = "Nodule", zh = "结节"}}}}
site = {{value = "39607008", scheme = "SCT", meaning = {{en = "Lung", zh = "肺"}}}}
minimum_mm3 = 100.0
""",
        encoding="utf-8",
    )
    return read_spec(folder)


def test_boxes_become_candidates_as_the_spec_says(tmp_path: Path) -> None:
    spec = a_spec(tmp_path / "m")
    middle = tuple(float(v) for v in GRID.to_lps((10, 15, 20)))
    boxes = [
        Box(middle, np.eye(3) * 5, 0.95, 1),  # a class that no label describes
        a_box(middle, 2.0, 0.94),  # too small
        a_box(middle, 12.0, 0.9),
        a_box(middle, 14.0, 0.8),
        a_box(middle, 16.0, 0.7),  # the third one
        a_box(middle, 12.0, 0.4),  # below the operating point
    ]
    found = candidates(boxes, GRID, spec)
    assert [(each.score, each.label) for each in found] == [(0.9, 1), (0.8, 1)]
    assert found[0].region.within is GRID


def test_readers_are_told_that_a_box_is_no_outline() -> None:
    text = notice("boxes-only").text
    assert "ellipsoid" in text.en and "椭球" in text.zh
