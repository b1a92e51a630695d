"""Networks and weights of bundles, also of broken and hostile ones."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.bundle import open_bundle
from models.bundle.checkpoint import load_values
from models.errors import CodeRefused, SpecError
from models.runtime.source import TorchNetwork, TorchScriptFile
from models.sections import NetworkSection
from tests.unit.models.bundle.made import published, save_weights

SMALL = NetworkSection(
    overrides={"network_def#channels": [2, 4], "network_def#strides": [2],
               "network_def#num_res_units": 0}
)  # fmt: skip


@pytest.fixture
def spleen(shared_data: Path, tmp_path: Path) -> Path:
    """The spleen bundle with a small network's weights."""
    folder = published(shared_data, "spleen_ct_segmentation", tmp_path)
    save_weights(folder, SMALL)
    return folder


def weights_of(folder: Path) -> Path:
    return folder / "models" / "model.pt"


def built(folder: Path, section: NetworkSection = SMALL) -> torch.nn.Module:
    source = open_bundle(folder, section).source
    assert isinstance(source, TorchNetwork)
    return source.build()


def test_a_network_is_built_with_its_weights(spleen: Path) -> None:
    source = open_bundle(spleen, SMALL).source
    assert isinstance(source, TorchNetwork)
    assert (source.name, source.channels, source.patch) == (spleen.name, 1, (96, 96, 96))
    assert not source.fixed
    first, second = source.build(), source.build()
    assert first is not second and not first.training
    saved = torch.load(weights_of(spleen), weights_only=True)
    for name, value in second.state_dict().items():
        assert torch.equal(value, saved[name]) and value.device.type == "cpu"
    assert first(torch.zeros(1, 1, 16, 16, 16)).shape == (1, 2, 16, 16, 16)


def test_a_state_under_its_key(spleen: Path) -> None:
    state = torch.load(weights_of(spleen), weights_only=True)
    torch.save({"model": state, "epoch": 3}, weights_of(spleen))
    assert torch.equal(next(iter(built(spleen).state_dict().values())), next(iter(state.values())))


def test_the_cache_is_named_by_weights_and_config(spleen: Path) -> None:
    def name(section: NetworkSection) -> tuple[Path, str]:
        source = open_bundle(spleen, section).source
        assert isinstance(source, TorchNetwork) and source.cache is not None
        return source.cache

    before = name(SMALL)
    assert before == name(SMALL) and before[0] == spleen / ".cache"
    other = SMALL.model_copy(update={"overrides": SMALL.overrides | {"inferer#roi_size": 64}})
    assert name(other)[1] != before[1]
    save_weights(spleen, SMALL, seed=5)
    assert name(SMALL)[1] != before[1]


def test_torchscript_stands_in_where_there_are_no_weights(spleen: Path) -> None:
    module = built(spleen)
    weights_of(spleen).unlink()
    with pytest.raises(SpecError, match=r"model\.pt: no such file, and no .*model\.ts"):
        open_bundle(spleen, SMALL)
    script = spleen / "models" / "model.ts"
    torch.jit.trace(module, torch.zeros(1, 1, 16, 16, 16)).save(script)
    assert open_bundle(spleen, SMALL).source == TorchScriptFile(script)


def test_a_swin_transformer_takes_one_size(shared_data: Path, tmp_path: Path) -> None:
    folder = published(shared_data, "swin_unetr_btcv_segmentation", tmp_path)
    torch.save({}, weights_of(folder))
    source = open_bundle(folder, NetworkSection()).source
    assert isinstance(source, TorchNetwork) and source.fixed


