"""The sections of the settings, each a frozen value; ``settings`` puts them together.

``base`` is what all are made of, ``network`` who we listen to, ``destinations`` where results go,
``services`` what else peers may ask of us, ``studies`` when a study is complete and what it is
compared with, ``pull`` what is fetched unasked, ``series`` the site's word on series,
``models`` which models read, ``web`` our DICOMweb server and who calls it, ``worklist`` what
others order by it, ``house`` where things
are kept, who reads, the page and the log.
"""

from pacs_bridge.sections.base import PeerSettings, Section, TlsSettings
from pacs_bridge.sections.destinations import DestinationSettings
from pacs_bridge.sections.house import LogSettings, ReaderSettings, ReviewSettings, StorageSettings
from pacs_bridge.sections.models import ModelSettings
from pacs_bridge.sections.network import ListenerSettings, ListenerTlsSettings
from pacs_bridge.sections.pull import PullSettings
from pacs_bridge.sections.series import SeriesRuleSettings
from pacs_bridge.sections.services import AvailabilitySettings, CommitmentSettings
from pacs_bridge.sections.studies import AssemblySettings, PriorsSettings
from pacs_bridge.sections.web import DicomWebSettings, MachineSettings
from pacs_bridge.sections.worklist import UpsSettings

__all__ = [
    "AssemblySettings",
    "AvailabilitySettings",
    "CommitmentSettings",
    "DestinationSettings",
    "DicomWebSettings",
    "ListenerSettings",
    "ListenerTlsSettings",
    "LogSettings",
    "MachineSettings",
    "ModelSettings",
    "PeerSettings",
    "PriorsSettings",
    "PullSettings",
    "ReaderSettings",
    "ReviewSettings",
    "Section",
    "SeriesRuleSettings",
    "StorageSettings",
    "TlsSettings",
    "UpsSettings",
]
