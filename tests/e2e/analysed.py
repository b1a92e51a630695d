"""What a run of `preread analyse` leaves behind, and series to give it."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom


@dataclass(frozen=True)
class Run:
    """What a run of the command left behind."""

    status: int
    out: str
    err: str
    folder: Path

    @property
    def findings(self) -> dict[str, Any]:
        """findings.json."""
        return json.loads((self.folder / "findings.json").read_text(encoding="utf-8"))

    def warnings(self) -> dict[str, str]:
        """Code and English text of each warning in findings.json."""
        return {item["code"]: item["text"]["en"] for item in self.findings["warnings"]}


Analyse = Callable[..., Run]


def copied(files: list[Path], folder: Path, *, but: tuple[int, ...] = ()) -> Path:
    """The series in a folder of its own, some slices left out."""
    folder.mkdir()
    for n, path in enumerate(files):
        if n not in but:
            shutil.copy(path, folder)
    return folder


def edited(source: Path, target: Path, **values: object) -> Path:
    """A copy of a DICOM file with other values and a UID of its own."""
    image = pydicom.dcmread(source)
    image.SOPInstanceUID += ".7"
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    for keyword, value in values.items():
        setattr(image, keyword, value)
    image.save_as(target, enforce_file_format=True)
    return target


def said(run: Run) -> str:
    """Standard error as one line."""
    return " ".join(run.err.split())


def zipped(files: list[Path], path: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, prefix + file.name)
    return path
