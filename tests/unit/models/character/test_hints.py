"""The hint: what it says of plain and suspicious nodules, and when it says nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from imaging.geometry import Grid
from imaging.nodule import NoduleType
from imaging.volume import Region, Volume
from models.character import hints
from models.character.features import NAMES
from models.character.rating import MODEL, load_rating
from models.errors import SpecError
from tests import described
from tests.unit.models.character.made import ball, nodule, star


def test_a_large_ridged_nodule_is_more_suspicious_than_a_small_smooth_one() -> None:
    (small,) = hints(*nodule(ball(5)))
    (large,) = hints(*nodule(star(24, 1.5)))
    assert small.probability is not None and large.probability is not None
    assert small.probability < 0.25 and large.probability > 0.7
    for hint in (small, large):
        assert hint.method == "lidc-rating"
        assert hint.low is not None and hint.high is not None
        assert 0 <= hint.low <= hint.probability <= hint.high <= 1
        assert hint.high - hint.low > 0.005
        assert "not pathology" in hint.meaning.en and "并非病理" in hint.meaning.zh
        assert "of 5" in hint.meaning.en and "/5" in hint.meaning.zh
    diameter = next(v for name, v in large.inputs if name.en == "mean axial diameter, mm")
    assert diameter.en == diameter.zh and diameter.en.startswith("2")


@pytest.mark.parametrize(
    ("kind", "why"), [(NoduleType.CALCIFIED, "calcified"), (NoduleType.FAT, "fat")]
)
def test_of_calcium_and_fat_it_says_nothing(kind: NoduleType, why: str) -> None:
    volume, region = nodule(ball(10))
    (hint,) = hints(volume, region, described.nodule().model_copy(update={"type": kind}))
    assert hint.probability is None and why in hint.missing[0].en
    (plain,) = hints(volume, region, described.nodule())
    assert plain.probability is not None


def test_the_same_again_is_the_same() -> None:
    made = nodule(star(9, 1.0))
    assert hints(*made) == hints(*made)


@pytest.mark.parametrize("shift", [0.3, -0.3])
def test_a_slightly_other_mask_gives_a_like_hint(shift: float) -> None:
    volume, region = nodule(ball(10))
    _, other = nodule(ball(10 + 2 * shift))
    (a,), (b,) = hints(volume, region), hints(volume, other)
    assert a.probability is not None and b.probability is not None
    assert abs(a.probability - b.probability) < 0.12


def turned(volume: Volume, region: Region) -> tuple[Volume, Region]:
    """The same voxels, called sagittal slices."""
    grid = Grid(volume.grid.shape, volume.grid.affine[[2, 1, 0, 3]])
    return Volume(volume.voxels, grid), Region(region.voxels, region.start, grid)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda: nodule(ball(12), (5.0, 0.7, 0.7)), "5.0 mm apart"),
        (lambda: nodule(ball(12), (1.0, 1.4, 1.4)), "1.40 mm"),
        (lambda: nodule(ball(2.6), (0.5, 0.4, 0.4)), "mean diameter"),
        (lambda: nodule(ball(50), side_mm=80), "mean diameter"),
        (lambda: nodule(ball(12), shift_mm=(0, 0, 28)), "cut off"),
        (lambda: turned(*nodule(ball(12), (0.7, 0.7, 0.7))), "not axial"),
    ],
)  # fmt: skip
def test_out_of_range_it_says_why_and_no_number(made, why: str) -> None:  # type: ignore[no-untyped-def]
    (hint,) = hints(*made())
    assert hint.probability is None and hint.low is None and not hint.inputs
    assert any(why in told.en for told in hint.missing)
    assert all(told.zh != told.en for told in hint.missing)


def test_an_empty_mask_gives_no_number() -> None:
    volume, region = nodule(ball(12))
    (hint,) = hints(volume, Region(np.zeros_like(region.voxels), region.start, region.within))
    assert hint.probability is None and "empty" in hint.missing[0].en


def test_the_shipped_networks_are_what_the_card_describes() -> None:
    content = json.loads(MODEL.read_text())
    card = (MODEL.parent / "CARD.md").read_text()
    assert content["sha256"] in card
    assert f"seed {content['about']['seed']}" in card
    model = load_rating()
    assert model.mean.shape == (len(NAMES),) and model.w1.shape[:2] == (
        content["about"]["members"], len(NAMES),
    )  # fmt: skip


def test_what_lies_beyond_the_training_data_counts_as_its_edge() -> None:
    model = load_rating()
    far = model.high + 100 * (model.high - model.low)
    assert model.rate(far[None]) == model.rate(model.high[None])


def test_damaged_networks_are_refused(tmp_path: Path) -> None:
    content = json.loads(MODEL.read_text())
    content["model"]["b2"][0][0] += 1.0
    damaged = tmp_path / "lidc_rating.json"
    damaged.write_text(json.dumps(content))
    with pytest.raises(SpecError, match="SHA-256"):
        load_rating(damaged)
    damaged.write_text("{")
    with pytest.raises(SpecError, match="install Preread again"):
        load_rating(tmp_path / damaged.name)
    with pytest.raises(SpecError, match="cannot be read"):
        load_rating(tmp_path / "absent.json")
