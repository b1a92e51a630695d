"""The features: what they say of known shapes, and that training and reading measure alike."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.volume import Region, Volume
from models.character.features import (
    NAMES,
    RING_MM,
    Crop,
    cut,
    in_plane_distance,
    measure_features,
)
from tests.unit.models.character.made import LUNG_HU, ball, nodule, star


def of(volume: Volume, region: Region) -> dict[str, float]:
    return dict(zip(NAMES, measure_features(cut(volume, region)).tolist(), strict=True))


@pytest.mark.parametrize("spacing", [(1.0, 0.6, 0.6), (2.5, 0.7, 0.7), (0.7, 0.9, 0.9)])
def test_a_ball_is_a_ball_on_any_grid(spacing: tuple[float, float, float]) -> None:
    found = of(*nodule(ball(16), spacing))
    assert np.exp(found["diameter"]) == pytest.approx(16, abs=1.0)
    assert np.exp(found["volume"]) == pytest.approx(16, abs=0.6)
    assert found["roundness"] > 0.93
    assert found["outline"] == pytest.approx(1, abs=0.05)
    assert found["hull"] > 0.95
    assert found["height"] == pytest.approx(1, abs=0.2)
    assert found["sphericity"] == pytest.approx(1, abs=0.12)
    assert found["spicules"] < 0.05 and found["attached"] < 0.02


def test_ridges_show_in_the_outline_and_the_ring() -> None:
    smooth, ridged = of(*nodule(ball(16))), of(*nodule(star(16, 2.5)))
    assert ridged["outline"] > smooth["outline"] + 0.15
    assert ridged["hull"] < smooth["hull"] - 0.05
    assert ridged["sphericity"] < smooth["sphericity"]


def test_density_tells_ground_glass() -> None:
    solid, glass = (of(*nodule(ball(12), hu=hu)) for hu in (40, -600))
    assert glass["glass"] > 0.95 and solid["glass"] < 0.3
    assert glass["median"] == pytest.approx(-6, abs=0.3)
    assert solid["median"] == pytest.approx(0.4, abs=0.3)


def test_a_wall_shows_as_attached() -> None:
    volume, region = nodule(ball(12))
    before = of(volume, region)
    voxels = np.array(volume.voxels)
    last = region.start[1] + region.voxels.shape[1]
    voxels[:, last:] = 40
    after = of(Volume(voxels, volume.grid), region)
    assert after["attached"] > before["attached"] + 0.1
    assert after["spicules"] > before["spicules"] + 0.1


def test_shape_features_do_not_ask_for_hounsfield_units() -> None:
    volume, region = nodule(star(14, 1.5), noise=0)
    stretched = Volume((volume.voxels + 982) * 1.2 - 982, volume.grid)
    a, b = of(volume, region), of(stretched, region)
    for name in ("sharpness", "texture", "evenness", "spicules", "attached", "outline"):
        assert b[name] == pytest.approx(a[name], abs=0.02), name


def test_what_lies_above_and_below_does_not_count() -> None:
    volume, region = nodule(ball(12))
    other = np.array(volume.voxels)
    last = region.start[0] + region.voxels.shape[0]
    other[: region.start[0]] = 500
    other[last:] = 500
    assert of(Volume(other, volume.grid), region) == of(volume, region)


def test_the_distance_is_to_the_border_in_the_slice() -> None:
    mask = np.zeros((2, 21, 21), np.bool_)
    mask[0, 5:16, 5:16] = True
    mask[1, 10, 10] = True
    distance = in_plane_distance(mask, (1.0, 0.5, 0.5))
    assert distance[0, 4, 10] == pytest.approx(0.25)
    assert distance[0, 10, 10] == pytest.approx(-2.75)
    assert distance[1, 10, 0] == pytest.approx(4.75, abs=0.01)
    assert (distance[mask] < 0).all() and (distance[~mask] > 0).all()


def test_one_voxel_and_a_nodule_at_the_edge_give_numbers() -> None:
    volume, _ = nodule(ball(12))
    for start in ((0, 0, 0), (10, 20, 20)):
        speck = Region(np.ones((1, 1, 1), np.bool_), start, volume.grid)
        assert np.isfinite(measure_features(cut(volume, speck))).all()


def test_an_empty_mask_is_refused() -> None:
    volume, region = nodule(ball(12))
    with pytest.raises(ValueError, match="empty"):
        cut(volume, Region(np.zeros_like(region.voxels), region.start, region.within))


def test_training_and_reading_measure_the_same() -> None:
    pytest.importorskip("scipy", reason="needs preread[monai]")
    from models.training.nodules_data import Nodule
    from models.training.ratings import GAIN, OFFSET_HU, majority, version

    volume, region = nodule(star(11, 1.0), noise=0)
    code = np.rint((np.array(volume.voxels) - OFFSET_HU) / GAIN).clip(0, 255).astype(np.uint8)
    k = slice(region.start[0], region.start[0] + region.voxels.shape[0])
    share = np.zeros(volume.grid.shape, np.float32)
    share[region.box] = region.voxels
    outlined = Nodule("n", "LIDC-IDRI-0004", code[k], share[k], volume.grid.spacing_mm, 11.0, 5.0)
    same = Volume(code.astype(np.float32) * GAIN + OFFSET_HU, volume.grid)
    trained = measure_features(majority(outlined))
    read = measure_features(cut(same, region))
    assert trained == pytest.approx(read, abs=1e-5)

    rng = np.random.default_rng(3)
    drawn = [version(outlined, rng) for _ in range(12)]
    sizes = np.array([crop.mask.sum() for crop in drawn]) / region.voxels.sum()
    assert sizes.min() > 0.3 and sizes.max() < 1.8 and np.ptp(sizes) > 0.2
    assert all(crop.mask.any(axis=(1, 2)).all() for crop in drawn)


def test_the_ring_lies_in_the_margin_that_is_cut() -> None:
    volume, region = nodule(ball(10))
    crop = cut(volume, region)
    distance = in_plane_distance(crop.mask, crop.spacing_mm)
    assert distance.max() > RING_MM[1]
    far = crop.hu[distance > 2]
    assert isinstance(crop, Crop) and np.median(far) == pytest.approx(LUNG_HU, abs=5)
