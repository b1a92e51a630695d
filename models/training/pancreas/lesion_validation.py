"""How often the hottest place lies in a lesion: the learned map beside the plain scores.

    python -m models.training.pancreas.lesion_validation --data ../shared/data/train \\
        --network models/catalog/pancreas_reference/heat.onnx

On lesions drawn into the glands of the patients kept for choosing. What ships, and how scores are
put together, is chosen here; the real crops of ``benchmarks`` choose nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Grid
from models.evaluation.discrimination import auc, over_groups
from models.evaluation.estimate import Estimate
from models.pancreas.darkness import SMOOTH_MM, darkness, depth_mm, within
from models.pancreas.gland import PIXEL_MM, Bools, Floats, GlandSlices
from models.pancreas.heat import learned
from models.pancreas.places import peaks, together
from models.runtime import Runtime
from models.runtime.onnx import OnnxRuntime
from models.runtime.source import OnnxFile, RuntimeOptions
from models.training.pancreas.data import SIDE, Patient, load_patients
from models.training.pancreas.lesions import Kind, draw, with_duct

Rows = NDArray[np.float64]

APART_MM = 5.0
"""Between the sampled slices of a patient, about."""
LEAST_PIXELS = 50
SEED = 7


@dataclass(frozen=True, eq=False)
class Case:
    """A gland with a known lesion.

    Attributes:
        patient: cases of one patient are drawn together in the bootstrap.
        gland: with the lesion.
        lesion: [k, j, i].
        healed: the same gland without it.
        diameter_mm: as drawn; 0 where it is real.
        contrast_hu: likewise.
    """

    patient: str
    gland: GlandSlices
    lesion: Bools
    healed: GlandSlices
    diameter_mm: float = 0.0
    contrast_hu: float = 0.0


def simulated(
    patients: Sequence[Patient], per_patient: int, seed: int = SEED, kind: Kind = "solid"
) -> Iterator[Case]:
    """Every patient ``per_patient`` times with one lesion in one of the slices.

    ``healed`` holds a null paste of the same shape. In a third of them the duct is wide behind
    the lesion, and in as many healed ones.
    """
    rng = np.random.default_rng(seed)
    for patient in patients:
        held = np.flatnonzero(patient.masks.sum((1, 2)) >= LEAST_PIXELS)
        images, masks = patient.images[held].astype(np.float32), patient.masks[held]
        box = _box(masks)
        images, masks = images[:, *box], masks[:, *box]
        for _ in range(per_patient):
            k = int(rng.integers(len(held)))
            state = int(rng.integers(2**31))
            middle = np.float32(np.median(images[masks]))
            drawn = draw(images[k] - middle, masks[k], np.random.default_rng(state), kind)
            null = draw(
                images[k] - middle, masks[k], np.random.default_rng(state), "null",
                diameter_mm=drawn.diameter_mm,
            )  # fmt: skip
            if rng.random() < 1 / 3:
                drawn, null = with_duct(drawn, rng), with_duct(null, rng)
            lesion = np.zeros_like(masks)
            lesion[k] = drawn.lesion
            yield Case(
                patient.name,
                _gland(images, masks, k, drawn.delta + middle, drawn.organ),
                lesion,
                _gland(images, masks, k, null.delta + middle, null.organ),
                drawn.diameter_mm,
                drawn.contrast_hu,
            )


def _box(masks: Bools) -> tuple[slice, slice]:
    """Of all slices, with room for what bulges out; sides are multiples of 16."""
    at = np.argwhere(masks.any(0))
    middle = (at.min(0) + at.max(0) + 1) // 2
    sides = np.ceil((at.max(0) + 1 - at.min(0) + 24) / 16).astype(int) * 16
    low = [int(np.clip(m - s // 2, 0, SIDE - s)) for m, s in zip(middle, sides, strict=True)]
    return slice(low[0], low[0] + int(sides[0])), slice(low[1], low[1] + int(sides[1]))


def _gland(images: Floats, masks: Bools, k: int, slice_: Floats, organ: Bools) -> GlandSlices:
    images, masks = images.copy(), masks.copy()
    images[k], masks[k] = slice_, organ
    return stacked(images, masks, APART_MM)


def stacked(images: Floats, organ: Bools, apart_mm: float) -> GlandSlices:
    """Slices at 1.6 mm as a gland; density against the median over all of them."""
    middle = float(np.median(images[organ]))
    affine = np.eye(4)
    affine[:3, :3] = [[0, 0, PIXEL_MM], [0, PIXEL_MM, 0], [apart_mm, 0, 0]]
    k, j, i = images.shape
    return GlandSlices(images - np.float32(middle), organ, Grid((k, j, i), affine), middle)


def maps(gland: GlandSlices, runner: Runtime | None) -> dict[str, Floats]:
    """The scores that are compared, by name, each [k, j, i] and 0 outside the organ."""
    pixel = gland.grid.spacing_mm[1]
    depth, dark = np.zeros_like(gland.delta), np.zeros_like(gland.delta)
    for k, organ in enumerate(gland.organ):
        if organ.any():
            depth[k] = depth_mm(organ, pixel)
            dark[k] = -within(gland.delta[k], organ, SMOOTH_MM / pixel)
    found = {
        "organ centre": depth,
        "darkness": np.where(gland.organ, np.maximum(dark + 100, 1e-3), 0).astype(np.float32),
        "darkness x place": darkness(gland),
    }
    if runner is not None:
        found["learned"] = learned(gland, runner)
        found["learned x darkness x place"] = together(found["learned"], found["darkness x place"])
    return found


@dataclass(frozen=True)
class Judged:
    """One score over cases, each figure with its interval over patients.

    Attributes:
        hit: how often the hottest voxel of the gland lies in the lesion.
        hit3: how often one of the three hottest places does.
        pixel_auc: lesion against the rest of the gland, mean over cases.
        healed_auc: hottest value of a gland with its lesion against that of the healed ones.
        hotter: how often a gland is hotter with its lesion than healed.
    """

    hit: Estimate
    hit3: Estimate
    pixel_auc: Estimate
    healed_auc: Estimate
    hotter: Estimate


def judge(cases: Sequence[Case], runner: Runtime | None) -> dict[str, Judged]:
    """All scores of :func:`maps` on the same cases, by name."""
    return judged(cases, score_rows(cases, runner))


def judged(cases: Sequence[Case], rows: dict[str, Rows]) -> dict[str, Judged]:
    """Figures of each score from its :func:`score_rows`."""
    group = _groups(cases)
    return {name: _judged(values, group) for name, values in rows.items()}


def ahead(
    cases: Sequence[Case], rows: dict[str, Rows], name: str, others: Sequence[str]
) -> dict[str, tuple[Estimate, Estimate]]:
    """How far one score is ahead of others on the same cases, in hits and in pixel AUC."""
    group = _groups(cases)

    def by(other: str, column: int) -> Estimate:
        apart = rows[name][:, column] - rows[other][:, column]
        return over_groups(lambda at: float(apart[at].mean()), group)

    return {other: (by(other, 0), by(other, 2)) for other in others}


def score_rows(cases: Sequence[Case], runner: Runtime | None) -> dict[str, Rows]:
    """Of each score, case by case: hit, one of three, pixel AUC, hottest value, that healed."""
    rows: dict[str, list[tuple[float, ...]]] = {}
    for case in cases:
        healed = maps(case.healed, runner)
        for name, score in maps(case.gland, runner).items():
            found = peaks(score, case.gland.grid, 3)
            hits = [bool(case.lesion[at]) for at in found]
            inside = score[case.gland.organ].astype(np.float64)
            truth = case.lesion[case.gland.organ]
            pixel = auc(inside, truth) if 0 < truth.sum() < truth.size else 0.5
            rows.setdefault(name, []).append(
                (any(hits[:1]), any(hits), pixel, score.max(), healed[name].max())
            )
    return {name: np.array(values, np.float64) for name, values in rows.items()}


def pasted(
    patients: Sequence[Patient], per_patient: int, runner: Runtime | None, seed: int = SEED
) -> dict[str, Estimate]:
    """AUC of places with a null paste against the same places untouched: 0.5 if nothing shows.

    Only pastes inside the gland, since what bulges out was not there before. Each place counts by
    its hottest voxel; above 0.5 the drawing itself would have been learned.
    """
    rng = np.random.default_rng(seed)
    rows: dict[str, list[tuple[float, float]]] = {}
    group = []
    for patient in patients:
        held = np.flatnonzero(patient.masks.sum((1, 2)) >= LEAST_PIXELS)
        box = _box(patient.masks[held])
        middle = np.float32(np.median(patient.images[patient.masks]))
        for k in rng.choice(held, per_patient):
            delta, organ = patient.images[k][box] - middle, patient.masks[k][box]
            drawn = draw(delta, organ, rng, "null", bulging=False)
            if not drawn.place.any():
                continue
            group.append(patient.name)
            both = (drawn.delta, delta)
            maps_ = [
                maps(stacked(each[np.newaxis], organ[np.newaxis], 5.0), runner) for each in both
            ]
            for name in maps_[0]:
                peak = [float(each[name][0][drawn.place].max()) for each in maps_]
                rows.setdefault(name, []).append((peak[0], peak[1]))

    def figure(values: NDArray[np.float64], at: NDArray[np.intp]) -> float:
        both = np.concatenate([values[at, 0], values[at, 1]])
        return auc(both, np.arange(len(both)) < len(at))

    names = np.array(group)
    return {
        name: over_groups(partial(figure, np.array(values)), names)
        for name, values in rows.items()
        if name != "organ centre"
    }


def chance(cases: Sequence[Case]) -> Estimate:
    """The lesion's share of the gland: how often a random voxel hits."""
    share = np.array([case.lesion.sum() / case.gland.organ.sum() for case in cases])
    return over_groups(lambda at: float(share[at].mean()), _groups(cases))


