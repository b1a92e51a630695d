"""A model's folder as ``preread models pull`` leaves it, for networks made on the spot."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from models.spec import CATALOG, ModelSpec, read_spec


def install(folder: Path, weights: str, *, name: str = "", **replaced: str) -> ModelSpec:
    """Put the catalogue's description beside the weights.

    Args:
        folder: what it is called is the model's name.
        weights: the file, relative to the folder.
        name: of the catalogue's entry, if another.
        replaced: TOML of top-level or ``section__key`` values, instead of the catalogue's.
    """
    text = (CATALOG / (name or folder.name) / "preread.toml").read_text(encoding="utf-8")
    text = re.sub(r"^name = .*$", f'name = "{folder.name}"', text, count=1, flags=re.M)
    for key, value in replaced.items():
        text, count = re.subn(rf"^{key} = .*$", f"{key} = {value}", text, count=1, flags=re.M)
        assert count == 1, f"the catalogue's entry has no {key}"
    sha = hashlib.sha256((folder / weights).read_bytes()).hexdigest()
    text += f'\n[files]\nweights = "{weights}"\n[sha256]\nweights = "{sha}"\n'
    (folder / "preread.toml").write_text(text, encoding="utf-8")
    return read_spec(folder)
