"""Reading a bundle's config: ids, references, macros, overrides, and what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from models.bundle.config import Config
from models.errors import CodeRefused, SpecError
from models.sections import NetworkSection


def config_of(
    tmp_path: Path,
    values: dict[str, Any] | str,
    section: NetworkSection | None = None,
    *,
    name: str = "inference.json",
    trust_code: bool = False,
) -> Config:
    folder = tmp_path / "bundle"
    (folder / "configs").mkdir(parents=True, exist_ok=True)
    text = values if isinstance(values, str) else json.dumps(values)
    (folder / "configs" / name).write_text(text)
    (folder / "configs" / "metadata.json").write_text('{"version": "1"}')
    return Config.read(folder, section or NetworkSection(), trust_code=trust_code)


def test_ids_references_and_values(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        {
            "imports": ["$import numpy as np"],
            "bundle_root": ".",
            "size": [96, "$48 * 2"],
            "again": "@size",
            "path": "$@bundle_root + '/models'",
            "nested": {"a": {"b": "@size#1"}, "c": "@#a", "d": "$@##size[0]"},
            "type": "$np.float32",
            "mail": "a@b",
        },
    )
    assert config.resolve("size") == [96, 96]
    assert config.resolve("again") is config.resolve("size")
    assert config.resolve("nested#a#b") == config.resolve("nested::a::b") == 96
    assert config.resolve("nested")["c"] == {"b": 96}
    assert config.resolve("nested")["d"] == 96
    assert config.resolve("path") == str(tmp_path / "bundle" / "models")
    assert config.resolve("mail") == "a@b"
    assert config.get("size#1") == "$48 * 2"
    assert config.get("nothing") is None and "nothing" not in config


def test_components(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        {
            "off": True,
            "net": {
                "_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2,
                "channels": [2, 4], "strides": [2], "_desc_": "small",
            },
            "steps": {
                "_target_": "Compose",
                "transforms": [
                    {"_target_": "LoadImaged", "keys": "image"},
                    {"_target_": "EnsureChannelFirstd", "keys": "image", "_disabled_": "@off"},
                    {"_target_": "monai.transforms.SpacingD", "keys": "image", "pixdim": [1, 2, 3]},
                    "@own",
                ],
            },
            "own": {"_target_": "scripts.steps.Own", "keys": "image"},
            "later": {"_target_": "torch.nn.Softmax", "dim": 0, "_mode_": "callable"},
            "by_expression": {"_target_": "$torch.nn.Softmax", "dim": 0},
        },
    )  # fmt: skip
    assert type(config.resolve("net")).__name__ == "UNet"
    assert config.again().resolve("net") is not config.resolve("net")
    assert config.target("net") == "UNet"
    assert [step.name for step in config.components("steps")] == [
        "LoadImaged", "Spacingd", "scripts.steps.Own",
    ]  # fmt: skip
    assert config.components("steps")[1].arguments == {"keys": "image", "pixdim": [1, 2, 3]}
    assert isinstance(config.resolve("later")(), torch.nn.Softmax)
    assert isinstance(config.resolve("by_expression"), torch.nn.Softmax)


def test_files_are_read_and_written_by_us_alone(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        {
            "steps": {
                "_target_": "Compose",
                "transforms": [
                    {"_target_": "LoadImaged", "keys": "image"},
                    {"_target_": "SaveImaged", "keys": "pred", "output_dir": "/"},
                    {"_target_": "LoadImageD", "keys": "other", "ensure_channel_first": True},
                ],
            }
        },
    )
    compose = config.resolve("steps")
    assert [type(step).__name__ for step in compose.transforms] == [
        "Identityd", "Identityd", "EnsureChannelFirstd",
    ]  # fmt: skip
    assert compose({"image": "/etc/passwd"}) == {"image": "/etc/passwd"}


def test_roles_are_those_of_the_evaluator(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        {
            "inferer": 1,
            "other": 2,
            "prep": [],
            "data": {"transform": "@prep"},
            "loader": {"dataset": "@data"},
            "net2": "@net3",
            "net3": 3,
            "post_transform": [],
            "evaluator": {"inferer": "@other", "network": "@net2", "val_data_loader": "@loader"},
        },
    )
    assert config.role("inferer") == "other"
    assert config.role("network") == "net3"
    assert config.role("preprocessing") == "prep"
    assert config.role("postprocessing") == "post_transform"
    del config.values["post_transform"]
    assert not config.has_role("postprocessing")
    with pytest.raises(SpecError, match=r"inference\.json: no postprocessing: neither evaluator#"):
        config.role("postprocessing")


def test_overrides_by_id(tmp_path: Path) -> None:
    values = {"inferer": {"overlap": 0.5}, "steps": [1, 2], "bundle_root": "."}
    section = NetworkSection(
        overrides={"inferer#overlap": 0.25, "inferer::batch": 2, "steps#1": [7]}
    )
    config = config_of(tmp_path, values, section)
    assert config.resolve("inferer") == {"overlap": 0.25, "batch": 2}
    assert config.resolve("steps") == [1, [7]]
    with pytest.raises(SpecError, match=r"preread\.toml: network\.overrides\.'infrer#overlap'"):
        config_of(tmp_path, values, NetworkSection(overrides={"infrer#overlap": 1}))


def test_yaml_macros_and_a_second_file(tmp_path: Path) -> None:
    text = "a: {x: 1, y: [1, 2]}\nb: '%a'\nc: '%a#y'\nd: '%configs/other.json#deep'\n"
    folder = tmp_path / "bundle"
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "other.json").write_text('{"deep": {"k": "v"}}')
    config = config_of(tmp_path, text, name="inference.yaml")
    assert config.path.name == "inference.yaml"
    assert config.resolve("b") == {"x": 1, "y": [1, 2]} and config.resolve("c") == [1, 2]
    assert config.resolve("d") == {"k": "v"}
    assert config.get("b") is not config.get("a")

    (folder / "configs" / "more.json").write_text('{"a#x": 5, "+a": {"z": 6}, "e": 7}')
    section = NetworkSection(config="configs/inference.yaml, configs/more.json")
    merged = Config.read(folder, section)
    assert merged.resolve("a") == {"x": 5, "y": [1, 2], "z": 6} and merged.resolve("e") == 7


def test_metadata_is_served_and_no_other_file(tmp_path: Path) -> None:
    said = "$json.loads(pathlib.Path(@where).read_text())"
    values = {"where": "$@bundle_root + '/configs/metadata.json'", "bundle_root": ".", "m": said}
    assert config_of(tmp_path, values).resolve("m") == {"version": "1"}
    for other in ("/etc/passwd", "$@bundle_root + '/configs/inference.json'", "../x.json"):
        with pytest.raises(SpecError, match="outside the bundle|only configs/metadata.json"):
            config_of(tmp_path, values | {"where": other}).resolve("m")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1,}', r"inference\.json: not JSON: .* line 1, column"),
        ('{"a": 1, "a": 2}', r"the key 'a' is there twice"),
        ("[1]", r"holds a list, not a table"),
        ('{"a": ' * 2000 + "1" + "}" * 2000, r"nested (too|more) deeply"),
    ],
)
def test_broken_json(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        config_of(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        "a: [1",
        "a: !!python/object/apply:os.system ['id']",
        "a: &a [1, *a]",
        "a: &a [x, x]\nb: &b [*a, *a]\n"
        + "\n".join(f"{chr(99 + n)}: &{chr(99 + n)} [{', '.join(['*' + chr(98 + n)] * 9)}]"
                    for n in range(9)),
    ],
)  # fmt: skip
def test_hostile_yaml(tmp_path: Path, text: str) -> None:
    with pytest.raises(SpecError, match=r"inference\.yml"):
        config_of(tmp_path, text, name="inference.yml")


@pytest.mark.parametrize(
    ("raw", "error", "message"),
    [
        ("@nothing", SpecError, r"inference\.json: x = '@nothing': refers to @nothing, which"),
        ("$@nothing + 1", SpecError, r"refers to @nothing"),
        ("@x", SpecError, r"x = '@x': refers to itself: x -> x"),
        ("$[1][2]", SpecError, r"x = '\$\[1\]\[2\]': fails: IndexError"),
        ("$glob.glob('*')", CodeRefused, r"x = .\$glob\.glob.*glob is not among .*--trust-code"),
        ({"_target_": "UNett"}, SpecError, r"x#_target_ = 'UNett': MONAI 1.* has nothing of"),
        ({"_target_": "scripts.a.B"}, CodeRefused, r"x#_target_ = 'scripts\.a\.B': .*--trust"),
        ({"_target_": "os.system", "command": "id"}, CodeRefused, r"os\.system is not on the"),
        ({"_target_": "builtins.eval"}, CodeRefused, r"builtins\.eval is not on the list"),
        ({"_target_": "torch.hub.load"}, CodeRefused, r"torch\.hub\.load is not on the list"),
        ({"_target_": "CheckpointLoader", "load_path": ""}, CodeRefused, r"CheckpointLoader"),
        ({"_target_": "DenseNet121", "spatial_dims": 2, "in_channels": 3, "out_channels": 1,
          "pretrained": True}, SpecError, r"pretrained=True would fetch weights"),
        ({"_target_": "Spacingd", "keys": "image", "pixdims": 1}, SpecError,
         r"x: Spacingd fails: .*takes no pixdims"),
        ({"_target_": "UNet", "_mode_": "debug"}, SpecError, r"x#_mode_ = 'debug': only default"),
        ({"_target_": "@y"}, SpecError, r"is nothing that can be called"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(
    tmp_path: Path, raw: Any, error: type[SpecError], message: str
) -> None:
    config = config_of(tmp_path, {"x": raw, "y": 3})
    with pytest.raises(error, match=message) as refusal:
        config.resolve("x")
    assert type(refusal.value) is error


def test_a_circle_through_several_ids(tmp_path: Path) -> None:
    config = config_of(tmp_path, {"a": "$@b + 1", "b": ["@a"]})
    with pytest.raises(SpecError, match=r"a -> b -> b::0 -> a"):
        config.resolve("a")


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no such folder"):
        Config.read(tmp_path / "nowhere", NetworkSection())
    config_of(tmp_path, {})
    (tmp_path / "bundle" / "configs" / "metadata.json").unlink()
    with pytest.raises(SpecError, match=r"metadata\.json: no such file"):
        Config.read(tmp_path / "bundle", NetworkSection())
    with pytest.raises(SpecError, match=r"configs/x\.json: no such file"):
        Config.read(tmp_path / "bundle", NetworkSection(config="configs/x.json"))
    with pytest.raises(SpecError, match=r"network\.config: \.\./x\.json lies outside"):
        Config.read(tmp_path / "bundle", NetworkSection(config="../x.json"))


def test_what_newer_monai_no_longer_takes_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    swin = {"_target_": "SwinUNETR", "img_size": 32, "in_channels": 1, "out_channels": 2,
            "feature_size": 12}  # fmt: skip
    with caplog.at_level("INFO"):
        config = config_of(tmp_path, {"net": swin})
    assert "img_size is left out" in caplog.text
    assert type(config.resolve("net")).__name__ == "SwinUNETR"


def test_older_names_of_transforms(tmp_path: Path) -> None:
    steps = [{"_target_": "AddChanneld", "keys": "image"},
             {"_target_": "monai.transforms.AsChannelFirstd", "keys": "image"}]  # fmt: skip
    config = config_of(tmp_path, {"steps": steps})
    assert [step.name for step in config.components("steps")] == ["EnsureChannelFirstd"] * 2
    assert config.components("steps")[0].arguments["channel_dim"] == "no_channel"


def test_devices_are_the_cpu(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        {
            "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
            "always": {"_target_": "torch.device", "device": "cuda:1"},
            "step": {"_target_": "EnsureTyped", "keys": "image", "device": "cuda"},
        },
    )
    assert config.resolve("device") == config.resolve("always") == torch.device("cpu")
    moved = config.resolve("step")({"image": torch.zeros(1, 2)})["image"]
    assert moved.device == torch.device("cpu")


def test_trusted_code_runs_and_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scripts = tmp_path / "bundle" / "scripts"
    scripts.mkdir(parents=True)
    (scripts / "__init__.py").write_text("")
    (scripts / "own.py").write_text("def double(x):\n    return 2 * x\n")
    values = {
        "device": "$torch.device('cuda')",
        "made": {"_target_": "scripts.own.double", "x": "$len(__import__('os').sep)"},
    }
    with pytest.raises(CodeRefused, match=r"scripts\.own\.double is not on the list"):
        config_of(tmp_path, values).resolve("made")
    with pytest.raises(CodeRefused, match="__import__"):
        config_of(tmp_path, values).resolve("made#x")
    with caplog.at_level("WARNING"):
        config = config_of(tmp_path, values, trust_code=True)
        assert config.resolve("made") == 2
    assert config.resolve("device") == torch.device("cpu")
    assert "--trust-code" in caplog.text


def test_two_trusted_bundles_have_a_package_of_one_name_each(tmp_path: Path) -> None:
    configs = []
    for number in (1, 2):
        scripts = tmp_path / str(number) / "bundle" / "scripts"
        scripts.mkdir(parents=True)
        (scripts / "__init__.py").write_text("")
        (scripts / "own.py").write_text(f"def number():\n    return {number}\n")
        values = {"a": {"_target_": "scripts.own.number"}, "b": "$scripts.own.number()",
                  "imports": ["$import scripts.own", "$import scripts"]}  # fmt: skip
        configs.append(config_of(tmp_path / str(number), values, trust_code=True))
    assert [config.resolve("a") for config in configs] == [1, 2]
    assert [config.again().resolve("a") for config in configs] == [1, 2]
    assert [config.again().resolve("b") for config in configs] == [1, 2]
