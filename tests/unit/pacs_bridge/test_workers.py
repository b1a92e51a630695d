"""Real worker processes: studies read, versions swapped, processes killed, servers gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.engine.turns import Priority
from models.errors import InferenceFailed, SpecError
from models.loaded import load_model
from models.spec import read_spec
from models.study.reading import plan_study, read_study
from pacs_bridge.results import load_analysis
from pacs_bridge.workers import Workers
from pacs_bridge.workers.failures import ServerStops, StudyKillsWorkers, WorkerLost
from tests.patience import PATIENT_S
from tests.unit.imaging.synthetic import make_images, write
from tests.unit.models.made import write_bright_model, write_model
from tests.unit.models.study.test_study import write_chest
from tests.unit.pacs_bridge.engine_site import (
    TWO_CPUS,
    alive,
    engine_settings,
    kill_all,
    pids,
    task,
    until,
)
from tests.unit.pacs_bridge.test_worker_parts import LISTED, nvidia_smi


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engine")
    write_bright_model(folder / "models" / "bright")
    return folder


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_chest(tmp_path_factory.mktemp("chest"))


@pytest.fixture(scope="module")
def workers(place: Path) -> Iterator[Workers]:
    """Two workers, kept for all tests of this file; some tests end their processes."""
    made = Workers(engine_settings(place, "bright"), TWO_CPUS)
    made.start()
    until(lambda: all(w.ready for w in made.workers), "both workers")
    yield made
    made.stop()
    assert pids(made) == []


def test_a_study_is_read_as_in_this_process(
    workers: Workers, place: Path, files: list[Path], tmp_path: Path
) -> None:
    steps: list[str] = []
    begun = threading.Event()
    outcome = workers.read(task(files, tmp_path / "r"), begun=begun.set, told=steps.append)
    assert begun.is_set()
    assert steps[:3] == ["headers", "memory", "load"]
    assert {"detect", "segment", "measure", "keep"} <= set(steps)
    assert outcome.worker in ("cpu 0", "cpu 1")
    model = load_model(read_spec(place / "models" / "bright"), device="cpu", threads=1)
    scan, plan = plan_study(files, model.spec)
    here = read_study(scan, plan, model)
    assert outcome.plan.plans == (plan,)
    assert outcome.report is not None
    same = {"created_at": here.report.created_at}
    assert outcome.report.model_copy(update=same) == here.report
    kept = load_analysis(tmp_path / "r")
    assert kept.regions.keys() == here.regions.keys()
    for uid, region in kept.regions.items():
        assert np.array_equal(region.voxels, here.regions[uid].voxels)


def test_what_no_model_takes_and_what_it_refuses_are_outcomes(
    workers: Workers, tmp_path: Path
) -> None:
    short = write(tmp_path / "short", make_images())
    unsuited = workers.read(task(short, tmp_path / "r"))
    assert unsuited.report is None and unsuited.plan.chosen is None
    assert unsuited.plan.plans[0].verdicts[0].notices[0].code == "too-few-slices"
    solid = write(tmp_path / "solid", make_images(np.full((24, 40, 40), 40, np.int16)))
    refused = workers.read(task(solid, tmp_path / "r"))
    assert refused.report is None
    assert [n.code for n in refused.refusal] == ["no-lung"]
    assert not (tmp_path / "r").exists()


def test_an_error_comes_back_as_itself(workers: Workers, files: list[Path]) -> None:
    with pytest.raises(SpecError, match="no model is called 'nobody'"):
        workers.read(task(files, None, "nobody"))


def test_a_shadow_keeps_nothing(workers: Workers, files: list[Path], tmp_path: Path) -> None:
    outcome = workers.read(task(files, None, priority=Priority.SHADOW))
    assert outcome.report is not None and outcome.report.findings
    assert list(tmp_path.iterdir()) == []


def test_studies_go_to_the_worker_with_least_to_do_and_share_it(
    workers: Workers, files: list[Path]
) -> None:
    most = 0

    def read(n: int) -> str:
        nonlocal most

        def told(_step: str) -> None:
            nonlocal most
            most = max(most, *(len(w.studies) for w in workers.state().workers))

        return workers.read(task(files, None, uid=f"1.{n}"), told=told).worker

    with ThreadPoolExecutor(6) as many:
        took = list(many.map(read, range(6)))
    assert set(took) == {"cpu 0", "cpu 1"}
    assert most == 2
    until(lambda: workers.state().workers[0].engine, "a pulse")
    state = workers.state().workers[0]
    assert (state.state, state.device, state.studies) == ("ready", "cpu", ())
    assert state.engine is not None
    (model,) = state.engine.models
    assert (model.name, model.versions[0].state) == ("bright", "warm")
    assert state.engine.process_bytes > 50e6


def test_a_killed_worker_s_study_is_read_by_the_next_process(
    workers: Workers, files: list[Path], tmp_path: Path
) -> None:
    before = pids(workers)
    killed: list[str] = []

    def kill(step: str) -> None:
        if not killed:
            killed.append(step)
            kill_all(workers)

    with pytest.raises(WorkerLost, match="ended by SIGKILL") as caught:
        workers.read(task(files, tmp_path / "r"), told=kill)
    assert isinstance(caught.value, InferenceFailed) and caught.value.retryable
    # The other one is dead too; a retry at once could still be given to it.
    until(lambda: not set(before) & set(pids(workers)), "both deaths seen")
    outcome = workers.read(task(files, tmp_path / "r"))  # as the step's retry does
    assert outcome.report is not None and len(outcome.report.findings) == 2
    until(lambda: all(w.ready for w in workers.workers), "both workers again")
    assert not set(before) & set(pids(workers))
    for state in workers.state().workers:
        assert state.restarts >= 1
        assert state.problem == ""


def test_a_study_that_kills_its_worker_twice_is_given_up_and_no_other_suffers(
    workers: Workers, files: list[Path]
) -> None:
    until(lambda: all(w.ready for w in workers.workers), "both workers")

    def kill(_step: str) -> None:
        for state in workers.state().workers:
            if any(study.study_uid == "6.6.6" for study in state.studies) and state.pid:
                os.kill(state.pid, signal.SIGKILL)

    poison = task(files, None, uid="6.6.6")
    with pytest.raises(WorkerLost):
        workers.read(poison, told=kill)
    company = 0

    def kill_alone(step: str) -> None:
        nonlocal company
        mine = [
            w for w in workers.state().workers if any(s.study_uid == "6.6.6" for s in w.studies)
        ]
        company = max([company, *(len(w.studies) - 1 for w in mine)])
        if step == "detect":
            kill(step)

    with ThreadPoolExecutor(4) as others:
        harmless = [others.submit(workers.read, task(files, None, uid=f"2.{n}")) for n in range(4)]
        with pytest.raises(StudyKillsWorkers, match="ended 2 times over this study") as caught:
            workers.read(poison, told=kill_alone)
        assert not caught.value.retryable
        assert all(done.result().report for done in harmless)
    assert company == 0
    # A person begins it again, the cause is mended: it is read.
    assert workers.read(poison).report is not None


def test_a_new_version_is_swapped_in_and_a_broken_one_is_not(
    workers: Workers, place: Path, files: list[Path]
) -> None:
    spec = place / "models" / "bright" / "preread.toml"
    text = spec.read_text(encoding="utf-8")
    until(lambda: all(w.ready for w in workers.workers), "both workers")
    running = pids(workers)

    def version() -> str:
        report = workers.read(task(files, None)).report
        assert report is not None
        return report.model.version

    try:
        spec.write_text(text.replace('version = "1.0"', 'version = "2.0"'), encoding="utf-8")
        workers.refresh()
        until(lambda: version() == "2.0", "the new version")
        spec.write_text("version = [", encoding="utf-8")
        workers.refresh()
        until(lambda: "preread.toml" in _failure(workers), "the complaint")
        assert version() == "2.0"
    finally:
        spec.write_text(text, encoding="utf-8")
    workers.refresh()
    until(lambda: version() == "1.0", "the old version")
    assert pids(workers) == running


def _failure(workers: Workers) -> str:
    engines = [state.engine for state in workers.state().workers]
    return " ".join(m.failure for engine in engines if engine for m in engine.models)


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A file that is never read to its end: whoever opens it waits for a writer."""
    path = tmp_path / "endless"
    os.mkfifo(path)
    return path


