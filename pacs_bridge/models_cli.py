"""`preread models ...`: what can be asked; what comes and goes. ``models_work`` does the rest."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from models.spec import SPEC_NAME, ModelSpec, look_up
from pacs_bridge import models_work
from pacs_bridge.console import err, out
from pacs_bridge.library import Library, Terms
from pacs_bridge.model_page import model_page
from pacs_bridge.settings import Settings, load_settings

RUNTIMES = ("auto", "onnx", "openvino", "torch", "triton")
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")


def add_models_command(commands: Any) -> None:
    """Add ``models`` and what it does to the main parser's subcommands."""
    text = "The models that are here or can be fetched: add, check, measure and remove them."
    models = commands.add_parser("models", help=text, description=text)
    actions = models.add_subparsers(required=True, metavar="ACTION")

    def add(name: str, run: Callable[..., int], text: str, example: str) -> argparse.ArgumentParser:
        action: argparse.ArgumentParser = actions.add_parser(
            name, help=text, description=text, epilog=f"example: {example}",
        )  # fmt: skip
        action.set_defaults(run=run)
        action.add_argument(
            "--config", type=Path, metavar="FILE", help="settings in TOML (models.folder, ...)"
        )
        return action

    def named(action: argparse.ArgumentParser) -> argparse.ArgumentParser:
        action.add_argument("name", metavar="NAME", help="see `preread models list`")
        return action

    add(
        "list", _list, "List the models that are here, and those that can be fetched.",
        "preread models list",
    )  # fmt: skip
    show = named(add(
        "show", _show, "Show what a model is for, what it takes and finds, and its model card.",
        "preread models show lung_nodule_reference",
    ))  # fmt: skip
    show.add_argument("--json", action="store_true", help="the whole description as JSON")

    bring = add(
        "add", _add,
        "Bring a model: a MONAI bundle or nnU-Net v2 export (folder or zip), an ONNX or "
        "TorchScript file, or the address of one. Writes a first preread.toml from what the "
        "model says of itself and says what a person must still fill in.",
        "preread models add ~/liver_bundle.zip --name liver",
    )  # fmt: skip
    bring.add_argument("source", metavar="PATH_OR_URL", help="the model")
    bring.add_argument("--name", default="", help="what to call it (default: as it calls itself)")
    bring.add_argument("--sha256", default="", metavar="HASH", help="that the file must have")
    bring.add_argument(
        "--replace", action="store_true",
        help="take the place of the model of that name and keep its preread.toml",
    )  # fmt: skip

    pull = named(add(
        "pull", _pull,
        "Fetch a model of the catalogue from the MONAI model zoo: its licence is shown, the "
        "download goes on after a break, and its hash is checked.",
        "preread models pull lung_nodule_ct_detection",
    ))  # fmt: skip
    pull.add_argument(
        "--from", dest="source", default="", metavar="FILE_OR_URL",
        help="take the zip from here (a USB stick, a mirror) instead of its publisher",
    )  # fmt: skip
    pull.add_argument("--again", action="store_true", help="although this version is here")
    for action in (bring, pull):
        action.add_argument(
            "--agree-licence", action="store_true", help="agree to its licence without being asked"
        )
        _trust_option(action)

    verify = named(add(
        "verify", models_work.verify,
        "Check the SHA-256 of a model's files, load its networks and run one patch.",
        "preread models verify lung_nodule_reference",
    ))  # fmt: skip
    _trust_option(verify)
    _running_options(verify)

    remove = named(add(
        "remove", _remove, "Remove a model that was added or pulled.",
        "preread models remove spleen_ct_segmentation",
    ))  # fmt: skip
    remove.add_argument("--yes", action="store_true", help="without being asked")

    bench = named(add(
        "bench", models_work.bench,
        "Measure how fast a model's networks are on this machine, on every runtime that is here.",
        "preread models bench lung_nodule_reference --device cpu",
    ))  # fmt: skip
    _running_options(bench)
    bench.add_argument(
        "--batch", type=int, action="append", metavar="N",
        help="patches a pass; repeat for more (default: 1, 2, 4)",
    )  # fmt: skip
    bench.add_argument(
        "--seconds", type=float, default=2.0, help="least time a batch size (default: %(default)s)"
    )
    bench.add_argument(
        "--json", type=Path, metavar="FILE", help="write the figures here as well, as JSON"
    )

    evaluate = named(add(
        "evaluate", models_work.evaluate,
        "Measure what a model finds, misses and imagines on labelled cases. With --precision, "
        "compare that precision with full precision and let it run if it loses no more than "
        "the model's runtime.sensitivity_loss and dice_loss allow.",
        "preread models evaluate spleen_ct_segmentation Task09_Spleen/ --precision int8",
    ))  # fmt: skip
    evaluate.add_argument(
        "data", type=Path, metavar="DATA",
        help="DICOM with SEG beside it, NIfTI with masks, or a CSV of nodules with their images; "
        "with --dataset that set's folder",
    )  # fmt: skip
    _dataset_options(evaluate)
    _running_options(evaluate)
    evaluate.add_argument(
        "--json", type=Path, metavar="FILE", help="write every case and figure here, as JSON"
    )

    export = named(add(
        "export", models_work.export,
        "Write a model's networks for other programs: as ONNX files, or as a Triton model "
        "repository.",
        "preread models export spleen_ct_segmentation --triton repository/",
    ))  # fmt: skip
    _export_options(export)


