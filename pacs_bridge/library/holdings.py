"""The files of a model that come along when it is brought, and their hashes."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from models.intake.brought import NETWORK_SUFFIXES, Brought
from models.intake.installation import INSTALLATION_NAME
from models.opening import NETWORK
from models.spec import CARD_NAME, SPEC_NAME

_LEFT_OUT = ("__pycache__", ".git", "eval", "validation", "crossval_results*", ".DS_Store")
_UNHASHED = {SPEC_NAME, CARD_NAME, INSTALLATION_NAME}
_BUNDLE_FOLDERS = ("configs", "models", "scripts")
_FINAL = "checkpoint_final.pth"


def copy_model(brought: Brought, to: Path, *, move: bool) -> None:
    """Put what belongs to the model into a folder of its own, which is made.

    Args:
        brought: what was recognised.
        to: the new folder.
        move: its files are ours already (unpacked): no second copy is made.
    """
    if brought.root.is_file():
        to.mkdir()
        for path in (brought.root, *files_beside(brought.root)):
            shutil.copyfile(path, to / path.name)
        card = brought.root.parent / CARD_NAME
        if card.is_file():
            shutil.copyfile(card, to / CARD_NAME)
    elif move:
        brought.root.rename(to)
    else:
        shutil.copytree(brought.root, to, ignore=_left_out(brought))
    (to / INSTALLATION_NAME).unlink(missing_ok=True)


def _left_out(brought: Brought) -> Callable[[str, list[str]], set[str]]:
    finals = brought.kind == "nnunet" and any(brought.root.glob(f"fold_*/{_FINAL}"))
    # nnU-Net keeps the best and the latest checkpoint of each fold too, none of which is run.
    more = ("checkpoint_best.pth", "checkpoint_latest.pth") if finals else ()
    return shutil.ignore_patterns(*_LEFT_OUT, *more)


def files_beside(network: Path) -> Iterator[Path]:
    """The file that an ONNX network over 2 GB keeps its weights in."""
    names = (f"{network.name}.data", f"{network.name}_data", f"{network.stem}.data")
    yield from (network.parent / name for name in names if (network.parent / name).is_file())


def described_files(folder: Path, kind: str) -> dict[str, str]:
    """Role -> file of all that makes the model's result what it is.

    A plain network's file has the role ``network``; everything else goes by its own path.

    Args:
        folder: the model's.
        kind: ``network.kind`` of its description.
    """
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in found]
    if kind == "monai-bundle":
        names = [name for name in names if name.split("/")[0] in _BUNDLE_FOLDERS]
    elif kind == "nnunet":
        names = [name for name in names if name.endswith(".pth") or _is_plan(name)]
    names = [name for name in names if name not in _UNHASHED and "__pycache__" not in name]
    plain = [n for n in names if kind in ("onnx", "torchscript") and _suffix(n) in NETWORK_SUFFIXES]
    return {NETWORK if plain == [name] else name: name for name in names}


def _suffix(name: str) -> str:
    return Path(name).suffix


def _is_plan(name: str) -> bool:
    last = name.rpartition("/")[2]
    return last in ("plans.json", "dataset.json", "dataset_fingerprint.json")


def hash_files(folder: Path, files: dict[str, str]) -> dict[str, str]:
    """Role -> SHA-256 of its file."""
    sums = {}
    for role, name in files.items():
        with (folder / name).open("rb") as file:
            sums[role] = hashlib.file_digest(file, "sha256").hexdigest()
    return sums
