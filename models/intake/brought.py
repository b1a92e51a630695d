"""What somebody brought: which kind of model it is, and what it says of itself.

A MONAI bundle has ``configs/metadata.json``, an nnU-Net export ``plans.json`` and
``dataset.json``, a plain network is one ``.onnx``, ``.ts`` or ``.pt`` file, and a finished
Preread model has ``preread.toml``. What they say comes from somebody else's file: any of it may
be missing or of the wrong type, and nothing of it is believed before a person has looked.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from models.errors import SpecError
from models.runtime.onnx_file import look_into
from models.spec import SPEC_NAME

Kind = Literal["preread", "monai-bundle", "nnunet", "onnx", "torchscript"]
NETWORK_SUFFIXES = {".onnx", ".ts", ".pt", ".pth"}
CONFIGURATIONS = ("3d_fullres", "3d_cascade_fullres", "3d_lowres", "2d")
"""nnU-Net's, the one to take first where an export holds several."""
_DEPTH = 4


@dataclass(frozen=True)
class Brought:
    """What was recognised.

    Args:
        kind: how it is run.
        root: the folder that becomes the model's; a plain network's own file.
        left: what lay beside it and is not taken, e.g. other configurations of nnU-Net.
    """

    kind: Kind
    root: Path
    left: tuple[str, ...] = ()


@dataclass(frozen=True)
class Said:
    """What a model says of itself; empty where it says nothing.

    Args:
        labels: value in the output -> name, without the background.
        channels: names of the input's channels, in order.
        patch: spatial size that it takes; ``fixed``: no other.
        outputs: channels of the output; 0: not known.
    """

    name: str = ""
    title: str = ""
    version: str = ""
    task: Literal["segmentation", "detection"] = "segmentation"
    description: str = ""
    intended_use: str = ""
    modality: str = ""
    labels: Mapping[int, str] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    patch: tuple[int, ...] = ()
    fixed: bool = False
    outputs: int = 0
    config: str = ""
    licence: str = ""


def recognise(path: Path) -> Brought:
    """Which kind of model a file or folder is.

    Raises:
        SpecError: it is none; the message says what was looked for.
    """
    if path.is_file():
        return Brought(_network_kind(path), path)
    for folder in _folders(path):
        if (folder / SPEC_NAME).is_file():
            return Brought("preread", folder)
        if (folder / "configs" / "metadata.json").is_file():
            return Brought("monai-bundle", folder)
        exports = [f for f in (folder, *sorted(folder.glob("*/"))) if _is_export(f)]
        if exports:
            return _chosen(exports)
        networks = [f for f in sorted(folder.iterdir()) if f.suffix in NETWORK_SUFFIXES]
        if len(networks) == 1:
            return Brought(_network_kind(networks[0]), networks[0])
    raise SpecError(
        f"{path}: no model is recognised: no configs/metadata.json (MONAI bundle), no plans.json "
        f"with dataset.json (nnU-Net v2), no single .onnx or .ts file and no {SPEC_NAME}"
    )


def _folders(path: Path) -> list[Path]:
    """The folder, and those inside it as long as each holds one only."""
    found = [path]
    for _ in range(_DEPTH):
        inner = [
            f for f in found[-1].iterdir() if f.is_dir() and not f.name.startswith((".", "__"))
        ]
        if len(inner) != 1:
            break
        found.append(inner[0])
    return found


def _is_export(folder: Path) -> bool:
    return (folder / "plans.json").is_file() and (folder / "dataset.json").is_file()


def _chosen(exports: list[Path]) -> Brought:
    def place(folder: Path) -> int:
        named = [n for n, each in enumerate(CONFIGURATIONS) if folder.name.endswith(f"__{each}")]
        return named[0] if named else len(CONFIGURATIONS)

    best = min(exports, key=place)
    return Brought("nnunet", best, tuple(f.name for f in exports if f != best))


def _network_kind(path: Path) -> Kind:
    if path.suffix == ".onnx":
        return "onnx"
    if path.suffix not in NETWORK_SUFFIXES:
        raise SpecError(f"{path}: neither a zip nor a network (.onnx, .ts, .pt)")
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile) as error:
        raise SpecError(f"{path}: no TorchScript archive ({error}); {_EXPORT_IT}") from error
    # Only torch.jit.save writes the code of the network beside its weights.
    if not any("/code/" in name for name in names):
        raise SpecError(f"{path}: weights without their network; {_EXPORT_IT}")
    return "torchscript"


_EXPORT_IT = (
    "bring the MONAI bundle or the nnU-Net export that it belongs to, or export the network "
    "with torch.onnx.export or torch.jit.save"
)


def read_said(brought: Brought) -> Said:
    """What it says of itself.

    Raises:
        SpecError: a file that must be there can't be read.
        RuntimeMissing: an ONNX file needs ONNX Runtime to be looked into.
    """
    readers = {
        "monai-bundle": _bundle, "nnunet": _nnunet, "onnx": _onnx, "torchscript": _torchscript,
    }  # fmt: skip
    return readers[brought.kind](brought.root)


