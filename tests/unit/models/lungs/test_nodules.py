"""The detector's maps to candidates, and cubes to masks."""

from __future__ import annotations

import numpy as np
import pytest

from models.lungs import nodules
from models.lungs.nodules import Candidate, Cube


def maps_with(*peaks: tuple[tuple[int, int, int], float, float]) -> np.ndarray:
    """Maps of 12^3 cells with a logit and a diameter at each given cell, nothing elsewhere."""
    maps = np.full((2, 12, 12, 12), -9.0, np.float32)
    maps[1] = np.log(6.0)
    for cell, logit, diameter in peaks:
        maps[(0, *cell)] = logit
        maps[(1, *cell)] = np.log(diameter)
    return maps


def test_input_units() -> None:
    given = np.array([-3000, -1000, -500, 250, 3000], np.int16)
    np.testing.assert_allclose(nodules.to_input(given), [-1.25, -1.25, 0, 1.875, 1.875])
    assert nodules.to_input(given).dtype == np.float32


def test_a_lone_peak_is_at_its_cells_centre_in_millimetres() -> None:
    (found,) = nodules.find_candidates(maps_with(((3, 5, 7), 4.0, 6.0)), threshold=0.0)
    # A cell holds voxels 4 c to 4 c + 3; its centre is at 4 c + 1.5.
    np.testing.assert_allclose(found.centre, (13.5, 21.5, 29.5), atol=0.02)
    assert found.diameter_mm == pytest.approx(6.0, rel=0.01)
    assert found.score == pytest.approx(4.0, abs=0.01)


def test_the_centre_leans_to_a_strong_neighbour() -> None:
    maps = maps_with(((5, 5, 5), 2.0, 8.0))
    maps[0, 5, 5, 6] = 1.9
    (found,) = nodules.find_candidates(maps, threshold=0.0)
    assert found.centre[2] == pytest.approx(4 * 5.5 + 1.5, abs=0.2)
    assert found.centre[1] == pytest.approx(21.5, abs=0.1)


def test_peaks_at_the_border_are_found() -> None:
    found = nodules.find_candidates(
        maps_with(((0, 0, 0), 3.0, 6.0), ((11, 11, 11), 3.0, 6.0)), threshold=0.0
    )
    assert len(found) == 2


@pytest.mark.parametrize(
    ("diameter", "term"), [(1.0, np.log(0.5)), (6.0, 0.0), (12.0, np.log(2)), (50.0, np.log(2))]
)
def test_score_prefers_larger_up_to_12_mm(diameter: float, term: float) -> None:
    assert Candidate((0, 0, 0), diameter, 1.0).score == pytest.approx(1.0 + term)


def test_the_size_term_can_lift_a_peak_over_the_threshold() -> None:
    maps = maps_with(((3, 3, 3), -0.5, 20.0), ((8, 8, 8), 0.5, 3.0))
    found = nodules.find_candidates(maps, threshold=0.0)
    assert [round(c.diameter_mm) for c in found] == [20]


def test_probability_of_score_zero_is_one_half() -> None:
    assert Candidate((0, 0, 0), 6.0, 0.0).probability == pytest.approx(0.5)


def test_neighbours_within_8_mm_are_one_and_a_mass_owns_more() -> None:
    first = Candidate((20, 20, 20), 6.0, 3.0)
    near, far = Candidate((20, 20, 27), 6.0, 2.0), Candidate((20, 20, 29), 6.0, 2.0)
    assert nodules.suppress([near, first, far]) == [first, far]
    mass = Candidate((20, 20, 20), 30.0, 5.0)
    assert nodules.suppress([far, mass]) == [mass]
    # A spot that outscores the mass it lies in must not leave two findings.
    small = Candidate((20, 20, 29), 6.0, 9.0)
    assert nodules.suppress([mass, small]) == [small]


def test_only_centres_in_the_lung_count() -> None:
    maps = maps_with(((3, 3, 3), 4.0, 6.0), ((8, 8, 8), 4.0, 6.0))
    lung = np.zeros((48, 48, 48), bool)
    lung[:24] = True
    (found,) = nodules.find_candidates(maps, threshold=0.0, lung=lung)
    assert found.centre[0] < 24


