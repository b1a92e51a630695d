"""Why a place was flagged: the score without the lesion, the parts that count, the picture."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imaging.geometry import Grid
from imaging.headers import scan_files
from imaging.load import load_series
from imaging.series import group_series
from imaging.volume import Region
from models.lesions import Candidate
from models.loaded import load_model
from models.lungs.why import MOST_FINDINGS, explain, explain_best
from models.lungs.why_picture import GAP_PX, PANEL_PX
from models.pipeline import find_lesions
from models.spec import CATALOG, read_spec
from tests.unit.models.lungs.made import SIDE, WALL, brightness, lung_with

AFFINE = np.array([[0, 0, 1, -40.0], [0, 1, 0, -30.0], [1, 0, 0, 100.0], [0, 0, 0, 1]])
GRID = Grid((SIDE, SIDE, SIDE), AFFINE)


def region_of(mask: np.ndarray, grid: Grid = GRID) -> Region:
    at = np.argwhere(mask)
    low, high = at.min(0), at.max(0) + 1
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return Region(mask[box], (int(low[0]), int(low[1]), int(low[2])), grid)


def panels(png: bytes) -> list[np.ndarray]:
    picture = Image.open(BytesIO(png))
    assert picture.size == (600, 220)
    pixels = np.asarray(picture, float)[:PANEL_PX]
    return [pixels[:, n * (PANEL_PX + GAP_PX) :][:, :PANEL_PX] for n in range(3)]


@pytest.mark.parametrize("centre", [(48, 40, 48), (47, WALL - 9, 50)])
def test_without_the_lesion_the_score_falls_and_the_picture_shows_it(
    centre: tuple[int, int, int],
) -> None:
    image, mask = lung_with(centre, 14)
    candidate = Candidate(region_of(mask & (image > 0)), 0.9)
    why = explain(candidate, image, GRID, brightness)
    assert why.score == 0.9
    assert why.healed_score < 0.2
    assert why.least_score < 0.9
    place, _, healed = panels(why.png)
    middle = slice(PANEL_PX // 2 - 10, PANEL_PX // 2 + 10)
    assert place[middle, middle].mean() > 180
    assert healed[middle, middle].mean() < 120


def test_the_heat_lies_on_the_lesion_and_nowhere_else() -> None:
    image, mask = lung_with((48, 40, 48), 14)
    why = explain(Candidate(region_of(mask), 0.9), image, GRID, brightness)
    place, heat, _ = panels(why.png)
    middle = slice(PANEL_PX // 2 - 10, PANEL_PX // 2 + 10)
    red = heat[middle, middle, 0] - heat[middle, middle, 2]
    assert red.mean() > 40
    assert (heat[:12, :12] == place[:12, :12]).all()


def test_a_score_that_hangs_on_something_else_stays() -> None:
    image, mask = lung_with((48, 40, 48), 12)

    def blind(crops: np.ndarray) -> np.ndarray:
        return brightness(np.zeros_like(crops))

    why = explain(Candidate(region_of(mask), 0.8), image, GRID, blind)
    assert why.healed_score == pytest.approx(0.8) and why.least_score == pytest.approx(0.8)
    place, heat, _ = panels(why.png)
    # No heat: only the outline's width differs.
    assert np.abs(place - heat).max(axis=2).mean() < 3


def test_the_same_again_is_the_same_picture() -> None:
    image, mask = lung_with((48, 40, 48), 9)
    candidate = Candidate(region_of(mask), 0.7)
    first, second = (explain(candidate, image, GRID, brightness) for _ in range(2))
    assert first.png == second.png and first.healed_score == second.healed_score


def test_a_mask_on_the_scanners_own_grid_is_put_in_its_place() -> None:
    image, _ = lung_with((48, 40, 48), 12)
    # Slices of 2.5 mm from the head down, rows from the back: as a scanner may store them.
    affine = np.array([[0, 0, 0.7, -40.0], [0, -0.7, 0, 40.0], [-2.5, 0, 0, 190.0], [0, 0, 0, 1]])
    source = Grid((36, 100, 130), affine)
    at = np.stack(np.meshgrid(*(np.arange(n) for n in source.shape), indexing="ij"), axis=-1)
    middle = GRID.to_lps((48, 40, 48))
    mask = np.linalg.norm(source.to_lps(at) - middle, axis=-1) <= 6
    why = explain(Candidate(region_of(mask, source), 0.9), image, GRID, brightness)
    assert why.healed_score < 0.2
    place, _, healed = panels(why.png)
    assert place[88:108, 88:108].mean() > 180 and healed[88:108, 88:108].mean() < 120


def test_a_speck_and_a_mass_have_pictures_too() -> None:
    for diameter in (1.0, 44.0):
        image, mask = lung_with((48, 40, 48), diameter)
        why = explain(Candidate(region_of(mask), 0.9), image, GRID, brightness)
        assert len(panels(why.png)) == 3 and 0 <= why.healed_score <= 0.9001


def test_only_the_best_few_get_one_and_the_detector_is_asked_in_batches() -> None:
    image, mask = lung_with((48, 40, 48), 8)
    asked: list[int] = []

    def counted(crops: np.ndarray) -> np.ndarray:
        assert all(n % 16 == 0 for n in crops.shape[2:]) and crops.dtype == np.float32
        asked.append(len(crops))
        return brightness(crops)

    candidates = [Candidate(region_of(mask), 0.9 - n / 100) for n in range(MOST_FINDINGS + 2)]
    told = explain_best(candidates, image, GRID, counted)
    assert [c.why is not None for c in told] == [True] * MOST_FINDINGS + [False] * 2
    assert [c.score for c in told] == [c.score for c in candidates]
    assert sum(asked) == MOST_FINDINGS * 27 and max(asked) < 16
    assert explain_best([], image, GRID, counted) == []


def test_in_a_patient_the_shipped_detector_loses_the_nodules_that_are_healed(
    lidc_0005: Path,
) -> None:
    files = sorted(p for p in lidc_0005.rglob("*") if p.is_file())
    volume = load_series(max(group_series(scan_files(files)), key=lambda s: len(s.slices))).volume
    model = load_model(read_spec(CATALOG / "lung_nodule_reference"))
    lesions = find_lesions([volume], model, model.runners)
    assert lesions.candidates
    for candidate in lesions.candidates[:MOST_FINDINGS]:
        assert candidate.why is not None and candidate.why.score == candidate.score
    best = lesions.candidates[0].why
    assert best is not None
    assert best.healed_score < best.score - 0.2
    assert len(panels(best.png)) == 3
