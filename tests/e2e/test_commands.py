"""The command line as an administrator uses it: doctor, settings, models, schema, passwords."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tomllib
from functools import partial
from pathlib import Path

import pytest

from imaging.phantom import make_phantom
from models.spec import CATALOG, read_spec
from pacs_bridge.auth import verify_password
from pacs_bridge.cli import main
from tests.network.orthanc import free_port

ROOT = Path(__file__).resolve().parents[2]


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(arguments)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    commands = "serve analyse plan demo models doctor settings hash-password schema"
    assert all(f"    {command}" in text for command in commands.split())
    assert "not a medical device" in text.lower()


def test_doctor_finds_a_dead_destination_and_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "preread.toml"
    port = free_port()
    config.write_text(
        f'[storage]\nfolder = "{tmp_path / "data"}"\nminimum_free_gb = 0\n'
        f"[listener]\nport = {free_port()}\n[review]\nport = {free_port()}\n"
        f'[[destinations]]\nname = "PACS"\nae_title = "PACS"\nhost = "127.0.0.1"\nport = {port}\n'
    )
    status, out, _ = _run(capsys, "doctor", "--config", str(config))
    assert status == 1
    (bad,) = [line for line in out.splitlines() if line.startswith("bad")]
    assert "Destination PACS" in bad
    assert str(port) in bad
    assert "-> Check address" in out
    assert "ok   Model lung_nodule_reference" in out


def test_doctor_is_content_without_destinations(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "preread.toml"
    config.write_text(
        f'[storage]\nfolder = "{tmp_path / "data"}"\nminimum_free_gb = 0\n'
        f"[listener]\nport = {free_port()}\n[review]\nport = {free_port()}\n"
    )
    status, out, _ = _run(capsys, "doctor", "--config", str(config))
    assert status == 0, out
    for codec in ("JPEG 2000", "HTJ2K", "RLE", "JPEG-LS", "JPEG baseline", "JPEG lossless"):
        assert codec in out
    assert not (tmp_path / "data").exists(), "looking must not make anything"


def test_settings_that_are_printed_are_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = _run(capsys, "settings")
    assert status == 0
    assert tomllib.loads(out)["listener"]["ae_title"] == "PREREAD"


def test_a_wrong_setting_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "preread.toml"
    config.write_text("[listener]\nport = 99999\n")
    status, _, err = _run(capsys, "serve", "--config", str(config))
    assert status == 2
    assert "listener.port = 99999" in err
    assert "Traceback" not in err


def test_a_missing_settings_file_says_how_to_make_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = _run(capsys, "serve", "--config", str(tmp_path / "none.toml"))
    assert status == 2
    assert "preread settings >" in err


def test_models_are_listed_shown_and_verified(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = _run(capsys, "models", "list")
    assert status == 0
    assert "lung_nodule_reference" in out
    assert "enabled" in out
    status, out, _ = _run(capsys, "models", "show", "lung_nodule_reference")
    assert status == 0
    point = read_spec(CATALOG / "lung_nodule_reference").operating_point
    threshold = f"score >= {point.score_threshold}"
    for said in ("肺结节", "27925004", "maximum_slice_mm = 5.0", threshold, "# Lung nodule"):
        assert said in out
    status, out, _ = _run(capsys, "models", "show", "lung_nodule_reference", "--json")
    assert status == 0
    assert json.loads(out)["reference_weights"] is True
    status, out, _ = _run(capsys, "models", "verify", "lung_nodule_reference")
    assert status == 0
    assert out.count("SHA-256 right") == 2


def test_an_unknown_model_lists_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = _run(capsys, "models", "show", "liver")
    assert status == 2
    assert "lung_nodule_reference" in err


def test_the_schema_describes_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = _run(capsys, "schema")
    assert status == 0
    finding = json.loads(out)["$defs"]["Finding"]
    promised = (
        "tracking_uid label centre_lps_mm long_axis_mm short_axis_mm volume_mm3 mean_hu score "
        "slices segment_number"
    )
    assert set(promised.split()) <= set(finding["required"])


def test_a_reader_that_has_enough_ends_the_command_without_complaint() -> None:
    """`preread schema | head`: the pipe is closed long before the schema is out."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pacs_bridge.cli", "schema"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 141


def test_a_password_becomes_a_hash_that_fits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    status, out, _ = _run(capsys, "hash-password")
    assert status == 0
    assert verify_password("correct horse", out.strip())
    assert not verify_password("wrong horse", out.strip())


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "whole", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["short", "whole"]
)
def test_the_demo_puts_sr_and_seg_into_the_stand_in_pacs(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    whole: bool,
) -> None:
    if not whole:  # a chest half as high, of fewer voxels
        short = partial(make_phantom, slices=60, pixels=192, height_mm=150.0)
        monkeypatch.setattr("pacs_bridge.demo.make_phantom", short)
    status, out, _ = _run(capsys, "demo", "--folder", str(tmp_path / "demo"), "--no-keep-running")
    assert status == 0, out
    assert "the PACS now holds of this study: CT, SEG, SR" in out
    assert "planted nodules found" in out
    assert "/studies/2.25." in out
    made = {path.name for path in (tmp_path / "demo").rglob("preliminary/*")}
    assert made == {"findings.json", "report.html", "seg.dcm", "sr.dcm"}


def test_the_demo_empties_no_folder_of_yours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "precious").write_text("x")
    status, _, err = _run(capsys, "demo", "--folder", str(tmp_path), "--no-keep-running")
    assert status == 2
    assert "holds other things" in err
    assert (tmp_path / "precious").exists()
