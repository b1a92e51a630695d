"""What a model, and the file it comes in, is called."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from models.intake.brought import Brought
from models.spec import read_spec
from pacs_bridge.library.download import is_address

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
"""A model's name; its folder has the same."""


def file_name_of(source: str) -> str:
    """The last part of a path or an address, with nothing odd in it."""
    name = Path(unquote(urlsplit(source).path)).name if is_address(source) else Path(source).name
    return re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".") or "model"


def in_folder(source: str, file_name: str) -> str:
    """The source; where it is a folder that holds the file, that file."""
    inner = Path(source) / file_name
    return str(inner) if source and not is_address(source) and inner.is_file() else source


def renamed(text: str, name: str) -> str:
    """The text of a ``preread.toml`` under another name."""
    return re.sub(r"(?m)^name\s*=.*$", f'name = "{name}"', text, count=1)


def name_for(brought: Brought, path: Path, stage: Path) -> str:
    """What a model is called where nobody said: after its folder or file, without a version.

    Args:
        brought: what was recognised.
        path: what was brought.
        stage: where it was unpacked, if it was a zip.
    """
    if brought.kind == "preread":
        return read_spec(brought.root, named=False).name
    root = brought.root
    inside = root.is_relative_to(stage) and root != stage / "unpacked"
    if brought.kind == "nnunet":
        # nnU-Net's own: Dataset007_Pancreas/nnUNetTrainer__nnUNetPlans__3d_fullres
        parts = (root.parent.name, root.name)
        name = next((part for part in parts if part.startswith("Dataset")), path.stem)
    else:
        name = root.name if inside else path.name
    if brought.kind in ("onnx", "torchscript") or not inside:
        name = re.sub(r"\.(zip|onnx|ts|pth?|pt)$", "", name)
    name = re.sub(r"_v\d[\d.]*$", "", name)
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_-")
