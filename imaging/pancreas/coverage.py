"""Which slices of a CT can show a pancreas at all, so that none is drawn in a chest or a pelvis.

The gland lies between the middle of the ninth thoracic and the upper third of the fourth lumbar
vertebra at the most (Eycleshymer and Schoemaker, in Bergman's Atlas of Human Anatomy in Cross
Section). Vertebrae are not counted here: where the lungs are wide the gland lies lower, where the
wings of the ilium are seen (the crests stand at the fourth lumbar vertebra) it lies higher.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray

from imaging.body import Bools
from imaging.language import Text
from imaging.lungs import lung_mask
from imaging.pancreas.landmarks import SLICE_MM, Coarse, coarse
from imaging.volume import Volume

WIDE_LUNG_MM2 = 8000.0
"""Lungs of so much area together in a slice: above every pancreas. The recesses behind the liver
and the spleen hold 1,500 to 4,000 mm2 at the level of a gland's tail."""
TORSO_MM2 = 23000.0
"""A smaller cross-section is a head, a neck or a leg."""
SKULL_SHARE = 0.12
"""More dense bone than this in a slice: a head."""
LEAST_CHEST_MM, LEAST_PELVIS_MM = 20.0, 60.0
"""Less than this between lungs and the scan's end, or between its other end and the ilium, shows
no pancreas that could be measured."""
SPINE_MM2 = 1200.0
"""Bone in the middle of the back half: a vertebra has 1,500 to 3,000 mm2; what is left of it below
the sacrum, or a hip in a field of view that shows one side, has less."""
SPINE_ASIDE_MM, SPINE_ALONG_MM = 32.0, 20.0
"""Half the band where it is counted, and how far along the body a disc borrows from vertebrae."""
WING_MM2, WING_LENGTH = 350.0, 2.0
"""The least cross-section of a wing of the ilium, and how much longer than wide it is."""

SHELL_HU = 280.0
"""A tenth of it at least is denser: the shell of a bone, blurred in a thick slice."""


@dataclass(frozen=True)
class Coverage:
    """Where in a series a pancreas can lie.

    Attributes:
        low_mm: LPS z of the lowest slice that can show it; None: no slice can.
        high_mm: of the highest.
        open_below: the series ends there, not the part of the body where a pancreas can lie.
        open_above: the same at its upper end.
        why: what the series shows.
    """

    low_mm: float | None
    high_mm: float | None
    open_below: bool
    open_above: bool
    why: Text

    @property
    def possible(self) -> bool:
        """Whether any slice can show a pancreas."""
        return self.low_mm is not None

    def without_gland(self) -> Text:
        """What to say of a series in which no pancreas was found."""
        return Text(en=f"no pancreas was found: {self.why.en}", zh=f"未找到胰腺：{self.why.zh}")

    def holds(self, z_mm: ArrayLike) -> NDArray[np.bool_]:
        """Whether a pancreas can lie at heights, LPS z in mm; same shape."""
        z = np.asarray(z_mm, float)
        if self.low_mm is None or self.high_mm is None:
            return np.zeros(z.shape, bool)
        inside: NDArray[np.bool_] = (z >= self.low_mm) & (z <= self.high_mm)
        return inside


@dataclass(frozen=True, eq=False)
class Levels:
    """What each slice of the coarse grid shows, from the feet up.

    Attributes:
        z_mm: (k,), LPS z.
        lung_mm2: (k,), area of the lungs.
        torso: (k,), whether it is a trunk's cross-section, with a vertebra in it.
        ilium: (k,), whether both wings of the ilium are seen.
    """

    z_mm: Annotated[NDArray[np.float64], "k"]
    lung_mm2: Annotated[NDArray[np.float64], "k"]
    torso: Annotated[NDArray[np.bool_], "k"]
    ilium: Annotated[NDArray[np.bool_], "k"]


def coverage(volume: Volume) -> Coverage:
    """Which slices can show a pancreas.

    Args:
        volume: CT in HU, any spacing and orientation, the axes orthogonal.

    Returns:
        The heights between which it can lie. A head, a leg, a chest or a pelvis alone gives
        none, with the reason; nothing is raised.
    """
    return judge(see_levels(volume))


def see_levels(volume: Volume) -> Levels:
    """What each slice shows; see :class:`Levels`."""
    ct = coarse(volume)
    z = np.array([ct.z_mm(k) for k in range(len(ct.hu))])
    area = ct.grid.spacing_mm[1] * ct.grid.spacing_mm[2]
    body = np.count_nonzero(ct.body, axis=(1, 2)) * area
    bone = np.count_nonzero((ct.hu > 300) & ct.body, axis=(1, 2)) * area
    torso = (body > TORSO_MM2) & (bone < SKULL_SHARE * np.maximum(body, 1))
    torso &= _spine_area(ct) > SPINE_MM2
    wings = np.array([_both_wings(ct, k) for k in range(len(z))])
    return Levels(z, _lung_area(volume, z), _steady(torso), _steady(wings))


def _steady(seen: Bools) -> Bools:
    """Majority of five slices, so that one odd slice decides nothing."""
    padded = np.pad(seen.astype(int), 2, mode="edge")
    votes: Bools = np.convolve(padded, np.ones(5, int), "valid") >= 3
    return votes