def test_a_large_mass_may_lie_a_little_outside_the_lung() -> None:
    lung = np.zeros((48, 48, 48), bool)
    lung[:24] = True
    maps = maps_with(((7, 3, 3), 4.0, 32.0), ((7, 9, 9), 4.0, 8.0))  # 5.5 mm off the lung
    (found,) = nodules.find_candidates(maps, threshold=0.0, lung=lung)
    assert found.diameter_mm > 30


@pytest.mark.parametrize(("diameter", "side"), [(3.0, 24.0), (20.0, 45.0), (80.0, 96.0)])
def test_cube_side(diameter: float, side: float) -> None:
    assert nodules.cube_side_mm(diameter) == pytest.approx(side)


def test_a_cube_of_a_ramp_holds_the_positions_its_affine_says() -> None:
    k, j, i = np.meshgrid(*(np.arange(60, dtype=np.float32),) * 3, indexing="ij")
    cube = nodules.extract_cube(k + 100 * j + 10_000 * i, Candidate((30.2, 28.5, 31.0), 10.0, 0.0))
    assert cube.values.shape == (nodules.CUBE_SAMPLES,) * 3
    assert cube.spacing_mm == pytest.approx(24.0 / nodules.CUBE_SAMPLES)
    at = cube.affine @ [4, 9, 20, 1]
    assert cube.values[4, 9, 20] == pytest.approx(at[0] + 100 * at[1] + 10_000 * at[2], rel=1e-5)
    middle = cube.affine @ [*((nodules.CUBE_SAMPLES - 1) / 2,) * 3, 1]
    np.testing.assert_allclose(middle[:3], (30.2, 28.5, 31.0))


def test_a_cube_over_the_volumes_edge_repeats_the_edge() -> None:
    image = np.arange(20, dtype=np.float32)[:, None, None] * np.ones((20, 20, 20), np.float32)
    cube = nodules.extract_cube(image, Candidate((0.0, 10.0, 10.0), 8.0, 0.0))
    assert cube.values[0, 5, 5] == 0.0
    assert np.isfinite(cube.values).all()


def test_segment_batches_and_returns_probabilities_in_place() -> None:
    sizes: list[int] = []

    def run(crops: np.ndarray) -> np.ndarray:
        assert crops.shape[1:] == (1, *(nodules.CUBE_SAMPLES,) * 3)
        sizes.append(len(crops))
        return np.asarray(crops * 100, np.float32)

    image = np.full((64, 64, 64), -1, np.float32)
    image[28:36, 28:36, 28:36] = 1
    spots = [Candidate((31.5, 31.5, 31.5), 8.0, 0.0)] * 5
    masks = nodules.segment(image, spots, run, batch=2)
    assert sizes == [2, 2, 1]
    assert len(masks) == 5
    found = nodules.connected(masks[0])
    mm3 = float(found.sum()) * masks[0].spacing_mm ** 3
    assert mm3 == pytest.approx(512, rel=0.2)


def test_no_candidates_make_no_call() -> None:
    def run(crops: np.ndarray) -> np.ndarray:
        raise AssertionError("nothing to run")

    assert nodules.segment(np.zeros((20, 20, 20), np.float32), [], run) == []


def test_connected_keeps_the_piece_nearest_the_middle() -> None:
    values = np.zeros((32, 32, 32), np.float32)
    values[13:18, 13:18, 13:18] = 0.9
    values[2:10, 2:10, 2:10] = 1.0
    kept = nodules.connected(Cube(values, np.eye(4)))
    assert kept.sum() == 125
    assert not nodules.connected(Cube(values * 0.1, np.eye(4))).any()


def test_padding_reaches_the_next_multiple_at_the_far_end() -> None:
    image = np.random.default_rng(0).random((17, 32, 30)).astype(np.float32)
    padded = nodules.pad_to_multiple(image)
    assert padded.shape == (32, 32, 32)
    np.testing.assert_array_equal(padded[:17, :, :30], image)
    np.testing.assert_array_equal(padded[31], padded[16])
