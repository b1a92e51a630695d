"""What a rule may ask of a series beyond its geometry, and what is said where it isn't met."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pydicom.dataset import Dataset

from imaging.headers import scan_files
from imaging.series import InputRule, choose_series, refusals
from tests.unit.imaging.synthetic import AXIAL, CORONAL, make_images, random_hu, write

HU = random_hu((12, 8, 8))
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def setting(**values: Any) -> Callable[[int, Dataset], None]:
    def change(_: int, image: Dataset) -> None:
        image.SpecificCharacterSet = "ISO_IR 192"
        for keyword, value in values.items():
            setattr(image, keyword, value)

    return change


def refusal(folder: Path, rule: dict[str, Any], **made: Any) -> str | None:
    """The code that a series is refused with; None where it is taken."""
    images = make_images(**{"hu": HU} | made)
    plan = choose_series(scan_files(write(folder, images)), InputRule(**rule), "some-model")
    items = refusals(plan)
    assert (plan.chosen is None) == bool(items)
    for _, item in items:
        assert "{" not in item.text.en + item.text.zh
    return items[0][1].code if items else None


CHEST = {"BodyPartExamined": "CHEST", "SeriesDescription": "Thin B30f"}
CASES: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
    ({"body_part": "chest|thorax|胸"}, CHEST, None),
    ({"body_part": "abdomen"}, CHEST, "wrong-body-part"),
    # A header that says nothing of the kind in one place may say it in another.
    ({"body_part": "thorax"}, {"ProtocolName": "Thorax_Routine"}, None),
    ({"body_part": "胸"}, {"StudyDescription": "胸部CT平扫"}, None),
    ({"body_part": "chest"}, {"BodyPartExamined": "", "StudyDescription": ""}, "wrong-body-part"),
    ({"include": "flair"}, {"SeriesDescription": "t2_FLAIR_tra"}, None),
    ({"include": "flair"}, {"SeriesDescription": "t2_tse_tra"}, "description-not-wanted"),
    ({"include": "flair"}, {"SeriesDescription": "", "ProtocolName": "FLAIR"}, None),
    ({"exclude": "mpr|post"}, {"SeriesDescription": "T1 POST"}, "description-excluded"),
    ({"exclude": "mpr|post"}, {"SeriesDescription": "T1"}, None),
    ({"contrast": "with"}, {"ContrastBolusAgent": "Iohexol"}, None),
    ({"contrast": "with"}, {"ContrastBolusAgent": "NONE"}, "contrast-wanted"),
    ({"contrast": "with"}, {}, "contrast-wanted"),
    ({"contrast": "without"}, {}, None),
    ({"contrast": "without"}, {"ContrastBolusAgent": "Iohexol"}, "contrast-unwanted"),
    # The agent of the protocol stands in the unenhanced series as well; its name tells.
    ({"contrast": "without"},
     {"ContrastBolusAgent": "Iohexol", "SeriesDescription": "Abd w/o 5.0"}, None),
    ({"contrast": "without"}, {"ContrastBolusAgent": "x", "SeriesDescription": "平扫 1.0"}, None),
    ({"contrast": "without"}, {"SeriesDescription": "non-contrast"}, None),
    ({"contrast": "with"}, {"SeriesDescription": "Portal venous 1.0"}, None),
    ({"contrast": "with"}, {"SeriesDescription": "T1 C+ axial"}, None),
    ({"contrast": "with"}, {"SeriesDescription": "门脉期"}, None),
    ({"contrast": "without"}, {"SeriesDescription": "增强"}, "contrast-unwanted"),
    ({"contrast": "without"}, {"SeriesDescription": "未增强"}, None),
    ({"kernel": "soft"}, {"ConvolutionKernel": "B30f"}, None),
    ({"kernel": "soft"}, {"ConvolutionKernel": "LUNG"}, "kernel-too-sharp"),
    ({"kernel": "soft"}, {"ConvolutionKernel": ""}, None),
    ({"kernel": "sharp"}, {"ConvolutionKernel": "LUNG"}, None),
    ({"kernel": "sharp"}, {"ConvolutionKernel": "STANDARD"}, "kernel-too-soft"),
    ({"derived": True}, {"ImageType": ["DERIVED", "SECONDARY", "AXIAL"]}, None),
    ({"derived": True}, {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer"),
    ({"modality": "MR"}, {"Modality": "MR", "ImageType": ["ORIGINAL", "PRIMARY", "3D"]}, None),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "header", "code"), CASES)
def test_what_the_header_says_is_weighed(
    tmp_path: Path, rule: dict[str, Any], header: dict[str, Any], code: str | None
) -> None:
    assert refusal(tmp_path, rule, change=setting(**header)) == code


@pytest.mark.parametrize(
    ("wanted", "orientation", "code"),
    [
        ("axial", AXIAL, None), ("axial", CORONAL, "wrong-orientation"),
        ("coronal", CORONAL, None), ("coronal", AXIAL, "not-coronal"),
        ("sagittal", SAGITTAL, None), ("sagittal", CORONAL, "not-sagittal"),
        ("any", AXIAL, None), ("any", SAGITTAL, None),
        ("coronal", (1.0, 0.0, 0.0, 0.0, float(np.sin(0.3)), -float(np.cos(0.3))), None),
        ("coronal", (1.0, 0.0, 0.0, 0.0, float(np.sin(0.6)), -float(np.cos(0.6))), "not-coronal"),
    ],
)  # fmt: skip
def test_slices_lie_as_the_model_wants_them(
    tmp_path: Path, wanted: str, orientation: tuple[float, ...], code: str | None
) -> None:
    assert refusal(tmp_path, {"orientation": wanted}, orientation=orientation) == code


@pytest.mark.parametrize(("step", "code"), [(0.5, "too-thin"), (1.0, None), (6.0, "too-thick")])
def test_slices_have_the_thickness_the_model_wants(
    tmp_path: Path, step: float, code: str | None
) -> None:
    thick = setting(SliceThickness=step)
    assert refusal(tmp_path, {"minimum_slice_mm": 1.0}, step=(0, 0, step), change=thick) == code


def test_a_sharp_series_is_no_worse_where_a_sharp_one_is_wanted(tmp_path: Path) -> None:
    sharp = make_images(HU, name="sharp", change=setting(ConvolutionKernel="LUNG"))
    other = setting(ConvolutionKernel="B70f")
    thick = make_images(HU, name="thick", step=(0, 0, 2.8), change=other)
    paths = [*write(tmp_path / "1", sharp), *write(tmp_path / "2", thick)]
    plan = choose_series(scan_files(paths), InputRule(kernel="sharp"), "some-model")
    assert plan.chosen == sharp[0].SeriesInstanceUID


@pytest.mark.parametrize("key", ["body_part", "include", "exclude"])
def test_a_pattern_that_is_none_is_named(key: str) -> None:
    with pytest.raises(ValidationError, match="is no regular expression"):
        InputRule.model_validate({key: "chest("})
