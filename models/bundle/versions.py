"""Where a published config and the installed MONAI are of different versions."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

from models.bundle import names
from models.bundle.reading import children

_LOG = logging.getLogger(__name__)
# Arguments of older MONAI that newer classes no longer have, and that changed no result.
_GONE: Mapping[str, frozenset[str]] = {"SwinUNETR": frozenset({"img_size"})}
# Transforms that older MONAI had under another name, and what they are now.
_RENAMED: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "AddChanneld": ("EnsureChannelFirstd", {"channel_dim": "no_channel"}),
    "AsChannelFirstd": ("EnsureChannelFirstd", {}),
}


def without_gone(values: Any) -> Any:
    """Leave out arguments that the installed MONAI no longer has and that changed no result."""
    waiting = [values]
    while waiting:
        value = waiting.pop()
        if isinstance(value, (dict, list)):
            waiting.extend(each for _, _, each in children("", value))
        target = value.get("_target_") if isinstance(value, dict) else None
        if isinstance(target, str) and target.removeprefix("monai.transforms.") in _RENAMED:
            now, arguments = _RENAMED[target.removeprefix("monai.transforms.")]
            value.update({"_target_": now, **arguments})
            _LOG.info("%s is %s in this MONAI", target, now)
        gone = _GONE.get(target.rpartition(".")[2]) if isinstance(target, str) else None
        if gone and gone & set(value):
            taken = inspect.signature(names.find_target(target)).parameters
            for key in sorted(gone & set(value) - set(taken)):
                del value[key]
                _LOG.info("%s: %s is left out; this MONAI has no such argument", target, key)
    return values


def unknown_argument(made: Callable[..., Any], arguments: Mapping[str, Any]) -> str:
    """What an error adds where a class was given arguments that it does not take."""
    try:
        parameters = inspect.signature(made).parameters
    except (TypeError, ValueError):
        return ""
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return ""
    unknown = sorted(set(arguments) - set(parameters))
    return f"; the installed version takes no {', '.join(unknown)}" if unknown else ""
