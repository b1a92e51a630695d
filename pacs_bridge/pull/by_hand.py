"""`preread pull` at work: fetch now, by the rules of the settings or by a query."""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError
from rich.table import Table

from pacs_bridge.console import err, out
from pacs_bridge.dimse.listener import Listener
from pacs_bridge.errors import BridgeError, PeerError, SettingsError
from pacs_bridge.inbox import Inbox
from pacs_bridge.pull.ledger import PullLedger
from pacs_bridge.pull.puller import Puller
from pacs_bridge.pull.values import Found, PullState
from pacs_bridge.settings import PeerSettings, PullSettings, Settings, load_settings
from pacs_bridge.store import open_store

BY_HAND = "by hand"
"""What the name of a rule begins with that a query alone makes."""
LONGEST_NAME = 100


@dataclass(frozen=True)
class _Outcome:
    """What became of one study that was found."""

    rule: str
    found: Found
    state: str
    detail: str


def pull_by_hand(options: argparse.Namespace) -> int:
    """Do what was asked for; the exit status.

    Args:
        options: as :func:`pacs_bridge.pull_cli.add_pull_command` parses them.

    Raises:
        SettingsError: an argument can't be used.
        PeerError: the archive does not answer, or says no.
    """
    settings = load_settings(options.config)
    rules = _rules(options, settings)
    folder = settings.storage.folder
    if not options.dry_run:
        folder.mkdir(parents=True, exist_ok=True)
    elif not folder.is_dir():
        raise SettingsError(f"storage.folder = {str(folder)!r}: no such folder")
    store = open_store(settings.storage.database_url)
    inbox = Inbox(folder.absolute() / "inbox", store, settings.storage.minimum_free_gb)
    moving = not options.dry_run and any(rule.method == "c-move" for rule in rules)
    outcomes: list[_Outcome] = []
    failed = False
    try:
        with _listening(settings, inbox, moving), err.status("asking ...") as status:

            def progress(study_uid: str, came: int, wanted: int) -> None:
                status.update(f"{study_uid}: {came} of {wanted} images")

            for rule in rules:
                puller = Puller(rule, settings, inbox, progress=progress, by_hand=True)
                try:
                    outcomes += _run(puller, dry=options.dry_run)
                except PeerError as error:
                    if len(rules) == 1:
                        raise
                    failed = True  # the other rules' archives may be there
                    err.print(f"preread: rule {rule.name}: {error}", style="red", soft_wrap=True)
    finally:
        store.engine.dispose()
    _print(outcomes, as_json=options.json)
    bad = (PullState.GIVEN_UP, PullState.WAITING)
    return int(failed or any(each.state in bad for each in outcomes))


def _run(puller: Puller, *, dry: bool) -> list[_Outcome]:
    """Look and fetch; what became of each study."""
    name = puller.rule.name
    found = puller.find(dry=dry)
    if not dry:
        puller.ledger.release()
        try:
            puller.bring()
        except PeerError as error:  # what it brought before counts
            err.print(f"preread: {error}", style="red", soft_wrap=True)
    return [_outcome(name, each, puller.ledger, dry) for each in found]


def _outcome(name: str, found: Found, ledger: PullLedger, dry: bool) -> _Outcome:
    left_out = "; ".join(f"{series}: {why}" for series, why in found.left_out)
    if found.why_not:
        return _Outcome(name, found, "left out", found.why_not + (left_out and f": {left_out}"))
    if dry:
        wanted = "; ".join(f"{each.series}: {each.images} to fetch" for each in found.wanted)
        without = left_out and f"; without {left_out}"
        return _Outcome(name, found, "to be fetched", wanted + without)
    pull = ledger.of(found.study.study_uid)
    if pull is None:
        return _Outcome(name, found, "left out", "")
    detail = pull.last_error or f"{pull.came} images"
    return _Outcome(name, found, pull.state, detail)


# arguments ------------------------------------------------------------------------------------


def _rules(options: argparse.Namespace, settings: Settings) -> list[PullSettings]:
    query = [_dated(each) for each in options.query]
    named = {rule.name: rule for rule in settings.pull}
    given = [key for key in ("from", "url", "method", "thickest") if _of(options, key) is not None]
    if given and (options.rule or not query):
        raise SettingsError(
            f"--{given[0]} goes with a --query alone; of a rule, the settings say it ([[pull]])"
        )
    if not options.rule and not query:
        if not named:
            raise SettingsError("no [[pull]] in the settings; name a --query, or set a rule up")
        return list(named.values())
    if not options.rule:
        return [_by_query(options, settings, query)]
    missing = [name for name in options.rule if name not in named]
    if missing:
        known = ", ".join(named) or "none"
        raise SettingsError(f"no rule is called {', '.join(missing)}; there are: {known}")
    rules = [named[name] for name in dict.fromkeys(options.rule)]
    return [_narrowed(rule, query) if query else rule for rule in rules]


