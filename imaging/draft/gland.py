"""What the draft says of the pancreas itself: gland, duct, phase, fitness, research places.

Places of our own research map are named as such; they are no findings.
"""

from __future__ import annotations

from typing import Final

from imaging.draft import terms
from imaging.draft.pancreas_panel import duct_state, place_told
from imaging.guidelines import pancreas_words as words
from imaging.language import Text
from imaging.pancreatic import Duct, Fitness, Gland, Part, Phase, PhaseEstimate, Place

RESEARCH: Final = Text(
    en="Research grade, no findings and no probabilities",
    zh="研究级结果，仅供研究，非诊断所见，亦非概率",
)
"""Stands before every place of our own research map."""


def gland_sentences(gland: Gland, slices: int) -> tuple[Text, ...]:
    """Gland, duct, phase and fitness; then the research places where a site shows them.

    Args:
        gland: as measured.
        slices: how many the series has, to say on which one a place is.
    """
    told = [_gland(gland), _duct(gland.duct), _phase(gland.phase)]
    fitness = _fitness(gland.fitness)
    if fitness is not None:
        told.append(fitness)
    if gland.places_shown:
        told.append(_places(gland.places, slices))
    return tuple(told)


def _gland(gland: Gland) -> Text:
    volume, length = f"{terms.number(gland.volume_ml, 1)} ml", f"{terms.number(gland.length_mm)} mm"
    mean, spread = terms.number(gland.parenchyma_hu), terms.number(gland.parenchyma_sd_hu)
    parts = [
        Text(en=f"Pancreas: {volume}", zh=f"胰腺：体积约 {volume}"),
        Text(en=f"{length} along its centre line", zh=f"沿中心线长约 {length}"),
        Text(
            en=f"parenchyma median {mean} HU (SD {spread})",
            zh=f"实质 CT 值中位数 {mean} HU（标准差 {spread}）",
        ),
    ]
    if gland.thinnest_mm is None:
        return terms.joined(
            [
                sentence(terms.joined(parts)),
                to_fill_in([Text(en="thickness of body and tail", zh="胰体尾厚度")]),
            ],
            en=" ", zh="",
        )  # fmt: skip
    thin = terms.mm(gland.thinnest_mm)
    parts.append(Text(en=f"body and tail at least {thin} thick", zh=f"胰体尾最薄处约 {thin}"))
    return sentence(terms.joined(parts))


def _duct(duct: Duct) -> Text:
    if duct.widest_mm is None:
        return Text(
            en=f"Main duct: not seen ({bare(duct.why).en}).",
            zh=f"主胰管：未显示（{bare(duct.why).zh}）。",
        )
    width = terms.mm(duct.widest_mm)
    where = _in(duct.widest_at)
    parts = [Text(en=f"Main duct: up to {width}{where.en}", zh=f"主胰管：最宽约 {width}{where.zh}")]
    parts.append(duct_state(duct))
    if duct.cut_off_at is not None:
        at = words.PARTS[duct.cut_off_at]
        parts.append(Text(en=f"cut off in the {at.en}", zh=f"于{at.zh}处截断"))
    return sentence(terms.joined(parts))


def _in(part: Part | None) -> Text:
    if part is None:
        return Text.same("")
    name = words.PARTS[part]
    return Text(en=f" in the {name.en}", zh=f"（{name.zh}）")


def _phase(estimate: PhaseEstimate) -> Text:
    name = words.PHASES[estimate.phase]
    figures = [
        Text(en=f"{en} {terms.number(value)} HU", zh=f"{zh} {terms.number(value)} HU")
        for en, zh, value in (
            ("aorta", "主动脉", estimate.aorta_hu),
            ("pancreas", "胰腺", estimate.pancreas_hu),
            ("liver", "肝", estimate.liver_hu),
        )
        if value is not None
    ]
    if estimate.phase is Phase.UNKNOWN:
        blank = to_fill_in([Text(en="phase of contrast", zh="增强期相")])
        return Text(
            en=f"Phase: not told from the images ({bare(estimate.why).en}). {blank.en}",
            zh=f"期相：未能由图像判断（{bare(estimate.why).zh}）。{blank.zh}",
        )
    told = terms.joined(figures)
    beside = Text(en=f" ({told.en})", zh=f"（{told.zh}）") if figures else Text.same("")
    return Text(
        en=f"Phase: {name.en}, estimated from densities{beside.en}.",
        zh=f"期相：{name.zh}，依密度估计{beside.zh}。",
    )


def _fitness(fitness: Fitness) -> Text | None:
    """What the series was not fit for; None where nothing stands against it."""
    limits = list(fitness.limits)
    if not limits:
        return None
    told = terms.joined([bare(limit) for limit in limits], en="; ", zh="；")
    return Text(en=f"Limits of this series: {told.en}.", zh=f"本序列的局限：{told.zh}。")


def _places(places: tuple[Place, ...], slices: int) -> Text:
    if not places:
        return Text(
            en=f"{RESEARCH.en}: no place stands out by its density, which excludes nothing.",
            zh=f"{RESEARCH.zh}：未见密度突出部位，但不能排除病变。",
        )
    told = []
    for place in places:
        what, at = place_told(place), place.key_slice + 1
        told.append(
            Text(
                en=f"{place.number}. {what.en} (slice {at} of {slices})",
                zh=f"{place.number}. {what.zh}（第 {at} / {slices} 层）",
            )
        )
    every = terms.joined(told, en="; ", zh="；")
    return Text(
        en=f"{RESEARCH.en}; places to look at: {every.en}.",
        zh=f"{RESEARCH.zh}，提示留意以下部位：{every.zh}。",
    )


def to_fill_in(blanks: list[Text]) -> Text:
    """``To be filled in by the reader: …``."""
    names = terms.joined(blanks, zh="、")
    return Text(en=f"To be filled in by the reader: {names.en}.", zh=f"由医师填写：{names.zh}。")


def sentence(text: Text) -> Text:
    """With a capital and a full stop."""
    begun = terms.capital(bare(text))
    return Text(en=f"{begun.en}.", zh=f"{begun.zh}。")


def headed(head: Text, body: Text) -> Text:
    """``Head: body``."""
    return Text(en=f"{head.en}: {body.en}", zh=f"{head.zh}：{body.zh}")


def bare(text: Text) -> Text:
    """Without a full stop, to stand inside a sentence."""
    return Text(en=text.en.rstrip(". "), zh=text.zh.rstrip("。 "))
