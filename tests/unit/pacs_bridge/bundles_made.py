"""Bundles, exports and networks as people bring them: real layouts, small contents."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from pathlib import Path
from typing import Any

from pacs_bridge.library import Library, Terms
from pacs_bridge.settings import Settings

WEIGHTS = b"weights " * 1000


def settings_in(at: Path, **models: Any) -> Settings:
    return Settings.model_validate({"storage": {"folder": str(at / "data")}, "models": models})


def library_in(at: Path, **models: Any) -> Library:
    return Library(settings_in(at, **models))


def yes(terms: Terms) -> bool:
    return True


def no(terms: Terms) -> bool:
    return False


def make_bundle(
    folder: Path,
    *,
    labels: dict[str, str] | None = None,
    version: str = "1.2.0",
    licence: str = "Apache License\nVersion 2.0, January 2004\n",
    weights: bytes | None = WEIGHTS,
    python: str = "",
    modality: str = "CT",
    channels: dict[str, str] | None = None,
) -> Path:
    """A MONAI bundle's folder; its config names models/model.pt."""
    for name in ("configs", "models", "docs"):
        (folder / name).mkdir(parents=True)
    metadata = {
        "version": version,
        "name": "Spleen CT",
        "description": "A network that outlines the spleen.",
        "intended_use": "This is an example, not to be used for diagnostic purposes",
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "modality": modality,
                    "spatial_shape": [96, 96, 96],
                    "channel_def": channels or {"0": "image"},
                }
            },
            "outputs": {
                "pred": {
                    "type": "image",
                    "num_channels": 2,
                    "channel_def": labels or {"0": "background", "1": "spleen"},
                }
            },
        },
    }
    config = {"checkpointloader": {"load_path": "$@bundle_root + '/models/model.pt'"}}
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    (folder / "docs" / "README.md").write_text("# Spleen")
    if licence:
        (folder / "LICENSE").write_text(licence)
    if weights is not None:
        (folder / "models" / "model.pt").write_bytes(weights)
    if python:
        (folder / "scripts").mkdir()
        (folder / "scripts" / "own.py").write_text(python)
    return folder


def make_nnunet(folder: Path, *configurations: str, folds: int = 1) -> Path:
    """What ``nnUNetv2_export_model_to_zip`` packs, with a checkpoint that is none."""
    for configuration in configurations or ("3d_fullres",):
        inner = folder / "Dataset007_Pancreas" / f"nnUNetTrainer__nnUNetPlans__{configuration}"
        inner.mkdir(parents=True)
        dataset = {
            "channel_names": {"0": "CT"},
            "labels": {"background": 0, "pancreas": 1, "pancreatic tumor": 2, "oddity": 3},
            "description": "Pancreas and tumor",
            "licence": "CC-BY-SA 4.0",
        }
        (inner / "dataset.json").write_text(json.dumps(dataset))
        (inner / "plans.json").write_text(json.dumps({"plans_name": "nnUNetPlans"}))
        for fold in range(folds):
            (inner / f"fold_{fold}").mkdir()
            (inner / f"fold_{fold}" / "checkpoint_final.pth").write_bytes(WEIGHTS)
            (inner / f"fold_{fold}" / "checkpoint_best.pth").write_bytes(WEIGHTS * 2)
            (inner / f"fold_{fold}" / "validation").mkdir()
            (inner / f"fold_{fold}" / "validation" / "summary.json").write_text("{}")
    return folder


def zipped(folder: Path, archive: Path, *, base: bool = True) -> Path:
    """The folder as a zip, with its own name at the top as publishers do it."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        for path in sorted(folder.rglob("*")):
            made.write(path, path.relative_to(folder.parent if base else folder))
    return archive


def sha1(path: Path) -> str:
    return hashlib.sha1(path.read_bytes()).hexdigest()


def names_in(folder: Path) -> set[str]:
    """What stands in a folder of models; nothing half-made may be among it."""
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def leftovers(folder: Path) -> list[Path]:
    return [p for hidden in folder.glob(".*") for p in hidden.iterdir()]


def fill_in(folder: Path) -> None:
    """What a person does: every empty text, and nothing left to check."""
    path = folder / "preread.toml"
    text = path.read_text(encoding="utf-8")
    text = re.sub(r'= ""', '= "x"', text)
    text = re.sub(r"(?m)^to_check = .*$", "", text)
    path.write_text(text, encoding="utf-8")
