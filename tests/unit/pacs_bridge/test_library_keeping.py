"""Models kept: replaced, agreed to, trusted, listed and removed."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import pytest

from models.errors import SpecError
from models.intake.installation import code_trusted_by, read_installation, trust_code
from models.spec import CATALOG, read_spec, verify_files
from pacs_bridge.errors import DownloadWrong, LibraryError
from pacs_bridge.library import Library, Terms
from tests.unit.models.made import write_model
from tests.unit.pacs_bridge.bundles_made import (
    WEIGHTS,
    fill_in,
    leftovers,
    library_in,
    make_bundle,
    names_in,
    no,
    settings_in,
    sha1,
    yes,
    zipped,
)


def test_a_name_that_is_taken_or_none(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    bundle = make_bundle(tmp_path / "liver")
    library.add(str(bundle), yes)
    with pytest.raises(LibraryError, match="there is a model of that name; --replace"):
        library.add(str(bundle), yes)
    with pytest.raises(LibraryError, match="ships with Preread"):
        library.add(str(bundle), yes, name="lung_nodule_reference")
    for name in ("../liver", ".liver", "a b", "a/b"):
        with pytest.raises(LibraryError, match="is no name for a model"):
            library.add(str(bundle), yes, name=name)
    assert names_in(library.folder) == {"liver"}


def test_a_new_one_takes_the_place_and_keeps_the_description(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    library.add(str(make_bundle(tmp_path / "a" / "liver")), yes)
    folder = library.folder / "liver"
    fill_in(folder)
    before = (folder / "preread.toml").read_text(encoding="utf-8")
    new = make_bundle(tmp_path / "b" / "liver", weights=WEIGHTS + b"new")
    spec = library.add(str(new), yes, replace=True).spec
    verify_files(spec)
    assert spec.unfilled == ()
    assert spec.fingerprint != read_spec(folder).model_copy(update={"sha256": {}}).fingerprint
    after = (folder / "preread.toml").read_text(encoding="utf-8")
    assert after.split("[files]")[0] == before.split("[files]")[0]
    assert leftovers(library.folder) == []


def test_a_failed_replacement_leaves_the_old_one(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    old = library.add(str(make_bundle(tmp_path / "a" / "liver")), yes).spec
    broken = make_bundle(tmp_path / "b" / "liver")
    (broken / "configs" / "metadata.json").write_text("{")
    with pytest.raises(SpecError):
        library.add(str(broken), yes, replace=True)
    verify_files(old)
    assert leftovers(library.folder) == []


def test_a_licence_that_is_not_free_must_be_agreed_to(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "b", licence="Our License\nnon-commercial use only\n")
    library = library_in(tmp_path)
    with pytest.raises(LibraryError, match="licence was not agreed to"):
        library.add(str(bundle), no)
    assert not (library.folder / "b").exists()
    spec = library.add(str(bundle), yes).spec
    record = read_installation(spec.folder)
    assert record is not None
    assert record.licence == "see LICENSE"
    assert record.source == str(bundle)
    assert "@" in record.who


def test_a_bundle_that_the_catalogue_knows_is_asked_about_as_when_it_is_pulled(
    tmp_path: Path,
) -> None:
    """The weights' terms stand in the catalogue, whatever file lies in the bundle."""
    origin = read_spec(CATALOG / "vista3d").origin
    assert origin is not None and origin.non_commercial
    library = library_in(tmp_path)
    asked: list[Terms] = []

    def refuse(terms: Terms) -> bool:
        asked.append(terms)
        return False

    for number, licence in enumerate(("NVIDIA License\n", "Apache License\n", "")):
        bundle = make_bundle(tmp_path / str(number) / "vista3d", version="0.5.4", licence=licence)
        with pytest.raises(LibraryError, match="licence was not agreed to"):
            library.add(str(bundle), refuse)
    assert asked == [Terms(origin.licence, origin.licence_note, non_commercial=True)] * 3
    folder = library.add(str(bundle), yes).spec.folder
    record = read_installation(folder)
    assert record is not None and record.licence == origin.licence
    with pytest.raises(LibraryError, match="licence was not agreed to"):
        library.add(str(bundle), refuse, replace=True)
    assert asked[-1].non_commercial


