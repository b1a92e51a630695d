"""`preread.toml`: read, checked, and each mistake named with its file and key."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from models.errors import SpecError
from models.spec import find_spec, list_specs, look_up, model_folders, read_spec, verify_files
from tests.unit.models.made import SPEC, write_model


def edited(folder: Path, old: str, new: str) -> Path:
    path = folder / "preread.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "some-model")


def test_what_is_written_is_read(model: Path) -> None:
    spec = read_spec(model)
    assert (spec.name, spec.version) == ("some-model", "1.0")
    assert spec.title.zh == "测试"
    assert spec.input.minimum_slices == 20
    assert spec.operating_point.score_threshold == 0.5
    assert spec.operating_point.mask_threshold == 0.5
    assert spec.path_of("detector") == model / "detector.onnx"
    assert not spec.fake
    verify_files(spec)


MISTAKES = [
    ('version = "1.0"', "", "version"),
    ('version = "1.0"', 'version = "1.0"\nspeed = 3', "speed"),
    ("score_threshold = 0.5", "score_threshold = 1.5", "operating_point.score_threshold"),
    ("score_threshold = 0.5", "score_treshold = 0.5", "operating_point.score_treshold"),
    ("minimum_slices = 20", 'minimum_slices = "many"', "input.minimum_slices"),
    ("minimum_slices = 20", "minimum_slcies = 20", "input.minimum_slcies"),
    ('task = "lung-nodules"', 'task = "toast"', "task"),
    ('name = "some-model"', 'name = "Some Model"', "name"),
    ('name = "some-model"', 'name = "other-model"', "other-model.*some-model"),
    ('detector = "detector.onnx"', "", "same roles"),
    ('name = "some-model"', "name = ", "TOML"),
    ('name = "some-model"', 'name = "some-model"\nfolder = "/etc"', "folder"),
]


@pytest.mark.parametrize(("old", "new", "said"), MISTAKES)
def test_each_mistake_names_file_and_key(model: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        read_spec(edited(model, old, new))
    assert str(model / "preread.toml") in str(caught.value)


def test_a_folder_without_spec_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"preread\.toml: no such file"):
        read_spec(tmp_path)


def test_a_spec_that_is_no_text_is_an_error_of_the_spec(model: Path) -> None:
    (model / "preread.toml").write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(SpecError, match="TOML"):
        read_spec(model)


def test_a_changed_weight_file_is_not_loaded(model: Path) -> None:
    path = model / "mask.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    now = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(SpecError, match=rf"mask\.onnx: SHA-256 is {now}.*install"):
        verify_files(read_spec(model))


def test_a_missing_weight_file_is_named(model: Path) -> None:
    (model / "mask.onnx").unlink()
    with pytest.raises(SpecError, match=r"mask\.onnx: cannot be read.*install"):
        verify_files(read_spec(model))


def test_an_unknown_role_is_named(model: Path) -> None:
    with pytest.raises(SpecError, match=r"files\.liver is missing"):
        read_spec(model).path_of("liver")


def test_the_fingerprint_names_the_weights(model: Path, tmp_path: Path) -> None:
    first = read_spec(model)
    assert re.fullmatch("[0-9a-f]{64}", first.fingerprint)
    again = read_spec(write_model(tmp_path / "b" / "some-model"))
    assert again.fingerprint == first.fingerprint
    other = read_spec(write_model(tmp_path / "c" / "some-model", weights=b"others"))
    assert other.fingerprint != first.fingerprint


def test_own_folders_come_before_the_shipped_ones(tmp_path: Path) -> None:
    write_model(tmp_path / "one" / "some-model")
    write_model(tmp_path / "two" / "some-model", weights=b"others")
    write_model(tmp_path / "two" / "another")
    folders = [tmp_path / "one", tmp_path / "two"]
    assert find_spec("some-model", folders).folder == tmp_path / "one" / "some-model"
    names = [spec.name for spec in list_specs(folders)]
    assert names[:2] == ["some-model", "another"]
    assert len(names) == len(set(names))


def test_an_unknown_model_lists_the_known(tmp_path: Path) -> None:
    write_model(tmp_path / "some-model")
    with pytest.raises(SpecError, match="no model is called 'nosuch'.*some-model"):
        find_spec("nosuch", [tmp_path])


def test_what_a_person_must_fill_in_is_named(model: Path) -> None:
    assert read_spec(model).unfilled == ()
    edited(model, 'value = "27925004"', 'value = " "')
    edited(model, 'zh = "全部"', 'zh = ""')
    edited(model, 'version = "1.0"', 'version = "1.0"\nto_check = ["input.modality"]')
    spec = look_up("some-model", [model.parent])
    assert spec.unfilled == ("limits.zh", "labels.0.code.value", "input.modality")
    with pytest.raises(
        SpecError, match=r"limits\.zh, labels\.0\.code\.value, input\.modality;"
    ) as said:
        find_spec("some-model", [model.parent])
    assert str(model / "preread.toml") in str(said.value)


def test_an_ignored_label_needs_no_code(model: Path) -> None:
    edited(model, 'value = "27925004"', 'value = ""')
    edited(model, "[[labels]]", '[[labels]]\nkind = "ignored"')
    assert find_spec("some-model", [model.parent]).unfilled == ()


def test_a_model_without_weights_is_shown_but_does_not_run(model: Path) -> None:
    text = (model / "preread.toml").read_text(encoding="utf-8")
    (model / "preread.toml").write_text(text.split("[files]")[0], encoding="utf-8")
    assert not look_up("some-model", [model.parent]).installed
    with pytest.raises(SpecError, match="weights are not here; bring them: `preread models add"):
        find_spec("some-model", [model.parent])
    origin = '[origin]\nurl = "https://a.example/b.zip"\nversion = "1"\nlicence = "MIT"\n'
    (model / "preread.toml").write_text(text.split("[files]")[0] + origin, encoding="utf-8")
    with pytest.raises(SpecError, match="`preread models pull some-model` fetches them"):
        find_spec("some-model", [model.parent])


def test_a_model_on_a_triton_server_has_no_files_here(model: Path) -> None:
    text = (model / "preread.toml").read_text(encoding="utf-8").split("[files]")[0]
    network = '[network]\nkind = "triton"\nurl = "grpc://gpu:8001"\nmodel = "lung"\n'
    (model / "preread.toml").write_text(text + network, encoding="utf-8")
    assert find_spec("some-model", [model.parent]).installed


def test_one_wrong_model_does_not_hide_the_others(tmp_path: Path) -> None:
    write_model(tmp_path / "good")
    (write_model(tmp_path / "bad") / "preread.toml").write_text("name = ")
    write_model(tmp_path / ".incoming")
    assert find_spec("good", [tmp_path]).name == "good"
    assert {"good", "bad"} <= set(model_folders([tmp_path]))
    assert ".incoming" not in model_folders([tmp_path])
    with pytest.raises(SpecError, match="no model is called 'nosuch'.*bad.*good"):
        find_spec("nosuch", [tmp_path])


def test_a_large_file_is_hashed_piece_by_piece(model: Path) -> None:
    path = model / "mask.onnx"
    with path.open("wb") as file:
        file.truncate(50_000_000)
    wanted = hashlib.sha256(bytes(50_000_000)).hexdigest()
    text = (model / "preread.toml").read_text(encoding="utf-8")
    old = hashlib.sha256(b"weights").hexdigest()
    head, _, tail = text.rpartition(old)
    (model / "preread.toml").write_text(head + wanted + tail, encoding="utf-8")
    verify_files(read_spec(model))


def test_the_spec_here_is_the_one_that_was_meant() -> None:
    """The helper's text must stay a whole spec, or the mistakes above prove nothing."""
    assert SPEC.count("=") > 15
