"""A healed lesion: gone, filled with what is around it, and nothing else touched."""

from __future__ import annotations

import numpy as np
import pytest

from models.lungs.healing import FADE_MM, GROWN_MM, Healed, heal, take
from models.lungs.nodules import to_input
from tests.unit.models.lungs.made import LUNG_HU, SIDE, TISSUE_HU, WALL, distance_to, lung_with


def healed(
    centre: tuple[float, float, float], diameter: float, start: tuple[int, int, int], side: int = 48
) -> tuple[Healed, np.ndarray, np.ndarray]:
    """Healed in a box; with the mask and the distance to the nodule's middle in that box."""
    image, mask = lung_with(centre, diameter)
    box = tuple(slice(s, s + side) for s in start)
    return heal(image, mask[box], start), mask[box], distance_to(centre)[box]


def hu(values: np.ndarray) -> np.ndarray:
    return np.asarray(values * 400 - 500)


def test_a_nodule_in_lung_becomes_lung_with_its_texture() -> None:
    made, mask, away = healed((48, 40, 48), 12, (24, 16, 24))
    inside = hu(made.whole)[mask]
    assert inside.mean() == pytest.approx(LUNG_HU, abs=30)
    assert 25 < inside.std() < 55
    seam = hu(made.whole)[(away > 6) & (away < 10)]
    assert seam.max() < -600
    far = away > 6 + GROWN_MM + FADE_MM
    assert (made.whole[far] == made.image[far]).all()
    assert hu(made.image)[mask].mean() > -100


def test_a_nodule_on_the_wall_leaves_the_wall() -> None:
    made, mask, _ = healed((48, WALL - 4, 48), 12, (24, 40, 24))
    whole = hu(made.whole)
    wall = np.zeros(mask.shape, np.bool_)
    wall[:, WALL - 40 + 2 :] = True
    assert (made.whole[wall] == made.image[wall]).all()
    lung_side = mask & ~wall
    lung_side[:, WALL - 40 - 2 :] = False
    assert lung_side.sum() > 300
    assert whole[lung_side].mean() < -750


def test_in_soft_tissue_it_takes_the_level_around() -> None:
    image = to_input(TISSUE_HU + np.random.default_rng(1).normal(0, 10, (SIDE,) * 3))
    away = distance_to((48, 48, 48))
    image = np.where(away <= 6, to_input(np.array([-400.0])), image)
    box = (slice(24, 72),) * 3
    made = heal(image, away[box] <= 6, (24, 24, 24))
    assert hu(made.whole)[away[box] <= 6].mean() == pytest.approx(TISSUE_HU, abs=15)


def test_without_room_beside_it_the_level_and_the_noise_around_fill_it() -> None:
    image, mask = lung_with((20, 20, 20), 22, side=40)
    made = heal(image[:40, :40, :40], mask, (0, 0, 0))
    inside = hu(made.whole)[mask]
    assert inside.mean() == pytest.approx(LUNG_HU, abs=40)
    assert 10 < inside.std() < 80


def test_at_the_edge_of_the_image_the_box_reaches_into_air() -> None:
    image, mask = lung_with((4, 30, 4), 8)
    start = (-20, 8, -20)
    lesion = np.zeros((48, 48, 48), np.bool_)
    lesion[20:, :, 20:] = mask[:28, 8:56, :28]
    made = heal(image, lesion, start)
    assert hu(made.image)[:20].max() == pytest.approx(-1000)
    assert hu(made.whole)[lesion].mean() < -750
    assert (take(image, start, (48, 48, 48)) == made.image).all()


def test_the_same_again_is_the_same_and_the_image_stays() -> None:
    image, mask = lung_with((48, WALL - 3, 48), 10)
    before = image.copy()
    box = (slice(24, 72), slice(40, 88), slice(24, 72))
    a, b = heal(image, mask[box], (24, 40, 24)), heal(image, mask[box], (24, 40, 24))
    assert (a.whole == b.whole).all() and (image == before).all()


def test_nothing_to_heal_is_an_error() -> None:
    image, mask = lung_with((48, 40, 48), 12)
    with pytest.raises(ValueError, match="empty"):
        heal(image, np.zeros_like(mask), (0, 0, 0))
