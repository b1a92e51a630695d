"""`preread analyse` and `preread models show` with a validated model, and research maps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imaging.report import Report
from pacs_bridge.cli import main
from tests.e2e.test_analyse_models import chest_of
from tests.unit.models.made import write_bright_model
from tests.unit.models.validated_made import validate


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A validated model, one that is not, their settings and a chest."""
    folder = tmp_path_factory.mktemp("urgent")
    write_bright_model(folder / "models" / "plain")
    validate(write_bright_model(folder / "models" / "validated"), threshold=0.5)
    settings(folder, "")
    chest_of(folder / "studies", "1.2.1")
    return folder


def settings(folder: Path, more: str) -> None:
    (folder / "preread.toml").write_text(
        f'[models]\nfolder = "{folder / "models"}"\nenabled = ["plain", "validated"]\n'
        f'device = "cpu"\n{more}',
        encoding="utf-8",
    )


def run(place: Path, out: Path, *options: str) -> int:
    return main(["analyse", str(place / "studies"), "--config", str(place / "preread.toml"),
                 "--out", str(out), *options])  # fmt: skip


def test_the_validated_model_alone_flags_the_study(place: Path, tmp_path: Path) -> None:
    assert run(place, tmp_path) == 0
    report = Report.model_validate_json((tmp_path / "findings.json").read_text(encoding="utf-8"))
    assert report.schema_version == "1.4" and report.urgent and report.urgency is not None
    (raised,) = report.urgency.raised_by
    mine = [f.number for f in report.findings if f.model == "validated"]
    assert (raised.model, list(raised.findings)) == ("validated", mine) and mine
    assert run(place, tmp_path, "--model", "plain") == 0
    assert json.loads((tmp_path / "findings.json").read_text(encoding="utf-8"))["urgency"] is None


def test_show_says_who_validated_it_and_names_the_weights(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ("--config", str(place / "preread.toml"))
    assert main(["models", "show", "validated", *config]) == 0
    out = capsys.readouterr().out
    assert "validated: from score 0.5 on it flags the study as urgent" in out
    assert "400 patients (100 diseased): sensitivity 93.0%, specificity 97.5%" in out
    weights = json.loads(_json(capsys, "validated", config))["operating_point"]["validated"][
        "weights"
    ]
    assert f"fingerprint of the weights: {weights}" in out
    assert main(["models", "show", "plain", *config]) == 0
    assert "not validated: it flags no study as urgent" in capsys.readouterr().out


def _json(capsys: pytest.CaptureFixture[str], name: str, config: tuple[str, str]) -> str:
    assert main(["models", "show", name, "--json", *config]) == 0
    return capsys.readouterr().out


def test_research_maps_where_there_are_none_are_refused_by_name(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(place, tmp_path, "--research") == 2
    said = "--research: none of the models that read (plain, validated) has a research map"
    assert said in capsys.readouterr().err
    for name, said in (("plain", "plain: it has no research map; take it out of models.research"),
                       ("nobody", "research: nobody: not among the enabled models")):  # fmt: skip
        settings(place, f'research = ["{name}"]\n')
        assert run(place, tmp_path) == 2
        assert said in capsys.readouterr().err
    settings(place, "")