def test_a_licence_in_the_bundle_binds_where_the_catalogue_names_a_free_one(
    tmp_path: Path,
) -> None:
    bundle = make_bundle(
        tmp_path / "spleen_ct_segmentation", version="0.5.9", licence="Our License\n"
    )
    with pytest.raises(LibraryError, match="licence was not agreed to"):
        library_in(tmp_path).add(str(bundle), no)


def test_code_of_its_own_is_trusted_by_name_and_only_as_it_is(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    bundle = make_bundle(tmp_path / "b", python="print('mine')\n")
    plain = library.add(str(bundle), yes)
    assert any("own.py" in note and "--trust-code" in note for note in plain.notes)
    assert code_trusted_by(plain.spec.folder) == ""
    folder = library.add(str(bundle), yes, replace=True, trust=True).spec.folder
    assert "@" in code_trusted_by(folder)
    assert "scripts/own.py" in read_spec(folder).files, "its hash is checked as well"
    (folder / "precision.json").write_text("{}")
    assert code_trusted_by(folder) != "", "what Preread writes beside it is no code"
    for name in ("scripts/own.py", "configs/inference.json", "scripts/new.py"):
        path = folder / name
        before = path.read_bytes() if path.exists() else None
        path.write_text("import os")
        assert code_trusted_by(folder) == "", name
        if before is None:
            path.unlink()
        else:
            path.write_bytes(before)
    assert code_trusted_by(folder) != ""
    (folder / "installed.json").write_text("{")
    assert code_trusted_by(folder) == ""


def test_trust_can_be_given_later(tmp_path: Path) -> None:
    from datetime import UTC, datetime

    spec = library_in(tmp_path).add(str(make_bundle(tmp_path / "b", python="x = 1\n")), yes).spec
    trust_code(spec.folder, "wang@ward", datetime(2025, 1, 1, tzinfo=UTC))
    assert code_trusted_by(spec.folder) == "wang@ward"
    record = read_installation(spec.folder)
    assert record is not None
    assert record.source == str(tmp_path / "b"), "what was known before is kept"


def test_a_trusting_bundle_brings_no_trust_of_its_own(tmp_path: Path) -> None:
    """installed.json of somebody else's machine says nothing here."""
    bundle = make_bundle(tmp_path / "b", python="x = 1\n")
    library = library_in(tmp_path)
    folder = library.add(str(bundle), yes, trust=True).spec.folder
    copied = shutil.copytree(folder, tmp_path / "usb" / "c")
    (copied / "preread.toml").unlink()
    assert code_trusted_by(library.add(str(copied), yes).spec.folder) == ""


def test_a_hash_that_was_promised(tmp_path: Path) -> None:
    archive = zipped(make_bundle(tmp_path / "b"), tmp_path / "b.zip")
    library = library_in(tmp_path)
    right = hashlib.sha256(archive.read_bytes()).hexdigest()
    library.add(str(archive), yes, sha256=right)
    with pytest.raises(DownloadWrong, match=r"sha256 is .* was promised"):
        library.add(str(archive), yes, name="c", sha256="0" * 64)
    with pytest.raises(LibraryError, match="a folder has no hash"):
        library.add(str(tmp_path / "b"), yes, name="c", sha256=right)


def test_a_folder_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    blocked = tmp_path / "data"
    blocked.write_text("a file where the folder should be")
    with pytest.raises(LibraryError, match="may this user write there"):
        library_in(tmp_path).add(str(make_bundle(tmp_path / "b")), yes)


def states(library: Library) -> dict[str, str]:
    return {entry.name: entry.state for entry in library.entries()}


def test_the_list_says_how_each_stands(tmp_path: Path) -> None:
    library = library_in(tmp_path, enabled=["lung_nodule_reference"], shadow=["b"])
    for name in ("a", "b", "c"):
        write_model(library.folder / name)
    library.add(str(make_bundle(tmp_path / "d")), yes)
    (library.folder / "c" / "preread.toml").write_text("name = ")
    (library.folder / ".hidden").mkdir()
    (library.folder / ".hidden" / "preread.toml").write_text("")
    said = states(library)
    assert said["lung_nodule_reference"] == "enabled"
    assert (said["a"], said["b"], said["c"]) == ("installed", "shadow", "broken")
    assert said["d"] == "to be filled in"
    assert said["vista3d"] == "`preread models pull vista3d`"
    assert said["panorama_pancreas_nnunet"] == "`preread models add`"
    assert ".hidden" not in said
    (broken,) = [entry for entry in library.entries() if entry.problem]
    assert "TOML" in broken.problem
    assert next(iter(said)) == "lung_nodule_reference"


def test_only_what_was_added_is_removed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    library = library_in(tmp_path, enabled=["on"], shadow=["dark"], folders=[str(elsewhere)])
    for name in ("on", "dark", "off"):
        write_model(library.folder / name)
    write_model(elsewhere / "theirs")
    (library.folder / "link").symlink_to(elsewhere / "theirs")
    for name, said in (
        ("on", "it is in models.enabled"),
        ("dark", "it is in models.shadow"),
        ("lung_nodule_reference", "ships with Preread"),
        ("vista3d", "ships with Preread"),
        ("theirs", "outside models.folder"),
        ("link", "outside models.folder"),
        ("nosuch", "no model is called"),
        ("..", "no model is called"),
        ("../elsewhere/theirs", "no model is called"),
    ):
        with pytest.raises(LibraryError, match=re.escape(said)):
            library.remove(name)
    assert library.remove("off") == library.folder / "off"
    assert names_in(library.folder) == {"on", "dark", "link"}
    assert leftovers(library.folder) == []
    assert (elsewhere / "theirs" / "preread.toml").is_file()


def test_a_broken_model_can_be_removed(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    (write_model(library.folder / "bad") / "preread.toml").write_text("name = ")
    library.remove("bad")
    assert names_in(library.folder) == set()


def test_the_models_folder_is_a_setting(tmp_path: Path) -> None:
    settings = settings_in(
        tmp_path, folder=str(tmp_path / "here"), folders=[str(tmp_path / "more")]
    )
    assert settings.models_folder == tmp_path / "here"
    assert settings.model_folders == (tmp_path / "here", tmp_path / "more")
    assert settings_in(tmp_path).models_folder == tmp_path / "data" / "models"


def test_pull_takes_the_zip_from_where_it_lies(tmp_path: Path) -> None:
    """A site without internet: the right zip from a stick, and only the right one."""
    archive = zipped(make_bundle(tmp_path / "x"), tmp_path / "spleen_ct_segmentation_v0.5.9.zip")
    library = library_in(tmp_path)
    for source in (str(archive), str(tmp_path)):
        with pytest.raises(DownloadWrong, match=f"sha1 is {sha1(archive)}"):
            library.pull("spleen_ct_segmentation", yes, source=source)
    with pytest.raises(LibraryError, match="was not agreed to; nothing was fetched"):
        library.pull("vista3d", no, source=str(archive))
    for name in ("lung_nodule_reference", "panorama_pancreas_nnunet", "nosuch"):
        with pytest.raises(LibraryError, match="no such model to pull; there are: brats"):
            library.pull(name, yes)
    assert not library.folder.exists() or names_in(library.folder) == set()


def test_a_killed_run_s_remains_are_no_models(tmp_path: Path) -> None:
    library = library_in(tmp_path)
    half = library.folder / ".incoming" / "liver-1234"
    write_model(half / "liver")
    assert "liver" not in states(library)
    library.add(str(make_bundle(tmp_path / "liver")), yes)
    assert states(library)["liver"] == "to be filled in"
