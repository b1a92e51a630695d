"""Archives of real images, unpacked alike by every Python since 3.11.0.

``tarfile``'s own ``filter="data"`` came with 3.11.4.
"""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path


def unpack(archive: Path, into: Path) -> Path:
    """Write the files of a tar archive, of any compression, below ``into``; gives ``into``.

    Raises:
        ValueError: a member would lie elsewhere, or is neither a file nor a folder.
    """
    root = into.resolve()
    with tarfile.open(archive) as tar:
        for member in tar:
            target = (root / member.name).resolve()
            if not target.is_relative_to(root):
                raise ValueError(f"{archive}: {member.name} would be written outside of {into}")
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            content = tar.extractfile(member) if member.isfile() else None
            if content is None:
                raise ValueError(f"{archive}: {member.name} is neither a file nor a folder")
            target.parent.mkdir(parents=True, exist_ok=True)
            with content, target.open("wb") as file:
                shutil.copyfileobj(content, file)
    return into
