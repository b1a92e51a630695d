"""When after the contrast agent an abdominal CT was taken, from what its vessels and liver show.

Published densities at 120 kV, HU:

=============  ============  =================  ==================
what           plain         late arterial      portal venous
=============  ============  =================  ==================
aorta          29 to 45 (1)  +300 to 336 (2)    +117 to 125 (2)
portal vein    36 (1)        +75 to 104 (2)     about the aorta
liver          50 to 70 (3)  +15 to 25 (2)      +59 to 63 (2)
pancreas       30 to 45      100 to 128 (4)     70 to 84 (4)
=============  ============  =================  ==================

(1) Descending aorta of 325 patients without contrast agent, quartiles (doi
10.21203/rs.3.rs-1420003/v1); vena cava 36.1 and aorta 37.7 in 151 others. (2) Enhancement over
plain 10 to 15 s and 45 to 55 s after the bolus reached the aorta: Goshima et al., AJR 2006; 187:
W25. (3) About 10 above the spleen; a fatty liver is darker in every phase. (4) Stuber et al., World
J Radiol 2012; 4: 324; up to 128 HU with 370 mgI/ml.

The voltage shifts them all (at 80 kV iodine is twice as bright), so the veins are judged against
the same patient's aorta, never alone: an artery twice as bright as the veins means arterial,
about as bright means portal. Between the two nothing is said.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from imaging.language import Text
from imaging.pancreas.landmarks import (
    Aorta,
    Coarse,
    blurred,
    coarse,
    find_aorta,
    find_liver,
    find_spine,
)
from imaging.pancreatic import Phase, PhaseEstimate
from imaging.volume import Region, Volume

PLAIN_AORTA_HU = 70.0
"""Unenhanced blood stays below, also where the haematocrit is high."""
ENHANCED_AORTA_HU = 100.0
"""From here on the agent is surely there."""
PORTAL_LIVER_HU = 95.0
"""A plain liver of up to 70 HU and 25 more; reached in the portal venous phase alone."""
VEIN_PORTAL, VEIN_ARTERIAL = 0.55, 0.45
"""Veins against the aorta: from there on portal venous, up to there arterial. The published late
arterial phase has (36 + 75..104) / (37 + 300..336), 0.30 to 0.42; the portal venous one about 1,
of which the small vessels of a liver in thick slices show a half and more."""
LEAST_GAP_HU = 120.0
"""By so much at least the aorta outshines the veins in an arterial phase."""
SHARP = 1.0
"""An aorta stands out by more standard deviations than this, in the median of its slices."""
LEAST_LENGTH_MM = 20.0


@dataclass(frozen=True)
class Seen:
    """The densities that were found, HU; None: not seen.

    Attributes:
        aorta: median over its course.
        veins: of the brightest vessels inside the liver, or of the veins a model segmented.
        liver: the commonest density of its inside.
        pancreas: median of the gland.
    """

    aorta: float | None = None
    veins: float | None = None
    liver: float | None = None
    pancreas: float | None = None


def estimate_phase(
    volume: Volume,
    gland: Region | None,
    *,
    arteries: Region | None = None,
    veins: Region | None = None,
) -> PhaseEstimate:
    """Tell the phase of an abdominal CT.

    Args:
        volume: CT, HU, any spacing and orientation.
        gland: the pancreas, if it is known; the aorta is then judged near it.
        arteries: arteries that a model segmented; they stand for the aorta.
        veins: portal or mesenteric veins that a model segmented.

    Returns:
        The phase with its reason; :attr:`~imaging.pancreatic.Phase.UNKNOWN` where the vessels
        were not found or contradict each other. Nothing is raised for a scan of another region.
    """
    return judge(measure(volume, gland, arteries=arteries, veins=veins))


def measure(
    volume: Volume,
    gland: Region | None,
    *,
    arteries: Region | None = None,
    veins: Region | None = None,
) -> Seen:
    """The densities that tell the phase; arguments as in :func:`estimate_phase`."""
    ct = coarse(volume)
    spine = find_spine(ct)
    aorta = None if arteries is None else _median(volume, arteries)
    if aorta is None:
        aorta = _aorta_hu(ct, find_aorta(ct, spine), gland)
    liver = find_liver(ct, spine)
    liver_hu = vein_hu = None
    if liver.any():
        liver_hu = _commonest(ct.hu[liver])
        vein_hu = _vessels_in(ct, liver)
    if veins is not None:
        vein_hu = _median(volume, veins)
    pancreas = None if gland is None else _median(volume, gland)
    return Seen(aorta=aorta, veins=vein_hu, liver=liver_hu, pancreas=pancreas)


def _median(volume: Volume, region: Region) -> float | None:
    values = volume.voxels[region.box][region.voxels]
    return float(np.median(values)) if values.size else None


def _aorta_hu(ct: Coarse, aorta: Aorta | None, gland: Region | None) -> float | None:
    """The aorta's density, or None where what was followed is no clear vessel."""
    if aorta is None:
        return None
    clear = aorta.sharpness > SHARP
    if gland is not None:
        z = gland.points_mm[:, 2]
        place = np.array([ct.z_mm(k) for k in aorta.place[:, 0]])
        near = (place > z.min() - 40) & (place < z.max() + 40)
        clear &= near if near.any() else True
    values = aorta.hu[clear]
    if len(values) * ct.slice_mm < LEAST_LENGTH_MM or 2 * len(values) < np.count_nonzero(
        aorta.sharpness > -np.inf
    ) * (0.2 if gland is not None else 1):
        return None
    middle = float(np.median(values))
    spread = float(np.median(np.abs(values - middle)))
    return middle if spread < max(12.0, 0.12 * abs(middle)) else None


