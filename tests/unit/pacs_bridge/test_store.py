"""Opening the store, and what only SQLite can get wrong; its promises are in tests/contract."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pacs_bridge.errors import SettingsError
from pacs_bridge.store import open_store
from tests.contract.store_suite import STUDY, instance, study


@pytest.mark.parametrize(
    "url",
    ["nonsense", "mysql://host/name", "sqlite:////no/such/folder/db.sqlite",
     "postgresql+nodriver://host/name"],
)  # fmt: skip
def test_a_database_that_cannot_be_used_is_named(url: str) -> None:
    with pytest.raises(SettingsError, match="storage.database") as error:
        open_store(url)
    assert url in str(error.value)


def test_opening_again_finds_what_was_kept(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'db.sqlite'}"
    first = open_store(url)
    first.record_instance(instance(), study())
    first.engine.dispose()
    assert open_store(url).instances_of(STUDY) == [instance()]


def test_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'db.sqlite'}")
    store.record_instance(instance(), study())
    with store._writing() as db:
        db.exec_driver_sql("UPDATE studies SET patient_id = 'changed'")
        assert store.study(STUDY).patient_id == "P1"
    assert store.study(STUDY).patient_id == "changed"


def test_two_processes_on_one_file_wait_for_each_other(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'db.sqlite'}"
    store = open_store(url)
    script = (
        "import sys\n"
        "from pacs_bridge.store import open_store\n"
        "from tests.contract.store_suite import instance, study\n"
        "store = open_store(sys.argv[1])\n"
        "for n in range(int(sys.argv[2]), int(sys.argv[2]) + 100):\n"
        "    assert store.record_instance(instance(n), study())\n"
    )
    others = [subprocess.Popen([sys.executable, "-c", script, url, str(n)]) for n in (0, 1000)]
    for n in range(2000, 2100):
        assert store.record_instance(instance(n), study())
    assert [other.wait(timeout=120) for other in others] == [0, 0]
    assert len(store.instances_of(STUDY)) == 300
