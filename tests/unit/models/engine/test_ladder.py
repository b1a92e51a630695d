"""Short memory, poisoned patches and raising runtimes: each patch gets its own answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaging.notices import Severity
from models.engine.ladder import Ladder, Outcome, Stage
from models.engine.rungs import Degradation, Rung, Rungs
from models.errors import (
    EndpointFailed,
    InferenceFailed,
    ModelError,
    OutOfMemory,
    PatchRefused,
    RuntimeMissing,
)
from models.runtime import Batch, Outputs, Runtime
from models.splitting import Split
from tests.unit.models.peers import Doubler, Small, convolution, marked

SHAPE = (1, 8, 8, 40)
VOXELS = 8 * 8 * 40


class Held:
    """Stands for the device and the CPU: says which was taken how often."""

    def __init__(self) -> None:
        self.turns: list[str] = []

    @contextmanager
    def __call__(self, on_cpu: bool) -> Iterator[None]:
        self.turns.append("cpu" if on_cpu else "device")
        yield


def run(ladder: Ladder, patches: list[Batch]) -> list[Outcome]:
    return ladder.run(patches, Held(), Stage())


def patches(count: int, shape: tuple[int, ...] = SHAPE) -> list[Batch]:
    rng = np.random.default_rng(count)
    return [rng.normal(size=shape).astype(np.float32) for _ in range(count)]


def output(outcome: Outcome) -> Batch:
    assert isinstance(outcome.result, tuple), outcome.result
    return outcome.result[0]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    return convolution(tmp_path_factory.mktemp("whole"))


class TestShortMemory:
    """The ladder with the contract suite's real network on a device that is too small."""

    @pytest.mark.parametrize(
        ("room", "how", "largest"),
        [
            (8 * VOXELS, None, 4),
            (3 * VOXELS, Degradation.BATCH, 2),
            (1 * VOXELS, Degradation.BATCH, 1),
            (3 * VOXELS // 4, Degradation.PATCH, 1),
            (2 * VOXELS // 5, Degradation.PATCH, 1),
            (10, Degradation.CPU, 1),
        ],
    )
    def test_results_are_those_of_the_whole_batch(
        self, whole: Runtime, room: int, how: Degradation | None, largest: int
    ) -> None:
        device = Small(whole, room)
        ladder = Ladder(
            device, maximum_batch=4, split=Split(4, 1), fallback=lambda: Small(whole, 9**9)
        )
        batch = patches(4)
        for _ in range(2):
            outcomes = run(ladder, batch)
            (expected,) = whole.run(np.stack(batch))
            for outcome, wanted in zip(outcomes, expected, strict=True):
                assert output(outcome) == pytest.approx(wanted, abs=1e-5)
                assert outcome.how is how
        assert max((shape[0] for shape in device.sizes), default=1) == largest

    def test_the_shortage_is_remembered(self, whole: Runtime) -> None:
        device = Small(whole, 2 * VOXELS)
        ladder = Ladder(device, maximum_batch=8, patience=100)
        run(ladder, patches(8))
        assert device.refused == 2  # 8, then 4
        assert ladder.limit(SHAPE) == 2
        assert ladder.limit((1, 4, 4, 4)) == 8
        run(ladder, patches(8))
        assert device.refused == 2

    def test_it_grows_again_with_care(self, whole: Runtime) -> None:
        device = Small(whole, 2 * VOXELS)
        ladder = Ladder(device, maximum_batch=4, patience=2)
        run(ladder, patches(4))
        assert ladder.limit(SHAPE) == 2
        device.voxels = 9 * VOXELS
        limits = []
        for _ in range(12):
            outcomes = run(ladder, patches(ladder.limit(SHAPE)))
            assert all(isinstance(outcome.result, tuple) for outcome in outcomes)
            limits.append(ladder.limit(SHAPE))
        assert limits == sorted(limits)
        assert limits[0] == 2
        assert limits[-1] == 4
        assert run(ladder, patches(4))[0].how is None

    def test_a_device_that_stays_short_is_tried_ever_more_rarely(self, whole: Runtime) -> None:
        device = Small(whole, VOXELS)
        ladder = Ladder(device, maximum_batch=2, patience=1)
        tried = []
        for n in range(64):
            before = device.refused
            run(ladder, patches(2))
            tried += [n] if device.refused > before else []
        assert 4 <= len(tried) <= 8
        gaps = np.diff(tried)
        assert (np.diff(gaps) >= 0).all()

    def test_the_cpu_s_copy_is_given_back_when_the_device_has_room(self, whole: Runtime) -> None:
        loaded: list[Doubler] = []

        def on_cpu() -> Runtime:
            loaded.append(Doubler())
            return loaded[-1]

        device = Small(Doubler(), 10)
        ladder = Ladder(device, maximum_batch=2, fallback=on_cpu, patience=1)
        held = Held()
        (outcome,) = ladder.run(patches(1), held, Stage())
        assert outcome.how is Degradation.CPU
        assert held.turns[-1] == "cpu"
        assert ladder.fallback_loaded
        device.voxels = 9**9
        for _ in range(8):
            run(ladder, patches(2))
        assert not ladder.fallback_loaded
        assert [copy.closed for copy in loaded] == [1] * len(loaded)
        assert run(ladder, patches(2))[0].how is None

    def test_a_fixed_network_is_never_cut(self, whole: Runtime) -> None:
        device = Small(whole, VOXELS - 1)
        ladder = Ladder(device, maximum_batch=2, split=None)
        outcomes = run(ladder, patches(2))
        assert device.sizes == []
        assert all(isinstance(outcome.result, OutOfMemory) for outcome in outcomes)

    @pytest.mark.parametrize("kind", ["short", "missing", "failing"])
    def test_a_cpu_that_fails_too_is_an_error_to_retry(self, whole: Runtime, kind: str) -> None:
        class Failing(Doubler):
            def run(self, batch: Batch) -> Outputs:
                raise InferenceFailed("broken")

        def on_cpu() -> Runtime:
            if kind == "missing":
                raise RuntimeMissing("no onnxruntime")
            return Small(whole, 1) if kind == "short" else Failing()

        ladder = Ladder(Small(whole, 1), maximum_batch=2, fallback=on_cpu)
        for outcome in run(ladder, patches(2)):
            assert isinstance(outcome.result, InferenceFailed)
            assert outcome.result.retryable

    def test_room_is_asked_for_before_anything_is_made_smaller(self, whole: Runtime) -> None:
        device = Small(whole, VOXELS)
        asked: list[int] = []

        def make_room() -> bool:
            asked.append(device.voxels)
            device.voxels = 9 * VOXELS
            return True

        ladder = Ladder(device, maximum_batch=4, make_room=make_room)
        assert all(outcome.how is None for outcome in run(ladder, patches(4)))
        assert asked == [VOXELS]
        assert device.sizes == [(4, *SHAPE)]

    def test_room_that_doesn_t_help_is_asked_for_once_at_each_rung(self, whole: Runtime) -> None:
        device = Small(whole, VOXELS)
        asked: list[int] = []
        ladder = Ladder(device, maximum_batch=4, make_room=lambda: not asked.append(1))
        assert len([output(outcome) for outcome in run(ladder, patches(4))]) == 4
        assert len(asked) == 2  # for four, for two; one fits
        assert device.refused == 4

    def test_host_memory_counts_too(self) -> None:
        class Host(Doubler):
            def run(self, batch: Batch) -> Outputs:
                if len(batch) > 1:
                    raise MemoryError("numpy")
                return super().run(batch)

        ladder = Ladder(Host(), maximum_batch=4)
        outcomes = run(ladder, patches(4))
        assert all(outcome.how is Degradation.BATCH for outcome in outcomes)
        assert ladder.limit(SHAPE) == 1


class TestPoison:
    def test_only_the_guilty_patch_of_a_batch_fails(self) -> None:
        class Delicate(Doubler):
            def run(self, batch: Batch) -> Outputs:
                if (batch == 13).any():
                    raise InferenceFailed("thirteen")
                return super().run(batch)

        ladder = Ladder(Delicate(), maximum_batch=4)
        outcomes = run(ladder, [marked(n) for n in (1, 13, 3, 4)])
        assert isinstance(outcomes[1].result, InferenceFailed)
        assert [float(output(outcomes[n]).flat[0]) for n in (0, 2, 3)] == [2, 6, 8]

    def test_an_output_that_is_not_finite_refuses_its_patch_alone(self) -> None:
        class Dividing(Doubler):
            def run(self, batch: Batch) -> Outputs:
                with np.errstate(all="ignore"):
                    return (1 / batch,)

        outcomes = run(Ladder(Dividing(), maximum_batch=4), [marked(n) for n in (1, 0, 4)])
        assert isinstance(outcomes[1].result, PatchRefused)
        assert [float(output(outcomes[n]).flat[0]) for n in (0, 2)] == [1, 0.25]

    @pytest.mark.parametrize(
        "give",
        [lambda batch: (batch[:1],), lambda batch: (), lambda batch: (np.float32(1) * 1,)],
        ids=["one for all", "none", "no array axes"],
    )
    def test_a_wrong_count_of_outputs_is_noticed(self, give: Callable[[Batch], Outputs]) -> None:
        class Miscounting(Doubler):
            def run(self, batch: Batch) -> Outputs:
                super().run(batch)
                return tuple(np.asarray(part) for part in give(batch))

        runtime = Miscounting()
        outcomes = run(Ladder(runtime, maximum_batch=4), [marked(n) for n in (1, 2, 3)])
        alone = [len(batch) for batch in runtime.batches]
        assert alone == [3, 1, 1, 1]
        right = [isinstance(outcome.result, tuple) for outcome in outcomes]
        # One output is right for a patch that runs alone.
        assert all(right) or all(isinstance(o.result, PatchRefused) for o in outcomes)

    @pytest.mark.parametrize("error", [ValueError("x"), KeyError("y"), SystemExit(3), OSError()])
    def test_whatever_a_runtime_raises_becomes_an_error_of_ours(self, error: BaseException) -> None:
        class Raising(Doubler):
            def run(self, batch: Batch) -> Outputs:
                raise error

        for outcome in run(Ladder(Raising(), maximum_batch=4), patches(2)):
            assert isinstance(outcome.result, InferenceFailed)
            assert type(error).__name__ in str(outcome.result)

    def test_a_server_that_does_not_answer_is_asked_once_a_batch(self) -> None:
        class Silent(Doubler):
            def run(self, batch: Batch) -> Outputs:
                super().run(batch)
                raise EndpointFailed("grpc://triton:8001: no answer within 60 s")

        runtime = Silent()
        outcomes = run(Ladder(runtime, maximum_batch=4), patches(4))
        assert len(runtime.batches) == 1
        assert all(isinstance(outcome.result, EndpointFailed) for outcome in outcomes)

    def test_outputs_stay_what_they_were_when_the_stage_is_used_again(self) -> None:
        """A network that passes its input through gives the stage's own memory."""

        class Through(Doubler):
            def run(self, batch: Batch) -> Outputs:
                return (batch,)

        ladder, stage = Ladder(Through(), maximum_batch=4), Stage()
        first = ladder.run([marked(1), marked(2)], Held(), stage)
        ladder.run([marked(8), marked(9)], Held(), stage)
        assert [float(output(outcome).flat[0]) for outcome in first] == [1, 2]
        mine = marked(5)
        (alone,) = ladder.run([mine], Held(), stage)
        mine[:] = 0
        assert float(output(alone).flat[0]) == 5


def test_a_batch_is_bounded_by_voxels() -> None:
    ladder = Ladder(Doubler(), maximum_batch=8, batch_voxels=2 * VOXELS)
    assert ladder.limit(SHAPE) == 2
    assert ladder.limit((3, *SHAPE[1:])) == 2  # channels don't count
    assert ladder.limit((1, 99, 99, 99)) == 1
    assert ladder.limit((1, 2, 2, 2)) == 8


@pytest.mark.parametrize("how", Degradation)
def test_a_result_can_say_it(how: Degradation) -> None:
    assert how.notice.severity is Severity.WARNING
    assert how.notice.code == how
    assert "memory" in how.notice.text.en


@settings(deadline=None)
@given(
    maximum=st.integers(1, 9),
    cuts=st.integers(0, 3),
    cpu=st.booleans(),
    patience=st.integers(1, 4),
    rooms=st.lists(st.floats(0.05, 12), min_size=1, max_size=60),
)
def test_every_patch_runs_if_any_rung_has_room(
    maximum: int, cuts: int, cpu: bool, patience: int, rooms: list[float]
) -> None:
    """A device whose room changes all the time: a rung that fits is found within one walk down."""
    rungs = Rungs(maximum, cuts, cpu, patience)

    def fits(rung: Rung, patches: int, room: float) -> bool:
        return rung.cpu or patches * 0.5**rung.cuts <= room

    for room in rooms:
        for _ in range(maximum + cuts + 2):
            rung = rungs.now
            assert 1 <= rung.batch <= maximum
            assert rung.cuts <= cuts
            assert not rung.cpu or cpu
            if fits(rung, rung.batch, room):
                rungs.succeeded(rung, rung.batch)
                break
            if not rungs.failed(rung, rung.batch):
                assert rung == Rung(1, cuts)
                assert not cpu
                break
        else:
            raise AssertionError("no end")
        assert (rungs.degradation is None) == (rungs.now == Rung(maximum))


def test_errors_know_their_kind() -> None:
    assert issubclass(OutOfMemory, InferenceFailed)
    assert issubclass(PatchRefused, ModelError)
    assert not PatchRefused.retryable
