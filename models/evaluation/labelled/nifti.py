"""Images with label masks in files, as the Decathlon, nnU-Net or plain pairs have them.

- ``dataset.json`` with ``training`` pairs (Medical Segmentation Decathlon);
- ``imagesTr/`` and ``labelsTr/`` (also ``images/`` and ``labels/``), paired by name; several
  series of a case as ``case_0000``, ``case_0001``, ... (nnU-Net) or as a fourth axis;
- ``a.nii.gz`` beside ``a_seg.nii.gz`` (``_seg``, ``_label``, ``_mask``), anywhere in the folder.

A mask's values are the label indices of the model's ``preread.toml``.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from imaging.volume import Volume
from models.errors import DatasetError
from models.evaluation.labelled.case import (
    Case,
    Labelled,
    LabelledSet,
    LeftOut,
    Lesion,
    lesions_of,
    region_of,
)
from models.evaluation.labelled.files import files_under, read_mask, read_volumes, stem
from models.spec import ModelSpec

LAYOUT = "images with label masks"
_FOLDERS = (("imagesTr", "labelsTr"), ("images", "labels"))
_CHANNEL = re.compile(r"^(?P<case>.+)_(?P<channel>\d{4})$")
_MASK = re.compile(r"^(?P<case>.+)[_-](?:seg|label|labels|mask)$", re.IGNORECASE)


@dataclass(frozen=True)
class _Pair:
    name: str
    images: tuple[Path, ...]
    mask: Path


def open_cases(path: Path, spec: ModelSpec) -> LabelledSet | None:
    """The pairs of a folder; None where it has no such images.

    Raises:
        DatasetError: ``dataset.json`` can't be used.
    """
    if not path.is_dir():
        return None
    described = _described(path)
    left_out: list[LeftOut] = []
    pairs = _listed(path, described) or _by_folder(path, left_out) or _by_name(path, left_out)
    if not pairs and not left_out:
        return None
    order = _channels(path, described, spec)
    cases = tuple(Case(pair.name, partial(_load, pair, order, spec)) for pair in pairs)
    return LabelledSet(str(path), LAYOUT, cases, tuple(left_out))


def _described(path: Path) -> dict[str, Any]:
    file = path / "dataset.json"
    if not file.is_file():
        return {}
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{file}: cannot be read as JSON ({error})") from error
    if not isinstance(values, dict):
        raise DatasetError(f"{file}: holds no object, as a Decathlon dataset.json does")
    return values


def _listed(path: Path, described: dict[str, Any]) -> list[_Pair]:
    """The pairs that ``training`` lists (Decathlon; nnU-Net gives their number only)."""
    entries = described.get("training")
    pairs: list[_Pair] = []
    if not isinstance(entries, list):
        return pairs
    for entry in entries:
        if not isinstance(entry, dict) or not {"image", "label"} <= set(entry):
            raise DatasetError(
                f"{path / 'dataset.json'}: training: {entry!r} has no image and label"
            )
        images = entry["image"] if isinstance(entry["image"], list) else [entry["image"]]
        files = tuple(path / str(image) for image in images)
        name = stem(files[0]) or files[0].name
        pairs.append(_Pair(name, files, path / str(entry["label"])))
    return pairs


def _by_folder(path: Path, left_out: list[LeftOut]) -> list[_Pair]:
    for images, masks in _FOLDERS:
        if not ((path / images).is_dir() and (path / masks).is_dir()):
            continue
        labels = {name: p for p in sorted((path / masks).iterdir()) if (name := _stem(p))}
        files: dict[str, list[Path]] = defaultdict(list)
        for file in sorted((path / images).iterdir()):
            name = _stem(file)
            if not name:
                continue
            numbered = _CHANNEL.match(name)
            alone = name in labels or numbered is None
            files[name if alone or numbered is None else numbered["case"]].append(file)
        for name in sorted(set(files) - set(labels)):
            left_out.append(LeftOut(name, f"{path / masks} has no mask of that name"))
        for name in sorted(set(labels) - set(files)):
            left_out.append(LeftOut(name, f"{path / images} has no image of that name"))
        return [
            _Pair(name, tuple(files[name]), labels[name])
            for name in sorted(files)
            if name in labels
        ]
    return []


def _by_name(path: Path, left_out: list[LeftOut]) -> list[_Pair]:
    found = {(p.parent, name): p for p in files_under(path) if (name := _stem(p))}
    pairs = []
    used: set[Path] = set()
    for (folder, name), mask in found.items():
        match = _MASK.match(name)
        image = found.get((folder, match["case"])) if match else None
        if match is None or image is None:
            continue
        relative = folder.relative_to(path) / match["case"]
        pairs.append(_Pair(relative.as_posix(), (image,), mask))
        used |= {image, mask}
    for (_, name), file in found.items():
        if file not in used:
            left_out.append(LeftOut(name, f"{file} has no mask beside it ({name}_seg)"))
    return pairs


def _stem(path: Path) -> str | None:
    # macOS leaves ._ files in archives; the Decathlon's have them.
    if path.name.startswith("."):
        return None
    return stem(path)


def _channels(path: Path, described: dict[str, Any], spec: ModelSpec) -> list[int]:
    """Which of a file's series is which of the model's: place in the file, in the model's order.

    ``dataset.json`` may name them (``modality``, ``channel_names``); else the order is the same.
    """
    roles = [role.role.casefold() for role in spec.series]
    given = described.get("channel_names") or described.get("modality")
    if len(roles) < 2 or not isinstance(given, dict):
        return list(range(max(1, len(roles))))
    try:
        named = {str(name).casefold(): int(place) for place, name in given.items()}
    except ValueError:
        raise DatasetError(f"{path / 'dataset.json'}: {given!r}: its keys are no numbers") from None
    if set(roles) <= set(named):
        return [named[role] for role in roles]
    return list(range(len(roles)))


def _load(pair: _Pair, order: Sequence[int], spec: ModelSpec) -> Labelled:
    found: list[Volume] = []
    for image in pair.images:
        found += read_volumes(image)
    if len(found) <= max(order):
        names = ", ".join(p.name for p in pair.images)
        raise DatasetError(
            f"{pair.images[0].parent}: {names}: {len(found)} series, {spec.name} takes {len(order)}"
        )
    volumes = tuple(found[n] for n in order)
    mask = read_mask(pair.mask, volumes[0].grid)
    masks = {}
    lesions: list[Lesion] = []
    values = {int(value) for value in np.unique(mask)} - {0}
    known = {label.index: label for label in spec.labels}
    for value in sorted(values & set(known)):
        region = region_of(mask == value, volumes[0].grid)
        assert region is not None
        masks[value] = region
        if known[value].kind == "lesion":
            lesions += lesions_of(value, region)
    strange = sorted(values - set(known))
    if strange and not values & set(known):
        raise DatasetError(
            f"{pair.mask}: its values {strange} are no label of {spec.name} "
            f"({', '.join(f'{n} = {x.name.en}' for n, x in known.items())})"
        )
    notes = (f"{pair.mask.name}: values {strange} are no label of {spec.name}",) if strange else ()
    return Labelled(volumes, masks, tuple(lesions), notes)
