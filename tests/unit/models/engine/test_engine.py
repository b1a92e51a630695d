"""Models kept warm: loaded once, shared by studies, closed with the engine."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from models.engine.core import Engine, EngineSettings
from models.engine.status import EngineStatus, ModelState
from models.errors import InferenceFailed, ModelError, OutOfMemory, SessionClosed, SpecError
from models.loaded import load_model
from models.pipeline import find_lesions
from models.spec import read_spec
from tests.unit.models.engine.loads import GB, Loads, spec, value, version
from tests.unit.models.made import chest, chest_grid, write_bright_model
from tests.unit.models.peers import WAIT_S, Gated, marked, until


class TestUse:
    def test_a_model_is_loaded_once_and_stays_warm(
        self, engine: Engine, loads: Loads, tmp_path: Path
    ) -> None:
        engine.load(spec(tmp_path / "a", "3"))
        for n in range(3):
            with engine.use("a", f"study {n}") as use:
                assert use.model.spec.version == "3"
                assert value(use) == 3
                assert use.degradations() == ()
        assert loads.names == ["a 3"]
        assert engine.names == ("a",)
        assert engine.spec("a").version == "3"

    def test_many_studies_that_need_a_cold_model_load_it_once(
        self, engine: Engine, loads: Loads, tmp_path: Path
    ) -> None:
        for name, number in (("a", "2"), ("b", "3")):
            engine.add(spec(tmp_path / name, number))
        assert version(engine, "a").state is ModelState.COLD
        seen: list[float] = []

        def study(n: int) -> None:
            with engine.use("ab"[n % 2], str(n), urgent=n == 5) as use:
                seen.append(value(use, n) / n)

        threads = [threading.Thread(target=study, args=(n,)) for n in range(1, 13)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
        assert sorted(seen) == [2] * 6 + [3] * 6
        assert sorted(loads.names) == ["a 2", "b 3"]

    def test_an_unknown_model_is_named_with_those_there_are(
        self, engine: Engine, tmp_path: Path
    ) -> None:
        engine.add(spec(tmp_path / "a"))
        with pytest.raises(SpecError, match=r"'b'.*there are: a"), engine.use("b", "s"):
            pass
        with pytest.raises(ValueError, match="known"):
            engine.add(spec(tmp_path / "a"))

    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (SpecError("no network in it"), "no network in it"),
            (KeyError("weights"), "KeyError: 'weights'"),
            (OutOfMemory("cuda"), "cuda"),
            (MemoryError(), "no host memory"),
        ],
    )
    def test_a_model_that_can_not_be_loaded_is_tried_again(
        self, engine: Engine, loads: Loads, tmp_path: Path, error: BaseException, told: str
    ) -> None:
        loads.failing.append(error)
        with pytest.raises(ModelError, match=told):
            engine.load(spec(tmp_path / "a"))
        status = engine.status().models[0]
        assert status.versions[0].state is ModelState.FAILED
        assert (status.failures, told in status.failure) == (1, True)
        with engine.use("a", "s") as use:
            assert value(use) == 1
        status = engine.status().models[0]
        assert (status.failure, status.loads) == ("", 1)

    def test_patches_of_a_study_that_ended_are_dropped(
        self, engine: Engine, loads: Loads, tmp_path: Path
    ) -> None:
        loads.network = lambda _: Gated()
        engine.load(spec(tmp_path / "a"))
        gate = loads.made[0][1]
        assert isinstance(gate, Gated)
        with pytest.raises(ZeroDivisionError), engine.use("a", "s") as use:
            runner = use.networks["detector"]
            futures = [runner.submit(marked(n, (1, n, 1, 1))) for n in (1, 2, 3)]
            assert gate.begun.wait(WAIT_S)
            raise ZeroDivisionError
        assert any(isinstance(future.exception(0), SessionClosed) for future in futures[2:])
        gate.go.set()
        with engine.use("a", "next") as use:
            assert value(use) == 2

    def test_a_model_whose_threads_died_is_loaded_again(
        self, engine: Engine, loads: Loads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        engine.load(spec(tmp_path / "a"))

        def broken(self: object, most: int) -> None:
            raise ZeroDivisionError("ours")

        with engine.use("a", "s") as use:
            monkeypatch.setattr(threading, "excepthook", lambda args: None)
            monkeypatch.setattr("models.engine.fair_queue.FairQueue.take", broken)
            with pytest.raises(SessionClosed):
                value(use)
            monkeypatch.undo()
        with engine.use("a", "s") as use:
            assert value(use) == 1
        assert loads.names == ["a 1.0", "a 1.0"]


class TestWhole:
    def test_closing_ends_studies_in_flight(self, loads: Loads, tmp_path: Path) -> None:
        loads.network = lambda _: Gated()
        engine = Engine(EngineSettings(), loads)
        engine.load(spec(tmp_path / "a"))
        gate = loads.made[0][1]
        assert isinstance(gate, Gated)
        told: list[str] = []

        def study(n: int) -> None:
            try:
                with engine.use("a", str(n)) as use:
                    use.networks["detector"].run(np.stack([marked(n)] * 9))
            except SessionClosed:
                told.append("closed")

        threads = [threading.Thread(target=study, args=(n,)) for n in range(4)]
        with pytest.raises(SessionClosed), engine.use("a", "mine") as use:
            threads.append(threading.Thread(target=engine.close))
            runner = use.networks["detector"]
            on_device = [runner.submit(marked(1, (1, n, n, n))) for n in (6, 7)]
            until(lambda: gate.at_once == 2)
            waiting = runner.submit(marked(1, (1, 8, 8, 8)))
            for thread in threads:
                thread.start()
            raise waiting.exception(WAIT_S) or AssertionError("it ran")
        gate.go.set()
        for thread in threads:
            thread.join(WAIT_S)
            assert not thread.is_alive()
        assert [future.exception(0) for future in on_device] == [None, None]
        assert gate.closed == 1
        for call in (lambda: engine.use("a", "s").__enter__(), lambda: engine.spec("a")):
            with pytest.raises(SessionClosed):
                call()
        with pytest.raises(SessionClosed), engine.reserve(1, "s"):
            pass
        engine.close()

    def test_status_is_json_and_counts(self, engine: Engine, loads: Loads, tmp_path: Path) -> None:
        engine.load(spec(tmp_path / "a"))
        with engine.use("a", "s") as use, engine.reserve(GB, "s"):
            runner = use.networks["detector"]
            runner.run(np.stack([marked(n) for n in range(8)]))
            with pytest.raises(ModelError):
                runner.run(np.stack([marked(np.nan)]))
            status = EngineStatus.model_validate_json(engine.status().model_dump_json())
        assert status.reserved_bytes == GB
        assert status.budget_bytes == 32 * GB
        assert status.process_bytes > 0
        (network,) = status.models[0].versions[0].networks
        assert (network.role, network.runtime, network.device) == (
            "detector", "doubler cpu", "cuda:0",
        )  # fmt: skip
        assert (network.studies, network.patches, network.refused) == (1, 8, 1)
        assert network.batches >= 2
        assert network.fill == pytest.approx(8 / (4 * network.batches))

    def test_a_real_model_finds_the_same_alone_and_with_others(self, tmp_path: Path) -> None:
        """Four studies at once through real networks, each result that of a study alone."""
        model = read_spec(write_bright_model(tmp_path / "bright"))
        grid = chest_grid()
        volumes = [
            chest(grid, (((((-1) ** n) * 46.0, 5.0 * n - 10, 12.0 * n - 20), 14.0, 300.0),))
            for n in range(4)
        ]
        alone = load_model(model, device="cpu", threads=1)
        wanted = [find_lesions([volume], alone, alone.runners) for volume in volumes]
        assert all(lesions.candidates for lesions in wanted)
        found = {}
        with Engine(
            EngineSettings(), lambda spec: load_model(spec, device="cpu", threads=1)
        ) as engine:
            engine.add(model)

            def study(n: int) -> None:
                with engine.use("bright", str(n)) as use:
                    found[n] = find_lesions([volumes[n]], use.model, use.networks)

            threads = [threading.Thread(target=study, args=(n,)) for n in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(WAIT_S)
        for n in range(4):
            mine, other = found[n].candidates, wanted[n].candidates
            assert [c.score for c in mine] == pytest.approx([c.score for c in other], abs=1e-5)
            for a, b in zip(mine, other, strict=True):
                assert a.region.start == b.region.start
                assert np.array_equal(a.region.voxels, b.region.voxels)


@pytest.mark.parametrize(
    "wrong", [{"most_models": 0}, {"patience": 0}, {"cpu_batches": 0}, {"memory_bytes": -1}]
)
def test_settings_make_sense(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        EngineSettings(**wrong)  # type: ignore[arg-type]


def test_the_errors_of_an_engine_can_be_retried() -> None:
    assert SessionClosed.retryable
    assert issubclass(SessionClosed, InferenceFailed)
