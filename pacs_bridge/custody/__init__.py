"""Storage commitment for senders: what we answer for, and how they hear of it.

``check`` looks whether an object still lies here as it came, ``ledger`` keeps who asked for what
until it is reported, ``keeper`` is the SCP: it takes requests and reports, on the association of
the request or on one of its own.
"""

from pacs_bridge.custody.keeper import Keeper

__all__ = ["Keeper"]
