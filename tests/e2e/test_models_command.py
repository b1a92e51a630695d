"""`preread models ...` as an administrator types it, with a real bundle's files and own weights."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from imaging.geometry import Grid
from models.spec import CATALOG, read_spec
from pacs_bridge.cli import main
from pacs_bridge.tables import events
from tests.e2e.server import RunningServer, running_server, wait_until, write_config
from tests.network.fileserver import FileServer, file_server
from tests.network.orthanc import free_port
from tests.unit.models.labelled_data import write_image
from tests.unit.models.made import write_bright_model
from tests.unit.pacs_bridge.bundles_made import make_bundle, sha1, zipped

ROOT = Path(__file__).resolve().parents[2]
NAME = "spleen_ct_segmentation"
ACTIONS = ("list", "show", "add", "pull", "verify", "remove", "bench", "evaluate", "export")


@dataclass(frozen=True)
class Site:
    """A folder with settings, and the command run in it."""

    folder: Path

    @property
    def models(self) -> Path:
        return self.folder / "data" / "models"

    def start(self, *arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PREREAD_")}
        environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", "pacs_bridge.cli", *arguments,
             "--config", str(self.folder / "settings.toml")],
            cwd=self.folder, env=environment, text=True, stdin=stdin,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *arguments: str, status: int = 0) -> str:
        """Standard output, or standard error where the command is to fail."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=300)
        assert process.returncode == status, f"{arguments}\n{out}\n{err}"
        assert "Traceback" not in err, err
        return err if status else out


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "settings.toml").write_text(
        f'[storage]\nfolder = "{tmp_path / "data"}"\n'
        f'[models]\nfolders = ["{tmp_path / "catalogue"}"]\n'
    )
    return Site(tmp_path)


def publish(site: Site, server: FileServer, bundle: Path) -> None:
    """The bundle on the server, and a site's own catalogue that names it."""
    archive = zipped(bundle, site.folder / f"{NAME}_v0.5.9.zip")
    server.files[f"/{archive.name}"] = archive.read_bytes()
    origin = read_spec(CATALOG / NAME).origin
    assert origin is not None
    text = (CATALOG / NAME / "preread.toml").read_text(encoding="utf-8")
    text = text.replace(origin.url, f"{server.url}/{archive.name}")
    described = site.folder / "catalogue" / NAME
    described.mkdir(parents=True)
    (described / "preread.toml").write_text(text.replace(origin.sha1, sha1(archive)))
    archive.unlink()


