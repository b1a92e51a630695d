"""Boxes from a detector's maps are those that MONAI's own classes make of them."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest

from models.detection.boxes import Selection, clip, find_boxes, intersection_over_union

SCALES = (1, 2)
SHAPES = ((6, 8, 4), (8, 6, 5), (10, 10, 6))


def maps(classes: int, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Two levels of a 32 x 24 x 16 image, logits around -4, so that some pass a threshold."""
    draw = np.random.default_rng(seed)
    cells = ((8, 6, 8), (4, 3, 4))
    logits = [draw.normal(-4, 2, (3 * classes, *c)).astype(np.float32) for c in cells]
    codes = [draw.normal(0, 0.6, (18, *c)).astype(np.float32) for c in cells]
    return logits, codes


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize(
    "selection",
    [Selection(0.02, 1000, 0.22, 300), Selection(0.3, 20, 0.5, 7)],
    ids=["as-published", "cut-off"],
)
def test_same_boxes_as_monai(classes: int, selection: Selection) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("monai", reason="MONAI is not installed")
    from monai.apps.detection.networks.retinanet_detector import RetinaNetDetector
    from monai.apps.detection.utils.anchor_utils import AnchorGeneratorWithAnchorShape

    logits, codes = maps(classes)

    class Maps(torch.nn.Module):
        spatial_dims, num_classes, num_anchors, size_divisible = 3, classes, 3, 8
        cls_key, box_reg_key = "classification", "box_regression"

        def forward(self, images: object) -> OrderedDict[str, list[object]]:
            return OrderedDict(
                classification=[torch.from_numpy(each)[None] for each in logits],
                box_regression=[torch.from_numpy(each)[None] for each in codes],
            )

    detector = RetinaNetDetector(Maps(), AnchorGeneratorWithAnchorShape(SCALES, SHAPES)).eval()
    detector.set_box_selector_parameters(
        selection.score, selection.per_level, selection.overlap, selection.most
    )
    # Three voxels less than the padded image along x: boxes are cut there.
    expected = detector([torch.zeros(1, 29, 24, 16)])[0]

    half = [np.array(SHAPES, np.float32) * scale / 2 for scale in SCALES]
    anchors = [np.round(np.concatenate([-each, each], axis=1)) for each in half]
    found = find_boxes(
        logits, codes, anchors, padded=(32, 24, 16), size=(29, 24, 16), selection=selection
    )
    assert 7 <= len(found.boxes) <= selection.most
    np.testing.assert_allclose(found.boxes, expected["boxes"].numpy(), atol=1e-4)
    np.testing.assert_allclose(found.scores, expected["labels_scores"].numpy(), atol=1e-6)
    np.testing.assert_array_equal(found.classes, expected["labels"].numpy())


def test_nothing_above_the_threshold_is_no_box() -> None:
    logits, codes = maps(1)
    anchors = [np.tile(np.array([-4, -4, -4, 4, 4, 4], np.float32), (3, 1))] * 2
    found = find_boxes(
        logits, codes, anchors, padded=(32, 24, 16), size=(32, 24, 16), selection=Selection(1.0)
    )
    assert found.boxes.shape == (0, 6)
    assert len(found.scores) == len(found.classes) == 0


def test_maps_that_do_not_fit_the_anchors_are_refused() -> None:
    logits, codes = maps(1)
    anchors = [np.zeros((2, 6), np.float32)] * 2
    with pytest.raises(ValueError, match="do not fit 2 anchors"):
        find_boxes(logits, codes, anchors, padded=(32, 24, 16), size=(32, 24, 16),
                   selection=Selection())  # fmt: skip
    with pytest.raises(ValueError, match="anchors for 1 levels"):
        find_boxes(logits, codes, anchors[:1], padded=(32, 24, 16), size=(32, 24, 16),
                   selection=Selection())  # fmt: skip


def test_boxes_are_cut_to_the_image_and_slivers_left_out() -> None:
    boxes = np.array([[-2, 1, 1, 5, 4, 4], [9.5, 1, 1, 14, 4, 4], [3, 3, 3, 4, 4, 4]], np.float32)
    inside, kept = clip(boxes, (10, 10, 10))
    np.testing.assert_array_equal(kept, [True, False, True])
    np.testing.assert_array_equal(inside[0], [0, 1, 1, 5, 4, 4])


def test_overlap_of_two_boxes() -> None:
    one = np.array([0, 0, 0, 2, 2, 2], np.float32)
    others = np.array([[0, 0, 0, 2, 2, 2], [1, 0, 0, 3, 2, 2], [2, 0, 0, 4, 2, 2]], np.float32)
    np.testing.assert_allclose(intersection_over_union(others, one), [1, 1 / 3, 0], atol=1e-6)
