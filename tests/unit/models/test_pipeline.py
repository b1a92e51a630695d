"""From a volume to lesions, with networks that see what is bright instead of trained ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imaging.geometry import Point
from imaging.volume import Region, Volume
from models.errors import InferenceFailed, InputRefused
from models.loaded import LoadedModel
from models.pipeline import Lesions, find_lesions
from models.runtime import Batch, Outputs, Runtime
from tests.unit.models.made import BrightDetector, Here, bright_model, chest, chest_grid

LEFT: Point = (50.0, 4.0, 12.0)
RIGHT: Point = (-44.0, -20.0, -30.0)
TILT = (1.0, 0.0, 0.0, 0.0, float(np.cos(0.2)), float(np.sin(0.2)))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return bright_model(tmp_path_factory.mktemp("models") / "bright")


def find(model: LoadedModel, volume: Volume, **networks: Runtime) -> Lesions:
    other = replace(model, networks={**model.networks, **networks})
    return find_lesions([volume], other, other.runners)


def dice(region: Region, centre: Point, diameter: float) -> float:
    """Against the ball itself, on the whole volume."""
    grid = region.within
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    ball = np.linalg.norm(grid.to_lps(index) - centre, axis=-1) <= diameter / 2
    found = np.zeros(grid.shape, bool)
    found[region.box] = region.voxels
    return 2 * float((ball & found).sum()) / float(ball.sum() + found.sum())


@pytest.mark.parametrize(
    ("orientation", "upside_down"),
    [((1, 0, 0, 0, 1, 0), False), ((1, 0, 0, 0, 1, 0), True), (TILT, False),
     ((1, 0, 0, 0, 0, -1), False)],
    ids=["axial", "mirrored", "tilted", "coronal"],
)  # fmt: skip
def test_a_ball_is_marked_where_it_is_however_stored(
    model: LoadedModel, orientation: tuple[float, ...], upside_down: bool
) -> None:
    grid = chest_grid(orientation, upside_down=upside_down)
    # One ball only, off the middle on every axis: a mirrored mask would miss it altogether.
    lesions = find(model, chest(grid, ((LEFT, 20.0, 260),)))
    (candidate,) = lesions.candidates
    assert candidate.region.within.same_as(grid)
    assert dice(candidate.region, LEFT, 20.0) > 0.8
    assert 0 < candidate.score <= 1


def test_the_best_comes_first_and_the_number_has_a_limit(model: LoadedModel) -> None:
    volume = chest(chest_grid(), ((LEFT, 20.0, 180), (RIGHT, 20.0, 250)))
    two = find(model, volume).candidates
    assert [dice(c.region, at, 20.0) > 0.8 for c, at in zip(two, (RIGHT, LEFT), strict=True)] == [
        True,
        True,
    ]
    assert two[0].score > two[1].score
    point = model.spec.operating_point.model_copy(update={"most_findings": 1})
    few = replace(model, spec=model.spec.model_copy(update={"operating_point": point}))
    (one,) = find(few, volume).candidates
    assert one.score == two[0].score


def test_a_higher_threshold_finds_less(model: LoadedModel) -> None:
    volume = chest(chest_grid(), ((LEFT, 20.0, 180), (RIGHT, 20.0, 250)))
    low, high = sorted(c.score for c in find(model, volume).candidates)
    point = model.spec.operating_point.model_copy(update={"score_threshold": (low + high) / 2})
    strict = replace(model, spec=model.spec.model_copy(update={"operating_point": point}))
    assert [c.score for c in find(strict, volume).candidates] == [high]


def test_bone_is_no_lung_nodule(model: LoadedModel) -> None:
    spine: Point = (0.0, 68.0, 0.0)
    assert find(model, chest(chest_grid(), ((spine, 20.0, 260),))).candidates == ()


def test_clear_lungs_have_no_lesions(model: LoadedModel) -> None:
    lesions = find(model, chest(chest_grid()))
    assert lesions.candidates == ()
    assert lesions.notices == ()


def test_no_lung_is_refused_with_the_volume_found(model: LoadedModel) -> None:
    solid = chest(chest_grid(), lung_mm=5.0)
    with pytest.raises(InputRefused) as caught:
        find(model, solid)
    assert caught.value.reason.code == "no-lung"
    assert "at least 100 ml" in str(caught.value)


def test_lungs_cut_by_the_scan_are_said(model: LoadedModel) -> None:
    lesions = find(model, chest(chest_grid(), ((LEFT, 20.0, 260),), lung_mm=200.0))
    assert [n.code for n in lesions.notices] == ["partial-lung"]
    assert len(lesions.candidates) == 1


class Mask(Here):
    """A mask network that says the same everywhere."""

    def __init__(self, logit: float) -> None:
        self.logit = logit

    def run(self, batch: Batch) -> Outputs:
        return (np.full(batch.shape, self.logit, np.float32),)


def test_a_detection_without_a_mask_is_a_ball_of_the_predicted_size(model: LoadedModel) -> None:
    volume = chest(chest_grid(), ((LEFT, 20.0, 260),))
    (candidate,) = find(model, volume, mask=Mask(-20.0)).candidates
    # The detector says 12 mm; voxels of 36 mm3 are coarse.
    assert candidate.region.mask.volume_mm3 == pytest.approx(905, rel=0.3)
    assert dice(candidate.region, LEFT, 12.0) > 0.5


class Twice(BrightDetector):
    """Sees everything a second time, three cells (12 mm) to the left."""

    def run(self, batch: Batch) -> Outputs:
        (maps,) = super().run(batch)
        for logits in maps[:, 0]:
            k, j, i = np.unravel_index(int(logits.argmax()), logits.shape)
            best = logits[k, j, i]
            logits[:] = -9.0
            logits[k, j, i] = best
            logits[k, j, min(i + 3, logits.shape[2] - 1)] = best - 0.1
        return (maps,)


def test_two_detections_of_one_lesion_are_one(model: LoadedModel) -> None:
    volume = chest(chest_grid(), ((LEFT, 26.0, 260),))
    assert len(find(model, volume, detector=Twice()).candidates) == 1
    # With masks that share nothing (balls of 12 mm, 12 mm apart) both stand.
    assert len(find(model, volume, detector=Twice(), mask=Mask(-20.0)).candidates) == 2


class Broken(Here):
    def run(self, batch: Batch) -> Outputs:
        raise InferenceFailed("out of memory")


@pytest.mark.parametrize("role", ["detector", "mask"])
def test_a_failing_network_is_the_caller_s_to_retry(model: LoadedModel, role: str) -> None:
    volume = chest(chest_grid(), ((LEFT, 20.0, 260),))
    with pytest.raises(InferenceFailed, match="out of memory"):
        find(model, volume, **{role: Broken()})


def test_steps_are_told_and_timed(model: LoadedModel) -> None:
    steps: list[str] = []
    told: Callable[[str], None] = steps.append
    lesions = find_lesions([chest(chest_grid())], model, model.runners, told)
    assert steps == ["lungs", "resample", "detect", "segment", "why"]
    assert set(lesions.seconds) == set(steps)
    assert all(seconds >= 0 for seconds in lesions.seconds.values())


def test_the_input_is_left_as_it_was(model: LoadedModel, tmp_path: Path) -> None:
    volume = chest(chest_grid(), ((LEFT, 20.0, 260),))
    before = volume.voxels.copy()
    find(model, volume)
    assert np.array_equal(volume.voxels, before)