def _lung_area(volume: Volume, z: NDArray[np.float64]) -> NDArray[np.float64]:
    lungs = lung_mask(volume).mask
    spacing = lungs.grid.spacing_mm
    area = np.count_nonzero(lungs.voxels, axis=(1, 2)) * spacing[1] * spacing[2]
    heights = lungs.grid.to_lps(np.array([[k, 0, 0] for k in range(len(area))]))[:, 2]
    there: NDArray[np.float64] = np.interp(z, heights, area.astype(float))
    return there


def _spine_area(ct: Coarse) -> NDArray[np.float64]:
    """Bone in the middle of the back, mm2, the most within 20 mm along the body."""
    area = np.zeros(len(ct.hu))
    pixel = ct.grid.spacing_mm[1] * ct.grid.spacing_mm[2]
    half = round(SPINE_ASIDE_MM / ct.grid.spacing_mm[2])
    for k, (plane, body) in enumerate(zip(ct.hu, ct.body, strict=True)):
        columns, rows = np.flatnonzero(body.any(0)), np.flatnonzero(body.any(1))
        if len(columns) < 20:
            continue
        middle = int(columns[0] + columns[-1]) // 2
        back = slice(int(rows[0] + 0.4 * (rows[-1] - rows[0])), None)
        band = slice(max(middle - half, 0), middle + half + 1)
        dense = sitk.GetImageFromArray(((plane > 150) & body).astype(np.uint8))
        filled = sitk.BinaryFillhole(sitk.BinaryMorphologicalClosing(dense, (2, 2)))
        area[k] = np.count_nonzero(sitk.GetArrayFromImage(filled)[back, band]) * pixel
    reach = round(SPINE_ALONG_MM / ct.slice_mm)
    return np.array([area[max(k - reach, 0) : k + reach + 1].max() for k in range(len(area))])


def _both_wings(ct: Coarse, k: int) -> bool:
    """Whether a slice shows a long piece of bone far to each side: the ilium, no rib."""
    columns = np.flatnonzero(ct.body[k].any(0))
    if len(columns) < 60:
        return False
    middle = (columns[0] + columns[-1]) / 2
    aside = 0.18 * (columns[-1] - columns[0])
    dense = ((ct.hu[k] > 180) & ct.body[k]).astype(np.uint8)
    dense = sitk.GetArrayFromImage(sitk.BinaryFillhole(sitk.GetImageFromArray(dense)))
    labels = sitk.GetArrayFromImage(sitk.ConnectedComponent(sitk.GetImageFromArray(dense)))
    left = right = False
    pixel = ct.grid.spacing_mm[1] * ct.grid.spacing_mm[2]
    for label in np.flatnonzero(np.bincount(labels.ravel())[1:] * pixel > WING_MM2) + 1:
        j, i = np.nonzero(labels == label)
        # A kidney, or bowel with contrast agent, has no shell of dense bone or is round.
        if np.mean(ct.hu[k][j, i] > SHELL_HU) < 0.1 or abs(i.mean() - middle) < aside:
            continue
        spread = np.linalg.eigvalsh(np.cov(np.stack([j, i])))
        if np.sqrt(spread[1] / max(spread[0], 1e-6)) < WING_LENGTH:
            continue
        left |= bool(i.mean() > middle)
        right |= bool(i.mean() < middle)
    return left and right


def judge(levels: Levels) -> Coverage:
    """The heights that can show a pancreas, from what each slice shows."""
    z = levels.z_mm
    step = float(z[1] - z[0]) if len(z) > 1 else SLICE_MM
    wide = levels.lung_mm2 > WIDE_LUNG_MM2
    top = int(np.flatnonzero(wide)[0]) - 1 if wide.any() else len(z) - 1
    # Shoulder blades are as long as an ilium: only what lies below the lungs counts.
    wings = levels.ilium.copy()
    if (levels.lung_mm2 > 0).any():
        wings[int(np.flatnonzero(levels.lung_mm2 > 0)[0]) :] = False
    bottom = int(np.flatnonzero(wings)[-1]) + 1 if wings.any() else 0
    inside = np.flatnonzero(levels.torso[bottom : top + 1]) + bottom
    height = len(inside) * step
    if wide.any() and height < LEAST_CHEST_MM:
        return _none("only the chest is in view", "仅见胸部")
    if wings.any() and not wide.any() and height < LEAST_PELVIS_MM:
        return _none("only the pelvis is in view", "仅见盆部")
    if len(inside) == 0:
        return _none("no abdomen is in view", "视野内未见腹部")
    low, high = float(z[inside[0]]) - step / 2, float(z[inside[-1]]) + step / 2
    open_below, open_above = not wings.any(), not wide.any()
    return Coverage(low, high, open_below, open_above, _seen(open_below, open_above))


def _seen(open_below: bool, open_above: bool) -> Text:
    above = ("the lungs", "肺") if not open_above else ("the first or last slice", "序列末端")
    below = ("the ilium", "髂骨") if not open_below else ("the first or last slice", "序列末端")
    return Text(
        en=f"the abdomen is in view, from {above[0]} above to {below[0]} below",
        zh=f"可见腹部，上至{above[1]}，下至{below[1]}",
    )


def _none(en: str, zh: str) -> Coverage:
    return Coverage(None, None, open_below=False, open_above=False, why=Text(en=en, zh=zh))
