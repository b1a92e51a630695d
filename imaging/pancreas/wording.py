"""What a gland's and a lesion's measurements say of themselves, in both languages."""

from __future__ import annotations

from imaging.language import Text
from imaging.pancreatic import Attenuation, Part, Phase, Vessel
from imaging.pancreatic_names import PARTS, VESSELS


def crumbs(ml: float) -> Text:
    """Pieces of the mask that the centre line leaves out."""
    return Text(
        en=f"{ml:.1f} ml of the mask lie apart and were left out of length and thickness",
        zh=f"分割中有 {ml:.1f} ml 与主体分离，未计入长度和厚度",
    )


def gaps() -> Text:
    """The line bridges gaps of the mask."""
    return Text(
        en="the mask has gaps along the gland: thickness there is 0, and thin places beside them "
        "may be the mask's fault",
        zh="分割沿胰腺走行有中断：该处厚度记为 0，邻近变薄可能源于分割",
    )


def missing(which: tuple[Part, ...]) -> Text:
    """The mask ends short of the head or the tail."""
    en = " and ".join(PARTS[part].en for part in which)
    zh = "、".join(PARTS[part].zh for part in which)
    return Text(
        en=f"the mask does not reach the {en}: volume, length and parts are those of a piece",
        zh=f"分割未包括{zh}：体积、长度和分部仅代表部分胰腺",
    )


def parts(why: Text) -> Text:
    """What the borders between the parts were told from."""
    return Text(en=f"head, neck, body and tail {why.en}", zh=f"胰头、颈、体、尾的划分：{why.zh}")


def no_duct(*, segmented: bool) -> Text:
    """No duct was seen."""
    if segmented:
        return Text(
            en="the duct that the model segmented does not run along the gland",
            zh="模型分割的胰管未沿胰腺走行",
        )
    return Text(
        en="no duct stands out from the noise along the gland; a normal duct (up to 3 mm) often "
        "does not",
        zh="沿胰腺未见高于噪声的胰管信号；正常胰管（≤3 mm）常不可见",
    )


def duct(
    *,
    seen_mm: float,
    length_mm: float,
    segmented: bool,
    runs: list[tuple[float, float]],
    head_only: bool,
) -> Text:
    """How the duct was measured and what of it was seen."""
    how = Text(en="a model's mask", zh="模型分割") if segmented else Text(
        en="dark ridges in the slices (a measurement to check, no alarm)",
        zh="层面内低密度线状影（仅为测量结果，需核对）",
    )  # fmt: skip
    wide = sum(end - start for start, end in runs)
    en = f"by {how.en}, seen along {seen_mm:.0f} of {length_mm:.0f} mm of gland"
    zh = f"依据{how.zh}，在 {length_mm:.0f} mm 胰腺中可见 {seen_mm:.0f} mm"
    if runs:
        en += f", at least 4 mm wide along {wide:.0f} mm"
        zh += f"，其中 {wide:.0f} mm 宽度 ≥4 mm"
    if head_only:
        en += "; seen in the head only, where the bile duct can't be told from it"
        zh += "；仅见于胰头，无法与胆总管区分"
    elif not segmented:
        en += "; in the head the bile duct can't be told from it"
        zh += "；胰头内无法与胆总管区分"
    return Text(en=en, zh=zh)


def lesion_part(shares: list[tuple[Part, float]], why: Text) -> Text:
    """Which parts a lesion lies in; shares of its volume, the largest first."""
    en = ", ".join(f"{100 * share:.0f} % in the {PARTS[p].en}" for p, share in shares)
    zh = "，".join(f"{PARTS[p].zh} {100 * share:.0f}%" for p, share in shares)
    return Text(en=f"{en}; {why.en}", zh=f"{zh}；{why.zh}")


