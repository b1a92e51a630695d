"""`preread pull ...`: what can be asked; ``pull.by_hand`` does it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

_EXAMPLES = """examples:
  preread pull --config preread.toml --dry-run
  preread pull --config preread.toml --rule "chest CT"
  preread pull --config preread.toml --query AccessionNumber=A1234
  preread pull --from PACS@pacs.example:104 --method c-get --query StudyDate=today
      --query ModalitiesInStudy=CT --query "StudyDescription=*chest*" --thickest 3
"""


def add_pull_command(commands: Any) -> None:
    """Add ``pull`` to the main parser's subcommands."""
    pull: argparse.ArgumentParser = commands.add_parser(
        "pull",
        help="Fetch studies from an archive now, by the rules of the settings or by a query.",
        description="Fetch studies from an archive now: by every rule of the settings ([[pull]]), "
        "by those that are named, or by a query. What is here is not fetched again; interrupted, "
        "the same command goes on. A server that runs beside it reads what came; else the next "
        "start does.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    pull.set_defaults(run=_run)
    pull.add_argument("--config", type=Path, metavar="FILE", help="settings in TOML")
    pull.add_argument(
        "--rule", action="append", default=[], metavar="NAME", help="only this one; may be repeated"
    )
    pull.add_argument(
        "--query", action="append", default=[], metavar="KEY=VALUE",
        help="what has to match, as C-FIND matches it (wildcards, ranges; StudyDate=today); with "
        "--rule besides what the rule asks for; may be repeated",
    )  # fmt: skip
    pull.add_argument(
        "--from", dest="source", metavar="AE@HOST:PORT",
        help="the archive (default: that of assembly.source or priors.pacs)",
    )  # fmt: skip
    pull.add_argument("--url", metavar="URL", help="the archive's DICOMweb services, instead")
    pull.add_argument(
        "--method", choices=("c-move", "c-get", "dicomweb"),
        help="how images come (default: as priors.method says)",
    )  # fmt: skip
    pull.add_argument(
        "--thickest", type=float, metavar="MM", help="leave series of thicker slices out"
    )
    pull.add_argument("--dry-run", action="store_true", help="say what would be fetched, and why")
    pull.add_argument("--json", action="store_true", help="the same as JSON")


def _run(options: argparse.Namespace) -> int:
    from pacs_bridge.pull.by_hand import pull_by_hand

    return pull_by_hand(options)
