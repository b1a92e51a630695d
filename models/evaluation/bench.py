"""How fast a model's networks run here: each runtime in a fresh process, several batch sizes."""

from __future__ import annotations

import math
import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from models.engine import footprint
from models.errors import ModelError, OutOfMemory, SpecError
from models.evaluation.precision import int8_path
from models.evaluation.table import columns
from models.intake.trial import patch_shape
from models.opening import open_networks
from models.runtime.choose import candidates, open_runtime
from models.runtime.devices import resolve_device
from models.runtime.source import OnnxFile, Precision, RuntimeName, RuntimeOptions, Source
from models.spec import ModelSpec, read_spec

LEAST_RUNS = 3
SECONDS = 2.0
"""A batch size is run at least so often, and so long, after one run that warms up."""
MOST_VALUES = 2**24
"""Input values of a batch of several patches; more could take all of the machine's memory."""
LOAD_TIMEOUT_S = 1800.0
"""A TensorRT engine takes minutes."""

Progress = Callable[[str], None]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class BenchRow(_Value):
    """One network on one runtime with one batch size.

    Attributes:
        milliseconds: median of a patch, a batch's time divided by its size.
        runs: batches measured.
    """

    role: str
    runtime: str
    patch: tuple[int, ...]
    batch: int
    milliseconds: float
    patches_a_second: float
    runs: int


class BenchMemory(_Value):
    """Greatest memory of the process that ran one network on one runtime, bytes.

    ``device`` is what the runtime holds on the GPU after its largest batch; None on the CPU.
    """

    role: str
    runtime: str
    host: int
    device: int | None


class BenchFailure(_Value):
    """A runtime, or a batch size, that could not be measured, and why."""

    role: str
    runtime: str
    reason: str


class BenchResult(_Value):
    """What was measured."""

    model: str
    version: str
    device: str
    precision: Precision
    rows: tuple[BenchRow, ...]
    memory: tuple[BenchMemory, ...]
    failures: tuple[BenchFailure, ...] = ()

    def table(self) -> str:
        """For people, English, fixed width; the fastest first within each network."""
        peaks = {(m.role, m.runtime): m for m in self.memory}
        cells = [["network", "runtime", "patch", "batch", "ms a patch", "patches/s", "peak memory"]]
        for row in sorted(self.rows, key=lambda r: (r.role, r.milliseconds)):
            memory = peaks.get((row.role, row.runtime))
            peak = f"{memory.host / 1e9:.2f} GB" if memory is not None else "?"
            if memory is not None and memory.device is not None:
                peak += f", GPU {memory.device / 1e9:.2f} GB"
            patch = "x".join(str(n) for n in row.patch)
            cells.append(
                [row.role, row.runtime, patch, str(row.batch), f"{row.milliseconds:.1f}",
                 f"{row.patches_a_second:.2f}", peak]
            )  # fmt: skip
        lines = [f"{self.model} {self.version}, {self.precision}", ""]
        lines += columns(cells) if self.rows else ["nothing could be measured"]
        lines += [f"{f.role} on {f.runtime}: not measured, {f.reason}" for f in self.failures]
        return "\n".join(lines)


@dataclass(frozen=True)
class _Job:
    folder: Path
    role: str
    options: RuntimeOptions
    batches: tuple[int, ...]
    seconds: float


