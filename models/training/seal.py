"""Writes the SHA-256 of a model's weight files into its ``preread.toml``.

    python -m models.training.seal models/catalog/lung_nodule_reference

Part of an export: the server refuses weights that are not the ones described.
"""

import hashlib
import re
import sys
import tomllib
from pathlib import Path


def seal(folder: Path) -> None:
    """Replace the values under ``[sha256]``, leaving every other line as it is.

    Raises:
        OSError: ``preread.toml`` or a file it names is missing.
    """
    path = folder / "preread.toml"
    text = path.read_text(encoding="utf-8")
    head, _, tail = text.partition("[sha256]")
    for role, name in tomllib.loads(text)["files"].items():
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        tail = re.sub(rf'(?m)^{role} = ".*"$', f'{role} = "{digest}"', tail)
    path.write_text(f"{head}[sha256]{tail}", encoding="utf-8")


if __name__ == "__main__":
    seal(Path(sys.argv[1]))
