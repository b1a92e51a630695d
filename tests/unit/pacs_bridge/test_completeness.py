"""When a study counts as complete: each reason, each wait with its end."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from imaging.language import Text
from imaging.wholeness import Doubt, Kind
from pacs_bridge import workflow
from pacs_bridge.announced import Announced, Announcements
from pacs_bridge.completeness import Completeness, Evidence, judge, look
from pacs_bridge.pull import Standing
from pacs_bridge.records import Instance, Study
from pacs_bridge.revisions import revisions_of
from pacs_bridge.sections import AssemblySettings, PeerSettings
from pacs_bridge.settings import Settings
from pacs_bridge.store import Store, open_store
from pacs_bridge.waits import Waits
from tests.network.orthanc import free_port
from tests.unit.imaging.synthetic import make_images, write

ASSEMBLY = AssemblySettings(quiet_s=30, longest_wait_s=900, gap_wait_s=120)
PACS = Text(en="PACS P", zh="PACS P")
QUIET = Evidence(held=40, waited_s=60, idle_s=31)
COUNTED = replace(QUIET, count=40, count_told=PACS)
GAP = Doubt(Kind.GAP, "3 CHEST", 2, Text(en="a gap", zh="缺层"))
TWICE = Doubt(Kind.TWICE, "3 CHEST", 2, Text(en="twice", zh="重复"))
SILENT = Text(en="PACS P did not answer", zh="PACS P 未应答")
UNDER_WAY = Standing("PACS P", True, 10, 40, frozenset())

CASES: list[tuple[str, dict[str, Any], bool, str]] = [
    ("quiet", {}, True, "no new image for 31 s, 40 images held; no PACS set up to ask"),
    ("agrees", vars(COUNTED), True, "PACS P counts 40 images, 40 are held"),
    ("more here", vars(COUNTED) | {"held": 41}, True, "PACS P counts 40 images, 41 are held"),
    ("more there", vars(COUNTED) | {"count": 41}, False, "PACS P counts 41 images, 40 are held"),
    ("more there, too long", vars(COUNTED) | {"count": 41, "waited_s": 900}, True,
     "PACS P counts 41 images, 40 are held; waited 900 s"),
    ("fetching", {"pulled": UNDER_WAY}, False, "10 of 40 images fetched from PACS P"),
    ("fetching, too long", {"pulled": UNDER_WAY, "waited_s": 1000}, True,
     "10 of 40 images fetched from PACS P; waited 1000 s"),
    ("fetched", {"pulled": replace(UNDER_WAY, under_way=False)}, True, "no new image for 31 s"),
    ("announced", vars(COUNTED) | {"announced": 3, "announced_by": ("P",)}, False,
     "P announced 3 images that have not come"),
    ("announced, too long", {"announced": 3, "announced_by": ("P",), "waited_s": 901}, True,
     "P announced 3 images that have not come; waited 901 s"),
    ("gap", {"doubts": (GAP, TWICE)}, False, "a gap"),
    ("gap, idle for long", {"doubts": (GAP, TWICE), "idle_s": 120}, True,
     "no new image for 120 s, 40 images held; no PACS set up to ask; a gap; twice"),
    ("gap, too long", {"doubts": (GAP,), "waited_s": 900}, True, "a gap"),
    ("twice", {"doubts": (TWICE,)}, True, "twice"),
    ("silent", {"silent": True, "count_told": SILENT}, False, "PACS P did not answer"),
    ("silent for long", {"silent": True, "count_told": SILENT, "idle_s": 60}, True,
     "no new image for 60 s, 40 images held; PACS P did not answer"),
    ("silent, too long", {"silent": True, "count_told": SILENT, "waited_s": 900}, True, "did not"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "complete", "because"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_each_reason(values: dict[str, Any], complete: bool, because: str) -> None:
    judged = judge(replace(QUIET, **values), ASSEMBLY)
    assert judged.complete is complete
    assert because in judged.because.en
    assert judged.because.zh and "{" not in judged.because.zh


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        ({"doubts": (GAP, TWICE), "idle_s": 120}, "a gap"),
        (vars(COUNTED) | {"count": 41, "waited_s": 900}, "PACS P counts 41 images, 40 are held"),
        (vars(COUNTED), None),
        ({"doubts": (TWICE,)}, None),
    ],
)
def test_what_it_begins_without_is_told_apart(values: dict[str, Any], missing: str | None) -> None:
    judged = judge(replace(QUIET, **values), ASSEMBLY)
    assert judged.complete
    assert (judged.missing and judged.missing.en) == missing


def test_every_wait_ends() -> None:
    """Whatever is known, after the longest wait the study is begun."""
    silent = replace(QUIET, silent=True, idle_s=0, waited_s=ASSEMBLY.longest_wait_s)
    assert judge(silent, ASSEMBLY).complete
    worst = Evidence(
        held=1, waited_s=ASSEMBLY.longest_wait_s, idle_s=0, pulled=UNDER_WAY, announced=9,
        announced_by=("P",), count=99, count_told=PACS, doubts=(GAP,),
    )  # fmt: skip
    assert judge(worst, ASSEMBLY).complete
    assert judge(replace(worst, pulled=None, announced=0, count=None), ASSEMBLY).complete


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(f"sqlite:///{tmp_path}/preread.sqlite")


def keep(store: Store, files: list[Path], at: float) -> None:
    for n, path in enumerate(files):
        held = Instance(
            "1.2.3", "1.2.3.1", path.stem, "1.2.840.10008.5.1.4.1.1.2", path, f"{path}{n}", 1, "CT"
        )
        store.record_instance(held, Study("1.2.3", source_ae="CT"), arrived_at=at)


def test_a_study_with_a_gap_waits_says_so_and_is_whole_when_the_slices_come(
    store: Store, tmp_path: Path
) -> None:
    files = write(tmp_path / "ct", make_images(name="late"))
    settings = Settings(assembly=ASSEMBLY)
    now = time.time()
    keep(store, files[:5] + files[7:], now - 31)
    judged = judge(look(settings, store, "1.2.3"), settings.assembly)
    assert not judged.complete
    assert "2 slice(s) are missing between others" in judged.because.en
    assert "中间缺少 2 层" in judged.because.zh
    keep(store, files[5:7], now)
    known = look(settings, store, "1.2.3")
    assert known.held == 12 and known.doubts == ()
    assert 31 <= known.waited_s < 60 and known.idle_s < 30
    assert judge(known, settings.assembly).complete


def test_the_first_slices_are_waited_for_too(store: Store, tmp_path: Path) -> None:
    files = write(tmp_path / "ct", make_images(name="first"))
    keep(store, files[2:], time.time() - 31)
    judged = judge(look(Settings(), store, "1.2.3"), ASSEMBLY)
    assert not judged.complete
    assert "the first 2 image(s) are missing" in judged.because.en


def test_late_images_are_waited_for_anew(store: Store, tmp_path: Path) -> None:
    """The longest wait counts from the first image that no reading has taken up."""
    files = write(tmp_path / "ct", make_images(name="late"))
    keep(store, files[:6], time.time() - 5000)
    assert store.open_reading("1.2.3", "one") == 1
    store.set_complete_because("1.2.3", 1, Text(en="first", zh="先"))
    keep(store, files[6:], time.time() - 40)
    known = look(Settings(), store, "1.2.3")
    assert 40 <= known.waited_s < 60
    assert store.open_reading("1.2.3", "two") == 2
    second, first = revisions_of(store, "1.2.3")
    assert (first.number, first.new_images, first.state) == (1, 6, "superseded")
    assert (second.number, second.new_images) == (2, 6)
    assert first.because.zh == "先"


def test_what_an_archive_announced_is_waited_for(store: Store, tmp_path: Path) -> None:
    files = write(tmp_path / "ct", make_images(name="announced"))
    keep(store, files, time.time())
    told = [
        Announced("1.2.3", series, "1.2.840.10008.5.1.4.1.1.2", uid, "ONLINE", told_by="ARCHIVE")
        for series, uid in (("1.2.3.1", files[0].stem), ("1.2.3.1", "more"), ("9", "ours"))
    ]
    Announcements(store).keep(told)
    known = look(Settings(), store, "1.2.3", ours={"9"})
    assert (known.announced, known.announced_by) == (1, ("ARCHIVE",))
    assert not judge(known, ASSEMBLY).complete


def test_files_that_are_gone_are_no_doubt(store: Store, tmp_path: Path) -> None:
    keep(store, [tmp_path / "gone.dcm"], time.time())
    assert look(Settings(), store, "1.2.3").doubts == ()


def test_what_is_waited_for_is_kept_until_it_begins(store: Store) -> None:
    waits = Waits(store)
    assert waits.of("1.2.3") is None
    gap = Text(en="a gap", zh="缺层")
    assert waits.keep("1.2.3", gap)
    assert not waits.keep("1.2.3", gap), "nothing new"
    assert waits.keep("1.2.3", Text(en="other", zh="其他"))
    assert waits.of("1.2.3") == Text(en="other", zh="其他")
    waits.forget("1.2.3")
    assert waits.of("1.2.3") is None


def test_a_pacs_that_does_not_answer_is_asked_again(store: Store, tmp_path: Path) -> None:
    """Nobody listens at its port; asked once more each quiet time, it is begun without it."""
    keep(store, write(tmp_path / "ct", make_images(name="alone")), time.time() - 40)
    source = PeerSettings(ae_title="P", host="127.0.0.1", port=free_port())
    known = look(Settings(assembly=ASSEMBLY.model_copy(update={"source": source})), store, "1.2.3")
    assert known.silent and known.count is None
    assert "PACS P did not answer" in known.count_told.en
    assert not judge(known, ASSEMBLY).complete
    assert judge(replace(known, idle_s=61), ASSEMBLY).complete


def test_what_a_reading_was_begun_without_is_kept_with_it(store: Store) -> None:
    waits = Waits(store)
    gap = Text(en="a gap", zh="缺层")
    for _ in range(2):  # a step that is done again
        waits.given_up("1.2.3", 1, gap)
    assert waits.missed("1.2.3", 1) == gap
    assert waits.missed("1.2.3", 2) is None


def test_a_study_that_cannot_be_judged_is_begun_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(study_uid: str) -> Completeness:
        raise ValueError("odd header")

    monkeypatch.setattr(workflow, "complete", broken)
    judged = workflow._judged("1.2.3")
    assert judged.complete and judged.missing is not None
    assert "could not be judged: ValueError: odd header" in judged.missing.en


# the sender's last association is over ----------------------------------------------------


def test_what_a_sender_brought_is_judged_sooner_when_it_has_gone(
    monkeypatch: pytest.MonkeyPatch, store: Store, tmp_path: Path
) -> None:
    moved: list[tuple[str, bool]] = []

    def debounce(study_uid: str, *, ended: bool = False) -> None:
        moved.append((study_uid, ended))

    monkeypatch.setattr(workflow, "_debounce", debounce)
    keep(store, [tmp_path / "1.dcm"], time.time())
    workflows = workflow.Workflows(cast(Any, SimpleNamespace(store=store)))
    workflows.touch("1.2.3", "CT")
    workflows.schedule()
    workflows.left("MR")
    workflows.schedule()
    workflows.left("CT")
    workflows.schedule()
    workflows.touch("1.2.3", "CT")
    workflows.left("CT")
    workflows.touch("1.2.3", "CT2")  # another one goes on sending
    workflows.schedule()
    assert moved == [("1.2.3", False), ("1.2.3", True), ("1.2.3", False)]


def test_a_sender_that_stays_for_months_is_no_burden(store: Store) -> None:
    workflows = workflow.Workflows(cast(Any, SimpleNamespace(store=store)))
    for n in range(3 * workflow.MOST_REMEMBERED):
        workflows.touch(f"1.{n}", "CT")
    assert len(workflows._by_sender["CT"]) <= workflow.MOST_REMEMBERED