def bench(
    spec: ModelSpec,
    *,
    runtime: RuntimeName = "auto",
    device: str = "auto",
    precision: Precision = "fp32",
    threads: int = 0,
    batches: Sequence[int] = (1, 2, 4),
    seconds: float = SECONDS,
    progress: Progress = lambda line: None,
) -> BenchResult:
    """Measure a model's networks on noise.

    No patient is read, so a reduced precision needs no gate; int8 needs the network that
    ``preread models evaluate --precision int8`` made.

    Args:
        runtime: ``auto``: every runtime that is installed and can run the network.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        batches: patches a forward pass.
        seconds: each batch size is run at least so long.
        progress: told each runtime as it begins.

    Raises:
        SpecError: the model can't be opened; int8 has not been made.
        RuntimeMissing: no runtime that could run it is here.
    """
    rows: list[BenchRow] = []
    memory: list[BenchMemory] = []
    failures: list[BenchFailure] = []
    for role, source in open_networks(spec).sources.items():
        source = _source(spec, role, source, precision)
        if runtime == "auto":
            names = [choice.runtime for choice in candidates(source, device, precision)]
        else:
            names = [runtime]
        for name in names:
            progress(f"{role} on {name}")
            options = RuntimeOptions(name, device, precision, threads)
            job = _Job(spec.folder, role, options, tuple(sorted(set(batches))), seconds)
            for found in _apart(job):
                match found:
                    case BenchRow():
                        rows.append(found)
                    case BenchMemory():
                        memory.append(found)
                    case BenchFailure():
                        failures.append(found)
                        progress(f"{role} on {name}: {found.reason}")
    return BenchResult(
        model=spec.name,
        version=spec.version,
        device=device,
        precision=precision,
        rows=tuple(rows),
        memory=tuple(memory),
        failures=tuple(failures),
    )


_Found = BenchRow | BenchMemory | BenchFailure


def _source(spec: ModelSpec, role: str, source: Source, precision: Precision) -> Source:
    if precision != "int8":
        return source
    path = int8_path(spec, role)
    if not path.is_file():
        raise SpecError(
            f"{path}: no such file; `preread models evaluate {spec.name} DATA --precision int8` "
            "makes it"
        )
    return OnnxFile(path)


def _apart(job: _Job) -> list[_Found]:
    """A job in a process of its own, so that its peak is its own and its memory goes with it."""
    context = multiprocessing.get_context("spawn")
    pipe, other = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(job, other), daemon=True)
    process.start()
    other.close()
    found: list[_Found] = []
    try:
        while pipe.poll(LOAD_TIMEOUT_S):
            found.append(pipe.recv())
    except EOFError:
        pass
    process.join(10)
    if process.exitcode != 0:
        process.terminate()
        reason = f"its process ended with {process.exitcode} (short of memory, perhaps)"
        found.append(BenchFailure(role=job.role, runtime=job.options.runtime, reason=reason))
    return found


def _measure(job: _Job, pipe: Connection) -> None:
    """In the process of its own: what was found goes through the pipe as it is found."""
    name = str(job.options.runtime)
    try:
        spec = read_spec(job.folder)
        source = open_networks(spec).sources[job.role]
        shape = patch_shape(spec, source)
        source = _source(spec, job.role, source, job.options.precision)
        held = footprint.device_memory(resolve_device(job.options.device))
        network = open_runtime(source, job.options)
        name = network.name
        for batch in job.batches:
            if batch > 1 and batch * math.prod(shape) > MOST_VALUES:
                reason = f"batch {batch}: left out, {batch} patches of {shape} are too large to try"
                pipe.send(BenchFailure(role=job.role, runtime=name, reason=reason))
                continue
            patches = np.random.default_rng(0).random((batch, *shape), dtype=np.float32)
            try:
                seconds = _seconds(partial(network.run, patches), job.seconds)
            except OutOfMemory as error:
                reason = f"batch {batch}: {error}"
                pipe.send(BenchFailure(role=job.role, runtime=name, reason=reason))
                break
            median = statistics.median(seconds)
            pipe.send(
                BenchRow(
                    role=job.role,
                    runtime=name,
                    patch=shape[1:],
                    batch=batch,
                    milliseconds=round(1000 * median / batch, 3),
                    patches_a_second=round(batch / median, 3),
                    runs=len(seconds),
                )
            )
        after = footprint.device_memory(network.device)
        device = after.used - held.used if after is not None and held is not None else None
        host = footprint.peak_process_bytes()
        pipe.send(BenchMemory(role=job.role, runtime=name, host=host, device=device))
    except ModelError as error:
        pipe.send(BenchFailure(role=job.role, runtime=name, reason=str(error)))
    finally:
        pipe.close()


def _seconds(work: Callable[[], object], least: float) -> list[float]:
    work()
    seconds: list[float] = []
    while len(seconds) < LEAST_RUNS or sum(seconds) < least:
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return seconds
