"""Every setting as a commented TOML file: what `preread settings` prints."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from pacs_bridge.settings import DestinationSettings, PeerSettings, ReaderSettings, Settings


def settings_template() -> str:
    """Every setting with its description and default, as commented TOML."""
    lines = ["# Preread's settings. What stands here are the defaults; change what you need.", ""]
    sections: list[str] = []
    for name, field in Settings.model_fields.items():
        if name in ("destinations", "readers"):
            kind = DestinationSettings if name == "destinations" else ReaderSettings
            sections += _section(f"[[{name}]]", kind, commented=True)
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            sections += _section(f"[{name}]", field.annotation, commented=False)
        else:
            lines += [f"# {field.description}", f"{name} = {_toml(field.default)}", ""]
    return "\n".join(lines + sections)


def _section(header: str, kind: type[BaseModel], *, commented: bool) -> list[str]:
    mark = "# " if commented else ""
    documentation = (kind.__doc__ or "").strip().splitlines()[0]
    lines = [f"# {documentation}", f"{mark}{header}"]
    for name, field in kind.model_fields.items():
        lines.append(f"# {field.description}")
        if field.annotation == PeerSettings | None:
            lines.append(f'# {name} = {{ ae_title = "PACS", host = "pacs.example", port = 104 }}')
        elif field.is_required():
            lines.append(f"{mark}{name} = {_EXAMPLES[kind.__name__, name]}")
        else:
            lines.append(f"{mark}{name} = {_toml(field.get_default(call_default_factory=True))}")
    return [*lines, ""]


_EXAMPLES = {
    ("DestinationSettings", "ae_title"): '"PACS"',
    ("DestinationSettings", "host"): '"pacs.example"',
    ("DestinationSettings", "port"): "104",
    ("DestinationSettings", "name"): '"main PACS"',
    ("ReaderSettings", "user"): '"zhang"',
    ("ReaderSettings", "name"): '"Zhang^San"',
    ("ReaderSettings", "organization"): '"County Hospital"',
    ("ReaderSettings", "password_hash"): '"scrypt$..."',
}


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
