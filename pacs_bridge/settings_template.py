"""Every setting as a commented TOML file: what `preread settings` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pacs_bridge.sections import Section
from pacs_bridge.settings import Settings


def settings_template() -> str:
    """Every setting with its description and default, as commented TOML.

    What has no default, and every list of tables, stands there commented, with the field's
    ``examples``.
    """
    lines = ["# Preread's settings. What stands here are the defaults; change what you need.", ""]
    sections: list[str] = []
    for name, field in Settings.model_fields.items():
        if (entry := _listed(field)) is not None:
            sections += _section(f"[[{name}]]", entry, commented=True)
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            sections += _section(f"[{name}]", field.annotation, commented=False)
        else:
            lines += [f"# {field.description}", f"{name} = {_toml(field.default)}", ""]
    return "\n".join(lines + sections)


def _listed(field: FieldInfo) -> type[Section] | None:
    """The section that a field is a list of, if it is one."""
    return next(_sections_in(field), None) if get_origin(field.annotation) is tuple else None


def _sections_in(field: FieldInfo) -> Iterator[type[Section]]:
    for part in get_args(field.annotation):
        if isinstance(part, type) and issubclass(part, Section):
            yield part


def _section(header: str, kind: type[BaseModel], *, commented: bool) -> list[str]:
    mark = "# " if commented else ""
    documentation = (kind.__doc__ or "").strip().splitlines()[0]
    lines = [f"# {documentation}", f"{mark}{header}"]
    for name, field in kind.model_fields.items():
        lines.append(f"# {field.description}")
        inner = next(_sections_in(field), None)
        if inner is not None:
            example = f"[{_inline(inner)}]" if _listed(field) else _inline(inner)
            lines.append(f"# {name} = {example}")
        elif field.is_required() or (commented and field.examples):
            lines.append(f"{mark}{name} = {_example(field)}")
        else:
            lines.append(f"{mark}{name} = {_toml(field.get_default(call_default_factory=True))}")
    return [*lines, ""]


def _inline(kind: type[Section]) -> str:
    """An example of a section inside another: what it can't do without, and other examples."""
    fields = kind.model_fields
    needed = {n: field for n, field in fields.items() if field.is_required() or field.examples}
    return "{ " + ", ".join(f"{n} = {_example(field)}" for n, field in needed.items()) + " }"


def _example(field: FieldInfo) -> str:
    return _toml((field.examples or [""])[0])


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
