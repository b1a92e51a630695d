"""The catalogue's descriptions, held against the bundles' own files and against DICOM's codes."""

from __future__ import annotations

import json
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydicom.sr import _concepts_dict

from models.errors import SpecError
from models.intake.brought import read_said, recognise
from models.intake.zoo import zoo_address
from models.sections import Label
from models.spec import CARD_NAME, CATALOG, ModelSpec, check_usable, find_spec, read_spec

ZOO = (
    "brats_mri_segmentation",
    "lung_nodule_ct_detection",
    "pancreas_ct_dints_segmentation",
    "spleen_ct_segmentation",
    "swin_unetr_btcv_segmentation",
    "vista3d",
    "wholeBody_ct_segmentation",
)
NNUNET = "panorama_pancreas_nnunet"
SHIPPED = ("lung_nodule_reference", "pancreas_reference")

# SNOMED CT codes that DICOM's own tables (PS3.16, as pydicom has them) don't list.
OTHER_CODES = {
    "9846003": "Right kidney",
    "18639004": "Left kidney",
    "41224006": "Lower lobe of left lung",
    "42400003": "Upper lobe of right lung",
    "266005": "Lower lobe of right lung",
    "74281007": "Myocardium",
    "110765007": "Portal vein and splenic vein",
    "65985001": "S1 vertebra",
    "244849004": "Deep muscle of back",
    "181674001": "Gluteus maximus muscle",
    "78333006": "Gluteus medius muscle",
    "75297007": "Gluteus minimus muscle",
    "68455001": "Iliopsoas muscle",
    "48535007": "First rib",
    "78247007": "Second rib",
    "25888004": "Third rib",
    "25523003": "Fourth rib",
    "15339008": "Fifth rib",
    "59558009": "Sixth rib",
    "24915002": "Seventh rib",
    "5953002": "Eighth rib",
    "22565002": "Ninth rib",
    "77644006": "Tenth rib",
    "58830002": "Eleventh rib",
    "43993008": "Twelfth rib",
}


def shipped() -> list[ModelSpec]:
    return [read_spec(folder) for folder in sorted(CATALOG.glob("*/"))]


@pytest.fixture(params=ZOO)
def zoo(request: pytest.FixtureRequest) -> ModelSpec:
    return read_spec(CATALOG / request.param)


@pytest.fixture
def bundles(shared_data: Path) -> Path:
    folder = shared_data / "bundles"
    assert folder.is_dir(), f"{folder} is missing"
    return folder


def test_the_catalogue_is_what_it_should_be() -> None:
    assert {spec.name for spec in shipped()} == {*ZOO, NNUNET, *SHIPPED}


def test_nothing_is_left_to_be_filled_in() -> None:
    for spec in shipped():
        assert spec.unfilled == (), spec.name
        for text in (spec.title, spec.intended_use, spec.limits):
            assert re.search("[一-鿿]", text.zh), spec.name
            assert len(text.en) > 10, spec.name
        for label in spec.labels:
            assert re.search("[一-鿿]", label.name.zh), label
            assert re.search("[一-鿿]", label.code.meaning.zh), label


def test_only_ours_ships_with_weights() -> None:
    assert [spec.name for spec in shipped() if spec.installed] == [*SHIPPED]
    for name in SHIPPED:
        assert (CATALOG / name / CARD_NAME).is_file()
        check_usable(find_spec(name))
    for name in ZOO:
        with pytest.raises(SpecError, match=f"`preread models pull {name}`"):
            find_spec(name)
    with pytest.raises(SpecError, match=f"`preread models add EXPORT --name {NNUNET}`"):
        find_spec(NNUNET)


def test_address_version_and_hash_are_the_publisher_s(zoo: ModelSpec, bundles: Path) -> None:
    latest = json.loads((bundles / "model_info_latest.json").read_text(encoding="utf-8"))
    entry = latest[f"{zoo.name}_v{zoo.version}"]
    assert zoo.origin is not None
    assert (zoo.origin.url, zoo.origin.sha1) == (entry["source"], entry["checksum"])
    assert zoo.origin.version == zoo.version


def test_address_is_the_one_that_monai_builds(zoo: ModelSpec) -> None:
    pytest.importorskip("monai", reason="MONAI is not installed")
    assert zoo.origin is not None
    assert zoo_address(zoo.name, zoo.version) == zoo.origin.url


def test_kind_modality_and_labels_are_the_bundle_s(zoo: ModelSpec, bundles: Path) -> None:
    brought = recognise(bundles / zoo.name)
    said = read_said(brought)
    assert brought.kind == zoo.network.kind
    assert said.version == zoo.version
    assert said.config == zoo.network.config
    assert said.task == zoo.task
    rules = [series.input for series in zoo.series] or [zoo.input]
    assert {rule.modality for rule in rules} == {said.modality}
    assert tuple(s.role for s in zoo.series) == (said.channels if zoo.series else ())
    assert len(said.channels) == max(len(zoo.series), 1)
    if zoo.name == "brats_mri_segmentation":
        # The bundle's last step writes the values 4, 1 and 2 for its three channels.
        config = json.loads((bundles / zoo.name / zoo.network.config).read_text(encoding="utf-8"))
        (last,) = [s["func"] for s in config["postprocessing"]["transforms"] if "func" in s]
        values = {int(n) for n in re.findall(r"> 0, (\d)", last)}
        assert {label.index for label in zoo.labels} == values == {1, 2, 4}
        return
    assert {label.index for label in zoo.labels} == set(said.labels)


