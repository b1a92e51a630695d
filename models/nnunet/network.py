"""The architecture that nnU-Net's plans name, built by nnU-Net itself."""

from __future__ import annotations

import importlib
import inspect
import math
import pydoc
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.errors import RuntimeMissing, SpecError

if TYPE_CHECKING:
    from torch import nn

_ARCHITECTURES = "dynamic_network_architectures."
_LAYERS = "torch.nn."
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def require_nnunet() -> None:
    """Check that nnU-Net v2 is installed.

    Raises:
        RuntimeMissing: it is not.
    """
    try:
        import nnunetv2  # noqa: F401
    except ImportError as error:
        raise RuntimeMissing("nnU-Net is not installed; `pip install 'preread[nnunet]'`") from error


def check_architecture(architecture: Mapping[str, Any], where: str) -> None:
    """Check that the plans name layers and networks only.

    nnU-Net imports and calls whatever name stands there; here it must be a class of PyTorch's
    layers or of dynamic_network_architectures.

    Args:
        architecture: ``network_class_name``, ``arch_kwargs`` and ``_kw_requires_import``.
        where: file and key, for the message.

    Raises:
        SpecError: it names something else, or a key is missing.
    """
    try:
        name = architecture["network_class_name"]
        values, imported = architecture["arch_kwargs"], architecture["_kw_requires_import"]
        layers = {key: values[key] for key in imported if values[key] is not None}
    except (KeyError, TypeError) as error:
        raise SpecError(f"{where}: {error} is missing or wrong") from error
    _check_module(name, _ARCHITECTURES, f"{where}.network_class_name")
    for key, layer in layers.items():
        _check_module(layer, _LAYERS, f"{where}.arch_kwargs.{key}")


def side_multiple(architecture: Mapping[str, Any]) -> int:
    """What the sides of a patch must be multiples of; 0 for networks of one size.

    A U-Net halves its input as its strides say; transformers are made for one size.
    """
    strides = architecture["arch_kwargs"].get("strides")
    if not str(architecture["network_class_name"]).endswith("UNet") or not strides:
        return 0
    return max(math.prod(map(int, along)) for along in zip(*strides, strict=True))


def build_network(
    plans: dict[str, Any],
    dataset: dict[str, Any],
    configuration: str,
    trainer: str,
    weights: Mapping[str, Any],
    where: str,
) -> nn.Module:
    """Build the network as its trainer would and load its weights.

    Args:
        plans: as ``plans.json`` holds them, checked.
        dataset: as ``dataset.json`` holds it.
        configuration: e.g. ``3d_fullres``.
        trainer: name of a trainer that nnU-Net ships.
        weights: the network's state.
        where: the checkpoint, for the message.

    Returns:
        In evaluation mode, on the CPU; logits of one tensor (n, heads, *spatial).

    Raises:
        SpecError: the trainer is unknown, or the weights are of another network.
    """
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    manager = PlansManager(plans)
    settings = manager.get_configuration(configuration)
    channels = determine_num_input_channels(manager, settings, dataset)
    heads = manager.get_label_manager(dataset).num_segmentation_heads
    own_way = _own_architecture(trainer, where)
    network: nn.Module
    if own_way:
        network = own_way(manager, settings, channels, heads, enable_deep_supervision=False)
    else:
        network = get_network_from_plans(
            settings.network_arch_class_name,
            settings.network_arch_init_kwargs,
            settings.network_arch_init_kwargs_req_import,
            channels,
            heads,
            allow_init=False,
            deep_supervision=False,
        )
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise SpecError(
            f"{where}: its weights are not those of the network in plans.json "
            f"({str(error).strip().splitlines()[0]}); plans and checkpoint belong to different "
            "trainings"
        ) from error
    return network.eval()


def _own_architecture(trainer: str, where: str) -> Callable[..., Any] | None:
    """How that trainer of nnU-Net's builds its network; None: as the plans say."""
    if trainer == "nnUNetTrainer":
        return None
    from nnunetv2.training.nnUNetTrainer import nnUNetTrainer as base

    # Only where nnU-Net is installed, never in a folder of the site's; and only the file that
    # defines it, since others want libraries that inference does without.
    folder = Path(base.__file__).parent
    pattern = re.compile(rf"^class {re.escape(trainer)}\b", re.MULTILINE)
    files = (
        path for path in sorted(folder.rglob("*.py")) if pattern.search(path.read_text("utf-8"))
    )
    path = next(files, None) if trainer.isidentifier() else None
    if path is None:
        raise SpecError(
            f"{where}: trained by {trainer!r}, which nnU-Net does not ship; if it changes neither "
            "network nor input, set network.overrides.trainer = 'nnUNetTrainer'"
        )
    parts = path.relative_to(folder).with_suffix("").parts
    try:
        module = importlib.import_module(".".join(("nnunetv2.training.nnUNetTrainer", *parts)))
    except Exception as error:  # a module's import raises what it likes; named here
        raise RuntimeMissing(f"{where}: {trainer} of nnU-Net can't be imported: {error}") from error
    build: Callable[..., Any] = getattr(module, trainer).build_network_architecture
    if build is base.nnUNetTrainer.build_network_architecture:
        return None
    if "plans_manager" not in inspect.signature(build).parameters:
        raise RuntimeMissing(f"{where}: {trainer} needs a newer nnU-Net; `pip install -U nnunetv2`")
    return build


def _check_module(name: Any, prefix: str, where: str) -> None:
    from torch import nn

    found = None
    if isinstance(name, str) and _DOTTED.fullmatch(name) and name.startswith(prefix):
        found = pydoc.locate(name)
    # A name can pass through a module's own imports to something else entirely.
    if not (
        isinstance(found, type)
        and issubclass(found, nn.Module)
        and found.__module__.startswith(prefix)
    ):
        raise SpecError(f"{where} = {name!r} is refused: not a class of {prefix}*")
