"""Lesions and controls drawn into glands for training the heat net. Needs PyTorch and SciPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs preread[monai]")
pytest.importorskip("scipy", reason="needs preread[monai]")

from scipy import ndimage  # noqa: E402 - after the checks

from models.loaded import load_model  # noqa: E402
from models.runtime.onnx import OnnxRuntime  # noqa: E402
from models.runtime.source import OnnxFile, RuntimeOptions  # noqa: E402
from models.spec import CATALOG, read_spec  # noqa: E402
from models.training.export import write  # noqa: E402
from models.training.nets import count_parameters  # noqa: E402
from models.training.pancreas.data import Patient, load_patients  # noqa: E402
from models.training.pancreas.heat import heat_loss  # noqa: E402
from models.training.pancreas.heat_export import slices  # noqa: E402
from models.training.pancreas.heat_net import HeatNet  # noqa: E402
from models.training.pancreas.lesion_crops import SIDE, GlandCrops  # noqa: E402
from models.training.pancreas.lesion_validation import (  # noqa: E402
    Case,
    chance,
    judge,
    maps,
    pasted,
    simulated,
    stacked,
)
from models.training.pancreas.lesions import (  # noqa: E402
    Slice,
    draw,
    mirrored,
    untouched,
    with_bile_duct,
    with_duct,
)


def gland(side: int = 96, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A bar of gland, 0 against its own parenchyma, in fat."""
    organ = np.zeros((side, side), bool)
    organ[side // 2 - 9 : side // 2 + 9, 12:-12] = True
    noise = np.random.default_rng(seed).normal(0, 20, organ.shape)
    return (np.where(organ, 0, -100) + noise).astype(np.float32), organ


def drawn(kind: str, seed: int = 1, **given: float | bool) -> tuple[Slice, np.ndarray, np.ndarray]:
    delta, organ = gland()
    made = draw(delta, organ, np.random.default_rng(seed), kind, **given)  # type: ignore[arg-type]
    return made, delta, organ


def test_a_lesion_is_as_dark_as_asked_and_the_rest_untouched() -> None:
    made, delta, organ = drawn("solid", diameter_mm=25.0, contrast_hu=-40.0, bulging=False)
    core = ndimage.binary_erosion(made.lesion, iterations=2)
    assert np.mean(made.delta[core] - delta[core]) == pytest.approx(-40, abs=10)
    far = ~ndimage.binary_dilation(made.lesion, iterations=9)
    assert np.array_equal(made.delta[far], delta[far])
    assert np.array_equal(made.organ, organ)
    assert (made.diameter_mm, made.contrast_hu, made.kind) == (25.0, -40.0, "solid")


def test_the_noise_of_the_place_stays() -> None:
    made, delta, _ = drawn("solid", diameter_mm=25.0, contrast_hu=-40.0, bulging=False)

    def grain(values: np.ndarray) -> np.ndarray:
        return np.asarray(values - ndimage.gaussian_filter(values, 1.5))

    core = ndimage.binary_erosion(made.lesion, iterations=3)
    before, after = grain(delta)[core], grain(made.delta)[core]
    assert np.corrcoef(before, after)[0, 1] > 0.97
    assert after.std() == pytest.approx(before.std(), rel=0.08)


@pytest.mark.parametrize("bulging", [False, True])
def test_a_null_paste_is_no_lesion_and_no_darker(bulging: bool) -> None:
    changes = []
    for seed in range(20):
        made, delta, organ = drawn("null", seed, diameter_mm=20.0, bulging=bulging)
        assert not made.lesion.any() and made.contrast_hu == 0 and made.place.any()
        inside = made.place & organ
        changes.append(made.delta[inside].mean() - delta[inside].mean())
        if bulging:
            beyond = made.organ & ~organ
            assert not (organ & ~made.organ).any()
            # The gland's own texture, not the fat that was there.
            assert not beyond.any() or abs(made.delta[beyond].mean()) < 25
    assert abs(np.mean(changes)) < 2


def test_a_lesion_that_bulges_makes_the_organ_larger_with_lesion() -> None:
    grown = [drawn("solid", seed, diameter_mm=30.0, bulging=True) for seed in range(8)]
    beyond = [made.organ & ~organ for made, _, organ in grown]
    assert sum(each.any() for each in beyond) >= 6
    for (made, _, _), each in zip(grown, beyond, strict=True):
        assert not (each & ~made.lesion).any()


def test_a_cyst_is_fluid_and_stays_inside() -> None:
    made, delta, organ = drawn("cyst", diameter_mm=20.0)
    core = ndimage.binary_erosion(made.lesion, iterations=2)
    assert -110 <= np.mean((made.delta - delta)[core]) <= -55
    assert np.array_equal(made.organ, organ)


def test_ducts_are_dark_and_no_lesion() -> None:
    delta, organ = gland()
    for seed in range(10):
        rng = np.random.default_rng(seed)
        for make in (with_duct, with_bile_duct):
            made = make(untouched(delta, organ), rng)
            assert not made.lesion.any()
            assert (made.delta - delta).min() < -20
            assert np.array_equal(made.delta[~organ], delta[~organ])


def test_a_duct_behind_a_lesion_goes_to_one_side_of_it() -> None:
    for seed in range(10):
        made, _, _ = drawn("solid", seed, diameter_mm=14.0, contrast_hu=-30.0, bulging=False)
        behind = with_duct(made, np.random.default_rng(seed))
        assert np.array_equal(behind.lesion, made.lesion)
        assert np.array_equal(behind.delta[made.lesion], made.delta[made.lesion])
        at = np.flatnonzero(((behind.delta - made.delta) < -15).any(0))
        middle = np.argwhere(made.lesion)[:, 1].mean()
        assert (at > middle - 6).all() or (at < middle + 6).all()


def test_texture_is_mirrored_at_the_border() -> None:
    organ = np.zeros((8, 8), bool)
    organ[:, :4] = True
    values = np.tile(np.arange(8, dtype=np.float32), (8, 1))
    # The nearest pixel of the gland is column 3: column 4 mirrors 2, column 6 mirrors 0.
    assert mirrored(values, organ)[0, 4:7].tolist() == [2, 1, 0]


def made_patient(name: str = "PANCREAS_0002") -> Patient:
    delta, organ = gland(256)
    images = np.clip(delta + 100, 0, 255).astype(np.uint8)
    return Patient(name, np.stack([images] * 3), np.stack([organ] * 3), (256,) * 3)


def test_crops_are_the_nets_input_and_lesions_lie_in_the_organ() -> None:
    crops = iter(GlandCrops([made_patient()], np.random.default_rng(0)))
    lesions = 0
    for _ in range(40):
        x, lesion, organ = next(crops)
        assert x.shape == (2, SIDE, SIDE) and x.dtype == np.float32
        assert np.array_equal(x[1], organ) and not x[0][organ == 0].any()
        assert not lesion[organ == 0].any()
        lesions += bool(lesion.any())
    assert 10 <= lesions <= 34


def test_the_loss_looks_only_into_the_organ() -> None:
    lesion, organ = torch.zeros(1, 8, 8), torch.zeros(1, 8, 8)
    organ[0, 2:6, 2:6], lesion[0, 3, 3] = 1, 1
    logits = torch.zeros(1, 1, 8, 8)
    outside = logits.clone()
    outside[0, 0, 0] = 9.0
    assert heat_loss(logits, lesion, organ) == heat_loss(outside, lesion, organ)
    better = logits.clone()
    better[0, 0, 3, 3] = 4.0
    assert heat_loss(better, lesion, organ) < heat_loss(logits, lesion, organ)


def test_the_net_is_small_and_its_export_agrees(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = HeatNet(widths=(8, 12, 16, 20)).eval()
    assert count_parameters(HeatNet()) < 1_000_000
    sizes = [slices((1, 2, 64, 96)), slices((3, 2, 112, 80))]
    file = tmp_path / "heat.onnx"
    write(net, sizes, ("x", "y"), {0: "n", 2: "j", 3: "i"}, file)
    runtime = OnnxRuntime(OnnxFile(file), RuntimeOptions(threads=1))
    x = np.zeros((2, 2, 32, 48), np.float32)
    (found,) = runtime.run(x)
    assert found.shape == (2, 1, 32, 48)


def test_hits_and_chance_by_hand() -> None:
    images = np.full((1, 32, 32), 100, np.float32)
    organ = np.zeros((1, 32, 32), bool)
    organ[0, 4:28, 4:28] = True
    lesion = np.zeros_like(organ)
    lesion[0, 12:18, 12:18] = True
    dark = np.where(lesion, 50, images).astype(np.float32)
    found, missed = (Case(n, stacked(dark, organ, 5.0), m, stacked(images, organ, 5.0))
                     for n, m in (("a", lesion), ("b", np.roll(lesion, 9, 2))))  # fmt: skip
    judged = judge([found, missed], None)["darkness x place"]
    assert judged.hit.value == 0.5 and judged.hotter.value == 1.0 and judged.healed_auc.value == 1.0
    assert chance([found]).value == pytest.approx(36 / 576)


@pytest.fixture(scope="module")
def choose(shared_data: Path) -> list[Patient]:
    return load_patients(shared_data / "train", "choose")


def test_a_simulated_lesion_is_found_and_a_null_paste_is_not(choose: list[Patient]) -> None:
    runner = load_model(read_spec(CATALOG / "pancreas_reference"), threads=1).networks["heat"]
    hits = []
    for n, patient in enumerate(choose):
        k = int(np.argmax(patient.masks.sum((1, 2))))
        middle = np.float32(np.median(patient.images[patient.masks]))
        box = np.argwhere(patient.masks[k]).mean(0).astype(int)
        part = tuple(slice(max(int(c) - 56, 0), max(int(c) - 56, 0) + 112) for c in box)
        delta = patient.images[k][part].astype(np.float32) - middle
        made = draw(
            delta, patient.masks[k][part], np.random.default_rng(n), "solid",
            diameter_mm=22.0, contrast_hu=-45.0,
        )  # fmt: skip
        score = maps(stacked(made.delta[np.newaxis], made.organ[np.newaxis], 5.0), runner)
        at = np.unravel_index(int(np.argmax(score["learned"])), score["learned"].shape)
        hits.append(bool(made.lesion[at[1:]]))
    assert sum(hits) >= len(hits) - 1
    assert 0.3 < pasted(choose, 12, runner)["learned"].value < 0.6


def test_every_case_has_one_lesion_and_a_healed_copy(choose: list[Patient]) -> None:
    for case in simulated(choose[:2], 4):
        assert case.lesion.any((1, 2)).sum() == 1 and not (case.lesion & ~case.gland.organ).any()
        changed = (case.gland.delta + case.gland.parenchyma_hu) != (
            case.healed.delta + case.healed.parenchyma_hu
        )
        k = int(np.flatnonzero(case.lesion.any((1, 2)))[0])
        # Each gland is measured against its own median; away from that slice nothing differs.
        assert not np.delete(changed, k, 0).any() or np.allclose(
            np.delete(case.gland.delta + case.gland.parenchyma_hu, k, 0),
            np.delete(case.healed.delta + case.healed.parenchyma_hu, k, 0), atol=1e-3,
        )  # fmt: skip
