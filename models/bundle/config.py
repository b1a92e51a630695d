"""A bundle's inference config: what is said in it, and what its ids stand for.

::

    config = Config.read(folder, section)
    config.get("inferer")            # as written, macros and overrides applied
    config.target("inferer")         # "SlidingWindowInferer"
    config.arguments("inferer")      # evaluated: {"roi_size": [96, 96, 96], ...}
    config.components("preprocessing")   # the steps of a Compose, one by one
    config.resolve("network")        # the value: an nn.Module, a Compose, a number

Only what is asked for is evaluated, once. Every reference to an id gives the same object, as
in MONAI's own parser. ``bundle_root`` is the folder, whatever is written; devices are the CPU,
because the runtime decides where a network runs.
"""

from __future__ import annotations

import copy
import functools
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.bundle import names
from models.bundle.backbone import resnet_fpn_feature_extractor
from models.bundle.building import build_component
from models.bundle.checkpoint import load_values
from models.bundle.expressions import Expression, imports_of
from models.bundle.methods import Refused
from models.bundle.reading import (
    SEPARATOR,
    assign,
    children,
    config_paths,
    inside,
    lookup,
    merge,
    normal,
    read_values,
    with_macros,
)
from models.bundle.standins import is_nothing, stand_in
from models.bundle.versions import without_gone
from models.errors import CodeRefused, ModelError, RuntimeMissing, SpecError
from models.sections import NetworkSection

if TYPE_CHECKING:
    from models.bundle.trusted import TrustedParser

_LOG = logging.getLogger(__name__)
_WORDS = frozenset({"_target_", "_disabled_", "_requires_", "_desc_", "_mode_"})
_REFERENCE = re.compile(r"\s*\$?\s*@([\w:]+)\s*")
_ROLES: Mapping[str, tuple[str, ...]] = {
    "network": ("network", "network_def", "net"),
    "inferer": ("inferer",),
    "postprocessing": ("postprocessing", "post_transform", "post_transforms"),
    "preprocessing": ("preprocessing", "pre_transform", "transform"),
}
_MISSING = object()


@dataclass(frozen=True)
class Component:
    """One ``_target_`` of the config.

    Args:
        identifier: its id.
        name: the class's own name (``Spacingd``) where it is an allowed class of MONAI's or
            PyTorch's; the target as written (``scripts.x.Y``, ``SaveImaged``) where not.
        arguments: evaluated, without those that are spelled out in ``_WORDS``.
    """

    identifier: str
    name: str
    arguments: Mapping[str, Any]