def _dataset_options(evaluate: argparse.ArgumentParser) -> None:
    evaluate.add_argument(
        "--dataset", choices=("lidc", "luna16"),
        help="a public set of lung nodules as it is published: gives the FROC curve, for a model "
        "of task lung-nodules. lidc: DICOM with the readers' XML; luna16: subset0/ etc. with "
        "annotations.csv",
    )  # fmt: skip
    evaluate.add_argument(
        "--readers", type=int, choices=(1, 2, 3, 4), metavar="N",
        help="lidc: so many must have outlined a nodule for it to count; LUNA16 took 3 "
        "(default: 2)",
    )  # fmt: skip
    evaluate.add_argument(
        "--folds", type=_folds, default=(), metavar="0,1",
        help="luna16: only these subsets, e.g. those a model was not trained on (default: all)",
    )  # fmt: skip
    evaluate.add_argument(
        "--rule", choices=("luna16", "5mm"),
        help="a finding hits within the nodule's radius (luna16), or within 5 mm at least (5mm) "
        "(default: luna16 on luna16, 5mm on lidc)",
    )  # fmt: skip
    evaluate.add_argument(
        "--out", type=Path, metavar="FILE",
        help="with --dataset: keep each scan's result here, one JSON line each; the same command "
        "goes on where it was stopped",
    )  # fmt: skip


def _folds(text: str) -> tuple[int, ...]:
    try:
        folds = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers such as 0,1") from None
    if not all(0 <= fold <= 9 for fold in folds):
        raise argparse.ArgumentTypeError(f"{text!r}: LUNA16's subsets are 0 to 9")
    return folds


def _export_options(export: argparse.ArgumentParser) -> None:
    where = export.add_mutually_exclusive_group(required=True)
    where.add_argument("--onnx", type=Path, metavar="DIR", help="ONNX files go here")
    where.add_argument(
        "--triton", type=Path, metavar="DIR", help="a model repository for tritonserver goes here"
    )
    export.add_argument(
        "--backend", choices=("onnxruntime", "python"), default="onnxruntime",
        help="Triton's; python where the server has no ONNX Runtime (default: %(default)s)",
    )  # fmt: skip
    export.add_argument(
        "--model-version", type=int, default=1, metavar="N",
        help="folder in Triton's repository; servers take the highest (default: %(default)s)",
    )  # fmt: skip
    export.add_argument(
        "--gpu", type=int, action="append", default=[], metavar="N",
        help="GPU of the Triton server to run on; repeat for more (default: its CPU)",
    )  # fmt: skip
    export.add_argument(
        "--instances", type=int, default=1, metavar="N",
        help="copies on each GPU, or on the CPU (default: %(default)s)",
    )  # fmt: skip
    export.add_argument(
        "--tensorrt", action="store_true", help="TensorRT inside Triton; needs --gpu"
    )
    export.add_argument(
        "--fp16", action="store_true",
        help="half precision, if `preread models evaluate --precision fp16` let it through",
    )  # fmt: skip


def _trust_option(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--trust-code", action="store_true",
        help="let the model's own Python run on this machine with your rights; the audit trail "
        "says so. Read it first: it can do anything that you can",
    )  # fmt: skip


def _running_options(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--runtime", choices=RUNTIMES, default=None, help="(default: models.runtime)"
    )
    action.add_argument(
        "--device", default=None, metavar="DEVICE",
        help="cpu, cuda or cuda:0 (default: models.device)",
    )  # fmt: skip
    action.add_argument(
        "--precision", choices=PRECISIONS, default=None, help="(default: models.precision)"
    )
    action.add_argument(
        "--threads", type=int, default=None, help="CPU threads; 0: all (default: models.threads)"
    )


