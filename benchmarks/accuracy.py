"""What the shipped nodule model finds, misses and imagines, in one command.

    python benchmarks/accuracy.py --data ../shared/data --out accuracy.json

Three parts, none of them seen in training:
  real        LIDC-IDRI-0001 and -0005, whole DICOM series, judged against their readers
  held out    two lungs kept out of training, as they are
  simulated   held-out patients' nodules inserted into the held-out lungs

Every volume goes through the product's own path, models.pipeline.find_lesions. The held-out
parts need SciPy (the monai extra).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from imaging.geometry import Grid
from imaging.headers import scan_files
from imaging.load import load_series
from imaging.series import group_series
from imaging.volume import Mask, Region, Volume
from models.loaded import LoadedModel, load_model
from models.pipeline import Candidate, find_lesions
from models.spec import CATALOG, read_spec
from models.training.lungs_data import Lung, load_lungs
from models.training.matching import dice, match, wilson
from models.training.nodules_data import load_nodules
from models.training.simulation import Study, as_volume, simulate

SIZES_MM = ((4, 6), (6, 10), (10, 20), (20, 99))


@dataclass(frozen=True)
class Marked:
    """A marked nodule: centre in LPS mm, diameter in mm, and who marked it."""

    centre_mm: tuple[float, float, float]
    diameter_mm: float
    readers: int


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder with chest/ and train/"
    )
    parser.add_argument("--model", type=Path, default=CATALOG / "lung_nodule_reference")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--studies", type=int, default=10, help="simulated volumes; default 10")
    parser.add_argument("--cache", type=Path, help="keeps the resampled lungs between runs")
    parser.add_argument("--only", choices=("real", "held-out", "simulated"), help="one part")
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.error(f"{options.data} is no folder; name the one with chest/ and train/ (--data)")

    model = load_model(read_spec(options.model))
    figures: dict[str, object] = {"hardware": hardware(), "model": described(model)}
    with tempfile.TemporaryDirectory() as scratch:
        if options.only in (None, "real"):
            figures["real"] = real(options.data / "chest", model, Path(scratch))
        if options.only in (None, "held-out", "simulated"):
            cache = options.cache or Path(scratch) / "lungs"
            lungs = load_lungs(options.data / "train", cache, held_out=True)
            if options.only != "simulated":
                figures["held out"] = held_out(lungs, model)
            if options.only != "held-out":
                figures["simulated"] = simulated(
                    lungs, options.data / "train", model, options.studies
                )
    if options.out:
        options.out.write_text(json.dumps(figures, indent=2) + "\n")


def real(chest: Path, model: LoadedModel, scratch: Path) -> list[dict[str, object]]:
    """The two LIDC scans against their readers."""
    print("\nreal scans (a finding on a nodule of any reader is not false)")
    rows: list[dict[str, object]] = []
    for name in ("LIDC-IDRI-0001", "LIDC-IDRI-0005"):
        volume = _dicom(chest / name, scratch / name)
        began = time.perf_counter()
        lesions = find_lesions([volume], model, model.runners)
        seconds = time.perf_counter() - began
        marked = _marked(chest / name)
        hits, false, _ = _judge(volume, lesions.candidates, marked)
        print(f"{name}: {len(lesions.candidates)} findings, {false} false, {seconds:.1f} s")
        row: dict[str, object] = {"scan": name, "false": false, "seconds": round(seconds, 1)}
        nodules = []
        readers = _reader_masks(chest / name, volume)
        for nodule, hit in zip(marked, hits, strict=True):
            entry: dict[str, object] = {
                "diameter_mm": nodule.diameter_mm, "readers": nodule.readers,
                "found": hit is not None,
            }  # fmt: skip
            text = f"  {nodule.diameter_mm:4.1f} mm, {nodule.readers} readers: "
            if hit is None:
                text += "missed"
            else:
                found = lesions.candidates[hit]
                entry["score"] = round(found.score, 3)
                text += f"found, score {found.score:.2f}"
                if readers and nodule.readers >= 2:
                    majority = np.sum(readers, axis=0) * 2 > len(readers)
                    agreement = dice(_whole(found.region), majority)
                    entry["dice"] = round(agreement, 3)
                    text += f", mask Dice {agreement:.2f} with the readers' majority"
            print(text)
            nodules.append(entry)
        row["nodules"] = nodules
        rows.append(row)
    return rows


def held_out(lungs: list[Lung], model: LoadedModel) -> list[dict[str, object]]:
    """The held-out lungs as they are."""
    print("\nheld-out lungs")
    rows: list[dict[str, object]] = []
    for lung in lungs:
        volume = as_volume(lung.hu)
        lesions = find_lesions([volume], model, model.runners)
        marked = [
            Marked(_lps(volume, lesion.centre), lesion.diameter_mm, 0) for lesion in lung.lesions
        ]
        hits, false, _ = _judge(volume, lesions.candidates, marked)
        found = sum(h is not None for h in hits)
        note = "" if lung.nodule_free else " (other nodules may be there, unmarked)"
        print(f"{lung.name}: {found} of {len(marked)} marked found, {false} other{note}")
        row: dict[str, object] = {
            "lung": lung.name, "marked": len(marked), "found": found, "other": false,
            "read_completely": lung.nodule_free,
        }  # fmt: skip
        for lesion, hit in zip(lung.lesions, hits, strict=True):
            if hit is not None:
                agreement = dice(_whole(lesions.candidates[hit].region), lung.share >= 0.5)
                print(f"  {lesion.diameter_mm:.0f} mm: mask Dice {agreement:.2f}")
                row["dice"] = round(agreement, 3)
        rows.append(row)
    return rows


def simulated(
    lungs: list[Lung], train: Path, model: LoadedModel, studies: int
) -> dict[str, object]:
    """Held-out nodules in held-out lungs."""
    nodules = load_nodules(train, held_out=True)
    found: list[tuple[float, float, bool, float]] = []  # diameter, texture, hit, Dice
    for study in simulate(lungs, nodules, a_study=12, studies=studies, seed=2):
        found += list(_simulated_study(study, model))
    print(f"\nsimulated: {len(found)} insertions in {studies} volumes")
    print("diameter      n  sensitivity (95 %)     median Dice of the found")
    rows = []
    for low, high in (*SIZES_MM, (6, 99)):
        some = [f for f in found if low <= f[0] < high]
        hits = [f for f in some if f[2]]
        least, most = wilson(len(hits), len(some))
        median = float(np.median([f[3] for f in hits])) if hits else float("nan")
        share = len(hits) / max(len(some), 1)
        print(
            f"{low:2d} to {high:2d} mm  {len(some):3d}  {share:.2f} ({least:.2f} to {most:.2f})"
            f"    {median:.2f}"
        )
        rows.append(
            {
                "from_mm": low, "to_mm": high, "n": len(some), "found": len(hits),
                "low": round(least, 3), "high": round(most, 3),
                "median_dice": round(median, 3) if hits else None,
            }
        )  # fmt: skip
    faint = [f for f in found if f[1] < 4 and f[0] >= 6]
    hits = [f for f in faint if f[2]]
    print(f"not solid, >= 6 mm: {len(hits)} of {len(faint)}")
    return {"sizes": rows, "not_solid": {"n": len(faint), "found": len(hits)}}


def _simulated_study(
    study: Study, model: LoadedModel
) -> Iterator[tuple[float, float, bool, float]]:
    candidates = find_lesions([study.volume], _all_of(model), model.runners).candidates
    marked = [Marked(_lps(study.volume, t.centre), t.diameter_mm, 0) for t in study.truths]
    hits, _, _ = _judge(study.volume, candidates, marked)
    for truth, hit in zip(study.truths, hits, strict=True):
        agreement = 0.0
        if hit is not None:
            mask = np.zeros(study.volume.grid.shape, bool)
            mask[tuple(truth.mask.T)] = True
            agreement = dice(_whole(candidates[hit].region), mask)
        yield truth.diameter_mm, truth.texture, hit is not None, agreement


def _all_of(model: LoadedModel) -> LoadedModel:
    """The model without its cap on findings: a simulation holds more nodules than a patient."""
    point = model.spec.operating_point.model_copy(update={"most_findings": 100})
    return replace(model, spec=model.spec.model_copy(update={"operating_point": point}))


def _judge(
    volume: Volume, candidates: tuple[Candidate, ...], marked: list[Marked]
) -> tuple[tuple[int | None, ...], int, tuple[int, ...]]:
    centres = []
    for candidate in candidates:
        at = np.argwhere(candidate.region.voxels).mean(0) + np.asarray(candidate.region.start)
        centres.append(volume.grid.to_lps(at))
    matched = match(centres, [(np.array(m.centre_mm), m.diameter_mm) for m in marked])
    return matched.hits, len(matched.false), matched.false


def _whole(region: Region) -> np.ndarray:
    mask = np.zeros(region.within.shape, bool)
    mask[region.box] = region.voxels
    return mask


def _lps(volume: Volume, index: tuple[float, float, float]) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in volume.grid.to_lps(index))
    return x, y, z


def _dicom(folder: Path, scratch: Path) -> Volume:
    archive = next(iter(sorted(folder.glob("*.tar.xz"))))
    scratch.mkdir()
    with tarfile.open(archive) as tar:
        tar.extractall(scratch, filter="data")
    files = sorted(p for p in scratch.rglob("*") if p.is_file())
    series = max(group_series(scan_files(files)), key=lambda s: len(s.slices))
    return load_series(series).volume


def _marked(folder: Path) -> list[Marked]:
    truth = json.loads(next(iter(sorted(folder.glob("ground_truth*.json")))).read_text())
    return [
        Marked(tuple(n["centroid_lps_mm"]), float(np.median(n["diameter_mm"])), int(n["readers"]))
        for n in truth["nodules"]
    ]


def _reader_masks(folder: Path, volume: Volume) -> list[np.ndarray]:
    """One mask a reader on the scan's grid, from the published DICOM SEG objects."""
    masks = []
    for path in sorted((folder / "derived_QIICR").glob("SEG_*.dcm")):
        seg = pydicom.dcmread(path)
        frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
        shared = seg.SharedFunctionalGroupsSequence[0]
        orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
        spacing = shared.PixelMeasuresSequence[0].PixelSpacing
        mask = np.zeros(volume.grid.shape, bool)
        for frame, group in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
            position = group.PlanePositionSequence[0].ImagePositionPatient
            shape = (1, frame.shape[0], frame.shape[1])
            step = np.cross(orientation[:3], orientation[3:])
            grid = Grid.from_dicom(shape, position, orientation, spacing, step)
            at = np.argwhere(frame[np.newaxis] > 0)
            index = np.rint(volume.grid.to_index(grid.to_lps(at))).astype(int)
            mask[tuple(index.T)] = True
        masks.append(Mask(mask, volume.grid).voxels)
    return masks


def described(model: LoadedModel) -> dict[str, object]:
    """Which weights at which operating point."""
    return {
        "name": model.spec.name, "version": model.spec.version,
        "sha256": model.spec.fingerprint,
        "score_threshold": model.spec.operating_point.score_threshold,
    }  # fmt: skip


def hardware() -> dict[str, object]:
    """The machine the figures were measured on."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        cpu = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), cpu)
    return {"cpu": cpu, "cores": os.cpu_count(), "system": platform.platform()}


if __name__ == "__main__":
    main()
