"""The sections of the settings, each a frozen value; ``settings`` puts them together.

``base`` is what all are made of, ``network`` who we listen to and where results go, ``studies``
when a study is complete and what it is compared with, ``models`` which models read, ``house``
where things are kept, who reads, the page and the log.
"""

from pacs_bridge.sections.base import PeerSettings, Section
from pacs_bridge.sections.house import LogSettings, ReaderSettings, ReviewSettings, StorageSettings
from pacs_bridge.sections.models import ModelSettings
from pacs_bridge.sections.network import DestinationSettings, ListenerSettings
from pacs_bridge.sections.studies import AssemblySettings, PriorsSettings

__all__ = [
    "AssemblySettings",
    "DestinationSettings",
    "ListenerSettings",
    "LogSettings",
    "ModelSettings",
    "PeerSettings",
    "PriorsSettings",
    "ReaderSettings",
    "ReviewSettings",
    "Section",
    "StorageSettings",
]