def no_gland() -> Text:
    """A lesion without a gland around it."""
    return Text(
        en="no pancreas was segmented around it: part, density against the gland, duct and "
        "atrophy are left to the reader",
        zh="其周围未分割出胰腺：部位、相对胰腺密度、胰管和萎缩由医师判断",
    )


def far_from_gland(mm: float) -> Text:
    """A lesion that lies apart from the gland."""
    return Text(
        en=f"it lies {mm:.0f} mm from the segmented pancreas: the part is the nearest one",
        zh=f"距已分割胰腺 {mm:.0f} mm：部位取最近处",
    )


def attenuation(found: Attenuation, delta: float, core: float, phase: Phase) -> Text:
    """What decided the attenuation."""
    if found is Attenuation.CYSTIC:
        return Text(
            en=f"its inside measures {core:.0f} HU, as fluid does; necrosis can as well",
            zh=f"内部 {core:.0f} HU，接近液体密度；坏死亦可如此",
        )
    en = f"{delta:+.0f} HU against the patient's own parenchyma (alike within 10 HU)"
    zh = f"与自身胰腺实质相差 {delta:+.0f} HU（10 HU 以内视为等密度）"
    if phase is Phase.PLAIN:
        en += "; on a plain CT most cancers look like the gland"
        zh += "；平扫时多数胰腺癌与胰腺等密度"
    return Text(en=en, zh=zh)


def upstream(
    duct_mm: float | None, thickness_mm: float | None, parenchyma_mm: float | None, limit_mm: float
) -> Text:
    """What was seen of duct and gland towards the tail of a lesion."""
    if thickness_mm is None:
        return Text(
            en="no gland to measure lies towards the tail of it",
            zh="其尾侧无可测量的胰腺",
        )
    en_duct = "no duct seen" if duct_mm is None else f"duct up to {duct_mm:.1f} mm"
    zh_duct = "未见胰管" if duct_mm is None else f"胰管最宽 {duct_mm:.1f} mm"
    en = f"towards the tail: {en_duct}, gland {thickness_mm:.0f} mm thick"
    zh = f"尾侧：{zh_duct}，胰腺厚 {thickness_mm:.0f} mm"
    if parenchyma_mm is not None:
        en += f", {parenchyma_mm:.0f} mm of it tissue (atrophy below {limit_mm:.0f} mm)"
        zh += f"，其中实质 {parenchyma_mm:.0f} mm（<{limit_mm:.0f} mm 记为萎缩）"
    return Text(en=en, zh=zh)


def contact(name: Text, degrees: float, length_mm: float) -> Text:
    """Contact with a segmented vessel."""
    if degrees == 0:
        return Text(
            en=f"no contact of the masks of lesion and {name.en} (within 1.5 mm)",
            zh=f"病灶与{name.zh}的分割无接触（1.5 mm 内）",
        )
    return Text(
        en=f"{degrees:.0f}° of the {name.en}, along {length_mm:.0f} mm, between two masks drawn "
        "by networks: check it, above all near 180°",
        zh=f"与{name.zh}接触 {degrees:.0f}°，长 {length_mm:.0f} mm，"
        "依据网络分割结果，请核对，尤其接近 180° 时",
    )


def no_contact_known(vessel: Vessel, drawn: Text | None) -> Text:
    """Why contact with a vessel was left to the reader."""
    name = VESSELS[vessel]
    if drawn is None:
        return Text(
            en=f"no model segmented the {name.en}: for the reader to say",
            zh=f"{name.zh}未被分割：由医师判断",
        )
    return Text(
        en=f"a model segmented {drawn.en} without saying which is the {name.en}: for the reader "
        "to say",
        zh=f"模型分割了{drawn.zh}，但未区分{name.zh}：由医师判断",
    )


def contact_not_measured(name: Text) -> Text:
    """A vessel's mask could not be measured."""
    return Text(
        en=f"the mask of {name.en} has no course to measure along: for the reader to say",
        zh=f"{name.zh}的分割无法确定走行：由医师判断",
    )
