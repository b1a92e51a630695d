"""Real nodules of held-out patients inserted into lungs never trained on: a simulation.

The nodules are real and so are the lungs; the pairing, the density of the nodule and its seam are
not. False findings are those of the lungs as they are, each lung's own: a lung that stands for
twenty insertion volumes is still one lung, so its false findings are averaged, not multiplied,
and an interval from drawing volumes again says nothing of how other lungs would do.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.accuracy_parts.real import RealScan
from imaging.lungs import lung_mask
from imaging.resample import axial_grid, resample, resample_mask
from imaging.volume import Region
from models.evaluation.judging import Truth
from models.evaluation.labelled.case import region_of
from models.evaluation.nodule_figures import figures, judged
from models.evaluation.nodule_table import figures_table
from models.evaluation.nodules import Marked, MarkedScan, ScanRecord, run_scan
from models.evaluation.strata import size_groups, texture_groups
from models.loaded import LoadedModel
from models.training.lungs_data import Lesion, Lung
from models.training.nodules_data import load_nodules
from models.training.simulation import Study, as_volume, simulate
from models.training.simulation import Truth as Inserted

LEAST_MM = 4.0
A_VOLUME = 12
SEED = 2


def as_lung(real: RealScan) -> Lung:
    """A DICOM series as a lung to insert into: at 1 mm, its real nodules kept as they are."""
    volume = real.scan.volume
    grid = axial_grid(volume.grid, 1.0)
    hu = np.rint(resample(volume, grid).voxels).astype(np.int16)
    lesions = []
    for nodule in real.scan.nodules:
        k, j, i = (float(v) for v in grid.to_index(nodule.truth.centre_mm))
        lesions.append(Lesion((k, j, i), nodule.truth.diameter_mm))
    return Lung(
        name=real.name,
        hu=hu,
        mask=resample_mask(lung_mask(volume).mask, grid).voxels,
        share=np.zeros((1, 1, 1), np.float16),
        lesions=tuple(lesions),
        nodule_free=True,
    )


def plain_scan(lung: Lung, *, counted: bool = False) -> MarkedScan:
    """The lung as it is; with ``counted`` its own lesions are what is looked for."""
    volume = as_volume(lung.hu)
    nodules = []
    for lesion in lung.lesions:
        x, y, z = (float(v) for v in volume.grid.to_lps(lesion.centre))
        groups = size_groups(lesion.diameter_mm)
        nodules.append(Marked(Truth((x, y, z), lesion.diameter_mm, counted, groups)))
    return MarkedScan(volume, tuple(nodules))


def simulated_scan(study: Study, lung: Lung) -> MarkedScan:
    """A simulation: its insertions, and the lung's own lesions, which don't count."""
    inserted = tuple(_inserted(study, truth) for truth in study.truths)
    return MarkedScan(study.volume, (*inserted, *plain_scan(lung).nodules))


def _inserted(study: Study, truth: Inserted) -> Marked:
    grid = study.volume.grid
    x, y, z = (float(v) for v in grid.to_lps(truth.centre))
    groups = (*size_groups(truth.diameter_mm), *texture_groups(truth.texture))
    known = Truth((x, y, z), truth.diameter_mm, truth.diameter_mm >= LEAST_MM, groups)
    low, high = truth.mask.min(0), truth.mask.max(0) + 1
    voxels = np.zeros(high - low, bool)
    voxels[tuple((truth.mask - low).T)] = True
    return Marked(known, Region(voxels, (int(low[0]), int(low[1]), int(low[2])), grid))


def run_insertions(
    title: str, lungs: Sequence[Lung], train: Path, model: LoadedModel, volumes: int
) -> dict[str, object]:
    """Run plain lungs and ``volumes`` simulations of them; print and return the figures."""
    print(f"\n{title}")
    threshold = model.spec.operating_point.score_threshold
    own: dict[str, tuple[float, ...]] = {}
    for lung in lungs:
        record = run_scan(lung.name, plain_scan(lung), model, model.runners)
        own[lung.name] = judged(record).false
        many = sum(s >= threshold for s in own[lung.name])
        note = "" if lung.nodule_free else " (not read completely: some may be nodules)"
        print(f"{lung.name} as it is: {many} false findings at the operating point{note}")

    nodules = load_nodules(train, held_out=True)
    studies = simulate(list(lungs), nodules, a_study=A_VOLUME, studies=volumes, seed=SEED)
    records: list[ScanRecord] = []
    beyond = []
    for n, study in enumerate(studies):
        lung = lungs[n % len(lungs)]
        record = run_scan(lung.name, simulated_scan(study, lung), model, model.runners)
        here = sum(s >= threshold for s in judged(record).false)
        beyond.append(here - sum(s >= threshold for s in own[lung.name]))
        records.append(record)
        print(f"  {n + 1}/{volumes} {study.name}: {record.seconds:.0f} s", flush=True)

    found = figures(records, threshold, false=own)
    print(figures_table("SIMULATED insertions; false findings of the lungs as they are", found))
    print(f"false findings that insertions added, a volume: {np.mean(beyond):+.2f}")
    values: dict[str, object] = {
        "simulated": True, "lungs": [lung.name for lung in lungs], "volumes": volumes,
        "insertions": sum(len(r.nodules) for r in records) - sum(
            len(lungs[n % len(lungs)].lesions) for n in range(volumes)
        ),
        "seed": SEED,
        "false_scores_as_they_are": {k: [round(s, 3) for s in v[:20]] for k, v in own.items()},
        "false_added_a_volume": round(float(np.mean(beyond)), 3),
        "figures": found.model_dump(mode="json"),
    }  # fmt: skip
    for lung in lungs if len(lungs) > 1 else ():
        alone = figures([r for r in records if r.name == lung.name], threshold, false=own)
        print(f"  {lung.name} alone: CPM {alone.froc.cpm}")
        values[lung.name] = alone.model_dump(mode="json")
    return values


def run_marked(title: str, lungs: Sequence[Lung], model: LoadedModel) -> dict[str, object]:
    """Lungs as they are, against the lesions marked in them."""
    print(f"\n{title}")
    threshold = model.spec.operating_point.score_threshold
    rows = []
    for lung in lungs:
        scan = plain_scan(lung, counted=True)
        region = region_of(lung.share >= 0.5, scan.volume.grid) if len(scan.nodules) == 1 else None
        if region is not None:
            scan = MarkedScan(scan.volume, (Marked(scan.nodules[0].truth, region),))
        record = run_scan(lung.name, scan, model, model.runners)
        judgement = judged(record)
        other = sum(score >= threshold for score in judgement.false)
        note = "" if lung.nodule_free else " (other nodules may be there, unmarked)"
        print(f"{lung.name}: {other} other findings{note}")
        nodules = []
        for nodule, mark in zip(judgement.nodules, record.nodules, strict=True):
            found = nodule.score is not None and nodule.score >= threshold
            agreement = None
            if mark.dice is not None and nodule.finding is not None:
                agreement = mark.dice.get(nodule.finding, 0.0)
            score = "missed" if nodule.score is None else f"score {nodule.score:.2f}"
            mask = "" if agreement is None else f", mask Dice {agreement:.2f}"
            print(
                f"  {mark.diameter_mm:.0f} mm: {'found' if found else 'not found'}, {score}{mask}"
            )
            nodules.append(
                {
                    "diameter_mm": round(mark.diameter_mm, 1), "found": found,
                    "score": nodule.score, "dice": agreement,
                }
            )  # fmt: skip
        rows.append(
            {
                "lung": lung.name, "read_completely": lung.nodule_free, "other": other,
                "nodules": nodules, "seconds": record.seconds,
            }
        )  # fmt: skip
    return {"lungs": rows}
