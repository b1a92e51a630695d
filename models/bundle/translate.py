"""A bundle's transforms and sliding windows as a :class:`~models.recipe.Recipe`.

Only where that says exactly the same: every step and every argument is accounted for, and
one that a recipe has no word for makes :class:`NotTranslatable`, with the reason. Such a
bundle runs with MONAI's own transforms (:mod:`models.bundle.generic`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from models.bundle.arguments import Arguments, NotTranslatable
from models.bundle.config import Component, Config
from models.bundle.merging import merge_of
from models.bundle.methods import Closure
from models.bundle.network import channels_of
from models.bundle.standins import is_loader, is_nothing
from models.recipe import (
    CropForeground,
    Finish,
    Normalise,
    Orient,
    PrepareStep,
    Recipe,
    Rescale,
    Space,
    Window,
    Windows,
)

_SPATIAL = (Orient, Space, CropForeground)
# Steps that change where the data are, or how they are kept, but no value.
_SAME_VALUES = frozenset({"EnsureTyped", "ToTensord", "ToDeviced", "Identityd", "CastToTyped"})


def read_recipe(config: Config) -> Recipe:
    """The recipe of a segmentation bundle.

    Raises:
        NotTranslatable: a recipe can't say it exactly.
        SpecError: the config is wrong.
    """
    channels = channels_of(config)
    key, prepare = read_prepare(config, channels)
    return Recipe(
        channels=channels,
        prepare=prepare,
        windows=read_windows(config),
        finish=_read_finish(config, key, prepare),
    )


def read_windows(config: Config) -> Windows:
    """The inferer's sliding windows.

    Raises:
        NotTranslatable: it is another inferer, or a way of sliding that a recipe can't say.
    """
    identifier = config.role("inferer")
    name = config.target(identifier)
    if name not in ("SlidingWindowInferer", "SlidingWindowInfererAdapt"):
        raise NotTranslatable(identifier, f"{name or 'this'} is no SlidingWindowInferer")
    given = Arguments(identifier, config.arguments(identifier))
    given.ignore("device", "sw_device", "progress", "cache_roi_weight_map", "cpu_thresh")
    given.ignore("buffer_steps", "buffer_dim")
    given.same("with_coord", False)
    patch = given.three("roi_size", int)
    windows = Windows(
        patch=(patch[0], patch[1], patch[2]),
        overlap=given.three("overlap", float, 0.25),
        blend=given.one_of("mode", {"constant": "constant", "gaussian": "gaussian"}, "constant"),
        sigma_scale=given.number("sigma_scale", 0.125),
        padding=given.one_of(
            "padding_mode",
            {"constant": "constant", "replicate": "replicate", "reflect": "reflect"},
            "constant",
        ),
        fill=given.number("cval", 0.0),
        batch=int(given.number("sw_batch_size", 1)),
    )
    given.done()
    return windows


def read_prepare(
    config: Config, channels: int, passing: frozenset[str] = frozenset()
) -> tuple[str, tuple[PrepareStep, ...]]:
    """The preprocessing's key of the image, and its steps.

    Args:
        passing: names of further steps that leave every voxel as it is.

    Raises:
        NotTranslatable: a recipe can't say one of them.
    """
    identifier = config.role("preprocessing")
    _check_compose(config, identifier)
    steps: list[PrepareStep] = []
    key = ""
    for component in config.components(identifier):
        given = Arguments(component.identifier, component.arguments)
        found = given.key()
        if key and found != key:
            raise NotTranslatable(component.identifier, f"works on {found}, the image is {key}")
        key = key or found
        if component.name in passing:
            continue
        if is_loader(component.name):
            _loads(given)
        elif component.name in _SAME_VALUES or component.name == "EnsureChannelFirstd":
            _same_values(component, given, channels)
        elif component.name in _STEPS:
            steps.append(_STEPS[component.name](given, channels, key))
        elif not is_nothing(component.name):
            raise NotTranslatable(component.identifier, f"{component.name} is no recipe's step")
        given.done()
    if sum(isinstance(step, Space) for step in steps) > 1:
        raise NotTranslatable(identifier, "changes the spacing twice")
    return key, tuple(steps)


def _check_compose(config: Config, identifier: str) -> None:
    identifier = config.follow(identifier)
    if config.target(identifier) == "Compose":
        given = Arguments(identifier, config.arguments(identifier))
        given.ignore("transforms", "map_items", "unpack_items", "log_stats")
        given.same("lazy", False, None)
        given.done()


def _loads(given: Arguments) -> None:
    """Where an image is read from is ours; what its numbers are must be the usual."""
    given.ignore("reader", "image_only", "ensure_channel_first", "meta_keys", "meta_key_postfix")
    given.ignore("overwriting", "simple_keys", "prune_meta_pattern", "prune_meta_sep")
    given.ignore("expanduser", "allow_missing_keys", "series_name", "reverse_indexing")
    given.float32("dtype")
    given.same("affine_lps_to_ras", True)


def _same_values(component: Component, given: Arguments, channels: int = 1) -> None:
    given.ignore("device", "wrap_sequence", "allow_missing_keys", "strict_check", "non_blocking")
    given.same("track_meta", True, None)
    given.same("data_type", "tensor")
    given.same("channel_dim", None, "no_channel", *([0] if channels > 1 else []))
    if component.name == "CastToTyped":
        given.float32("dtype")
    else:
        given.float32("dtype", None)


def _orient(given: Arguments, channels: int, key: str) -> Orient:
    given.same("labels", None, (("L", "R"), ("P", "A"), ("I", "S")))
    given.ignore("allow_missing_keys")
    given.same("lazy", False)
    if given.take("as_closest_canonical", False):
        given.ignore("axcodes")
        return Orient(axes="RAS")
    axes = given.take("axcodes", None)
    if not isinstance(axes, str) or sorted(_axis(letter) for letter in axes) != [0, 1, 2]:
        raise NotTranslatable(given.identifier, f"axcodes = {axes!r} are not three axes")
    return Orient(axes=axes)


def _axis(letter: str) -> int:
    return "RLAPSI".find(letter) // 2


def _space(given: Arguments, channels: int, key: str) -> Space:
    given.ignore("allow_missing_keys", "ensure_same_shape")
    given.same("diagonal", False)
    given.same("align_corners", False, None)
    given.same("padding_mode", "border")
    given.same("scale_extent", False)
    given.same("recompute_affine", False)
    given.same("min_pixdim", None)
    given.same("max_pixdim", None)
    given.same("lazy", False)
    given.float64("dtype")
    spacing = given.three("pixdim", float)
    if min(spacing) <= 0:
        raise NotTranslatable(given.identifier, f"pixdim = {spacing} keeps an axis as it is")
    mode = given.one_of("mode", {"bilinear": "linear", "nearest": "nearest"}, "bilinear")
    return Space(spacing_mm=spacing, interpolation=mode)


def _window(given: Arguments, channels: int, key: str) -> Window:
    given.ignore("allow_missing_keys")
    given.float32("dtype", None)
    low, high = given.number("a_min"), given.number("a_max")
    to_low, to_high = given.take("b_min", None), given.take("b_max", None)
    clip = bool(given.take("clip", False))
    if low == high or (to_low is None) != (to_high is None) or (to_low is None and clip):
        raise NotTranslatable(given.identifier, "is a range of no width, or half a range")
    if to_low is None:
        return Window(low=low, high=high, clip=False)
    return Window(low=low, high=high, to_low=float(to_low), to_high=float(to_high), clip=clip)


def _normalise(given: Arguments, channels: int, key: str) -> Normalise:
    given.ignore("allow_missing_keys")
    given.float32("dtype", None)
    channel_wise = bool(given.take("channel_wise", False))
    values: list[float | None] = []
    for name in ("subtrahend", "divisor"):
        value = given.take(name, None)
        if channel_wise and isinstance(value, (list, tuple)) and len(value) == channels == 1:
            value = value[0]
        elif channel_wise and value is not None:
            raise NotTranslatable(given.identifier, f"{name} differs between channels")
        if value is not None and not isinstance(value, (int, float)):
            raise NotTranslatable(given.identifier, f"{name} is no number")
        values.append(None if value is None else float(value))
    return Normalise(
        nonzero=bool(given.take("nonzero", False)),
        channel_wise=channel_wise,
        mean=values[0],
        deviation=values[1],
    )


def _rescale(given: Arguments, channels: int, key: str) -> Rescale:
    given.ignore("allow_missing_keys")
    given.float32("dtype", None)
    given.same("factor", None)
    return Rescale(
        low=given.number("minv", 0.0),
        high=given.number("maxv", 1.0),
        channel_wise=bool(given.take("channel_wise", False)),
    )


def _crop(given: Arguments, channels: int, key: str) -> CropForeground:
    given.ignore("allow_missing_keys", "start_coord_key", "end_coord_key")
    given.same("source_key", key)
    given.same("channel_indices", None)
    given.same("k_divisible", 1)
    given.same("mode", "constant")
    given.same("lazy", False)
    given.same("select_fn")
    return CropForeground(
        margin=int(given.number("margin", 0)),
        allow_smaller=bool(given.take("allow_smaller", False)),
    )


_STEPS: dict[str, Callable[[Arguments, int, str], PrepareStep]] = {
    "Orientationd": _orient,
    "Spacingd": _space,
    "ScaleIntensityRanged": _window,
    "NormalizeIntensityd": _normalise,
    "ScaleIntensityd": _rescale,
    "CropForegroundd": _crop,
}


def _read_finish(config: Config, key: str, prepare: Sequence[PrepareStep]) -> Finish:
    """The postprocessing."""
    identifier = config.role("postprocessing")
    _check_compose(config, identifier)
    moved = any(isinstance(step, _SPATIAL) for step in prepare)
    work = _Finishing(config, key)
    for component in config.components(identifier):
        if is_nothing(component.name):
            continue
        given = Arguments(component.identifier, component.arguments)
        if given.key() != "pred":
            raise NotTranslatable(component.identifier, "works on something else than pred")
        if component.name in _SAME_VALUES:
            _same_values(component, given)
        else:
            work.take(component, given)
        given.done()
    return work.finish(identifier, moved)


class _Finishing:
    """Reads the postprocessing step by step, in the orders that a recipe can say."""

    def __init__(self, config: Config, key: str) -> None:
        self._config = config
        self._key = key
        self._seen: list[str] = []
        self._said: dict[str, Any] = {"activation": "none"}

    def take(self, component: Component, given: Arguments) -> None:
        """One step."""
        steps: dict[str, Callable[[Arguments], None]] = {
            "Activationsd": self._activation,
            "AsDiscreted": self._select,
            "Invertd": self._invert,
            "Lambdad": self._merge,
        }
        if component.name not in steps or component.name in self._seen:
            raise NotTranslatable(
                component.identifier, f"{component.name} has no place in a recipe's finish"
            )
        steps[component.name](given)
        self._seen.append(component.name)

    def finish(self, identifier: str, moved: bool) -> Finish:
        """What the steps say together."""
        if "AsDiscreted" not in self._seen:
            raise NotTranslatable(identifier, "chooses no label (no AsDiscreted)")
        if moved and "Invertd" not in self._seen:
            raise NotTranslatable(identifier, "does not go back to the source's grid (no Invertd)")
        after = "Invertd" in self._seen and self._before("AsDiscreted", "Invertd")
        if after and moved and self._said["interpolation"] != "nearest":
            raise NotTranslatable(identifier, "interpolates between label numbers")
        return Finish(**self._said, invert="after-select" if after else "before-select")

    def _before(self, first: str, second: str) -> bool:
        return self._seen.index(first) < self._seen.index(second)

    def _activation(self, given: Arguments) -> None:
        if self._seen:
            raise NotTranslatable(given.identifier, "an activation comes first in a recipe")
        given.ignore("allow_missing_keys")
        given.same("other", None)
        given.same("dim", 0)
        softmax, sigmoid = given.take("softmax", False), given.take("sigmoid", False)
        if softmax and sigmoid:
            raise NotTranslatable(given.identifier, "is softmax and sigmoid at once")
        self._said["activation"] = "softmax" if softmax else "sigmoid" if sigmoid else "none"

    def _select(self, given: Arguments) -> None:
        given.ignore("allow_missing_keys")
        for name in ("to_onehot", "rounding"):
            given.same(name, None)
        given.same("dim", 0)
        given.same("keepdim", True)
        argmax, threshold = given.take("argmax", False), given.take("threshold", None)
        if bool(argmax) == (threshold is not None):
            raise NotTranslatable(given.identifier, "is neither an argmax nor a threshold alone")
        self._said["select"] = "argmax" if argmax else "threshold"
        if not argmax:
            if not 0 <= float(threshold) <= 1:
                raise NotTranslatable(given.identifier, f"threshold = {threshold}")
            self._said["threshold"] = float(threshold)

    def _invert(self, given: Arguments) -> None:
        given.ignore("meta_keys", "orig_meta_keys", "meta_key_postfix", "to_tensor", "device")
        given.ignore("allow_missing_keys", "transform")
        given.same("post_func", None)
        given.same("orig_keys", self._key, [self._key], None)
        where = f"{given.identifier}::transform"
        preprocessing = self._config.role("preprocessing")
        copied = str(self._config.get(where)).replace(" ", "")
        if self._config.follow(where) != preprocessing and (
            copied != f"$copy.deepcopy(@{preprocessing})"
        ):
            raise NotTranslatable(given.identifier, "goes another way back than it came")
        nearest = bool(given.take("nearest_interp", True))
        self._said["interpolation"] = "nearest" if nearest else self._linear_unless_nearest()

    def _linear_unless_nearest(self) -> str:
        """An inverse interpolates as the step forth did."""
        for component in self._config.components(self._config.role("preprocessing")):
            if component.name == "Spacingd" and component.arguments.get("mode") == "nearest":
                return "nearest"
        return "linear"

    def _merge(self, given: Arguments) -> None:
        if self._seen[-1:] != ["AsDiscreted"] or self._said["select"] != "threshold":
            raise NotTranslatable(given.identifier, "a function of its own")
        given.ignore("allow_missing_keys", "track_meta", "inv_func")
        given.same("overwrite", True)
        function = given.take("func", None)
        if not isinstance(function, Closure):
            raise NotTranslatable(given.identifier, "a function of its own")
        self._said["merge"] = merge_of(function, given.identifier)
