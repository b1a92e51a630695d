"""`preread models ...` as an administrator types it, with a real bundle's files and own weights."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from models.spec import CATALOG, read_spec
from pacs_bridge.cli import main
from pacs_bridge.tables import events
from tests.e2e.models_site import Site, make_site
from tests.e2e.server import RunningServer, running_server, wait_until, write_config
from tests.network.fileserver import FileServer, file_server
from tests.network.orthanc import free_port
from tests.unit.models.made import write_bright_model
from tests.unit.pacs_bridge.bundles_made import fill_in, make_bundle, sha1, zipped

NAME = "spleen_ct_segmentation"
ACTIONS = ("list", "show", "add", "pull", "verify", "remove", "bench", "evaluate", "export")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path)


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
    fill_in(path.parent)
    assert "installed" in line_of(run("models", "list"), "my_spleen")


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
        tmp_path, dicom_port=free_port(), page_port=page, models=folder.parent, enabled="bright"
    )
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
