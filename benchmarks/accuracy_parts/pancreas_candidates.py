"""Where the research maps of the pancreas are hottest: on drawn lesions and on real cancers.

simulated  lesions drawn into the glands of held-back NIH patients, on whom nothing was trained or
           chosen: one slice of each holds one
real       the 20 patients of pancreas_msd_crops whose cancer is outlined; evaluation only, nothing
           is trained or chosen on them. All have a mass, so places are compared within a gland, and
           a gland with its own healed copy: the lesion lifted to the parenchyma's mean

Slices were cropped each for itself, so they are judged as slices, as the maps are made.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy_parts.pancreas_msd import LESION, PARENCHYMA, MsdCase, read_cases
from imaging.geometry import Grid
from imaging.resample import resample_probability
from imaging.volume import Region, Volume
from models.pancreas.gland import Bools, Floats, gland_slices
from models.runtime import Runtime
from models.training.pancreas.data import load_patients
from models.training.pancreas.lesion_validation import (
    Case,
    ahead,
    chance,
    judged,
    score_rows,
    simulated,
    stacked,
    table,
)  # fmt: skip

MARGIN = 8
"""Pixels put around a crop, which ends where the organ ends."""
PER_PATIENT = 20
PLAIN = ("organ centre", "darkness x place")
"""Scores that need no training, which a learned one must beat."""


def run_candidates(train: Path, heat: Runtime | None) -> dict[str, object]:
    """Both parts, printed and as values for JSON.

    Args:
        train: folder with pancreas_nih/ and pancreas_msd_crops/.
        heat: the model's heat net; None: the plain scores only.
    """
    drawn = list(simulated(load_patients(train, "held-back"), PER_PATIENT))
    result = {"simulated": _run("drawn into held-back patients' glands", drawn, heat)}
    result["real"] = _run("real cancers (evaluation only)", list(real_cases(train)), heat)
    return result


def _run(title: str, cases: list[Case], heat: Runtime | None) -> dict[str, object]:
    by_chance, rows = chance(cases), score_rows(cases, heat)
    figures = judged(cases, rows)
    patients = len({case.patient for case in cases})
    print(f"\n{title}: {len(cases)} lesions in {patients} patients, chance {by_chance}")
    print(table(figures))
    result: dict[str, object] = {
        "lesions": len(cases), "patients": patients, "chance": by_chance.model_dump(),
        "scores": {
            name: {key: value.model_dump() for key, value in vars(one).items()}
            for name, one in figures.items()
        },
    }  # fmt: skip
    for name in ("learned", "learned x darkness x place"):
        if name not in rows:
            continue
        gains = ahead(cases, rows, name, PLAIN)
        for other, (hits, pixels) in gains.items():
            print(f"{name} ahead of {other}: hits {hits}, pixel AUC {pixels}")
        result[f"{name} ahead"] = {
            other: {"hit": hits.model_dump(), "pixel_auc": pixels.model_dump()}
            for other, (hits, pixels) in gains.items()
        }
    return result


def real_cases(train: Path) -> Iterator[Case]:
    """The patients whose cancer is outlined, each with a healed copy."""
    for case in read_cases(train):
        if case.cancer and any((crop.labels == LESION).any() for crop in case.crops):
            yield _case(case)


def _case(case: MsdCase) -> Case:
    rows: list[tuple[Floats, Bools, Bools, Bools]] = []
    for crop in case.crops:
        lesion = crop.labels == LESION
        organ = crop.organ | lesion
        rows.append((crop.hu, organ, lesion, (crop.labels == PARENCHYMA) & organ & ~lesion))
    lesion_hu = np.concatenate([hu[lesion] for hu, _, lesion, _ in rows])
    healthy_hu = np.concatenate([hu[healthy] for hu, _, _, healthy in rows])
    lift = float(healthy_hu.mean() - lesion_hu.mean())
    seen, healed, organs, lesions = [], [], [], []
    for hu, organ, lesion, _ in rows:
        shown, mask, drawn = _at_working_pixel(hu, organ, lesion, case)
        without, _, _ = _at_working_pixel(healed_slice(hu, lesion, lift), organ, lesion, case)
        seen.append(shown)
        healed.append(without)
        organs.append(mask)
        lesions.append(drawn)
    side = [max(one.shape[n] for one in organs) for n in (0, 1)]

    def stack(slices: list[NDArray[np.generic]]) -> NDArray[np.generic]:
        return np.stack([_centred(one, side) for one in slices])

    organ_ = stack(organs).astype(bool)
    return Case(
        case.name,
        stacked(stack(seen).astype(np.float32), organ_, case.apart_mm),
        stack(lesions).astype(bool) & organ_,
        stacked(stack(healed).astype(np.float32), organ_, case.apart_mm),
    )


def healed_slice(hu: Floats, lesion: Bools, lift_hu: float) -> Floats:
    """A slice whose lesion is as dense as the patient's parenchyma; noise and texture stay.

    Nothing is pasted, so there is no seam; a dark centre stays a little darker than the rest.
    """
    return np.where(lesion, hu + np.float32(lift_hu), hu).astype(np.float32)


def _at_working_pixel(
    hu: Floats, organ: Bools, lesion: Bools, case: MsdCase
) -> tuple[Floats, Bools, Bools]:
    """One slice through the product's own resampling: HU, organ, lesion at 1.6 mm."""
    affine = np.eye(4)
    pixel = case.pixel_mm
    affine[:3, :3] = [[0, 0, pixel], [0, pixel, 0], [case.apart_mm, 0, 0]]
    hu = np.pad(hu, MARGIN, mode="edge")[np.newaxis]
    organ, lesion = np.pad(organ, MARGIN)[np.newaxis], np.pad(lesion, MARGIN)[np.newaxis]
    k, j, i = hu.shape
    grid = Grid((k, j, i), affine)
    gland = gland_slices(Volume(hu, grid), Region(organ, (0, 0, 0), grid))
    assert gland is not None
    drawn = resample_probability(lesion.astype(np.float32), grid, gland.grid) >= 0.5
    return gland.delta[0] + np.float32(gland.parenchyma_hu), gland.organ[0], drawn[0]


def _centred(one: NDArray[np.generic], side: list[int]) -> NDArray[np.generic]:
    spare = [s - n for s, n in zip(side, one.shape, strict=True)]
    return np.pad(one, [(n // 2, n - n // 2) for n in spare])
