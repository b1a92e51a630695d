"""T1 from T2 from FLAIR: by words as scanners and people write them, by attributes, by times."""

from __future__ import annotations

from pathlib import Path

import pytest

from imaging.contrast import told_contrast
from imaging.headers import SeriesHeader, scan_files
from imaging.input_rule import InputRule
from imaging.mr_facts import MrFacts
from imaging.rules import judge
from imaging.series import group_series
from imaging.weighting import Weighting, read_words, weighting_of

T1, T2, FLAIR = Weighting.T1, Weighting.T2, Weighting.FLAIR
PD, OTHER, UNKNOWN = Weighting.PD, Weighting.OTHER, Weighting.UNKNOWN

WORDS = [
    ("AX T1 SE", T1), ("t1_mprage_tra_p2_iso", T1), ("SAG MP RAGE", T1), ("Ax 3D SPGR", T1),
    ("SAG BRAVO POST", T1), ("t1_fl3d_tra", T1), ("MP2RAGE_UNI", T1), ("T1Post2", T1),
    ("sT1W_3D_TFE_AX", T1), ("AX T1 FLAIR", T1), ("T1增强", T1), ("t1_vibe_fs_cor", T1),
    ("AX T2 FSE", T2), ("t2_tse_tra_448", T2), ("T2W_3D_DRIVE", T2), ("T2Post1", T2),
    ("2D_AX_T2_BLADE", T2), ("t2_haste_tra", T2), ("T2 SAG SPACE", T2),
    ("AX T2 FLAIR", FLAIR), ("t2_tirm_tra_dark-fluid", FLAIR), ("3D_SAG_T2_FLAIR", FLAIR),
    ("Ax Flair irFSE H", FLAIR), ("AX PD", PD), ("AX PD&T2 FSE", OTHER),
    ("AX T2* GRE", OTHER), ("T2STAR_TRANS", OTHER), ("COR GRE T2", OTHER), ("AX SWI", OTHER),
    ("ep2d_diff_3scan_trace_ADC", OTHER), ("AX DWI b1000", OTHER), ("DTI 30 dir", OTHER),
    ("ep2d_perf BOLUS", OTHER), ("TOF_3D_multi-slab", OTHER), ("t2_ci3d_tra", OTHER),
    ("AX 3D FIESTA", OTHER), ("STIR COR", OTHER), ("3-pl T2* FGRE S", OTHER),
    ("AAHead_Scout_MPR_sag", OTHER), ("T1 mprage post SUB", OTHER), ("T1 map", OTHER),
    ("AX T1 FAT SUPPRESS", T1), ("svs_press_30", OTHER), ("T2压水 横断", FLAIR),
    ("T2 横断 脂肪抑制", T2), ("弥散加权", OTHER), ("T2 灌注", OTHER), ("磁敏感成像", OTHER),
    ("T2 定位", OTHER), ("MP2RAGE_INV1", OTHER), ("Axial", UNKNOWN), ("", UNKNOWN),
    ("T1 and T2", UNKNOWN),
]  # fmt: skip


@pytest.mark.parametrize(("words", "meant"), WORDS)
def test_words(words: str, meant: Weighting) -> None:
    assert read_words(words) is meant


@pytest.mark.parametrize(
    ("words", "given"),
    [("AX T1 POST GAD", True), ("t1_tra_postGd", True), ("AX T1 +C", True), ("T1 SE C+", True),
     ("3D_AX_T1_postcontrast", True), ("t1_tse_ax_2mm_gad", True), ("T1 ax nach KM", True),
     ("COR_T1_C", True), ("T1增强", True), ("t1 axial stealth-post_T", True),
     ("AX T1 PRE", False), ("3D_AX_T1_precontrast", False), ("t1_tra_nativ", False),
     ("T1 w/o contrast", False), ("T1 平扫", False), ("T1 non-contrast", False),
     ("AX T1 PRESAT", None), ("AX T1", None), ("T1 post-op", None), ("T1 posterior fossa", None)],
)  # fmt: skip
def test_contrast_in_the_words_of_mr(words: str, given: bool | None) -> None:
    assert told_contrast(words, "MR") is given


def test_ct_keeps_its_own_words() -> None:
    assert told_contrast("Arterial 1.0", "CT") is True
    assert told_contrast("Arterial spin", "MR") is None


