"""What a CT series was fit for where the pancreas is concerned, and what not.

Pancreas protocols ask for slices of 3 mm or less (NCCN; SAR/APA, Al-Hawary et al., Radiology 2014;
270: 248), contrast agent, the whole gland, and one breath-hold.
"""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from imaging.language import Text
from imaging.pancreas.coverage import coverage
from imaging.pancreas.motion import Motion, motion_in
from imaging.pancreatic import Fitness, Phase, PhaseEstimate
from imaging.volume import Region, Volume

THIN_MM = 3.0
MOTION_MM = 1.0
"""Median shift beyond the anatomy's own; 0.2 to 0.4 mm was measured in quiet scans of patients."""
JUMP = 1.6
"""Neighbours that differ by so much more than the pairs about them do not follow each other.
1.3 was the most in quiet scans; 1.7 and more where a slab was moved by 3 mm or 10 mm left out."""
EARLY_HU = 85.0
"""Parenchyma below it in an arterial phase: before the pancreatic phase (100 to 128 HU)."""
AROUND_MM = 30.0
"""The box about the gland in which motion is looked for reaches so far beyond it."""


def judge_fitness(
    volume: Volume,
    header: Dataset,
    gland: Region | None,
    *,
    phase: PhaseEstimate | None = None,
) -> Fitness:
    """What a series was and was not fit for.

    Args:
        volume: CT in HU; k along the slices.
        header: of one of its images; ``SliceThickness`` is read.
        gland: the pancreas on the volume's grid; None: none was found.
        phase: where it is known, what the phase rules out is said too.

    Returns:
        Slice thickness, whether the gland is whole, motion about it, and each limit in words.
    """
    slice_mm = _slice_mm(volume, header)
    limits = []
    if slice_mm > THIN_MM + 0.05:
        limits.append(_thick(slice_mm))
    whole = None
    motion = None
    if gland is None:
        limits.append(coverage(volume).without_gland())
    else:
        whole = _whole(gland)
        if not whole:
            limits.append(
                Text(
                    en="the gland reaches the first or last slice: what lies beyond is not "
                    "measured, and volume and length are too small",
                    zh="胰腺延伸至首层或末层：扫描范围外部分未测量，体积与长度偏小",
                )
            )
        motion = motion_in(volume, _box(gland))
        limits += _interpolated(volume, gland)
    if motion is not None:
        limits += _moved(motion)
    if phase is not None:
        limits += _by_phase(phase)
    return Fitness(
        slice_mm=round(slice_mm, 2),
        whole_gland=whole,
        motion=None if motion is None else round(motion.median_mm, 2),
        limits=tuple(limits),
    )


def _slice_mm(volume: Volume, header: Dataset) -> float:
    """The larger of the slices' distance and their thickness by the header."""
    distance = volume.grid.spacing_mm[0]
    said = header.get("SliceThickness")
    try:
        thick = 0.0 if said is None else float(said)
    except (TypeError, ValueError):
        thick = 0.0
    return max(distance, thick) if thick < 50 else distance


def _thick(slice_mm: float) -> Text:
    return Text(
        en=f"slices are {slice_mm:g} mm (pancreas protocols: 3 mm or less): not fit for ducts and "
        f"lesions under {slice_mm:g} mm and for degrees of contact with vessels",
        zh=f"层厚 {slice_mm:g} mm（胰腺扫描方案要求 ≤3 mm）：不适于评估小于 {slice_mm:g} mm 的"
        "胰管与病灶，也不适于评估血管接触角度",
    )


def _whole(gland: Region) -> bool:
    start, count = gland.start[0], gland.voxels.shape[0]
    return start > 0 and start + count < gland.within.shape[0]


def _box(gland: Region) -> tuple[slice, slice, slice]:
    """The gland's box, grown by 30 mm in the slice and by two slices along the body."""
    out = []
    for axis, (cut, n) in enumerate(zip(gland.box, gland.within.shape, strict=True)):
        more = 2 if axis == 0 else round(AROUND_MM / gland.within.spacing_mm[axis])
        out.append(slice(max(cut.start - more, 0), min(cut.stop + more, n)))
    return out[0], out[1], out[2]


def _interpolated(volume: Volume, gland: Region) -> list[Text]:
    """Slices of the gland that were missing and filled in."""
    count = sum(source is None for source in volume.sources[gland.box[0]])
    if not count:
        return []
    return [
        Text(
            en=f"{count} slice(s) of the gland were missing and interpolated: not fit for small "
            "lesions there",
            zh=f"胰腺范围内有 {count} 层缺失并经插值：该处不适于评估小病灶",
        )
    ]


def _moved(motion: Motion) -> list[Text]:
    limits = []
    if motion.median_mm >= MOTION_MM:
        limits.append(
            Text(
                en=f"neighbouring slices are shifted by {motion.median_mm:.1f} mm (median): "
                "motion, not fit for duct widths and thickness",
                zh=f"相邻层面中位错位 {motion.median_mm:.1f} mm：存在运动；"
                "不适于测量胰管宽度与胰腺厚度",
            )
        )
    for k in jumps(motion):
        limits.append(
            Text(
                en=f"slices {k + 1} and {k + 2} do not follow each other (breathing between "
                "slabs?): a part of the gland may be missing or seen twice",
                zh=f"第 {k + 1} 与第 {k + 2} 层不连续（可能为屏气不一致）："
                "胰腺局部可能缺失或重复显示",
            )
        )
    return limits


def jumps(motion: Motion) -> list[int]:
    """Indices k in the volume where slice k and the next do not follow each other.

    Each pair is judged against the three pairs on either side.
    """
    found = []
    for n, change in enumerate(motion.change):
        near = np.r_[motion.change[max(n - 3, 0) : n], motion.change[n + 1 : n + 4]]
        if len(near) >= 3 and change > JUMP * max(float(np.median(near)), 0.9):
            found.append(motion.first + n)
    return found


def _by_phase(phase: PhaseEstimate) -> list[Text]:
    if phase.phase is Phase.PLAIN:
        return [
            Text(
                en="no contrast agent: not fit to tell a tumour from parenchyma by density, nor "
                "contact with vessels",
                zh="平扫：不适于依密度区分肿瘤与胰腺实质，也不适于评估血管受侵",
            )
        ]
    early = phase.pancreas_hu is not None and phase.pancreas_hu < EARLY_HU
    if phase.phase is Phase.ARTERIAL and early:
        return [
            Text(
                en=f"arterial phase with the parenchyma at {phase.pancreas_hu:.0f} HU: before the "
                "pancreatic phase (100 HU and more), hypovascular tumours stand out less",
                zh=f"动脉期胰腺实质仅 {phase.pancreas_hu:.0f} HU：早于胰腺期（≥100 HU），"
                "乏血供肿瘤对比较差",
            )
        ]
    if phase.phase is Phase.UNKNOWN:
        return [
            Text(
                en="the phase is not known: densities can't be compared with published ones",
                zh="期相未知：密度值无法与文献数值比较",
            )
        ]
    return []
