"""The names of MONAI, PyTorch and NumPy that a bundle's config may reach: an allow-list.

What is listed computes on tensors or builds a network, a transform or an inferer. Nothing
listed reads or writes a file, opens a socket, imports, loads a pickle or runs text as code.
Functions that a config needs but that touch the outside (``torch.load``, ``torch.device``) are
not here: :mod:`models.bundle.expressions` serves its own in their place.

A name is a dotted path in full. Modules are never values: ``torch.os`` and
``monai.utils.module.os`` are not on the list, so there is nothing to reach through.
"""

from __future__ import annotations

import copy
import enum
import importlib
import inspect
import math
import posixpath
import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from types import ModuleType
from typing import Any

MODULES = frozenset({"monai", "torch", "numpy", "math", "copy", "os"})
"""What an ``$import`` line may bind; of ``os`` only three pure functions of ``os.path``."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TORCH = _words(
    "Size abs add all amax amin any arange argmax argmin argsort as_tensor bincount bitwise_and "
    "bitwise_not bitwise_or cat ceil chunk clamp clip clone concat cos cumsum diff div einsum eq "
    "exp eye flatten flip floor floor_divide from_numpy full full_like ge gt isfinite isin "
    "isinf isnan le linspace log log2 logical_and logical_not logical_or logical_xor logit lt "
    "masked_select max maximum mean median meshgrid min minimum mul nan_to_num ne neg nonzero "
    "norm numel ones ones_like permute pow prod quantile relu reshape round rsqrt "
    "sigmoid sign sin softmax sort split sqrt square squeeze stack std sub sum tanh tensor "
    "tensor_split topk transpose true_divide unbind unique unsqueeze var where zeros "
    "zeros_like"
)
_FUNCTIONAL = _words(
    "avg_pool2d avg_pool3d elu gelu interpolate leaky_relu log_softmax logsigmoid max_pool2d "
    "max_pool3d normalize one_hot pad relu sigmoid silu softmax softplus tanh threshold"
)
_NUMPY = _words(
    "abs all amax amin any arange argmax argmin argsort array asarray astype bool_ ceil clip "
    "concatenate cos cumsum diag diff dot e exp expand_dims eye flip float16 float32 float64 "
    "floor full inf int8 int16 int32 int64 isfinite isin isnan linspace log log2 log10 "
    "logical_and logical_not logical_or max maximum mean median min minimum moveaxis nan "
    "nan_to_num newaxis ones ones_like percentile pi prod ravel repeat reshape round sign sin "
    "sort sqrt squeeze stack std sum tile transpose uint8 uint16 uint32 uint64 unique var where "
    "zeros zeros_like"
)
_MATH = _words("ceil cos e exp fabs floor inf log log10 log2 nan pi pow prod sin sqrt")
_OS_PATH: Mapping[str, Callable[..., Any]] = {
    "os.path.join": posixpath.join,
    "os.path.basename": posixpath.basename,
    "os.path.dirname": posixpath.dirname,
}
_MONAI_ROOMS = (
    "monai.transforms",
    "monai.networks.nets",
    "monai.networks.blocks",
    "monai.networks.layers",
    "monai.inferers",
    "monai.apps.detection.networks.retinanet_network",
    "monai.apps.detection.networks.retinanet_detector",
    "monai.apps.detection.utils.anchor_utils",
    "monai.apps.detection.transforms.dictionary",
    "monai.apps.detection.transforms.array",
    "monai.apps.vista3d.transforms",
)
"""Where a name without a path is looked for, in this order."""
_APP_TRANSFORMS = re.compile(r"monai\.apps\.[a-z0-9_]+\.transforms(\.[a-z0-9_]+)*")
_MONAI_FUNCTIONS = _words(
    "resnet10 resnet18 resnet34 resnet50 resnet101 resnet152 resnet200 vista3d132 create_mednext "
    "MedNeXtS MedNeXtM MedNeXtB MedNeXtL resnet_fpn_feature_extractor get_act_layer "
    "get_norm_layer get_pool_layer get_dropout_layer"
)
_INFERERS = _words("SimpleInferer SliceInferer SlidingWindowInferer SlidingWindowInfererAdapt")
# Homes of classes that read or write files, fetch weights from an address they are given,
# look a name up among the modules or load a library.
_DENIED_HOMES = _words(
    "monai.transforms.io monai.transforms.nvtx monai.networks.nets.hovernet "
    "monai.networks.nets.transchex monai.networks.nets.milmodel monai.networks.nets.torchvision_fc "
    "monai.networks.nets.flexible_unet monai.networks.nets.cell_sam_wrapper "
    "monai.networks.nets.netadapter monai.networks.layers.gmm "
    "monai.networks.layers.filtering"
)
_DENIED_TRANSFORMS = re.compile(
    r"(Rand)?(TorchVision|TorchIO|CuCIM|SimulateDelay|ToPIL|ToCupy|DataStats|SaveClassification)"
    r"(d|D|Dict)?"
)
_WEIGHTS_FROM_AFAR = re.compile(r"pretrain|url|download|checkpoint_path|weights_path")


class NotAllowed(LookupError):
    """The name isn't on the list; the text says why."""


