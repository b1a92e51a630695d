"""A bundle's network with its weights, from its config."""

from __future__ import annotations

import inspect
import json
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.bundle import names
from models.bundle.checkpoint import load_values, sha256_of
from models.bundle.config import Config
from models.bundle.reading import SEPARATOR, children, inside
from models.errors import ModelError, SpecError
from models.runtime.source import TorchNetwork, TorchScriptFile

if TYPE_CHECKING:
    from torch import nn

_LOG = logging.getLogger(__name__)
_WEIGHTS = Path("models") / "model.pt"
_SCRIPT = Path("models") / "model.ts"
# Position embeddings or window masks are made for one size.
_FIXED = re.compile(r"\b(SwinUNETR|UNETR|ViT|ViTAutoEnc|MaskedAutoEncoderViT)\b")
_INPUTS = ("in_channels", "n_input_channels", "input_channels", "in_chns")
_OUTPUTS = ("out_channels", "num_classes", "n_classes", "out_chns")
_SHOWN = 3


def read_network(config: Config, patch: tuple[int, ...]) -> TorchNetwork | TorchScriptFile:
    """The network that the config's evaluator runs. Nothing is built yet.

    Args:
        patch: spatial size that it is exported with.

    Returns:
        The network with its weights; the bundle's TorchScript where it has no other weights.

    Raises:
        SpecError: there are no weights, or its channels are not those of ``metadata.json``.
    """
    weights, key = find_weights(config)
    if not weights.is_file():
        script = config.folder / _SCRIPT
        if script.is_file():
            _LOG.info("%s is not there; %s is used instead", weights, script)
            return TorchScriptFile(script)
        raise SpecError(
            f"{weights}: no such file, and no {script} either; the weights of a bundle come with "
            "`preread models pull`, or put the file there"
        )
    check_channels(config)
    # The config belongs to it: the same weights in another network are another export.
    said = json.dumps([config.values, patch], sort_keys=True, default=str)
    return TorchNetwork(
        name=config.folder.name,
        build=lambda: build(config.again(), weights, key),
        channels=channels_of(config),
        patch=patch,
        fixed=config.section.fixed_patch or bool(_FIXED.search(said)),
        cache=(config.folder / ".cache", sha256_of(weights, text=said)),
    )


def build(config: Config, weights: Path, key: str) -> nn.Module:
    """The module in evaluation mode on the CPU, float32, with its weights.

    Raises:
        CodeRefused: the network is Python of the bundle's own.
        SpecError: it can't be built, or the weights are not its.
    """
    from torch import nn

    identifier = config.role("network")
    module = config.resolve(identifier)
    if not isinstance(module, nn.Module):
        raise config.error(identifier, f"is a {type(module).__name__}, not a network")
    values = load_values(weights)
    # As MONAI's CheckpointLoader: {"model": state} or the state itself.
    state = values[key] if isinstance(values, Mapping) and key in values else values
    _load_state(module, state, weights, key)
    return module.cpu().float().eval().requires_grad_(False)


def find_weights(config: Config) -> tuple[Path, str]:
    """The file that the config's ``CheckpointLoader`` loads, and the key of the network in it.

    Raises:
        SpecError: the file lies outside the bundle.
    """
    for identifier in _below(config.values, ""):
        target = config.get(f"{identifier}{SEPARATOR}_target_", "")
        if str(target).rpartition(".")[2] != "CheckpointLoader":
            continue
        where = f"{identifier}{SEPARATOR}load_path"
        if where not in config:
            raise config.error(identifier, "a CheckpointLoader needs a load_path")
        said = config.resolve(where)
        path = inside(config.folder, str(said), f"{config.path}: {where.replace(SEPARATOR, '#')}")
        loaded = config.get(config.follow(f"{identifier}{SEPARATOR}load_dict"), {})
        return path, _key_of(config, loaded)
    return config.folder / _WEIGHTS, "model"


def _key_of(config: Config, loaded: Any) -> str:
    """The key under which a ``load_dict`` keeps the network."""
    network = config.role("network")
    keys = list(loaded) if isinstance(loaded, dict) else []
    for key in keys:
        found = re.fullmatch(r"\s*\$?\s*@([\w:]+)\s*", str(loaded[key]))
        if found and config.follow(found[1]) == network:
            return str(key)
    return str(keys[0]) if keys else "model"


def _below(value: Any, identifier: str) -> Iterator[str]:
    """Ids of every component, outermost first."""
    for _, sub, each in children(identifier, value):
        if isinstance(each, dict) and "_target_" in each:
            yield sub
        if isinstance(each, (dict, list)):
            yield from _below(each, sub)


