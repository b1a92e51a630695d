"""A bundle's config files as plain values: JSON or YAML, macros put in, overrides applied."""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from models.errors import RuntimeMissing, SpecError
from models.sections import NetworkSection

SEPARATOR = "::"
"""Between the parts of an id; ``#`` is its older form."""
LARGEST_FILE = 8 << 20
MOST_VALUES = 300_000
DEEPEST = 60
_RELATIVE = re.compile(r"([@%])((?:::)+)")
_MACRO_FILE = re.compile(r"(.+\.(?:json|ya?ml))(?:::(.*))?", re.IGNORECASE | re.DOTALL)


def normal(identifier: str | int) -> str:
    """An id with ``::`` between its parts."""
    return str(identifier).replace("#", SEPARATOR)


def config_paths(folder: Path, section: NetworkSection) -> list[Path]:
    """The config files that a section names; YAML is found where the default is JSON.

    Raises:
        SpecError: no such folder, or a file outside it.
    """
    if not folder.is_dir():
        raise SpecError(f"{folder}: no such folder")
    where = f"{folder / 'preread.toml'}: network.config"
    paths = [inside(folder, name.strip(), where) for name in section.config.split(",")]
    if not paths[0].is_file() and section.config == NetworkSection().config:
        for suffix in (".yaml", ".yml"):
            if paths[0].with_suffix(suffix).is_file():
                return [paths[0].with_suffix(suffix)]
    return paths


def read_values(path: Path) -> dict[str, Any]:
    """A config file.

    Raises:
        SpecError: it is missing, too large, broken, or holds no table.
        RuntimeMissing: YAML needs PyYAML.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise SpecError(f"{path}: larger than {LARGEST_FILE} bytes, which no config is")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SpecError(f"{path}: no such file; a bundle needs it, add the bundle again") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: cannot be read ({error})") from error
    values = _parse_json(path, text) if path.suffix.lower() == ".json" else _parse_yaml(path, text)
    if not isinstance(values, dict):
        raise SpecError(f"{path}: holds a {type(values).__name__}, not a table of keys")
    _check_extent(path, values)
    return values


def _parse_json(path: Path, text: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise SpecError(f"{path}: the key {key!r} is there twice")
            found[key] = value
        return found

    try:
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise SpecError(
            f"{path}: not JSON: {error.msg}, line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise SpecError(f"{path}: nested too deeply") from None


def _parse_yaml(path: Path, text: str) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise RuntimeMissing(f"{path}: needs PyYAML: pip install 'preread[monai]'") from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SpecError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise SpecError(f"{path}: nested too deeply") from None


def _check_extent(path: Path, values: Any) -> None:
    """YAML's anchors make a small file into endless values."""
    count = 0
    waiting: list[tuple[Any, int]] = [(values, 0)]
    while waiting:
        value, depth = waiting.pop()
        count += 1
        if count > MOST_VALUES or depth > DEEPEST:
            raise SpecError(f"{path}: holds more values, or nested more deeply, than a config does")
        if isinstance(value, dict):
            waiting.extend((each, depth + 1) for each in value.values())
        elif isinstance(value, list):
            waiting.extend((each, depth + 1) for each in value)


def children(identifier: str, value: Any) -> Iterator[tuple[str | int, str, Any]]:
    """Key, id and value of what a dict or list holds."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in pairs:
        yield key, f"{identifier}{SEPARATOR}{key}" if identifier else f"{key}", each


def lookup(values: Any, identifier: str) -> Any:
    """The raw value of an id.

    Raises:
        KeyError: there is none.
    """
    for part in normal(identifier).split(SEPARATOR):
        if isinstance(values, dict) and part in values:
            values = values[part]
        elif isinstance(values, list) and part.isdigit() and int(part) < len(values):
            values = values[int(part)]
        else:
            raise KeyError(identifier)
    return values


def assign(values: Any, identifier: str, value: Any) -> None:
    """Set an id whose parent is there.

    Raises:
        KeyError: the parent isn't.
    """
    parent, _, last = normal(identifier).rpartition(SEPARATOR)
    holder = lookup(values, parent) if parent else values
    if isinstance(holder, list) and last.isdigit() and int(last) < len(holder):
        holder[int(last)] = value
    elif isinstance(holder, dict):
        holder[last] = value
    else:
        raise KeyError(identifier)


def merge(values: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Put a second config file over the first: keys are ids, ``+key`` adds to a list or dict."""
    for key, value in more.items():
        target = key.removeprefix("+")
        try:
            old = lookup(values, target) if key.startswith("+") else None
        except KeyError:
            old = None
        if isinstance(old, dict) and isinstance(value, dict):
            old.update(value)
        elif isinstance(old, list) and isinstance(value, list):
            old.extend(value)
        else:
            assign(values, target, value)


def with_macros(folder: Path, path: Path, values: dict[str, Any]) -> dict[str, Any]:
    """Put ``%id`` and ``%file.json#id`` in and make relative ids (``@#sibling``) absolute.

    Raises:
        SpecError: an id or file isn't there, or a file lies outside the bundle.
    """

    def macro(text: str, identifier: str) -> Any:
        found = _MACRO_FILE.fullmatch(text)
        source, wanted = values, text
        if found:
            other = inside(folder, found[1], f"{path}: {identifier}")
            source, wanted = read_values(other), found[2] or ""
        try:
            return copy.deepcopy(lookup(source, wanted) if wanted else source)
        except KeyError:
            raise SpecError(
                f"{path}: {identifier} = '%{text}': the config has no {wanted}"
            ) from None

    def put_in(value: Any, identifier: str) -> Any:
        if isinstance(value, (dict, list)):
            held: Any = value  # whose own keys they are, whether names or places in a list
            for key, sub, each in list(children(identifier, value)):
                held[key] = put_in(each, sub)
        if not isinstance(value, str) or not (value[:1] in "@%$" and value):
            return value
        value = _absolute(value, identifier, path)
        return macro(normal(value[1:]), identifier) if value.startswith("%") else value

    result: dict[str, Any] = put_in(values, "")
    _check_extent(path, result)
    return result


def _absolute(text: str, identifier: str, path: Path) -> str:
    """``@##x`` at ``a::b::c`` is ``@a::x``."""

    def replaced(match: re.Match[str]) -> str:
        up = match[2].count(SEPARATOR)
        parts = identifier.split(SEPARATOR)
        if up > len(parts):
            raise SpecError(f"{path}: {identifier} = {text!r}: goes above the config's top")
        above = SEPARATOR.join(parts[:-up])
        return match[1] + (above + SEPARATOR if above else "")

    return _RELATIVE.sub(replaced, re.sub(r"(?<=[@%\w#])#", SEPARATOR, text))


def inside(folder: Path, name: str | Path, where: str) -> Path:
    """A file of the bundle; relative names are relative to its folder.

    Raises:
        SpecError: it lies outside.
    """
    path = Path(os.path.normpath(folder / name))
    if not path.is_relative_to(Path(os.path.normpath(folder))):
        raise SpecError(f"{where}: {name} lies outside the bundle's folder {folder}")
    return path
