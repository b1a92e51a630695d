"""One worker process a GPU (or one for the CPU) that reads studies; the server talks to them.

::

    steps -> pool (who is next, which worker) -> worker (starts, watches, restarts one process)
                 | socket pair, private to the two |
             process (one thread a study) -> engine (models warm, patches of all in one batch)

Rooms: ``pool`` hands studies to workers; ``worker`` keeps one process alive; ``process`` is
what runs in it, ``engine`` its models (told by a ``setup``), ``task`` what it does with a study
and ``footprint`` how much memory that takes; a ``ticket`` is a study on its way; ``messages``
and ``failures`` are what crosses; ``devices`` counts GPUs; ``state`` is what the page shows;
``watch`` sees models change on disk.

A worker knows no database and no network. It ends by itself when the server's end of the
socket closes, however the server ended.
"""

from pacs_bridge.workers.messages import StudyTask, TaskOutcome
from pacs_bridge.workers.pool import Workers
from pacs_bridge.workers.state import EngineState

__all__ = ["EngineState", "StudyTask", "TaskOutcome", "Workers"]
