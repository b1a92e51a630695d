"""A VISTA3D bundle, asked for classes by their numbers, as a plan.

Its two scripts (an inferer and an evaluator) are not run; what they do without points is known:
Gaussian windows over the image with the prompted classes' numbers, every known class where none
is asked for. ``VistaPreTransformd`` turns a prompt for a whole (lung) into those for its parts
(lobes); ``VistaPostTransformd`` gives each voxel the prompt whose logit is greatest and above 0.

Source: MONAI model zoo, vista3d 0.5.4; MONAI 1.6.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from models.bundle.arguments import Arguments, NotTranslatable
from models.bundle.config import Config
from models.bundle.methods import Closure
from models.bundle.network import read_network
from models.bundle.opened import OpenedBundle
from models.bundle.standins import is_nothing
from models.bundle.translate import read_prepare
from models.recipe import Finish, Recipe, Windows
from models.runtime.source import TorchNetwork
from models.voxels.prompts import ClassVectors, PromptPlan

if TYPE_CHECKING:
    from torch import Tensor, nn

_PROMPTED = "VistaPreTransformd"
_CHOSEN = "VistaPostTransformd"
_LARGEST = 254
"""The bundle's evaluator takes no higher number; 255 marks what was not computed."""
_WITHOUT_NAN = re.compile(r"torch\.nan_to_num\(\w+(, nan=[\d.]+)?\)")


def read(config: Config) -> OpenedBundle:
    """Read the plan and the network.

    ``network.prompts`` of ``preread.toml`` says which classes are asked for.

    Raises:
        SpecError: the config is wrong, a prompt is unknown, or the weights are missing.
        CodeRefused: an expression wants Python of its own.
    """
    last, features = _size_of(config)
    prompts = _prompts(config, last)
    try:
        windows = _windows(config)
        _check_finish(config)
        source = read_network(config, windows.patch)
        if not isinstance(source, TorchNetwork):
            raise config.error(
                config.role("network"), f"needs the network's weights, {source.path} won't do"
            )
        _, prepare = read_prepare(config, source.channels, frozenset({_PROMPTED}))
    except NotTranslatable as error:
        raise config.error(config.role("inferer"), f"can't be run: {error}") from error
    recipe = Recipe(
        channels=source.channels,
        prepare=prepare,
        windows=windows,
        finish=Finish(
            activation="none",
            select="prompts",
            prompts=prompts,
            invert="after-select",
            interpolation="nearest",
        ),
    )
    many = len(prompts) > features
    plain = source.build
    vectors = class_vectors(plain(), prompts) if many else None

    def build() -> nn.Module:
        network = plain()
        return prompted(network, None if many else class_vectors(network, prompts))

    source = dataclasses.replace(source, build=build, cache=_cache(source, prompts, many))
    return OpenedBundle(source, PromptPlan(recipe, vectors), config.metadata)


def class_vectors(vista: nn.Module, prompts: Sequence[int]) -> ClassVectors:
    """What each class's logit is the product of with the features; (classes, features)."""
    import torch

    head: Any = vista.class_head
    with torch.inference_mode():
        vectors = head.class_embeddings(torch.tensor(prompts).unsqueeze(-1))
        if head.use_mlp:
            vectors = head.mlp(vectors)
        result: ClassVectors = vectors[:, 0].float().numpy()
    return result


def prompted(vista: nn.Module, vectors: ClassVectors | None) -> nn.Module:
    """The network without its point branch.

    Args:
        vista: MONAI's ``VISTA3D``.
        vectors: of the classes whose logits it gives; None: it gives the features.
    """
    import torch
    from torch import nn

    class Prompted(nn.Module):
        weight: Tensor | None

        def __init__(self, vista: Any) -> None:
            super().__init__()
            self.encoder = vista.image_encoder
            self.mapping = vista.class_head.image_post_mapping
            weight = None if vectors is None else torch.from_numpy(vectors)[..., None, None, None]
            self.register_buffer("weight", weight)

        def forward(self, image: Tensor) -> Tensor:
            _, features = self.encoder(image, with_point=False, with_label=True)
            mapped: Tensor = self.mapping(features)
            if self.weight is None:
                return mapped
            return nn.functional.conv3d(mapped, self.weight)

    return Prompted(vista).eval().requires_grad_(False)


