"""`preread models verify | bench | evaluate | export`: what needs the networks themselves."""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.errors import SpecError
from models.intake.installation import code_files, trust_code
from models.opening import NETWORK, open_networks
from models.spec import ModelSpec, check_installed, look_up, verify_files
from pacs_bridge.console import err, out
from pacs_bridge.errors import SettingsError
from pacs_bridge.library.holdings import files_beside
from pacs_bridge.library.notes import this_person
from pacs_bridge.settings import Settings, load_settings

if TYPE_CHECKING:
    from models.evaluation.evaluate import Evaluation
    from models.evaluation.labelled import LabelledSet


def _running(options: argparse.Namespace, settings: Settings) -> dict[str, Any]:
    """``runtime``, ``device``, ``precision`` and ``threads``: as asked for, else as set."""
    asked = {key: getattr(options, key) for key in ("runtime", "device", "precision", "threads")}
    return {
        key: getattr(settings.models, key) if value is None else value
        for key, value in asked.items()
    }


def verify(options: argparse.Namespace) -> int:
    """Hashes, loading, one patch."""
    from models.intake.trial import try_networks
    from models.loaded import load_model

    settings = load_settings(options.config)
    spec = look_up(options.name, settings.model_folders)
    check_installed(spec)
    if options.trust_code:
        _trust(spec)
    verify_files(spec)
    for role, file in spec.files.items():
        out.print(f"{role:12}{spec.folder / file}: SHA-256 right", soft_wrap=True)
    model = load_model(spec, **_running(options, settings))
    for tried in try_networks(model):
        took, gave = _shape(tried.took), ", ".join(_shape(each) for each in tried.gave)
        out.print(
            f"{tried.role:12}runs on {tried.runs_on}: {took} -> {gave} in {tried.seconds:.2f} s",
            soft_wrap=True,
        )
    for key in spec.unfilled:
        out.print(f"note: {key} is still to be filled in or checked", soft_wrap=True)
    return 0


def _trust(spec: ModelSpec) -> None:
    trust_code(spec.folder, this_person(), datetime.now().astimezone().replace(microsecond=0))
    for path in code_files(spec.folder):
        out.print(f"trusted: {path}", soft_wrap=True)


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(str(n) for n in shape)


def bench(options: argparse.Namespace) -> int:
    """How fast the networks run here, on every runtime that can."""
    from models.evaluation import bench as measuring

    settings = load_settings(options.config)
    spec = look_up(options.name, settings.model_folders)
    check_installed(spec)
    how = _running(options, settings)
    if how["precision"] == "auto":
        how["precision"] = spec.runtime.precision
    with err.status("measuring ...") as status:
        result = measuring.bench(
            spec, **how, batches=options.batch or (1, 2, 4), seconds=options.seconds,
            progress=lambda line: status.update(f"{line} ..."),
        )  # fmt: skip
    out.print(result.table(), soft_wrap=True)
    _write_json(options.json, result.model_dump(mode="json"))
    return 0 if result.rows else 1


def evaluate(options: argparse.Namespace) -> int:
    """Labelled cases through the model; with a reduced precision, through both and the gate."""
    from models.evaluation.gate import evaluate_precision
    from models.evaluation.labelled import open_labelled

    _refuse_idle_options(options)
    settings = load_settings(options.config)
    spec = look_up(options.name, settings.model_folders)
    check_installed(spec)
    how = _running(options, settings)
    if options.dataset is not None:
        return _evaluate_dataset(spec, options, how)
    labelled = open_labelled(options.data, spec)
    if options.precision not in (None, "auto", "fp32"):
        judged = evaluate_precision(spec, labelled, **how, progress=_told)
        out.print(judged.table(), soft_wrap=True)
        _write_json(
            options.json,
            {
                "full": judged.full.model_dump(mode="json"),
                "reduced": judged.reduced.model_dump(mode="json"),
                "verdict": {**asdict(judged.verdict), "passed": judged.verdict.passed},
            },
        )
        return 0 if judged.verdict.passed else 1
    evaluation = evaluate_once(spec, labelled, how)
    out.print(evaluation.table(), soft_wrap=True)
    _write_json(options.json, evaluation.model_dump(mode="json"))
    return 0


