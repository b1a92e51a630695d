"""How fast networks run here: the figures of real runs, each runtime in its own process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.errors import SpecError
from models.evaluation.bench import BenchResult, bench
from models.spec import ModelSpec
from tests.unit.models.bright_network import write_model


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    return write_model(tmp_path_factory.mktemp("models") / "bright", outlier=1.0)


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def result(spec: ModelSpec, told: list[str]) -> BenchResult:
    return bench(spec, device="cpu", batches=(2, 1), seconds=0.0, progress=told.append)


def test_every_installed_runtime_is_measured(result: BenchResult, told: list[str]) -> None:
    assert not result.failures
    measured = {(row.runtime.split()[0], row.batch) for row in result.rows}
    assert measured == {(name, n) for name in ("openvino", "onnxruntime") for n in (1, 2)}
    assert told == ["network on openvino", "network on onnx"]


def test_figures_agree_with_one_another(result: BenchResult) -> None:
    for row in result.rows:
        assert row.patch == (16, 16, 16)
        assert row.milliseconds > 0
        assert row.patches_a_second == pytest.approx(1000 / row.milliseconds, rel=0.01)
        assert row.runs >= 3
    for memory in result.memory:
        assert memory.device is None
        # Python with one runtime: more than the interpreter, far less than this process
        assert 30e6 < memory.host < 600e6


def test_the_table_and_the_json(result: BenchResult) -> None:
    lines = result.table().splitlines()
    assert lines[0] == "bright 1, fp32"
    assert "ms a patch" in lines[2]
    assert len(lines) == 3 + len(result.rows)
    assert "16x16x16" in lines[3]
    assert BenchResult.model_validate(json.loads(result.model_dump_json())) == result


def test_a_runtime_that_can_t_is_said(spec: ModelSpec) -> None:
    result = bench(spec, runtime="torch", device="cpu", batches=(1,))
    (failure,) = result.failures
    assert "runtime torch can't run an ONNX file" in failure.reason
    assert "not measured, runtime torch" in result.table()


def test_int8_needs_its_network(spec: ModelSpec) -> None:
    with pytest.raises(SpecError, match="preread models evaluate bright DATA --precision int8"):
        bench(spec, device="cpu", precision="int8")


def test_a_network_that_is_gone_is_said(spec: ModelSpec, tmp_path: Path) -> None:
    gone = spec.model_copy(update={"folder": tmp_path / "gone"})
    result = bench(gone, device="cpu", runtime="onnx", batches=(1,))
    assert result.rows == ()
    assert "preread.toml: no such file" in result.failures[0].reason
    assert "nothing could be measured" in result.table()
