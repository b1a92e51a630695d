"""What crosses between server and worker, which GPUs there are, how much memory a study takes."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from imaging.errors import IrregularGeometry, PixelsUndecodable
from imaging.notices import notice
from models.errors import (
    EndpointFailed,
    InferenceFailed,
    InputRefused,
    OutOfMemory,
    PatchRefused,
    SpecError,
)
from pacs_bridge.errors import DiskFull, SettingsError
from pacs_bridge.workers.devices import find_devices, list_gpus, parse_list, visible
from pacs_bridge.workers.failures import AnalysisFailed, Failure

# errors -----------------------------------------------------------------------------------

ERRORS = [
    SpecError("preread.toml: version is missing"),
    OutOfMemory("512 MB"),
    EndpointFailed("triton at :8001 answered 503"),
    PatchRefused("NaN"),
    InputRefused(notice("no-lung", found=3, wanted=500)),
    IrregularGeometry("3 in a row are missing"),
    PixelsUndecodable(Path("/a/b.dcm"), "cannot be decoded", "Send it again."),
    DiskFull("1 GB left"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_an_error_crosses_as_itself(error: Exception) -> None:
    back = pickle.loads(pickle.dumps(Failure.of(error))).error()
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)
    assert back.retryable == error.retryable  # type: ignore[attr-defined]


def test_errors_of_the_machine_cross_as_what_can_be_done_about_them() -> None:
    full = Failure.of(PermissionError(13, "Permission denied", "/results")).error()
    assert isinstance(full, OSError) and "/results" in str(full)
    memory = Failure.of(MemoryError()).error()
    assert isinstance(memory, OutOfMemory) and memory.retryable
    try:
        raise KeyError("lung")
    except KeyError as error:
        crossed = Failure.of(error)
    assert "test_worker_parts" in crossed.trace
    bug = crossed.error()
    assert isinstance(bug, AnalysisFailed) and not bug.retryable
    assert str(bug) == "KeyError: 'lung'"


def test_what_the_server_has_not_loaded_comes_as_the_next_class_above() -> None:
    class OnlyThere(EndpointFailed):
        """A class that the server's process doesn't know."""

    crossed = Failure.of(OnlyThere("late"))
    unknown = Failure(
        tuple(k.replace("OnlyThere", "Elsewhere") for k in crossed.kinds), crossed.message, {}, ""
    )
    back = unknown.error()
    assert type(back) is EndpointFailed and isinstance(back, InferenceFailed)


def test_what_can_not_be_pickled_is_left_behind() -> None:
    error = SpecError("x")
    error.handle = threading.Lock()  # type: ignore[attr-defined]
    assert pickle.loads(pickle.dumps(Failure.of(error))).values == {}


# devices ----------------------------------------------------------------------------------

LISTED = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-11111111-2222-3333-4444-555555555555)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-66666666-7777-8888-9999-000000000000)
  MIG 1g.10gb     Device  0: (UUID: MIG-aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee)
  MIG 2g.20gb     Device  1: (UUID: MIG-ffffffff-bbbb-cccc-dddd-eeeeeeeeeeee)
"""
A, B, C = (
    ("NVIDIA H100 80GB HBM3", "GPU-11111111-2222-3333-4444-555555555555"),
    ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "MIG-aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"),
    ("NVIDIA H100 80GB HBM3 MIG 2g.20gb", "MIG-ffffffff-bbbb-cccc-dddd-eeeeeeeeeeee"),
)


def test_a_gpu_that_is_cut_into_parts_is_its_parts() -> None:
    assert parse_list(LISTED) == [A, B, C]
    assert parse_list("") == []
    assert parse_list("No devices were found\n") == []


@pytest.mark.parametrize(
    ("chosen", "left"),
    [(None, [A, B, C]), ("", []), ("1", [B]), ("2,0", [C, A]), ("GPU-1111", [A]),
     ("MIG-ffffffff-bbbb-cccc-dddd-eeeeeeeeeeee", [C]), ("0,9,1", [A]), ("-1", [])],
)  # fmt: skip
def test_cuda_visible_devices_chooses_as_for_cuda(
    chosen: str | None, left: list[tuple[str, str]]
) -> None:
    assert visible([A, B, C], chosen) == left


def nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """The driver's tool, as this machine may not have it."""
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_a_worker_for_every_gpu_that_sees_its_own_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi(tmp_path, monkeypatch, f"cat <<'END'\n{LISTED}END")
    devices = find_devices("auto")
    assert [d.name for d in devices] == ["gpu 0", "gpu 1", "gpu 2"]
    assert [d.environment["CUDA_VISIBLE_DEVICES"] for d in devices] == [A[1], B[1], C[1]]
    assert [d.runtime for d in devices] == ["auto"] * 3
    assert [d.runtime for d in find_devices("cuda")] == ["cuda"] * 3
    (second,) = find_devices("cuda:1")
    assert (second.hardware, second.environment["CUDA_VISIBLE_DEVICES"]) == B
    (cpu,) = find_devices("cpu")
    assert cpu.environment == {"CUDA_VISIBLE_DEVICES": ""}
    with pytest.raises(SettingsError, match="3 GPU"):
        find_devices("cuda:3")


def test_without_a_driver_the_cpu_unless_a_gpu_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi(tmp_path, monkeypatch, "exit 9")
    assert list_gpus() == []
    assert [d.name for d in find_devices("auto")] == ["cpu"]
    with pytest.raises(SettingsError, match="no NVIDIA GPU"):
        find_devices("cuda")


# memory -----------------------------------------------------------------------------------

PEAK = """
import re, sys
from contextlib import contextmanager
from pathlib import Path
from imaging.headers import scan_files
from models.loaded import load_model
from models.study.plan import plan_together
from models.spec import CATALOG, read_spec
from models.study.reading import read_together
from models.engine.warm import InUse
from pacs_bridge.workers.footprint import bytes_needed

def peak():
    # getrusage would tell the greatest size of the process that began this one, too.
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) * 1024

@contextmanager
def opened(name):
    yield InUse(model, model.runners, ())

scan = scan_files(p for p in Path(sys.argv[1]).rglob("*") if p.is_file())
spec = read_spec(CATALOG / "lung_nodule_reference")
plan = plan_together(scan, [spec])
model = load_model(spec, device="cpu", threads=1)
before = peak()
read_together(scan, plan, opened)
print(bytes_needed(scan, plan), peak() - before)
"""


def test_a_real_chest_takes_no_more_memory_than_is_reserved_for_it(lidc_0001: Path) -> None:
    """In a process of its own: the greatest memory so far is what the system tells."""
    command = [sys.executable, "-c", PEAK, str(lidc_0001)]
    root = Path(__file__).parents[3]
    said = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    reserved, taken = map(int, said.split())
    assert 0.2e9 < taken < reserved < 2e9
