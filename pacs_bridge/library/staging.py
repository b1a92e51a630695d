"""Where a model is made ready, and the one rename that puts it in its place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pacs_bridge.errors import LibraryError


class Staging:
    """``.incoming`` in a folder of models, on the same disk, so that a rename is enough."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def incoming(self, name: str) -> Iterator[Path]:
        """A folder to make a model in; gone afterwards, whatever happened.

        Raises:
            LibraryError: the disk is full, or this user may not write there.
        """
        stage = self._fresh(name)
        with self._said():
            try:
                stage.mkdir(parents=True)
                yield stage
            finally:
                shutil.rmtree(stage, ignore_errors=True)

    def put(self, made: Path, name: str) -> None:
        """Give a model that is ready its place; what stood there before goes after it."""
        place, old = self._folder / name, self._fresh(f"{name}.replaced")
        if place.exists():
            place.rename(old)
        try:
            made.rename(place)
        except OSError:
            if old.exists():
                old.rename(place)
            raise
        shutil.rmtree(old, ignore_errors=True)

    def remove(self, place: Path) -> None:
        """Take a model away: out of sight at once, then for good.

        Raises:
            LibraryError: this user may not.
        """
        old = self._fresh(f"{place.name}.removed")
        with self._said():
            old.parent.mkdir(parents=True, exist_ok=True)
            place.rename(old)
            shutil.rmtree(old)

    def _fresh(self, name: str) -> Path:
        place = self._folder / ".incoming" / f"{name}-{os.getpid()}"
        shutil.rmtree(place, ignore_errors=True)
        return place

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LibraryError(
                f"{error.filename or self._folder}: {error.strerror or error}; is there room, and "
                "may this user write there?"
            ) from error
