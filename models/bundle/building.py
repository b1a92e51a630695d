"""A component of a config (``_target_`` and its arguments) as the object that it stands for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from models.bundle import names
from models.bundle.standins import stand_in
from models.bundle.versions import unknown_argument
from models.errors import CodeRefused, ModelError, SpecError

_DEVICES = frozenset({"device", "sw_device"})


class Resolver(Protocol):
    """What building asks of a :class:`~models.bundle.config.Config`."""

    @property
    def served(self) -> Mapping[str, Any]:
        """Functions of our own in the place of those that reach outside."""

    def get(self, identifier: str, default: Any = None) -> Any:
        """An id as written."""

    def resolve(self, identifier: str) -> Any:
        """The value of an id."""

    def arguments(self, identifier: str) -> dict[str, Any]:
        """A component's arguments, evaluated."""

    def disabled(self, identifier: str) -> bool:
        """Whether a component says ``_disabled_``."""

    def error(self, identifier: str, text: str) -> SpecError:
        """An error that names file and key."""

    def refused(self, identifier: str, text: str) -> CodeRefused:
        """The same for what only ``--trust-code`` allows."""


def build_component(config: Resolver, identifier: str, raw: dict[str, Any]) -> Any:
    """The object; None where the component is disabled.

    Raises:
        CodeRefused: its class isn't on the list of allowed names.
        SpecError: MONAI has no such class, or it doesn't take these arguments.
    """
    if config.disabled(identifier):
        return None
    if "_requires_" in raw:
        config.resolve(f"{identifier}::_requires_")
    given = stand_in(raw)
    target = (given or raw)["_target_"]
    if isinstance(target, str) and target[:1] not in ("$", "@"):
        made = _class_of(config, identifier, target)
    else:
        made = config.resolve(f"{identifier}::_target_")
        if not callable(made):
            raise config.error(f"{identifier}::_target_", "is nothing that can be called")
    arguments = {
        # where a network runs is the runtime's to say
        key: "cpu" if key in _DEVICES and isinstance(value, str) else value
        for key, value in config.arguments(identifier).items()
        if given is None or key in given
    }
    if given is not None:
        arguments["allow_missing_keys"] = True
    mode = str(config.get(f"{identifier}::_mode_", "default"))
    if mode not in ("default", "callable"):
        raise config.error(f"{identifier}::_mode_", "only default and callable are run")
    try:
        names.refuse_downloads(made, (), arguments)
        if mode == "callable":
            return functools.partial(made, **arguments) if arguments else made
        return made(**arguments)
    except names.NotAllowed as error:
        raise config.error(identifier, str(error)) from None
    except ModelError:
        raise
    except Exception as error:  # MONAI's constructors raise what they like; named here
        hint = unknown_argument(made, arguments)
        raise config.error(identifier, f"{target} fails: {error}{hint}") from error


def _class_of(config: Resolver, identifier: str, target: str) -> Callable[..., Any]:
    found: Callable[..., Any]
    try:
        found = config.served[target] if target in config.served else names.find_target(target)
        return found
    except names.NotAllowed as error:
        identifier = f"{identifier}::_target_"
        if "." not in target and not names.exists_in_monai(target):
            import monai

            raise config.error(
                identifier, f"MONAI {monai.__version__} has nothing of that name"
            ) from None
        raise config.refused(identifier, str(error)) from None
