"""Settings: each key described, each mistake named, the template is the defaults."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from pacs_bridge.errors import SettingsError
from pacs_bridge.settings import (
    DestinationSettings,
    MachineSettings,
    PeerSettings,
    PullSettings,
    ReaderSettings,
    SeriesRuleSettings,
    Settings,
    load_settings,
)
from pacs_bridge.settings_template import settings_template


def _sections() -> dict[str, type[BaseModel]]:
    found: dict[str, type[BaseModel]] = {
        "destinations": DestinationSettings,
        "machines": MachineSettings,
        "pull": PullSettings,
        "readers": ReaderSettings,
        "series_rules": SeriesRuleSettings,
        "assembly.source": PeerSettings,
    }
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found[name] = field.annotation
    return found


def _keys() -> list[tuple[str, str | None]]:
    keys = [
        (f"{section}.{name}", field.description)
        for section, kind in _sections().items()
        for name, field in kind.model_fields.items()
    ]
    return keys + [
        (name, field.description)
        for name, field in Settings.model_fields.items()
        if name not in _sections()
    ]


@pytest.mark.parametrize(("key", "description"), _keys())
def test_every_key_is_described(key: str, description: str | None) -> None:
    assert description and len(description) > 5, key


def test_every_key_stands_in_the_template() -> None:
    lines = settings_template().splitlines()
    for key, _ in _keys():
        name = key.rpartition(".")[2]
        if key.startswith("assembly.source."):
            shown = any(line.startswith("# source = ") and name in line for line in lines)
            assert shown or not PeerSettings.model_fields[name].is_required(), key
            continue
        at = [i for i, line in enumerate(lines) if line.removeprefix("# ").startswith(f"{name} =")]
        assert at, key
        assert all(lines[i - 1].startswith("# ") for i in at), key


def test_the_template_is_toml_and_says_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "preread.toml"
    path.write_text(settings_template(), encoding="utf-8")
    assert load_settings(path, {}) == Settings() == load_settings(None, {})


def test_the_template_with_everything_switched_on_is_valid(tmp_path: Path) -> None:
    lines = []
    for line in settings_template().splitlines():
        bare = line.removeprefix("# ")
        is_key = bare.split(" = ")[0].isidentifier() and " = " in bare
        lines.append(bare if is_key or bare.startswith("[[") else line)
    path = tmp_path / "preread.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    settings = load_settings(path, {})
    assert settings.destinations[0].name == "main PACS"
    assert settings.readers[0].user == "zhang"
    assert settings.assembly.source is not None
    assert settings.assembly.source.ae_title == "PACS"


@pytest.mark.parametrize(
    ("toml", "named"),
    [
        ("[listener]\nprot = 1", "listener.prot"),
        ("[listener]\nport = 70000", "listener.port"),
        ("[listener]\nport = 'many'", "listener.port"),
        ("[listener]\nae_title = 'LONGER THAN SIXTEEN'", "listener.ae_title"),
        ("[nonsense]\na = 1", "nonsense"),
        ("report_language = 'de'", "report_language"),
        ("[storage]\nminimum_free_gb = -1", "storage.minimum_free_gb"),
        ("[assembly]\nquiet_s = 0", "assembly.quiet_s"),
        ("[models]\ndevice = 'gpu'", "models.device = 'gpu'"),
        ("[models]\nprecision = 'fp8'", "models.precision = 'fp8'"),
        ("[models]\nruntime = 'tensorrt'", "models.runtime = 'tensorrt'"),
        ("[models]\nmemory_gb = -1", "models.memory_gb"),
        ("[models]\nenabled = ['a']\nshadow = ['a']", "a: in enabled and in shadow"),
        (
            "[models]\nenabled = ['a', 'b']\nresearch = ['a', 'nobody']",
            "research: nobody: not among the enabled models (a, b)",
        ),
        ("[[destinations]]\nname = 'a'\nae_title = 'A'\nhost = 'h'", "port missing"),
        ("[[destinations]]\nname = 'a'\ndicomweb_url = 'pacs.example'", "no http:// or https://"),
        (
            "[[destinations]]\nname = 'a'\ndicomweb_url = 'http://p/dw'\ncommitment = true",
            "commitment = true needs ae_title, host, port too",
        ),
        (
            "[[destinations]]\nname='a'\nae_title='A'\nhost='h'\nport=1\ncharacter_sets=['UTF-8']",
            "'UTF-8' is no defined term",
        ),
        (
            "[listener]\ncalling_ae_titles=['CT1']\n"
            "[[destinations]]\nname='a'\nae_title='A'\nhost='h'\nport=1\ncommitment=true",
            "listener.calling_ae_titles lacks A: destination 'a' reports",
        ),
        (
            "[[destinations]]\nname='a'\nae_title='A'\nhost='h'\nport=1\nstudies='some'",
            "destinations.0.studies",
        ),
        (
            "[[destinations]]\nname='a'\nae_title='A'\nhost='h'\nport=1\naccepts=['DOC']",
            "destinations.0.accepts",
        ),
    ],
)
def test_a_mistake_is_named_with_its_file_and_key(tmp_path: Path, toml: str, named: str) -> None:
    path = tmp_path / "preread.toml"
    path.write_text(toml)
    with pytest.raises(SettingsError) as error:
        load_settings(path, {})
    assert named in str(error.value)
    assert str(path) in str(error.value)


def test_two_destinations_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "preread.toml"
    path.write_text("[[destinations]]\nname='a'\nae_title='A'\nhost='h'\nport=1\n" * 2)
    with pytest.raises(SettingsError, match="two destinations are called a"):
        load_settings(path, {})


def test_no_file_and_no_toml_are_clear(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no such file.*preread settings"):
        load_settings(tmp_path / "absent.toml", {})
    for content in (b"[[[", b"\xff\xfe\x00"):
        (tmp_path / "bad.toml").write_bytes(content)
        with pytest.raises(SettingsError, match="cannot be read as TOML"):
            load_settings(tmp_path / "bad.toml", {})


def test_the_environment_goes_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "preread.toml"
    path.write_text("[listener]\nport = 104\nae_title = 'FILE'\n")
    environment = {
        "PREREAD_LISTENER__PORT": "11113",
        "PREREAD_STORAGE__FOLDER": "/data",
        "PREREAD_SITE": "县医院",
        "PREREAD_ASSEMBLY__SOURCE__AE_TITLE": "PACS",
        "PREREAD_ASSEMBLY__SOURCE__HOST": "pacs",
        "PREREAD_ASSEMBLY__SOURCE__PORT": "104",
        "PREREAD_UNRELATED": "left alone",
        "OTHER": "left alone",
    }
    settings = load_settings(path, environment)
    assert (settings.listener.port, settings.listener.ae_title) == (11113, "FILE")
    assert settings.storage.folder == Path("/data")
    assert settings.site == "县医院"
    assert settings.assembly.source == PeerSettings(ae_title="PACS", host="pacs", port=104)


def test_a_mistake_in_the_environment_is_named() -> None:
    with pytest.raises(SettingsError, match="listener.port"):
        load_settings(None, {"PREREAD_LISTENER__PORT": "many"})
    with pytest.raises(SettingsError, match="listener.prot"):
        load_settings(None, {"PREREAD_LISTENER__PROT": "1"})


def test_lists_come_from_the_environment_too() -> None:
    chosen = load_settings(None, {"PREREAD_LISTENER__CALLING_AE_TITLES": '["CT1", "CT2"]'})
    assert chosen.listener.calling_ae_titles == ("CT1", "CT2")
    with pytest.raises(SettingsError, match="PREREAD_MODELS__ENABLED"):
        load_settings(None, {"PREREAD_MODELS__ENABLED": "[a"})


def test_a_section_that_is_given_as_a_value_is_named() -> None:
    with pytest.raises(SettingsError, match="PREREAD_SITE__NAME: site is a value"):
        load_settings(None, {"PREREAD_SITE": "x", "PREREAD_SITE__NAME": "y"})


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().listener.port = 5  # type: ignore[misc]


def test_the_database_lies_in_the_folder_unless_said_otherwise() -> None:
    assert Settings().storage.database_url.startswith("sqlite:////")
    assert Settings().storage.database_url.endswith("preread-data/preread.sqlite")
    url = "postgresql+psycopg://host/name"
    chosen = load_settings(None, {"PREREAD_STORAGE__DATABASE": url})
    assert chosen.storage.database_url == url


def test_template_values_survive_odd_characters() -> None:
    from pacs_bridge.settings_template import _toml

    for value in ('a"b', "a\\b", "县", ""):
        assert tomllib.loads(f"x = {_toml(value)}")["x"] == value


def test_a_mistake_in_a_whole_section_tells_no_password(tmp_path: Path) -> None:
    path = tmp_path / "preread.toml"
    path.write_text(
        "[[destinations]]\nname='a'\nae_title='A'\ntls={key_password='s3cret', oops=1}\n"
        "[listener]\ncalling_ae_titles=['CT1']\n"
        "[[destinations]]\nname='b'\nae_title='A'\nhost='h'\ntls={key_password='s3cret'}\n"
    )
    with pytest.raises(SettingsError) as error:
        load_settings(path, {})
    assert "destinations.1: Value error, port missing" in str(error.value)
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    "address",
    ["ftp://pacs/x", "pacs.example/dicom-web", "https://me:se/cret@pacs", "https://a@b@c"],
)
def test_a_dicomweb_address_is_refused_and_no_password_told(tmp_path: Path, address: str) -> None:
    path = tmp_path / "preread.toml"
    path.write_text(f'[priors]\ndicomweb_url = "{address}"\n', encoding="utf-8")
    with pytest.raises(SettingsError, match=r"priors\.dicomweb_url = .*%2F") as caught:
        load_settings(path, {})
    assert "cret" not in str(caught.value)


def test_research_goes_with_the_models_that_are_asked_for() -> None:
    values = {"models": {"enabled": ["a", "b"], "research": ["b"]}}
    settings = Settings.model_validate(values)
    assert settings.with_models(enabled=("b", "c")).models.research == ("b",)
    assert settings.with_models(enabled=("c",)).models.research == ()
    assert settings.with_models(research=("a", "b")).models.research == ("a", "b")
    with pytest.raises(SettingsError, match=r"models.*research: c: not among the enabled"):
        settings.with_models(research=("c",))
