"""The conformance statement says what the wire says: each row of its tables is negotiated."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from pydicom.uid import CTImageStorage
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.pdu import A_ASSOCIATE_RJ

from imaging.objects import (
    make_encapsulated_pdf,
    make_gsps,
    make_rtstruct,
    make_secondary_captures,
    make_seg,
    make_sr,
    render_key_image,
    render_pdf,
)
from pacs_bridge.announced import Announcements, availability_service
from pacs_bridge.auth import Gate
from pacs_bridge.cli import main
from pacs_bridge.conformance import conformance_statement, services_table
from pacs_bridge.conformance.glance import TRIED_WITH
from pacs_bridge.conformance.offers import ACCEPTED, MADE, MADE_SYNTAXES, PROPOSED, Offer
from pacs_bridge.conformance.web import WEB, WEBSOCKET, resources
from pacs_bridge.custody import Keeper
from pacs_bridge.custody.keeper import _Teller
from pacs_bridge.dicomweb.server import create_dicomweb
from pacs_bridge.dimse.accepted import REFUSALS
from pacs_bridge.dimse.commitment import (
    CommitmentResult,
    Reference,
    commitment_results,
    request_commitment,
)
from pacs_bridge.dimse.listener import Listener
from pacs_bridge.dimse.peer import Peer
from pacs_bridge.dimse.receiver.negotiation import rejection
from pacs_bridge.dimse.retrieve import FETCHED_CLASSES, Retriever, Wanted
from pacs_bridge.errors import PeerError
from pacs_bridge.inbox import Inbox
from pacs_bridge.settings import (
    CommitmentSettings,
    DestinationSettings,
    ListenerSettings,
    PeerSettings,
    Settings,
    load_settings,
)
from pacs_bridge.store import Store
from pacs_bridge.ups import Orders
from tests.unit.imaging.objects.made import two_findings
from tests.unit.pacs_bridge.made import ct

ROOT = Path(__file__).resolve().parents[2]
WORKLIST = "1.2.840.10008.5.1.4.31"  # modality worklist: none of ours


@pytest.fixture(params=["own", "pynetdicom"])
def everything(request: pytest.FixtureRequest, store: Store, inbox: Inbox) -> Iterator[Listener]:
    """The listener with every service that can be set up."""
    asker = PeerSettings(ae_title="CT1", host="127.0.0.1", port=1)
    services = (
        *Keeper(CommitmentSettings(peers=(asker,)), store, "PREREAD").services,
        *availability_service(Announcements(store), ["PACS"]),
        commitment_results(lambda result: None),
    )
    settings = ListenerSettings(host="127.0.0.1", port=0, data_path=request.param)
    with Listener(settings, inbox, services=services) as listener:
        yield listener


def _accepted(
    port: int, pairs: list[tuple[str, str]], roles: tuple[str, ...] = ()
) -> dict[tuple[str, str], tuple[bool, bool]]:
    """What is accepted of contexts proposed one by one, and whether we are SCU, SCP of it."""
    found: dict[tuple[str, str], tuple[bool, bool]] = {}
    for start in range(0, len(pairs), 100):
        contexts = [build_context(kind, [syntax]) for kind, syntax in pairs[start : start + 100]]
        ae = AE("CT1")
        made = ae.associate(
            "127.0.0.1", port, contexts=contexts, ae_title="PREREAD",
            ext_neg=[build_role(each, scp_role=True) for each in roles],
        )  # fmt: skip
        if made.is_established:
            for context in made.accepted_contexts:
                pair = (str(context.abstract_syntax), str(context.transfer_syntax[0]))
                found[pair] = (bool(context.as_scu), bool(context.as_scp))
            made.release()
    return found


def _pairs(offer: Offer) -> list[tuple[str, str]]:
    """Every class in one syntax, and one class in every syntax."""
    first, syntax = offer.sop_classes[0], offer.transfer_syntaxes[0]
    every = [(kind, syntax) for kind in offer.sop_classes]
    return list(dict.fromkeys([*every, *((first, each) for each in offer.transfer_syntaxes)]))


def test_the_listener_accepts_every_row(everything: Listener) -> None:
    for offer in ACCEPTED:
        roles = offer.sop_classes if offer.negotiated else ()
        accepted = _accepted(everything.port, _pairs(offer), roles)
        assert set(accepted) == set(_pairs(offer)), (offer.service, offer.role)
        # the caller's roles: the other side of ours
        expected = (False, True) if offer.role == "SCU" else (True, False)
        assert set(accepted.values()) == {expected}, (offer.service, offer.role)


def test_the_listener_accepts_nothing_else(everything: Listener) -> None:
    assert _accepted(everything.port, [(WORKLIST, "1.2.840.10008.1.2")]) == {}
    assert _accepted(everything.port, [(str(CTImageStorage), "1.2.3.4")]) == {}
    for offer in PROPOSED:
        if offer.service == "Query/Retrieve":
            assert _accepted(everything.port, _pairs(offer)) == {}, offer.messages


def test_what_is_not_set_up_is_not_offered(listener: Listener) -> None:
    for offer in ACCEPTED:
        accepted = _accepted(listener.port, _pairs(offer)[:1])
        assert bool(accepted) == (not offer.when), offer.service


class Recorder:
    """A peer that takes note of what is proposed to it, and accepts nothing."""

    def __init__(self) -> None:
        self.proposed: set[tuple[str, str, bool | None]] = set()
        self.implementations: set[str] = set()

    def note(self, event: evt.Event) -> None:
        requestor = event.assoc.requestor
        roles = requestor.role_selection
        for context in requestor.requested_contexts:
            name = str(context.abstract_syntax)
            role = roles.get(context.abstract_syntax)
            for syntax in context.transfer_syntax:
                self.proposed.add((name, str(syntax), bool(role and role.scp_role)))
        self.implementations.add(str(requestor.implementation_version_name))

    def listen(self) -> tuple[AE, int]:
        ae = AE("PACS")
        ae.add_supported_context("1.2.3.4")
        server = ae.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_REQUESTED, self.note)]
        )
        assert server is not None
        return ae, server.server_address[1]


def _every_call(port: int) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """Service, messages, and a call of ours that proposes it."""
    peer = PeerSettings(ae_title="PACS", host="127.0.0.1", port=port)
    retriever = Retriever(peer, "PREREAD", 5.0)
    wanted = Wanted("1.2.3", None, 1e9)
    reference = Reference(str(CTImageStorage), "1.2.3")
    results = [ct(SOPClassUID=kind) for kind in MADE.values()]
    yield "Verification", "C-ECHO", Peer(peer, "PREREAD", 5.0).echo
    yield "Storage", "C-STORE", lambda: Peer(peer, "PREREAD", 5.0).store(results)
    yield "Query/Retrieve", "C-FIND", lambda: Peer(peer, "PREREAD", 5.0).series("1.2.3")
    yield "Query/Retrieve", "C-MOVE", lambda: retriever.move(wanted)
    yield "Query/Retrieve", "C-GET", lambda: _get_each(retriever, wanted)
    yield (
        "Storage Commitment",
        "N-ACTION, N-EVENT-REPORT",
        lambda: request_commitment(peer, "PREREAD", "1.2.5", [reference]),
    )
    yield (
        "Storage Commitment",
        "N-EVENT-REPORT",
        lambda: _Teller(peer, "PREREAD", 5.0).tell(CommitmentResult("1.2.5", (reference,))),
    )


def _get_each(retriever: Retriever, wanted: Wanted) -> None:
    for kinds in FETCHED_CLASSES.values():
        with suppress(PeerError):
            retriever.get(replace(wanted, sop_classes=kinds), lambda *_, **__: None)


def test_we_propose_every_row_and_nothing_else() -> None:
    recorder = Recorder()
    ae, port = recorder.listen()
    try:
        for service, messages, call in _every_call(port):
            recorder.proposed.clear()
            with suppress(PeerError):
                call()
            rows = [o for o in PROPOSED if o.service == service and o.messages == messages]
            if messages == "C-GET":  # brings its own storage contexts
                rows += [o for o in PROPOSED if o.messages == "C-STORE (of C-GET)"]
            expected = {
                (kind, syntax, row.negotiated)
                for row in rows
                for kind in row.sop_classes
                for syntax in row.transfer_syntaxes
            }
            assert rows and recorder.proposed == expected, (service, messages)
    finally:
        ae.shutdown()
    (version,) = recorder.implementations
    assert version.startswith("PREREAD_")


def test_every_kind_that_a_destination_may_accept_is_named() -> None:
    annotation = DestinationSettings.model_fields["accepts"].annotation
    kinds = get_args(get_args(annotation)[0])
    assert set(kinds) == set(MADE)


def test_the_objects_made_are_of_the_classes_that_the_table_says() -> None:
    study = two_findings()
    report, headers = study.report(), study.headers
    pictures = {each.tracking_uid: render_key_image(study.volume, each) for each in study.findings}
    seg = make_seg(report, study.regions, headers, slices=study.volume.sources)
    captures = make_secondary_captures(report, pictures, headers, study.volume.grid)
    made = {
        "SEG": [seg],
        "SR": [make_sr(report, headers, seg)],
        "RTSTRUCT": [make_rtstruct(report, study.regions, headers, slices=study.volume.sources)],
        "GSPS": [make_gsps(report, headers)],
        "SC": list(captures.values()),
        "PDF": [make_encapsulated_pdf(report, render_pdf(report, pictures), headers)],
    }
    assert made.keys() == MADE.keys()
    for kind, objects in made.items():
        assert {str(each.SOPClassUID) for each in objects} == {MADE[kind]}, kind
        syntaxes = {str(each.file_meta.TransferSyntaxUID) for each in objects}
        assert syntaxes <= set(MADE_SYNTAXES), kind
        assert not any(e.tag.is_private for each in objects for e in each.iterall()), kind


def test_every_resource_of_the_dicomweb_server_is_named(
    tmp_path: Path, store: Store, inbox: Inbox
) -> None:
    settings = Settings.model_validate(
        {"storage": {"folder": tmp_path}, "dicomweb": {"enabled": True}, "ups": {"enabled": True}}
    )
    web = create_dicomweb(settings, store, inbox, Gate(settings, store), lambda instance: None)
    nothing: Callable[..., None] = lambda *_: None  # noqa: E731 - nothing is ordered here
    Orders(settings, inbox, nothing, nothing, lambda: "http://here").mount(web)
    served = {
        (method.upper(), path)
        for path, methods in web.openapi()["paths"].items()
        for method in methods
    }
    assert served == {(method, path) for _, method, path, _ in resources() if method != WEBSOCKET}
    assert all(what for *_, what in resources())
    assert {service for service, *_ in resources()} == {
        each.service for each in WEB if each.role == "origin server"
    }


def test_the_settings_that_the_tables_name_exist() -> None:
    named = [each.when for each in (*ACCEPTED, *PROPOSED, *WEB) if each.when]
    for key in {key for when in named for key in when.split(", ")} - {"preread doctor"}:
        section, _, name = key.partition(".")
        assert section in Settings.model_fields, key
        if name:
            annotation = Settings.model_fields[section].annotation
            inner = next(iter(get_args(annotation)), annotation)  # of a list of tables, the table
            assert name in inner.model_fields, key  # type: ignore[union-attr]


def test_no_peer_is_named_that_no_test_uses() -> None:
    ours = Path(__file__).resolve()
    texts = [p.read_text(encoding="utf-8") for p in (ROOT / "tests").rglob("*.py") if p != ours]
    for peer in {name for named in TRIED_WITH.values() for name in named.split(", ")}:
        word = re.compile(rf"\b{peer.replace('-', '_')}\b", re.IGNORECASE)
        assert any(word.search(text) for text in texts), peer


def test_the_readme_has_the_table() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert services_table() in readme, (
        "write what pacs_bridge.conformance.services_table() returns into the README"
    )


def test_the_command_prints_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "preread.toml"
    config.write_text('[listener]\nae_title = "READER2"\n')
    assert main(["conformance", "--config", str(config)]) == 0
    printed = capsys.readouterr().out
    assert printed == conformance_statement(load_settings(config, {}))
    assert services_table() in printed and "| AE title | READER2 |" in printed


def test_every_reason_of_a_rejection_is_one_of_the_standards() -> None:
    for refusal in REFUSALS:
        answer = A_ASSOCIATE_RJ()
        answer.decode(rejection(refusal))
        assert "reserved" not in answer.reason_str.lower(), refusal
        assert (answer.result, answer.source, answer.reason_diagnostic) == (
            refusal.result, refusal.source, refusal.diagnostic,
        )  # fmt: skip


def test_the_statement_says_what_is_in_force() -> None:
    settings = Settings.model_validate(
        {
            "listener": {
                "ae_title": "READER1", "port": 4242, "calling_ae_titles": ["CT1"],
                "calling_addresses": ["10.1.0.0/16"],
            },
            "commitment": {"peers": [{"ae_title": "CT1", "host": "ct", "port": 104}]},
            "pull": [
                {"name": "new", "method": "dicomweb", "dicomweb_url": "https://u:secret@a/dicom-web"}
            ],
            "destinations": [
                {"name": "main", "ae_title": "PACS", "host": "p", "port": 104, "accepts": ["PDF"]}
            ],
        }
    )  # fmt: skip
    statement = conformance_statement(settings)
    for line in (
        "| AE title | READER1 |",
        "| Port | 4242 |",
        "| Storage commitment for | CT1 |",
        "| Results go to | main (PDF) |",
        "| destinations | PACS | p | 104 | no | results of main: PDF |",
        "| commitment.peers | CT1 | ct | 104 | no | reports of storage commitment |",
        "| pull.dicomweb_url | - | https://a/dicom-web | - | - | studies of the rule new |",
        "| Label Map Segmentation Storage | 1.2.840.10008.5.1.4.1.1.66.7 |",
        "| Nuclear Medicine Image Storage (Retired) | 1.2.840.10008.5.1.4.1.1.5 |",
        "  - A.4.4 Configuration",
        "| From which addresses | listener.calling_addresses | 10.1.0.0/16 |",
        "| CT Image Storage | 1.2.840.10008.5.1.4.1.1.2 |",
    ):
        assert line in statement, line
    assert "secret" not in statement
    sections = [line for line in statement.splitlines() if line.startswith("## ")]
    assert [line.split()[1] for line in sections] == [
        "A.1",
        "A.2",
        "A.3",
        "A.4",
        "A.5",
        "A.6",
        "A.7",
        "A.8",
        "A.9",
    ]
    widths = [line.count(" | ") for line in statement.splitlines() if line.startswith("| ")]
    assert min(widths) > 0
