"""Opens the archive that a rule names."""

from __future__ import annotations

from pacs_bridge.archive import Archive, DicomWebArchive, DimseArchive
from pacs_bridge.dicomweb.client import WebArchive
from pacs_bridge.dimse.retrieve import Retriever
from pacs_bridge.inbox import Inbox
from pacs_bridge.settings import PullSettings

ASK_S = 30.0
"""Longest wait for an answer to a question."""


def open_archive(rule: PullSettings, our_ae: str, inbox: Inbox) -> Archive:
    """The archive of a rule.

    Args:
        rule: where and how.
        our_ae: AE title that we call with, and that C-MOVE names.
        inbox: where what comes is kept.

    Raises:
        SettingsError: a file of its ``tls`` can't be used.
    """
    if rule.method == "dicomweb":
        client = WebArchive(rule.dicomweb_url, ASK_S, "pull", rule.tls)
        return DicomWebArchive(client, inbox, rule.dicomweb_ae_title)
    assert rule.source is not None  # by the section's own check
    return DimseArchive(
        Retriever(rule.source, our_ae, ASK_S), inbox, rule.source.ae_title, rule.method
    )
