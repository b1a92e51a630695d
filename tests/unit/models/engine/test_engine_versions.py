"""New versions swapped in under load, and folders that changed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from models.engine.core import Engine
from models.engine.status import ModelState
from models.errors import ModelError, SpecError
from tests.unit.models.engine.loads import Loads, spec, value
from tests.unit.models.peers import WAIT_S, until


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
