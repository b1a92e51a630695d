"""The shipped pancreas model on data that nothing was trained or chosen on.

organ      held-back NIH patients: Dice by patient. Their slices are no neighbours, so this is the
           net slice by slice, without the smoothing across slices and without the choice of one
           organ that a whole CT gets
lesions    the same slices with tumours, cysts and wide ducts drawn in: how much of a lesion stays
           inside the organ
crops      real cancers (MSD Task07 with PANORAMA's labels): see :mod:`pancreas_crops`
elsewhere  chest CTs and single slices of other regions: where nothing may be drawn
abdomen    a whole arterial-phase CT through the product's path
candidates the research map: see :mod:`pancreas_candidates`
phase      the estimated phase: see :mod:`pancreas_phase`
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray

from benchmarks.accuracy_parts.pancreas_candidates import run_candidates
from benchmarks.accuracy_parts.pancreas_crops import run_crops
from benchmarks.accuracy_parts.pancreas_phase import run_phase
from benchmarks.accuracy_parts.real import arterial_abdomen, largest_series, unpacked
from imaging.geometry import Grid
from imaging.lungs import lung_mask
from imaging.volume import Volume
from models.evaluation.estimate import median_of, share_of
from models.loaded import LoadedModel
from models.pancreas.find import HEAT, ORGAN, organ_probability
from models.pancreas.organ import filled
from models.pancreas.slices import axial_slices
from models.pipeline import find_lesions
from models.training.pancreas.data import Patient, load_patients
from models.training.pancreas.disease import Kind, with_lesion
from models.training.pancreas.validation import dice

FLOOR_MEDIAN, FLOOR_LEAST = 0.75, 0.50
"""What the organ must reach to be worth shipping: median over patients, and the worst of them."""
KINDS: tuple[tuple[str, Kind, bool], ...] = (
    ("dark, 10 to 70 HU below the gland", "dark", False),
    ("dark, growing out of the gland", "dark", True),
    ("cyst", "cyst", False),
    ("cyst, growing out of the gland", "cyst", True),
    ("wide duct", "duct", False),
)
SIZES_MM = (10.0, 35.0)
LEAST_GLAND = 150
"""Pixels of 2.6 mm2; a lesion is drawn only where a slice shows as much."""
LEAST_DRAWN_MM2 = 50.0
CHESTS = ("LIDC-IDRI-0001", "LIDC-IDRI-0005", "Lung_Dx-A0002")
FULL_LUNG = 0.7
"""Of the largest lung area: slices with so much lie above the liver's and spleen's domes."""
OTHERS = {
    "pelvis": "protocol/hostile/Issue124.dcm",
    "shoulders": "protocol/hostile/WithEmptyPatientComments.dcm",
    "chest": "protocol/transfer_syntaxes/CT1_UNC",
    "head": "protocol/transfer_syntaxes/CT2_UNC",
    "skull base": "protocol/hostile/J2K_pixelrep_mismatch.dcm",
}
"""The only pelvic CT slice at hand is among them: one, through the hip."""

Bools = NDArray[np.bool_]


def run_parts(
    parts: Sequence[str], data: Path, scratch: Path, model: LoadedModel, quick: bool
) -> dict[str, object]:
    """Runs the parts asked for; what they measured, by part.

    Args:
        data: the folder with chest/, abdomen/, protocol/ and train/.
        quick: fewer slices in the slow parts.
    """
    result: dict[str, object] = {}
    patients: list[Patient] = []
    if {"organ", "lesions", "crops"} & set(parts):
        patients = load_patients(data / "train", "held-back")
    if "organ" in parts:
        result["organ"] = run_organ(patients, model)
    if "lesions" in parts:
        result["lesions"] = run_lesions(patients, model, quick)
    if "crops" in parts:
        found = run_crops(data / "train", patients, lambda x: outlined(x, model), quick)
        result["crops"] = found
    if "elsewhere" in parts:
        result["elsewhere"] = run_elsewhere(data, scratch, model)
    if "abdomen" in parts:
        result["abdomen"] = run_abdomen(data, model)
    if "phase" in parts:
        result["phase"] = run_phase(data, scratch / "phase")
    if "candidates" in parts:
        result["candidates"] = run_candidates(data / "train", model.networks.get(HEAT))
    return result


def outlined(images: NDArray[np.generic], model: LoadedModel) -> Bools:
    """The net's gland in slices [n, j, i] of clip(HU, 0, 255) at 1.6 mm, at the operating point."""
    values = images.astype(np.float32)
    found = organ_probability(values, model.runners[ORGAN], model.spec.runtime.maximum_batch)
    return filled(found >= model.spec.operating_point.mask_threshold)


