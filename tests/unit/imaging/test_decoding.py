"""Many files at once: helpers in processes give what one process gives, and end with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from imaging.load import load_series
from imaging.pixels import Decoded, Undecoded, decode_files
from imaging.pixels.crew import helpers_for
from imaging.pixels.helper import Helper
from tests.unit.imaging.synthetic import (
    codes,
    load,
    make_images,
    random_hu,
    series_of,
    set_stored,
    write,
)

HU = random_hu((12, 64, 48))


def compressed(folder: Path, syntax: pydicom.uid.UID, **options: object) -> list[Path]:
    """The series of :data:`HU` in another transfer syntax."""
    images = make_images(HU)
    paths = write(folder, images)
    for path, image in zip(paths, images, strict=True):
        if syntax.is_encapsulated:
            image.compress(syntax, generate_instance_uid=False, **options)
        image.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            image.PixelData = np.frombuffer(image.PixelData, "<u2").astype(">u2").tobytes()
        image.save_as(path, enforce_file_format=True)
    return paths


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEGLSLossless,
        JPEG2000Lossless,
    ],
    ids=lambda uid: uid.keyword,
)
def test_every_syntax_that_pydicom_writes_gives_the_same_volume(
    tmp_path: Path, syntax: pydicom.uid.UID
) -> None:
    paths = compressed(tmp_path, syntax)
    assert pydicom.dcmread(paths[0]).file_meta.TransferSyntaxUID == syntax
    loaded = load(paths)
    assert np.array_equal(loaded.volume.voxels, HU)
    assert loaded.notices == ()


def test_near_lossless_is_near(tmp_path: Path) -> None:
    loaded = load(compressed(tmp_path, JPEGLSNearLossless, jls_error=3))
    assert 0 < np.abs(loaded.volume.voxels.astype(int) - HU).max() <= 3


def test_helpers_give_what_one_process_gives(tmp_path: Path) -> None:
    paths = compressed(tmp_path, JPEGLSLossless)
    content = bytearray(paths[5].read_bytes())
    at = content.index(b"\xff\xd8\xff")
    content[at : at + 200] = bytes(200)
    paths[5].write_bytes(content)
    alone = load_series(series_of(paths), helpers=0)
    helped = load_series(series_of(paths), helpers=1)
    assert np.array_equal(alone.volume.voxels, helped.volume.voxels)
    assert alone.volume.sources == helped.volume.sources
    assert alone.notices == helped.notices
    assert codes(helped) == ["unreadable-file", "missing-slices"]


@pytest.mark.parametrize("damaged", [False, True])
def test_one_file_of_many_frames_is_shared_out_and_gives_the_same(
    tmp_path: Path, damaged: bool
) -> None:
    (path,) = compressed_frames(tmp_path)
    if damaged:
        content = path.read_bytes()
        path.write_bytes(content[: len(content) - 9000])
    files = {path: series_of([path]).slices}
    alone = list(decode_files(files, helpers=0))
    helped = list(decode_files(files, helpers=1))
    assert len(alone) == 1 and len(helped) == 4
    if damaged:
        assert isinstance(alone[0], Undecoded)
        assert any(isinstance(each, Undecoded) for each in helped)
        return
    planes = {n: p for made in helped if isinstance(made, Decoded) for n, p in made.planes.items()}
    assert sorted(filter(None, planes)) == list(range(1, len(HU) + 1))
    assert isinstance(alone[0], Decoded)
    for number, plane in alone[0].planes.items():
        assert np.array_equal(planes[number], plane)


def compressed_frames(folder: Path) -> list[Path]:
    """:data:`HU` as the frames of one file."""
    (path,) = write(folder, make_images(HU[:1]))
    image = pydicom.dcmread(path)
    image.NumberOfFrames = len(HU)
    set_stored(image, HU.astype(int) + 1024)
    image.compress(RLELossless, generate_instance_uid=False)
    image.save_as(path)
    return [path]


def test_several_series_at_once_in_threads(tmp_path: Path) -> None:
    paths = compressed(tmp_path, RLELossless)
    found: list[bool] = []

    def one() -> None:
        loaded = load_series(series_of(paths), helpers=1)
        found.append(np.array_equal(loaded.volume.voxels, HU))

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True, True]


def test_a_helper_that_dies_takes_one_file_with_it(tmp_path: Path) -> None:
    """A codec that crashes: the process reads a pipe that never ends, and is killed over it."""
    (path,) = write(tmp_path, make_images(HU[:1]))
    images = series_of([path]).slices
    path.unlink()
    os.mkfifo(path)
    helper = Helper()
    (good,) = write(tmp_path / "good", make_images(HU[:1]))
    planes = helper.ask(series_of([good]).slices)
    assert isinstance(planes, dict)
    assert np.array_equal(planes[None], HU[0])
    cut = good.with_name("cut.dcm")
    cut.write_bytes(good.read_bytes()[:-700])
    problem = helper.ask(series_of([cut]).slices)
    assert isinstance(problem, tuple)
    assert "can't be decoded" in problem[0]
    threading.Timer(0.2, os.kill, (helper.pid, signal.SIGKILL)).start()
    assert helper.ask(images) is None
    assert helper.ended() == "signal 9"
    assert not helper.never_came


def test_a_helper_that_does_not_start_costs_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the reason is, a broken interpreter for instance: the work is done all the same."""
    paths = compressed(tmp_path, RLELossless)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    loaded = load_series(series_of(paths), helpers=2)
    assert np.array_equal(loaded.volume.voxels, HU)
    assert loaded.notices == ()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    loaded = load_series(series_of(paths), helpers=2)
    assert np.array_equal(loaded.volume.voxels, HU)


