"""`preread plan`: the choice and its reasons, without a model, a pixel or a server."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from pacs_bridge.cli import main
from tests.unit.imaging.synthetic import make_images, write


def study(folder: Path) -> Path:
    def named(name: str, number: int, step: float) -> list[Dataset]:
        def change(_: int, image: Dataset) -> None:
            image.SeriesDescription, image.SeriesNumber = name, number

        hu = np.zeros((round(120 / step), 2, 2), np.int16)
        return make_images(hu, step=(0, 0, step), name=name, change=change)

    write(folder / "a", named("CHEST 4.0", 1, 4.0))
    write(folder / "b", named("CHEST 2.0", 2, 2.0))
    write(folder / "c", named("AXIAL MIP", 3, 4.0))
    return folder


def test_the_plan_as_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(study(tmp_path)), "--model", "lung_nodule_reference"]) == 0
    told = capsys.readouterr().out
    words = " ".join(told.split())
    assert "lung_nodule_reference: 1 series would be read" in words
    assert "5 (slices of 2 mm)" in words
    assert "slices of 2 mm against slices of 4 mm" in words
    assert "projection of several slices by its description" in words


def test_the_plan_as_json_with_the_sites_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "preread.toml"
    config.write_text(
        "[[series_rules]]\nname = 'thick is ours'\ndescription = '^CHEST 4'\nthen = 'prefer'\n"
    )
    # Not installed: its description is enough.
    models = ["--model", "lung_nodule_reference", "--model", "pancreas_ct_dints_segmentation"]
    folder = study(tmp_path / "s")
    status = main(["plan", str(folder), "--config", str(config), "--json", *models])
    (one,) = json.loads(capsys.readouterr().out)
    assert status == 0
    lungs, pancreas = one["plans"]
    (read,) = [v for v in lungs["verdicts"] if v["accepted"]]
    assert read["description"] == "CHEST 4.0"
    assert [f["aspect"] for f in read["factors"]] == ["slices", "site"]
    assert "thick is ours" in read["factors"][1]["text"]["zh"]
    assert pancreas["chosen"] is None
    codes = {n["code"] for v in pancreas["verdicts"] for n in v["notices"]}
    assert codes == {"wrong-body-part", "described-otherwise"}


def test_chinese_reasons_and_the_exit_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", "brats_mri_segmentation", "--language", "zh"]
    assert main(["plan", str(study(tmp_path)), *arguments]) == 1
    assert "模型要求 MR" in "".join(capsys.readouterr().out.split("\n")).replace("  ", "")


def test_nothing_to_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(tmp_path)]) == 2
    assert "no DICOM images in it" in capsys.readouterr().err
