"""A nodule model over LUNA16 and LIDC-IDRI folders, resumed, read by fold, and by the command."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from imaging.geometry import Point
from models.errors import DatasetError, InferenceFailed, SpecError
from models.evaluation.labelled.luna16 import open_luna16
from models.evaluation.nodule_run import evaluate_nodules
from models.evaluation.nodules import wide_open
from models.loaded import LoadedModel
from models.runtime import Batch, Outputs
from pacs_bridge.cli import main
from tests.unit.models.evaluation.lidc_data import (
    Mark,
    Session,
    rois_of,
    write_readings,
    write_table,
)
from tests.unit.models.labelled_data import write_image
from tests.unit.models.made import Here, bright_model, chest, chest_grid, write_bright_model
from tests.unit.models.study.test_study import write_chest

LEFT: Point = (50.0, 4.0, 12.0)
RIGHT: Point = (-44.0, -20.0, -30.0)
FALSE: Point = (-46.0, 10.0, 30.0)
BALLS = ((LEFT, 20.0, 250), (RIGHT, 20.0, 230), (FALSE, 16.0, 240))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return bright_model(tmp_path_factory.mktemp("models") / "bright")


@pytest.fixture(scope="module")
def luna16(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scans in two subsets; one of them is mirrored, as some of LUNA16's are."""
    root = tmp_path_factory.mktemp("luna16")
    grids = {"1.1": chest_grid(), "1.2": chest_grid((-1, 0, 0, 0, -1, 0)), "1.3": chest_grid()}
    for n, (uid, grid) in enumerate(grids.items()):
        write_image(root / f"subset{n // 2}" / f"{uid}.mhd", chest(grid, BALLS).voxels, grid)
    write_table(
        root / "CSVFILES" / "annotations.csv",
        [(uid, *LEFT, 20.0) for uid in grids] + [("1.1", *RIGHT, 20.0), ("9.9", 0, 0, 0, 8)],
    )
    write_table(root / "CSVFILES" / "annotations_excluded.csv", [("1.2", *RIGHT, -1.0)])
    return root


def run(
    model: LoadedModel, folder: Path, out: Path | None = None, told: list[str] | None = None
) -> dict[str, object]:
    cases, left_out = open_luna16(folder)
    lines = told if told is not None else []
    evaluation = evaluate_nodules(
        model, cases, source=str(folder), dataset="luna16", rule="luna16", out=out,
        left_out=left_out, progress=lines.append,
    )  # fmt: skip
    assert evaluation.table()
    return evaluation.model_dump(mode="json", exclude={"at"})


def test_folds_are_read_apart_and_together(model: LoadedModel, luna16: Path) -> None:
    values = run(model, luna16)
    assert values["scans"] == 3
    folds = values["folds"]
    assert isinstance(folds, Mapping) and list(folds) == ["fold 0", "fold 1"]
    # fold 0: three nodules, the excluded one costs nothing, one false finding a scan
    first, second = folds["fold 0"], folds["fold 1"]
    assert (first["froc"]["nodules"], first["froc"]["scans"]) == (3, 2)
    assert first["at_point"]["sensitivity"]["value"] == 1.0
    assert first["at_point"]["false_a_scan"]["value"] == 1.0
    # fold 1: RIGHT is in no table, so it is false there
    assert second["at_point"]["false_a_scan"]["value"] == 2.0
    whole = values["all"]
    assert isinstance(whole, Mapping)
    assert whole["froc"]["nodules"] == 4
    assert whole["at_point"]["false_a_scan"]["value"] == pytest.approx(4 / 3)
    # LEFT scores best, so the first eighth finds three of four
    shares = {p["false_a_scan"]: p["sensitivity"]["value"] for p in whole["froc"]["points"]}
    assert shares[8.0] == 1.0 and shares[0.125] >= 0.75
    assert any(g["name"] == "size from 20 mm" for g in whole["froc"]["groups"])
    assert any(g["name"].startswith("place ") for g in whole["froc"]["groups"])


class Stops(Here):
    """A detector that is lost on its second scan."""

    def __init__(self, model: LoadedModel) -> None:
        self._inner, self.calls = model.runners["detector"], 0

    def run(self, batch: Batch) -> Outputs:
        self.calls += 1
        if self.calls > 1:
            raise InferenceFailed("the device went away")
        return self._inner.run(batch)