def chain(parts: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
    """The object that a dotted path starts with and the attributes that are left.

    Args:
        parts: e.g. ``("torch", "float32", "itemsize")``.

    Raises:
        NotAllowed: no beginning of the path is on the list.
    """
    for end in range(1, len(parts) + 1):
        try:
            return find(".".join(parts[:end])), parts[end:]
        except NotAllowed:
            continue
    raise NotAllowed(f"{'.'.join(parts)} is not on the list of allowed names")


@cache
def find(dotted: str) -> Any:
    """The allow-listed object of that full name.

    Raises:
        NotAllowed: it isn't on the list, or the installed version hasn't got it.
    """
    if any(part.startswith("_") or not part.isidentifier() for part in dotted.split(".")):
        raise NotAllowed(f"{dotted}: names with a leading underscore are never allowed")
    root, _, rest = dotted.partition(".")
    found: Any = None
    if root == "monai":
        found = _monai(dotted)
    elif root == "torch":
        found = _torch(rest)
    elif root == "numpy" and rest in _NUMPY:
        import numpy

        found = getattr(numpy, rest, None)
    elif root == "math" and rest in _MATH:
        found = getattr(math, rest)
    elif dotted in {"copy.copy", "copy.deepcopy"}:
        found = copy.deepcopy  # a shallow copy of what others hold is never needed
    elif root == "os":
        found = _OS_PATH.get(dotted)
    if found is None or isinstance(found, ModuleType):
        raise NotAllowed(f"{dotted} is not on the list of allowed names")
    return found


@cache
def find_target(name: str) -> Any:
    """What a ``_target_`` stands for: a full name, or MONAI's short one (``UNet``).

    Raises:
        NotAllowed: it isn't on the list.
    """
    if "." in name:
        return find(name)
    for room in _MONAI_ROOMS:
        try:
            return find(f"{room}.{name}")
        except NotAllowed:
            continue
    raise NotAllowed(f"{name} is not on the list of allowed names")


def exists_in_monai(name: str) -> bool:
    """Whether a short ``_target_`` is a name of MONAI's at all, allowed or not."""
    _load_rooms()
    modules = [m for key, m in sys.modules.items() if key.split(".")[0] == "monai"]
    return any(name in vars(module) for module in modules)


def refuse_downloads(function: Callable[..., Any], args: Any, kwargs: Mapping[str, Any]) -> None:
    """Refuse arguments that make a network fetch weights from the internet or from a path.

    Raises:
        NotAllowed: ``pretrained=True`` and the like, also where it is the default.
    """
    try:
        bound = inspect.signature(function).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return  # the call itself will say what is wrong
    bound.apply_defaults()
    given: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        given |= value if isinstance(value, dict) else {name: value}
    for name, value in given.items():
        nothing = value is None or value is False or (isinstance(value, str) and not value)
        if _WEIGHTS_FROM_AFAR.search(str(name)) and not nothing:
            raise NotAllowed(
                f"{name}={value!r} would fetch weights from elsewhere; set it to false"
            )


@cache
def may_download(function: Callable[..., Any]) -> bool:
    """Whether it has such an argument, so that it may only be called under guard."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(
        _WEIGHTS_FROM_AFAR.search(p.name) or p.kind is inspect.Parameter.VAR_KEYWORD
        for p in parameters
    ) and str(getattr(function, "__module__", "")).startswith("monai.networks")


def is_instance(value: Any) -> bool:
    """Whether it is an object of an allow-listed class, so that it may be called."""
    kind = type(value)
    return _is_monai_class(kind) or _is_torch_module(kind)


def _torch(rest: str) -> Any:
    import torch

    if rest.startswith("nn.functional."):
        name = rest.removeprefix("nn.functional.")
        return getattr(torch.nn.functional, name, None) if name in _FUNCTIONAL else None
    if rest.startswith("nn."):
        found = getattr(torch.nn, rest.removeprefix("nn."), None)
        return found if isinstance(found, type) and _is_torch_module(found) else None
    found = getattr(torch, rest, None) if rest.isidentifier() else None
    return found if rest in _TORCH or isinstance(found, torch.dtype) else None


def _is_torch_module(kind: type) -> bool:
    from torch import nn

    return issubclass(kind, nn.Module) and kind.__module__.startswith("torch.nn.modules.")


@cache
def _load_rooms() -> None:
    for room in _MONAI_ROOMS:
        importlib.import_module(room)


def _monai(dotted: str) -> Any:
    """A class or function of MONAI's rooms above, or a constant of its enums."""
    _load_rooms()
    home, _, name = dotted.rpartition(".")
    if _APP_TRANSFORMS.fullmatch(home):
        try:
            importlib.import_module(home)
        except ImportError:
            return None
    module = sys.modules.get(home)
    if module is None:
        return _enum_member(home, name)
    found = getattr(module, name, None)
    if inspect.isclass(found):
        return found if _is_monai_class(found) else None
    if inspect.isfunction(found) and found.__module__.startswith(_MONAI_ROOMS):
        return found if found.__name__ in _MONAI_FUNCTIONS else None
    return None


def _enum_member(home: str, name: str) -> Any:
    """``monai.utils.BlendMode.GAUSSIAN`` or ``monai.networks.layers.Norm.BATCH``."""
    from monai import utils
    from monai.networks.layers import factories

    module, _, kind = home.rpartition(".")
    found = getattr(utils, kind, None) if module in {"monai.utils", "monai.utils.enums"} else None
    if inspect.isclass(found) and issubclass(found, enum.Enum):
        return found.__members__.get(name)
    if module == "monai.networks.layers" and kind in {"Act", "Conv", "Dropout", "Norm", "Pool"}:
        return name if name in getattr(factories, kind).names else None
    return None


def _is_monai_class(kind: type) -> bool:
    from monai.transforms.transform import Transform
    from torch import nn

    home = kind.__module__
    if not (home.startswith(_MONAI_ROOMS) or _APP_TRANSFORMS.fullmatch(home)):
        return False
    if any(home == denied or home.startswith(denied + ".") for denied in _DENIED_HOMES):
        return False
    if home.startswith("monai.inferers"):
        return kind.__name__ in _INFERERS
    if issubclass(kind, Transform):
        return not _DENIED_TRANSFORMS.fullmatch(kind.__name__)
    return issubclass(kind, nn.Module) or kind.__name__ == "RetinaNetDetector"
