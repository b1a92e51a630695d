"""Models that are brought, and how each is described at first."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from models.errors import SpecError
from models.spec import CATALOG, check_usable, find_spec, look_up, read_spec, verify_files
from pacs_bridge.errors import LibraryError
from tests.unit.models.made import write_model
from tests.unit.pacs_bridge.bundles_made import (
    WEIGHTS,
    fill_in,
    leftovers,
    library_in,
    make_bundle,
    make_nnunet,
    names_in,
    no,
    yes,
    zipped,
)


def test_a_bundle_is_added_with_a_first_description(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    bundle = make_bundle(tmp_path / "my_bundle")
    (bundle / "models" / "__pycache__").mkdir()
    added = library.add(str(bundle), no)
    folder = tmp_path / "data" / "models" / "my_bundle"
    assert added.spec == read_spec(folder)
    spec = added.spec
    assert (spec.version, spec.task, spec.network.kind) == ("1.2.0", "segmentation", "monai-bundle")
    assert spec.network.config == "configs/inference.json"
    assert spec.intended_use.en.startswith("This is an example")
    (label,) = spec.labels
    assert (label.index, label.kind, label.code.value) == (1, "organ", "78961009")
    assert label.name.zh == "脾", "the catalogue knows the spleen"
    assert spec.files["models/model.pt"] == "models/model.pt"
    assert spec.sha256["models/model.pt"] == hashlib.sha256(WEIGHTS).hexdigest()
    assert set(spec.files) == {"models/model.pt", "configs/inference.json", "configs/metadata.json"}
    assert (folder / "docs" / "README.md").is_file()
    assert not (folder / "models" / "__pycache__").exists()
    verify_files(spec)
    assert names_in(library.folder) == {"my_bundle"}
    assert leftovers(library.folder) == []
    assert bundle.is_dir(), "what was brought stays where it was"


def test_it_says_what_a_person_must_fill_in_and_waits_for_it(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    labels = {"0": "background", "1": "spleen", "2": "gizzard stone"}
    added = library.add(str(make_bundle(tmp_path / "bird", labels=labels)), yes)
    wanted = {
        "title.zh", "limits.en", "limits.zh", "intended_use.zh", "labels.1.code.value",
        "labels.1.site.value", "labels.1.name.zh", "input", "labels",
        "operating_point.score_threshold",
    }  # fmt: skip
    assert wanted <= set(added.spec.unfilled)
    assert any("fill in or check" in note for note in added.notes)
    with pytest.raises(SpecError, match=r"bird/preread\.toml.*labels\.1\.code\.value") as caught:
        find_spec("bird", [library.folder])
    assert "preread models show bird" in str(caught.value)
    assert look_up("bird", [library.folder]).labels[1].name.en == "gizzard stone"
    fill_in(library.folder / "bird")
    assert find_spec("bird", [library.folder]).unfilled == ()


def test_many_gaps_make_no_endless_message(tmp_path: Path) -> None:
    labels = {"0": "background"} | {str(n): f"part {n}" for n in range(1, 60)}
    added = library_in(tmp_path).add(str(make_bundle(tmp_path / "b", labels=labels)), yes)
    with pytest.raises(SpecError, match=r"and \d+ more") as caught:
        check_usable(added.spec)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("base", [True, False])
def test_a_zip_of_a_bundle(tmp_path: Path, base: bool) -> None:
    archive = zipped(
        make_bundle(tmp_path / "b" / "liver"), tmp_path / "liver_v1.2.0.zip", base=base
    )
    added = library_in(tmp_path).add(str(archive), yes)
    assert added.spec.name == "liver"
    verify_files(added.spec)


def test_several_series_become_roles(tmp_path: Path) -> None:
    bundle = make_bundle(
        tmp_path / "brain", modality="MR", channels={"0": "T1c", "1": "FLAIR"},
        labels={"0": "Tumor core", "1": "Whole tumor"},
    )  # fmt: skip
    spec = library_in(tmp_path).add(str(bundle), yes).spec
    assert [(s.role, s.input.modality) for s in spec.series] == [("T1c", "MR"), ("FLAIR", "MR")]
    assert {label.index: label.name.en for label in spec.labels} == {
        1: "Tumor core",
        2: "Whole tumor",
    }
    assert {label.kind for label in spec.labels} == {"lesion"}
    assert "series" in spec.unfilled
    assert spec.registration.method == "rigid"
    told = (spec.folder / "preread.toml").read_text(encoding="utf-8")
    assert 'in place of include: weighting = "FLAIR"' in told


def test_series_of_ct_stand_as_their_headers_say(tmp_path: Path) -> None:
    """Only MR of a head is laid over one another by its images."""
    bundle = make_bundle(
        tmp_path / "liver", channels={"0": "arterial", "1": "portal"}, labels={"1": "Tumor"}
    )
    spec = library_in(tmp_path).add(str(bundle), yes).spec
    assert [s.role for s in spec.series] == ["arterial", "portal"]
    assert spec.registration.method == "none"


@pytest.mark.parametrize("packed", [True, False])
def test_an_nnunet_export(tmp_path: Path, packed: bool) -> None:
    made = make_nnunet(tmp_path / "export", "2d", "3d_fullres", folds=2)
    source = zipped(made, tmp_path / "export.zip", base=False) if packed else made
    added = library_in(tmp_path).add(str(source), yes)
    spec = added.spec
    assert spec.name == "Dataset007_Pancreas"
    assert (spec.network.kind, spec.task, spec.input.modality) == ("nnunet", "segmentation", "CT")
    assert [label.index for label in spec.labels] == [1, 2, 3]
    assert [label.kind for label in spec.labels] == ["organ", "lesion", "organ"]
    assert spec.labels[1].code.value == "108369006"
    assert any("only nnUNetTrainer__nnUNetPlans__3d_fullres was taken" in n for n in added.notes)
    assert "fold_1/checkpoint_final.pth" in spec.files
    assert {"plans.json", "dataset.json"} <= set(spec.files)
    if not packed:
        assert not list(spec.folder.rglob("checkpoint_best.pth")), "none of it is run"
        assert not list(spec.folder.rglob("validation"))


def test_regions_of_nnunet_have_the_values_of_their_order(tmp_path: Path) -> None:
    made = make_nnunet(tmp_path / "export")
    (path,) = made.rglob("dataset.json")
    values = {
        "channel_names": {"0": "T1", "1": "T2"},
        "labels": {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "ignore": 4},
        "regions_class_order": [1, 2],
    }
    path.write_text(json.dumps(values))
    spec = library_in(tmp_path).add(str(made), yes, name="glioma").spec
    assert {label.index: label.name.en for label in spec.labels} == {1: "whole", 2: "core"}
    assert [series.role for series in spec.series] == ["T1", "T2"]


def test_the_catalogue_s_description_fits_what_is_brought_for_it(tmp_path: Path) -> None:
    made = make_nnunet(tmp_path / "export")
    spec = library_in(tmp_path).add(str(made), yes, name="panorama_pancreas_nnunet").spec
    assert spec.unfilled == ()
    assert spec.labels == read_spec(CATALOG / "panorama_pancreas_nnunet").labels
    assert spec.installed
    assert spec.origin is None
    find_spec(spec.name, [tmp_path / "data" / "models"])


def test_a_bundle_of_the_catalogue_of_another_version_is_described_anew(tmp_path: Path) -> None:
    same = make_bundle(tmp_path / "a" / "spleen_ct_segmentation", version="0.5.9")
    assert library_in(tmp_path / "1").add(str(same), yes).spec.unfilled == ()
    other = make_bundle(tmp_path / "b" / "spleen_ct_segmentation", version="9.0.0")
    assert library_in(tmp_path / "2").add(str(other), yes).spec.unfilled != ()


def test_an_onnx_network_gets_a_recipe_to_be_checked(tmp_path: Path) -> None:
    source = CATALOG / "lung_nodule_reference" / "mask.onnx"
    spec = library_in(tmp_path).add(str(source), yes, name="cubes").spec
    assert spec.network.kind == "onnx"
    assert spec.files == {"network": "mask.onnx"}
    assert spec.recipe is not None
    assert spec.recipe.finish.select == "threshold", "one channel: a probability"
    assert {"recipe.prepare", "recipe.windows", "recipe.finish"} <= set(spec.unfilled)


def test_an_onnx_network_s_own_weights_file_comes_along(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(CATALOG / "lung_nodule_reference" / "mask.onnx", tmp_path / "in" / "mask.onnx")
    (tmp_path / "in" / "mask.onnx.data").write_bytes(WEIGHTS)
    spec = library_in(tmp_path).add(str(tmp_path / "in" / "mask.onnx"), yes, name="cubes").spec
    assert spec.files == {"network": "mask.onnx", "mask.onnx.data": "mask.onnx.data"}


def test_a_finished_model_is_taken_as_it_is(tmp_path: Path) -> None:
    made = write_model(tmp_path / "finished")
    (made / "MODEL_CARD.md").write_text("# Card")
    library = library_in(tmp_path)
    spec = library.add(str(made), yes).spec
    assert spec.model_dump() == read_spec(made).model_dump()
    assert (spec.folder / "MODEL_CARD.md").read_text() == "# Card"
    assert library.add(str(made), yes, name="second").spec.name == "second"
    (made / "mask.onnx").write_bytes(b"other")
    with pytest.raises(SpecError, match="SHA-256"):
        library.add(str(made), yes, name="third")
    assert names_in(library.folder) == {"finished", "second"}


def _damaged(text: str) -> Callable[[Path], object]:
    return lambda folder: (make_bundle(folder) / "configs" / "metadata.json").write_text(text)


def test_a_description_beside_a_bundle_gets_its_hashes(tmp_path: Path) -> None:
    """What a partner sends: the finished preread.toml of the catalogue, put into a bundle."""
    bundle = make_bundle(tmp_path / "spleen_ct_segmentation")
    shutil.copy(CATALOG / "spleen_ct_segmentation" / "preread.toml", bundle)
    spec = library_in(tmp_path).add(str(bundle), yes).spec
    assert spec.unfilled == ()
    assert "models/model.pt" in spec.files
    verify_files(spec)


def test_a_model_on_a_triton_server_is_a_description_alone(tmp_path: Path) -> None:
    made = write_model(tmp_path / "remote")
    text = (made / "preread.toml").read_text(encoding="utf-8").split("[files]")[0]
    network = '[network]\nkind = "triton"\nurl = "grpc://gpu:8001"\nmodel = "lung"\n'
    for path in made.iterdir():
        path.unlink()
    (made / "preread.toml").write_text(text + network, encoding="utf-8")
    spec = library_in(tmp_path).add(str(made), yes).spec
    assert (spec.files, spec.installed) == ({}, True)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.mkdir(), "no model is recognised.*MONAI.*nnU-Net"),
        (lambda path: path.write_bytes(b"x"), "neither a zip nor a network"),
        (lambda path: None, "no such file or folder"),
        (_damaged("{"), "metadata.json.*JSON"),
        (_damaged("[]"), "not a table"),
    ],
)
def test_what_is_no_model_is_said(
    tmp_path: Path, make: Callable[[Path], object], said: str
) -> None:
    make(tmp_path / "thing")
    library = library_in(tmp_path)
    with pytest.raises((SpecError, LibraryError), match=said) as caught:
        library.add(str(tmp_path / "thing"), yes)
    assert "thing" in str(caught.value)
    assert not library.folder.exists() or names_in(library.folder) == set()


def test_weights_without_their_network_say_what_to_bring(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.save({"layer.weight": torch.zeros(3)}, tmp_path / "model.pt")
    with pytest.raises(SpecError, match=r"weights without their network.*torch\.jit\.save"):
        library_in(tmp_path).add(str(tmp_path / "model.pt"), yes)
    traced = torch.jit.trace(torch.nn.Conv3d(1, 3, 1), torch.zeros(1, 1, 8, 8, 8))
    metadata = json.loads((make_bundle(tmp_path / "b") / "configs/metadata.json").read_text())
    torch.jit.save(
        traced, tmp_path / "net.ts", _extra_files={"metadata.json": json.dumps(metadata)}
    )
    spec = library_in(tmp_path).add(str(tmp_path / "net.ts"), yes).spec
    assert (spec.network.kind, spec.files) == ("torchscript", {"network": "net.ts"})
    assert spec.labels[0].name.en == "Spleen", "the bundle's metadata lies inside the archive"
    assert spec.recipe is not None
    assert spec.recipe.windows.patch == (96, 96, 96)


@pytest.mark.parametrize(
    "odd",
    [
        {"name": 3, "version": ["x"]},
        {"network_data_format": "no"},
        {"network_data_format": {"outputs": {"pred": {"channel_def": {"a": 1, "1": None}}}}},
    ],
)
def test_odd_metadata_makes_gaps_not_crashes(tmp_path: Path, odd: dict[str, object]) -> None:
    bundle = make_bundle(tmp_path / "b")
    (bundle / "configs" / "metadata.json").write_text(json.dumps(odd))
    spec = library_in(tmp_path).add(str(bundle), yes).spec
    assert spec.labels
    assert spec.unfilled


def test_texts_of_others_stay_texts(tmp_path: Path) -> None:
    """Quotes, brackets and lines in a bundle's words can't become keys of ours."""
    bundle = make_bundle(tmp_path / "b", labels={"1": 'a" }\n[operating_point]\nx = "\\\x7f'})
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    metadata |= {"description": "x\nname = 'evil'", "intended_use": "\x00\x1b[31m\u2028 '''"}
    (bundle / "configs" / "metadata.json").write_text(json.dumps(metadata))
    spec = library_in(tmp_path).add(str(bundle), yes).spec
    assert spec.name == "b"
    assert spec.labels[0].name.en.startswith('a" } [operating_point]')
