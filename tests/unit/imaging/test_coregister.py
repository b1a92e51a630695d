"""Two series of one head laid over one another, whatever they are weighted for."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.agreement import Landmarks
from imaging.coregister import Coregistration, coregister, laid_over, picture
from imaging.geometry import Grid
from imaging.phantom_brain import BrainStudy, SeriesPlan, make_brain_study, oblique, rigid
from imaging.volume import Volume

PLANS = (
    SeriesPlan("T1c", "T1 +C", (84, 100, 84), (2.0, 2.0, 2.0), oblique(10)),
    SeriesPlan("FLAIR", "FLAIR", (84, 100, 100), (2.0, 2.0, 2.0), (0, 1, 0, 0, 0, -1),
               shift_mm=(9.0, -14.0, 12.0), turn_degrees=(5.0, 3.0, -6.0)),
)  # fmt: skip


@pytest.fixture(scope="module")
def study() -> BrainStudy:
    return make_brain_study(3, PLANS)


@pytest.fixture(scope="module")
def found(study: BrainStudy) -> Coregistration:
    return coregister(study.series[0].volume, study.series[1].volume)


def error_mm(motion: np.ndarray, truth: np.ndarray) -> float:
    """The farthest that two motions differ on a ball of 80 mm."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(200, 3))
    points *= 80 / np.linalg.norm(points, axis=1, keepdims=True)
    off = points @ (motion - truth)[:3, :3].T + (motion - truth)[:3, 3]
    return float(np.linalg.norm(off, axis=1).max())


def test_a_known_motion_is_recovered_and_the_residual_says_so(
    study: BrainStudy, found: Coregistration
) -> None:
    truth = PLANS[1].motion @ np.linalg.inv(PLANS[0].motion)
    assert error_mm(np.eye(4), truth) > 20
    assert error_mm(found.motion, truth) < 1.0
    assert found.agreement.good
    assert found.agreement.residual_mm is not None and found.agreement.residual_mm < 1.0
    assert found.turned_degrees == pytest.approx(8.4, abs=1.0)
    assert found.moved_mm > 20


def test_what_lies_over_another_is_on_its_grid(study: BrainStudy, found: Coregistration) -> None:
    """After the motion the tumor's edema is bright in FLAIR where T1c has it."""
    fixed = study.series[0].volume
    flair = laid_over(study.series[1].volume, found.motion, fixed.grid)
    assert flair.grid is fixed.grid
    k, j, i = np.rint(fixed.grid.to_index((28.0, 12.0, 36.0))).astype(int)
    assert flair.voxels[k, j, i] > 700
    assert laid_over(study.series[1].volume, np.eye(4), fixed.grid).voxels[k, j, i] < 700


def test_series_that_lie_right_are_left_where_they_are(study: BrainStudy) -> None:
    whole = study.series[0].volume
    fixed = Volume(whole.voxels[18:66], whole.grid.crop((18, 0, 0), (48, 100, 84)))
    inverted = Volume((1200 - np.minimum(fixed.voxels, 1200)).astype(np.int16), fixed.grid)
    same = coregister(fixed, inverted)
    assert np.array_equal(same.motion, np.eye(4))
    assert same.agreement.good and same.moved_mm == 0
    assert same.agreement.residual_mm == pytest.approx(0, abs=0.2)


def test_what_is_not_the_same_head_is_not_believed() -> None:
    rng = np.random.default_rng(5)
    grid = Grid((28, 28, 28), np.diag([4.0, 4.0, 4.0, 1.0])[[2, 1, 0, 3]])
    one, two = (Volume(rng.integers(0, 900, grid.shape).astype(np.int16), grid) for _ in range(2))
    assert not coregister(one, two).agreement.good


def test_a_slab_too_thin_is_not_believed(study: BrainStudy) -> None:
    """Four sagittal slices: too few to search at all."""
    fixed, other = (each.volume for each in study.series)
    slab = Volume(other.voxels[40:44], other.grid.crop((40, 0, 0), (4, 100, 100)))
    thin = coregister(fixed, slab).agreement
    assert (thin.sought, thin.residual_mm, thin.good) == (0, None, False)


@pytest.mark.slow
def test_the_same_input_gives_the_same_result(study: BrainStudy, found: Coregistration) -> None:
    again = coregister(study.series[0].volume, study.series[1].volume)
    assert np.array_equal(again.motion, found.motion)
    assert again.agreement == found.agreement


def test_the_residual_grows_with_the_error(study: BrainStudy, found: Coregistration) -> None:
    landmarks = Landmarks.of(*(picture(each.volume) for each in study.series))
    for off in (1.0, 3.0, 6.0):
        worse = rigid((0, 0, off), (0, 0, 0)) @ found.motion
        assert landmarks.agreement(worse).residual_mm == pytest.approx(off, abs=0.7)
