"""What runs in a worker: one thread a study, on models that stay warm.

``python -m pacs_bridge.workers.process FD``: the socket is inherited, and nothing else.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection

from models.errors import ModelError
from pacs_bridge.workers.engine import WarmModels
from pacs_bridge.workers.failures import Failure
from pacs_bridge.workers.messages import (
    Begin,
    Done,
    Failed,
    FromWorker,
    Pulse,
    Ready,
    Refresh,
    Step,
    StudyTask,
)
from pacs_bridge.workers.setup import Setup
from pacs_bridge.workers.task import read_task

log = logging.getLogger(__name__)

PULSE_S = 2.0
CLOSE_S = 3.0
"""For giving back what outlives a process (shared memory of a Triton server)."""


class Process:
    """The worker's end of the connection.

    Args:
        connection: to the server; its end is the end of this process.
        setup: what is to be loaded.
    """

    def __init__(self, connection: Connection, setup: Setup) -> None:
        self._connection = connection
        self._setup = setup
        self._sending = threading.Lock()
        self._models = WarmModels(setup)

    def run(self) -> None:
        """Load, then take studies until the server says stop or is gone."""
        threading.Thread(target=self._beat, name="pulse", daemon=True).start()
        threading.Thread(target=self._load, name="load", daemon=True).start()
        while True:
            message = self._connection.recv()
            if isinstance(message, Begin):
                threading.Thread(
                    target=self._read,
                    args=(message.number, message.task),
                    name=f"study {message.number}",
                    daemon=True,
                ).start()
            elif isinstance(message, Refresh):
                threading.Thread(target=self._refresh, name="refresh", daemon=True).start()
            else:
                return

    def close(self) -> None:
        """Give back what outlives the process."""
        self._models.close()

    def _load(self) -> None:
        failures = {name: Failure.of(error) for name, error in self._models.load().items()}
        self._send(Ready(self._models.device, failures))

    def _refresh(self) -> None:
        for name, error in self._models.refresh().items():
            log.error("model %s: %s", name, error)

    def _read(self, number: int, task: StudyTask) -> None:
        try:
            outcome = read_task(task, self._models, lambda step: self._send(Step(number, step)))
        except Exception as error:  # the loop boundary: it crosses to the server and is told there
            if not isinstance(error, ModelError):
                log.exception("study %s", task.study_uid)
            self._send(Failed(number, Failure.of(error)))
        else:
            self._send(Done(number, outcome))

    def _beat(self) -> None:
        wake = threading.Event()
        while True:
            self._send(Pulse(self._models.status()))
            wake.wait(PULSE_S)

    def _send(self, message: FromWorker) -> None:
        try:
            with self._sending:
                self._connection.send(message)
        except OSError:
            _end()  # the server is gone


def _end() -> None:
    """End this process and everything it started, whatever its threads are at."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


def main(descriptor: int) -> None:
    """Serve the connection until it ends."""
    logging.basicConfig(
        level=logging.WARNING,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    connection = Connection(descriptor)
    setup = connection.recv()
    for name in ("pacs_bridge", "models", "imaging"):
        logging.getLogger(name).setLevel(setup.log_level)
    process = Process(connection, setup)
    with contextlib.suppress(EOFError, OSError):
        process.run()
    # Closing waits for a device at most so long; no thread may keep a process without a server.
    ending = threading.Timer(CLOSE_S, _end)
    ending.daemon = True
    ending.start()
    process.close()
    _end()


if __name__ == "__main__":
    main(int(sys.argv[1]))
