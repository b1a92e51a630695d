"""Who may raise the urgent flag: the validated operating point of a ``preread.toml``."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import SpecError
from models.loaded import load_model
from models.spec import CATALOG, find_spec, list_specs, look_up, read_spec
from tests.unit.models.made import write_bright_model, write_model
from tests.unit.models.validated_made import validate

OTHER = "f" * 64
LIVER = """
[[labels]]
index = 2
kind = "{kind}"
name = {{en = "Other", zh = "其他"}}
code = {{value = "{code}", scheme = "SCT", meaning = {{en = "Mass", zh = "肿块"}}}}
site = {{value = "{site}", scheme = "SCT", meaning = {{en = "Liver", zh = "肝"}}}}
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "some-model")


def changed(folder: Path, old: str, new: str) -> Path:
    path = folder / "preread.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return folder


def test_what_is_written_is_read(model: Path) -> None:
    spec = find_spec("some-model", [validate(model).parent])
    validated = spec.operating_point.validated
    assert validated is not None
    assert (validated.by, validated.patients, validated.score_threshold) == (
        "County Hospital, Radiology", 400, 0.7,
    )  # fmt: skip
    assert validated.date.isoformat() == "2026-03-01"
    assert spec.unfilled == ()


@pytest.mark.parametrize("flag", ["reference_weights", "fake"])
def test_reference_weights_and_stand_ins_may_not_have_one(model: Path, flag: str) -> None:
    changed(model, 'version = "1.0"', f'version = "1.0"\n{flag} = true')
    assert read_spec(model).operating_point.validated is None
    with pytest.raises(SpecError, match=rf"validated: a model with {flag} = true may flag no"):
        read_spec(validate(model))


def test_none_of_the_shipped_models_has_one() -> None:
    assert all(spec.operating_point.validated is None for spec in list_specs())
    ours = [spec for spec in list_specs() if spec.folder.parent == CATALOG and spec.installed]
    assert ours and all(spec.reference_weights for spec in ours)


MISTAKES = [
    ("patients = 400", "", "operating_point.validated.patients is missing"),
    ("patients = 400", "patients = 100", "diseased = 100 of 100 patients"),
    ("sensitivity = 0.93", "sensitivity = 93", "operating_point.validated.sensitivity = 93"),
    ("specificity = 0.975", "specificity = 0", "operating_point.validated.specificity = 0"),
    ('by = "County Hospital, Radiology"', 'by = "  "', "validated.by = '  ': it is empty"),
    ("date = 2026-03-01", "date = 2999-03-01", "lies in the future"),
    ("score_threshold = 0.7", "score_threshold = 0.4", "0.4 is below operating_point"),
    ('reference = "QA-2026-014"', 'referense = "QA-2026-014"', "did you mean reference"),
    ("patients = 400", "patients = 400\nlabels = [3]", r"labels: 3 is no lesion.*lesions are 1"),
]


@pytest.mark.parametrize(("old", "new", "said"), MISTAKES)
def test_each_mistake_names_file_and_key(model: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        read_spec(changed(validate(model), old, new))
    assert str(model / "preread.toml") in str(caught.value)


def test_several_lesions_need_to_be_named(model: Path) -> None:
    validate(model, more=LIVER.format(kind="lesion", code="4147007", site="10200004"))
    with pytest.raises(SpecError, match=r"labels is missing: name those of 1, 2"):
        read_spec(model)
    named = changed(model, "patients = 400", "patients = 400\nlabels = [1]")
    assert read_spec(named).operating_point.validated is not None


def test_an_organ_needs_no_naming(model: Path) -> None:
    validate(model, more=LIVER.format(kind="organ", code="10200004", site="10200004"))
    assert read_spec(model).operating_point.validated is not None


def test_labels_that_a_report_cannot_tell_apart_are_refused(model: Path) -> None:
    validate(model, more="labels = [1]\n" + LIVER.format(kind="lesion", code="27925004", site="X"))
    assert read_spec(model).operating_point.validated is not None
    changed(model, 'value = "X"', 'value = "39607008"')
    changed(model, '{en = "Liver", zh = "肝"}', '{en = "Lung", zh = "肺"}')
    changed(model, '{en = "Mass", zh = "肿块"}', '{en = "Nodule", zh = "结节"}')
    with pytest.raises(SpecError, match="label 2 has the same code and site"):
        read_spec(model)


def test_a_triton_server_runs_whatever_it_runs(model: Path) -> None:
    text = (model / "preread.toml").read_text(encoding="utf-8").split("[files]")[0]
    (model / "preread.toml").write_text(
        text + '[network]\nkind = "triton"\nurl = "grpc://gpu:8001"\nmodel = "m"\n'
    )
    assert read_spec(model).installed
    with pytest.raises(SpecError, match="which weights a Triton server runs"):
        read_spec(validate(model))


def test_it_holds_for_the_weights_that_were_validated_and_no_others(model: Path) -> None:
    """The description is kept where new weights take the old ones' place."""
    validate(model, weights=OTHER)
    spec = look_up("some-model", [model.parent])
    assert spec.unfilled == ("operating_point.validated.weights",)
    with pytest.raises(SpecError, match=rf"other weights.*fingerprint is {spec.fingerprint}"):
        find_spec("some-model", [model.parent])
    # Without weights there is nothing that it could fail to hold for.
    text = (model / "preread.toml").read_text(encoding="utf-8")
    files = text[text.index("[files]") : text.index("[operating_point.validated]")]
    (model / "preread.toml").write_text(text.replace(files, ""), encoding="utf-8")
    assert not look_up("some-model", [model.parent]).validation_is_stale


def test_it_holds_for_the_precision_that_was_validated_and_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = validate(write_bright_model(tmp_path / "some-model"))
    full = read_spec(folder)
    assert load_model(full, device="cpu").spec.operating_point.validated is not None
    assert full.as_run_in("int8").operating_point.validated is None
    assert caplog.text == ""
    reduced = read_spec(changed(folder, "patients = 400", 'patients = 400\nprecision = "bf16"'))
    assert reduced.as_run_in("bf16") is reduced
    with caplog.at_level("WARNING"):
        assert load_model(reduced, device="cpu").spec.operating_point.validated is None
    assert "preread.toml: runs in fp32, which operating_point.validated does not" in caplog.text
