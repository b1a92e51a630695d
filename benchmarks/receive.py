"""How fast objects are received: ours beside storescp, Orthanc and pynetdicom, in the same run.

``python -m benchmarks.receive [--rounds 5] [--objects 288] [--senders 1 4 16] [--json FILE]``

CT images of 525 kB over the loopback, TCP_NODELAY on for all. The sender is DCMTK's dcmsend,
whose own cost is in the time as any sender's is; with ``--sender raw`` one that has made its
bytes beforehand and costs next to nothing, so that the receiver alone is timed. Receivers take
turns, each round beginning with another; medians of the rounds, and medians of the ratios within
a round. Between rounds files are emptied, and only removed when all is done: for minutes ext4
steps around the inodes of files that are gone, and whoever makes files next would pay for it.
Ours validates, renames into place and records in SQLite, as served; once leaving it to the disk
when that is durable (as the others do), once with fsync of file and folder before each answer,
which is set beside what the disk does by itself: write and fsync of as many files from as many
threads. Then 200 associations that say nothing, and what they cost.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.hardware import hardware
from benchmarks.receive_parts import dcmsend
from benchmarks.receive_parts.messages import Objects
from benchmarks.receive_parts.receivers import (
    ORTHANC,
    STORESCP,
    Receiver,
    orthanc,
    ours,
    plain_pynetdicom,
    storescp,
)
from benchmarks.receive_parts.sender import Sender, timed

OWN, LIBRARY = "ours, own data path", "ours, pynetdicom's"
OWN_SYNCED = "ours, own, fsync"
DISK, DISK_FOLDER = "disk: write, fsync", "disk: and rename, fsync of folder"
TARGETS = {"storescp": 0.8, "Orthanc": 2.0, "pynetdicom default": 3.0}
IDLE = 200
_REST_S = 3.0


def receivers(processes: int) -> list[Receiver]:
    """Those that can run here."""
    chosen = [
        ours(OWN, "own", sync=False),
        ours(LIBRARY, "pynetdicom", sync=False),
        ours(OWN_SYNCED, "own", sync=True),
        ours("ours, pynetdicom's, fsync", "pynetdicom", sync=True),
        plain_pynetdicom("default"),
        plain_pynetdicom("tuned"),
    ]
    if processes > 1:
        chosen.insert(1, ours(f"{OWN}, {processes} processes", "own", sync=False,
                              processes=processes))  # fmt: skip
    if STORESCP:
        chosen += [storescp("storescp"), storescp("storescp +B", "+B", "--max-pdu", "131072")]
    if ORTHANC:
        chosen.append(orthanc())
    return chosen


def bare_disk(folder: Path, threads: int, count: int, size: int, *, whole: bool) -> float:
    """Seconds that the disk alone takes for as many files."""
    folder.mkdir(parents=True)
    content = os.urandom(size)

    def write(thread: int) -> None:
        place = folder / str(thread)
        place.mkdir()
        for number in range(count // threads):
            path = place / f"{number}.part"
            with path.open("xb", buffering=0) as file:
                file.write(content)
                os.fsync(file.fileno())
            if whole:
                path.replace(place / f"{number}.dcm")
                descriptor = os.open(place, os.O_RDONLY)
                os.fsync(descriptor)
                os.close(descriptor)

    workers = [threading.Thread(target=write, args=(number,)) for number in range(threads)]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return time.perf_counter() - began


def empty(folder: Path) -> None:
    """Give the room of all its files back and keep their names; on the disk when this returns."""
    for path in folder.rglob("*"):
        if path.is_file():
            os.truncate(path, 0)
    os.sync()


def cpu_seconds(pid: int) -> float:
    """What a process has used, with all that live below it, and those that it waited for."""
    parents: dict[int, int] = {}
    used: dict[int, int] = {}
    for place in Path("/proc").iterdir():
        if not place.name.isdigit():
            continue
        try:
            fields = (place / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        process = int(place.name)
        parents[process] = int(fields[1])
        used[process] = sum(int(value) for value in fields[11 : 15 if process == pid else 13])

    def below(process: int) -> bool:
        return process == pid or process in parents and below(parents[process])

    ticks = sum(spent for process, spent in used.items() if below(process))
    return ticks / os.sysconf("SC_CLK_TCK")


def idle_cost(receiver: Receiver, folder: Path, seconds: float) -> float:
    """Percent of a core that a receiver takes for associations that say nothing."""
    with receiver.running(folder) as running:
        quiet = [Sender(running.port, running.title) for _ in range(IDLE)]
        time.sleep(1)
        before = cpu_seconds(running.pid)
        time.sleep(seconds)
        used = cpu_seconds(running.pid) - before
        for sender in quiet:
            sender.release()
    return 100 * used / seconds


def main() -> int:
    """Measure, print, and tell whether the targets were met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--objects", type=int, default=288)
    parser.add_argument("--senders", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--sender", choices=["dcmsend", "raw"], default="dcmsend")
    parser.add_argument("--processes", type=int, default=1, help="ours with so many processes too")
    parser.add_argument("--only", nargs="+", default=[], help="those whose name holds one of these")
    parser.add_argument("--folder", type=Path, help="on the disk that is meant")
    parser.add_argument("--no-idle", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    chosen = [
        each
        for each in receivers(given.processes)
        if not given.only or any(part in each.name for part in given.only)
    ]
    objects = Objects()
    speeds: dict[int, dict[str, list[float]]] = {count: {} for count in given.senders}
    costs: dict[int, dict[str, list[float]]] = {count: {} for count in given.senders}
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="preread-receive-") as made:
        home = Path(made)
        for number in range(given.rounds):
            first = number * 3 % len(chosen)
            for senders in given.senders:
                here = home / f"{number}-{senders}"
                folders = dcmsend.write_files(here / "files", objects, senders, given.objects)
                size = sum(file.stat().st_size for place in folders for file in place.iterdir())
                for turn, receiver in enumerate(chosen[first:] + chosen[:first]):
                    with receiver.running(here / str(turn)) as running:
                        timed(running.port, running.title, objects, senders, 2 * senders)
                        before = cpu_seconds(running.pid)
                        if given.sender == "dcmsend":
                            seconds = dcmsend.timed(running.port, running.title, folders)
                        else:
                            seconds, size = timed(
                                running.port, running.title, objects, senders, given.objects
                            )
                        used = cpu_seconds(running.pid) - before
                    speeds[senders].setdefault(receiver.name, []).append(size / seconds / 1e6)
                    costs[senders].setdefault(receiver.name, []).append(
                        1000 * used / (given.objects // senders * senders)
                    )
                for name, whole in ((DISK, False), (DISK_FOLDER, True)):
                    seconds = bare_disk(here / name, senders, given.objects, 525_000, whole=whole)
                    speeds[senders].setdefault(name, []).append(
                        given.objects // senders * senders * 0.525 / seconds
                    )
                empty(here)
                time.sleep(_REST_S)
        idle = {}
        if not given.no_idle:
            for receiver in chosen:
                if "fsync" not in receiver.name and receiver.name != "storescp +B":
                    place = home / "idle" / receiver.name
                    idle[receiver.name] = idle_cost(receiver, place, 10)
    result = report(speeds, costs, idle)
    result["hardware"] = hardware()
    result["load average"] = os.getloadavg()
    if given.json:
        given.json.write_text(json.dumps(result, indent=1))
    return 0


def report(
    speeds: dict[int, dict[str, list[float]]],
    costs: dict[int, dict[str, list[float]]],
    idle: dict[str, float],
) -> dict[str, object]:
    """Print tables; the same as a value."""
    print(f"{'MB/s, median of rounds':36}" + "".join(f"{n:>5} senders" for n in speeds))
    names = list(next(iter(speeds.values())))
    for name in names:
        cells = "".join(f"{statistics.median(speeds[n][name]):>13.0f}" for n in speeds)
        print(f"{name:36}{cells}")
    print(f"\n{'CPU milliseconds an object':36}")
    for name in costs[next(iter(costs))]:
        cells = "".join(f"{statistics.median(costs[n][name]):>13.2f}" for n in costs)
        print(f"{name:36}{cells}")
    ratios: dict[str, dict[int, float]] = {}
    print()
    pairs = [(OWN, other, target) for other, target in TARGETS.items()]
    pairs += [(OWN_SYNCED, other, 0.9) for other in (DISK, DISK_FOLDER, OWN)]
    for mine, other, target in pairs:
        if mine not in names or other not in names:
            continue
        what = f"{mine} / {other}"
        ratios[what] = {
            n: statistics.median(
                a / b for a, b in zip(speeds[n][mine], speeds[n][other], strict=True)
            )
            for n in speeds
        }
        cells = "".join(
            f"{ratio:>11.2f}{' ' if ratio >= target else '!'} " for ratio in ratios[what].values()
        )
        print(f"{what:60} (>= {target}) {cells}")
    for name, percent in idle.items():
        print(f"{IDLE} idle associations, {name}: {percent:.1f} % of a core")
    return {
        "MB/s": speeds,
        "CPU ms an object": costs,
        "ratios": ratios,
        "idle percent of a core": idle,
    }


if __name__ == "__main__":
    sys.exit(main())
