"""The draft of a pancreas: what was measured, what the reader said, and blanks for the rest."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from imaging.draft import deciding, draft_of, sentence_of
from imaging.draft.facts import category_shown
from imaging.draft.gland import RESEARCH, gland_sentences
from imaging.draft.pancreas_panel import gland_facts, lesion_facts
from imaging.guidelines import NCCN, SAR_APA, Override, guided, with_pancreas_reading
from imaging.guidelines.pancreas_values import PancreasReading
from imaging.language import Language, Text
from imaging.pancreatic import (
    Attenuation,
    Duct,
    Fitness,
    Part,
    Phase,
    PhaseEstimate,
    UnnamedContact,
    Vessel,
)
from imaging.report import FindingReview, Report, Verdict
from tests.unit.imaging.guidelines.made import finding, nodule, report
from tests.unit.imaging.guidelines.made_pancreas import (
    PANCREAS,
    PLAIN,
    PORTAL,
    free,
    gland,
    lesion,
    pancreatic,
    place,
    vessel,
)

SEES_LESIONS = report().model.model_copy(update={"name": "pdac", "sites": (PANCREAS.value,)})
ORGAN_ONLY = report().model.model_copy(update={"name": "organ", "sites": ()})
CHINESE = re.compile("[\u4e00-\u9fff]")


def described(**changes: Any) -> Any:
    values: dict[str, Any] = {
        "part": Part.BODY, "duct_upstream_mm": 6.24, "duct_cut_off": True,
        "thickness_upstream_mm": 7.0, "atrophy_upstream": True,
    }  # fmt: skip
    return lesion({Vessel.SMA: 92.4, Vessel.SMV: 240.0}, **(values | changes))


def of(*findings: Any, **changes: Any) -> Report:
    values = {"model": SEES_LESIONS, "slice_count": 120}
    return guided(report(*findings, **(values | changes)))


def test_a_measured_lesion() -> None:
    said = sentence_of(of(pancreatic(1, described())), pancreatic(1, described()))
    assert said.en == (
        "Hypoattenuating lesion in the body of the pancreas, 28.0 × 22.0 × 20.0 mm, 6,400 mm³, "
        "mean 60 HU in the portal-venous phase, 41 HU below the parenchyma (slice 1 of 120). "
        "Main duct upstream up to 6.2 mm, the duct cut off at the lesion, gland with duct "
        "upstream 7.0 mm thick, parenchyma upstream atrophic."
    )
    assert said.zh == (
        "胰体低密度病灶，大小约 28.0 × 22.0 × 20.0 mm，体积约 6,400 mm³，门静脉期平均 CT 值 60 HU，"
        "较胰腺实质低 41 HU（第 1 / 120 层）。上游主胰管最宽约 6.2 mm，胰管于病灶处截断，"
        "上游胰腺（含胰管）厚约 7.0 mm，上游胰腺实质萎缩。"
    )


def test_what_was_not_measured_is_left_to_the_reader() -> None:
    found = pancreatic(1)
    said = sentence_of(of(found), found)
    assert said.en == (
        "Lesion in the pancreas, 8.0 × 6.0 mm, 180 mm³ (slice 1 of 120). To be filled in by the "
        "reader: attenuation, part of the pancreas, main duct upstream, cut-off of the duct, "
        "atrophy upstream."
    )
    assert said.zh.startswith("胰腺病灶，大小约 8.0 × 6.0 mm")
    assert said.zh.endswith("由医师填写：密度、所在部位、上游主胰管、胰管截断、上游实质萎缩。")


def test_what_the_reader_says_takes_the_blanks_place() -> None:
    reading = PancreasReading(
        appearance="iso", part=Part.NECK, duct_dilated=True, duct_cut_off=False,
        atrophy_upstream=False,
    )  # fmt: skip
    found = pancreatic(1)
    said = sentence_of(of(found, pancreas_reading=reading), found)
    assert said.en.startswith("Isoattenuating lesion in the neck of the pancreas, ")
    assert said.en.endswith(
        "Main duct upstream dilated (reader), no cut-off of the duct (reader), no atrophy upstream "
        "(reader)."
    )
    assert "filled in" not in said.en and "填写：" not in said.zh
    assert said.zh.startswith("胰颈等密度病灶")


@pytest.mark.parametrize(
    ("changes", "en", "zh"),
    [
        ({"delta_hu": 30.0}, "30 HU above the parenchyma", "较胰腺实质高 30 HU"),
        ({"delta_hu": 0.2}, "as the parenchyma", "与胰腺实质相同"),
        ({"delta_hu": None}, "mean 60 HU in the portal-venous phase (", "CT 值 60 HU（第"),
        ({"phase": PLAIN}, "mean 60 HU without contrast, 41", "平扫平均 CT 值 60 HU"),
        ({"phase": None}, "mean 60 HU, 41 HU", "平均 CT 值 60 HU，较"),
        ({"attenuation": Attenuation.CYSTIC}, "Fluid-attenuation lesion in the body",
         "胰体液体密度病灶"),
        ({"part": None}, "Hypoattenuating lesion in the pancreas", "胰腺低密度病灶"),
        ({"part": Part.UNCINATE}, "in the uncinate process of the pancreas", "胰腺钩突低密度病灶"),
        ({"atrophy_upstream": False}, "7.0 mm thick, no atrophy", "7.0 mm，上游胰腺实质无萎缩"),
        ({"atrophy_upstream": None}, "7.0 mm thick. To be filled in by the reader: atrophy",
         "由医师填写：上游实质萎缩"),
        ({"thickness_upstream_mm": None}, "parenchyma upstream atrophic", "上游胰腺实质萎缩"),
        ({"duct_cut_off": False}, "no cut-off of the duct", "胰管未见截断"),
    ],
)  # fmt: skip
def test_the_words_for_what_was_measured(changes: dict[str, Any], en: str, zh: str) -> None:
    found = pancreatic(1, described(**changes))
    said = sentence_of(of(found), found)
    assert en in said.en and zh in said.zh


def test_only_the_reader_calls_a_lesion_cystic() -> None:
    fluid = pancreatic(1, described(attenuation=Attenuation.CYSTIC))
    (row,) = (f for f in lesion_facts(fluid.pancreatic) if f.key == "attenuation")
    assert (row.value.en, row.value.zh) == ("fluid-attenuation", "液体密度")
    said = sentence_of(of(fluid, pancreas_reading=PancreasReading(appearance="cystic")), fluid)
    assert said.en.startswith("Cystic lesion") and said.zh.startswith("胰体囊性病灶")


def test_the_panel_says_that_contact_on_a_plain_ct_does_not_count() -> None:
    for phase, counted in ((PLAIN, False), (PORTAL, True)):
        rows = {f.key: f for f in lesion_facts(described(phase=phase))}
        for key in ("superior-mesenteric-artery", "portal-vein"):
            note = rows[key].note
            assert note is not None
            said = "does not count" in note.en and "不计入" in note.zh
            assert said == (not counted and key != "portal-vein")  # that one was not measured


def test_the_whole_draft() -> None:
    reading = PancreasReading(
        vessels=(
            vessel(Vessel.SMV, contour_irregular=True, reconstructible=True),
            vessel(Vessel.CHA, "none"),
        ),
        bile_duct_dilated=False, liver_lesions="none",
    )  # fmt: skip
    told = draft_of(of(pancreatic(1, described()), gland=gland(), pancreas_reading=reading))
    lines = told.findings_in(Language.EN).splitlines()
    assert lines[0].startswith("Hypoattenuating lesion")
    assert lines[1:] == [
        "Vessels: Superior mesenteric artery: contact of 92° (measured). Common hepatic artery: no "
        "contact (reader). Superior mesenteric vein: contact of 240° (measured); contour "
        "irregular; can be reconstructed. To be filled in by the reader: contact with coeliac "
        "axis, portal vein.",
        "Bile duct cut off or dilated: no (reader).",
        "Other vessels: To be filled in by the reader: variant artery, aorta, vena cava, venous "
        "collaterals.",
        "Beyond the pancreas: Liver: no lesions (reader). To be filled in by the reader: "
        "suspicious regional nodes, suspicious nodes beyond, peritoneal or omental nodules, "
        "ascites, other metastases.",
        "Pancreas: 71.3 ml, 168 mm along its centre line, parenchyma median 98 HU (SD 18), body "
        "and tail at least 8.9 mm thick.",
        "Main duct: up to 6.2 mm in the tail, dilated, cut off in the body.",
        "Phase: portal-venous phase, estimated from densities (aorta 152 HU, pancreas 98 HU, "
        "liver 110 HU).",
    ]
    assert told.findings_in(Language.ZH).splitlines()[1] == (
        "血管：肠系膜上动脉：接触 92°（测量所得）。肝总动脉：无接触（医师填写）。"
        "肠系膜上静脉：接触 240°（测量所得）；轮廓不规则；可重建。"
        "由医师填写：与腹腔干、门静脉的接触程度。"
    )
    assert told.impression_in(Language.EN).splitlines() == [
        "1. Hypoattenuating lesion in the body of the pancreas, 28.0 × 22.0 × 20.0 mm.",
        "2. NCCN resectability: to be assigned by the reader.",
    ]
    assert "2. NCCN 可切除性评估：由医师判定。" in told.impression_in(Language.ZH)


def test_vessels_that_a_model_did_not_tell_apart_are_told_and_count_for_none() -> None:
    arteries = UnnamedContact(
        label=Text(en="peripancreatic arteries", zh="胰周动脉"), degrees=94.0, length_mm=11.2,
        why=Text(en="-", zh="-"),
    )  # fmt: skip
    found = pancreatic(1, lesion(unnamed_contacts=(arteries,)))
    said = draft_of(of(found)).findings[1]
    assert said.en.startswith(
        "Vessels: Peripancreatic arteries, not told apart: contact of 94° over 11.2 mm (measured). "
        "To be filled in by the reader: contact with superior mesenteric artery, coeliac axis,"
    )
    assert said.zh.startswith(
        "血管：胰周动脉（未区分）：接触 94°，长约 11.2 mm（测量所得）。由医师填写："
    )
    plain = pancreatic(1, lesion(unnamed_contacts=(arteries,), phase=PLAIN))
    assert "eripancreatic" not in draft_of(of(plain)).findings[1].en


def test_a_contact_near_a_limit_is_told_and_asked_for() -> None:
    said = draft_of(of(pancreatic(1, lesion({Vessel.SMA: 172.0})))).findings[1].en
    assert "Superior mesenteric artery: contact of 172° (measured)." in said
    assert "To be filled in by the reader: contact with superior mesenteric artery," in said


def test_liver_and_nodes_are_always_blank_until_the_reader_says_them() -> None:
    told = draft_of(of(pancreatic(1, described()), gland=gland())).findings_in(Language.EN)
    (beyond,) = [line for line in told.splitlines() if line.startswith("Beyond the pancreas")]
    assert beyond.startswith("Beyond the pancreas: To be filled in by the reader: liver, susp")
    said = of(pancreatic(1, described()), pancreas_reading=free(
        nodes_suspicious=True, ascites=False, other="Stent in the bile duct.",
    ))  # fmt: skip
    (beyond,) = [t.en for t in draft_of(said).findings if t.en.startswith("Beyond")]
    assert "filled in" not in beyond
    assert "suspicious regional nodes: yes (reader)" in beyond
    assert beyond.endswith("other: Stent in the bile duct.")


def test_an_assigned_category_is_told_with_its_advice() -> None:
    made = with_pancreas_reading(of(pancreatic(1, described())), free(vessel(Vessel.SMA)))
    assert made.guidance[1].category == "borderline resectable"
    told = draft_of(made).impression[-1]
    assert told.en.startswith("NCCN resectability: borderline resectable. Multidisciplinary")
    assert told.zh.startswith("NCCN 可切除性评估：交界可切除。建议多学科讨论")
    assert not any(SAR_APA in text.en for text in draft_of(made).impression)
    mine = Override(
        guideline=NCCN, category="locally advanced", reason="At EUS.", by="x",
        at=datetime(2026, 2, 1, tzinfo=UTC),
    )  # fmt: skip
    own = draft_of(made.model_copy(update={"overrides": (mine,)})).impression[-1]
    assert own.en == (
        "NCCN resectability: locally advanced, by the reader (computed: borderline resectable). "
        "At EUS."
    )
    assert "局部进展期，由医师判定（软件计算：交界可切除）" in own.zh


def test_categories_are_shown_in_both_languages() -> None:
    template, stage = with_pancreas_reading(of(pancreatic(1, described())), free()).guidance
    assert category_shown(stage, "resectable") == Text(en="resectable", zh="可切除")
    assert category_shown(stage, "metastatic") == Text(en="metastatic", zh="合并远处转移")
    assert category_shown(stage, "as the board decides") == Text.same("as the board decides")
    done = template.model_copy(update={"category": "complete"})
    assert category_shown(done, "complete") == Text(en="complete", zh="已填写完整")
    assert category_shown(template, template.category) is None


def test_the_lesion_decides_its_stage_and_no_template() -> None:
    made = with_pancreas_reading(of(pancreatic(1, described())), free(vessel(Vessel.SMA)))
    done = made.guidance[0].model_copy(update={"category": "complete"})
    made = made.model_copy(update={"guidance": (done, made.guidance[1])})
    assert deciding(made, made.findings[0]) == (made.guidance[1],)


def test_several_lesions_are_told_apart() -> None:
    small = pancreatic(1, described(part=Part.HEAD), long_axis_mm=9.0)
    large = pancreatic(2, lesion(), long_axis_mm=31.0)
    told = draft_of(of(small, large)).findings_in(Language.EN)
    assert "To be filled in by the reader: which lesion is staged." in told
    assert "Vessels at lesion 2: To be filled in" in told
    reading = PancreasReading(lesion=1, part=Part.TAIL)
    said = of(small, large, pancreas_reading=reading)
    told = draft_of(said).findings_in(Language.EN)
    assert "which lesion is staged" not in told
    assert "lesion in the tail of the pancreas" in sentence_of(said, small).en
    other = sentence_of(said, large)  # the reader's part is not about it, so no blanks either
    assert "in the head of the pancreas" in other.en and "filled in" not in other.en


def test_a_rejected_lesion_is_left_out_but_can_still_be_named() -> None:
    made = of(pancreatic(1, described()), gland=gland())
    gone = made.with_review(FindingReview(tracking_uid="1.2.1", verdict=Verdict.REJECTED))
    told = draft_of(guided(gone)).findings_in(Language.EN)
    assert "lesion in the body" not in told and "Vessels" not in told
    assert told.startswith("No pancreatic lesion is marked.")
    assert sentence_of(gone, gone.findings[0]).en.startswith("Hypoattenuating lesion")


def test_a_gland_without_a_model_for_lesions_claims_nothing() -> None:
    told = draft_of(of(gland=gland(), model=ORGAN_ONLY))
    nobody = (
        "Pancreatic lesions: to be filled in by the reader; no model that ran looks for them."
    )  # fmt: skip
    assert told.findings[0].en == nobody
    assert told.impression_in(Language.EN) == nobody
    assert "由医师填写" in told.impression_in(Language.ZH)
    looked = draft_of(of(gland=gland()))
    assert looked.findings[0].en == "No pancreatic lesion is marked."
    assert looked.impression_in(Language.ZH) == "未标记胰腺病灶。"


def test_beside_lung_nodules_the_pancreas_follows() -> None:
    lungs = report().model
    told = draft_of(of(finding(1, nodule(7.0)), gland=gland(), model=lungs)).findings
    assert told[0].en.startswith("Solid nodule") and told[1].en.startswith("Pancreatic lesions:")
    assert told[2].en.startswith("Pancreas: 71.3 ml")
    none = draft_of(of(gland=gland(), model=lungs)).findings
    assert [text.en for text in none[:2]] == [
        "No lung nodule is described.",
        "Pancreatic lesions: to be filled in by the reader; no model that ran looks for them.",
    ]


def test_nothing_of_the_pancreas_where_none_was_measured() -> None:
    told = draft_of(of(finding(1, nodule(7.0)), model=report().model))
    assert "ancrea" not in told.findings_in(Language.EN) + told.impression_in(Language.EN)
    assert draft_of(of()).findings_in(Language.EN) == "No finding is described."


def test_the_gland_where_little_was_seen() -> None:
    unsure = PhaseEstimate(phase=Phase.UNKNOWN, why=Text(en="no aorta seen.", zh="未见主动脉。"))
    dark = Duct(why=Text(en="no dark line in the gland", zh="腺体内未见条状低密度影"))
    limits = (
        Text(en="slices of 5 mm.", zh="层厚 5 mm。"),
        Text(en="the tail is cut", zh="胰尾未全"),
    )
    said = gland_sentences(
        gland(
            thinnest_mm=None, duct=dark, phase=unsure,
            fitness=Fitness(slice_mm=5.0, whole_gland=False, limits=limits),
        ),
        60,
    )  # fmt: skip
    assert [text.en for text in said] == [
        "Pancreas: 71.3 ml, 168 mm along its centre line, parenchyma median 98 HU (SD 18). To be "
        "filled in by the reader: thickness of body and tail.",
        "Main duct: not seen (no dark line in the gland).",
        "Phase: not told from the images (no aorta seen). To be filled in by the reader: phase of "
        "contrast.",
        "Limits of this series: slices of 5 mm; the tail is cut.",
    ]
    assert said[3].zh == "本序列的局限：层厚 5 mm；胰尾未全。"


def test_a_narrow_duct_is_not_called_dilated() -> None:
    narrow = Duct(widest_mm=2.1, why=Text(en="-", zh="-"))
    assert gland_sentences(gland(duct=narrow), 60)[1] == Text(
        en="Main duct: up to 2.1 mm, not dilated.", zh="主胰管：最宽约 2.1 mm，未见扩张。"
    )


def test_a_wide_duct_that_does_not_count_is_called_neither() -> None:
    """Along a short stretch, or in the head only, where it may be the bile duct."""
    wide = gland(duct=Duct(widest_mm=7.0, widest_at=Part.HEAD, why=Text(en="-", zh="-")))
    told = gland_sentences(wide, 60)[1]
    assert told.en.startswith("Main duct: up to 7.0 mm in the head, wide along a short stretch")
    assert "dilated" not in told.en and "扩张" not in told.zh
    (row,) = (fact for fact in gland_facts(wide) if fact.key == "duct")
    assert "dilated" not in row.value.en and "bile duct" in row.value.en


def test_our_own_places_are_said_to_be_research_grade() -> None:
    shown = gland(places=(place(1), place(2, part=Part.TAIL, delta_hu=-41.4)), places_shown=True)
    last = gland_sentences(shown, 60)[-1]
    assert last.en == (
        "Research grade, no findings and no probabilities; places to look at: 1. Head, 11.0 mm, "
        "\u221228 HU against the parenchyma (slice 5 of 60); 2. Tail, 11.0 mm, \u221241 HU "
        "against the parenchyma (slice 5 of 60)."
    )
    assert last.zh.startswith(RESEARCH.zh) and "研究级" in last.zh
    nowhere = gland_sentences(gland(places_shown=True), 60)[-1]
    assert nowhere.en.startswith(RESEARCH.en) and "excludes nothing" in nowhere.en
    assert nowhere.zh.startswith(RESEARCH.zh) and "不能排除" in nowhere.zh
    told = draft_of(of(gland=shown))
    assert "Research" not in told.impression_in(Language.EN)
    assert "研究" not in told.impression_in(Language.ZH)
    assert "%" not in told.findings_in(Language.EN) + told.findings_in(Language.ZH)


def test_places_a_site_did_not_ask_for_are_not_told() -> None:
    hidden = gland(places=(place(1),), places_shown=False)
    assert not any("Research" in text.en for text in gland_sentences(hidden, 60))


@pytest.mark.parametrize(
    "made",
    [
        of(pancreatic(1), gland=gland(places=(place(),), places_shown=True)),
        of(pancreatic(1, described()), pancreatic(2, lesion()), gland=gland()),
        of(pancreatic(1, described()), pancreas_reading=free(liver_lesions="suspicious")),
        of(gland=gland(), model=ORGAN_ONLY),
    ],
)
def test_the_draft_is_in_both_languages(made: Report) -> None:
    told = draft_of(made)
    for text in (*told.findings, *told.impression):
        assert text.en.strip() and not CHINESE.search(text.en)
        assert CHINESE.search(text.zh)
        assert ".." not in text.en and "  " not in text.en and "。。" not in text.zh
        assert text.en.endswith(".") and text.zh.endswith("。")
