"""The gate with real networks: full precision against bf16 and int8 over labelled cases."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from imaging.geometry import Grid
from models.errors import PrecisionRefused, SpecError
from models.evaluation.gate import evaluate_precision
from models.evaluation.labelled import LabelledSet, open_labelled
from models.evaluation.precision import RECORD_NAME, int8_path
from models.loaded import load_model
from models.spec import ModelSpec, read_spec
from tests.unit.models.bright_network import SPEC, Bright, write_model
from tests.unit.models.labelled_data import write_image

GRID = Grid((20, 24, 28), np.array([[0, 0, 1.0, 0], [0, 1.0, 0, 0], [1.0, 0, 0, 0], [0, 0, 0, 1]]))
BALLS = ((6, 7, 8), (13, 16, 20))


def write_case(folder: Path, name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    voxels = rng.integers(-60, 20, GRID.shape).astype(np.int16)
    mask = np.zeros(GRID.shape, np.uint8)
    at = np.stack(np.meshgrid(*map(np.arange, GRID.shape), indexing="ij"), -1)
    for centre in BALLS:
        mask[np.linalg.norm(at - np.array(centre), axis=-1) <= 3.5] = 1
    voxels[mask == 1] += 240
    write_image(folder / "imagesTr" / f"{name}.nii.gz", voxels, GRID)
    write_image(folder / "labelsTr" / f"{name}.nii.gz", mask, GRID)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for n in range(3):
        write_case(folder, f"case{n}", n)
    return folder


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    return write_model(tmp_path_factory.mktemp("good") / "bright", outlier=1.0)


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    return write_model(tmp_path_factory.mktemp("fragile") / "bright", outlier=1e5)


def cases(data: Path, spec: ModelSpec) -> LabelledSet:
    return open_labelled(data, spec)


def test_int8_that_loses_nothing_passes_and_then_runs(good: ModelSpec, data: Path) -> None:
    with pytest.raises(PrecisionRefused, match="int8 on openvino has not passed"):
        load_model(good, precision="int8", device="cpu")
    told: list[str] = []
    judged = evaluate_precision(good, cases(data, good), "int8", device="cpu", progress=told.append)
    assert judged.verdict.passed, judged.table()
    assert judged.runtime == "openvino"
    assert judged.full.mean_dice is not None
    assert judged.full.mean_dice > 0.8
    assert judged.full.sensitivity is not None
    assert judged.full.sensitivity.of == 6
    assert "int8" in judged.reduced.runtimes["network"]
    assert judged.record == good.folder / RECORD_NAME
    assert "int8 was calibrated on cases that it is judged on" in judged.table()
    assert "quantise" in told

    model = load_model(good, precision="int8", device="cpu")
    patch = np.random.default_rng(1).random((1, 1, 16, 16, 16), np.float32)
    full = load_model(good, device="cpu").networks["network"].run(patch)[0]
    reduced = model.networks["network"].run(patch)[0]
    assert "int8" in model.networks["network"].name
    assert 0 < np.abs(reduced - full).max() < 2.0, "eight bits round, and no more"


def test_int8_that_sees_nothing_any_more_is_refused(fragile: ModelSpec, data: Path) -> None:
    judged = evaluate_precision(fragile, cases(data, fragile), "int8", device="cpu")
    assert judged.full.sensitivity is not None
    assert judged.full.sensitivity.value == 1.0
    assert not judged.verdict.passed
    assert any("lesion sensitivity lost: 1.0" in why for why in judged.verdict.refusals)
    assert judged.record is None
    assert "NOT PASSED" in judged.table()
    assert int8_path(fragile, "network").is_file()
    with pytest.raises(PrecisionRefused, match="has not passed an evaluation"):
        load_model(fragile, precision="int8", device="cpu")


def test_bf16_is_judged_on_its_runtime(good: ModelSpec, data: Path) -> None:
    import openvino

    able = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if "BF16" not in able:
        pytest.skip("this processor has no bf16")
    judged = evaluate_precision(good, cases(data, good), "bf16", device="cpu", runtime="openvino")
    assert judged.verdict.passed
    load_model(good, precision="bf16", device="cpu", runtime="openvino")
    with pytest.raises(PrecisionRefused, match="bf16 on onnx has not passed"):
        load_model(good, precision="bf16", device="cpu", runtime="onnx")


def test_int8_is_another_file_for_other_weights(good: ModelSpec, fragile: ModelSpec) -> None:
    assert int8_path(good, "network").name != int8_path(fragile, "network").name


def test_full_precision_is_not_judged(good: ModelSpec, data: Path) -> None:
    with pytest.raises(PrecisionRefused, match="nothing to judge"):
        evaluate_precision(good, cases(data, good), "fp32")


def test_of_many_cases_some_are_spared_for_calibration(good: ModelSpec, tmp_path: Path) -> None:
    for n in range(10):
        write_case(tmp_path, f"case{n}", n)
    judged = evaluate_precision(good, cases(tmp_path, good), "int8", device="cpu")
    assert [case.name for case in judged.reduced.cases] == [
        f"case{n}" for n in (1, 2, 3, 4, 6, 7, 8, 9)
    ]
    assert "calibrated on cases" not in judged.table()


def test_a_script_has_no_int8(good: ModelSpec, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bright"
    folder.mkdir()
    path = folder / "network.onnx"
    torch.jit.trace(Bright(1.0).eval(), torch.rand(1, 1, 16, 16, 16)).save(str(path))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    text = SPEC.format(name="bright", sha256=sha256) + '[network]\nkind = "torchscript"\n'
    (folder / "preread.toml").write_text(text, encoding="utf-8")
    script = read_spec(folder)
    with pytest.raises(SpecError, match="int8 is made from an ONNX file or a bundle's network"):
        evaluate_precision(script, cases(data, script), "int8", device="cpu", runtime="torch")
