"""What descriptions of real series say: kind, plane, part of the body, phase, kernel."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from imaging.contrast import Phase, told_contrast, told_phase
from imaging.kernels import Sharpness, is_sharp_kernel, sharpness_of, told_sharpness
from imaging.series_words import Kind, Plane, kind_of, names_part, plane_of, regions_of

KINDS = [
    ("Topogram  0.6  T20s", Kind.LOCALIZER),
    ("SupineAPTopo  0.6", Kind.LOCALIZER),
    ("SCOUT AP/LAT", Kind.LOCALIZER),
    ("AP/LAT", Kind.LOCALIZER),
    ("定位像", Kind.LOCALIZER),
    ("3-plane loc", Kind.LOCALIZER),
    # AP is abdomen and pelvis, localization is done with a needle.
    ("AP", Kind.SCAN),
    ("LOCALIZATION", Kind.SCAN),
    ("LATERAL DECUBITUS LOW DOSE COLON", Kind.PRONE),
    ("PRONE EXPIRATION", Kind.EXPIRATION),
    ("HRCT 呼气", Kind.EXPIRATION),
    ("INSPIRATION", Kind.SCAN),
    ("VI Snapshot (54)", Kind.CAPTURE),
    ("SnapShot Pulse 75%", Kind.SCAN),
    ("TestBolus  10.0  B30f", Kind.TRACKING),
    ("CR Detect Index", Kind.PAGE),
    ("SOFT_TISSUE_CHEST_CAD", Kind.SCAN),
    ("ISPY2: VOLSER: uni-lateral cropped: PE2", Kind.DERIVED),
    ("ISPY2: VOLSER: uni-lateral cropped: original DCE", Kind.SCAN),
    ("(5419/105/25)-(5419/103/25)", Kind.DERIVED),
    ("ep2d_diff_tra_DYNDISTCALC_BVAL", Kind.DERIVED),
    ("AX Diffusion _EXP", Kind.DERIVED),
    ("ASSET CALIBRATION", Kind.RAW),
    ("Smart Prep Series", Kind.TRACKING),
    ("PreMonitoring  9.6  B20s", Kind.TRACKING),
    ("Contrast/Bolus Agent: NONIONIC", Kind.SCAN),
    ("AXIAL  MIP 1 X 8", Kind.PROJECTION),
    ("Body_7_0_Ax_MIP_CE", Kind.PROJECTION),
    ("Ave-IP(10) 0%_10%_20%", Kind.PROJECTION),
    ("CHEST_MinIP", Kind.PROJECTION),
    ("VRT IMAGES", Kind.RENDERING),
    ("Patient Protocol", Kind.PAGE),
    ("Dose Report", Kind.PAGE),
    ("TEST DOSE", Kind.TRACKING),
    ("Low Dose Images", Kind.SCAN),
    ("Screen Save", Kind.CAPTURE),
    ("Full dose projections", Kind.RAW),
    ("Calcium Suppression 75 Index[HU*]", Kind.DERIVED),
    ("SPGR FAT/SUPPRESSION POST#1", Kind.SCAN),
    ("t1_fl3d_tra fs_dyn CM_SUB", Kind.DERIVED),
    ("MiednicaPOZNE  5.0  MPR  sag", Kind.REFORMAT),
    ("RFMT", Kind.REFORMAT),
    ("Range-CT WB  1.0  B30f-Tra-<ALPHA Range>", Kind.REFORMAT),
    ("i-Spiral  3.0  B30f", Kind.INTERVENTION),
    ("Bx_Drainage_4_8_B31s", Kind.INTERVENTION),
    ("CT Atten Cor Head In", Kind.ATTENUATION),
    ("CT WB  FUSION2mm", Kind.ATTENUATION),
    ("LUNG_WINDOWS", Kind.SCAN),
    ("THINS FOR 3D", Kind.SCAN),
    ("", Kind.SCAN),
]  # fmt: skip


@pytest.mark.parametrize(("said", "kind"), KINDS)
def test_what_a_series_is(said: str, kind: Kind) -> None:
    assert kind_of(said) is kind
    assert kind.text.en and kind.text.zh


@pytest.mark.parametrize(
    ("said", "plane"),
    [
        ("COR_BODY", Plane.CORONAL), ("CH_SAG", Plane.SAGITTAL), ("AX_PV_3x3", Plane.AXIAL),
        ("CT Atten Cor Head In", None), ("CORONARY CTA", None), ("SAGITAL", Plane.SAGITTAL),
        ("冠状位重组", Plane.CORONAL), ("CHEST", None),
    ],
)  # fmt: skip
def test_planes(said: str, plane: Plane | None) -> None:
    assert plane_of(said) is plane


@pytest.mark.parametrize(
    ("said", "parts"),
    [
        ("C_A_P_WITH", {"chest", "abdomen", "pelvis"}),
        ("CT WB  3.0", {"chest", "abdomen", "pelvis"}),
        ("A/P (RENAL)", {"abdomen"}), ("CHEST & DELAY BLADDER", {"chest", "pelvis"}),
        ("胸部平扫", {"chest"}), ("STANDARD", set()), ("SAG L-SPINE", {"spine"}),
        ("MEDIASTINUM_THIN", {"chest"}), ("CT LEGS  4.0  B30f", {"limb"}), ("DEL KUB", {"abdomen"}),
        ("PANC_ART_3_0_B30f", {"abdomen"}),
    ],
)  # fmt: skip
def test_parts_of_the_body(said: str, parts: set[str]) -> None:
    assert regions_of(said) == parts


def test_a_pattern_holds_for_other_words_for_the_same_part() -> None:
    assert names_part("chest|lung", "C/A/P")
    assert names_part("chest|lung", "Thorax W  5.0")
    assert not names_part("chest|lung", "PRE LIVER")
    assert not names_part("chest|lung", "")
    assert names_part("abd|liver", "A/P DELAYS")
    assert not names_part("prosta", "CAP"), "an organ is not the part it lies in"


PHASES = [
    ("PRE-CONTRAST", Phase.PLAIN, False),
    ("GK nativ 3 s", Phase.PLAIN, False),
    ("SUPINE C- LOW DOSE COLON", Phase.PLAIN, False),
    ("CAP WO", Phase.PLAIN, False),
    ("PRE LIVER", Phase.PLAIN, False),
    ("Contrast/Bolus Agent: NO ENTRY", Phase.PLAIN, False),
    ("UNENHANCED Body 5.0 CE", Phase.PLAIN, False),
    ("Pre Procedure", None, None),
    ("Body_3_0_CE", None, True),
    ("CAP W  5.0  B31f", None, True),
    ("with non-ionic contrast", None, True),
    ("POST CHEST/ABDOMEN/PELVIS", None, True),
    ("POST OP DAY 3", None, None),
    ("ABDOMEN W/WO", None, None),
    ("C-A-P", None, None),
    ("COR ABD PV", Phase.PORTAL, True),
    ("Faza zylna  5.0", Phase.PORTAL, True),
    ("65s Portal  3.0  B40f", Phase.PORTAL, True),
    ("70_SEC_DELAY_iDose_3_", Phase.PORTAL, True),
    ("25_SEC_DELAY_iDose_3_", Phase.ARTERIAL, True),
    ("Late Art. phase  3.0  B40f", Phase.ARTERIAL, True),
    ("3 MIN DELAY", Phase.DELAYED, True),
    ("8_X_4_MIN", None, None),
    ("MiednicaPOZNE  1.5  I30f", Phase.DELAYED, True),
    ("ART/VEN AXIAL THIN", None, True),
    ("延迟期", Phase.DELAYED, True),
    ("LUNG 5 MM", None, None),
]  # fmt: skip


@pytest.mark.parametrize(("said", "phase", "given"), PHASES)
def test_contrast_and_phase_of_ct(said: str, phase: Phase | None, given: bool | None) -> None:
    assert told_phase(said) is phase
    assert told_contrast(said, "CT") is given


@pytest.mark.parametrize(
    ("kernel", "found"),
    [
        ("STANDARD", "soft"), ("LUNG", "sharp"), ("BONEPLUS", "sharp"), ("B30f", "soft"),
        ("B50f", "sharp"), ("Br40d\\3", "soft"), ("Bl57d", "sharp"), ("I70f/3", "sharp"),
        ("Qr40", "soft"), ("FC10", "soft"), ("FC51", "sharp"), ("FC82", "sharp"), ("C", "soft"),
        ("D", "sharp"), ("", "unknown"), ("EXPERIMENTAL7", "unknown"), ("B_SHARP_C", "sharp"),
        ("B_SOFT_B", "soft"),
    ],
)  # fmt: skip
def test_makers_kernels(kernel: str, found: str) -> None:
    assert sharpness_of(kernel) == found
    assert is_sharp_kernel(kernel) == (found == "sharp")


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("Thorax  1.0  B70f", Sharpness.SHARP), ("LUNG 5 MM", Sharpness.SHARP),
        ("SOFT TISSUE Lung 3.0", Sharpness.SOFT), ("5mm Stnd SS50", Sharpness.SOFT),
        ("肺窗", Sharpness.SHARP), ("CHEST", Sharpness.UNKNOWN), ("ST+ N14", Sharpness.SOFT),
    ],
)  # fmt: skip
def test_kernels_by_words(said: str, found: Sharpness) -> None:
    assert told_sharpness(said) is found


def test_descriptions_drawn_by_chance_are_read_as_a_person_reads_them() -> None:
    """The kinds of the labelled sample, whose figures ``benchmarks/series_selection.py`` prints."""
    table = Path(__file__).parents[3] / "benchmarks" / "series_labelled.csv"
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    wrong = Counter(
        row["modality"] for row in rows if kind_of(row["description"]).value != row["kind"]
    )
    assert len(rows) == 345
    assert wrong["CT"] <= 2 and wrong["MR"] <= 5
    planes = [(plane_of(r["description"]), r["plane"]) for r in rows if r["modality"] == "CT"]
    assert all((found.value if found else "-") == said for found, said in planes)
