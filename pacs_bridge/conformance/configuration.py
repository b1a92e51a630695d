"""Sections A.4.3 and A.4.4 of the conformance statement: network interfaces, who is who."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pacs_bridge.conformance.markdown import table
from pacs_bridge.settings import PeerSettings, PullSettings, Settings


def interfaces(settings: Settings) -> Iterator[str]:
    """Lines of section A.4.3."""
    yield "### A.4.3 Network interfaces"
    yield ""
    yield (
        "TCP/IP over whatever the operating system offers (PS3.8 9), IPv4 and IPv6; names are "
        f"resolved by the system. The listener's address is `listener.host`, here "
        f"`{settings.listener.host}`; `::` takes IPv6 and IPv4. Further protocols: TLS (A.8.1), "
        "HTTP (A.4.5)."
    )
    yield ""


def configuration(settings: Settings) -> Iterator[str]:
    """Lines of section A.4.4."""
    listener = settings.listener
    yield "### A.4.4 Configuration"
    yield ""
    yield (
        "One file of settings, read at the start; `preread settings` prints every setting with "
        "its meaning and its default, `preread doctor` says whether the nodes answer."
    )
    yield ""
    yield "#### A.4.4.1 Local AE title"
    yield ""
    yield from table(
        ("AE", "AE title", "Port", "Port with TLS"),
        [
            (
                "Preread, for every service",
                listener.ae_title,
                listener.port if listener.plain else "none",
                listener.tls.port if listener.tls else "none",
            )
        ],
    )
    yield ""
    yield "#### A.4.4.2 Remote AE titles"
    yield ""
    rows = list(_remote(settings))
    if rows:
        yield from table(("Setting", "AE title", "Host", "Port", "TLS", "What for"), rows)
    else:
        yield "None is set up."
    yield ""
    yield (
        "Each is entered by title, host and port in the settings, and enters ours: C-MOVE, and "
        "reports over associations of their own, need it. Senders need not be entered."
    )
    yield ""
    yield "#### A.4.4.3 Parameters"
    yield ""
    yield from table(
        ("Parameter", "Setting", "In force"),
        [
            ("A silent association ends after", "listener.idle_timeout_s",
             f"{listener.idle_timeout_s:g} s"),
            ("A connection without a request ends after", "listener.request_timeout_s",
             f"{listener.request_timeout_s:g} s"),
            ("Associations at the same time", "listener.maximum_associations",
             listener.maximum_associations),
            ("Of one address", "listener.maximum_each", listener.maximum_each or "no limit"),
            ("Processes that listen", "listener.processes", listener.processes),
            ("Free space below which objects are refused", "storage.minimum_free_gb",
             f"{settings.storage.minimum_free_gb:g} GB"),
            ("Tries to report a commitment", "commitment.attempts", settings.commitment.attempts),
        ],
    )  # fmt: skip
    yield ""


def _remote(settings: Settings) -> Iterator[tuple[str, ...]]:
    for each in settings.destinations:
        what = f"results of {each.name}" if each.name != each.ae_title else "results"
        what = f"{what}: {', '.join(each.accepts)}"
        if each.dicomweb_url:
            yield "destinations", "-", _shown(each.dicomweb_url), "-", "-", what
        else:
            yield _node("destinations", each, what)
    nodes = [
        ("assembly.source", settings.assembly.source, "C-FIND: how many images there are"),
        ("priors.pacs", settings.priors.pacs, "earlier studies"),
        *(("pull.source", rule.source, _of_rule(rule)) for rule in settings.pull),
        *(
            ("commitment.peers", peer, "reports of storage commitment")
            for peer in settings.commitment.peers
        ),
    ]
    for where, node, what in nodes:
        if node is not None:
            yield _node(where, node, what)
    addresses = [
        ("priors.dicomweb_url", settings.priors.dicomweb_url, "earlier studies"),
        *(("pull.dicomweb_url", rule.dicomweb_url, _of_rule(rule)) for rule in settings.pull),
    ]
    for where, url, what in addresses:
        if url:
            yield where, "-", _shown(url), "-", "-", what


def _of_rule(rule: PullSettings) -> str:
    return f"studies of the rule {rule.name}"


def _node(where: str, node: PeerSettings, what: str) -> tuple[str, ...]:
    return where, node.ae_title, node.host, str(node.port), "yes" if node.tls else "no", what


def _shown(url: str) -> str:
    """Without user and password."""
    return re.sub(r"//[^/@]*@", "//", url)
