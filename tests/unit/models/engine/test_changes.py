"""What counts as a change of a model's folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from models.engine.changes import look_at


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "configs").mkdir()
    (tmp_path / "preread.toml").write_text("name = 1")
    (tmp_path / "configs" / "inference.json").write_text("{}")
    (tmp_path / "model.pt").write_bytes(b"weights")
    return tmp_path


def test_an_untouched_folder_stays_the_same(folder: Path) -> None:
    assert look_at(folder) == look_at(folder)


@pytest.mark.parametrize("name", ["preread.toml", "configs/inference.json", "configs/new.yaml"])
def test_what_describes_counts_by_content(folder: Path, name: str) -> None:
    before = look_at(folder)
    os.utime(folder / "preread.toml", (1, 1))
    assert look_at(folder) == before
    (folder / name).write_text("{1}")
    after = look_at(folder)
    assert after.described != before.described
    assert after.files == before.files


def test_weights_count_by_size_and_time(folder: Path) -> None:
    before = look_at(folder)
    (folder / "model.pt").write_bytes(b"other weights")
    after = look_at(folder)
    assert after.described == before.described
    assert after.files != before.files


def test_names_count_and_a_folder_that_is_gone_is_empty(folder: Path, tmp_path: Path) -> None:
    before = look_at(folder)
    (folder / "preread.toml").rename(folder / "b.toml")
    assert look_at(folder).described != before.described
    (folder / "model.pt").unlink()
    assert look_at(folder).files == look_at(tmp_path / "gone").files
