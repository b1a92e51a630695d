"""Which builtins, attributes and methods ``$`` expressions may use, and on which values."""

from __future__ import annotations

import ast
import functools
import re
import string
from collections.abc import Callable
from typing import Any

from models.bundle import names

MOST_ITEMS = 100_000
"""Items of one value."""
MOST_CHARACTERS = 10_000
"""Characters of one text."""


class Refused(Exception):
    """An expression wants more than is allowed; the text says what."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_STR = _words("lower upper strip lstrip rstrip split rsplit startswith endswith")
_DICT = _words("get keys values items copy")
_LIST = _words("index count copy")
_SET = _words("union intersection difference copy issubset issuperset")
_TENSOR_METHODS = _words(
    "abs all amax amin any argmax argmin bool ceil clamp clip clone contiguous cpu cuda cumsum "
    "detach dim double exp expand flatten flip float floor half int item log long max mean min "
    "ndimension nonzero numel permute prod reshape round sigmoid size softmax sort sqrt squeeze "
    "std sum t to tolist transpose type unbind unique unsqueeze view where"
)
_TENSOR_VALUES = _words("T device dtype ndim shape")
_ARRAY_METHODS = _words(
    "all any argmax argmin astype clip copy cumsum flatten item max mean min prod ravel reshape "
    "round squeeze std sum tolist transpose"
)
_ARRAY_VALUES = _words("T dtype ndim shape size")
_NETWORK = _words("to eval train float double cpu cuda requires_grad_")
_DETECTOR = _words("set_target_keys set_box_selector_parameters set_sliding_window_inferer")
ATTRIBUTES = (
    _STR | _DICT | _LIST | _SET | _TENSOR_METHODS | _TENSOR_VALUES | _ARRAY_METHODS
    | _ARRAY_VALUES | _NETWORK | _DETECTOR | {"format", "join", "replace"}
)  # fmt: skip
"""Every name that some value has; which one has which is checked again with the value at hand."""


class Closure:
    """A lambda of a config. ``node`` is its syntax tree, for those who read it."""

    def __init__(
        self,
        parameters: tuple[str, ...],
        defaults: tuple[Any, ...],
        body: Callable[[dict[str, Any]], Any],
        node: ast.Lambda,
    ) -> None:
        self.parameters = parameters
        self.node = node
        self._defaults = dict(
            zip(parameters[len(parameters) - len(defaults) :], defaults, strict=True)
        )
        self._body = body

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The body's value with these arguments."""
        if len(args) > len(self.parameters):
            raise TypeError(f"{len(args)} arguments for a lambda of {len(self.parameters)}")
        given = self._defaults | dict(zip(self.parameters, args, strict=False)) | kwargs
        if set(given) != set(self.parameters):
            raise TypeError(f"a lambda of {self.parameters} was given {tuple(given)}")
        return self._body(given)

    def __deepcopy__(self, memo: dict[int, Any]) -> Closure:
        return self  # its body reaches the whole config, which is nobody's to copy


def _range(*args: int) -> range:
    found = range(*args)
    if len(found) > MOST_ITEMS:
        raise ValueError(f"a range of more than {MOST_ITEMS}")
    return found


def _with_key(function: Callable[..., Any]) -> Callable[..., Any]:
    """``key`` must be a lambda of the config, so that nothing is called unseen."""

    def guarded(*args: Any, **kwargs: Any) -> Any:
        if not isinstance(kwargs.get("key"), (Closure, type(None))):
            raise TypeError("key must be a lambda")
        return function(*args, **kwargs)

    return guarded


def _sum(items: Any, start: Any = 0) -> Any:
    items = list(items)
    total = sum(len(item) for item in items if isinstance(item, (list, tuple)))
    if total > MOST_ITEMS:
        raise ValueError(f"a sum of more than {MOST_ITEMS} items")
    return sum(items, start)


BUILTINS: dict[str, Any] = {
    "abs": abs, "all": all, "any": any, "bool": bool, "dict": dict, "enumerate": enumerate,
    "float": float, "int": int, "len": len, "list": list, "max": _with_key(max),
    "min": _with_key(min), "range": _range, "reversed": reversed, "round": round, "set": set,
    "sorted": _with_key(sorted), "str": str, "sum": _sum, "tuple": tuple, "zip": zip,
    "slice": slice, "frozenset": frozenset,
}  # fmt: skip
_FUNCTIONS = frozenset(id(function) for function in BUILTINS.values())


