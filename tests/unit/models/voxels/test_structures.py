"""Label maps to lesions and organs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from imaging.finding import Code
from imaging.language import Text
from imaging.volume import Volume
from models.lesions import Candidate
from models.sections import Label, OperatingPoint
from models.spec import ModelSpec
from models.voxels.labelmap import LabelMap
from models.voxels.structures import candidates
from tests.unit.models.monai_way import grid

TEXT = Text(en="x", zh="某")
CODE = Code(value="1", scheme="99T", meaning=TEXT)
GRID = grid((12, 20, 18), (2.0, 1.0, 1.0))


def label(index: int, **values: Any) -> Label:
    return Label(index=index, name=TEXT, code=CODE, site=CODE, **values)


def spec(*labels: Label, **point: Any) -> ModelSpec:
    return ModelSpec(
        name="made",
        version="1",
        title=TEXT,
        task="segmentation",
        intended_use=TEXT,
        limits=TEXT,
        labels=labels,
        operating_point=OperatingPoint(**point),
    )


def empty() -> np.ndarray:
    return np.zeros(GRID.shape, np.uint8)


def find(
    labels: np.ndarray, model: ModelSpec, confidence: np.ndarray | None = None
) -> list[Candidate]:
    volume = Volume(np.zeros(GRID.shape, np.int16), GRID)
    return candidates(volume, LabelMap(labels, GRID, confidence), model)


def size(candidate: Candidate) -> int:
    return int(candidate.region.voxels.sum())


def test_each_piece_is_a_lesion_in_a_tight_box_at_its_place() -> None:
    labels = empty()
    labels[2:4, 5:8, 3:7] = 1
    labels[9, 15, 16] = 1
    labels[6, 6, 6] = 2
    found = find(labels, spec(label(1)))
    assert [size(c) for c in found] == [24, 1]
    assert found[0].region.start == (2, 5, 3)
    assert found[0].region.voxels.shape == (2, 3, 4)
    assert found[0].region.within is GRID
    assert found[0].label == 1
    again = empty()
    for candidate in found:
        again[candidate.region.box][candidate.region.voxels] = 1
    assert np.array_equal(again == 1, labels == 1)


def test_voxels_that_touch_at_a_corner_are_one_piece() -> None:
    labels = empty()
    labels[3, 3, 3] = labels[4, 4, 4] = 1
    labels[6, 4, 4] = 1  # one slice between
    found = find(labels, spec(label(1)))
    assert sorted(size(c) for c in found) == [1, 2]


def test_another_piece_in_the_same_box_is_left_out_of_the_mask() -> None:
    labels = empty()
    labels[2, 2:9, 2] = labels[2, 2, 2:9] = 1
    labels[2, 6, 6] = 1
    found = find(labels, spec(label(1)))
    assert [size(c) for c in found] == [13, 1]


def test_small_pieces_are_left_out_by_volume() -> None:
    labels = empty()
    labels[2, 2, 2:5] = 1  # 6 mm3
    labels[8, 2, 2:6] = 1  # 8 mm3
    assert [size(c) for c in find(labels, spec(label(1, minimum_mm3=6.1)))] == [4]
    assert [size(c) for c in find(labels, spec(label(1, minimum_mm3=6.0)))] == [4, 3]


def test_the_score_is_the_mean_confidence_and_decides() -> None:
    labels, sure = empty(), empty()
    labels[1, 1, 1:3], sure[1, 1, 1:3] = 1, (255, 153)  # 0.8
    labels[5, 5, 5:9], sure[5, 5, 5:9] = 1, 230  # 0.9
    labels[8, 9, 9], sure[8, 9, 9] = 1, 120  # 0.47
    labels[10, 3, 3], sure[10, 3, 3] = 3, 255
    model = spec(label(1), label(3), score_threshold=0.5)
    found = find(labels, model, sure)
    assert [c.label for c in found] == [3, 1, 1]
    assert [c.score for c in found] == pytest.approx([1.0, 230 / 255, 0.8])
    best = find(labels, spec(label(1), label(3), score_threshold=0.5, most_findings=2), sure)
    assert [c.score for c in best] == pytest.approx([1.0, 230 / 255])


def test_without_confidence_every_lesion_scores_one_and_the_largest_comes_first() -> None:
    labels = empty()
    labels[2, 2, 2] = 1
    labels[5, 5:9, 5] = 1
    found = find(labels, spec(label(1), most_findings=1))
    assert [(size(c), c.score) for c in found] == [(4, 1.0)]


def test_an_organ_is_one_structure_whatever_its_pieces() -> None:
    labels, sure = empty(), empty()
    labels[2:4, 2:4, 2:4] = labels[8, 8, 8] = 2
    sure[labels == 2] = 100
    model = spec(label(2, kind="organ"), score_threshold=0.9, most_findings=1)
    (organ,) = find(labels, model, sure)
    assert size(organ) == 9
    assert organ.region.voxels.shape == (7, 7, 7)
    assert organ.score == pytest.approx(100 / 255)
    (largest,) = find(labels, spec(label(2, kind="organ", largest_only=True)), sure)
    assert size(largest) == 8
    assert largest.region.voxels.shape == (2, 2, 2)
    (large,) = find(labels, spec(label(2, kind="organ", minimum_mm3=4)), sure)
    assert size(large) == 8
    assert find(labels, spec(label(2, kind="organ", minimum_mm3=40)), sure) == []


def test_organs_come_after_lesions_and_do_not_count_as_findings() -> None:
    labels = empty()
    labels[2, 2:9, 2] = 1
    labels[6, 6, 6] = labels[9, 9, 9] = 4
    found = find(labels, spec(label(1, kind="organ"), label(4), most_findings=1))
    assert [c.label for c in found] == [4, 1]


def test_ignored_and_unknown_labels_give_nothing() -> None:
    labels = empty()
    labels[2, 2, 2], labels[4, 4, 4] = 1, 9
    assert find(labels, spec(label(1, kind="ignored"), label(2))) == []


def test_an_empty_map_gives_nothing() -> None:
    assert find(empty(), spec(label(1), label(2, kind="organ"))) == []


def test_labels_above_255() -> None:
    labels = np.zeros(GRID.shape, np.uint16)
    labels[3, 3, 3] = 300
    (found,) = find(labels, spec(label(300)))
    assert found.label == 300


def test_a_map_on_another_grid_is_refused() -> None:
    volume = Volume(np.zeros((3, 3, 3), np.int16), grid((3, 3, 3)))
    with pytest.raises(ValueError, match="not on the volume's grid"):
        candidates(volume, LabelMap(empty(), GRID), spec(label(1)))