def test_nobody_is_told_of_a_failure_when_the_server_stops(
    place: Path, files: list[Path], endless: Path
) -> None:
    own = Workers(engine_settings(place, "bright"))
    own.start()
    (pid,) = pids(own)
    stopping = threading.Thread(target=own.stop)
    with pytest.raises(ServerStops):
        own.read(task([endless, *files], None), begun=stopping.start)
    stopping.join()
    assert not alive(pid)
    with pytest.raises(ServerStops):
        own.read(task(files, None))


def test_a_model_that_can_not_be_loaded_stops_the_start_and_says_why(tmp_path: Path) -> None:
    write_model(tmp_path / "models" / "broken")
    own = Workers(engine_settings(tmp_path, "broken"))
    with pytest.raises(SpecError, match=r"detector\.onnx"):
        own.start()
    assert pids(own) == []


SERVER = """
import sys, time
from pathlib import Path
from pacs_bridge.workers import Workers
from tests.unit.pacs_bridge.engine_site import engine_settings, pids
if __name__ == "__main__":
    workers = Workers(engine_settings(Path(sys.argv[1]), "bright"))
    workers.start()
    print(*pids(workers), flush=True)
    time.sleep(600)
"""


def test_a_server_that_is_killed_leaves_no_worker_behind(place: Path) -> None:
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", SERVER, str(place)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as server:
        assert server.stdout is not None
        (pid,) = map(int, server.stdout.readline().split())
        assert alive(pid)
        server.kill()
    until(lambda: not alive(pid), "the orphan's end", 20)


