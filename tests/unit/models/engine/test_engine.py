"""Models kept warm: loaded once, swapped under load, leaving when memory is short."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from models.engine.core import Engine, EngineSettings
from models.engine.footprint import MemoryState
from models.engine.rungs import Degradation
from models.engine.status import EngineStatus, ModelState, VersionStatus
from models.engine.warm import InUse
from models.errors import InferenceFailed, ModelError, OutOfMemory, SessionClosed, SpecError
from models.loaded import LoadedModel, load_model
from models.pipeline import find_lesions
from models.runtime import Batch, Outputs
from models.spec import ModelSpec, read_spec
from tests.unit.models.made import chest, chest_grid, write_bright_model, write_model
from tests.unit.models.peers import WAIT_S, Doubler, Gated, marked, until

GB = 2**30


class Times(Doubler):
    """As many times the input as its version says."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self._factor = factor

    def run(self, batch: Batch) -> Outputs:
        super().run(batch)
        return (np.float32(self._factor) * batch,)


class Loads:
    """Loads made-up models and remembers each."""

    def __init__(self) -> None:
        self.made: list[tuple[str, Doubler]] = []
        self.failing: list[BaseException] = []
        self.network: Callable[[ModelSpec], Doubler] = lambda spec: Times(float(spec.version))

    def __call__(self, spec: ModelSpec) -> LoadedModel:
        if self.failing:
            raise self.failing.pop(0)
        network = self.network(spec)
        self.made.append((f"{spec.name} {spec.version}", network))
        return LoadedModel(spec, {"detector": network})

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.made]

    @property
    def open(self) -> list[str]:
        return [name for name, network in self.made if not network.closed]


@pytest.fixture
def loads() -> Loads:
    return Loads()


@pytest.fixture
def engine(loads: Loads) -> Iterator[Engine]:
    with Engine(EngineSettings(memory_bytes=64 * GB, batch_wait_s=0.0), loads) as made:
        yield made


def spec(folder: Path, version: str = "1.0") -> ModelSpec:
    """A model's spec; the folder is written where it isn't there, else its version is set."""
    if not folder.exists():
        write_model(folder)
    path = folder / "preread.toml"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines = [f'version = "{version}"' if line.startswith("version") else line for line in lines]
    path.write_text("\n".join(lines), encoding="utf-8")
    return read_spec(folder)


def value(use: InUse, of: float = 1) -> float:
    """What the network makes of a patch."""
    return float(use.networks["detector"].run(marked(of)[np.newaxis])[0].flat[0])


def version(engine: Engine, name: str) -> VersionStatus:
    return next(m for m in engine.status().models if m.name == name).versions[0]


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