def _size_of(config: Config) -> tuple[int, int]:
    """The last class that the network knows, and how many features it has."""
    # A config of its own, so that this network's gigabyte goes again at once.
    identifier = config.role("network")
    vista = config.again().resolve(identifier)
    if type(vista).__name__ != "VISTA3D":
        raise config.error(identifier, "is no VISTA3D of MONAI's")
    return int(vista.point_head.last_supported), int(
        vista.class_head.class_embeddings.embedding_dim
    )


def _prompts(config: Config, last: int) -> tuple[int, ...]:
    """The classes asked for, wholes replaced by their parts, each once."""
    asked = config.section.prompts
    if not asked:
        asked = _everything(config)
    else:
        parts = _parts(config)
        asked = tuple(part for number in asked for part in parts.get(number, (number,)))
    asked = tuple(dict.fromkeys(asked))
    wrong = [number for number in asked if not 1 <= number <= min(last, _LARGEST)]
    if wrong or not asked:
        raise config.error(
            config.role("network"),
            f"network.prompts: {wrong[0] if wrong else 'nothing'} is no class of this network; "
            f"classes count from 1 to {min(last, _LARGEST)}",
        )
    return asked


def _everything(config: Config) -> tuple[int, ...]:
    for identifier in ("evaluator::hyper_kwargs::everything_labels", "everything_labels"):
        if identifier in config:
            return tuple(sorted(int(number) for number in config.resolve(identifier)))
    raise config.error(
        config.role("network"), "network.prompts is empty, and the config has no everything_labels"
    )


def _parts(config: Config) -> Mapping[int, tuple[int, ...]]:
    """Of each whole its parts, as ``VistaPreTransformd`` has them."""
    for component in config.components(config.role("preprocessing")):
        if component.name == _PROMPTED:
            said = component.arguments.get("subclass") or {}
            return {int(whole): tuple(map(int, parts)) for whole, parts in said.items()}
    return {}


def _windows(config: Config) -> Windows:
    identifier = config.role("inferer")
    given = Arguments(identifier, config.arguments(identifier))
    given.ignore("use_point_window", "use_cfp")
    patch = given.three("roi_size", int)
    windows = Windows(
        patch=(patch[0], patch[1], patch[2]),
        overlap=given.three("overlap", float),
        blend="gaussian",
        batch=int(given.number("sw_batch_size", 1)),
    )
    given.done()
    return windows


def _check_finish(config: Config) -> None:
    """The postprocessing must be the choice of a prompt and the way back, nearest voxel."""
    identifier = config.role("postprocessing")
    seen = []
    for component in config.components(identifier):
        given = Arguments(component.identifier, component.arguments)
        if is_nothing(component.name) or component.name in ("ToDeviced", "EnsureTyped"):
            continue
        if given.key() != "pred":
            raise NotTranslatable(component.identifier, "works on something else than pred")
        if component.name == "Invertd":
            given.same("nearest_interp", True)
            given.same("post_func", None)
        elif component.name == "Lambdad":
            _check_without_nan(component.identifier, given.take("func"))
            continue
        seen.append(component.name)
    if seen != [_CHOSEN, "Invertd"]:
        raise NotTranslatable(identifier, f"is {', '.join(seen)}, not {_CHOSEN}, Invertd")


def _check_without_nan(identifier: str, function: Any) -> None:
    """Classes asked for by number never give NaN; any other function is not known."""
    if isinstance(function, Closure) and _WITHOUT_NAN.fullmatch(ast.unparse(function.node.body)):
        return
    raise NotTranslatable(identifier, "a function of its own")


def _cache(source: TorchNetwork, prompts: tuple[int, ...], many: bool) -> tuple[Any, str] | None:
    """Networks that give other classes' logits are other exports."""
    if source.cache is None:
        return None
    folder, weights = source.cache
    said = f"{weights} {'features' if many else prompts}"
    return folder, hashlib.sha256(said.encode()).hexdigest()