def run_organ(patients: list[Patient], model: LoadedModel) -> dict[str, object]:
    """Dice of each held-back patient, all slices of one taken together."""
    print("\nheld-back NIH patients, slice by slice")
    scores = {p.name: dice(outlined(p.images, model), p.masks) for p in patients}
    for patient in patients:
        print(f"  {patient.name}  {len(patient.images):3d} slices  Dice {scores[patient.name]:.3f}")
    median = median_of([[value] for value in scores.values()])
    least = min(scores.values())
    assert median is not None
    print(f"  median {median}, least {least:.3f}; floor {FLOOR_MEDIAN} and {FLOOR_LEAST}")
    return {
        "dice": {name: round(value, 4) for name, value in scores.items()},
        "median": median.model_dump(mode="json"), "least": round(least, 4),
        "slices": sum(len(p.images) for p in patients),
        "reaches_floor": median.value >= FLOOR_MEDIAN and least >= FLOOR_LEAST,
    }  # fmt: skip


def run_lesions(patients: list[Patient], model: LoadedModel, quick: bool) -> dict[str, object]:
    """Share of a drawn lesion's pixels inside the organ, beside the same pixels undiseased.

    Where a lesion grows out of the gland only its part inside can be compared with before.
    """
    print("\nlesions drawn into held-back patients' glands: share of their pixels in the organ")
    healthy_masks, usable = {}, {}
    for patient in patients:
        enough = np.flatnonzero(patient.masks.sum((1, 2)) >= LEAST_GLAND)[:: 3 if quick else 1]
        if len(enough):
            usable[patient.name] = enough
            healthy_masks[patient.name] = outlined(patient.images[enough], model)
    result: dict[str, object] = {}
    for title, kind, bulging in KINDS:
        hits, totals, healthy, inside = [], [], [], []
        for number, patient in enumerate(patients):
            if patient.name not in usable:
                continue
            rng = np.random.default_rng((20261125, number))
            at = usable[patient.name]
            drawn = [
                with_lesion(image, gland, rng, kind, sizes_mm=SIZES_MM, bulging=bulging)
                for image, gland in zip(
                    patient.images[at].astype(np.float32), patient.masks[at], strict=True
                )
            ]
            lesion = np.stack([each[2] for each in drawn])
            found = outlined(np.stack([each[0] for each in drawn]), model)
            hits.append(int((found & lesion).sum()))
            totals.append(int(lesion.sum()))
            was = lesion & patient.masks[at]
            healthy.append(int((healthy_masks[patient.name] & was).sum()))
            inside.append(int(was.sum()))
        kept, undiseased = share_of(hits, totals), share_of(healthy, inside)
        assert kept is not None and undiseased is not None
        print(f"  {title:36s} {kept}   the same place undiseased {undiseased}", flush=True)
        result[title] = {
            "kept": kept.model_dump(mode="json"),
            "undiseased": undiseased.model_dump(mode="json"),
        }
    return result


def run_elsewhere(data: Path, scratch: Path, model: LoadedModel) -> dict[str, object]:
    """What is drawn where no pancreas is: chest CTs whole, and single slices of other regions."""
    print("\nwhere no pancreas may be drawn")
    rows: list[dict[str, object]] = []
    for name in CHESTS:
        volume = largest_series(unpacked(data / "chest" / name, scratch / name))
        rows.append(_chest(name, volume, model))
    singles = {}
    for region, path in OTHERS.items():
        mask = _outlined_in(_one_slice(data / path), model)
        singles[region] = round(float(mask.sum()) * 1.6**2, 1)
    print("  single slices, mm2 drawn: " + ", ".join(f"{k} {v:g}" for k, v in singles.items()))
    return {"chest": rows, "single_slices_mm2": singles}