def test_helpers_that_were_ready_do_their_share(tmp_path: Path) -> None:
    """The one who asks is slow to take what is done, and finds everything done."""
    paths = compressed(tmp_path, RLELossless)
    files = {s.path: (s,) for s in series_of(paths).slices}
    made = decode_files(files, helpers=1)
    seen = [next(made)]
    until = time.monotonic() + 30
    while len(seen) < len(files) and time.monotonic() < until:
        time.sleep(0.15)
        seen.append(next(made))
    assert list(made) == []
    assert sorted(each.path for each in seen) == paths
    assert all(isinstance(each, Decoded) for each in seen)


def test_who_stops_early_leaves_nobody_at_work(tmp_path: Path) -> None:
    paths = compressed(tmp_path, RLELossless)
    files = {s.path: (s,) for s in series_of(paths).slices}
    for made in decode_files(files, helpers=1):
        assert isinstance(made, Decoded)
        break
    assert not [t for t in threading.enumerate() if t.name.startswith("decode")]


def test_a_helper_ends_with_the_process_that_asks(tmp_path: Path) -> None:
    """However that ended: a killed worker leaves nobody behind."""
    code = "from imaging.pixels.helper import Helper; print(Helper().pid, flush=True); input()"
    asking = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert asking.stdin
    assert asking.stdout
    pid = int(asking.stdout.readline())
    asking.kill()
    asking.wait()
    asking.stdin.close()
    asking.stdout.close()
    until = time.monotonic() + 20
    while Path(f"/proc/{pid}/stat").exists() and time.monotonic() < until:
        if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            return  # ended; whoever inherited it has not looked yet
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()


def test_nothing_is_gained_where_nothing_is_compressed_or_little_is_to_do(tmp_path: Path) -> None:
    plain = {s.path: (s,) for s in series_of(write(tmp_path / "a", make_images(HU))).slices}
    small = {s.path: (s,) for s in series_of(compressed(tmp_path / "b", JPEG2000Lossless)).slices}
    assert helpers_for(plain) == helpers_for(small) == helpers_for({}) == 0


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    paths = write(tmp_path, make_images(HU[:3]))
    files = {s.path: (s,) for s in series_of(paths).slices}
    paths[1].unlink()
    made = list(decode_files(files, helpers=0))
    (lost,) = [each for each in made if isinstance(each, Undecoded)]
    assert lost.path == paths[1]
    assert "CT001.dcm" in str(lost.error)


# -- what stands in the stored bits ------------------------------------------------------


def test_bits_above_those_stored_are_no_value(tmp_path: Path) -> None:
    """Old scanners kept an overlay in the four high bits (PS3.5 8.1.2)."""

    def change(k: int, image: Dataset) -> None:
        values = np.clip(HU[k].astype(int) + 1024, 0, 4095)
        set_stored(image, values | (np.arange(values.size).reshape(values.shape) % 16 << 12))
        image.BitsStored, image.HighBit = 12, 11

    assert np.array_equal(load(write(tmp_path, make_images(HU, change=change))).volume.voxels, HU)


def test_signed_values_of_twelve_bits(tmp_path: Path) -> None:
    def change(k: int, image: Dataset) -> None:
        set_stored(image, HU[k].astype(int) & 0x0FFF)
        image.PixelRepresentation, image.BitsStored, image.HighBit = 1, 12, 11
        image.RescaleIntercept = 0

    assert np.array_equal(load(write(tmp_path, make_images(HU, change=change))).volume.voxels, HU)


def test_few_frames_of_many_are_decoded_alone(tmp_path: Path) -> None:
    (path,) = compressed_frames(tmp_path)
    frames = [s for s in series_of([path]).slices if s.frame_number in (3, 11)]
    (made,) = decode_files({path: frames})
    assert isinstance(made, Decoded)
    assert sorted(made.planes) == [3, 11]
    for number in (3, 11):
        assert np.array_equal(made.planes[number], HU[number - 1])