@pytest.mark.parametrize(
    ("kinds", "variant", "repetition", "echo", "inversion", "meant"),
    [(("SE",), (), 550, 12, None, T1), (("SE",), (), 4500, 98, None, T2),
     (("SE",), (), 2500, 20, None, PD), (("SE", "IR"), (), 9000, 110, 2500, FLAIR),
     (("SE", "IR"), (), 5000, 390, 1800, FLAIR), (("SE", "IR"), (), 4000, 60, 150, OTHER),
     (("SE", "IR"), (), 2000, 12, 860, T1), (("GR", "IR"), ("SP", "MP"), 1900, 2.5, 900, T1),
     (("GR",), ("SP",), 7.0, 3.0, None, T1), (("GR",), ("SP",), 600, 20, None, OTHER),
     (("GR",), ("SS",), 5, 2, None, OTHER), (("EP", "SE"), (), 8000, 90, None, OTHER),
     (("GR",), ("SP", "TOF"), 25, 5, None, OTHER), (("SE",), (), 1500, 45, None, UNKNOWN),
     (("RM",), (), 500, 10, None, UNKNOWN), (("SE",), (), None, None, None, UNKNOWN)],
)  # fmt: skip
def test_times_speak_where_words_do_not(
    kinds: tuple[str, ...], variant: tuple[str, ...], repetition: float | None,
    echo: float | None, inversion: float | None, meant: Weighting,
) -> None:  # fmt: skip
    facts = MrFacts("", kinds, variant, "", repetition, echo, inversion)
    assert weighting_of(_header("Series 5", facts)) is meant
    # Words go first.
    assert weighting_of(_header("AX T2 FSE", facts)) is T2


def test_an_inversion_for_fat_makes_no_flair() -> None:
    fat = MrFacts(inversion_ms=160.0)
    assert weighting_of(_header("t2_tirm_cor", fat)) is OTHER
    assert weighting_of(_header("t2_tirm_cor", MrFacts(inversion_ms=2500.0))) is FLAIR


def test_the_maker_s_name_of_the_sequence() -> None:
    assert weighting_of(_header("", MrFacts(sequence_name="*tfl3d1_16ns"))) is T1
    assert weighting_of(_header("", MrFacts(sequence_name="*epfid2d1_64"))) is OTHER


def _header(description: str, facts: MrFacts) -> SeriesHeader:
    return SeriesHeader("1", "1.1", "MR", "5", description, "BRAIN", "", "", mr=facts)


REAL = [
    ("nema_MR/BRTUM008", T1, True),
    ("nema_MR/BRFSMPRS", T1, True),
    ("dicom2nifti_philips_enhanced/anatomical/001/IM-0001-0170-0001.dcm", T1, False),
    ("dicom2nifti_philips_enhanced/dti/001/IM-0001-3835-0001.dcm", OTHER, False),
    ("dicom2nifti_philips_enhanced/fmri/001/IM-0001-9600-0001.dcm", OTHER, False),
    ("dcm_qa_enh/Siemens/XA10/6_1.dcm", OTHER, False),
    ("dcm_qa_enh/Philips/IM_0027_fMAP.dcm", OTHER, False),
]


@pytest.mark.parametrize(("name", "meant", "enhanced"), REAL)
def test_real_multi_frame_images(
    shared_data: Path, name: str, meant: Weighting, enhanced: bool
) -> None:
    path = shared_data / "protocol" / "enhanced_multiframe" / name
    assert path.is_file()
    *_, series = group_series(scan_files([path]))  # of a field map and its magnitude the latter
    assert weighting_of(series.header) is meant
    rule = InputRule(
        modality="MR", orientation="any", minimum_slices=1, maximum_slice_mm=9, derived=True,
        weighting="T1", contrast="with",
    )  # fmt: skip
    found = judge(series.header, series.slices, rule)
    score, codes = found.score, {item.code for item in found.notices}
    if meant is not T1:
        assert (score, codes) == (0, {"wrong-weighting"})
    elif enhanced:
        assert (score > 0) == (len(series.slices) > 1) == (codes != {"irregular-geometry"})
    else:
        assert (score, codes) == (0, {"contrast-wanted"})


def test_an_enhanced_image_names_its_agent_and_body_part_in_sequences(shared_data: Path) -> None:
    path = shared_data / "protocol" / "enhanced_multiframe" / "nema_MR" / "BRTUM008"
    (series,) = group_series(scan_files([path]))
    assert series.header.contrast == "Dimeglumine gadopentetate"
    assert series.header.body_part == "Brain"
    assert series.header.mr.repetition_ms == 450
    assert series.header.mr.echo_ms == pytest.approx(20)
    assert series.header.mr.inverted is False
