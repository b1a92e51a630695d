"""Models over a real HTTP server: pulled, gone on with, refused; with the weights beside them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.errors import SpecError
from models.intake.installation import read_installation
from models.spec import CATALOG, find_spec, read_spec, verify_files
from pacs_bridge.errors import DownloadFailed, DownloadWrong, LibraryError
from pacs_bridge.library import Library, Terms
from pacs_bridge.library.large_files import missing_large_files
from tests.network.fileserver import FileServer, file_server
from tests.unit.pacs_bridge.bundles_made import (
    library_in,
    make_bundle,
    no,
    settings_in,
    sha1,
    yes,
    zipped,
)

NAME = "spleen_ct_segmentation"
WEIGHTS = random.Random(1).randbytes(400_000)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as running:
        yield running


def publish(server: FileServer, folder: Path, bundle: Path, version: str = "0.5.9") -> Path:
    """A site's own catalogue: the shipped description, its address and hash the server's."""
    archive = zipped(bundle, folder / f"{NAME}_v{version}.zip")
    server.files[f"/{archive.name}"] = archive.read_bytes()
    text = (CATALOG / NAME / "preread.toml").read_text(encoding="utf-8")
    origin = read_spec(CATALOG / NAME).origin
    assert origin is not None
    text = text.replace(origin.url, f"{server.url}/{archive.name}")
    text = text.replace(origin.sha1, sha1(archive)).replace('"0.5.9"', f'"{version}"')
    described = folder / "catalogue" / NAME
    described.mkdir(parents=True, exist_ok=True)
    (described / "preread.toml").write_text(text, encoding="utf-8")
    return folder / "catalogue"


@pytest.fixture
def site(server: FileServer, tmp_path: Path) -> Library:
    bundle = make_bundle(tmp_path / "published" / NAME, version="0.5.9", weights=WEIGHTS)
    return library_in(tmp_path, folders=[str(publish(server, tmp_path, bundle))])


def hidden(library: Library) -> list[str]:
    return [p.name for folder in library.folder.glob(".*") for p in folder.iterdir()]


def test_one_command_brings_a_model_that_may_run(
    site: Library, server: FileServer, tmp_path: Path
) -> None:
    asked: list[Terms] = []
    added = site.pull(NAME, lambda terms: bool(asked.append(terms)) or True)
    assert [terms.licence for terms in asked] == ["Apache-2.0"]
    spec = find_spec(NAME, [site.folder])
    assert spec == added.spec
    verify_files(spec)
    assert spec.sha256["models/model.pt"] == hashlib.sha256(WEIGHTS).hexdigest()
    assert spec.labels == read_spec(CATALOG / NAME).labels
    record = read_installation(spec.folder)
    assert record is not None
    assert record.source == f"{server.url}/{NAME}_v0.5.9.zip"
    assert record.licence == "Apache-2.0"
    assert hidden(site) == [], "the zip has done its work"


def test_a_pull_that_broke_is_gone_on_with(
    site: Library, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    server.break_after = [100_000] + [0] * 6
    with pytest.raises(DownloadFailed, match=r"100000 bytes are kept.*same command again"):
        site.pull(NAME, yes)
    assert not (site.folder / NAME).exists()
    assert f"{NAME}_v0.5.9.zip.part" in hidden(site)
    server.break_after, server.requests = [], []
    site.pull(NAME, yes)
    assert server.requests[0][1]["range"] == "bytes=100000-"


def test_an_interrupted_pull_keeps_what_came(
    server: FileServer, site: Library, tmp_path: Path
) -> None:
    def stop(what: str, here: int, whole: int | None) -> None:
        assert what == f"{NAME}_v0.5.9.zip"
        if here > 150_000:
            raise KeyboardInterrupt

    settings = settings_in(tmp_path, folders=[str(tmp_path / "catalogue")])
    with pytest.raises(KeyboardInterrupt):
        Library(settings, stop).pull(NAME, yes)
    assert not (site.folder / NAME).exists()
    server.requests.clear()
    site.pull(NAME, yes)
    assert int(server.requests[0][1]["range"].removeprefix("bytes=").rstrip("-")) > 150_000


def test_another_file_is_refused(site: Library, server: FileServer, tmp_path: Path) -> None:
    evil = zipped(make_bundle(tmp_path / "evil" / NAME, weights=b"evil"), tmp_path / "evil.zip")
    server.files[f"/{NAME}_v0.5.9.zip"] = evil.read_bytes()
    with pytest.raises(DownloadWrong, match="sha1 is .* was promised"):
        site.pull(NAME, yes)
    assert not (site.folder / NAME).exists()
    assert hidden(site) == []


def test_what_is_not_agreed_to_is_not_fetched(site: Library, server: FileServer) -> None:
    with pytest.raises(LibraryError, match="Apache-2.0 was not agreed to; nothing was fetched"):
        site.pull(NAME, no)
    assert server.requests == []


def test_a_mirror_or_a_file_stands_in(site: Library, server: FileServer, tmp_path: Path) -> None:
    archive = tmp_path / f"{NAME}_v0.5.9.zip"
    server.files = {"/mirror/any-name": archive.read_bytes()}
    with pytest.raises(DownloadFailed, match="HTTP 404"):
        site.pull(NAME, yes)
    site.pull(NAME, yes, source=f"{server.url}/mirror/any-name")
    site.pull(NAME, yes, source=str(archive), again=True)
    site.pull(NAME, yes, source=str(tmp_path), again=True)
    assert archive.is_file(), "what lies on somebody's stick stays there"
    verify_files(find_spec(NAME, [site.folder]))


def test_the_same_version_is_not_fetched_twice(site: Library, server: FileServer) -> None:
    site.pull(NAME, yes)
    server.requests.clear()
    with pytest.raises(LibraryError, match=r"0\.5\.9 is here already.*--again"):
        site.pull(NAME, yes)
    assert server.requests == []
    site.pull(NAME, yes, again=True)
    assert len(server.requests) == 1


def test_a_new_version_takes_the_place_of_the_old(
    site: Library, server: FileServer, tmp_path: Path
) -> None:
    site.pull(NAME, yes)
    bundle = make_bundle(tmp_path / "new" / NAME, version="0.6.0", weights=WEIGHTS + b"new")
    publish(server, tmp_path, bundle, "0.6.0")
    spec = site.pull(NAME, yes).spec
    assert spec.version == "0.6.0"
    verify_files(spec)
    assert hidden(site) == []


def large(bundle: Path, *files: dict[str, str]) -> None:
    lines = ["large_files:"]
    for entry in files:
        first, *rest = [f'{key}: "{value}"' for key, value in entry.items()]
        lines += [f"- {first}", *(f"  {line}" for line in rest)]
    (bundle / "large_files.yml").write_text("\n".join(lines) + "\n")


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def test_weights_that_a_bundle_only_names_are_fetched(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    server.files = {"/model.pt": WEIGHTS, "/model.ts": b"not needed"}
    bundle = make_bundle(tmp_path / "b", weights=None)
    large(
        bundle,
        {"path": "models/model.pt", "url": f"{server.url}/model.pt", "hash_val": md5(WEIGHTS),
         "hash_type": "md5"},
        {"path": "models/model.ts", "url": f"{server.url}/model.ts", "hash_val": md5(b"x"),
         "hash_type": "md5"},
    )  # fmt: skip
    server.break_after = [90_000]
    spec = library_in(tmp_path).add(str(bundle), yes).spec
    assert spec.sha256["models/model.pt"] == hashlib.sha256(WEIGHTS).hexdigest()
    assert [path for path, _ in server.requests] == ["/model.pt", "/model.pt"]
    assert not (bundle / "models" / "model.pt").exists(), "what was brought is not touched"


def test_wrong_weights_are_refused(server: FileServer, tmp_path: Path) -> None:
    server.files = {"/model.pt": WEIGHTS}
    bundle = make_bundle(tmp_path / "b", weights=None)
    large(bundle, {"path": "models/model.pt", "url": f"{server.url}/model.pt",
                   "hash_val": md5(b"others"), "hash_type": "md5"})  # fmt: skip
    library = library_in(tmp_path)
    with pytest.raises(DownloadWrong, match="md5 is"):
        library.add(str(bundle), yes)
    assert not (library.folder / "b").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("large_files: [{path: ../../evil, url: 'http://a.example/b'}]", "inside the model"),
        ("large_files: [{path: /etc/evil, url: 'http://a.example/b'}]", "inside the model"),
        ("large_files: [{path: models/model.pt, url: 'file:///etc/passwd'}]", "http://"),
        ("large_files: [{path: models/model.pt}]", "wanted path and url"),
        (
            "large_files: [{path: a, url: 'http://a.example/b', hash_type: crc, hash_val: '1'}]",
            "hash_type = 'crc'.*md5, sha1",
        ),
        ("large_files: 3", "must be a list"),
        ("nothing: 3", "cannot be read as a list"),
        ("{[", "cannot be read as a list"),
        ("!!python/object/apply:os.system ['true']", "cannot be read as a list"),
    ],
)
def test_a_bad_list_of_large_files_is_said(tmp_path: Path, text: str, said: str) -> None:
    bundle = make_bundle(tmp_path / "b", weights=None)
    (bundle / "large_files.yml").write_text(text)
    with pytest.raises(LibraryError, match=said) as caught:
        missing_large_files(bundle, "configs/inference.json")
    assert "large_files.yml" in str(caught.value)


def test_real_lists_name_what_the_inference_needs(shared_data: Path) -> None:
    needed = {
        "brats_mri_segmentation": {"models/model.pt"},
        "lung_nodule_ct_detection": {"models/model.pt"},
        "pancreas_ct_dints_segmentation": {"models/model.pt", "models/search_code_18590.pt"},
        "spleen_ct_segmentation": {"models/model.pt"},
        "swin_unetr_btcv_segmentation": {"models/model.pt"},
        "vista3d": {"models/model.pt"},
        "wholeBody_ct_segmentation": {"models/model.pt", "models/model_lowres.pt"},
    }
    for name, wanted in needed.items():
        config = read_spec(CATALOG / name).network.config
        found = missing_large_files(shared_data / "bundles" / name, config)
        assert {file.path for file in found} == wanted, name
        assert all(file.digest is not None and len(file.digest.value) == 32 for file in found)


def test_a_model_is_added_from_an_address(server: FileServer, tmp_path: Path) -> None:
    archive = zipped(make_bundle(tmp_path / "x" / "liver"), tmp_path / "liver_v1.2.0.zip")
    server.files = {"/a/liver_v1.2.0.zip": archive.read_bytes(), "/download": archive.read_bytes()}
    server.redirects = {"/latest": f"{server.url}/a/liver_v1.2.0.zip"}
    library = library_in(tmp_path)
    url = f"{server.url}/a/liver_v1.2.0.zip"
    spec = library.add(url, yes, sha256=hashlib.sha256(archive.read_bytes()).hexdigest()).spec
    assert spec.name == "liver"
    record = read_installation(spec.folder)
    assert record is not None
    assert record.source == url
    assert library.add(f"{server.url}/latest", yes, name="second").spec.name == "second"
    assert library.add(f"{server.url}/download?x=1", yes, name="third").spec.name == "third"
    assert hidden(library) == []


def test_a_page_instead_of_a_model_is_said(server: FileServer, tmp_path: Path) -> None:
    server.files = {"/b.zip": b"<html>please log in</html>"}
    library = library_in(tmp_path)
    with pytest.raises(SpecError, match=r"b\.zip: neither a zip nor a network"):
        library.add(f"{server.url}/b.zip", yes)
    assert [p.name for p in library.folder.iterdir() if not p.name.startswith(".")] == []


def test_weights_that_can_t_be_fetched_say_where_they_belong(
    server: FileServer, tmp_path: Path
) -> None:
    bundle = make_bundle(tmp_path / "b", weights=None)
    large(bundle, {"path": "models/model.pt", "url": f"{server.url}/gone.pt"})
    with pytest.raises(DownloadFailed, match=r"HTTP 404.*belongs at models/model\.pt"):
        library_in(tmp_path).add(str(bundle), yes)