_GOES_WITH = {
    "readers": ("lidc",),
    "folds": ("luna16",),
    "rule": ("lidc", "luna16"),
    "out": ("lidc", "luna16"),
}
"""Options of ``evaluate`` that say something about these sets only."""


def _refuse_idle_options(options: argparse.Namespace) -> None:
    """Raise where an option would change nothing, before hours are spent without it.

    Raises:
        SettingsError: it goes with another ``--dataset``.
    """
    for name, sets in _GOES_WITH.items():
        if getattr(options, name) and options.dataset not in sets:
            raise SettingsError(
                f"--{name} changes nothing here; it goes with --dataset {' or '.join(sets)}: "
                "name that set, or leave the option out"
            )


def _evaluate_dataset(spec: ModelSpec, options: argparse.Namespace, how: dict[str, Any]) -> int:
    """A public set of lung nodules: the whole FROC curve."""
    from models.evaluation.labelled.lidc import READERS, open_lidc
    from models.evaluation.labelled.luna16 import open_luna16
    from models.evaluation.nodule_run import evaluate_nodules
    from models.evaluation.nodules import check_task
    from models.loaded import load_model

    check_task(spec)
    if options.dataset == "lidc":
        readers = options.readers or READERS
        cases, left_out = open_lidc(options.data, readers=readers)
        dataset = f"lidc, nodules of {readers} readers or more"
    else:
        cases, left_out = open_luna16(options.data, folds=options.folds)
        dataset = "luna16"
    _told(f"{len(cases)} scans in {options.data}")
    evaluation = evaluate_nodules(
        load_model(spec, **how), cases,
        source=str(options.data), dataset=dataset, left_out=left_out, out=options.out,
        rule=options.rule or ("luna16" if options.dataset == "luna16" else "5mm"),
        progress=_told,
    )  # fmt: skip
    out.print(evaluation.table(), soft_wrap=True)
    _write_json(options.json, evaluation.model_dump(mode="json"))
    return 0


def evaluate_once(spec: ModelSpec, labelled: LabelledSet, how: dict[str, Any]) -> Evaluation:
    """One evaluation, the way the model would run."""
    from models.evaluation import evaluate as evaluation
    from models.loaded import load_model

    return evaluation.evaluate(load_model(spec, **how), labelled, progress=_told)


def export(options: argparse.Namespace) -> int:
    """Networks as ONNX files or as a Triton model repository."""
    from models.evaluation.precision import allowed
    from models.export import onnx_file_of
    from models.runtime.source import OnnxFile, TorchNetwork
    from models.runtime.triton.repository import TritonExport, export_triton

    spec = look_up(options.name, load_settings(options.config).model_folders)
    check_installed(spec)
    verify_files(spec)
    if options.fp16:
        allowed(spec, "fp16", "onnx")
    for role, source in open_networks(spec).sources.items():
        if not isinstance(source, OnnxFile | TorchNetwork):
            raise SpecError(f"{spec.name}: {role} is {source}; only networks here are exported")
        name = spec.name if role == NETWORK else f"{spec.name}_{role}"
        if options.onnx is not None:
            target = options.onnx / f"{name}.onnx"
            options.onnx.mkdir(parents=True, exist_ok=True)
            with onnx_file_of(source) as file:
                shutil.copyfile(file.path, target)
                # The network refers to them by their names, so they keep them.
                for path in files_beside(file.path):
                    shutil.copyfile(path, options.onnx / path.name)
            out.print(f"{role:12}{target}", soft_wrap=True)
            continue
        folder = export_triton(
            source,
            options.triton,
            TritonExport(
                name,
                version=options.model_version,
                backend=options.backend,
                maximum_batch=spec.runtime.maximum_batch,
                gpus=tuple(options.gpu),
                instances=options.instances,
                tensorrt=options.tensorrt,
                half=options.fp16,
            ),
        )
        out.print(f"{role:12}{folder}", soft_wrap=True)
        if role == NETWORK:
            out.print(
                f'  to use it: [network] kind = "triton", url = "grpc://HOST:8001", model = '
                f'"{name}" in a preread.toml of its own, with this model\'s [recipe]',
                soft_wrap=True,
            )
    return 0


def _told(line: str) -> None:
    err.print(line, soft_wrap=True)


def _write_json(path: Path | None, values: object) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        out.print(f"written to {path}", soft_wrap=True)