def _list(options: argparse.Namespace) -> int:
    entries = Library(load_settings(options.config)).entries()
    wide = max(len(entry.name) for entry in entries) + 2
    states = max(len(entry.state) for entry in entries) + 2
    for entry in entries:
        spec = entry.spec
        version, title = (spec.version, spec.title.en) if spec else ("", entry.problem)
        out.print(
            f"{entry.name:{wide}}{version:10}{entry.state:{states}}{title}", soft_wrap=True,
            style="red" if entry.problem else None,
        )  # fmt: skip
    return 0


def _show(options: argparse.Namespace) -> int:
    spec = look_up(options.name, load_settings(options.config).model_folders)
    if options.json:
        out.print_json(spec.model_dump_json())
        return 0
    for line in model_page(spec):
        out.print(line, soft_wrap=True)
    return 0


def _add(options: argparse.Namespace) -> int:
    with _watched(load_settings(options.config)) as library:
        added = library.add(
            options.source,
            _asker(options),
            name=options.name,
            sha256=options.sha256,
            replace=options.replace,
            trust=options.trust_code,
        )
    _say_added(added.spec, added.notes)
    return 0


def _pull(options: argparse.Namespace) -> int:
    with _watched(load_settings(options.config)) as library:
        added = library.pull(
            options.name,
            _asker(options),
            source=options.source,
            again=options.again,
            trust=options.trust_code,
        )
    _say_added(added.spec, added.notes)
    return 0


def _say_added(spec: ModelSpec, notes: tuple[str, ...]) -> None:
    out.print(f"{spec.name} {spec.version} is in {spec.folder}", soft_wrap=True)
    for note in notes:
        out.print(f"  note: {note}", soft_wrap=True)
    for key in spec.unfilled:
        out.print(f"  fill in or check: {key}", soft_wrap=True)
    if spec.unfilled:
        out.print(f"  in {spec.folder / SPEC_NAME}", soft_wrap=True)
    out.print(
        f"  next: `preread models verify {spec.name}`, then models.enabled or models.shadow in "
        "the settings",
        soft_wrap=True,
    )


def _asker(options: argparse.Namespace) -> Callable[[Terms], bool]:
    def agree(terms: Terms) -> bool:
        out.print(f"licence: {terms.licence}", soft_wrap=True)
        if terms.note is not None:
            out.print(f"  {terms.note.en}\n  {terms.note.zh}", soft_wrap=True)
        if terms.non_commercial:
            out.print("  NOT for commercial use / 不得用于商业用途", style="red", soft_wrap=True)
        if options.agree_licence:
            out.print("  agreed to by --agree-licence", soft_wrap=True)
            return True
        return _asked("Agree to this licence? / 是否同意该许可?")

    return agree


def _asked(question: str) -> bool:
    """Whether a person at a terminal says yes; elsewhere nobody does."""
    if not sys.stdin.isatty():
        err.print(f"{question} nobody is at a terminal to say so", soft_wrap=True)
        return False
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes", "是")


@contextmanager
def _watched(settings: Settings) -> Iterator[Library]:
    """A library whose downloads are shown, and that says how to go on when it is stopped."""
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(),
        TransferSpeedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    progress = Progress(*columns, console=err, transient=True)
    tasks: dict[str, Any] = {}

    def watch(what: str, here: int, whole: int | None) -> None:
        if what not in tasks:
            tasks[what] = progress.add_task(what, total=whole)
            progress.start()
        progress.update(tasks[what], completed=here, total=whole)
        if here == whole:
            # A question may follow; no bar must be drawn over it.
            progress.stop()

    try:
        yield Library(settings, watch)
    except KeyboardInterrupt:
        progress.stop()
        err.print(
            "preread: stopped; what has come is kept, the same command goes on from there",
            soft_wrap=True,
        )
        raise
    finally:
        progress.stop()


def _remove(options: argparse.Namespace) -> int:
    library = Library(load_settings(options.config))
    folder = library.removable(options.name)
    if not options.yes and not _asked(f"Remove {folder} for good?"):
        err.print("preread: nothing was removed; --yes removes without asking")
        return 1
    out.print(f"removed {library.remove(options.name)}", soft_wrap=True)
    return 0
