"""The rows of the pancreas' card and of a pancreatic lesion's: what is measured, and why not."""

from __future__ import annotations

from imaging.draft import terms
from imaging.draft.facts import Fact
from imaging.guidelines import pancreas_words as words
from imaging.language import Text
from imaging.pancreatic import (
    DILATED_MM,
    Contact,
    Duct,
    Gland,
    PancreaticLesion,
    Part,
    Phase,
    PhaseEstimate,
    Place,
)

RESEARCH_PLACES = Text(
    en="Research grade: where to look, no finding", zh="研究级：仅提示留意部位，并非所见"
)
"""Stands over every list of places of a research map."""
NO_PLACES = Text(
    en="The map marks no place. That excludes nothing.", zh="研究图未标出部位，但不能排除病变。"
)
NOT_MEASURED = Text(en="not measured", zh="未测量")
"""Beside it stands why, and that the reader has to say."""


def gland_facts(gland: Gland) -> tuple[Fact, ...]:
    """Size, density, thickness, duct, phase, in that order."""
    spread = terms.number(gland.parenchyma_sd_hu)
    rows = [
        Fact(
            "volume", _both("Volume", "体积"), Text.same(f"{terms.number(gland.volume_ml, 1)} ml")
        ),
        Fact(
            "length",
            _both("Length", "长度"),
            Text.same(f"{terms.number(gland.length_mm)} mm"),
            _both("along its centre line", "沿中心线"),
        ),
        Fact(
            "parenchyma",
            _both("Parenchyma", "实质密度"),
            Text.same(f"{terms.number(gland.parenchyma_hu)} HU"),
            Text(en=f"median, SD {spread}", zh=f"中位数，标准差 {spread}"),
        ),
    ]
    if gland.thinnest_mm is not None:
        thinnest = Text.same(terms.mm(gland.thinnest_mm))
        label = _both("Body and tail", "胰体尾")
        rows.append(Fact("thinnest", label, thinnest, _both("at the thinnest", "最薄处")))
    return (*rows, _duct(gland), _phase(gland.phase))


def lesion_facts(lesion: PancreaticLesion) -> tuple[Fact, ...]:
    """Place, density, what lies upstream, and the vessels: measured, or left to the reader."""
    part = words.PARTS[lesion.part] if lesion.part else Text(en="not told", zh="未能判断")
    rows = [Fact("part", _both("Part", "部位"), part, lesion.part_why)]
    if lesion.attenuation is not None:
        note = None
        if lesion.delta_hu is not None:
            far = terms.number(lesion.delta_hu, sign=True)
            note = Text(en=f"{far} HU against the parenchyma", zh=f"与实质相差 {far} HU")
        kind = words.MEASURED_ATTENUATIONS[lesion.attenuation]
        rows.append(Fact("attenuation", _both("Attenuation", "密度"), kind, note))
    if lesion.phase is not None:
        rows.append(_phase(lesion.phase))
    if lesion.duct_upstream_mm is not None:
        note = None
        if lesion.duct_cut_off is not None:
            note = (
                _both("cut off at the lesion", "于病灶处截断")
                if lesion.duct_cut_off
                else _both("no cut-off", "未见截断")
            )
        width = Text.same(terms.mm(lesion.duct_upstream_mm))
        rows.append(Fact("duct", _both("Duct upstream", "上游主胰管"), width, note))
    if lesion.thickness_upstream_mm is not None:
        note = None
        if lesion.atrophy_upstream is not None:
            note = _both("atrophic", "萎缩") if lesion.atrophy_upstream else None
        thick = Text.same(terms.mm(lesion.thickness_upstream_mm))
        rows.append(Fact("upstream", _both("Gland upstream", "上游胰腺厚度"), thick, note))
    plain = lesion.phase is not None and lesion.phase.phase is Phase.PLAIN
    rows += [_contact(contact, plain=plain) for contact in lesion.contacts]
    for unnamed in lesion.unnamed_contacts:
        told = words.measured_contact(unnamed.degrees, unnamed.length_mm)
        note = _not_counted(unnamed.why) if plain else unnamed.why
        rows.append(Fact("unnamed", unnamed.label, told, note))
    return tuple(rows)


def part_named(part: Part) -> Text:
    """``Head of the pancreas``, for a title."""
    name = words.PARTS[part]
    return Text(en=f"{name.en} of the pancreas", zh=name.zh)


def duct_state(duct: Duct) -> Text:
    """Whether a duct that was seen is dilated; a wide one that does not count is not called so."""
    if duct.dilated:
        return _both("dilated", "扩张")
    if duct.widest_mm is None or duct.widest_mm < DILATED_MM:
        return _both("not dilated", "未见扩张")
    return _both(
        "wide along a short stretch only, or where the bile duct can't be told from it",
        "仅短段增宽，或位于无法与胆总管区分处",
    )


def place_told(place: Place) -> Text:
    """``Body, 11.5 mm, -32 HU against the parenchyma``."""
    part, size = words.PARTS[place.part], terms.mm(place.diameter_mm)
    delta = terms.number(place.delta_hu, sign=True)
    return Text(
        en=f"{part.en.capitalize()}, {size}, {delta} HU against the parenchyma",
        zh=f"{part.zh}，约 {size}，与实质相差 {delta} HU",
    )


def _both(en: str, zh: str) -> Text:
    return Text(en=en, zh=zh)


def _duct(gland: Gland) -> Fact:
    duct, label = gland.duct, _both("Main duct", "主胰管")
    if duct.widest_mm is None:
        return Fact("duct", label, _both("not seen", "未显示"), duct.why)
    width = terms.mm(duct.widest_mm)
    told = [Text(en=f"up to {width}", zh=f"最宽 {width}"), duct_state(duct)]
    if duct.cut_off_at is not None:
        at = words.PARTS[duct.cut_off_at]
        told.append(Text(en=f"cut off in the {at.en}", zh=f"于{at.zh}处截断"))
    return Fact("duct", label, terms.joined(told), duct.why)


def _phase(estimate: PhaseEstimate) -> Fact:
    return Fact("phase", _both("Phase", "期相"), words.PHASES[estimate.phase], estimate.why)


def _contact(contact: Contact, *, plain: bool) -> Fact:
    told, note = NOT_MEASURED, contact.why
    if contact.degrees is not None:
        told = words.measured_contact(contact.degrees, contact.length_mm)
        note = _not_counted(note) if plain else note
    label = terms.capital(words.VESSELS[contact.vessel])
    return Fact(contact.vessel.value, label, told, note)


def _not_counted(why: Text) -> Text:
    return Text(
        en=f"does not count, because the CT is unenhanced; {why.en}",
        zh=f"平扫 CT 所测，不计入；{why.zh}",
    )
