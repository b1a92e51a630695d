"""How checkpoints of the detector are compared: maps under flips, and what is judged false."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs preread[monai]")
pytest.importorskip("scipy", reason="needs preread[monai]")

from models.training import validation  # noqa: E402 - after the check for torch
from models.training.detector import whole_maps  # noqa: E402
from models.training.nets import Detector  # noqa: E402
from models.training.validation import Trial  # noqa: E402

ROUNDING = 0.05  # of bfloat16


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    net = Detector(4)
    torch.nn.init.normal_(net.head.weight, std=1.0)  # a fresh head hardly answers
    path = tmp_path_factory.mktemp("nets") / "a-7.pt"
    torch.save({"average": net.state_dict(), "step": 7, "width": 4}, path)
    return path


def a_volume() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(-1000, 200, (38, 50, 61)).astype(np.int16)


def test_flipped_maps_lie_where_the_plain_ones_do(checkpoint: Path) -> None:
    net = validation.load_checkpoint(checkpoint)
    hu = a_volume()
    plain = validation.maps_of(net, hu, flips=False)
    assert plain.shape == (2, 12, 16, 16)  # padded to multiples of 16
    assert np.array_equal(plain, whole_maps(net, hu))
    mean = validation.maps_of(net, hu, flips=True)
    assert mean.shape == plain.shape
    assert np.abs(mean - plain).max() > 5 * ROUNDING
    # A mirrored scan gives the mirrored mean: the four orientations are the same four.
    full = np.pad(hu, [(0, -n % 16) for n in hu.shape], mode="edge")
    turned = validation.maps_of(net, np.ascontiguousarray(full[:, :, ::-1]), flips=True)
    assert np.allclose(turned[:, :, :, ::-1], mean, atol=ROUNDING)


def test_maps_are_kept(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "validation").mkdir()
    hu = a_volume()
    tried = [Trial("one", "one", hu, np.ones(hu.shape, bool), (), ())]
    first = validation.kept_maps(checkpoint, tried, tmp_path, flips=False)
    assert "a-7.pt" in capsys.readouterr().out
    again = validation.kept_maps(checkpoint, tried, tmp_path, flips=False)
    assert capsys.readouterr().out == ""
    assert np.array_equal(first[0], again[0])


def test_false_findings_are_counted_on_the_lung_as_it_is() -> None:
    def maps(*peaks: tuple[int, int, int, float]) -> np.ndarray:
        whole = np.full((2, 16, 16, 16), -9.0, np.float32)
        whole[1] = np.log(8.0)
        for k, j, i, logit in peaks:
            whole[0, k, j, i] = logit
        return whole

    hu = np.zeros((64, 64, 64), np.int16)
    inside = np.ones(hu.shape, bool)
    own = (9.5, 9.5, 9.5, 10.0)
    put = (41.5, 41.5, 41.5, 8.0)
    small = (41.5, 9.5, 9.5, 3.0)
    plain = Trial("lung", "lung", hu, inside, (), (own,))
    simulated = Trial("lung 0", "lung", hu, inside, (put, small), (own,))
    tried = [plain, simulated]
    found = [
        maps((2, 2, 2, 3.0), (2, 10, 10, 1.0)),
        maps((2, 2, 2, 3.0), (10, 10, 10, 2.0), (10, 2, 2, 5.0), (13, 4, 10, 4.0)),
    ]
    as_it_is, inserted = validation.score(tried, found)
    assert len(as_it_is[0].false) == 1  # its own lesion is none
    assert [n.truth.diameter_mm for n in inserted[0].nodules] == [8.0]  # 3 mm earns nothing
    values = validation.report("net", as_it_is, inserted)
    together = values["together"]
    assert isinstance(together, dict)
    # The peak that only the simulation has costs nothing; the lung's own one does.
    sensitivity = [p["sensitivity"]["value"] for p in together["points"]]
    assert sensitivity == [1.0] * 7
    assert together["points"][0]["threshold"] > 2.0 > 1.3


def test_another_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mask.pt"
    torch.save({"average": {"x": torch.zeros(1)}}, path)
    with pytest.raises(ValueError, match=r"mask\.pt: no checkpoint of models\.training\.detector"):
        validation.load_checkpoint(path)