class Evil:
    """Unpickling it makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def _pickled(path: Path, values: Any) -> None:
    path.write_bytes(pickle.dumps(values))


@pytest.mark.parametrize("save", [lambda p, v: torch.save(v, p), _pickled], ids=["zip", "pickle"])
def test_a_pickle_that_would_execute_code_is_refused(
    spleen: Path, tmp_path: Path, save: Callable[[Path, Any], None]
) -> None:
    marker = tmp_path / "executed"
    state = torch.load(weights_of(spleen), weights_only=True)
    save(weights_of(spleen), {"model": state, "other": Evil(marker)})
    with pytest.raises(SpecError, match=r"model\.pt: the pickle would execute code|damaged"):
        built(spleen)
    assert not marker.exists()
    # the file does what it is feared for, where it is let
    if save is not _pickled:
        torch.load(weights_of(spleen), weights_only=False)
        assert marker.exists()


def test_a_pickled_module_is_no_weights(spleen: Path) -> None:
    torch.save(built(spleen), weights_of(spleen))
    with pytest.raises(SpecError, match=r"it names .*monai\.networks.*a state dict"):
        built(spleen)


def damage_nothing_of_torch(path: Path) -> None:
    path.write_bytes(b"\x89PNG not weights at all" * 10)


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


def damage_cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


def damage_flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[40:80] = bytes(40)
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage", [damage_nothing_of_torch, damage_empty, damage_cut_off, damage_flipped]
)
def test_damaged_weights(spleen: Path, damage: Callable[[Path], None]) -> None:
    damage(weights_of(spleen))
    with pytest.raises(SpecError, match=r"model\.pt: (not a file of weights|the pickle would)"):
        built(spleen)


def _without_first(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return dict(list(state.items())[1:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without_first, r"1 missing, first model\.0\.conv\.weight"),
        (lambda s: s | {"extra.weight": torch.zeros(1)}, "1 not the network's, first extra"),
        (lambda s: {k: v[:1] for k, v in s.items() if v.ndim},
         r"of another shape, first .* is \(1, 1, 3, 3, 3\), the network has \(2, 1, 3, 3, 3\)"),
        (lambda s: {"epoch": 3}, "holds no weights under 'model', but epoch"),
        (lambda s: [1, 2], "holds no weights under 'model', but list"),
        (lambda s: {"net": s}, "holds no weights under 'model', but net"),
    ],
)  # fmt: skip
def test_weights_of_another_network(
    spleen: Path, change: Callable[[dict[str, torch.Tensor]], Any], message: str
) -> None:
    state = torch.load(weights_of(spleen), weights_only=True)
    torch.save(change(state), weights_of(spleen))
    with pytest.raises(SpecError, match=message):
        built(spleen)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"network_def#in_channels": 3},
         r"network_def: has 3 input channels, .*metadata\.json says 1 \(network_data_format#in"),
        ({"network_def#out_channels": 5}, r"has 5 output channels, .*metadata\.json says 2"),
        ({"checkpointloader#load_path": "/etc/passwd"}, "/etc/passwd lies outside the bundle"),
        ({"checkpointloader#load_path": "$@bundle_root + '/../x.pt'"}, "lies outside the bundle"),
        ({"checkpointloader#load_path": "models/none.pt"}, r"models/none\.pt: no such file"),
    ],
)  # fmt: skip
def test_what_contradicts_the_bundle(spleen: Path, overrides: dict[str, Any], message: str) -> None:
    section = NetworkSection(overrides=SMALL.overrides | overrides)
    with pytest.raises(SpecError, match=message):
        open_bundle(spleen, section)


def test_a_network_of_the_bundles_own_needs_trust(spleen: Path) -> None:
    section = NetworkSection(overrides={"network_def": {"_target_": "scripts.net.Net"}})
    with pytest.raises(CodeRefused, match=r"network_def#_target_ = 'scripts\.net\.Net': .*--trust"):
        built(spleen, section)
    (spleen / "scripts").mkdir()
    (spleen / "scripts" / "net.py").write_text(
        "import torch\n\nclass Net(torch.nn.Conv3d):\n    def __init__(self):\n"
        "        super().__init__(1, 2, 1)\n"
    )
    torch.save(torch.nn.Conv3d(1, 2, 1).state_dict(), weights_of(spleen))
    source = open_bundle(spleen, section, trust_code=True).source
    assert isinstance(source, TorchNetwork)
    assert type(source.build()).__module__ == "scripts.net"


def test_something_else_than_a_network(spleen: Path) -> None:
    section = NetworkSection(overrides={"network": "$[1]"})
    with pytest.raises(SpecError, match=r"network = '\$\[1\]': is a list, not a network"):
        built(spleen, section)


def test_arrays_of_numbers_are_let_in_and_of_objects_not(tmp_path: Path) -> None:
    path = tmp_path / "code.pt"
    code = {"a": np.arange(6).reshape(2, 3), "b": np.ones(2, np.float32), "c": np.float64(2.5)}
    torch.save(code, path)
    found = load_values(path)
    assert all(np.array_equal(found[key], code[key]) for key in code)
    torch.save({"a": np.array([Evil(tmp_path / "executed")], dtype=object)}, path)
    with pytest.raises(SpecError, match="would execute code"):
        load_values(path)
    assert not (tmp_path / "executed").exists()


def test_a_hostile_search_code(shared_data: Path, tmp_path: Path) -> None:
    folder = published(shared_data, "pancreas_ct_dints_segmentation", tmp_path)
    torch.save({}, weights_of(folder))
    source = open_bundle(folder, NetworkSection()).source
    assert isinstance(source, TorchNetwork)
    torch.save({"arch_code_a": Evil(tmp_path / "executed")}, folder / "models/search_code_18590.pt")
    with pytest.raises(SpecError, match=r"search_code_18590\.pt: the pickle would execute code"):
        source.build()
    assert not (tmp_path / "executed").exists()