def _load_state(module: nn.Module, state: Any, weights: Path, key: str) -> None:
    import torch

    if not isinstance(state, Mapping) or not all(
        isinstance(v, torch.Tensor) for v in state.values()
    ):
        said = ", ".join(map(str, state)) if isinstance(state, Mapping) else type(state).__name__
        raise SpecError(f"{weights}: holds no weights under {key!r}, but {said[:200]}")
    own = module.state_dict()
    wrong = [
        f"{name} is {tuple(state[name].shape)}, the network has {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    for text, found in (
        ("of another shape", wrong),
        ("missing", [name for name in own if name not in state]),
        ("not the network's", [name for name in state if name not in own]),
    ):
        if found:
            raise SpecError(
                f"{weights}: the weights are not this network's: {len(found)} {text}, first "
                f"{'; '.join(found[:_SHOWN])}. Weights and config must be of one version of the "
                "bundle"
            )
    module.load_state_dict(state)


def channels_of(config: Config) -> int:
    """Channels of the network's input: of the network's arguments, else of the metadata.

    Raises:
        SpecError: neither says it.
    """
    said = _argument(config, _INPUTS) or _of_metadata(config, "inputs")
    if said is None:
        raise SpecError(
            f"{config.path}: neither the network's arguments nor network_data_format of "
            "metadata.json say how many channels the input has"
        )
    return said


def check_channels(config: Config) -> None:
    """Compare the network's channels with those of ``metadata.json``.

    Raises:
        SpecError: they differ.
    """
    for names_, side in ((_INPUTS, "inputs"), (_OUTPUTS, "outputs")):
        built, described = _argument(config, names_), _of_metadata(config, side)
        if built is None or described is None or built == described:
            continue
        if side == "outputs" and described == 1:
            continue  # many bundles describe the label map here, not the network's output
        raise config.error(
            _component(config) or config.role("network"),
            f"has {built} {side[:-1]} channels, {config.folder / 'configs' / 'metadata.json'} says "
            f"{described} (network_data_format#{side}); they must agree",
        )


def metadata_patch(config: Config) -> tuple[int, ...] | None:
    """The spatial shape that ``metadata.json`` gives for the input; ``16*n`` becomes 64 or more."""
    shape = _first_format(config, "inputs").get("spatial_shape")
    if not isinstance(shape, list):
        return None
    sides = []
    for side in shape:
        found = re.fullmatch(r"\s*(\d+)\s*\*\s*n\s*", str(side))
        if found:
            step = max(1, int(found[1]))
            sides.append(-(-64 // step) * step)
        else:
            sides.append(side if isinstance(side, int) and side > 0 else 64)
    return tuple(sides)


def _first_format(config: Config, side: str) -> Mapping[str, Any]:
    formats = config.metadata.get("network_data_format")
    tables = formats.get(side) if isinstance(formats, dict) else None
    if not isinstance(tables, dict):
        return {}
    usual = "image" if side == "inputs" else "pred"
    found = tables.get(usual) or next(iter(tables.values()), None)
    return found if isinstance(found, dict) else {}


def _of_metadata(config: Config, side: str) -> int | None:
    count = _first_format(config, side).get("num_channels")
    return count if isinstance(count, int) and not isinstance(count, bool) else None


def _component(config: Config) -> str | None:
    """The id of the component that the network's id is made from (``$@network_def.to(...)``)."""
    identifier = config.role("network")
    for _ in range(10):
        raw = config.get(config.follow(identifier))
        if isinstance(raw, dict) and "_target_" in raw:
            return config.follow(identifier)
        found = re.match(r"\$\s*@([\w:]+)", raw) if isinstance(raw, str) else None
        if found is None:
            return None
        identifier = found[1]
    return None


def _argument(config: Config, wanted: tuple[str, ...]) -> int | None:
    """A count of channels among the network's arguments, or the class's default for it."""
    identifier = _component(config)
    if identifier is None:
        return None
    for name in wanted:
        if f"{identifier}{SEPARATOR}{name}" in config:
            value = config.resolve(f"{identifier}{SEPARATOR}{name}")
            return value if isinstance(value, int) else None
    target = config.get(f"{identifier}{SEPARATOR}_target_")
    try:
        parameters = inspect.signature(names.find_target(str(target))).parameters
    except (names.NotAllowed, ValueError, TypeError, ModelError):
        return None
    defaults = [parameters[name].default for name in wanted if name in parameters]
    return next((value for value in defaults if isinstance(value, int)), None)
