"""Models kept warm and shared by the studies in flight.

``core`` holds the models (``settings``, ``status``, ``pool`` lets the least recently used ones
go, ``changes`` sees a folder change, ``warm`` is one loaded version); ``batcher`` puts patches
of several studies into one batch (``session`` is a study's way in, ``fair_queue`` and ``turns``
say whose patch is next, ``room`` is a bounded place); ``ladder`` and ``rungs`` come down when
memory is short, ``poison`` refuses a patch; ``memory`` is the ceiling
of the studies in flight and ``footprint`` reads what is taken.
"""

from models.engine.core import Engine
from models.engine.settings import EngineSettings
from models.engine.status import EngineStatus
from models.engine.warm import InUse

__all__ = ["Engine", "EngineSettings", "EngineStatus", "InUse"]
