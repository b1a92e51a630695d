"""The estimated phase of CTs whose phase is known by where they come from.

nih       NIH Pancreas-CT, portal venous: slices that are no neighbours, clip(HU, 0, 255), laid
          upon each other as if 5 mm apart. Fat and air are both 0 there, so the body is what
          closes round everything brighter
crops     MSD Task07, portal venous: no aorta and no liver in view, so the rule alone, on the
          arteries and veins of PANORAMA's labels
patients  whole CTs: an arterial abdomen, and chests whose header says what was injected

The limits of the rule are those of the literature (see ``imaging.pancreas.phase``), none was fitted
here; but its author had seen the densities of the NIH patients, so read that rate as hopeful.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from benchmarks.accuracy_parts.pancreas_msd import ARTERIES, PARENCHYMA, VEINS, read_cases
from benchmarks.accuracy_parts.real import arterial_abdomen, largest_series, unpacked
from imaging.geometry import Grid
from imaging.pancreas.phase import Seen, estimate_phase, judge
from imaging.pancreatic import Phase, PhaseEstimate
from imaging.volume import Region, Volume
from models.evaluation.estimate import wilson
from models.training.pancreas.data import PIXEL_MM, Patient, load_patients, part_of

APART_MM = 5.0
BRIGHTER = 12
"""Codes from here on are tissue, not fat, air or noise."""
CHESTS = {
    "LIDC-IDRI-0001": Phase.ARTERIAL,
    "LIDC-IDRI-0005": Phase.ARTERIAL,
    "Lung_Dx-A0002": Phase.PLAIN,
}
"""By ContrastBolusAgent: IV with an aorta of 400 HU; 95 ml, 20 s; none."""
LEAST_PIXELS = 20
"""Of a label: fewer tell no density."""


def run_phase(data: Path, scratch: Path) -> dict[str, object]:
    """How often the right phase, another, and none was told."""
    print("\nphase of CTs whose phase is known")
    patients = load_patients(data / "train")
    every = {p.name: estimate_phase(*_stacked(p)) for p in patients}
    held = {name: told for name, told in every.items() if part_of(name) == "held-back"}
    crops = _crops(data / "train")
    result: dict[str, object] = {
        "nih": _table("NIH, all patients", every, Phase.PORTAL),
        "nih held-back": _table("NIH, held-back patients", held, Phase.PORTAL),
        "crops": _table("MSD crops, the rule on labelled vessels", crops, Phase.PORTAL),
    }
    patients_told = {}
    for name, (volume, phase) in _whole(data, scratch).items():
        told = estimate_phase(volume, None)
        patients_told[name] = {"told": told.phase, "known": phase, "why": told.why.en}
        print(f"  {name}: {told.phase} (known: {phase}); {told.why.en}")
    return result | {"patients": patients_told}


def _table(title: str, told: dict[str, PhaseEstimate], known: Phase) -> dict[str, object]:
    counts = Counter(estimate.phase for estimate in told.values())
    low, high = wilson(counts[known], len(told))
    wrong = len(told) - counts[known] - counts[Phase.UNKNOWN]
    print(
        f"  {title}: {counts[known]} of {len(told)} right ({low:.2f} to {high:.2f}), "
        f"{wrong} wrong, {counts[Phase.UNKNOWN]} unknown"
    )
    return {
        "right": counts[known], "of": len(told), "interval": [round(low, 3), round(high, 3)],
        "wrong": wrong, "unknown": counts[Phase.UNKNOWN],
        "not right": {n: e.why.en for n, e in told.items() if e.phase is not known},
    }  # fmt: skip


def _stacked(patient: Patient) -> tuple[Volume, Region]:
    """A patient's slices as a volume whose fat and air are told apart, and the gland."""
    hu = patient.images.astype(np.int16)
    for k, plane in enumerate(patient.images):
        hu[k][plane == 0] = -80
        hu[k][~_body(plane)] = -1000
    grid = Grid.from_dicom(
        hu.shape, (0, 0, 0), (1, 0, 0, 0, 1, 0), (PIXEL_MM, PIXEL_MM), (0, 0, APART_MM)
    )
    return Volume(hu, grid), Region(patient.masks, (0, 0, 0), grid)


def _body(plane: NDArray[np.uint8]) -> NDArray[np.bool_]:
    reach = [30, 30]
    tissue = sitk.GetImageFromArray((plane > BRIGHTER).astype(np.uint8))
    opened = sitk.ConstantPad(sitk.BinaryMorphologicalOpening(tissue, [2, 2]), reach, reach, 0)
    closed = sitk.Crop(sitk.BinaryMorphologicalClosing(opened, reach), reach, reach)
    pieces = sitk.RelabelComponent(sitk.ConnectedComponent(sitk.BinaryFillhole(closed)))
    body: NDArray[np.bool_] = sitk.GetArrayFromImage(pieces) == 1
    return body


def _crops(train: Path) -> dict[str, PhaseEstimate]:
    """By patient, where both vessels and parenchyma are labelled."""
    told = {}
    for case in read_cases(train):
        arteries, veins, pancreas = (
            np.concatenate([crop.hu[crop.labels == label] for crop in case.crops])
            for label in (ARTERIES, VEINS, PARENCHYMA)
        )
        if min(map(len, (arteries, veins, pancreas))) > LEAST_PIXELS:
            seen = (float(np.median(arteries)), float(np.median(veins)), None)
            told[case.name] = judge(Seen(*seen, float(np.median(pancreas))))
    return told


def _whole(data: Path, scratch: Path) -> dict[str, tuple[Volume, Phase]]:
    found = {"TCGA-LIHC-BC-A3KF": (arterial_abdomen(data), Phase.ARTERIAL)}
    for name, phase in CHESTS.items():
        found[name] = largest_series(unpacked(data / "chest" / name, scratch / name)), phase
    return found
