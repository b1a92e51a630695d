"""`preread models evaluate`, `bench` and `export` with a network that was brought."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from imaging.geometry import Grid
from pacs_bridge.cli import main
from tests.e2e.models_site import Site, make_site
from tests.unit.models.labelled_data import write_image
from tests.unit.pacs_bridge.bundles_made import fill_in


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path)


def bright_network(path: Path) -> Path:
    """An ONNX network whose second channel wins where the input is above 0.6."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    weight = np.array([0, 20], np.float32).reshape(2, 1, 1, 1, 1)
    bias = np.array([0, -12], np.float32)
    shape = ["n", 1, "x", "y", "z"]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "w", "b"], ["out"])],
        "bright",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, ["n", 2, "x", "y", "z"])],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path


@pytest.fixture
def bright(site: Site, capsys: pytest.CaptureFixture[str]) -> Site:
    """The network, added, and its gaps filled as a person would."""
    source = bright_network(site.folder / "bright.onnx")
    assert main(["models", "add", str(source), "--config", str(site.folder / "settings.toml")]) == 0
    path = site.models / "bright" / "preread.toml"
    fill_in(path.parent)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("patch = [96, 96, 96]", "patch = [32, 32, 32]"), encoding="utf-8")
    capsys.readouterr()
    return site


def labelled(folder: Path) -> Path:
    """Two images of one bright ball each, with its mask beside it."""
    grid = Grid((24, 24, 24), np.diag([1.5, 1.5, 1.5, 1.0])[[2, 1, 0, 3]])
    for number, place in enumerate((9, 14)):
        at = np.stack(np.meshgrid(*[np.arange(24)] * 3, indexing="ij"), axis=-1)
        ball = np.linalg.norm(at - place, axis=-1) < 4
        write_image(folder / f"{number}.nii.gz", np.where(ball, 600, 0).astype(np.int16), grid)
        write_image(folder / f"{number}_seg.nii.gz", ball.astype(np.uint8), grid)
    return folder


def test_a_network_is_measured_on_labelled_images(
    bright: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    data, figures = labelled(bright.folder / "cases"), bright.folder / "out" / "figures.json"
    status = main(
        ["models", "evaluate", "bright", str(data), "--runtime", "onnx", "--json", str(figures),
         "--config", str(bright.folder / "settings.toml")]
    )  # fmt: skip
    out, err = capsys.readouterr()
    assert status == 0, err
    assert "bright" in out
    found = json.loads(figures.read_text(encoding="utf-8"))
    assert found["sensitivity"]["value"] == 1
    assert found["dice"]["1"]["value"] > 0.95
    assert [case["name"] for case in found["cases"]] == ["0", "1"]


def test_a_reduced_precision_goes_through_the_gate(
    bright: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    data, figures = labelled(bright.folder / "cases"), bright.folder / "gate.json"
    config = ["--config", str(bright.folder / "settings.toml")]
    asked = ["models", "evaluate", "bright", str(data), "--runtime", "openvino", "--device", "cpu"]
    assert main([*asked, "--precision", "bf16", "--json", str(figures), *config]) == 0
    assert "PASSED" in capsys.readouterr().out
    assert json.loads(figures.read_text())["verdict"]["passed"] is True
    verify = ["models", "verify", "bright", "--runtime", "openvino", "--device", "cpu"]
    assert main([*verify, "--precision", "bf16", *config]) == 0
    # What was let through was let through with these weights only.
    path = bright.models / "bright" / "preread.toml"
    path.write_text(path.read_text().replace('version = "1"', 'version = "2"'))
    assert main([*verify, "--precision", "bf16", *config]) == 2
    assert "passed on" in capsys.readouterr().err


def test_speed_is_measured_and_written(bright: Site, capsys: pytest.CaptureFixture[str]) -> None:
    figures = bright.folder / "speed.json"
    status = main(
        ["models", "bench", "bright", "--runtime", "onnx", "--device", "cpu", "--batch", "1",
         "--seconds", "0.05", "--json", str(figures), "--config",
         str(bright.folder / "settings.toml")]
    )  # fmt: skip
    out = capsys.readouterr().out
    assert status == 0, out
    assert "patches/s" in out
    (row,) = json.loads(figures.read_text())["rows"]
    assert (row["role"], row["patch"], row["batch"]) == ("network", [32, 32, 32], 1)


def test_networks_are_exported(bright: Site, capsys: pytest.CaptureFixture[str]) -> None:
    config = ["--config", str(bright.folder / "settings.toml")]
    plain, repository = bright.folder / "onnx", bright.folder / "repository"
    assert main(["models", "export", "bright", "--onnx", str(plain), *config]) == 0
    assert (plain / "bright.onnx").read_bytes() == (bright.folder / "bright.onnx").read_bytes()
    served = ["models", "export", "bright", "--triton", str(repository), *config]
    assert main(served) == 0
    assert 'kind = "triton"' in capsys.readouterr().out
    assert 'name: "bright"' in (repository / "bright" / "config.pbtxt").read_text()
    assert (repository / "bright" / "1" / "model.onnx").is_file()
    assert main(served) == 2
    assert "--model-version 2" in capsys.readouterr().err
    assert main([*served, "--model-version", "2"]) == 0
    assert main([*served, "--model-version", "3", "--gpu", "0", "--tensorrt", "--fp16"]) == 2
    assert "--precision fp16" in capsys.readouterr().err
