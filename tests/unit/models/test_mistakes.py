"""A mistake in a file is said with its key, its value and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import SpecError
from models.mistakes import LONGEST_VALUE, describe_mistakes
from models.spec import ModelSpec, read_spec
from tests.unit.models.made import write_model

RECIPE = """
[[recipe.prepare]]
kind = "window"
low = -100.0
high = 100.0
[recipe.windows]
patch = [96, 96, 96]
"""


def mistakes(folder: Path, old: str, new: str) -> str:
    path = write_model(folder / "some-model") / "preread.toml"
    text = path.read_text(encoding="utf-8") + RECIPE
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        read_spec(path.parent)
    return str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("minimum_slices = 20", "minimum_slcies = 20", "input.minimum_slcies: no such key; did "),
        ("minimum_slices = 20", "minimum_slcies = 20", "did you mean minimum_slices?"),
        ("minimum_slices = 20", "zzz = 20", "the keys here are modality,"),
        ("minimum_slices = 20", 'minimum_slices = "many"', "input.minimum_slices = 'many': "),
        ("minimum_slices = 20", "minimum_slices = 0", "(fewer images make no volume)"),
        ('version = "1.0"', "", "version is missing: add it (grows with every change"),
        ("low = -100.0", 'low = "x"', "low = 'x': "),
        ("high = 100.0", "", "high is missing: add it"),
        ("low = -100.0", "lower = -100.0", "did you mean low?"),
        ('kind = "window"', 'kind = "blur"', "window"),
        ("patch = [96, 96, 96]", "patch = [96, 96]", "recipe.windows.patch"),
        ('value = "27925004", ', "", "labels.0.code.value is missing"),
    ],
)
def test_key_value_and_remedy(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = mistakes(tmp_path, old, new)
    assert said in text
    assert str(tmp_path / "some-model" / "preread.toml") in text


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('detector = "detector.onnx"', "", "files and sha256 must name the same roles.*detector"),
        ('detector = "detector.onnx"', 'detector = "../x.onnx"', "files.detector = '../x.onnx'"),
        ('detector = "detector.onnx"', 'detector = "/etc/passwd"', "inside the model's folder"),
        ('detector = "detector.onnx"', r"detector = 'C:\x.onnx'", "inside the model's folder"),
        ("[input]", "[network]\nprompts = [7]\n[input]", "network.prompts: no label has index 7"),
        ("[input]", '[network]\nkind = "triton"\n[input]', "network.url and network.model"),
        (
            "[input]", '[[series]]\nrole = "T1"\n[[series]]\nrole = "T1"\n[input]',
            "series: roles T1, T1",
        ),
    ],
)  # fmt: skip
def test_what_does_not_agree_with_itself(tmp_path: Path, old: str, new: str, said: str) -> None:
    import re

    assert re.search(said, mistakes(tmp_path, old, new))


def test_a_label_that_is_described_twice(tmp_path: Path) -> None:
    path = write_model(tmp_path / "some-model") / "preread.toml"
    text = path.read_text(encoding="utf-8")
    label = text[text.index("[[labels]]") : text.index("[input]")]
    path.write_text(text.replace(label, label + label), encoding="utf-8")
    with pytest.raises(SpecError, match="index 1 is described twice"):
        read_spec(path.parent)


def test_a_hash_that_is_none(tmp_path: Path) -> None:
    path = write_model(tmp_path / "some-model") / "preread.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('[sha256]\ndetector = "', '[sha256]\ndetector = "X'))
    with pytest.raises(SpecError, match=r"sha256\.detector = 'X"):
        read_spec(path.parent)


def test_a_long_value_is_cut() -> None:
    class Small(BaseModel):
        model_config = ConfigDict(extra="forbid")
        number: int = Field(description="how many")

    with pytest.raises(ValidationError) as caught:
        Small.model_validate({"number": "x" * 1000})
    said = describe_mistakes(caught.value, Small)
    assert said.startswith("number = 'xxx")
    assert len(said) < LONGEST_VALUE + 150
    assert said.endswith("(how many)")


def test_several_mistakes_are_all_said() -> None:
    with pytest.raises(ValidationError) as caught:
        ModelSpec.model_validate({"name": "a b", "speed": 3})
    said = describe_mistakes(caught.value, ModelSpec)
    for key in ("name = 'a b'", "version is missing", "labels is missing", "speed: no such key"):
        assert key in said