def is_data(value: Any) -> bool:
    """Plain data, a tensor or an array: what may be subscripted and gone through."""
    kinds: tuple[type, ...] = (
        str, bytes, list, tuple, dict, set, frozenset, range, enumerate, zip, reversed,
        type({}.keys()), type({}.values()), type({}.items()), type(reversed([])),
    )  # fmt: skip
    return isinstance(value, kinds) or _is_tensor(value) or _is_array(value)


def _is_tensor(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


def _is_array(value: Any) -> bool:
    import numpy as np

    return isinstance(value, (np.ndarray, np.generic))


def attribute(value: Any, name: str) -> Any:
    """An attribute or method of a value.

    Raises:
        Refused: the list above does not have it for this kind of value.
    """
    if isinstance(value, str) and name == "format":
        return lambda *args, **kwargs: _format(value, args, kwargs)
    if isinstance(value, str) and name == "join":
        return lambda items: _join(value, items)
    if isinstance(value, str) and name == "replace":
        return lambda old, new: _replace(value, old, new)
    if name in ("to", "cuda") and name in _names_of(value):
        return functools.partial(_to_cpu, value)
    if name in _names_of(value):
        return getattr(value, name)
    raise Refused(f".{name} of a {type(value).__name__} is not allowed")


def _to_cpu(value: Any, *args: Any, **kwargs: Any) -> Any:
    """``to`` and ``cuda`` where every device is the CPU: a runtime says where a network runs."""
    args = tuple("cpu" if isinstance(each, (str, int)) else each for each in args)
    return value.to(*args, **kwargs | ({"device": "cpu"} if "device" in kwargs else {}))


def _names_of(value: Any) -> frozenset[str]:
    for kind, found in (
        (str, _STR),
        (dict, _DICT),
        ((list, tuple), _LIST),
        ((set, frozenset), _SET),
    ):
        if isinstance(value, kind):
            return found
    if _is_tensor(value):
        return _TENSOR_METHODS | _TENSOR_VALUES
    if _is_array(value):
        return _ARRAY_METHODS | _ARRAY_VALUES
    if type(value).__name__ == "RetinaNetDetector" and names.is_instance(value):
        return _NETWORK | _DETECTOR
    return _NETWORK if _is_network(value) else frozenset()


def _is_network(value: Any) -> bool:
    from torch import nn

    return isinstance(value, nn.Module) and names.is_instance(value)


def may_be_called(function: Any) -> bool:
    """Whether a value may be called: a lambda, a builtin, a method from above, a transform."""
    if isinstance(function, Closure) or id(function) in _FUNCTIONS:
        return True
    owner = getattr(function, "__self__", None)
    if owner is not None and not isinstance(function, type):
        name = getattr(function, "__name__", "")
        return name in _names_of(owner)
    if isinstance(function, functools.partial):
        return function.func is _to_cpu
    if getattr(function, "__module__", None) == __name__:
        return True  # format, join and replace
    return not isinstance(function, type) and names.is_instance(function)


def check_layout(layout: str) -> None:
    """Refuse widths and precisions that would fill the memory.

    Raises:
        Refused: it does.
    """
    if re.search(r"\d{3}|\*", layout):
        raise Refused(f"{layout!r} formats to a width of more than 99")


def formatted(value: Any, layout: str) -> str:
    """``format(value, layout)`` of plain data."""
    check_layout(layout)
    plain = isinstance(value, (str, int, float, bool, type(None))) or is_data(value)
    if layout and not plain:
        raise Refused(f"a {type(value).__name__} is not formatted here")
    return format(value, layout) if layout else str(value)


def _format(text: str, args: Any, kwargs: Any) -> str:
    for _, field, layout, _ in string.Formatter().parse(text):
        if field is not None and not re.fullmatch(r"\w*", field):
            raise Refused(f"{{{field}}}: a format may only name its arguments")
        if layout:
            check_layout(layout)
            if "{" in layout:
                raise Refused(f"{{:{layout}}}: a format within a format")
    return text.format(*args, **kwargs)


def _join(text: str, items: Any) -> str:
    items = list(items)
    longest = len(text) * len(items) + sum(len(item) for item in items)
    if longest > MOST_CHARACTERS:
        raise Refused(f"makes a text of {longest} characters")
    return text.join(items)


def _replace(text: str, old: Any, new: Any) -> str:
    longest = (len(text) + 1) * max(1, len(str(new)))
    if longest > MOST_CHARACTERS:
        raise Refused(f"may make a text of {longest} characters")
    return text.replace(old, new)
