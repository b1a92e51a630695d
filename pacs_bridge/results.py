"""What an analysis leaves on disk, so that later steps and restarts find it.

``results/<study>/<revision>/`` holds ``analysis.npz`` (masks, grid, source images), the key
images, the pictures of why findings were flagged, and one folder a stage with the objects made
from them. Files are written under another name, flushed and renamed: a file that is there is
whole.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from pydicom.dataset import Dataset

from imaging.finding import Structure
from imaging.geometry import Grid
from imaging.headers import read_header
from imaging.language import Language
from imaging.objects import (
    make_encapsulated_pdf,
    make_gsps,
    make_rtstruct,
    make_secondary_captures,
    make_seg,
    make_sr,
    render_key_image,
    render_pdf,
    render_report,
    render_slice,
)
from imaging.objects.key_images import WINDOW
from imaging.report import Report
from imaging.volume import Region, SourceSlice, Volume
from models.lesions import Why

KINDS = {"SEG": "seg.dcm", "SR": "sr.dcm", "RTSTRUCT": "rtstruct.dcm", "GSPS": "gsps.dcm",
         "SC": "sc.zip", "PDF": "pdf.dcm", "report.html": "report.html",
         "report.pdf": "report.pdf", "findings.json": "findings.json"}  # fmt: skip
"""What is made of a report, and what its file is called.