def _of(options: argparse.Namespace, key: str) -> Any:
    return getattr(options, "source" if key == "from" else key)


def _narrowed(rule: PullSettings, query: Sequence[str]) -> PullSettings:
    """A rule that asks for more, under a name of its own: what the rule waits for isn't its."""
    name = _named(f"{rule.name}, {BY_HAND}", query)
    return _made({**rule.model_dump(), "name": name, "query": (*rule.query, *query)})


def _named(first: str, told: Sequence[str]) -> str:
    """A name that is the same whenever the same is asked for, so that it is gone on with."""
    name = f"{first}: {', '.join(told)}"
    if len(name) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: LONGEST_NAME - 9]} {digest}"


def _by_query(
    options: argparse.Namespace, settings: Settings, query: Sequence[str]
) -> PullSettings:
    if not any(each.partition("=")[2].strip("*") for each in query):
        raise SettingsError("--query names nothing that has to match: that would be the archive")
    values: dict[str, Any] = {
        "name": BY_HAND, "query": tuple(query), "days": 0, "modalities": (),
        "read_already": "complete", "thickest_mm": options.thickest or 0.0,
        "method": options.method or settings.priors.method,
    }  # fmt: skip
    if options.url or (not options.source and values["method"] == "dicomweb"):
        values["method"] = "dicomweb"
        values["dicomweb_url"] = options.url or settings.priors.dicomweb_url
        if not options.url and settings.priors.tls is not None:
            values["tls"] = settings.priors.tls.model_dump()
    else:
        if values["method"] == "dicomweb":
            values["method"] = "c-move"
        source = _peer(options.source) if options.source else settings.priors_pacs
        if source is None:
            raise SettingsError("no archive to ask: name one with --from or --url, or set "
                                "assembly.source")  # fmt: skip
        values["source"] = source.model_dump()
    rule = _made(values)
    thin = [f"{rule.thickest_mm:g} mm"] if rule.thickest_mm else []
    name = _named(BY_HAND, [*query, *thin, rule.archive])
    return rule.model_copy(update={"name": name})


def _made(values: dict[str, Any]) -> PullSettings:
    try:
        return PullSettings.model_validate(values)
    except ValidationError as error:
        told = "; ".join(str(problem["msg"]) for problem in error.errors())
        raise SettingsError(f"preread pull: {told}") from error


def _peer(text: str) -> PeerSettings:
    found = re.fullmatch(r"([^@]{1,16})@(.+):(\d{1,5})", text)
    if found is None or not 0 < int(found[3]) < 65536:
        raise SettingsError(f"--from {text}: write AE@HOST:PORT, e.g. PACS@pacs.example:104")
    return PeerSettings(ae_title=found[1], host=found[2].strip("[]"), port=int(found[3]))


def _dated(text: str) -> str:
    """``today`` and ``yesterday`` as dates."""
    keyword, equals, value = text.partition("=")
    ago = {"today": 0, "yesterday": 1}.get(value.strip().lower())
    if ago is None or not keyword.endswith("Date"):
        return text
    return f"{keyword}{equals}{datetime.now() - timedelta(days=ago):%Y%m%d}"


# receiving ------------------------------------------------------------------------------------


@contextmanager
def _listening(settings: Settings, inbox: Inbox, wanted: bool) -> Iterator[None]:
    """See that somebody takes what C-MOVE sends: the server that runs here, or we ourselves."""
    if not wanted:
        yield
        return
    listener = Listener(settings.listener, inbox, lambda instance: None)
    try:
        listener.start()
    except SettingsError:
        raise
    except BridgeError:
        us = settings.listener
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(us.host, us.host)
        port = us.port if us.plain or us.tls is None else us.tls.port
        if not _answers(host, port):
            raise
        yield  # the server that runs there takes it
        return
    try:
        yield
    finally:
        listener.stop()


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), 5.0).close()
    except OSError:
        return False
    return True


# telling --------------------------------------------------------------------------------------


def _print(outcomes: Sequence[_Outcome], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {
                "rule": each.rule,
                "study_uid": each.found.study.study_uid,
                "study_date": each.found.study.study_date,
                "description": each.found.study.description,
                "images": each.found.study.images,
                "state": str(each.state),
                "detail": each.detail,
                "series": [
                    {"series_uid": wish.series.series_uid, "missing": wish.images}
                    for wish in each.found.wanted
                ],
            }
            for each in outcomes
        ]
        out.print(json.dumps(rows, indent=2, ensure_ascii=False), soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("rule", "date", "study", "images", "outcome", "why"):
        table.add_column(column, overflow="fold")
    for each in outcomes:
        study = each.found.study
        name = study.description or study.study_uid
        images = "?" if study.images is None else str(study.images)
        table.add_row(each.rule, study.study_date, name, images, str(each.state), each.detail)
    if outcomes:
        out.print(table)
    count = sum(each.state != "left out" for each in outcomes)
    out.print(f"{len(outcomes)} studies found, {count} of them wanted and not here")