def test_a_study_that_takes_too_long_is_taken_for_a_hang(place: Path, endless: Path) -> None:
    own = Workers(engine_settings(place, "bright", study_timeout_s=2.0))
    own.start()
    (pid,) = pids(own)
    try:
        with pytest.raises(WorkerLost, match="models.study_timeout_s"):
            own.read(task([endless], None))
        until(lambda: own.workers[0].ready, "the next process")
        assert not alive(pid) and pids(own) != [pid]
    finally:
        own.stop()


def test_urgent_studies_pass_those_that_wait(place: Path, files: list[Path]) -> None:
    own = Workers(engine_settings(place, "bright", studies_at_once=1))
    own.start()
    order: list[str] = []
    first = threading.Event()

    def read(uid: str, priority: Priority) -> None:
        work = replace(task(files, None, uid=uid), priority=priority)
        own.read(work, begun=lambda: (order.append(uid), first.set()))

    try:
        with ThreadPoolExecutor(4) as many:
            many.submit(read, "first", Priority.ROUTINE)
            assert first.wait(PATIENT_S)
            for n, (uid, priority) in enumerate(
                [("shadow", Priority.SHADOW), ("routine", Priority.ROUTINE),
                 ("urgent", Priority.URGENT)], start=1,
            ):  # fmt: skip
                many.submit(read, uid, priority)
                until(lambda n=n: own.state().waiting == n, uid)
            state = own.state()
            assert (state.urgent_waiting, state.shadows_waiting) == (1, 1)
        assert order == ["first", "urgent", "routine", "shadow"]
    finally:
        own.stop()


def test_gpus_that_nothing_installed_can_use_get_one_worker_on_the_cpu(
    place: Path, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi(tmp_path, monkeypatch, f"cat <<'END'\n{LISTED}END")
    own = Workers(engine_settings(place, "bright", device="auto"))
    assert [w.device.name for w in own.workers] == ["gpu 0", "gpu 1", "gpu 2"]
    own.start()
    try:
        (state,) = own.state().workers
        assert (state.name, state.device, state.hardware) == ("cpu", "cpu", "")
        assert own.places == 2
        assert own.read(task(files, None)).report is not None
    finally:
        own.stop()