@cache
def words(name: str) -> frozenset[str]:
    same = {"kideny": "kidney", "vena": "vein", "ivc": "inferior vein cava", "tumour": "tumor",
            "clavicula": "clavicle", "autochthon": "muscles", "veins": "vein",
            "oesophagus": "esophagus", "vertebrae": "vertebra", "primaries": "primary"}  # fmt: skip
    found = re.findall(r"[a-z]+\d*|\d+", name.lower().replace("_", " "))
    return frozenset(word for each in found for word in same.get(each, each).split())


def test_each_name_is_the_bundle_s_in_other_words(bundles: Path) -> None:
    """No label is shifted by one: each name shares its words with the bundle's own."""
    for name in ("swin_unetr_btcv_segmentation", "wholeBody_ct_segmentation", "vista3d"):
        said = read_said(recognise(bundles / name))
        for label in read_spec(CATALOG / name).labels:
            theirs, ours = words(said.labels[label.index]), words(label.name.en)
            number = {w for w in theirs if re.search(r"\d", w)}
            side = theirs & {"left", "right"}
            assert side <= ours, (said.labels[label.index], label.name.en)
            for wanted in number:
                assert re.search(rf"\b{wanted}(st|nd|rd|th)?\b", label.name.en, re.IGNORECASE)
            rest = theirs - side - number
            assert rest & ours, (said.labels[label.index], label.name.en)


def test_sides_agree_in_both_languages() -> None:
    for spec in shipped():
        for label in spec.labels:
            for english, chinese in (("left", "左"), ("right", "右")):
                if re.search(rf"\b{english}\b", label.name.en, re.IGNORECASE):
                    assert chinese in label.name.zh, (spec.name, label.name)


@cache
def dicom_codes() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    table: dict[str, dict[str, Any]] = _concepts_dict.concepts["SCT"]
    for codes in table.values():
        for value, (meaning, _) in codes.items():
            found.setdefault(value, set()).add(meaning)
    return found


def test_every_code_is_snomed_s_for_what_it_says() -> None:
    for spec in shipped():
        for label in spec.labels:
            for code in (label.code, label.site):
                assert code.scheme == "SCT"
                assert verhoeff(code.value), (spec.name, code)
                if code.value in OTHER_CODES:
                    assert code.meaning.en == OTHER_CODES[code.value]
                    continue
                meanings = dicom_codes().get(code.value)
                assert meanings, f"{spec.name}: {code} is in no table of DICOM"
                known = {word for m in meanings for word in re.findall("[a-z0-9]+", m.lower())}
                ours = set(re.findall("[a-z0-9]+", code.meaning.en.lower()))
                assert ours <= known, f"{spec.name}: {code} means {meanings}"


def verhoeff(value: str) -> bool:
    """SNOMED CT identifiers end in a Verhoeff check digit."""

    def turned(a: int, b: int) -> int:
        """a after b in the symmetries of a pentagon."""
        if a < 5:
            return (a + b) % 5 if b < 5 else 5 + (a + b) % 5
        return 5 + (a - b) % 5 if b < 5 else (a - b) % 5

    step = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]
    check = 0
    for place, digit in enumerate(reversed(value)):
        shown = int(digit)
        for _ in range(place % 8):
            shown = step[shown]
        check = turned(check, shown)
    return check == 0


def test_the_check_digit_is_checked() -> None:
    assert verhoeff("15776009")
    assert not verhoeff("15776008")
    assert not verhoeff("38360009")


def test_licences_are_said(bundles: Path) -> None:
    for name in ZOO:
        origin = read_spec(CATALOG / name).origin
        assert origin is not None
        text = (bundles / name / "LICENSE").read_text(encoding="utf-8")
        limited = "non-commercially" in text
        assert origin.non_commercial == limited, name
        if limited:
            assert origin.licence_note is not None
            assert "commercial" in origin.licence_note.en
            assert "商业" in origin.licence_note.zh
        else:
            assert origin.licence == "Apache-2.0"


def test_prompts_are_trained_ones() -> None:
    spec = read_spec(CATALOG / "vista3d")
    names = {label.name.en for label in asked(spec)}
    assert {"Lung tumor", "Pancreatic tumor", "Pancreas", "Liver"} <= names
    assert all(label.kind != "ignored" for label in asked(spec))
    assert len([label for label in spec.labels if label.kind != "ignored"]) == 127


def asked(spec: ModelSpec) -> list[Label]:
    return [label for label in spec.labels if label.index in spec.network.prompts]


def test_every_lesion_has_an_organ() -> None:
    for spec in shipped():
        for label in spec.labels:
            if label.kind == "lesion":
                assert label.code.value != label.site.value, (spec.name, label.name.en)


def test_each_opens_its_bundle(zoo: ModelSpec, bundles: Path, tmp_path: Path) -> None:
    """The published files with the catalogue's own keys: how they are run can be read."""
    pytest.importorskip("monai", reason="MONAI is not installed")
    from models.bundle import open_bundle
    from models.runtime.source import TorchNetwork

    folder = tmp_path / zoo.name
    shutil.copytree(bundles / zoo.name, folder)
    (folder / "models").mkdir()
    for name in ("model.pt", "search_code_18590.pt"):
        (folder / "models" / name).write_bytes(b"")
    opened = open_bundle(folder, zoo.network)
    assert isinstance(opened.source, TorchNetwork)
    assert opened.source.channels == max(len(zoo.series), 1)
    assert opened.source.fixed == zoo.network.fixed_patch
    merged = getattr(getattr(opened.plan, "finish", None), "merge", ())
    if merged:
        assert {value for _, value in merged} == {label.index for label in zoo.labels}
