"""How long tests wait for what must come: one generous time for slow and busy machines.

No test passes by waiting longer, and none is slower for it: what is waited for is asked for many
times a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENT_S = 120.0


def wait_for(true: Callable[[], object], what: str = "it", seconds: float = PATIENT_S) -> None:
    """Until ``true()``; fails the test when that takes longer than ``seconds``."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.02)
