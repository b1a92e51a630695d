"""Bundles whose steps a recipe can't say: MONAI's own transforms around our network run.

The preprocessing's ``LoadImaged`` is given our volumes, the windows (where the inferer is a
sliding one) run through a :class:`~models.runner.Runner` like everybody's, and of the
postprocessing ``SaveImaged`` is left out. Any other inferer of MONAI's runs as it is, with the
runner in the network's place.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.volume import Volume
from models.bundle.arguments import NotTranslatable
from models.bundle.config import Config
from models.bundle.network import channels_of
from models.bundle.reading import assign
from models.bundle.standins import is_loader
from models.bundle.translate import read_windows
from models.clock import Clock
from models.errors import ModelError, SpecError
from models.recipe import Windows
from models.runner import Runner
from models.voxels.frames import image_of
from models.voxels.labelmap import LabelMap
from models.voxels.windows import run_windows

_LOG = logging.getLogger(__name__)
_PRED = "pred"


@dataclass(frozen=True, eq=False)
class MonaiPlan:
    """How a bundle is run with MONAI's own transforms.

    Args:
        name: what messages call it.
        channels: of the network's input; as many volumes are asked for.
        keys: under which the volumes go into the preprocessing; one key takes them stacked.
        preprocessing: dictionary in, dictionary out.
        windows: sliding windows; None: ``inferer`` runs the network.
        inferer: MONAI's, called with the input (1, c, x, y, z) and the network.
        postprocessing: takes ``pred`` beside what the preprocessing gave.
    """

    name: str
    channels: int
    keys: tuple[str, ...]
    preprocessing: Callable[[dict[str, Any]], Any]
    windows: Windows | None
    inferer: Callable[[Any, Callable[[Any], Any]], Any]
    postprocessing: Callable[[dict[str, Any]], Any]


def read_plan(config: Config) -> MonaiPlan:
    """The plan of any segmentation bundle.

    Raises:
        CodeRefused: a step is Python of the bundle's own.
        SpecError: the config is wrong, or its evaluator is none that is known.
    """
    config = _labels_by_nearest(config)
    preprocessing = config.role("preprocessing")
    keys: list[str] = []
    for component in config.components(preprocessing):
        if is_loader(component.name):
            said = component.arguments["keys"]
            keys += [said] if isinstance(said, str) else list(said)
    try:
        windows = read_windows(config)
    except NotTranslatable as error:
        _LOG.info("%s: MONAI's own inferer runs: %s", config.path, error)
        windows = None
    return MonaiPlan(
        name=config.folder.name,
        channels=max(channels_of(config), len(keys)),
        keys=tuple(keys) or (str(config.get("image_key", "image")),),
        preprocessing=_called(config, preprocessing),
        windows=windows,
        inferer=_called(config, config.role("inferer")),
        postprocessing=_called(config, config.role("postprocessing")),
    )


def check_evaluator(config: Config) -> None:
    """Refuse an evaluator that does more than run the network on an image.

    Raises:
        SpecError: it is another class than MONAI's ``SupervisedEvaluator``, or has functions of
            its own between image and network.
    """
    if "evaluator" not in config:
        return
    name = config.target("evaluator")
    if name != "SupervisedEvaluator":
        raise config.error(
            "evaluator", f"{name or 'this'} is no SupervisedEvaluator of MONAI's; how it runs a "
            "network isn't known here, and running it otherwise would give other results"
        )  # fmt: skip
    for name in ("prepare_batch", "iteration_update"):
        if config.get(f"evaluator::{name}") is not None:
            raise config.error(
                f"evaluator::{name}", "is a function between image and network, which is not run"
            )
    mode = config.resolve("evaluator::mode") if "evaluator::mode" in config else "eval"
    if str(mode) != "eval":
        raise config.error("evaluator::mode", "only eval is run")


def _labels_by_nearest(config: Config) -> Config:
    """Where labels are chosen before the way back, no numbers between two labels are made."""
    chosen = False
    for component in config.components(config.role("postprocessing")):
        chosen = chosen or component.name == "AsDiscreted"
        if not chosen or component.name != "Invertd":
            continue
        if not component.arguments.get("nearest_interp", True):
            _LOG.warning(
                "%s: %s: nearest_interp = false would interpolate between label numbers; the "
                "nearest label is taken",
                config.path,
                component.identifier.replace("::", "#"),
            )
            config = config.again()
            assign(config.values, f"{component.identifier}::nearest_interp", True)
    return config


def segment(
    volumes: Sequence[Volume],
    plan: MonaiPlan,
    runner: Runner,
    progress: Callable[[str], None] = lambda step: None,
    seconds: dict[str, float] | None = None,
) -> LabelMap:
    """Label every voxel of the first volume.

    Args:
        volumes: one for each of the plan's channels, in their order.
        progress: called with ``prepare``, ``network`` and ``finish`` as each begins.
        seconds: how long each of these took is written into it.

    Raises:
        ValueError: the number of volumes is not the plan's.
        SpecError: a step of the bundle fails, or gives no label map.
        ModelError: the network could not be run.
    """
    import torch

    if len(volumes) != plan.channels:
        raise ValueError(f"{len(volumes)} volumes for a bundle of {plan.channels} channels")
    clock = Clock({} if seconds is None else seconds)
    progress("prepare")
    data = _step(plan, "preprocessing", plan.preprocessing, _loaded(volumes, plan))
    if not isinstance(data, dict):
        raise SpecError(f"{plan.name}: preprocessing gives {type(data).__name__}, not one image")
    image = data["image"] if "image" in data else data[plan.keys[0]]
    clock.lap("prepare")
    progress("network")
    with torch.no_grad():
        data[_PRED] = _network(image, plan, runner)
        clock.lap("network")
        progress("finish")
        data = _step(plan, "postprocessing", plan.postprocessing, data)
        found = _label_map(data[_PRED], volumes[0], plan)
    clock.lap("finish")
    return found


def _called(config: Config, identifier: str) -> Callable[..., Any]:
    value = config.resolve(identifier)
    if isinstance(value, list):
        from monai.transforms.compose import Compose

        value = Compose(value)
    if not callable(value):
        raise config.error(identifier, f"is a {type(value).__name__} and can't be called")
    function: Callable[..., Any] = value
    return function


def _loaded(volumes: Sequence[Volume], plan: MonaiPlan) -> dict[str, Any]:
    """What ``LoadImaged`` would give: one array each, or all stacked under one key."""
    if len(plan.keys) == 1:
        return {plan.keys[0]: _tensor(volumes)}
    if len(plan.keys) != len(volumes):
        raise SpecError(
            f"{plan.name}: {len(plan.keys)} image keys for {len(volumes)} series; "
            "preread.toml must list a series for each"
        )
    return {key: _tensor([v]) for key, v in zip(plan.keys, volumes, strict=True)}


def _tensor(volumes: Sequence[Volume]) -> Any:
    import torch
    from monai.data.meta_tensor import MetaTensor

    image = image_of(volumes)
    voxels = np.ascontiguousarray(image.voxels, dtype=np.float32)
    affine = torch.from_numpy(np.array(image.affine, np.float64))
    several = len(volumes) > 1
    meta = {
        "affine": affine,
        "original_affine": affine.numpy().copy(),
        "spatial_shape": np.array(voxels.shape[1:]),
        "original_channel_dim": 0 if several else float("nan"),
        "space": "RAS",
        "filename_or_obj": "series",
    }
    return MetaTensor(torch.from_numpy(voxels if several else voxels[0]), affine=affine, meta=meta)


def _network(image: Any, plan: MonaiPlan, runner: Runner) -> Any:
    """The network's output (channels, x, y, z), with the image's affine and history."""
    import torch
    from monai.utils.type_conversion import convert_to_dst_type

    if image.ndim < 3:
        raise SpecError(f"{plan.name}: preprocessing gives an image of shape {tuple(image.shape)}")
    if plan.windows is not None:
        voxels = np.ascontiguousarray(torch.as_tensor(image).numpy(), dtype=np.float32)
        result = torch.from_numpy(run_windows(voxels, plan.windows, runner)[0])
        return convert_to_dst_type(result, image)[0]

    def network(batch: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = runner.run(np.ascontiguousarray(torch.as_tensor(batch).numpy(), np.float32))
        found = tuple(torch.from_numpy(np.array(output)) for output in outputs)
        return found[0] if len(found) == 1 else found

    found = _step(plan, "inferer", lambda batch: plan.inferer(batch, network), image[None])
    first = found[0] if isinstance(found, (tuple, list)) else found
    return convert_to_dst_type(first[0], image)[0]


def _step(plan: MonaiPlan, name: str, function: Callable[[Any], Any], data: Any) -> Any:
    try:
        return function(data)
    except ModelError:
        raise
    except Exception as error:  # transforms raise what they like, some unwrapped; named here
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        if isinstance(cause, ModelError):
            raise cause from error
        raise SpecError(f"{plan.name}: {name} fails: {type(cause).__name__}: {cause}") from error


def _label_map(result: Any, volume: Volume, plan: MonaiPlan) -> LabelMap:
    """The postprocessing's result on the source's grid."""
    import torch

    values = _on_source(result, volume, plan)
    array: NDArray[Any] = torch.as_tensor(values).numpy()
    if array.shape[0] > 1:
        # channels that are not exclusive: the first one that is set names the voxel
        array = np.where(array.any(axis=0), array.astype(bool).argmax(axis=0) + 1, 0)[np.newaxis]
    whole = np.rint(array[0])
    if not np.isfinite(array).all() or not np.array_equal(whole, array[0]) or whole.min() < 0:
        raise SpecError(
            f"{plan.name}: postprocessing gives values that are no label numbers, "
            f"{float(np.nanmin(array)):.4g} to {float(np.nanmax(array)):.4g}; it must end with a "
            "choice of labels (AsDiscreted)"
        )
    kind = np.uint8 if whole.max(initial=0) < 256 else np.uint16
    return LabelMap(np.ascontiguousarray(whole.transpose(2, 1, 0).astype(kind)), volume.grid)


def _on_source(result: Any, volume: Volume, plan: MonaiPlan) -> Any:
    """Where no ``Invertd`` has brought it back, the nearest voxel's label is taken."""
    from monai.data.meta_tensor import MetaTensor

    if not isinstance(result, MetaTensor) or result.ndim != 4:
        raise SpecError(f"{plan.name}: postprocessing gives no image with a place in the patient")
    image = image_of([volume])
    affine = np.asarray(result.affine)
    if result.shape[1:] == image.voxels.shape[1:] and np.allclose(affine, image.affine, atol=1e-3):
        return result
    from monai.transforms.spatial.array import ResampleToMatch

    return ResampleToMatch(mode="nearest", padding_mode="zeros")(result, _tensor([volume])[None])


__all__ = ["MonaiPlan", "read_plan", "segment"]
