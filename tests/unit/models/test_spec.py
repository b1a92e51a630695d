"""`preread.toml`: read, checked, and each mistake named with its file and key."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from models.errors import SpecError
from models.spec import find_spec, list_specs, read_spec, verify_files
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


def test_the_spec_here_is_the_one_that_was_meant() -> None:
    """The helper's text must stay a whole spec, or the mistakes above prove nothing."""
    assert SPEC.count("=") > 15
