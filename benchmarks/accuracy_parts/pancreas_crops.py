"""Real pancreatic cancers (``pancreas_msd``): how much of the tumour stays inside the organ.

The slices are cut tightly around the gland, and a net that finds the pancreas by its neighbours
can do nothing with 30 mm of it alone. So each crop is
set into a held-back NIH patient's slice, over the gland there (the slice whose gland is most alike
in shape), with an edge of two pixels faded. The neighbours are then another person's: read the
share for the tumour beside that for the rest of the same glands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from benchmarks.accuracy_parts.pancreas_msd import LESION, Bools, Crop, Floats, read_cases
from models.evaluation.estimate import median_of, share_of
from models.training.pancreas.data import PIXEL_MM, Patient

FADE = 2
"""Pixels."""
BATCH = 16

Outlined = Callable[[Floats], Bools]


def run_crops(
    train: Path, hosts: list[Patient], outlined: Outlined, quick: bool
) -> dict[str, object]:
    """Shares of tumour, of other gland and of what is neither, inside the organ.

    Args:
        train: holds ``pancreas_msd_crops``.
        hosts: whose slices the crops are set into.
        outlined: slices [n, j, i] to masks.
        quick: every third slice only.
    """
    print("\nreal cancers set into held-back patients' slices: share of pixels in the organ")
    slices = [(p.images[n], p.masks[n]) for p in hosts for n in range(len(p.images))]
    counts: dict[str, list[tuple[int, int]]] = {"lesion": [], "gland": [], "around": []}
    each_lesion = []
    for case in read_cases(train):
        crops = case.crops[:: 3 if quick else 1]
        tallies = _tallies(crops, case.pixel_mm, slices, outlined)
        if not tallies["lesion"][1]:
            continue
        for key, tally in tallies.items():
            counts[key].append(tally)
        each_lesion.append(tallies["lesion"][0] / tallies["lesion"][1])
    result: dict[str, object] = {"patients": len(each_lesion)}
    for key, rows in counts.items():
        share = share_of([row[0] for row in rows], [row[1] for row in rows])
        assert share is not None
        print(f"  {key:7s} {share}")
        result[key] = share.model_dump(mode="json")
    median = median_of([[value] for value in each_lesion])
    assert median is not None
    half = sum(value >= 0.5 for value in each_lesion)
    print(
        f"  lesion, median over {len(each_lesion)} patients {median}; "
        f"at least half of it inside in {half}"
    )
    result |= {"lesion_median": median.model_dump(mode="json"), "half_inside": half}
    return result


def _tallies(
    crops: Sequence[Crop],
    pixel_mm: float,
    slices: list[tuple[NDArray[np.uint8], Bools]],
    outlined: Outlined,
) -> dict[str, tuple[int, int]]:
    """(inside, all) of one patient's tumour pixels, other gland pixels, and pixels around."""
    images, marks = [], []
    for crop in crops:
        if not (crop.labels == LESION).any():
            continue
        hu = _to_net(crop.hu, pixel_mm, linear=True)
        gland = _to_net(crop.organ, pixel_mm) > 0
        lesion = _to_net(crop.labels == LESION, pixel_mm) > 0
        placed = _placed(np.clip(hu, 0, 255), gland | lesion, slices)
        if placed is None:
            continue
        host, box = placed
        images.append(host)
        # 1 tumour, 2 other gland, 3 in the crop but neither.
        kinds = np.where(lesion, 1, np.where(gland, 2, 3)).astype(np.uint8)
        mark = np.zeros(host.shape, np.uint8)
        mark[box] = kinds
        marks.append(mark)
    tallies = {"lesion": (0, 0), "gland": (0, 0), "around": (0, 0)}
    for start in range(0, len(images), BATCH):
        found = outlined(np.stack(images[start : start + BATCH]))
        mark = np.stack(marks[start : start + BATCH])
        for number, key in enumerate(tallies, start=1):
            at = mark == number
            inside, of = tallies[key]
            tallies[key] = (inside + int((found & at).sum()), of + int(at.sum()))
    return tallies


def _to_net(values: NDArray[np.generic], pixel_mm: float, *, linear: bool = False) -> Floats:
    """A crop on the net's pixels."""
    image = sitk.GetImageFromArray(values.astype(np.float32))
    image.SetSpacing((pixel_mm, pixel_mm))
    size = [max(round(side * pixel_mm / PIXEL_MM), 1) for side in image.GetSize()]
    out = sitk.Resample(
        image, size, sitk.Transform(), sitk.sitkLinear if linear else sitk.sitkNearestNeighbor,
        ((PIXEL_MM - pixel_mm) / 2,) * 2, (PIXEL_MM, PIXEL_MM), (1, 0, 0, 1), 0.0,
    )  # fmt: skip
    result: Floats = sitk.GetArrayFromImage(out)
    return result


def _placed(
    hu: Floats, gland: Bools, slices: list[tuple[NDArray[np.uint8], Bools]]
) -> tuple[Floats, tuple[slice, slice]] | None:
    """The crop set into the slice whose gland it covers best; None: it fits nowhere."""
    best: tuple[float, int, tuple[slice, slice]] | None = None
    middle = np.argwhere(gland).mean(0)
    for n, (_, mask) in enumerate(slices):
        corner = np.rint(np.argwhere(mask).mean(0) - middle).astype(int)
        if (corner < 0).any() or (corner + gland.shape > mask.shape).any():
            continue
        j, i = (slice(int(c), int(c) + s) for c, s in zip(corner, gland.shape, strict=True))
        shared = int((mask[j, i] & gland).sum())
        alike = 2 * shared / (int(mask.sum()) + int(gland.sum()))
        if best is None or alike > best[0]:
            best = (alike, n, (j, i))
    if best is None:
        return None
    _, n, box = best
    host = slices[n][0].astype(np.float32)
    rows, columns = (np.minimum(np.arange(s), np.arange(s)[::-1]) for s in gland.shape)
    depth = np.minimum(rows[:, np.newaxis], columns[np.newaxis])
    # The gland itself is never faded: it may touch the crop's edge.
    share = np.where(gland, 1.0, np.clip((depth + 1) / (FADE + 1), 0, 1)).astype(np.float32)
    host[box] += share * (hu - host[box])
    return host, box
