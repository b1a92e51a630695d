"""A component's arguments, taken one by one until none is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_MISSING = object()


class NotTranslatable(Exception):
    """A recipe can't say this; the text names the id and why."""

    def __init__(self, identifier: str, why: str) -> None:
        super().__init__(f"{identifier.replace('::', '#')}: {why}")


class Arguments:
    """Takes arguments out; :meth:`done` refuses those that nobody took.

    Every method but :meth:`ignore` raises :class:`NotTranslatable` for a value that a recipe
    has no word for.
    """

    def __init__(self, identifier: str, given: Mapping[str, Any]) -> None:
        self.identifier = identifier
        self._left = dict(given)

    def done(self) -> None:
        """Nothing may be left over."""
        if self._left:
            raise NotTranslatable(self.identifier, f"has {', '.join(sorted(self._left))}")

    def ignore(self, *names: str) -> None:
        """Arguments that change no value."""
        for name in names:
            self._left.pop(name, None)

    def take(self, name: str, default: Any = _MISSING) -> Any:
        """An argument as it is; a list of one where a dictionary transform has one key."""
        value = self._left.pop(name, default)
        if value is _MISSING:
            raise NotTranslatable(self.identifier, f"has no {name}")
        return value

    def same(self, name: str, *allowed: Any) -> None:
        """It must be one of these, or not be given."""
        value = self._left.pop(name, _MISSING)
        if value is _MISSING:
            return
        for each in allowed:
            if value is each or (type(value) is type(each) and value == each):
                return
            if isinstance(each, str) and not isinstance(value, bool) and str(value) == each:
                return  # an enum's member
            if isinstance(each, tuple) and _tuples(value) == each:
                return
        raise NotTranslatable(self.identifier, f"{name} = {value!r}")

    def key(self) -> str:
        """The one key of a dictionary transform."""
        keys = self.take("keys")
        keys = [keys] if isinstance(keys, str) else list(keys)
        if len(keys) != 1:
            raise NotTranslatable(self.identifier, f"works on {len(keys)} keys")
        return str(keys[0])

    def number(self, name: str, default: Any = _MISSING) -> float:
        """A number."""
        value = self.take(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise NotTranslatable(self.identifier, f"{name} = {value!r} is no number")
        return float(value)

    def three(self, name: str, kind: type, default: Any = _MISSING) -> Any:
        """Three numbers, or one for all axes."""
        value = self.take(name, default)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = [value] * 3
        if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 3:
            raise NotTranslatable(self.identifier, f"{name} = {value!r} is not three numbers")
        for each in value:
            if isinstance(each, bool) or not isinstance(each, (int, float)) or each != each:
                raise NotTranslatable(self.identifier, f"{name} = {value!r}")
        return tuple(kind(each) for each in value)

    def one_of(self, name: str, words: Mapping[str, str], default: str) -> Any:
        """A word, as the recipe calls it."""
        value = self.take(name, default)
        if isinstance(value, (list, tuple)) and len(value) == 1:
            value = value[0]
        if isinstance(value, (bool, int)) or str(value) not in words:
            raise NotTranslatable(self.identifier, f"{name} = {value!r}")
        return words[str(value)]

    def float32(self, name: str, *also: Any) -> None:
        """A dtype that is float32."""
        self._dtype(name, "float32", also)

    def float64(self, name: str) -> None:
        """A dtype that is float64."""
        self._dtype(name, "float64", ())

    def _dtype(self, name: str, wanted: str, also: tuple[Any, ...]) -> None:
        value = self._left.pop(name, _MISSING)
        if value is _MISSING or any(value is each for each in also):
            return
        said = getattr(value, "__name__", None) or str(value).removeprefix("torch.")
        if said not in (wanted, {"float32": "float", "float64": "double"}[wanted]):
            raise NotTranslatable(self.identifier, f"{name} = {value!r}")


def _tuples(value: Any) -> Any:
    return tuple(_tuples(each) for each in value) if isinstance(value, (list, tuple)) else value