class Config:
    """See the module. Make one with :meth:`read`.

    Attributes:
        folder: of the bundle.
        path: the config file (the first of several).
        metadata: ``configs/metadata.json``.
        section: the ``network`` table of ``preread.toml``.
        trusted: the bundle's own Python may run.
        values: as written, macros and overrides applied.
    """

    def __init__(
        self,
        folder: Path,
        path: Path,
        values: dict[str, Any],
        metadata: dict[str, Any],
        section: NetworkSection,
        trusted: bool,
    ) -> None:
        self.folder = folder
        self.path = path
        self.metadata = metadata
        self.section = section
        self.trusted = trusted
        self.values = values
        self._imports = imports_of(values)
        self._resolved: dict[str, Any] = {}
        self._resolving: list[str] = []
        self._parser: TrustedParser | None = None

    @classmethod
    def read(cls, folder: Path, section: NetworkSection, *, trust_code: bool = False) -> Config:
        """Read a bundle's config and metadata and apply the section's overrides.

        Raises:
            SpecError: a file is missing or broken, or an override names no id.
            RuntimeMissing: MONAI or PyTorch is not installed.
        """
        try:
            import monai.transforms  # noqa: F401
        except ImportError as error:
            raise RuntimeMissing(
                f"{folder}: a MONAI bundle needs MONAI and PyTorch: pip install 'preread[monai]'"
            ) from error
        folder = folder.absolute()
        paths = config_paths(folder, section)
        values = read_values(paths[0])
        for path in paths[1:]:
            merge(values, read_values(path))
        metadata = read_values(folder / "configs" / "metadata.json")
        for key, value in section.overrides.items():
            try:
                assign(values, key, copy.deepcopy(value))
            except KeyError:
                raise SpecError(
                    f"{folder / 'preread.toml'}: network.overrides.{key!r}: {paths[0]} has nothing "
                    f"of that name; it has {', '.join(sorted(values))}"
                ) from None
        if "bundle_root" in values:
            values["bundle_root"] = str(folder)
        values = with_macros(folder, paths[0], values)
        return cls(folder, paths[0], without_gone(values), metadata, section, trust_code)

    def again(self) -> Config:
        """The same config with nothing evaluated yet, so that networks are built anew."""
        return Config(
            self.folder, self.path, copy.deepcopy(self.values), self.metadata, self.section,
            self.trusted,
        )  # fmt: skip

    def __contains__(self, identifier: str) -> bool:
        return self.get(identifier, _MISSING) is not _MISSING

    def get(self, identifier: str, default: Any = None) -> Any:
        """An id as written; ``default`` where there is none."""
        try:
            return lookup(self.values, identifier)
        except KeyError:
            return default

    def follow(self, identifier: str) -> str:
        """The id that an id refers to (``"@x"``), to the end of the chain; itself if to none."""
        seen = {identifier}
        while isinstance(raw := self.get(identifier), str) and (m := _REFERENCE.fullmatch(raw)):
            identifier = normal(m[1])
            if identifier in seen:
                raise self.error(identifier, "refers to itself")
            seen.add(identifier)
        return identifier

    def role(self, name: str) -> str:
        """The id of ``network``, ``inferer``, ``preprocessing`` or ``postprocessing``.

        As the evaluator names it; where it names none, the usual id.

        Raises:
            SpecError: the config has none.
        """
        said = "evaluator::val_data_loader" if name == "preprocessing" else f"evaluator::{name}"
        if said in self:
            found = self.follow(said)
            if name != "preprocessing":
                return found
            data = self.follow(f"{found}::dataset")
            if f"{data}::transform" in self:
                return self.follow(f"{data}::transform")
        for usual in _ROLES[name]:
            if usual in self:
                return self.follow(usual)
        raise SpecError(
            f"{self.path}: no {name}: neither evaluator#{name} nor {' nor '.join(_ROLES[name])}"
        )

    def has_role(self, name: str) -> bool:
        """Whether :meth:`role` finds one."""
        try:
            return self.role(name) in self
        except SpecError:
            return False

    def target(self, identifier: str) -> str:
        """What the id is made of: :attr:`Component.name`; empty for what isn't a component."""
        raw = self.get(self.follow(identifier))
        target = raw.get("_target_", "") if isinstance(raw, dict) else ""
        if not isinstance(target, str) or target.startswith("$"):
            return ""
        try:
            return str(names.find_target(target).__name__)
        except names.NotAllowed:
            return target.removeprefix("monai.transforms.").removeprefix("monai.handlers.")

    def disabled(self, identifier: str) -> bool:
        """Whether a component says ``_disabled_``."""
        flag = self.resolve(f"{identifier}::_disabled_") if self._said(identifier) else False
        return flag.strip().lower() == "true" if isinstance(flag, str) else bool(flag)

    def arguments(self, identifier: str) -> dict[str, Any]:
        """A component's arguments, evaluated."""
        identifier = self.follow(identifier)
        raw = self.get(identifier)
        if not isinstance(raw, dict):
            raise self.error(identifier, "is no component with a _target_")
        # how a step writes is not asked: it never will
        keys = ("keys",) if is_nothing(str(raw.get("_target_"))) else raw
        return {
            key: self.resolve(f"{identifier}{SEPARATOR}{key}")
            for key in keys
            if key in raw and key not in _WORDS
        }

    def components(self, identifier: str) -> list[Component]:
        """The steps of a ``Compose`` (or list) one by one; disabled ones are left out.

        Raises:
            SpecError: it is neither.
        """
        identifier = self.follow(identifier)
        if isinstance(self.get(identifier), dict) and self.target(identifier) == "Compose":
            identifier = self.follow(f"{identifier}{SEPARATOR}transforms")
        steps = self.get(identifier)
        if not isinstance(steps, list):
            raise self.error(identifier, "is no Compose and no list of transforms")
        found: list[Component] = []
        for _, each, _ in children(identifier, steps):
            each = self.follow(each)
            if not self.disabled(each):
                found.append(Component(each, self.target(each), self.arguments(each)))
        return found

    def resolve(self, identifier: str) -> Any:
        """The value of an id.

        Raises:
            CodeRefused: it wants Python that isn't on the list of allowed names.
            SpecError: no such id, ids that refer to one another in a circle, an argument that
                a class doesn't take, an expression that fails.
        """
        identifier = normal(identifier)
        if identifier in self._resolved:
            return self._resolved[identifier]
        raw = self.get(identifier, _MISSING)
        if raw is _MISSING:
            raise self._no_such(identifier)
        if identifier in self._resolving:
            circle = " -> ".join([*self._resolving, identifier])
            raise self.error(identifier, f"refers to itself: {circle}")
        self._resolving.append(identifier)
        try:
            if self.trusted and not self._of_stand_in(identifier):
                value = self._by_monai(identifier)
            else:
                value = self._value(identifier, raw)
        except RecursionError:
            raise self.error(identifier, "is nested too deeply") from None
        finally:
            self._resolving.pop()
        self._resolved[identifier] = value
        return value

    def error(self, identifier: str, text: str) -> SpecError:
        """An error that names file and key."""
        raw = self.get(identifier)
        said = f" = {raw!r}" if isinstance(raw, (str, int, float)) else ""
        return SpecError(f"{self.path}: {identifier.replace(SEPARATOR, '#')}{said}: {text}")

    def refused(self, identifier: str, text: str) -> CodeRefused:
        """The same for what only ``--trust-code`` allows."""
        return CodeRefused(
            f"{self.error(identifier, text)}. This is Python of the bundle's own; it runs only "
            "with --trust-code, which lets its authors run anything on this machine"
        )

    def _said(self, identifier: str) -> bool:
        raw = self.get(identifier)
        return isinstance(raw, dict) and "_disabled_" in raw

    def _of_stand_in(self, identifier: str) -> bool:
        """Whether it is an argument that MONAI's parser was not given (``stand_in``)."""
        parent, _, key = identifier.rpartition(SEPARATOR)
        raw = self.get(parent) if parent else None
        given = stand_in(raw) if isinstance(raw, dict) else None
        return given is not None and key not in given

    def _no_such(self, identifier: str) -> SpecError:
        by = self._resolving[-1] if self._resolving else ""
        return (
            self.error(by, f"refers to @{identifier}, which the config does not have")
            if by
            else (SpecError(f"{self.path}: has no {identifier.replace(SEPARATOR, '#')}"))
        )

    def _value(self, identifier: str, raw: Any) -> Any:
        if isinstance(raw, dict) and "_target_" in raw:
            return build_component(self, identifier, raw)
        if isinstance(raw, dict):
            return {key: self.resolve(sub) for key, sub, _ in children(identifier, raw)}
        if isinstance(raw, list):
            return [self.resolve(sub) for _, sub, _ in children(identifier, raw)
                    if not self._left_out(sub)]  # fmt: skip
        if not isinstance(raw, str):
            return raw
        if found := re.fullmatch(r"@([\w:]+)", raw):
            return self.resolve(found[1])
        return self._expression(identifier, raw[1:]) if raw.startswith("$") else raw

    def _left_out(self, identifier: str) -> bool:
        raw = self.get(identifier)
        return isinstance(raw, dict) and "_target_" in raw and self.disabled(identifier)

    def _expression(self, identifier: str, text: str) -> Any:
        if re.match(r"\s*(import|from)\s", text):
            return None
        try:
            return Expression(text, self._imports, self.served, self._read_metadata).evaluate(
                self.resolve
            )
        except Refused as error:
            raise self.refused(identifier, str(error)) from None
        except ModelError:
            raise
        except Exception as error:  # MONAI, torch, arithmetic: no common base; named here
            raise self.error(identifier, f"fails: {type(error).__name__}: {error}") from error

    @functools.cached_property
    def served(self) -> dict[str, Any]:
        """Functions of our own in the place of those that reach outside, or want torchvision."""
        import torch

        def load(path: str, map_location: Any = None, weights_only: bool = True) -> Any:
            return load_values(inside(self.folder, str(path), str(self.path)))

        room = "monai.apps.detection.networks.retinanet_network"
        return {
            f"{room}.resnet_fpn_feature_extractor": resnet_fpn_feature_extractor,
            "torch.load": load,
            "torch.device": lambda *args, **kwargs: torch.device("cpu"),
            "torch.cuda.is_available": lambda: False,
            "torch.cuda.device_count": lambda: 0,
        }

    def _read_metadata(self, path: Any) -> Any:
        found = inside(self.folder, str(path), str(self.path))
        if found != self.folder / "configs" / "metadata.json":
            raise Refused(f"reads {path}; only configs/metadata.json is read for a config")
        return copy.deepcopy(self.metadata)

    def _by_monai(self, identifier: str) -> Any:
        from models.bundle.trusted import TrustedParser

        if self._parser is None:
            self._parser = TrustedParser(self.folder, self.values)
            _LOG.warning("%s: --trust-code: this bundle's own Python runs", self.path)
        try:
            return self._parser.resolve(identifier)
        except Exception as error:  # the bundle's own code raises what it likes; named here
            raise self.error(identifier, f"fails: {type(error).__name__}: {error}") from error


__all__ = ["Component", "Config"]
