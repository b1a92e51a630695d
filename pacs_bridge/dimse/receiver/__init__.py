"""Our own data path: from the connection straight to the file, nothing decoded, nobody polling.

An association is a thread that sleeps in the system until its sender says something; an idle one
costs nothing. ``server`` takes connections, ``association`` is the life of one, ``wire`` reads
PDUs, ``negotiation`` answers the request for an association with pynetdicom's code, ``commands``
are DIMSE command sets, ``storing`` an object on its way into the inbox, ``events`` what we report
over an association that a peer opened. ``processes`` are several listeners on the same ports,
each a ``process``, branched off one stem, that asks the server by ``messages``.
"""

from pacs_bridge.dimse.receiver.processes import ProcessesPath
from pacs_bridge.dimse.receiver.server import OwnPath

__all__ = ["OwnPath", "ProcessesPath"]