def _commonest(values: np.ndarray) -> float:
    """The mode of densities, from a smoothed histogram of 4 HU steps."""
    counts, edges = np.histogram(values, np.arange(-40, 300, 4))
    smooth = np.convolve(counts, [1, 2, 3, 2, 1], "same")
    return float(edges[int(np.argmax(smooth))] + 2)


def _vessels_in(ct: Coarse, liver: np.ndarray) -> float:
    """Density of the largest vessels inside the liver: the brightest hundredth of it, smoothed."""
    image = sitk.GetImageFromArray(liver.astype(np.uint8))
    closed = sitk.BinaryMorphologicalClosing(sitk.BinaryFillhole(image), (8, 8, 1))
    filled = sitk.GetArrayFromImage(closed) > 0
    smooth = np.stack([blurred(np.clip(plane, -200, 400), 1.0) for plane in ct.hu])
    return float(np.percentile(smooth[filled], 99))


def judge(seen: Seen) -> PhaseEstimate:
    """The phase that the densities mean, with the reason in both languages."""
    phase, why = _decide(seen)
    return PhaseEstimate(
        phase=phase,
        why=why,
        aorta_hu=_rounded(seen.aorta),
        pancreas_hu=_rounded(seen.pancreas),
        liver_hu=_rounded(seen.liver),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _decide(seen: Seen) -> tuple[Phase, Text]:
    aorta = seen.aorta
    if aorta is None:
        return Phase.UNKNOWN, Text(
            en="the aorta was not found in this series", zh="本序列中未找到主动脉"
        )
    if aorta < PLAIN_AORTA_HU:
        return _without_agent(seen, aorta)
    if aorta < ENHANCED_AORTA_HU:
        return Phase.UNKNOWN, Text(
            en=f"aorta {aorta:.0f} HU: more than unenhanced blood, less than in an arterial or "
            "portal venous phase; a late phase, or little contrast agent",
            zh=f"主动脉 {aorta:.0f} HU：高于平扫血液，低于动脉期或门静脉期；"
            "可能为延迟期或对比剂用量少",
        )
    return _with_agent(seen, aorta)


def _without_agent(seen: Seen, aorta: float) -> tuple[Phase, Text]:
    bright = seen.veins is not None and seen.veins > ENHANCED_AORTA_HU
    if bright or (seen.pancreas is not None and seen.pancreas > ENHANCED_AORTA_HU):
        return Phase.UNKNOWN, Text(
            en=f"what was taken for the aorta has {aorta:.0f} HU, yet other organs are enhanced",
            zh=f"疑似主动脉处为 {aorta:.0f} HU，但其他器官已强化",
        )
    return Phase.PLAIN, Text(
        en=f"aorta {aorta:.0f} HU, as unenhanced blood (below {PLAIN_AORTA_HU:.0f} HU)",
        zh=f"主动脉 {aorta:.0f} HU，与未强化血液相符（低于 {PLAIN_AORTA_HU:.0f} HU）",
    )


def _with_agent(seen: Seen, aorta: float) -> tuple[Phase, Text]:
    if seen.veins is None:
        return Phase.UNKNOWN, Text(
            en=f"enhanced (aorta {aorta:.0f} HU), but no vein and no liver was found to tell "
            "arterial from portal venous",
            zh=f"已强化（主动脉 {aorta:.0f} HU），但未找到静脉和肝脏，无法区分动脉期与门静脉期",
        )
    share = seen.veins / aorta
    veins = f"{seen.veins:.0f}"
    liver_en = "" if seen.liver is None else f", liver {seen.liver:.0f} HU"
    liver_zh = "" if seen.liver is None else f"，肝脏 {seen.liver:.0f} HU"
    said_en = f"aorta {aorta:.0f} HU, veins {veins} HU{liver_en}"
    said_zh = f"主动脉 {aorta:.0f} HU，静脉 {veins} HU{liver_zh}"
    enhanced_liver = seen.liver is not None and seen.liver >= PORTAL_LIVER_HU
    if enhanced_liver or share >= VEIN_PORTAL:
        if not enhanced_liver and aorta - seen.veins > LEAST_GAP_HU:
            return Phase.UNKNOWN, _between(said_en, said_zh)
        return Phase.PORTAL, Text(
            en=f"{said_en}: the veins and the liver are enhanced",
            zh=f"{said_zh}：静脉及肝实质已强化",
        )
    if share <= VEIN_ARTERIAL and aorta - seen.veins >= LEAST_GAP_HU:
        return Phase.ARTERIAL, Text(
            en=f"{said_en}: the aorta is far brighter than the veins, the liver hardly enhanced",
            zh=f"{said_zh}：主动脉明显高于静脉，肝实质强化不明显",
        )
    return Phase.UNKNOWN, _between(said_en, said_zh)


def _between(said_en: str, said_zh: str) -> Text:
    return Text(
        en=f"{said_en}: between an arterial and a portal venous phase",
        zh=f"{said_zh}：介于动脉期与门静脉期之间",
    )