def _bundle(root: Path) -> Said:
    metadata = _json(root / "configs" / "metadata.json")
    return replace(
        _from_metadata(metadata), name=root.name, config=_config(root), licence=_licence(root)
    )


def _from_metadata(metadata: dict[str, Any]) -> Said:
    formats = _table(metadata.get("network_data_format"))
    inputs = _table(formats.get("inputs"))
    source = _table(inputs.get("image") or next(iter(inputs.values()), None))
    outputs = _table(formats.get("outputs"))
    result = _table(outputs.get("pred") or next(iter(outputs.values()), None))
    boxes = result.get("type") == "object"
    names = _numbered(result.get("channel_def"))
    background = {n for n, name in names.items() if name.lower() in ("background", "bg")}
    # Where no channel is the background, the channels are independent and label 0 is free.
    step = 0 if 0 in background or 0 not in names else 1
    return Said(
        title=_text(metadata.get("name")),
        version=_text(metadata.get("version")),
        task="detection" if boxes else "segmentation",
        description=_text(metadata.get("description")),
        intended_use=_text(metadata.get("intended_use")),
        modality=_text(source.get("modality")).upper(),
        labels={n + step: name for n, name in names.items() if n not in background}
        or ({1: ""} if boxes else {}),
        channels=tuple(name for _, name in sorted(_numbered(source.get("channel_def")).items())),
        patch=tuple(n for n in source.get("spatial_shape") or () if isinstance(n, int)),
        outputs=_count(result.get("num_channels")),
    )


def _config(root: Path) -> str:
    for suffix in ("json", "yaml", "yml"):
        if (root / "configs" / f"inference.{suffix}").is_file():
            return f"configs/inference.{suffix}"
    return ""


def _licence(root: Path) -> str:
    """The licence's name, as far as its text is a known one; empty: there is no file."""
    for name in ("LICENSE", "LICENSE.txt", "LICENSE.md", "License", "LICENCE"):
        if (root / name).is_file():
            text = (root / name).read_text(encoding="utf-8", errors="replace")
            free = not re.search(r"non-?\s?commercial", text, re.IGNORECASE)
            if free and text.lstrip().startswith("Apache License"):
                return "Apache-2.0"
            if free and text.lstrip().startswith("MIT License"):
                return "MIT"
            return f"see {name}"
    return ""


def _nnunet(root: Path) -> Said:
    dataset = _json(root / "dataset.json")
    names = _numbered(dataset.get("channel_names") or dataset.get("modality"))
    channels = tuple(name for _, name in sorted(names.items()))
    computed = all(name.upper().startswith("CT") for name in channels)
    return Said(
        title=_text(dataset.get("name")),
        description=_text(dataset.get("description")),
        modality="CT" if computed and channels else "MR",
        labels=_nnunet_labels(dataset),
        channels=channels,
        licence=_text(dataset.get("licence") or dataset.get("license")),
    )


def _nnunet_labels(dataset: dict[str, Any]) -> dict[int, str]:
    labels = {
        _text(name): value
        for name, value in _table(dataset.get("labels")).items()
        if name not in ("background", "ignore")
    }
    order = dataset.get("regions_class_order")
    if order:
        # A region's value in the result is its place's in the class order.
        return {_count(n): name for n, name in zip(order, labels, strict=False)}
    return {value: name for name, value in labels.items() if isinstance(value, int) and value > 0}


def _onnx(path: Path) -> Said:
    session = look_into(path)
    source, results = session.get_inputs(), session.get_outputs()
    if len(source) != 1 or len(source[0].shape) != 5:
        shapes = ", ".join(f"{each.name} {each.shape}" for each in source)
        raise SpecError(f"{path}: takes {shapes}; wanted one input (n, c, x, y, z)")
    _, channels, *patch = source[0].shape
    fixed = all(isinstance(n, int) for n in patch)
    shape = results[0].shape
    return Said(
        channels=tuple("" for _ in range(_count(channels) or 1)),
        patch=tuple(patch) if fixed else (),
        fixed=fixed,
        outputs=_count(shape[1]) if len(shape) > 1 else 0,
    )


def _torchscript(path: Path) -> Said:
    """MONAI's ``ckpt_export`` keeps the bundle's metadata inside the archive."""
    with zipfile.ZipFile(path) as archive:
        inner = [name for name in archive.namelist() if name.endswith("/extra/metadata.json")]
        if not inner:
            return Said()
        try:
            metadata = json.loads(archive.read(inner[0]))
        except ValueError:
            return Said()
    return _from_metadata(_table(metadata))


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SpecError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(values, dict):
        raise SpecError(f"{path}: holds {type(values).__name__}, not a table of names and values")
    return values


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any, longest: int = 1000) -> str:
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        return ""
    # Control characters can stand in nobody's name, and in no TOML.
    shown = "".join(c if c.isprintable() else " " for c in str(value))
    return " ".join(shown.split())[:longest]


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _numbered(value: Any) -> dict[int, str]:
    """A table such as ``{"0": "background", "1": "spleen"}`` by number."""
    table = _table(value)
    return {int(key): _text(name) for key, name in table.items() if str(key).isdigit()}


__all__ = ["Brought", "Kind", "Said", "read_said", "recognise"]
