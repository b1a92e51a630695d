"""`preread serve` that is killed with SIGKILL once, at the worst moment of one step.

``KILL_AFTER=compose:preliminary`` kills after the step has done its work and before the
workflow engine has kept that it is done, so that the step is done again at the next start.
``KILL_AFTER=update_delivery`` kills when an object was sent and before that was kept.
``BEFORE_PRIORS=1`` besides: as a server of the version that looked for no earlier examinations.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from dbos import DBOS

from pacs_bridge.cli import main
from pacs_bridge.steps import Steps
from pacs_bridge.store import Store


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_in(step: str, stage: str) -> None:
    original: Any = getattr(Steps, step)

    def done_and_killed(self: Steps, *arguments: Any) -> Any:
        result = original(self, *arguments)
        if not stage:
            _die()
        report = self.store.reading(*arguments).report
        if report is not None and report.stage == stage:
            _die()
        return result

    setattr(Steps, step, done_and_killed)


if __name__ == "__main__":
    if os.environ.get("BEFORE_PRIORS"):
        DBOS.patch = classmethod(lambda cls, name: False)  # type: ignore[method-assign]
    where, _, at_stage = os.environ["KILL_AFTER"].partition(":")
    if where == "update_delivery":
        Store.update_delivery = lambda self, delivery: _die()  # type: ignore[method-assign]
    else:
        _kill_in(where, at_stage)
    sys.exit(main(["serve", *sys.argv[1:]]))
