"""What a person must know when a model has come."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator

from models.intake.brought import Brought
from models.intake.zoo import zoo_address
from models.spec import CATALOG, SPEC_NAME, ModelSpec


def other_address(described: ModelSpec, source: str) -> str:
    """What to say where MONAI would have fetched a model of the zoo from elsewhere."""
    origin = described.origin
    if source or origin is None or described.folder.parent != CATALOG:
        return ""
    monai = zoo_address(described.name, origin.version)
    if monai in (None, origin.url):
        return ""
    return f"the MONAI installed here would have fetched it from {monai}"


def this_person() -> str:
    """Who runs this command, as the audit trail names them."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def notes_on(spec: ModelSpec, brought: Brought, trusted: bool) -> Iterator[str]:
    """Line by line."""
    if brought.left:
        yield f"only {brought.root.name} was taken; left: {', '.join(brought.left)}"
    python = sorted(path.name for path in spec.folder.rglob("*.py"))
    if python and not trusted:
        yield (
            f"it has Python of its own ({', '.join(python[:5])}), which is not run; if it can't do "
            f"without, `preread models verify {spec.name} --trust-code` lets it"
        )
    if spec.unfilled:
        yield (
            f"before it can be enabled, a person must fill in or check {len(spec.unfilled)} keys "
            f"of its {SPEC_NAME}"
        )
