"""`preread doctor`: what is there, what is missing, and how to mend it."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from models.engine.footprint import device_memory
from models.errors import ModelError
from models.loaded import load_model
from models.runtime.choose import explain
from models.runtime.devices import gpus, installed, onnx_runtimes
from models.runtime.source import RuntimeOptions
from models.spec import find_spec
from pacs_bridge.delivery.standing import address_of
from pacs_bridge.dicomweb.client import WebArchive
from pacs_bridge.dicomweb.stow import WebStore
from pacs_bridge.dimse.peer import Peer
from pacs_bridge.dimse.retrieve import Retriever
from pacs_bridge.errors import BridgeError
from pacs_bridge.settings import PeerSettings, PriorsSettings, PullSettings, Settings
from pacs_bridge.store import open_store

_NOBODY = "PREREAD-DOCTOR"
"""A PatientID that nobody has, to ask for."""


class Health(StrEnum):
    """How a thing is."""

    GOOD = "ok"
    NOTE = "note"
    """Works without it; the remedy says what it would add."""
    BAD = "bad"
    """The server will not do its work until this is mended."""


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's list."""

    health: Health
    subject: str
    found: str
    remedy: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything a server with these settings needs, one finding at a time."""
    yield from _python()
    yield from _runtimes(settings)
    yield from _codecs()
    yield from _model(settings)
    yield from _storage(settings)
    yield from _ports(settings)
    yield from _peers(settings)
    yield from priors(settings)
    yield from pulls(settings)
    yield from _people(settings)


def _python() -> Iterator[Finding]:
    found = f"Python {sys.version.split()[0]}, {os.cpu_count()} cores"
    good = sys.version_info >= (3, 11)
    remedy = "" if good else "Install Python 3.11 or later"
    yield Finding(Health.GOOD if good else Health.BAD, "Python", found, remedy)


def _runtimes(settings: Settings) -> Iterator[Finding]:
    yield from _onnx_runtime()
    for subject, package, use, extra in (
        ("OpenVINO", "openvino", "the fastest on a CPU", "cpu"),
        ("PyTorch", "torch", "for MONAI bundles, nnU-Net, TorchScript and training", "monai"),
        ("Triton", "tritonclient", "for servers at grpc://; http:// needs nothing", "triton"),
    ):
        version = installed(package)
        if version:
            yield Finding(Health.GOOD, subject, f"{package} {version}")
        else:
            remedy = f"pip install 'preread[{extra}]'"
            yield Finding(Health.NOTE, subject, f"not installed; {use}", remedy)
    yield from _gpus()
    yield from _choices(settings)


def _onnx_runtime() -> Iterator[Finding]:
    there = onnx_runtimes()
    found = " and ".join(f"{name} {version}" for name, version in there.items())
    if len(there) > 1:
        yield Finding(
            Health.BAD,
            "ONNX Runtime",
            f"{found} overwrite one another",
            "Uninstall all of them, then install one: pip install 'preread[cpu]' or [gpu]",
        )
    elif not there:
        # OpenVINO alone runs models too; it can't check exports.
        health = Health.NOTE if installed("openvino") else Health.BAD
        yield Finding(
            health, "ONNX Runtime", "not installed", "pip install 'preread[cpu]' or [gpu]"
        )
    else:
        import onnxruntime

        providers = onnxruntime.get_available_providers()
        yield Finding(Health.GOOD, "ONNX Runtime", f"{found}: {', '.join(providers)}")
        if gpus() and "CUDAExecutionProvider" not in providers:
            yield Finding(
                Health.NOTE,
                "ONNX Runtime",
                "there is a GPU, but this package can't use it",
                f"pip uninstall {' '.join(there)} && pip install 'preread[gpu]'",
            )


def _gpus() -> Iterator[Finding]:
    there = gpus()
    if not there:
        yield Finding(Health.NOTE, "GPU", "none; inference runs on the CPU")
    for gpu in there:
        memory = device_memory(gpu.device)
        free = f", {memory.available / 2**30:.1f} free" if memory else ""
        size = f"{gpu.memory / 2**30:.1f} GB{free}"
        yield Finding(Health.GOOD, "GPU", f"{gpu.device}: {gpu.name}, {size}")


def _choices(settings: Settings) -> Iterator[Finding]:
    """What runs what, with the settings as they are; a model's own wishes come on top."""
    models = settings.models
    options = RuntimeOptions(
        models.runtime,
        models.device,
        "fp32" if models.precision == "auto" else models.precision,
    )
    for form, choice in explain(options):
        if isinstance(choice, ModelError):
            yield Finding(Health.NOTE, "Runtime", f"{form}: {choice}")
        else:
            yield Finding(Health.GOOD, "Runtime", f"{form}: {choice.runtime}, {choice.why}")


