"""Which models leave when memory is short, and what the studies are told."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from models.engine.core import Engine, EngineSettings
from models.engine.footprint import MemoryState
from models.engine.rungs import Degradation
from models.engine.status import ModelState
from models.errors import OutOfMemory
from models.runtime import Batch, Outputs
from tests.unit.models.engine.loads import GB, Loads, spec, value
from tests.unit.models.peers import WAIT_S, Doubler, marked


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