class TestMemory:
    def test_the_least_recently_used_leave_and_none_in_use(
        self, loads: Loads, tmp_path: Path
    ) -> None:
        with Engine(EngineSettings(most_models=2, memory_bytes=64 * GB), loads) as engine:
            for name in "abcd":
                engine.add(spec(tmp_path / name))
            with engine.use("a", "s"), engine.use("b", "s"):
                pass
            with engine.use("a", "s"):
                pass
            with engine.use("c", "s"):
                assert loads.open == ["a 1.0", "c 1.0"]
                with engine.use("d", "s"):
                    assert loads.open == ["c 1.0", "d 1.0"]
                    with engine.use("a", "s"):  # all are in use: one more, rather than none
                        assert loads.open == ["c 1.0", "d 1.0", "a 1.0"]
            status = {model.name: model for model in engine.status().models}
            assert (status["a"].loads, status["a"].evictions) == (2, 1)
            assert status["b"].versions[0].state is ModelState.COLD
        assert loads.open == []
        assert all(network.closed == 1 for _, network in loads.made)

    def test_studies_of_more_models_than_have_place_all_end(
        self, loads: Loads, tmp_path: Path
    ) -> None:
        with Engine(EngineSettings(most_models=1, memory_bytes=64 * GB), loads) as engine:
            for n in range(3):
                engine.add(spec(tmp_path / str(n), str(n + 1)))
            seen: Counter[float] = Counter()

            def studies(n: int) -> None:
                for _ in range(5):
                    with engine.use(str(n), "s") as use:
                        seen[value(use)] += 1

            threads = [threading.Thread(target=studies, args=(n % 3,)) for n in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(WAIT_S)
            assert seen == {1: 10, 2: 10, 3: 10}
        assert loads.open == []

    @pytest.mark.parametrize("short", ["process", "machine"])
    def test_idle_models_leave_while_memory_is_short(
        self, loads: Loads, tmp_path: Path, short: str
    ) -> None:
        """Each model takes 1 GB here; 3 fit."""

        def taken() -> int:
            return GB * len(loads.open)

        engine = Engine(
            EngineSettings(memory_bytes=3 * GB, minimum_free_bytes=GB),
            loads,
            process_bytes=taken if short == "process" else lambda: 0,
            host_memory=lambda: MemoryState(
                total=16 * GB, available=16 * GB if short == "process" else 4 * GB - taken()
            ),
        )
        with engine:
            for name in "abcd":
                engine.add(spec(tmp_path / name))
            for name in "abc":
                with engine.use(name, "s"):
                    pass
            assert loads.open == ["a 1.0", "b 1.0", "c 1.0"]
            with engine.use("a", "s"), engine.use("d", "s"):
                assert len(loads.open) == 4  # not known to be short before it is there
            assert loads.open == ["c 1.0", "a 1.0", "d 1.0"][1:] or len(loads.open) == 3
            assert "a 1.0" in loads.open

    def test_a_loader_without_memory_makes_idle_models_leave(
        self, engine: Engine, loads: Loads, tmp_path: Path
    ) -> None:
        for name in "ab":
            engine.load(spec(tmp_path / name))
        engine.add(spec(tmp_path / "c"))
        loads.failing += [OutOfMemory("no room"), MemoryError()]
        with engine.use("c", "s"):
            assert loads.open == ["c 1.0"]
        loads.failing += [OutOfMemory("no room")]
        with (
            engine.use("c", "s"),
            pytest.raises(OutOfMemory, match="no room"),
            engine.use("a", "s"),
        ):
            pass
        assert loads.open == ["c 1.0"]

    def test_an_idle_model_leaves_the_device_before_a_batch_is_halved(
        self, engine: Engine, loads: Loads, tmp_path: Path
    ) -> None:
        """Each model takes a third of the device; one elsewhere is left alone."""

        class Large(Doubler):
            def run(self, batch: Batch) -> Outputs:
                here = [n for _, n in loads.made if n.device == self.device and not n.closed]
                if len(here) > 1:
                    raise OutOfMemory("no room")
                return super().run(batch)

        loads.network = lambda spec: Large()
        engine.load(spec(tmp_path / "a"))
        loads.network = lambda spec: elsewhere
        elsewhere = Doubler()
        elsewhere.device = "cuda:1"
        engine.load(spec(tmp_path / "elsewhere"))
        loads.network = lambda spec: Large()
        engine.load(spec(tmp_path / "b"))
        with engine.use("b", "s") as use:
            use.networks["detector"].run(np.stack([marked(1)] * 4))
            assert use.degradations() == ()
        assert loads.open == ["elsewhere 1.0", "b 1.0"]
        with engine.use("a", "s") as one, engine.use("b", "s") as other:
            with pytest.raises(OutOfMemory):
                value(other)
            with pytest.raises(OutOfMemory):
                value(one)

    def test_degradations_reach_the_study(
        self, engine: Engine, loads: Loads, tmp_path: Path
    ) -> None:
        class Short(Doubler):
            def run(self, batch: Batch) -> Outputs:
                if len(batch) > 1:
                    raise OutOfMemory("no room")
                return super().run(batch)

        loads.network = lambda spec: Short()
        engine.load(spec(tmp_path / "a"))
        with engine.use("a", "s") as use:
            futures = [use.networks["detector"].submit(marked(n)) for n in range(64)]
            for future in futures:
                future.result(WAIT_S)
            assert use.degradations() == (Degradation.BATCH,)
        with engine.use("a", "other") as use:
            use.networks["detector"].run(marked(1, (1, 3, 3, 3))[np.newaxis])
            assert use.degradations() == ()
        assert engine.status().models[0].versions[0].networks[0].degraded["device-memory-batch"]


class TestReplace:
    def test_studies_in_flight_finish_on_the_old_version(
        self, engine: Engine, loads: Loads, tmp_path: Path
    ) -> None:
        engine.load(spec(tmp_path / "a", "1"))
        with engine.use("a", "old") as old:
            engine.replace(spec(tmp_path / "a", "2"))
            with engine.use("a", "new") as new:
                assert (value(old), value(new)) == (1, 2)
            states = [v.state for v in engine.status().models[0].versions]
            assert states == [ModelState.WARM, ModelState.LEAVING]
            assert loads.open == ["a 1", "a 2"]
        assert loads.open == ["a 2"]
        assert [v.version for v in engine.status().models[0].versions] == ["2"]
        engine.replace(spec(tmp_path / "a", "3"))
        assert loads.open == ["a 3"]

    def test_swapping_under_load_never_mixes_versions(
        self, engine: Engine, loads: Loads, tmp_path: Path
    ) -> None:
        """Nobody runs on a closed network (the network would say so), no study sees two."""
        engine.load(spec(tmp_path / "a", "1"))
        stop = threading.Event()
        wrong: list[object] = []
        seen: set[float] = set()

        def studies() -> None:
            while not stop.is_set():
                try:
                    with engine.use("a", "s") as use:
                        values = {value(use) for _ in range(3)}
                    if values != {float(use.model.spec.version)}:
                        wrong.append(values)
                    seen.update(values)
                except ModelError as error:
                    wrong.append(error)

        threads = [threading.Thread(target=studies) for _ in range(4)]
        for thread in threads:
            thread.start()
        for number in range(2, 8):
            until(lambda n=number: n - 1 in seen or bool(wrong))  # type: ignore[misc]
            engine.replace(spec(tmp_path / "a", str(number)))
        until(lambda: 7 in seen or bool(wrong))
        stop.set()
        for thread in threads:
            thread.join(WAIT_S)
        assert wrong == []
        assert seen == {1, 2, 3, 4, 5, 6, 7}
        assert loads.open == ["a 7"]

    def test_a_version_that_can_not_be_loaded_leaves_the_old_one(
        self, engine: Engine, loads: Loads, tmp_path: Path
    ) -> None:
        engine.load(spec(tmp_path / "a", "1"))
        loads.failing.append(SpecError("damaged"))
        with pytest.raises(SpecError, match="damaged"):
            engine.replace(spec(tmp_path / "a", "2"))
        with engine.use("a", "s") as use:
            assert value(use) == 1
        status = engine.status().models[0]
        assert (status.failures, status.failure) == (1, "damaged")
        with pytest.raises(SpecError, match="no model"):
            engine.replace(spec(tmp_path / "b"))

    def test_a_removed_model_ends_with_its_last_study(
        self, engine: Engine, loads: Loads, tmp_path: Path
    ) -> None:
        engine.load(spec(tmp_path / "a", "1"))
        with engine.use("a", "s") as use:
            engine.remove("a")
            assert value(use) == 1
            with pytest.raises(SpecError), engine.use("a", "next"):
                pass
        assert loads.open == []
        assert engine.status().models == ()


class TestRefresh:
    def test_a_changed_folder_is_swapped_in_once(
        self, engine: Engine, loads: Loads, tmp_path: Path
    ) -> None:
        for name in "ab":
            engine.load(spec(tmp_path / name, "1"))
        assert engine.refresh() == ()
        spec(tmp_path / "a", "2")
        assert engine.refresh() == ("a",)
        assert engine.refresh() == ()
        with engine.use("a", "s") as use:
            assert value(use) == 2
        assert loads.names == ["a 1", "b 1", "a 2"]

    def test_a_change_of_the_bundle_s_config_counts(
        self, engine: Engine, loads: Loads, tmp_path: Path
    ) -> None:
        engine.load(spec(tmp_path / "a", "1"))
        (tmp_path / "a" / "inference.json").write_text("{}")
        assert engine.refresh() == ("a",)
        (tmp_path / "a" / "export.bin").write_bytes(b"a cache of ours")
        assert engine.refresh() == ()
        assert len(loads.made) == 2

    def test_a_cold_model_is_only_described_anew(
        self, engine: Engine, loads: Loads, tmp_path: Path
    ) -> None:
        engine.add(spec(tmp_path / "a", "1"))
        spec(tmp_path / "a", "2")
        assert engine.refresh() == ("a",)
        assert loads.made == []
        assert engine.spec("a").version == "2"
        with engine.use("a", "s") as use:
            assert value(use) == 2

    def test_a_broken_folder_leaves_the_version_in_use(
        self, engine: Engine, loads: Loads, tmp_path: Path
    ) -> None:
        engine.load(spec(tmp_path / "a", "1"))
        path = tmp_path / "a" / "preread.toml"
        good = path.read_text(encoding="utf-8")
        path.write_text(good.replace("version", "vresion"), encoding="utf-8")
        assert engine.refresh() == ()
        assert "vresion" in engine.status().models[0].failure
        with engine.use("a", "s") as use:
            assert value(use) == 1
        path.write_text(good.replace('"1"', '"4"'), encoding="utf-8")
        assert engine.refresh() == ("a",)
        assert engine.status().models[0].failure == ""

    def test_what_failed_is_tried_again_when_its_weights_have_come(
        self, engine: Engine, loads: Loads, tmp_path: Path
    ) -> None:
        """``preread.toml`` is often copied before the weights."""
        engine.load(spec(tmp_path / "a", "1"))
        loads.failing.append(SpecError("SHA-256 differs"))
        spec(tmp_path / "a", "2")
        assert engine.refresh() == ()
        assert engine.refresh() == ()
        assert engine.status().models[0].failure == "SHA-256 differs"
        (tmp_path / "a" / "detector.onnx").write_bytes(b"all of the weights")
        assert engine.refresh() == ("a",)
        with engine.use("a", "s") as use:
            assert value(use) == 2


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