def _chest(name: str, volume: Volume, model: LoadedModel) -> dict[str, object]:
    """The product's gland in a chest CT, and the net's word on its slices, both above the domes.

    The lowest slices of a chest CT do show pancreas; nobody outlined it, so they are not judged.
    """
    lungs = lung_mask(volume).on(volume.grid).voxels.sum((1, 2))
    full = np.flatnonzero(lungs >= FULL_LUNG * lungs.max())
    heights = volume.grid.to_lps(np.stack([full, full * 0, full * 0], axis=1))[:, 2]
    floor_mm = float(heights.min())
    slices = axial_slices(volume)
    mask = outlined(slices.values, model)
    above = slices.grid.to_lps([[k, 0, 0] for k in range(len(mask))])[:, 2] >= floor_mm
    area = mask.sum((1, 2)) * slices.grid.voxel_volume_mm3 / slices.grid.spacing_mm[0]
    false = int((area[above] >= LEAST_DRAWN_MM2).sum())
    found = find_lesions([volume], model, model.runners)
    ml, higher_ml = 0.0, 0.0
    for gland in found.candidates:
        points = gland.region.points_mm
        ml += gland.region.mask.volume_mm3 / 1000
        share = float((points[:, 2] >= floor_mm).mean())
        higher_ml += gland.region.mask.volume_mm3 / 1000 * share
    notices = [each.code for each in found.notices]
    print(
        f"  {name}: net draws 50 mm2 or more in {false} of {int(above.sum())} slices full of lung; "
        f"product {ml:.1f} ml in all, {higher_ml:.1f} ml there; {', '.join(notices) or 'no notice'}"
    )
    return {
        "scan": name, "slices_judged": int(above.sum()), "false_slices": false,
        "product_ml": round(ml, 1), "product_ml_above": round(higher_ml, 2), "notices": notices,
    }  # fmt: skip


def _one_slice(path: Path) -> Volume:
    image = pydicom.dcmread(path)
    slope, intercept = float(image.RescaleSlope), float(image.RescaleIntercept)
    hu = image.pixel_array.astype(np.float32) * slope + intercept
    rows, columns = (float(each) for each in image.PixelSpacing)
    # Twice, so that there is something to interpolate between.
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, columns], [0, rows, 0], [3.0, 0, 0]])
    return Volume(np.stack([hu, hu]), Grid((2, *hu.shape), affine))


def _outlined_in(volume: Volume, model: LoadedModel) -> Bools:
    return outlined(axial_slices(volume).values[:1], model)


def run_abdomen(data: Path, model: LoadedModel) -> dict[str, object]:
    """The whole path on TCGA-LIHC-BC-A3KF, 37 slices of 5 mm, arterial phase; no outline exists."""
    volume = arterial_abdomen(data)
    began = time.perf_counter()
    found = find_lesions([volume], model, model.runners)
    seconds = time.perf_counter() - began
    glands = [each.region.mask.volume_mm3 / 1000 for each in found.candidates]
    notices = [each.code for each in found.notices]
    raw = outlined(axial_slices(volume).values, model)
    print(
        f"\nTCGA-LIHC-BC-A3KF: {', '.join(f'{ml:.1f} ml' for ml in glands) or 'no pancreas'}; "
        f"{', '.join(notices) or 'no notice'}; {seconds:.1f} s\n"
        "  (nobody outlined this gland: that it is one organ of a usual size is all this says)"
    )
    return {
        "ml": [round(ml, 1) for ml in glands], "notices": notices,
        "slices_with_any": int(raw.any((1, 2)).sum()), "seconds": round(seconds, 2),
        "steps_s": {step: round(value, 2) for step, value in found.seconds.items()},
    }  # fmt: skip