def _codecs() -> Iterator[Finding]:
    """Ask pydicom, which knows what each decoder needs besides itself."""
    codecs = (
        ("JPEG 2000", JPEG2000, "pylibjpeg pylibjpeg-openjpeg"),
        ("HTJ2K", HTJ2K, "pylibjpeg pylibjpeg-openjpeg"),
        ("RLE", RLELossless, "pylibjpeg-rle"),
        ("JPEG-LS", JPEGLSLossless, "pyjpegls"),
        ("JPEG baseline", JPEGBaseline8Bit, "python-gdcm"),
        ("JPEG lossless", JPEGLosslessSV1, "python-gdcm"),
    )
    for name, syntax, packages in codecs:
        decoder = get_decoder(syntax)
        if decoder.is_available:
            plugins = ", ".join(sorted(decoder.available_plugins))
            yield Finding(Health.GOOD, "Codec", f"{name}: {plugins}")
        else:
            yield Finding(Health.BAD, "Codec", f"no decoder for {name}", f"pip install {packages}")


def _model(settings: Settings) -> Iterator[Finding]:
    models = settings.models
    for name in (*models.enabled, *models.shadow):
        try:
            spec = find_spec(name, settings.model_folders)
            model = load_model(
                spec,
                runtime=models.runtime,
                device=models.device,
                precision=models.precision,
                threads=models.threads,
            )
        except ModelError as error:
            yield Finding(Health.BAD, f"Model {name}", str(error), "See `preread models list`")
            continue
        runtimes = ", ".join(sorted({network.name for network in model.networks.values()}))
        yield Finding(Health.GOOD, f"Model {name}", f"version {spec.version} on {runtimes}")
        if spec.reference_weights:
            yield Finding(
                Health.NOTE,
                f"Model {name}",
                "reference weights, for research only",
                "Bring your site's validated model for clinical work",
            )


def _storage(settings: Settings) -> Iterator[Finding]:
    folder = settings.storage.folder.absolute()
    place = next(p for p in (folder, *folder.parents) if p.exists())
    if not os.access(place, os.W_OK):
        yield Finding(
            Health.BAD, "Storage", f"{place} is not writable", "Change storage.folder or its owner"
        )
        return
    free = shutil.disk_usage(place).free / 2**30
    enough = free > settings.storage.minimum_free_gb
    yield Finding(
        Health.GOOD if enough else Health.BAD,
        "Storage",
        f"{folder}: {free:.1f} GB free, senders are refused below "
        f"{settings.storage.minimum_free_gb:g} GB",
        "" if enough else "Free space, or lower storage.minimum_free_gb",
    )
    url = settings.storage.database_url
    if url.startswith("sqlite") and not folder.exists():
        yield Finding(Health.GOOD, "Database", "SQLite, made at the first start")
        return
    try:
        store = open_store(url)
        yield Finding(Health.GOOD, "Database", store.engine.url.render_as_string())
        store.engine.dispose()
    except BridgeError as error:
        yield Finding(Health.BAD, "Database", str(error), "See storage.database")


def _ports(settings: Settings) -> Iterator[Finding]:
    wanted = (
        ("Listener", settings.listener.host, settings.listener.port),
        ("Page", settings.review.host, settings.review.port),
    )
    for subject, host, port in wanted:
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((host, port))
                yield Finding(Health.GOOD, subject, f"{host}:{port} is free")
            except OSError as error:
                yield Finding(
                    Health.NOTE,
                    subject,
                    f"{host}:{port}: {error.strerror}",
                    "Fine if the server is running already; else choose another port",
                )


