"""The training code's rules that, when broken, spoil a model silently. Needs PyTorch."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs preread[monai]")
pytest.importorskip("scipy", reason="needs preread[monai]")

from models.training.export import Turned, fold, write  # noqa: E402 - after the check for torch
from models.training.insertion import Patch, best_place, insert, sham  # noqa: E402
from models.training.nets import Detector, MaskNet, space_to_depth, width_of  # noqa: E402
from models.training.scanner import another_scanner, thick_slices  # noqa: E402
from models.training.seal import seal  # noqa: E402


def _ball(diameter: float, side: int = 25) -> Patch:
    at = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), -1) - side // 2
    distance = np.linalg.norm(at, axis=-1) - diameter / 2
    hu = np.where(distance <= 0, 40.0, -850.0).astype(np.float32)
    return Patch(
        hu=hu,
        inside=distance <= 0,
        outside=np.maximum(distance, 0).astype(np.float32),
        known=np.ones(hu.shape, bool),
        diameter_mm=diameter,
        solid=True,
    )


def _half_lung(size: int = 80) -> np.ndarray:
    """Lung below the middle of the second axis, soft tissue above it."""
    hu = np.full((size, size, size), -850, np.float32)
    hu[:, size // 2 :, :] = 40
    return hu


def test_a_nodule_is_never_put_into_soft_tissue() -> None:
    hu = _half_lung()
    rng = np.random.default_rng(0)
    patch = _ball(9)
    inside_tissue = np.argwhere(hu > 0).astype(np.int32)
    deep = inside_tissue[inside_tissue[:, 1] > 55]
    assert best_place(patch, hu, deep, rng) is None
    in_lung = np.argwhere(hu < 0).astype(np.int32)
    corner = best_place(patch, hu, in_lung, rng)
    assert corner is not None
    box = tuple(slice(c, c + n) for c, n in zip(corner, patch.hu.shape, strict=True))
    assert (hu[box][patch.inside] < -500).mean() >= 0.4


def test_an_inserted_nodule_lies_where_its_mask_says() -> None:
    hu = _half_lung()
    patch = _ball(9)
    mask = insert(patch, hu, np.array([20, 8, 20]), np.random.default_rng(1))
    assert mask.sum() == patch.inside.sum()
    assert np.argwhere(mask).mean(0) == pytest.approx([32, 20, 32], abs=0.1)
    assert hu[mask].mean() > -50
    far = np.ones(hu.shape, bool)
    far[20:45, 8:33, 20:45] = False
    assert (hu[far] == _half_lung()[far]).all()


def test_a_sham_leaves_no_nodule() -> None:
    hu = _half_lung()
    nothing = sham(_ball(9), hu, np.array([20, 8, 20]))
    before = hu.copy()
    insert(nothing, hu, np.array([20, 8, 20]), np.random.default_rng(2))
    assert np.abs(hu - before).max() < 1


def test_space_to_depth_keeps_every_voxel() -> None:
    x = torch.arange(4 * 6 * 8, dtype=torch.float32).reshape(1, 1, 4, 6, 8)
    y = space_to_depth(x)
    assert y.shape == (1, 8, 2, 3, 4)
    assert sorted(y.flatten().tolist()) == x.flatten().tolist()


@pytest.mark.parametrize(("kind", "side"), [(Detector, 64), (MaskNet, 32)])
def test_folding_batch_normalisation_changes_no_output(
    kind: type[torch.nn.Module], side: int
) -> None:
    torch.manual_seed(0)
    net = kind()
    for part in net.modules():
        if isinstance(part, torch.nn.BatchNorm3d):
            part.running_mean.uniform_(-1, 1)
            part.running_var.uniform_(0.5, 2)
    net.eval()
    x = torch.randn(1, 1, side, side, side)
    with torch.inference_mode():
        before = net(x)
        after = fold(net)(x)
    assert torch.allclose(before, after, atol=1e-3)
    assert not any(isinstance(part, torch.nn.BatchNorm3d) for part in net.modules())


def _shaken(net: torch.nn.Module) -> torch.nn.Module:
    """Weights as after training: nothing symmetric, every cell with its own logit."""
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    return net.eval()


def test_mirrors_are_looked_into_and_turned_back() -> None:
    net = _shaken(Detector(16))
    x = torch.randn(1, 1, 32, 48, 64)
    with torch.inference_mode():
        maps = Turned(net, [4])(x)
        mirrored = Turned(net, [4])(torch.flip(x, [4]))
        plain = net(x)
    # The mean over both mirrors is the same whichever of them comes in; one net's maps are not.
    assert torch.allclose(torch.flip(mirrored, [4]), maps, atol=1e-4)
    assert not torch.allclose(plain, maps, atol=1e-2)


def test_an_exported_file_holds_half_precision_and_gives_the_same(tmp_path: Path) -> None:
    import onnx
    import onnxruntime

    net = Turned(fold(_shaken(Detector(16))), [4]).eval()
    file = tmp_path / "detector.onnx"
    sizes = [torch.randn(1, 1, 32, 32, 32), torch.randn(3, 1, 64, 32, 48)]
    write(net, sizes, ("image", "maps"), {0: "n", 2: "k", 3: "j", 4: "i"}, file)
    kinds = [w.data_type for w in onnx.load(file).graph.initializer if np.prod(w.dims) >= 1024]
    assert kinds and set(kinds) == {onnx.TensorProto.FLOAT16}
    x = torch.randn(2, 1, 48, 32, 64)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected = net(x).numpy()
    found = session.run(None, {"image": x.numpy()})[0]
    assert np.abs(found - expected).max() < 0.02
    assert expected.std() > 0.1


@pytest.mark.parametrize("width", [8, 24])
def test_weights_tell_their_width(width: int) -> None:
    assert width_of(Detector(width).state_dict()) == width


def test_another_scanner_changes_the_picture_and_not_the_place() -> None:
    hu = np.full((40, 40, 40), -850, np.float32)
    hu[16:24, 16:24, 16:24] = 40
    changed = 0
    for seed in range(40):
        seen = another_scanner(hu, np.random.default_rng(seed), 1.0)
        assert seen.shape == hu.shape and seen.dtype == np.float32
        weight = np.clip(seen + 500, 0, None)
        at = np.argwhere(weight > 0)
        centre = (at * weight[tuple(at.T)][:, None]).sum(0) / weight.sum()
        assert centre == pytest.approx([19.5] * 3, abs=1.0)
        changed += not np.array_equal(seen, hu)
    assert changed > 20
    assert np.array_equal(another_scanner(hu, np.random.default_rng(0), 0.0), hu)


@pytest.mark.parametrize("thickness", [2, 3])
def test_thick_slices_keep_a_ramp_and_blur_a_step(thickness: int) -> None:
    ramp = np.broadcast_to(np.arange(30, dtype=np.float32)[:, None, None], (30, 4, 4)).copy()
    thick = thick_slices(ramp, thickness)
    assert thick[4:-4] == pytest.approx(ramp[4:-4])
    step = (ramp > 14.5).astype(np.float32)
    assert (np.abs(np.diff(thick_slices(step, thickness)[:, 0, 0])) < 0.99).all()


def test_sealing_writes_the_hashes_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"weights")
    text = 'name = "x"\n[files]\nnet = "a.onnx"\n\n[sha256]\nnet = ""\n'
    (tmp_path / "preread.toml").write_text(text)
    seal(tmp_path)
    sealed = (tmp_path / "preread.toml").read_text()
    digest = hashlib.sha256(b"weights").hexdigest()
    assert tomllib.loads(sealed)["sha256"] == {"net": digest}
    assert sealed.replace(digest, "") == text
