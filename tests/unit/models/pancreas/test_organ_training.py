"""The organ net's training: rules that, when broken, spoil it silently. Needs PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs preread[monai]")
pytest.importorskip("scipy", reason="needs preread[monai]")

from torch import Tensor  # noqa: E402 - after the checks

from models.runtime.onnx import OnnxRuntime  # noqa: E402
from models.runtime.source import OnnxFile, RuntimeOptions  # noqa: E402
from models.training.export import fold, write  # noqa: E402
from models.training.pancreas.appearance import (  # noqa: E402
    CROP,
    CropMaker,
    arterial,
    moved,
    plain,
    scanned,
    shift_gland,
)
from models.training.pancreas.data import Patient, load_patients, part_of  # noqa: E402
from models.training.pancreas.disease import Kind, diseased, with_lesion  # noqa: E402
from models.training.pancreas.export import Scaled, slices  # noqa: E402
from models.training.pancreas.net import OrganNet, widths_of  # noqa: E402
from models.training.pancreas.organ import organ_loss  # noqa: E402
from models.training.pancreas.validation import dice  # noqa: E402

WIDTHS = (4, 4, 6, 6, 8)
GLAND_HU, FAT_HU = 100.0, 0.0


def _slice() -> tuple[np.ndarray, np.ndarray]:
    """A slice with a gland of 40 x 110 mm in fat."""
    gland = np.zeros((256, 256), bool)
    gland[110:135, 90:160] = True
    return np.where(gland, GLAND_HU, FAT_HU).astype(np.float32), gland


def test_patients_are_parted_by_their_number() -> None:
    parts = {n: part_of(f"PANCREAS_{n:04d}") for n in range(1, 83)}
    assert {n for n, part in parts.items() if part == "held-back"} == set(range(5, 83, 5))
    assert {n for n, part in parts.items() if part == "choose"} == set(range(7, 83, 10))


def test_no_patient_serves_two_purposes(shared_data: Path) -> None:
    whole = load_patients(shared_data / "train")
    names = [p.name for p in whole]
    assert names == sorted(set(names))
    parts = [part_of(name) for name in names]
    assert {part: parts.count(part) for part in parts} == {
        "train": 37, "choose": 6, "held-back": 10,
    }  # fmt: skip
    assert all(p.images.shape == p.masks.shape == (len(p.fields), 256, 256) for p in whole)
    assert all(p.masks.any((1, 2)).all() for p in whole)


@pytest.mark.parametrize(
    ("kind", "low", "high"), [("dark", 20, 95), ("cyst", -5, 60), ("bright", 105, 190)]
)
def test_a_lesion_lies_where_its_mask_says(kind: Kind, low: float, high: float) -> None:
    image, gland = _slice()
    rng = np.random.default_rng(3)
    for _ in range(20):
        shown, whole, drawn = with_lesion(image, gland, rng, kind, sizes_mm=(14, 30))
        assert drawn.any() and not (drawn & ~gland).any()
        assert (whole == gland).all()
        assert low < np.median(shown[drawn]) < high
        # Beyond its soft edge nothing changed.
        far = np.ones_like(gland)
        at = np.argwhere(drawn)
        far[
            tuple(slice(max(a - 6, 0), b + 7) for a, b in zip(at.min(0), at.max(0), strict=True))
        ] = 0
        assert np.abs(shown - image)[far & gland].max(initial=0) < 12


def test_what_grows_out_of_the_gland_belongs_to_it() -> None:
    image, gland = _slice()
    rng = np.random.default_rng(4)
    grown = 0
    for _ in range(20):
        shown, whole, drawn = with_lesion(
            image, gland, rng, "dark", sizes_mm=(25, 40), bulging=True
        )
        assert (whole == gland | drawn).all()
        outside = drawn & ~gland
        grown += int(outside.sum())
        if outside.sum() > 60:
            assert np.median(shown[outside]) > FAT_HU + 10
    assert grown > 200


def test_a_wide_duct_is_dark_and_inside() -> None:
    image, gland = _slice()
    rng = np.random.default_rng(5)
    drawn = 0
    for _ in range(10):
        shown, whole, duct = with_lesion(image, gland, rng, "duct")
        assert not (duct & ~gland).any() and (whole == gland).all()
        if duct.sum() > 20:
            drawn += 1
            assert shown[duct].mean() < 70
    assert drawn > 4


def test_a_sliver_of_gland_is_left_alone() -> None:
    image = np.full((256, 256), 50, np.float32)
    gland = np.zeros((256, 256), bool)
    gland[100:102, 100:110] = True
    shown, whole, drawn = diseased(image, gland, np.random.default_rng(0))
    assert (shown == image).all() and (whole == gland).all() and not drawn.any()


def test_image_and_mask_move_together_and_are_never_mirrored() -> None:
    image, gland = _slice()
    gland[110:135, 90:110] = False  # the left of the picture is only image, the right is gland too
    rng = np.random.default_rng(6)
    for _ in range(20):
        shown, mask = moved(image, gland, rng)
        assert shown.shape == mask.shape == (CROP, CROP)
        inside = mask > 0
        assert inside.sum() > 300
        assert shown[inside].mean() > 0.9 * GLAND_HU
        bright = np.argwhere(shown > GLAND_HU / 2)
        assert np.argwhere(inside)[:, 1].mean() > bright[:, 1].mean()


def test_no_scanner_lifts_the_air() -> None:
    image, _ = _slice()
    rng = np.random.default_rng(7)
    for _ in range(20):
        shown = scanned(image[32:224, 32:224], rng)
        assert shown.min() >= 0 and shown.max() <= 255
        assert np.median(shown[:40]) == 0


def test_phases_change_what_they_should() -> None:
    image, gland = _slice()
    image[20:60, 20:120] = 110  # liver
    image[150:160, 120:130] = 180  # aorta
    rng = np.random.default_rng(8)
    for _ in range(10):
        shifted = shift_gland(image, gland, rng)
        assert (shifted[20:60, 20:120] == 110).all()
        early = arterial(image, gland, rng)
        assert early[155, 125] > 190 and early[40, 70] < 107
        assert early[120, 120] == pytest.approx(GLAND_HU, abs=1)
        unenhanced = plain(image, rng)
        assert unenhanced[155, 125] - unenhanced[120, 120] < 45
        assert unenhanced[155, 125] > unenhanced[120, 120] > 30


def test_a_batch_holds_gland_and_chest() -> None:
    image, gland = _slice()
    patient = Patient("PANCREAS_0001", image[None].astype(np.uint8), gland[None], (256,))
    chest = np.full((2, 256, 256), 30, np.uint8)
    maker = CropMaker([patient], chest, np.random.default_rng(0), size=5, negatives=2)
    images, masks = next(iter(maker))
    assert images.shape == masks.shape == (5, 1, CROP, CROP)
    assert images.dtype == masks.dtype == torch.float32
    held = masks.flatten(1).sum(1) > 0
    assert held[:3].all() and not held[3:].any()


def test_dice_takes_a_patients_slices_together() -> None:
    true = np.zeros((2, 4, 4), bool)
    true[0] = True
    found = true.copy()
    found[1, :2] = True
    assert dice(found, true) == pytest.approx(2 * 16 / (16 + 24))
    assert dice(found & False, true & False) == 1.0


def test_the_loss_falls_as_the_mask_is_met() -> None:
    mask = torch.zeros(2, 1, 32, 32)
    mask[0, 0, 8:20, 8:20] = 1
    sure, unsure, wrong = (
        float(organ_loss(scale * (2 * mask - 1), mask)) for scale in (8.0, 0.0, -8.0)
    )
    assert sure < 0.05 < unsure < wrong


def test_the_net_keeps_the_shape_and_tells_its_widths() -> None:
    net = OrganNet(WIDTHS).eval()
    assert widths_of(net.state_dict()) == list(WIDTHS)
    with torch.inference_mode():
        assert net(torch.rand(2, 1, 64, 96) * 255).shape == (2, 1, 64, 96)


def test_what_is_exported_is_the_net_at_any_size(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = OrganNet(WIDTHS)
    net.train()
    for _ in range(3):  # so that the norms hold something to fold
        net(torch.rand(2, 1, 64, 64) * 255)
    net.eval()
    x = torch.rand(1, 1, 64, 96) * 255
    with torch.no_grad():
        before = net(x)
        folded = fold(net)
        assert torch.allclose(folded(x), before, atol=1e-3)
        doubled = Scaled(folded, (1.0, 1.0))
        assert torch.allclose(doubled(x), before, atol=1e-3)
    sizes = [slices((1, 1, 192, 224)), slices((3, 1, 256, 320))]
    file = tmp_path / "organ.onnx"
    write(Scaled(folded, (0.85, 1.0)).eval(), sizes, ("x", "y"), {0: "n", 2: "j", 3: "i"}, file)
    runtime = OnnxRuntime(OnnxFile(file), RuntimeOptions(threads=1))
    (found,) = runtime.run(np.zeros((2, 1, 96, 64), np.float32))
    assert found.shape == (2, 1, 96, 64)


def test_an_export_that_gives_something_else_is_refused(tmp_path: Path) -> None:
    class Unlike(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + float(x.shape[0])  # the export keeps the number it saw

    sizes, axes = [torch.zeros(1, 1, 8, 8), torch.zeros(3, 1, 8, 8)], {0: "n"}
    with pytest.raises(ValueError, match=r"unlike\.onnx: ONNX Runtime differs from PyTorch by 2"):
        write(Unlike().eval(), sizes, ("x", "y"), axes, tmp_path / "unlike.onnx")