def _peers(settings: Settings) -> Iterator[Finding]:
    yield from _web_destinations(settings)
    peers: list[tuple[str, PeerSettings]] = [
        (f"Destination {d.name}", d) for d in settings.destinations if d.port
    ]
    if settings.assembly.source is not None:
        peers.append(("PACS to ask", settings.assembly.source))
    peers += [("Storage commitment", peer) for peer in settings.commitment.peers]
    if not settings.destinations:
        yield Finding(
            Health.NOTE,
            "Destinations",
            "none: results stay here, on the page",
            "Add [[destinations]] to send SR and SEG to a PACS",
        )
    for subject, peer in peers:
        where = f"{peer.ae_title} at {peer.host}:{peer.port}"
        try:
            Peer(peer, settings.listener.ae_title, timeout_s=5.0).echo()
            yield Finding(Health.GOOD, subject, f"{where} answers C-ECHO")
        except BridgeError as error:
            yield Finding(
                Health.BAD,
                subject,
                str(error),
                "Check address, port and that it knows our AE title",
            )


def _web_destinations(settings: Settings) -> Iterator[Finding]:
    for destination in settings.destinations:
        if not destination.dicomweb_url:
            continue
        subject = f"Destination {destination.name}"
        try:
            WebStore(destination, 5.0).reach()
            yield Finding(Health.GOOD, subject, f"{address_of(destination)} answers DICOMweb")
        except BridgeError as error:
            yield Finding(
                Health.BAD,
                subject,
                str(error),
                "Check dicomweb_url, tls, and that it lets us store by STOW-RS",
            )


def priors(settings: Settings) -> Iterator[Finding]:
    """Whether earlier chest CTs can be looked for, and would come."""
    wanted, subject = settings.priors, "Priors"
    if wanted.find == "off":
        yield Finding(Health.NOTE, subject, "off: studies are compared with nothing")
        return
    web = wanted.method == "dicomweb"
    if wanted.find == "store" or not (wanted.dicomweb_url if web else settings.priors_pacs):
        yield Finding(
            Health.NOTE,
            subject,
            "looked for among the studies received here alone",
            f"Set priors.{'dicomweb_url' if web else 'pacs'} to look in the PACS too",
        )
        return
    yield from _archive(settings, subject, wanted, settings.priors_pacs, "priors")


def pulls(settings: Settings) -> Iterator[Finding]:
    """Whether the archives of the rules can be asked, and would send to us."""
    for rule in settings.pull:
        yield from _archive(settings, f"Pull rule {rule.name}", rule, rule.source, "pull")


def _archive(
    settings: Settings,
    subject: str,
    wanted: PriorsSettings | PullSettings,
    node: PeerSettings | None,
    section: str,
) -> Iterator[Finding]:
    """Whether an archive answers a question, and knows us where it has to."""
    try:
        if wanted.method == "dicomweb":
            archive = WebArchive(wanted.dicomweb_url, 5.0, section, wanted.tls)
            archive.search("studies", {"PatientID": _NOBODY, "limit": "1"})
            yield Finding(Health.GOOD, subject, f"{archive} answers QIDO-RS")
            return
        assert node is not None
        peer = Retriever(node, settings.listener.ae_title, 5.0)
        peer.find({"QueryRetrieveLevel": "STUDY", "PatientID": _NOBODY, "StudyInstanceUID": ""})
        yield Finding(Health.GOOD, subject, f"{peer} answers C-FIND")
        if wanted.method == "c-move" and not peer.knows_us():
            yield Finding(
                Health.BAD,
                subject,
                f"{peer} does not know {settings.listener.ae_title} as a destination of C-MOVE",
                f"Enter our AE title, address and port there, or set {section}.method to c-get",
            )
    except BridgeError as error:
        yield Finding(
            Health.BAD,
            subject,
            str(error),
            "Allow our AE title to query and retrieve there; the log there says more",
        )


def _people(settings: Settings) -> Iterator[Finding]:
    if settings.readers:
        names = ", ".join(reader.user for reader in settings.readers)
        yield Finding(Health.GOOD, "Readers", names)
    else:
        yield Finding(
            Health.NOTE,
            "Readers",
            "none: whoever is at this machine may sign, the page is served to it alone",
            "Add [[readers]] (see `preread hash-password`) to serve the page on a network",
        )
