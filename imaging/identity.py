"""UIDs that are derived, so that doing a step again makes the same objects.

A retry after a crash must not put a second result into the PACS: every UID Preread gives is
a function of what the object is about. Form: ``2.25.`` and a UUID as a decimal number
(PS3.5 B.2), here a version 5 UUID (RFC 9562) of the joined parts.
"""

from __future__ import annotations

from uuid import UUID, uuid5

_NAMESPACE = UUID("5b0ff5a4-6a2f-5a4e-9a57-2f2a8d1b6c11")


def derive_uid(*parts: str | int) -> str:
    """The UID that belongs to these parts; the same parts always give the same UID."""
    return f"2.25.{uuid5(_NAMESPACE, chr(31).join(str(part) for part in parts)).int}"
