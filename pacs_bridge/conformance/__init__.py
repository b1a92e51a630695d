"""The DICOM conformance statement (PS3.2), written from the tables that the code itself uses.

``offers`` (DIMSE) and ``web`` (DICOMweb) say which services there are, in which role, with which
SOP classes and transfer syntaxes; ``statement`` writes them down in the form of PS3.2 annex A,
with the settings in force: A.4 in ``networking`` (``behaviour``: what each service does,
``configuration``: who is who), A.8 in ``security``, the rest in ``annexes``; ``glance`` is the
table of services that the README has too, ``markdown`` draws tables.
"""

from pacs_bridge.conformance.glance import services_table
from pacs_bridge.conformance.statement import conformance_statement

__all__ = ["conformance_statement", "services_table"]
