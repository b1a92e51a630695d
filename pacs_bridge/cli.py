"""The `preread` command: arguments in, one room called, an exit status out.

Exit status: 0 done; 1 done, but nothing could be analysed or something is bad; 2 wrong
arguments or settings, or input that can't be used.
"""

from __future__ import annotations

import argparse
import getpass
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import get_args

from imaging.errors import ImagingError
from imaging.language import Language
from imaging.report import Report
from models.errors import ModelError
from models.runtime.source import RuntimeName
from pacs_bridge.console import err, out, print_findings
from pacs_bridge.errors import BridgeError
from pacs_bridge.models_cli import add_models_command
from pacs_bridge.pull_cli import add_pull_command
from pacs_bridge.settings import Settings, load_settings
from pacs_bridge.settings_template import settings_template

_STYLES = {"ok": "green", "note": "cyan", "bad": "red"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.WARNING,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    # Our own errors say what pynetdicom would say, with the remedy.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        status = run(options)
        sys.stdout.flush()
        return status
    except (ImagingError, ModelError, BridgeError) as error:
        err.print(f"preread: {error}", style="red", soft_wrap=True)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has enough (`preread schema | head`); no complaint at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="preread",
        description="Preliminary reads of CT: DICOM in, findings out as SR and SEG, signed by a "
        "radiologist. Research software, not a medical device.",
        epilog="First steps: `preread demo` shows everything on this machine; `preread settings "
        "> preread.toml`, `preread doctor` and `preread serve` set up a server.",
    )
    parser.add_argument("--version", action="version", version=f"preread {version('preread')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, run: Callable[[argparse.Namespace], int], text: str
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    def config(command: argparse.ArgumentParser) -> None:
        command.add_argument(
            "--config", type=Path, metavar="FILE",
            help="settings in TOML; variables such as PREREAD_LISTENER__PORT go over it",
        )  # fmt: skip

    config(add("serve", _serve, "Run the server: listener, analysis, review page, deliveries."))

    analyse = add("analyse", _analyse, "Analyse a folder, zip or file of DICOM without a server.")
    config(analyse)
    analyse.add_argument("path", type=Path, help="folder (searched through), zip, or one file")
    analyse.add_argument(
        "--model", action="append", metavar="NAME",
        help="see `preread models list`; may be repeated (default: those the settings enable)",
    )  # fmt: skip
    analyse.add_argument(
        "--research", action="store_true",
        help="also show the research maps of the models that have one: places to look at, no "
        "findings (default: those of models.research)",
    )  # fmt: skip
    analyse.add_argument(
        "--prior", action="append", type=Path, default=[], metavar="PATH",
        help="an earlier examination of the patient to compare with; may be repeated",
    )  # fmt: skip
    analyse.add_argument(
        "--out", type=Path, default=Path("preread-out"), metavar="DIR",
        help="where findings.json, sr.dcm, seg.dcm and report.html go (default: %(default)s)",
    )  # fmt: skip
    analyse.add_argument(
        "--rtstruct", action="store_true",
        help="also write rtstruct.dcm: contours of organs and lesions for a planning system",
    )  # fmt: skip
    analyse.add_argument(
        "--gsps", action="store_true",
        help="also write gsps.dcm: a presentation state with outlines and labels",
    )  # fmt: skip
    analyse.add_argument(
        "--sc", action="store_true",
        help="also write sc.zip: a summary and the key images as secondary captures",
    )  # fmt: skip
    analyse.add_argument(
        "--pdf", action="store_true",
        help="also write report.pdf, and pdf.dcm: the same as a DICOM object",
    )  # fmt: skip
    analyse.add_argument("--json", action="store_true", help="print the report as JSON, no table")
    analyse.add_argument(
        "--language", choices=[each.value for each in Language], default="en",
        help="of the text in SR and page (default: %(default)s)",
    )  # fmt: skip
    analyse.add_argument("--threads", type=int, default=0, help="CPU threads; 0: all cores")
    analyse.add_argument(
        "--device", metavar="NAME", help="auto, cpu, cuda or cuda:N (default: as the settings say)"
    )
    analyse.add_argument(
        "--runtime", choices=get_args(RuntimeName),
        help="what runs the networks (default: as the settings say)",
    )  # fmt: skip

    plan = add(
        "plan", _plan,
        "Say which series of a folder, zip or file each model would read, and why, without "
        "reading it.",
    )  # fmt: skip
    config(plan)
    plan.add_argument("path", type=Path, help="folder (searched through), zip, or one file")
    plan.add_argument(
        "--model", action="append", metavar="NAME",
        help="also one that is not installed; may be repeated (default: those the settings enable)",
    )  # fmt: skip
    plan.add_argument("--json", action="store_true", help="print the plans as JSON, no table")
    plan.add_argument(
        "--language", choices=[each.value for each in Language], default="en",
        help="of the reasons (default: %(default)s)",
    )  # fmt: skip

    demo = add(
        "demo", _demo,
        "Show everything on this machine: a stand-in PACS, the server, one chest CT from arrival "
        "to SR and SEG in the PACS.",
    )  # fmt: skip
    demo.add_argument(
        "--study", type=Path, metavar="FOLDER", help="your DICOM instead of a phantom"
    )
    demo.add_argument(
        "--sample", choices=["lidc"], help="fetch a public case (needs internet and idc-index)"
    )
    demo.add_argument(
        "--folder", type=Path, default=Path("preread-demo"), help="where it works (%(default)s)"
    )
    demo.add_argument("--seed", type=int, default=1, help="of the phantom")
    demo.add_argument(
        "--keep-running", action=argparse.BooleanOptionalAction, default=None,
        help="leave the page open until Ctrl-C (default: when run in a terminal)",
    )  # fmt: skip

    add_models_command(commands)
    add_pull_command(commands)

    config(add("doctor", _doctor, "Say what is there, what is missing, and how to mend it."))
    config(
        add(
            "conformance", _conformance,
            "Print the DICOM conformance statement (PS3.2) of these settings, as Markdown.",
        )
    )  # fmt: skip
    add("settings", _settings, "Print every setting, its meaning and default, as TOML.")
    add("hash-password", _hash, "Ask for a password; print its hash for [[readers]].")
    schema = "Print the JSON schema of findings.json, the contract of `analyse` and of the server."
    add("schema", _schema, schema)
    return parser


def _serve(options: argparse.Namespace) -> int:
    from pacs_bridge.server import Server

    settings = load_settings(options.config)
    _set_log_level(settings)
    os.umask(0o077)  # patients' images and the database are this user's alone
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with Server(settings) as server:
        # A lock that the interrupted thread holds may be needed: the work is done elsewhere.
        signal.signal(
            signal.SIGHUP, lambda *_: threading.Thread(target=server.refresh_models).start()
        )
        err.print(
            f"preread: listening as {settings.listener.ae_title} on port {server.listener.port}, "
            f"page at {server.url}; Ctrl-C stops it",
            soft_wrap=True,
        )
        stop.wait()
        err.print("preread: stopping; what is under way resumes at the next start")
    return 0


def _set_log_level(settings: Settings) -> None:
    for name in ("pacs_bridge", "models", "imaging"):
        logging.getLogger(name).setLevel(settings.log.level)


def _analyse(options: argparse.Namespace) -> int:
    from pacs_bridge.analyse import analyse_path, explain, mapped, open_models
    from pacs_bridge.results import OPTIONAL

    language = Language(options.language)
    settings = load_settings(options.config).with_models(
        enabled=options.model and tuple(dict.fromkeys(options.model)),
        device=options.device,
        runtime=options.runtime,
        threads=options.threads or None,
    )
    if options.research:
        settings = settings.with_models(research=mapped(settings))
    with err.status("reading ...") as status, open_models(settings) as models:
        outcomes = analyse_path(
            options.path, options.out, models, priors=options.prior, language=language,
            wanted=[k for k in OPTIONAL if getattr(options, k.lower())],
            progress=lambda step: status.update(f"{step} ..."),
        )  # fmt: skip
    unread = [outcome for outcome in outcomes if outcome.report is None]
    for outcome in unread:
        why = outcome.problem or explain(outcome.plan, language)
        err.print(f"not analysed: study {outcome.study_uid}\n{why}", style="red", soft_wrap=True)
    reports = [outcome.report for outcome in outcomes if outcome.report is not None]
    if options.json:
        dumped = [report.model_dump(mode="json") for report in reports]
        one = len(outcomes) == 1
        print(json.dumps(dumped[0] if one and dumped else dumped, indent=2, ensure_ascii=False))
    else:
        for outcome in outcomes:
            if outcome.report is not None:
                print_findings(outcome.report)
                for kind, path in outcome.files.items():
                    out.print(f"  {kind:14}{path}", soft_wrap=True)
    return 1 if unread else 0


def _plan(options: argparse.Namespace) -> int:
    from pacs_bridge.plan_command import plan_path, plans_as_json, print_plans

    settings = load_settings(options.config).with_models(
        enabled=options.model and tuple(dict.fromkeys(options.model))
    )
    plans = plan_path(options.path, settings)
    if options.json:
        print(json.dumps(plans_as_json(plans), indent=2, ensure_ascii=False))
    else:
        print_plans(plans, Language(options.language))
    return 0 if all(plan.chosen is not None for plan in plans.values()) else 1


def _demo(options: argparse.Namespace) -> int:
    from pacs_bridge.demo import run_demo

    keep = sys.stdout.isatty() if options.keep_running is None else options.keep_running
    if keep:  # ended from outside, it still ends its stand-in PACS
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run_demo(
        options.folder,
        study=options.study,
        sample=options.sample,
        seed=options.seed,
        keep_running=keep,
    )


def _doctor(options: argparse.Namespace) -> int:
    from pacs_bridge.doctor import Health, examine

    bad = 0
    for item in examine(load_settings(options.config)):
        remedy = f"\n      -> {item.remedy}" if item.remedy else ""
        out.print(
            f"{item.health:4} {item.subject}: {item.found}{remedy}",
            style=_STYLES[item.health],
            soft_wrap=True,
        )
        bad += item.health is Health.BAD
    return 1 if bad else 0


def _conformance(options: argparse.Namespace) -> int:
    from pacs_bridge.conformance import conformance_statement

    print(conformance_statement(load_settings(options.config)), end="")
    return 0


def _settings(_options: argparse.Namespace) -> int:
    print(settings_template())
    return 0


def _hash(_options: argparse.Namespace) -> int:
    from pacs_bridge.auth import hash_password

    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if password != getpass.getpass("Again: "):
            err.print("preread: the two differ")
            return 2
    else:
        password = sys.stdin.readline().rstrip("\n")
    if not password:
        err.print("preread: an empty password is none")
        return 2
    print(hash_password(password))
    return 0


def _schema(_options: argparse.Namespace) -> int:
    print(json.dumps(Report.model_json_schema(), indent=2, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
