"""The states a reading goes through, in one enum; stored in one table (``store.readings``).

A *reading* is one revision of one study: the images held at one moment, what the model made
of them, and what the radiologist made of that.
"""

from __future__ import annotations

from enum import StrEnum

from imaging.language import Text


class State(StrEnum):
    """Where a reading stands."""

    RECEIVING = "receiving"
    """Images are coming in; not yet known to be complete."""
    PRIOR = "prior"
    """Fetched from the PACS to compare a newer study with; not read, unless a person asks."""
    PLANNING = "planning"
    """Complete; choosing the series for the model."""
    ANALYSING = "analysing"
    """The model is at work."""
    COMPOSING = "composing"
    """The preliminary SR, SEG and report are being made."""
    DELIVERING = "delivering"
    """The preliminary objects are on their way to the destinations."""
    AWAITING_SIGNATURE = "awaiting-signature"
    """A person is needed: read, correct, sign."""
    FINALISING = "finalising"
    """Signed; the final objects are being made and delivered."""
    FINAL = "final"
    """Signed, and the final objects were handed to every destination (or given up on,
    which the deliveries say)."""
    NOT_ANALYSED = "not-analysed"
    """No model suits the study; the reason is kept. A person reads without help."""
    FAILED = "failed"
    """A step failed for good; the reason is kept. A person reads without help."""
    SUPERSEDED = "superseded"
    """Late images made a newer revision; this one stays as it was."""

    @property
    def label(self) -> Text:
        """What people call it."""
        return _LABELS[self]

    @property
    def needs_person(self) -> bool:
        """Whether somebody has to act or to know."""
        return self in (State.AWAITING_SIGNATURE, State.NOT_ANALYSED, State.FAILED)

    @property
    def signed(self) -> bool:
        """Whether a radiologist has signed it."""
        return self in SIGNED


SIGNED = (State.FINALISING, State.FINAL)
"""Those that a signature leads to."""

_LABELS = {
    State.RECEIVING: Text(en="Receiving", zh="接收中"),
    State.PRIOR: Text(en="Prior, not read", zh="既往检查，未分析"),
    State.PLANNING: Text(en="Planning", zh="规划中"),
    State.ANALYSING: Text(en="Analysing", zh="分析中"),
    State.COMPOSING: Text(en="Composing", zh="生成结果"),
    State.DELIVERING: Text(en="Delivering", zh="发送中"),
    State.AWAITING_SIGNATURE: Text(en="Awaiting signature", zh="待签署"),
    State.FINALISING: Text(en="Finalising", zh="签发中"),
    State.FINAL: Text(en="Final", zh="已签发"),
    State.NOT_ANALYSED: Text(en="Not analysed", zh="未分析"),
    State.FAILED: Text(en="Failed", zh="失败"),
    State.SUPERSEDED: Text(en="Superseded", zh="已被取代"),
}


class DeliveryState(StrEnum):
    """Where one object stands with one destination."""

    WAITING = "waiting"
    """Not yet sent, or to be tried again at ``next_attempt_at``."""
    SENT = "sent"
    """The destination took it and has yet to commit itself to keep it; asked for that, again, at
    ``next_attempt_at``. Only where the destination offers storage commitment."""
    DELIVERED = "delivered"
    """The destination took it (C-STORE status success or warning), and has committed itself to
    keep it where it offers that."""
    GIVEN_UP = "given-up"
    """It refused for good, or every attempt failed; ``last_error`` says why."""
    SET_ASIDE = "set-aside"
    """Given up on, and a person said that it need not get there; the audit trail says who and
    why, ``last_error`` too."""
