"""Zips that mean harm are refused, whatever they say of themselves."""

from __future__ import annotations

import io
import shutil
import stat
import warnings
import zipfile
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from pacs_bridge.errors import LibraryError
from pacs_bridge.library.unpack import Limits, unpack


def made(folder: Path, fill: Callable[[zipfile.ZipFile], None]) -> Path:
    path = folder / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of duplicate names
        fill(archive)
    return path


def named(name: str) -> Callable[[zipfile.ZipFile], None]:
    return lambda archive: archive.writestr(name, b"x")


def of_kind(kind: int) -> Callable[[zipfile.ZipFile], None]:
    def fill(archive: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo("a/b")
        info.external_attr = (kind | 0o777) << 16
        archive.writestr(info, b"/etc/passwd")

    return fill


def twice(archive: zipfile.ZipFile) -> None:
    archive.writestr("a/b", b"1")
    archive.writestr("a/b", b"2")


def test_folders_and_files_come_out(tmp_path: Path) -> None:
    def fill(archive: zipfile.ZipFile) -> None:
        archive.mkdir("a/empty")
        archive.writestr("a/b/c.txt", "c" * 100_000)
        archive.writestr("模型.txt", "d")

    unpack(made(tmp_path, fill), tmp_path / "out")
    found = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*")}
    assert found == {"a", "a/empty", "a/b", "a/b/c.txt", "模型.txt"}
    assert (tmp_path / "out/a/b/c.txt").read_text() == "c" * 100_000


@pytest.mark.parametrize(
    ("fill", "said"),
    [
        (named("../evil"), "leaves its folder"),
        (named("a/../../evil"), "leaves its folder"),
        (named("/etc/evil"), "absolute path"),
        (named("C:/evil"), "absolute path"),
        (named("a\\..\\..\\evil"), "absolute path"),
        (of_kind(stat.S_IFLNK), "link or a device"),
        (of_kind(stat.S_IFIFO), "link or a device"),
        (twice, "comes twice"),
    ],
)
def test_what_no_model_needs_is_refused(
    tmp_path: Path, fill: Callable[[zipfile.ZipFile], None], said: str
) -> None:
    inner = tmp_path / "deep" / "out"
    with pytest.raises(LibraryError, match=said) as caught:
        unpack(made(tmp_path, fill), inner)
    assert "a.zip" in str(caught.value)
    assert not list(tmp_path.rglob("evil"))
    assert not inner.exists()


def test_a_bomb_is_stopped_while_it_bursts(tmp_path: Path) -> None:
    """Its own directory says it holds one byte."""
    path = made(tmp_path, lambda archive: archive.writestr("bomb", bytes(8 << 20)))
    data = path.read_bytes()
    size = (8 << 20).to_bytes(4, "little")
    assert data.count(size) >= 2
    lying = data.replace(size, (1).to_bytes(4, "little"))
    path.write_bytes(lying)
    with pytest.raises(LibraryError):
        unpack(path, tmp_path / "out", Limits(floor=1 << 20, ratio=2))
    assert sum(p.stat().st_size for p in (tmp_path / "out").rglob("*")) < 2 << 20

    honest = made(tmp_path, lambda archive: archive.writestr("bomb", bytes(8 << 20)))
    with pytest.raises(LibraryError, match="unpacks to more than a model holds"):
        unpack(honest, tmp_path / "out2", Limits(floor=1 << 20, ratio=2))
    assert sum(p.stat().st_size for p in (tmp_path / "out2").rglob("*")) < 2 << 20
    unpack(honest, tmp_path / "out3", Limits(floor=16 << 20))
    assert (tmp_path / "out3/bomb").stat().st_size == 8 << 20


def test_many_members_are_refused(tmp_path: Path) -> None:
    def fill(archive: zipfile.ZipFile) -> None:
        for number in range(30):
            archive.writestr(str(number), b"")

    with pytest.raises(LibraryError, match="30 members; more than 20"):
        unpack(made(tmp_path, fill), tmp_path / "out", Limits(members=20))


def test_what_is_no_zip_or_damaged_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"<html>please log in</html>")
    with pytest.raises(LibraryError, match="cannot be unpacked as a zip"):
        unpack(path, tmp_path / "out")
    whole = made(tmp_path, lambda archive: archive.writestr("a", bytes(range(256)) * 4000))
    data = bytearray(whole.read_bytes())
    data[200:260] = bytes(60)
    whole.write_bytes(bytes(data))
    with pytest.raises(LibraryError, match=r"cannot be unpacked.*fetch it again"):
        unpack(whole, tmp_path / "out")


def test_an_encrypted_member_says_what_to_do(tmp_path: Path) -> None:
    path = made(tmp_path, named("a"))
    data = bytearray(path.read_bytes())
    # Bit 0 of the flags, in the local header and in the directory (APPNOTE 4.4.4).
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(data))
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as archive:
        assert archive.infolist()[0].flag_bits & 1
    with pytest.raises(LibraryError, match="encrypted; unpack it yourself"):
        unpack(path, tmp_path / "out")


def test_no_room_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(tmp_path, lambda archive: archive.writestr("a", bytes(1 << 20)))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2**30, 2**30, 1000))
    with pytest.raises(LibraryError, match=r"GB free; make room.*models\.folder"):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
