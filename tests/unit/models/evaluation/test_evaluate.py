"""A model over labelled cases, with networks that see what is bright."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from imaging.geometry import Point
from models.errors import DatasetError, InferenceFailed
from models.evaluation.evaluate import Evaluation, evaluate
from models.evaluation.labelled import open_labelled
from models.loaded import LoadedModel
from models.runtime import Batch, Outputs
from tests.unit.models.labelled_data import write_image
from tests.unit.models.made import Here, bright_model, chest, chest_grid

LEFT: Point = (50.0, 4.0, 12.0)
RIGHT: Point = (-44.0, -20.0, -30.0)
UPPER: Point = (44.0, -16.0, 40.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return bright_model(tmp_path_factory.mktemp("models") / "bright")


def add_case(
    folder: Path, name: str, seen: tuple[Point, ...], marked: tuple[Point, ...], **more: float
) -> None:
    """A chest with bright balls at ``seen`` and a mask of balls at ``marked``, all of 20 mm."""
    grid = chest_grid()
    write_image(
        folder / "imagesTr" / f"{name}.nii.gz",
        chest(grid, tuple((at, 20.0, 260) for at in seen), **more).voxels,
        grid,
    )
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    mask = np.zeros(grid.shape, np.uint8)
    for at in marked:
        mask[np.linalg.norm(grid.to_lps(index) - at, axis=-1) <= 10.0] = 1
    write_image(folder / "labelsTr" / f"{name}.nii.gz", mask, grid)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Found; missed; healthy with a false finding; no lung; damaged; without a mask."""
    folder = tmp_path_factory.mktemp("labelled")
    add_case(folder, "a found", (LEFT,), (LEFT,))
    add_case(folder, "b half", (LEFT, UPPER), (LEFT, RIGHT))
    add_case(folder, "c healthy", (RIGHT,), ())
    add_case(folder, "d no lung", (), (LEFT,), lung_mm=5.0)
    add_case(folder, "e damaged", (), ())
    (folder / "imagesTr" / "e damaged.nii.gz").write_bytes(b"nothing")
    add_case(folder, "f unmarked", (), ())
    (folder / "labelsTr" / "f unmarked.nii.gz").unlink()
    return folder


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def evaluation(model: LoadedModel, labelled: Path, told: list[str]) -> Evaluation:
    return evaluate(model, open_labelled(labelled, model.spec), progress=told.append)


def test_each_case_is_judged(evaluation: Evaluation) -> None:
    found, half, healthy = evaluation.cases
    assert [x.found for x in found.lesions] == [True]
    assert found.lesions[0].diameter_mm == pytest.approx(20, abs=1)
    assert found.lesions[0].score is not None
    assert found.dice[1] > 0.8
    assert found.false == {1: 0}
    assert sorted(x.found for x in half.lesions) == [False, True]
    assert half.false == {1: 1}
    # half of what is marked is found, half of what is found is marked
    assert half.dice[1] == pytest.approx(found.dice[1] / 2, abs=0.06)
    assert healthy.dice == {}
    assert healthy.false == {1: 1}


def test_the_figures_are_over_all_cases(evaluation: Evaluation) -> None:
    assert evaluation.sensitivity is not None
    assert evaluation.sensitivity.value == pytest.approx(2 / 3)
    assert evaluation.sensitivity.of == 3
    assert evaluation.sensitivity_by_label == {1: evaluation.sensitivity}
    assert evaluation.false_a_scan is not None
    assert evaluation.false_a_scan.value == pytest.approx(2 / 3)
    mean = (evaluation.cases[0].dice[1] + evaluation.cases[1].dice[1]) / 2
    assert evaluation.dice[1].value == pytest.approx(mean)
    assert evaluation.mean_dice == pytest.approx(mean)
    assert evaluation.dice[1].low is not None


def test_what_is_in_no_figure_is_said_everywhere(evaluation: Evaluation, told: list[str]) -> None:
    reasons = {each.name: each.reason for each in evaluation.excluded}
    assert set(reasons) == {"d no lung", "e damaged", "f unmarked"}
    assert "at least 100 ml" in reasons["d no lung"]
    assert "e damaged.nii.gz: cannot be read" in reasons["e damaged"]
    assert "no mask" in reasons["f unmarked"]
    table = evaluation.table()
    assert "IN NO FIGURE: 3" in table
    assert all(reason in table for reason in reasons.values())
    assert "1/5 a found" in told
    assert any(line.startswith("e damaged: EXCLUDED") for line in told)


def test_the_table_and_the_json(evaluation: Evaluation) -> None:
    table = evaluation.table()
    assert "b half" in table
    assert "1 of 2" in table
    assert "lesion sensitivity, Lung nodule" in table
    assert "0.667 (" in table
    values = json.loads(evaluation.model_dump_json())
    assert values["sensitivity"]["of"] == 3
    assert values["runtimes"] == {"detector": "bright", "mask": "bright"}
    assert Evaluation.model_validate_json(evaluation.model_dump_json()) == evaluation


def test_points_give_no_dice(model: LoadedModel, tmp_path: Path) -> None:
    grid = chest_grid()
    volume = chest(grid, ((LEFT, 20.0, 260), (UPPER, 20.0, 260)))
    write_image(tmp_path / "1.2.3.nii.gz", volume.voxels, grid)
    rows = [f"1.2.3,{x},{y},{z},20" for x, y, z in (LEFT, RIGHT)]
    heads = "seriesuid,coordX,coordY,coordZ,diameter_mm"
    (tmp_path / "annotations.csv").write_text("\n".join([heads, *rows]))
    found = evaluate(model, open_labelled(tmp_path, model.spec))
    assert [x.found for x in found.cases[0].lesions] == [True, False]
    assert found.cases[0].false == {1: 1}
    assert found.mean_dice is None
    assert found.dice == {}


def test_nothing_usable_is_an_error(model: LoadedModel, tmp_path: Path) -> None:
    add_case(tmp_path, "x", (), (LEFT,), lung_mm=5.0)
    with pytest.raises(DatasetError, match="none of its cases could be used. x: .*at least 100 ml"):
        evaluate(model, open_labelled(tmp_path, model.spec))


class Broken(Here):
    def run(self, batch: Batch) -> Outputs:
        raise InferenceFailed("the device went away")


def test_a_failing_network_is_no_excluded_case(model: LoadedModel, labelled: Path) -> None:
    broken = LoadedModel(model.spec, {"detector": Broken(), "mask": Broken()})
    with pytest.raises(InferenceFailed, match="the device went away"):
        evaluate(broken, open_labelled(labelled, model.spec))


def test_a_label_that_is_never_marked_is_pointed_out(model: LoadedModel, tmp_path: Path) -> None:
    add_case(tmp_path, "x", (LEFT,), ())
    table = evaluate(model, open_labelled(tmp_path, model.spec)).table()
    assert "Lung nodule is marked in no case; its 1 finding(s) count as false" in table