Secondary captures are several: ``sc-0.dcm`` and on, and the same in ``sc.zip`` for people.
"""
OPTIONAL: Final = ("RTSTRUCT", "GSPS", "SC", "PDF")
"""Kinds that are made only where somebody wants them."""


@dataclass(frozen=True, eq=False)
class Analysed:
    """What :func:`save_analysis` kept: enough to make every object again."""

    regions: dict[str, Region]
    grid: Grid
    sources: tuple[SourceSlice | None, ...]


def save_analysis(
    folder: Path,
    report: Report,
    regions: Mapping[str, Region],
    volume: Volume,
    why: Mapping[str, Why] | None = None,
) -> None:
    """Keep masks, grid, source images and pictures of an analysis in ``folder``."""
    for finding in report.findings:
        picture = key_image_path(folder, finding.tracking_uid)
        write_whole(picture, render_key_image(volume, finding, window=report.window or WINDOW))
    if gland := _gland(report):
        outlined = render_slice(
            volume, gland.key_slice, organs=gland.outlines, window=report.window or WINDOW
        )
        write_whole(key_image_path(folder, gland.tracking_uid), outlined)
    save_why(folder, why or {})
    arrays: dict[str, np.ndarray] = {"affine": volume.grid.affine}
    described = {
        "shape": volume.grid.shape,
        "sources": [s and {**asdict(s), "path": str(s.path)} for s in volume.sources],
        "regions": {uid: {"start": r.start, "shape": r.voxels.shape} for uid, r in regions.items()},
    }
    for uid, region in regions.items():
        arrays[uid] = np.packbits(region.voxels)
    arrays["described"] = np.frombuffer(json.dumps(described).encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # numpy's stub of **kwds
    write_whole(folder / "analysis.npz", buffer.getvalue())


def save_why(folder: Path, why: Mapping[str, Why]) -> None:
    """Keep the pictures of why findings were flagged, and their scores, in ``folder/why/``.

    Nothing is made where there is none; of an earlier try nothing is left.
    """
    for stale in (folder / "why").glob("*"):
        stale.unlink()
    for uid, reason in why.items():
        write_whole(why_picture_path(folder, uid), reason.png)
    if why:
        scores = {
            uid: {
                "score": round(reason.score, 4),
                "healed_score": round(reason.healed_score, 4),
                "least_score": round(reason.least_score, 4),
            }
            for uid, reason in why.items()
        }
        write_whole(folder / "why" / "scores.json", (json.dumps(scores, indent=2) + "\n").encode())


def load_analysis(folder: Path) -> Analysed:
    """Read what :func:`save_analysis` kept."""
    with np.load(folder / "analysis.npz", allow_pickle=False) as arrays:
        described = json.loads(arrays["described"].tobytes())
        grid = Grid(tuple(described["shape"]), arrays["affine"])
        regions = {}
        for uid, place in described["regions"].items():
            shape = tuple(place["shape"])
            bits = np.unpackbits(arrays[uid], count=int(np.prod(shape)))
            regions[uid] = Region(bits.astype(bool).reshape(shape), tuple(place["start"]), grid)
    sources = tuple(
        s and SourceSlice(**{**s, "path": Path(s["path"])}) for s in described["sources"]
    )
    return Analysed(regions, grid, sources)


def write_objects(
    folder: Path,
    report: Report,
    analysed: Analysed,
    *,
    language: Language,
    wanted: Collection[str] = (),
) -> dict[str, Path]:
    """Make SEG, SR, page and JSON of a report, and of :data:`OPTIONAL` what is asked for.

    The same report makes the same UIDs.

    Args:
        folder: where the files go, inside the one :func:`save_analysis` was given.
        report: preliminary or final.
        analysed: the analysis the report stands on.
        language: of the text in the SR, the presentation state, the pictures and the PDF.
        wanted: of :data:`OPTIONAL`; other kinds are ignored.

    Returns:
        The files by kind; no SEG, RTSTRUCT and GSPS when no finding stands and no organ was
        segmented.
    """
    headers = source_headers(analysed)
    made: dict[str, bytes] = {}
    seg: Dataset | None = None
    if report.segmented:
        seg = make_seg(report, analysed.regions, headers, slices=analysed.sources)
        made["SEG"] = _encode(seg)
        if "RTSTRUCT" in wanted:
            struct = make_rtstruct(
                report, analysed.regions, headers, slices=analysed.sources, seg=seg
            )
            made["RTSTRUCT"] = _encode(struct)
    if "GSPS" in wanted and any(marked.outlines for marked in report.segmented):
        made["GSPS"] = _encode(make_gsps(report, headers, language=language))
    made["SR"] = _encode(make_sr(report, headers, seg, language=language))
    made["findings.json"] = (report.model_dump_json(indent=2) + "\n").encode()
    shown = [finding.tracking_uid for finding in report.findings]
    if gland := _gland(report):
        shown.append(gland.tracking_uid)
    pictures = {uid: key_image_path(folder.parent, uid).read_bytes() for uid in shown}
    made["report.html"] = render_report(report, pictures, language=language).encode()
    if "PDF" in wanted:
        made["report.pdf"] = render_pdf(report, pictures, language=language)
        made["PDF"] = _encode(make_encapsulated_pdf(report, made["report.pdf"], headers))
    captures: dict[str, bytes] = {}
    if "SC" in wanted:
        images = make_secondary_captures(
            report, pictures, headers, analysed.grid, language=language
        )
        captures = {f"{name}.dcm": _encode(image) for name, image in images.items()}
        made["SC"] = _zipped(captures)
    for stale in folder.glob("sc-*.dcm"):
        if stale.name not in captures:
            stale.unlink()
    for name, content in captures.items():
        write_whole(folder / name, content)
    for kind, name in KINDS.items():
        if kind in made:
            write_whole(folder / name, made[kind])
        else:  # of an earlier try that found more
            (folder / name).unlink(missing_ok=True)
    return {kind: folder / KINDS[kind] for kind in made}


def objects_in(folder: Path, report: Report) -> Iterator[tuple[str, str, Path]]:
    """Kind, SOP Instance UID and file of every DICOM object that was made, masks first.

    Args:
        folder: that :func:`write_objects` was given.
        report: that the objects were made of.
    """
    for kind in ("SEG", "SR", *OPTIONAL):
        name = KINDS[kind]
        files = sorted(folder.glob("sc-*.dcm")) if kind == "SC" else [folder / name]
        for path in files:
            if path.exists():
                yield kind, report.uid_of(path.stem), path


def _zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():  # the same files make the same bytes
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _gland(report: Report) -> Structure | None:
    """The structure that ``report.gland`` was measured in."""
    uid = report.gland.tracking_uid if report.gland else None
    return next((each for each in report.structures if each.tracking_uid == uid), None)


def key_image_path(folder: Path, tracking_uid: str) -> Path:
    """Where the picture of a finding, or of the gland, lies in an analysis's folder."""
    return folder / "key-images" / f"{tracking_uid}.png"


def why_picture_path(folder: Path, tracking_uid: str) -> Path:
    """Where the picture of why a finding was marked lies; not every model makes one."""
    return folder / "why" / f"{tracking_uid}.png"


def source_headers(analysed: Analysed) -> list[Dataset]:
    """The headers of the analysed images, one a file, in the volume's order."""
    paths = dict.fromkeys(source.path for source in analysed.sources if source is not None)
    return [read_header(path) for path in paths]


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is whole or absent, whenever the machine stops."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _encode(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