@pytest.fixture(scope="module")
def real_bundle(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zoo's own files, with weights of the right shapes made here."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    nets = pytest.importorskip("monai.networks.nets", reason="MONAI is not installed")
    bundle = tmp_path_factory.mktemp("zoo") / NAME
    shutil.copytree(shared_data / "bundles" / NAME, bundle)
    config = json.loads((bundle / "configs" / "inference.json").read_text(encoding="utf-8"))
    known = {k: v for k, v in config["network_def"].items() if not k.startswith("_")}
    torch.manual_seed(0)
    (bundle / "models").mkdir()
    torch.save(nets.UNet(**known).state_dict(), bundle / "models" / "model.pt")
    return bundle


@pytest.fixture
def busy(site: Site, real_bundle: Path) -> Callable[[FileServer], None]:
    return lambda server: publish(site, server, real_bundle)


def line_of(out: str, name: str) -> str:
    (found,) = [line for line in out.splitlines() if line.startswith(name)]
    return found


def test_pull_show_verify_remove(
    site: Site, busy: Callable[[FileServer], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """The four that change or load something run as processes of their own."""

    def here(*arguments: str, status: int = 0) -> str:
        assert main([*arguments, "--config", str(site.folder / "settings.toml")]) == status
        out, err = capsys.readouterr()
        return str(err if status else out)

    with file_server() as server:
        busy(server)
        assert f"`preread models pull {NAME}`" in line_of(here("models", "list"), NAME)
        err = site.run("models", "pull", NAME, status=2)
        assert "Apache-2.0 was not agreed to; nothing was fetched" in err
        assert server.requests == []
        err = here("analyse", str(site.folder), "--model", NAME, status=2)
        assert f"`preread models pull {NAME}` fetches them" in err

        out = site.run("models", "pull", NAME, "--agree-licence")
        assert "licence: Apache-2.0" in out
        assert "agreed to by --agree-licence" in out
        assert f"{NAME} 0.5.9 is in {site.models / NAME}" in out
        assert f"preread models verify {NAME}" in out
        assert "here already" in here("models", "pull", NAME, "--agree-licence", status=2)
    assert "installed" in line_of(here("models", "list"), NAME)

    page = here("models", "show", NAME)
    for said in (
        "脾脏分割",
        "78961009",
        "maximum_slice_mm = 8.0",
        "put here by",
        "models/model.pt",
    ):
        assert said in page
    assert json.loads(here("models", "show", NAME, "--json"))["version"] == "0.5.9"

    out = site.run("models", "verify", NAME, "--device", "cpu", "--runtime", "torch")
    assert out.count("SHA-256 right") == len(read_spec(site.models / NAME).files)
    assert re.search(r"network +runs on .*: 1x96x96x96 -> 2x96x96x96 in", out), out

    weights = site.models / NAME / "models" / "model.pt"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    err = here("models", "verify", NAME, status=2)
    assert re.search(r"model\.pt: SHA-256 is .*changed or damaged, install the model again", err)

    err = here("models", "remove", NAME, status=1)
    assert "nothing was removed; --yes" in err
    assert weights.is_file()
    assert "removed" in site.run("models", "remove", NAME, "--yes")
    assert not (site.models / NAME).exists()
    err = here("models", "remove", "lung_nodule_reference", "--yes", status=2)
    assert "ships with Preread" in err


def test_a_stopped_pull_says_how_to_go_on(site: Site) -> None:
    bundle = make_bundle(site.folder / "x" / NAME, version="0.5.9", weights=os.urandom(3_000_000))
    with file_server() as server:
        publish(site, server, bundle)
        server.pause_s = 0.5  # a machine with other work must not miss the middle of it
        process = site.start("models", "pull", NAME, "--agree-licence")
        part = site.models / ".downloads" / f"{NAME}_v0.5.9.zip.part"
        deadline = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size > 200_000):
            assert time.monotonic() < deadline
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "the same command goes on from there" in err
        assert "Traceback" not in err
        kept = part.stat().st_size
        assert kept > 200_000
        server.pause_s = 0
        server.requests.clear()
        site.run("models", "pull", NAME, "--agree-licence")
        assert server.requests[0][1]["range"] == f"bytes={kept}-"
    assert not part.exists()


def test_add_says_what_to_fill_in_and_refuses_until_then(
    site: Site, real_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str, status: int = 0) -> str:
        assert main([*arguments, "--config", str(site.folder / "settings.toml")]) == status
        out, err = capsys.readouterr()
        return str(err if status else out)

    shutil.copytree(real_bundle, site.folder / "my_spleen")
    metadata = site.folder / "my_spleen" / "configs" / "metadata.json"
    metadata.write_text(metadata.read_text().replace('"1": "spleen"', '"1": "big spleen"'))
    out = run("models", "add", str(site.folder / "my_spleen"))
    keys = re.findall(r"fill in or check: (\S+)", out)
    assert {"title.zh", "limits.en", "labels.0.code.value", "labels.0.site.value"} <= set(keys)
    assert "to be filled in" in line_of(run("models", "list"), "my_spleen")
    assert "big spleen" in run("models", "show", "my_spleen")
    out = run("models", "verify", "my_spleen", "--device", "cpu", "--runtime", "torch")
    assert "labels.0.code.value is still to be filled in" in out
    err = run("analyse", str(site.folder), "--model", "my_spleen", status=2)
    path = site.models / "my_spleen" / "preread.toml"
    assert "labels.0.code.value" in err
    assert str(path) in err
    fill_in(path)
    assert "installed" in line_of(run("models", "list"), "my_spleen")


def fill_in(path: Path) -> None:
    """What a person does: every empty text, and nothing left to check."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r'= ""', '= "x"', re.sub(r"(?m)^to_check.*$", "", text))
    path.write_text(text, encoding="utf-8")


def test_the_help_names_every_action(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["models", "--help"])
    out = capsys.readouterr().out
    assert all(f"    {action}" in out for action in ACTIONS)


@pytest.mark.parametrize("action", ACTIONS)
def test_help_of_each_action(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["models", action, "--help"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    assert re.search(rf"example: preread\s+models\s+{action}", out)


def test_wrong_arguments_are_refused_with_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["models"], ["models", "toast"], ["models", "export", "a"]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2
        assert "usage: preread models" in capsys.readouterr().err


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
    fill_in(path)
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


def trusted(server: RunningServer) -> list[tuple[str, str]]:
    """Who and what, of the audit trail's lines on trusted code."""
    with server.store.engine.connect() as db:
        query = select(events).where(events.c.what == "model-code-trusted").order_by(events.c.id)
        return [(row["who"], row["detail"]) for row in db.execute(query).mappings()]


def test_whose_python_runs_stands_in_the_audit_trail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_bright_model(tmp_path / "models" / "bright")
    (folder / "own.py").write_text("x = 1\n")
    page = free_port()
    config = write_config(
        tmp_path, dicom_port=free_port(), page_port=page, models=tmp_path / "models",
    )  # fmt: skip
    text = config.read_text().replace("[models]", '[models]\nenabled = ["bright"]\nthreads = 1')
    config.write_text(text)
    verify = ["models", "verify", "bright", "--runtime", "onnx", "--config", str(config)]
    assert main([*verify, "--trust-code"]) == 0
    assert f"trusted: {folder / 'own.py'}" in capsys.readouterr().out
    with running_server(config, page) as server:
        ((who, detail),) = trusted(server)
        assert re.fullmatch(r".+@.+", who)
        assert detail.startswith("bright: its own Python runs here, SHA-256 ")
        (folder / "own.py").write_text("import os\n")
        server.process.send_signal(signal.SIGHUP)
        assert main([*verify, "--trust-code"]) == 0
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(trusted(server)) > 1, 30, "the new trust to be recorded")
        assert len({detail for _, detail in trusted(server)}) == len(trusted(server)) == 2


def test_a_licence_is_agreed_to_at_a_terminal(site: Site) -> None:
    bundle = make_bundle(site.folder / "x" / NAME, version="0.5.9")
    with file_server() as server:
        publish(site, server, bundle)
        for answer, status, said in (("n\n", 2, "was not agreed to"), ("是\n", 0, "")):
            terminal, end = pty.openpty()
            process = site.start("models", "pull", NAME, stdin=end)
            os.write(terminal, answer.encode())
            out, err = process.communicate(timeout=120)
            os.close(end)
            os.close(terminal)
            assert process.returncode == status, err
            assert "Agree to this licence? / 是否同意该许可? [y/N]" in out
            assert said in err
            assert (site.models / NAME).is_dir() == (status == 0)
