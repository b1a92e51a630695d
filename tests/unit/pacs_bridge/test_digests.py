"""What an object came with is known again, by databases of any age."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import blake3
import pytest
from sqlalchemy import update

from pacs_bridge.digests import Digest, digest_of, in_name, is_of, named_by, same
from pacs_bridge.inbox import Inbox
from pacs_bridge.store import Store
from pacs_bridge.tables import instances
from tests.unit.pacs_bridge.made import command, ct, encoded, saved


def test_pieces_and_whole_have_one_digest_that_fits_its_column() -> None:
    content = os.urandom(3_000_000)
    digest = Digest()
    for start in range(0, len(content), 70_001):
        digest.update(memoryview(content)[start : start + 70_001])
    assert str(digest) == digest_of(content) == "b3:" + blake3.blake3(content).hexdigest()[:60]
    assert len(str(digest)) <= 64
    assert digest_of(content[:-1]) != str(digest)


@pytest.mark.parametrize("old", [False, True])
def test_a_file_is_known_by_its_content(tmp_path: Path, old: bool) -> None:
    image = ct(PixelData=os.urandom(512))
    data = encoded(image)
    digest = hashlib.sha256(data).hexdigest() if old else digest_of(data)
    path = saved(image, tmp_path / f"1.2.{in_name(digest)}.dcm")
    assert is_of(digest, path)
    assert named_by(path, data) == digest
    assert same(digest, digest_of(data), path)
    other = data[:-1] + bytes([data[-1] ^ 1])
    assert named_by(path, other) is None
    path.write_bytes(path.read_bytes()[:-1] + other[-1:])
    assert not is_of(digest, path)
    assert not same(digest, digest_of(other), path)


def test_an_object_of_an_older_database_is_known_when_it_comes_again(
    inbox: Inbox, store: Store
) -> None:
    image = ct(PixelData=os.urandom(512))
    data = encoded(image)
    inbox.receive(data, **command(image))
    with store.engine.begin() as db:
        db.execute(update(instances).values(digest=hashlib.sha256(data).hexdigest()))
    assert store.open_reading(image.StudyInstanceUID, "a") == 1
    inbox.receive(data, **command(image))
    assert store.unread_studies() == []  # nothing new came
    image.PixelData = os.urandom(512)
    inbox.receive(encoded(image), **command(image))
    assert store.unread_studies() == [image.StudyInstanceUID]