def _groups(cases: Sequence[Case]) -> NDArray[np.str_]:
    return np.array([case.patient for case in cases])


def _judged(rows: Rows, group: NDArray[np.str_]) -> Judged:
    def mean(column: int) -> Estimate:
        return over_groups(lambda at: float(rows[at, column].mean()), group)

    def apart(at: NDArray[np.intp]) -> float:
        values = np.concatenate([rows[at, 3], rows[at, 4]])
        return auc(values, np.arange(len(values)) < len(at))

    def hotter(at: NDArray[np.intp]) -> float:
        return float(((rows[at, 3] > rows[at, 4]) + 0.5 * (rows[at, 3] == rows[at, 4])).mean())

    return Judged(
        mean(0), mean(1), mean(2), over_groups(apart, group), over_groups(hotter, group)
    )  # fmt: skip


def table(figures: dict[str, Judged]) -> str:
    """For people, one score a line."""
    head = f"{'score':28} {'hottest in lesion':22} {'one of three':22} {'pixel AUC':22} "
    lines = [head + f"{'AUC against healed':22} hotter than healed"]
    for name, one in figures.items():
        row = (one.hit, one.hit3, one.pixel_auc, one.healed_auc, one.hotter)
        lines.append(f"{name:28} " + " ".join(f"{each!s:22}" for each in row).rstrip())
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with pancreas_nih/")
    parser.add_argument("--network", type=Path, help="heat.onnx; without it the plain scores only")
    parser.add_argument(
        "--per-patient", type=int, default=20, help="lesions drawn; default %(default)s"
    )
    options = parser.parse_args()
    runner = None
    if options.network:
        runner = OnnxRuntime(OnnxFile(options.network), RuntimeOptions(threads=1))
    cases = list(simulated(load_patients(options.data, "choose"), options.per_patient))
    print(f"{len(cases)} cases, chance {chance(cases)}")
    print(table(judge(cases, runner)))
    for name, each in pasted(load_patients(options.data, "choose"), 40, runner).items():
        print(f"null paste against the same place untouched, {name}: {each}")


if __name__ == "__main__":
    main()
