"""Archives of real images are unpacked where they are told, or not at all."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from benchmarks.archives import unpack


def archive(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:xz") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size) if member.isfile() else None)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    made.size = 3 if kind == tarfile.REGTYPE else 0
    return made


def test_files_and_folders_are_laid_out(tmp_path: Path) -> None:
    packed = archive(tmp_path / "a.tar.xz", member("ct", tarfile.DIRTYPE), member("ct/of/1.dcm"))
    into = unpack(packed, tmp_path / "new")
    assert [p for p in into.rglob("*") if p.is_file()] == [into / "ct" / "of" / "1.dcm"]
    assert (into / "ct" / "of" / "1.dcm").read_bytes() == b"xxx"


@pytest.mark.parametrize(
    "bad",
    [
        member("../out"),
        member("/tmp/preread-never/out"),
        member("link", tarfile.SYMTYPE, ".."),
        member("hard", tarfile.LNKTYPE, "ct"),
        member("pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda bad: str(bad.name),
)
def test_what_leads_elsewhere_is_refused(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    packed = archive(tmp_path / "a.tar.xz", bad)
    with pytest.raises(ValueError, match=r"a\.tar\.xz: "):
        unpack(packed, tmp_path / "new")
    assert not list((tmp_path / "new").rglob("*"))
