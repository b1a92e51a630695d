"""The worklist: others order an analysis here, and follow it (UPS-RS, PS3.18 11; IHE AIW-I).

``states`` is the state machine (PS3.4 CC.1.1), ``content`` what a workitem has to hold and when,
``codes`` the coded words in it, ``event`` what is reported of it. ``ledger`` keeps workitems,
``watching`` who follows them and what they have yet to hear; ``worklist`` is the service over
both, ``routes`` its resources over HTTP (``wire`` reads and answers) and ``channel`` its event
reports over WebSocket.
``order`` reads what a workitem asks of us, ``tasks`` remembers those that we took, and
``performer`` sees to them: ``fetch`` brings a study that is not here, ``outcome`` says what came
of it, ``stopping`` ends the work of one that is cancelled.
"""

from pacs_bridge.ups.orders import Orders

__all__ = ["Orders"]
