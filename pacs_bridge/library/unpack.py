"""A zip that somebody sent, unpacked without trusting it.

A member may not leave the folder, be a link or a device, come twice, or be encrypted; what all
of them hold is counted while it is written, since what a zip says of itself can be a lie.
"""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from models.intake.brought import NETWORK_SUFFIXES
from pacs_bridge.errors import LibraryError

BLOCK = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What a zip may hold.

    Args:
        members: files and folders.
        total: bytes of all files.
        ratio: how many times larger than the zip all files may be together, beyond ``floor``;
            weights shrink little, a bomb a thousand times.
        floor: bytes that are no bomb, whatever the ratio.
    """

    members: int = 20_000
    total: int = 64 << 30
    ratio: int = 100
    floor: int = 64 << 20


def is_zip(path: Path) -> bool:
    """Whether it is a zip to be unpacked; PyTorch's own files are zips that are not."""
    return path.is_file() and path.suffix not in NETWORK_SUFFIXES and zipfile.is_zipfile(path)


def unpack(archive: Path, into: Path, limits: Limits = Limits()) -> None:
    """Unpack a zip into a folder, which is made.

    Raises:
        LibraryError: it is no zip, is damaged, or holds what no model needs; the message names
            the member. What was written by then is left in ``into`` for the caller to remove.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
            if len(members) > limits.members:
                raise LibraryError(
                    f"{archive}: {len(members)} members; more than {limits.members} are refused"
                )
            taken: set[str] = set()
            for member in members:
                _check(archive, member, taken)
            allowed = min(limits.total, max(archive.stat().st_size * limits.ratio, limits.floor))
            _check_room(into, sum(member.file_size for member in members), archive)
            into.mkdir(parents=True, exist_ok=True)
            for member in members:
                allowed -= _write(opened, member, into, allowed, archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise LibraryError(
            f"{archive}: cannot be unpacked as a zip ({error}); fetch it again"
        ) from error


def _check(archive: Path, member: zipfile.ZipInfo, taken: set[str]) -> None:
    name = member.filename
    where = f"{archive}: member {name!r}"
    windows, posix = PureWindowsPath(name), PurePosixPath(name)
    if posix.is_absolute() or windows.is_absolute() or windows.drive or "\\" in name:
        raise LibraryError(f"{where} has an absolute path; the zip is refused")
    if ".." in posix.parts or "\0" in name or not posix.parts:
        raise LibraryError(f"{where} leaves its folder; the zip is refused")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise LibraryError(f"{where} is a link or a device; the zip is refused")
    if member.flag_bits & 0x1:
        raise LibraryError(f"{where} is encrypted; unpack it yourself and add the folder")
    key = str(posix)
    if key in taken:
        raise LibraryError(f"{where} comes twice; the zip is refused")
    taken.add(key)


def _check_room(into: Path, size: int, archive: Path) -> None:
    place = next(path for path in (into, *into.parents) if path.exists())
    free = shutil.disk_usage(place).free
    if free < size:
        raise LibraryError(
            f"{archive}: holds {size / 2**30:.1f} GB, but {place} has {free / 2**30:.1f} GB free; "
            "make room, or choose another disk with models.folder"
        )


def _write(
    opened: zipfile.ZipFile, member: zipfile.ZipInfo, into: Path, allowed: int, archive: Path
) -> int:
    target = into.joinpath(*PurePosixPath(member.filename).parts)
    if member.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return 0
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with opened.open(member) as source, target.open("xb") as file:
        while block := source.read(BLOCK):
            written += len(block)
            if written > allowed:
                raise LibraryError(
                    f"{archive}: member {member.filename!r} unpacks to more than a model holds; "
                    "the zip is refused"
                )
            file.write(block)
    return written