def test_a_stopped_run_goes_on(model: LoadedModel, luna16: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "results.jsonl"
    broken = replace(model, networks={**model.networks, "detector": Stops(model)})
    with pytest.raises(InferenceFailed):
        run(broken, luna16, out)
    lines = out.read_text().splitlines()
    assert len(lines) == 2 and json.loads(lines[1])["name"] == "1.1"
    early = tmp_path / "early.jsonl"
    early.write_text(lines[0][:20])  # killed within the first line
    with pytest.raises(InferenceFailed):
        run(broken, luna16, early)
    assert early.read_text().splitlines()[0] == lines[0]
    with out.open("a") as file:
        file.write('{"name": "1.2", "fold": "fo')  # as a kill leaves it
    told: list[str] = []
    resumed = run(model, luna16, out, told)
    assert told == [
        f"{out}: 1 of 3 scans are there already", "2/3 fold 0 1.2", "3/3 fold 1 1.3"
    ]  # fmt: skip
    fresh = run(model, luna16)
    for values in (resumed, fresh):
        for part in (values["all"], *values["folds"].values()):
            part.pop("seconds")
    assert resumed == fresh
    told.clear()
    run(model, luna16, out, told)
    assert told == [f"{out}: 3 of 3 scans are there already"]


def test_results_of_another_model_are_not_mixed_in(
    model: LoadedModel, luna16: Path, tmp_path: Path
) -> None:
    out = tmp_path / "results.jsonl"
    run(model, luna16, out)
    other = replace(model, spec=model.spec.model_copy(update={"version": "2.0"}))
    with pytest.raises(DatasetError, match=r"bright 1\.0 .* not of bright 2\.0 .*--out"):
        run(other, luna16, out)
    for kept in (b"something else\n", b"one line without an end", b"{}\nand the rest"):
        out.write_bytes(kept)
        with pytest.raises(DatasetError, match="holds something else"):
            run(model, luna16, out)
        assert out.read_bytes() == kept, "what is not ours stays as it is"
    with pytest.raises(DatasetError, match=r"below\.jsonl: can't be written .*--out"):
        run(model, luna16, out / "below.jsonl")
    out.write_bytes(b"\xff\xfe\n")
    with pytest.raises(DatasetError, match=r"results\.jsonl: cannot be read .*--out"):
        run(model, luna16, out)


def test_a_scan_that_cannot_be_read_is_in_no_figure(model: LoadedModel, tmp_path: Path) -> None:
    grid = chest_grid()
    write_image(tmp_path / "subset0" / "1.1.mhd", chest(grid, BALLS).voxels, grid)
    write_image(tmp_path / "subset0" / "1.2.mhd", np.full(grid.shape, 40, np.int16), grid)
    (tmp_path / "subset0" / "1.3.mhd").write_text("no image")
    rows = [("1.1", *LEFT, 20.0), ("1.2", *LEFT, 20.0), ("1.3", *LEFT, 20.0)]
    write_table(tmp_path / "annotations.csv", rows)
    told: list[str] = []
    values = run(model, tmp_path, told=told)
    unused = {each["name"]: each["reason"] for each in values["unused"]}
    assert values["scans"] == 1
    assert "lung" in unused["1.2"] and "1.3.mhd: cannot be read" in unused["1.3"]
    assert "annotations_excluded.csv" in unused
    assert sum("EXCLUDED" in line for line in told) == 2
    (tmp_path / "subset0" / "1.1.mhd").unlink()
    with pytest.raises(DatasetError, match="no scan with a nodule that counts"):
        run(model, tmp_path)


def test_what_is_wrong_with_a_folder_is_said(luna16: Path, tmp_path: Path) -> None:
    assert [case.name for case in open_luna16(luna16, folds=(1,))[0]] == ["1.3"]
    with pytest.raises(DatasetError, match=r"no \.mhd in subset7 \(there: subset0, subset1\)"):
        open_luna16(luna16, folds=(0, 7))
    with pytest.raises(DatasetError, match="no such folder"):
        open_luna16(tmp_path / "nowhere")
    (tmp_path / "subset0").mkdir()
    (tmp_path / "subset0" / "1.mhd").touch()
    with pytest.raises(DatasetError, match=r"no annotations\.csv"):
        open_luna16(tmp_path)
    table = write_table(tmp_path / "annotations.csv", [("1", 0.0, 0.0, float("nan"), 5.0)])
    with pytest.raises(DatasetError, match=f"{table.name}: line 2"):
        open_luna16(tmp_path)
    table.write_text("seriesuid,coordX\n")
    with pytest.raises(DatasetError, match="has no column coordY, coordZ, diameter_mm"):
        open_luna16(tmp_path)


def test_a_nodule_outside_its_image_is_refused(luna16: Path, tmp_path: Path) -> None:
    grid = chest_grid()
    write_image(tmp_path / "subset0" / "1.mhd", chest(grid).voxels, grid)
    write_table(tmp_path / "annotations.csv", [("1", 0.0, 0.0, 5000.0, 8.0)])
    (case,) = open_luna16(tmp_path)[0]
    with pytest.raises(DatasetError, match="lies outside; coordinates are LPS mm"):
        case.load()


def test_other_tasks_are_turned_away(model: LoadedModel) -> None:
    with pytest.raises(SpecError, match="Without --dataset"):
        wide_open(model.spec.model_copy(update={"task": "segmentation"}))


def test_the_command_reads_lidc(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bright_model(tmp_path / "models" / "bright")
    config = tmp_path / "preread.toml"
    config.write_text(
        f'[storage]\nfolder = "{tmp_path / "data"}"\n'
        f'[models]\nfolders = ["{tmp_path / "models"}"]\n'
    )
    folder = tmp_path / "LIDC-IDRI" / "LIDC-IDRI-0001" / "1" / "2"
    files = write_chest(folder)
    headers = [pydicom.dcmread(f, stop_before_pixels=True) for f in files]
    headers.sort(key=lambda h: float(h.ImagePositionPatient[2]))
    uids = {k: str(h.SOPInstanceUID) for k, h in enumerate(headers)}
    z = {k: float(h.ImagePositionPatient[2]) for k, h in enumerate(headers)}
    grid = chest_grid()
    at = grid.to_lps(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1))
    drawn = [
        Mark(rois_of(np.linalg.norm(at - middle, axis=-1) <= 10, uids, z))
        for middle in ((50.0, 4.0, 12.0), (-44.0, -20.0, -30.0))
    ]
    write_readings(
        folder / "069.xml", str(headers[0].SeriesInstanceUID), [Session(drawn), Session(drawn[:1])]
    )
    monkeypatch.chdir(tmp_path)
    asked = [
        "models", "evaluate", "bright", "--dataset", "lidc", "LIDC-IDRI", "--out", "r.jsonl",
        "--json", "figures.json", "--runtime", "onnx", "--config", str(config),
    ]  # fmt: skip
    assert main(asked) == 0
    shown = capsys.readouterr()
    assert "1/1 S1" in shown.err and "CPM" in shown.out
    figures = json.loads(Path("figures.json").read_text())
    point = figures["all"]["at_point"]
    assert (point["sensitivity"]["value"], point["sensitivity"]["of"]) == (1.0, 1)
    assert point["false_a_scan"]["value"] == 0.0  # the other was drawn by one reader
    assert figures["all"]["dice"]["value"] > 0.7
    assert main([*asked[:-2], "--readers", "1", "--config", str(config)]) != 0
    assert "nodules of 2 readers" in capsys.readouterr().err
    assert main(["models", "evaluate", "bright", "--dataset", "luna16", "LIDC-IDRI",
                 "--config", str(config)]) != 0  # fmt: skip
    assert "no .mhd in subset0 to subset9" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "sets"),
    [
        (["--out", "r.jsonl"], "lidc or luna16"),
        (["--rule", "5mm"], "lidc or luna16"),
        (["--dataset", "luna16", "--readers", "2"], "lidc"),
        (["--dataset", "lidc", "--folds", "0,1"], "luna16"),
    ],
)
def test_an_option_that_would_change_nothing_is_refused(
    capsys: pytest.CaptureFixture[str], options: list[str], sets: str
) -> None:
    assert main(["models", "evaluate", "bright", "DATA", *options]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"{options[-2]} changes nothing here; it goes with --dataset {sets}:" in said
