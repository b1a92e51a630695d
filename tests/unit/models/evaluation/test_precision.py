"""Which reduced precisions may run, and the gate that lets them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from models.errors import PrecisionRefused
from models.evaluation.estimate import Estimate
from models.evaluation.evaluate import CaseResult, Evaluation, LesionResult
from models.evaluation.gate import judge
from models.evaluation.precision import (
    RECORD_NAME,
    Passed,
    allowed,
    digest,
    int8_path,
    network_for,
    remember,
)
from models.runtime.source import OnnxFile
from models.sections import RuntimeSection
from models.spec import ModelSpec, read_spec
from tests.unit.models.made import write_model

LIMITS = RuntimeSection(sensitivity_loss=0.1, dice_loss=0.005, false_findings_gain=0.25)


def evaluation(
    *, found: int = 10, of: int = 10, dice: float | None = 0.9, false: float = 1.0, cases: int = 4
) -> Evaluation:
    lesion = LesionResult(label=1, diameter_mm=8, found=True)
    return Evaluation(
        model="m", version="1.0", fingerprint="f", runtimes={"detector": "x"}, source="s",
        layout="l", at=datetime(2026, 1, 2, tzinfo=UTC), labels={1: "Nodule"},
        cases=tuple(
            CaseResult(name=f"case {n}", dice={}, lesions=(lesion,), false={1: 0}, seconds=1)
            for n in range(cases)
        ),
        sensitivity=Estimate(value=found / of, of=of) if of else None,
        false_a_scan=Estimate(value=false, of=cases),
        mean_dice=dice,
    )  # fmt: skip


def test_within_the_limits_passes() -> None:
    verdict = judge(LIMITS, evaluation(), evaluation(found=9, dice=0.896, false=1.2))
    assert verdict.passed
    assert verdict.sensitivity_loss == pytest.approx(0.1)
    assert verdict.dice_loss == pytest.approx(0.004)
    assert verdict.false_findings_gain == pytest.approx(0.2)
    assert "PASSED" in verdict.lines()


def test_getting_better_passes() -> None:
    assert judge(LIMITS, evaluation(found=9, dice=0.8), evaluation(dice=0.9, false=0)).passed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"found": 8}, "lesion sensitivity lost: 0.2000, runtime.sensitivity_loss allows 0.1"),
        ({"dice": 0.894}, "mean Dice lost: 0.0060, runtime.dice_loss allows 0.005"),
        ({"false": 1.5}, "false findings a scan more: 0.5000, runtime.false_findings_gain"),
        ({"cases": 3}, "only one of the two could read case 3"),
    ],
)
def test_beyond_a_limit_does_not_pass(change: dict[str, float], said: str) -> None:
    verdict = judge(LIMITS, evaluation(), evaluation(**change))  # type: ignore[arg-type]
    assert not verdict.passed
    assert said in "; ".join(verdict.refusals)
    assert any(line.startswith("NOT PASSED: ") for line in verdict.lines())


def test_points_alone_are_judged_without_dice() -> None:
    verdict = judge(LIMITS, evaluation(dice=None), evaluation(dice=None))
    assert verdict.passed
    assert verdict.dice_loss is None


def test_without_lesions_nothing_passes() -> None:
    verdict = judge(LIMITS, evaluation(of=0), evaluation(of=0))
    assert "lesion sensitivity can't be judged" in verdict.refusals[0]


def test_an_organ_model_is_judged_by_dice() -> None:
    organ = evaluation(of=0).model_copy(update={"false_a_scan": None})
    assert judge(LIMITS, organ, organ).passed
    nothing = organ.model_copy(update={"mean_dice": None})
    assert not judge(LIMITS, nothing, nothing).passed


def test_few_cases_are_remarked() -> None:
    assert any(
        "only 10 lesion(s)" in line for line in judge(LIMITS, evaluation(), evaluation()).lines()
    )


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    return read_spec(write_model(tmp_path / "nodules"))


def entry(spec: ModelSpec, **changes: object) -> Passed:
    values = {
        "precision": "bf16", "runtime": "openvino", "fingerprint": spec.fingerprint,
        "version": spec.version, "source": "DATA", "layout": "l", "cases": 12, "lesions": 30,
        "sensitivity_loss": 0.0, "dice_loss": 0.001, "false_findings_gain": 0.0,
        "runtimes": {"detector": "openvino"}, "at": datetime(2026, 1, 2, tzinfo=UTC),
        "preread": "0.1.0",
    }  # fmt: skip
    return Passed.model_validate(values | changes)


def test_full_precision_needs_no_gate(spec: ModelSpec) -> None:
    allowed(spec, "fp32", "onnx")


def test_nothing_else_runs_before_its_evaluation(spec: ModelSpec) -> None:
    command = (
        r"nodules: bf16 on openvino has not passed an evaluation; run `preread models evaluate "
        r"nodules DATA --precision bf16 --runtime openvino`"
    )
    with pytest.raises(PrecisionRefused, match=command):
        allowed(spec, "bf16", "openvino")


def test_a_pass_holds_for_its_precision_and_runtime_only(spec: ModelSpec) -> None:
    remember(spec, entry(spec))
    allowed(spec, "bf16", "openvino")
    for precision, runtime in (("bf16", "torch"), ("fp16", "openvino"), ("int8", "openvino")):
        with pytest.raises(PrecisionRefused, match="has not passed"):
            allowed(spec, precision, runtime)  # type: ignore[arg-type]
    remember(spec, entry(spec, runtime="torch"))
    allowed(spec, "bf16", "openvino")
    allowed(spec, "bf16", "torch")


def test_other_weights_void_it(spec: ModelSpec, tmp_path: Path) -> None:
    remember(spec, entry(spec))
    other = read_spec(write_model(tmp_path / "other" / "nodules", weights=b"trained on"))
    (other.folder / RECORD_NAME).write_bytes((spec.folder / RECORD_NAME).read_bytes())
    with pytest.raises(PrecisionRefused, match="passed on 2026-01-02 with other weights"):
        allowed(other, "bf16", "openvino")


def test_another_version_voids_it(spec: ModelSpec) -> None:
    remember(spec, entry(spec))
    newer = spec.model_copy(update={"version": "1.1"})
    with pytest.raises(PrecisionRefused, match=r"another version \(1\.0\)"):
        allowed(newer, "bf16", "openvino")


def test_weights_that_are_elsewhere_pass_nothing(spec: ModelSpec) -> None:
    remote = spec.model_copy(update={"files": {}, "sha256": {}})
    with pytest.raises(PrecisionRefused, match="a Triton server decides its own"):
        allowed(remote, "fp16", "triton")


@pytest.mark.parametrize("text", ["{", '{"passed": [{"precision": "bf16"}]}'])
def test_a_damaged_record_refuses_and_says_what_to_do(spec: ModelSpec, text: str) -> None:
    (spec.folder / RECORD_NAME).write_text(text)
    with pytest.raises(PrecisionRefused, match=r"precision\.json: cannot be read"):
        allowed(spec, "bf16", "openvino")


def test_the_record_is_readable_json(spec: ModelSpec) -> None:
    path = remember(spec, entry(spec))
    (passed,) = json.loads(path.read_text())["passed"]
    assert passed["fingerprint"] == spec.fingerprint
    assert passed["cases"] == 12
    assert [p.name for p in path.parent.glob(".precision*")] == []


def test_int8_is_the_very_file_that_was_judged(spec: ModelSpec) -> None:
    path = int8_path(spec, "detector")
    path.parent.mkdir()
    path.write_bytes(b"<xml/>")
    path.with_suffix(".bin").write_bytes(b"weights")
    remember(spec, entry(spec, precision="int8", networks={"detector": digest(path)}))
    source = OnnxFile(spec.path_of("detector"))
    assert network_for(spec, "detector", source, "int8", "openvino") == OnnxFile(path)
    assert network_for(spec, "detector", source, "fp32", "openvino") is source
    path.with_suffix(".bin").write_bytes(b"others")
    with pytest.raises(PrecisionRefused, match="not the int8 network that passed on 2026-01-02"):
        network_for(spec, "detector", source, "int8", "openvino")
    path.unlink()
    with pytest.raises(PrecisionRefused, match="SHA-256 missing"):
        network_for(spec, "detector", source, "int8", "openvino")
