"""How likely a nodule is to be rated suspicious, as LIDC-IDRI's readers rated theirs.

Not the odds of cancer: the readers looked at images, not at pathology. Outside of what the
networks were trained on nothing is said but why.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imaging.language import Text
from imaging.nodule import Hint, Nodule, NoduleType
from imaging.volume import Region, Volume
from models.character.features import NAMES, Crop, cut, in_plane_distance, measure_features
from models.character.rating import Rating, load_rating

METHOD = "lidc-rating"
DIAMETER_MM = (3.0, 40.0)
"""Mean axial diameter; the training nodules lie between."""
THICKEST_MM, COARSEST_PIXEL_MM = 3.0, 1.0
LEVEL_COSINE = 0.9
"""The slices must be axial, or tilted by no more than 25 degrees."""
REDRAWN_MM = 0.5
"""The mask grown and shrunk by this belongs to the interval: it is a network's, not a reader's."""

_TITLE = Text(en="Suspicion, as LIDC-IDRI readers rate", zh="可疑程度（按 LIDC-IDRI 医师评分）")
_MEANING = Text(
    en="How likely the LIDC-IDRI radiologists would have rated a nodule that looks like this one "
    "as suspicious (mean 3.5 or more of 5). It is their opinion of images, not pathology, and "
    "not the patient's risk of cancer.",
    zh="LIDC-IDRI 医师将此类影像表现的结节评为可疑（平均分 ≥ 3.5，满分 5 分）的概率。"
    "这是医师对影像的判断，并非病理结果，也不是患者的患癌风险。",
)


def hints(volume: Volume, region: Region, nodule: Nodule | None = None) -> tuple[Hint, ...]:
    """The hint that the images alone give; ``imaging.guidelines.brock`` needs the patient's facts.

    About 0.1 s; deterministic.

    Args:
        volume: HU, as read; the features are measured on its own slices.
        region: the nodule's mask on the volume's grid.
        nodule: what is known of it already: calcium and fat are outside the training data.

    Returns:
        One hint, method ``lidc-rating``. Without a probability where an input is out of range;
        ``missing`` says which.

    Raises:
        SpecError: the shipped networks are damaged.
    """
    if not region.voxels.any():
        return (_silent(Text(en="the nodule's mask is empty", zh="结节掩膜为空")),)
    crop = cut(volume, region)
    own = measure_features(crop)
    missing = _out_of_range(volume, region, nodule, float(np.exp(own[0])))
    if missing:
        return (_silent(*missing),)
    ways = [own, *(measure_features(other) for other in _redrawn(crop))]
    rated = load_rating().rate(np.stack(ways))
    return (
        Hint(
            method=METHOD,
            title=_TITLE,
            probability=round(rated.probability, 3),
            low=round(rated.low, 3),
            high=round(rated.high, 3),
            inputs=_inputs(own),
            meaning=_meaning(rated),
        ),
    )


def _silent(*missing: Text) -> Hint:
    return Hint(method=METHOD, title=_TITLE, missing=missing, meaning=_MEANING)


def _out_of_range(
    volume: Volume, region: Region, nodule: Nodule | None, mean_mm: float
) -> tuple[Text, ...]:
    """Why nothing can be said; empty where something can."""
    k_mm, row_mm, column_mm = volume.grid.spacing_mm
    told = []
    if abs(volume.grid.affine[2, 0]) / k_mm < LEVEL_COSINE:
        told.append(Text(en="the slices are not axial", zh="图像非轴位"))
    if k_mm > THICKEST_MM + 0.01:
        told.append(Text(
            en=f"slices lie {k_mm:.1f} mm apart; it was made for {THICKEST_MM:g} mm and less",
            zh=f"层间距 {k_mm:.1f} mm，本模型仅适用于不超过 {THICKEST_MM:g} mm",
        ))  # fmt: skip
    pixel_mm = max(row_mm, column_mm)
    if pixel_mm > COARSEST_PIXEL_MM:
        told.append(Text(
            en=f"pixels are {pixel_mm:.2f} mm; it was made for {COARSEST_PIXEL_MM:g} mm and less",
            zh=f"像素间距 {pixel_mm:.2f} mm，本模型仅适用于不超过 {COARSEST_PIXEL_MM:g} mm",
        ))  # fmt: skip
    if _cut_off(volume, region):
        told.append(Text(
            en="the nodule is cut off at the edge of the scan",
            zh="结节在扫描范围边缘被截断",
        ))  # fmt: skip
    least, most = DIAMETER_MM
    if not least <= mean_mm <= most:
        told.append(Text(
            en=f"the mean diameter is {mean_mm:.1f} mm; it was made for {least:g} to {most:g} mm",
            zh=f"平均直径 {mean_mm:.1f} mm，本模型仅适用于 {least:g}～{most:g} mm",
        ))  # fmt: skip
    if nodule is not None and nodule.type is NoduleType.CALCIFIED:
        told.append(Text(
            en="the nodule is calcified, which the images it was made from no longer show",
            zh="结节有钙化，而训练图像已丢失可判断钙化的密度信息",
        ))  # fmt: skip
    if nodule is not None and nodule.type is NoduleType.FAT:
        told.append(Text(
            en="the nodule holds fat, as hardly any it was made from did",
            zh="结节含脂肪，训练数据中几乎没有此类结节",
        ))  # fmt: skip
    return tuple(told)


def _cut_off(volume: Volume, region: Region) -> bool:
    """Whether the mask reaches the first or last voxel along any axis of the scan."""
    at = np.argwhere(region.voxels) + np.asarray(region.start)
    last = np.array(volume.grid.shape) - 1
    return bool((at.min(0) == 0).any() or (at.max(0) == last).any())


def _redrawn(crop: Crop) -> list[Crop]:
    """The same nodule with its mask grown and shrunk in its slices."""
    distance = in_plane_distance(crop.mask, crop.spacing_mm)
    ways = []
    for shift in (REDRAWN_MM, -REDRAWN_MM):
        mask: NDArray[np.bool_] = distance < shift
        held = mask.any(axis=(1, 2))
        if held.any():
            ways.append(Crop(crop.hu[held], mask[held], crop.spacing_mm))
    return ways


def _inputs(features: NDArray[np.float64]) -> tuple[tuple[Text, Text], ...]:
    """The features that weigh most, as a reader can check them."""
    of = dict(zip(NAMES, features.tolist(), strict=True))
    told = (
        ("mean axial diameter, mm", "轴位平均径，mm", f"{np.exp(of['diameter']):.1f}"),
        ("diameter of a ball of its volume, mm", "等体积球直径，mm", f"{np.exp(of['volume']):.1f}"),
        ("short by long axis", "短径/长径", f"{of['roundness']:.2f}"),
        ("outline, 1 for a circle", "轮廓（1 为圆形）", f"{of['outline']:.2f}"),
        ("median, HU", "CT 值中位数，HU", f"{100 * of['median']:.0f}"),
        ("share below -300 HU", "低于 -300 HU 的占比", f"{of['glass']:.2f}"),
        ("share of the surroundings as dense", "周围同等密度的占比", f"{of['attached']:.2f}"),
    )
    return tuple((Text(en=en, zh=zh), Text.same(value)) for en, zh, value in told)


def _meaning(rated: Rating) -> Text:
    low, high = max(rated.rating - rated.spread, 1.0), min(rated.rating + rated.spread, 5.0)
    return Text(
        en=f"{_MEANING.en} Expected mean rating {rated.rating:.1f} of 5 "
        f"(two of three such nodules {low:.1f} to {high:.1f}).",
        zh=f"{_MEANING.zh}预期平均分 {rated.rating:.1f}/5"
        f"（约三分之二的此类结节在 {low:.1f}～{high:.1f} 之间）。",
    )
