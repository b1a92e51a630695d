"""The published segmentation configs as recipes, and what a recipe can't say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from models.bundle.arguments import NotTranslatable
from models.bundle.config import Config
from models.bundle.expressions import Expression, imports_of
from models.bundle.generic import MonaiPlan, check_evaluator, read_plan
from models.bundle.merging import merge_of
from models.bundle.translate import read_recipe
from models.errors import SpecError
from models.recipe import (
    CropForeground,
    Finish,
    Normalise,
    Orient,
    Recipe,
    Rescale,
    Space,
    Window,
    Windows,
)
from models.sections import NetworkSection

RECIPES = {
    "spleen_ct_segmentation": Recipe(
        prepare=(Orient(axes="RAS"), Space(spacing_mm=(1.5, 1.5, 2.0)), Window(low=-57, high=164)),
        windows=Windows(patch=(96, 96, 96), overlap=(0.5, 0.5, 0.5), batch=4),
        finish=Finish(activation="softmax", select="argmax", invert="before-select"),
    ),
    "pancreas_ct_dints_segmentation": Recipe(
        prepare=(Orient(axes="RAS"), Space(spacing_mm=(1, 1, 1)), Window(low=-87, high=199)),
        windows=Windows(patch=(96, 96, 96), overlap=(0.625, 0.625, 0.625), batch=4),
        finish=Finish(activation="softmax", select="argmax", invert="before-select"),
    ),
    "brats_mri_segmentation": Recipe(
        channels=4,
        prepare=(Normalise(nonzero=True, channel_wise=True),),
        windows=Windows(patch=(240, 240, 160), overlap=(0.5, 0.5, 0.5), batch=1),
        finish=Finish(
            activation="sigmoid", select="threshold", threshold=0.5, merge=((2, 4), (0, 1), (1, 2)),
            invert="before-select",
        ),
    ),
    "swin_unetr_btcv_segmentation": Recipe(
        prepare=(Orient(axes="RAS"), Space(spacing_mm=(1.5, 1.5, 2.0)), Window(low=-175, high=250)),
        windows=Windows(patch=(96, 96, 96), overlap=(0.5, 0.5, 0.5), batch=4),
        finish=Finish(activation="softmax", select="argmax", invert="before-select"),
    ),
    "wholeBody_ct_segmentation": Recipe(
        prepare=(
            Orient(axes="RAS"), Space(spacing_mm=(1.5, 1.5, 1.5)), Normalise(nonzero=True),
            Rescale(low=-1, high=1),
        ),
        windows=Windows(
            patch=(96, 96, 96), overlap=(0.25, 0.25, 0.25), blend="gaussian", sigma_scale=0.125,
            padding="replicate", batch=1,
        ),
        finish=Finish(
            activation="softmax", select="argmax", invert="after-select", interpolation="nearest"
        ),
    ),
}  # fmt: skip


def config_of(shared: Path, name: str, **overrides: Any) -> Config:
    section = NetworkSection(overrides={k.replace("__", "#"): v for k, v in overrides.items()})
    return Config.read(shared / "bundles" / name, section)


@pytest.mark.parametrize("name", RECIPES)
def test_published_configs_field_by_field(shared_data: Path, name: str) -> None:
    found = read_recipe(config_of(shared_data, name))
    for field in Recipe.model_fields:
        assert getattr(found, field) == getattr(RECIPES[name], field), field


def test_the_low_resolution_model_by_an_override(shared_data: Path) -> None:
    config = config_of(shared_data, "wholeBody_ct_segmentation", displayable_configs__highres=False)
    assert read_recipe(config).prepare[1] == Space(spacing_mm=(3, 3, 3))


SPLEEN = "spleen_ct_segmentation"
STEPS = "preprocessing__transforms__"


@pytest.mark.parametrize(
    ("overrides", "field", "expected"),
    [
        ({STEPS + "3__mode": "nearest"}, "finish.interpolation", "nearest"),
        ({STEPS + "3__pixdim": 2}, "prepare.1", Space(spacing_mm=(2, 2, 2))),
        ({STEPS + "2__axcodes": "LPS"}, "prepare.0", Orient(axes="LPS")),
        ({STEPS + "4__b_min": None, STEPS + "4__b_max": None, STEPS + "4__clip": False},
         "prepare.2", Window(low=-57, high=164, clip=False)),
        ({STEPS + "4": {"_target_": "NormalizeIntensityd", "keys": ["image"], "subtrahend": 3,
                        "divisor": 2.5}}, "prepare.2", Normalise(mean=3, deviation=2.5)),
        ({STEPS + "4": {"_target_": "CropForegroundd", "keys": "image", "source_key": "image",
                        "margin": 4}}, "prepare.2", CropForeground(margin=4, allow_smaller=False)),
        ({STEPS + "4": {"_target_": "DataStatsd", "keys": "image"}}, "prepare",
         RECIPES[SPLEEN].prepare[:2]),
        ({"inferer__roi_size": 64, "inferer__overlap": [0.5, 0.25, 0]}, "windows.overlap",
         (0.5, 0.25, 0.0)),
        ({"inferer__mode": "gaussian", "inferer__cval": -1, "inferer__sw_device": "cuda"},
         "windows.fill", -1.0),
        ({"postprocessing__transforms__1__nearest_interp": True}, "finish.interpolation",
         "nearest"),
        ({"postprocessing__transforms__1__transform": "$copy.deepcopy(@preprocessing)",
          "imports": ["$import copy"]},
         "finish.invert", "before-select"),
    ],
)  # fmt: skip
def test_other_ways_to_say_a_recipe(
    shared_data: Path, overrides: dict[str, Any], field: str, expected: Any
) -> None:
    found: Any = read_recipe(config_of(shared_data, SPLEEN, **overrides))
    for part in field.split("."):
        found = found[int(part)] if part.isdigit() else getattr(found, part)
    assert found == expected


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({STEPS + "3__padding_mode": "zeros"}, r"preprocessing#transforms#3: padding_mode"),
        ({STEPS + "3__diagonal": True}, "diagonal = True"),
        ({STEPS + "3__align_corners": True}, "align_corners"),
        ({STEPS + "3__pixdim": [1.5, 1.5, -1]}, "keeps an axis"),
        ({STEPS + "3__pixdim": [1.5, 1.5]}, "not three numbers"),
        ({STEPS + "3__mode": 3}, "mode = 3"),
        ({STEPS + "3__dtype": "$torch.float32"}, "dtype"),
        ({STEPS + "3__lazy": True}, "lazy"),
        ({"preprocessing__lazy": True}, "preprocessing: lazy"),
        ({STEPS + "2__axcodes": "RAR"}, "not three axes"),
        ({STEPS + "4__b_max": None}, "half a range"),
        ({STEPS + "4__dtype": "$torch.float16"}, "dtype"),
        ({STEPS + "0__squeeze": 1}, "has squeeze"),
        ({STEPS + "5__dtype": "$torch.int16"}, "dtype"),
        ({STEPS + "5__track_meta": False}, "track_meta"),
        ({STEPS + "5__keys": ["image", "label"]}, "works on 2 keys"),
        ({STEPS + "5__keys": "other"}, "works on other, the image is image"),
        ({STEPS + "0__dtype": "$torch.int16"}, "dtype"),
        ({STEPS + "5": {"_target_": "ScaleIntensityRangePercentilesd", "keys": "image",
                        "lower": 1, "upper": 99, "b_min": 0, "b_max": 1}}, "no recipe's step"),
        ({STEPS + "5": {"_target_": "Spacingd", "keys": "image", "pixdim": 1}}, "spacing twice"),
        ({STEPS + "5": {"_target_": "CropForegroundd", "keys": "image", "source_key": "image",
                        "select_fn": "$lambda x: x > 1"}}, "select_fn"),
        ({STEPS + "5": {"_target_": "NormalizeIntensityd", "keys": "image", "channel_wise": True,
                        "subtrahend": [1, 2]}}, "differs between channels"),
        ({STEPS + "5": {"_target_": "ScaleIntensityd", "keys": "image", "factor": 2}}, "factor"),
        ({"inferer__with_coord": True}, "inferer: with_coord"),
        ({"inferer__padding_mode": "circular"}, "padding_mode"),
        ({"inferer__sigma_scale": [0.1, 0.1, 0.2]}, "sigma_scale"),
        ({"inferer__roi_size": [96, 96]}, "roi_size"),
        ({"inferer": {"_target_": "SimpleInferer"}}, "SimpleInferer is no SlidingWindowInferer"),
        ({"postprocessing__transforms__0__sigmoid": True}, "softmax and sigmoid"),
        ({"postprocessing__transforms__0__other": "$torch.tanh"}, "other"),
        ({"postprocessing__transforms__2__argmax": False}, "neither an argmax nor a threshold"),
        ({"postprocessing__transforms__2__to_onehot": 2}, "to_onehot"),
        ({"postprocessing__transforms__1": {"_target_": "Identityd", "keys": "pred"}},
         "does not go back"),
        ({"postprocessing__transforms__2": {"_target_": "Identityd", "keys": "pred"}},
         "chooses no label"),
        ({"postprocessing__transforms__1__transform": {"_target_": "Compose", "transforms": []}},
         "another way back"),
        ({"postprocessing__transforms__1__post_func": "$torch.relu"}, "post_func"),
        ({"postprocessing__transforms__3": {"_target_": "KeepLargestConnectedComponentd",
                                            "keys": "pred"}}, "has no place in a recipe's finish"),
        ({"postprocessing__transforms__3": {"_target_": "Lambdad", "keys": "pred",
                                            "func": "$lambda x: x * 2"}}, "function of its own"),
    ],
)  # fmt: skip
def test_what_no_recipe_says(shared_data: Path, overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(NotTranslatable, match=message):
        read_recipe(config_of(shared_data, SPLEEN, **overrides))


def test_labels_are_not_interpolated(shared_data: Path) -> None:
    config = config_of(
        shared_data, "wholeBody_ct_segmentation",
        postprocessing__transforms__2__nearest_interp=False,
    )  # fmt: skip
    with pytest.raises(NotTranslatable, match="interpolates between label numbers"):
        read_recipe(config)


def test_another_bundle_gets_a_plan_of_monais_own_steps(shared_data: Path) -> None:
    overrides = {"inferer": {"_target_": "SimpleInferer"}}
    plan = read_plan(config_of(shared_data, SPLEEN, **overrides))
    assert isinstance(plan, MonaiPlan)
    assert (plan.channels, plan.keys, plan.windows) == (1, ("image",), None)
    assert read_plan(config_of(shared_data, SPLEEN)).windows == RECIPES[SPLEEN].windows


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"evaluator__prepare_batch": "$lambda x: x"},
         r"evaluator#prepare_batch = .*: is a function between image and network"),
        ({"evaluator___target_": "scripts.evaluator.Own"},
         r"evaluator: scripts\.evaluator\.Own is no SupervisedEvaluator"),
        ({"evaluator__mode": "train"}, r"evaluator#mode = 'train': only eval is run"),
    ],
)  # fmt: skip
def test_evaluators_that_do_more_are_refused(
    shared_data: Path, overrides: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        check_evaluator(config_of(shared_data, SPLEEN, **overrides))
    check_evaluator(config_of(shared_data, SPLEEN, evaluator__mode="eval"))


def merged(text: str) -> tuple[tuple[int, int], ...]:
    def nothing(_: Any) -> None:
        raise AssertionError("no reference and no metadata in this lambda")

    function = Expression(text, imports_of([]), {}, nothing).evaluate(nothing)
    return merge_of(function, "post::3")


def test_precedence_is_read_out_of_a_lambda() -> None:
    assert merged("lambda x: torch.where(x[[1]] > 0, 7, torch.where(x[[0]] > 0, 3, 0))") == (
        (1, 7), (0, 3),
    )  # fmt: skip
    # a channel that stands for no label
    assert merged("lambda x: torch.where(x[[2]] > 0.5, 1, 0)") == ((2, 1),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lambda x: torch.where((x[[0]] > 0) & (x[[1]] > 0), 2, 0)", "no precedence explains"),
        ("lambda x: x[[0]] + x[[1]]", "no precedence explains"),
        ("lambda x: torch.where(x[[0]] > 0, -1, 0)", "other values than label numbers"),
        ("lambda x: torch.where(x[[0]] > 0, 0.5, 0)", "other values than label numbers"),
        ("lambda x: torch.where(x[[0]] > 0, 0, 1)", "no precedence explains"),
        ("lambda x: torch.where(x[[0]] > x.mean(), 1, 0)", r"x\.mean\(\) may not be voxel"),
        ("lambda x: torch.cumsum(x[[0]], 3)", "may not be voxel by voxel"),
        ("lambda x: x[0]", "not one channel"),
        ("lambda x: x[[0, 1]]", "not one channel"),
        ("lambda x, y=1: x[[0]]", "several arguments"),
        ("lambda x: 1", "no channel"),
    ],
)
def test_other_lambdas_are_no_precedence(text: str, message: str) -> None:
    with pytest.raises(NotTranslatable, match=message):
        merged(text)


def test_a_lambda_is_compared_on_every_combination() -> None:
    """Precedence that goes round in a circle is no precedence."""
    text = (
        "lambda x: torch.where((x[[0]] > 0) & (x[[1]] <= 0), 1, torch.where((x[[1]] > 0) & "
        "(x[[2]] <= 0), 2, torch.where(x[[2]] > 0, 3, 0)))"
    )
    with pytest.raises(NotTranslatable, match="no precedence explains"):
        merged(text)
