"""The folder that nnU-Net wrote after training, read as a plan and a network for each fold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from models.bundle.checkpoint import sha256_of
from models.errors import SpecError
from models.mistakes import describe_mistakes
from models.nnunet.checkpoint import read_checkpoint
from models.nnunet.network import (
    build_network,
    check_architecture,
    require_nnunet,
    side_multiple,
)
from models.runtime.source import TorchNetwork
from models.sections import NetworkSection, Section


class NnunetOverrides(Section):
    """What ``network.overrides`` of ``preread.toml`` may set for an nnU-Net model."""

    folds: tuple[int, ...] | Literal["all"] = Field(
        default=(), description="folds to average, or all: the one trained on everything; "
        "empty: every fold in the folder, as nnU-Net does",
    )  # fmt: skip
    checkpoint: str = Field(default="checkpoint_final.pth", pattern=r"^[\w.-]+\.pth$")
    tile_step_size: float = Field(default=0.5, gt=0, le=1, description="step, as part of a patch")
    mirroring: bool = Field(default=True, description="average over mirrored patches")
    trainer: str = Field(default="", description="take this trainer for the one in the checkpoint")
    orientation: str = Field(
        default="", pattern="^([LR][PA][SI])?$",
        description="where columns, rows and slices of the training images grew to; empty: RAS "
        "if nnU-Net's reader turned them so, else LPS, as axial DICOM series are stored",
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class NnunetPlan:
    """How an nnU-Net model is run.

    Args:
        plans, dataset: ``plans.json`` and ``dataset.json``, checked.
        configuration: e.g. ``3d_fullres`` or ``2d``.
        channel_names: what is stacked as input, in order; one volume each.
        patch: voxels, in nnU-Net's axis order; two numbers where it works slice by slice.
        mirror: axes of the patch that are mirrored and averaged.
        step: distance of neighbouring patches, as part of the patch.
        orientation: letters of patient directions to which columns, rows and slices grow.
        labels: value in the label map -> name in ``dataset.json``; 0 is background.
    """

    plans: dict[str, Any]
    dataset: dict[str, Any]
    configuration: str
    channel_names: tuple[str, ...]
    patch: tuple[int, ...]
    mirror: tuple[int, ...]
    step: float
    orientation: str
    labels: Mapping[int, str]


@dataclass(frozen=True, eq=False)
class OpenedNnunet:
    """A network for each fold by role (``fold_0``, ...), and how they are run together.

    ``multiple``: the sides of other patches than the plan's must be multiples of it; 0: the
    networks take no others.
    """

    sources: Mapping[str, TorchNetwork]
    plan: NnunetPlan
    multiple: int


def open_nnunet(folder: Path, section: NetworkSection) -> OpenedNnunet:
    """Read what nnU-Net v2 exported.

    Args:
        folder: a model's folder; it holds plans.json, dataset.json and fold_X, itself or in the
            folders that nnU-Net makes (``Dataset.../nnUNetTrainer__nnUNetPlans__3d_fullres``).
        section: ``overrides`` may set the fields of :class:`NnunetOverrides`.

    Raises:
        SpecError: a file is missing or wrong, or holds code; the message names it.
        RuntimeMissing: nnU-Net is not installed.
    """
    require_nnunet()
    try:
        overrides = NnunetOverrides.model_validate(section.overrides)
    except ValidationError as error:
        mistakes = describe_mistakes(error, NnunetOverrides)
        raise SpecError(f"{folder}: network.overrides: {mistakes}") from error
    root = _root(folder)
    plans, dataset = _json(root / "plans.json"), _json(root / "dataset.json")
    checkpoints = {role: root / role / overrides.checkpoint for role in _folds(root, overrides)}
    first = read_checkpoint(next(iter(checkpoints.values())))
    plan = _plan(root, plans, dataset, first.configuration, first.mirror, overrides)
    multiple = side_multiple(_settings(root, plans, first.configuration)["architecture"])
    # Another network's export with the same weights is another file.
    said = json.dumps([plans, dataset, overrides.trainer], sort_keys=True)
    return OpenedNnunet(
        {
            role: TorchNetwork(
                name=f"{folder.name} {role}",
                build=partial(_build, path, plan, overrides.trainer),
                channels=len(plan.channel_names),
                patch=plan.patch,
                fixed=not multiple,
                cache=(root / ".cache", sha256_of(path, text=said)),
            )
            for role, path in checkpoints.items()
        },
        plan,
        multiple,
    )


def _build(path: Path, plan: NnunetPlan, trainer: str) -> Any:
    checkpoint = read_checkpoint(path)
    return build_network(
        plan.plans, plan.dataset, plan.configuration, trainer or checkpoint.trainer,
        checkpoint.weights, str(path),
    )  # fmt: skip


def _plan(
    root: Path,
    plans: dict[str, Any],
    dataset: dict[str, Any],
    configuration: str,
    mirror: tuple[int, ...],
    overrides: NnunetOverrides,
) -> NnunetPlan:
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    settings = _settings(root, plans, configuration)
    if settings.get("previous_stage"):
        raise SpecError(
            f"{root / 'plans.json'}: configurations.{configuration} is the second stage of a "
            f"cascade and needs the result of {settings['previous_stage']}; use an export of "
            "3d_fullres or 3d_lowres"
        )
    manager = PlansManager(plans)
    try:
        # Whatever a study would stumble over later comes out here.
        checked = manager.get_configuration(configuration)
        patch = tuple(int(n) for n in checked.patch_size)
        names = dataset.get("channel_names") or dataset["modality"]
        schemes, spacing = checked.normalization_schemes, checked.spacing
        labels = _labels(manager.get_label_manager(dataset), dataset)
        reader = str(plans["image_reader_writer"])
        _ = (checked.preprocessor_class, checked.resampling_fn_data, checked.resampling_fn_seg)
        _ = (checked.resampling_fn_probabilities, plans["transpose_backward"])
        _ = (plans["transpose_forward"], manager.foreground_intensity_properties_per_channel)
    # nnU-Net's readers raise bare RuntimeErrors and asserts as well.
    except (KeyError, TypeError, ValueError, RuntimeError, AssertionError, IndexError) as error:
        raise SpecError(
            f"{root}: plans.json or dataset.json is not usable: {type(error).__name__} {error}"
        ) from error
    if len(schemes) != len(names) or len(spacing) != len(patch) or len(patch) not in (2, 3):
        raise SpecError(
            f"{root / 'plans.json'}: configurations.{configuration}: {len(names)} channels, "
            f"normalization_schemes {schemes}, spacing {spacing} and patch_size {list(patch)} "
            "do not fit together"
        )
    if any(axis >= len(patch) or axis < 0 for axis in mirror):
        raise SpecError(f"{root}: mirroring along {mirror}, but the patch has {len(patch)} axes")
    turned = "RAS" if reader == "NibabelIOWithReorient" else "LPS"
    return NnunetPlan(
        plans=plans,
        dataset=dataset,
        configuration=configuration,
        channel_names=tuple(str(names[key]) for key in sorted(names, key=int)),
        patch=patch,
        mirror=mirror if overrides.mirroring else (),
        step=overrides.tile_step_size,
        orientation=overrides.orientation or turned,
        labels=labels,
    )


def _settings(root: Path, plans: dict[str, Any], configuration: str) -> dict[str, Any]:
    """The configuration with what it inherits, as nnU-Net completes it; its names checked."""
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    try:
        settings: dict[str, Any] = (
            PlansManager(plans).get_configuration(configuration).configuration
        )
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise SpecError(f"{root / 'plans.json'}: configurations: {error}") from error
    where = f"{root / 'plans.json'}: configurations.{configuration}.architecture"
    check_architecture(settings["architecture"], where)
    return settings


def _labels(manager: Any, dataset: dict[str, Any]) -> dict[int, str]:
    """Value in nnU-Net's result -> name. A region's value is its place's in the class order."""
    if not manager.has_regions:
        return {int(value): name for name, value in dataset["labels"].items()
                if int(value) in manager.all_labels}  # fmt: skip
    order = dataset["regions_class_order"]
    names = [name for name, value in dataset["labels"].items()
             if name not in ("background", "ignore") and value != 0]  # fmt: skip
    if len(order) != manager.num_segmentation_heads or len(names) != len(order):
        raise ValueError(f"regions_class_order {order} does not fit labels {dataset['labels']}")
    return {0: "background"} | {int(v): name for v, name in zip(order, names, strict=True)}


