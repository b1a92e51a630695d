"""`preread analyse` with several models, several studies, and a device and runtime of choice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from imaging.report import Report
from pacs_bridge.cli import main
from tests.unit.imaging.synthetic import make_images, write
from tests.unit.models.made import CHEST_MM, chest, chest_grid, write_bright_model
from tests.unit.models.study.test_study import BALLS


def chest_of(folder: Path, study_uid: str) -> None:
    """A chest with two nodules as a study of its own."""

    def change(k: int, image: Dataset) -> None:
        image.StudyInstanceUID, image.SOPInstanceUID = study_uid, f"{study_uid}.{k + 1}"

    volume = chest(chest_grid(), BALLS)
    write(
        folder / study_uid,
        make_images(
            volume.voxels, first=volume.grid.affine[:3, 3], spacing=CHEST_MM[1:],
            step=(0, 0, CHEST_MM[0]), name=study_uid, change=change,
        ),
    )  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models, their settings, and a folder of three studies, one of them too short."""
    folder = tmp_path_factory.mktemp("analyse")
    for name in ("bright", "brighter"):
        write_bright_model(folder / "models" / name)
    (folder / "preread.toml").write_text(
        f'[models]\nfolder = "{folder / "models"}"\nenabled = ["bright", "brighter"]\n'
        'shadow = ["nobody"]\ndevice = "cpu"\n',
        encoding="utf-8",
    )
    for study_uid in ("1.2.1", "1.2.2"):
        chest_of(folder / "studies", study_uid)

    def short(k: int, image: Dataset) -> None:
        image.StudyInstanceUID = "1.2.3"

    write(folder / "studies" / "1.2.3", make_images(name="short", change=short))
    return folder


def run(place: Path, path: Path, out: Path, *options: str) -> int:
    arguments = ["--config", str(place / "preread.toml"), "--out", str(out), *options]
    return main(["analyse", str(path), *arguments])


def report_in(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "findings.json").read_text(encoding="utf-8"))


def test_studies_of_a_folder_overlap_and_each_gets_both_models(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(place, place / "studies", tmp_path, "--json") == 1  # one could not be read
    told = capsys.readouterr()
    reports = [Report.model_validate(each) for each in json.loads(told.out)]
    assert [r.study_uid for r in reports] == ["1.2.1", "1.2.2"]
    assert "not analysed: study 1.2.3" in told.err
    assert "bright: series 3 synthetic short (12 images): 12 slices, at least 20" in told.err
    for study_uid in ("1.2.1", "1.2.2"):
        report = report_in(tmp_path / study_uid)
        assert [m["name"] for m in report["models"]] == ["bright", "brighter"]
        assert [f["number"] for f in report["findings"]] == [1, 2, 3, 4]
        assert (tmp_path / study_uid / "seg.dcm").is_file()
    assert not (tmp_path / "1.2.3").exists()


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_model_device_and_runtime_are_for_the_asking(
    place: Path, tmp_path: Path, runtime: str
) -> None:
    if runtime == "openvino":
        pytest.importorskip("openvino")
    options = ("--model", "brighter", "--device", "cpu", "--runtime", runtime)
    assert run(place, place / "studies" / "1.2.1", tmp_path, *options) == 0
    report = report_in(tmp_path)
    assert report["model"]["name"] == "brighter"
    assert report["models"] == []
    assert len(report["findings"]) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [(("--device", "tpu"), "models.device"), (("--model", "nobody"), "no model is called 'nobody'"),
     (("--device", "cuda"), "cuda")],
)  # fmt: skip
def test_what_is_not_there_is_refused_by_name(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...],
    said: str,
) -> None:  # fmt: skip
    assert run(place, place / "studies" / "1.2.1", tmp_path, *options) == 2
    err = capsys.readouterr().err
    assert said in err and "Traceback" not in err