def _root(folder: Path) -> Path:
    """The one folder with plans.json, at most three below."""
    found = [path.parent for depth in ("", "*/", "*/*/", "*/*/*/")
             for path in folder.glob(f"{depth}plans.json")]  # fmt: skip
    if len(found) != 1:
        there = ", ".join(str(path) for path in found) or "none"
        raise SpecError(
            f"{folder}: an nnU-Net export has one folder with plans.json, here: {there}; copy the "
            "folder nnUNetTrainer__nnUNetPlans__CONFIGURATION of one configuration"
        )
    return found[0]


def _folds(root: Path, overrides: NnunetOverrides) -> list[str]:
    def has(role: str) -> bool:
        return (root / role / overrides.checkpoint).is_file()

    if overrides.folds:
        wanted = overrides.folds if isinstance(overrides.folds, tuple) else ("all",)
        roles = [f"fold_{fold}" for fold in wanted]
        if missing := [role for role in roles if not has(role)]:
            raise SpecError(f"{root / missing[0] / overrides.checkpoint}: no such file")
        return roles
    numbers = [path.name.removeprefix("fold_") for path in root.glob("fold_*")]
    roles = [f"fold_{n}" for n in sorted((n for n in numbers if n.isdigit()), key=int)]
    roles = [role for role in roles if has(role)] or [r for r in ("fold_all",) if has(r)]
    if not roles:
        raise SpecError(f"{root}: no fold_X/{overrides.checkpoint}; copy at least one fold")
    return roles


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpecError(f"{path}: no such file; an nnU-Net export has one") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SpecError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(values, dict):
        raise SpecError(f"{path}: holds no object")
    return values
