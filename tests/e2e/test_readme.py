"""What the README tells people to type must work: its blocks are run, its settings are read.

A block that can't be run here has ``<!-- not run: reason -->`` right above it. The commands run
in one folder, in the README's order, with a simulated chest CT as ``study/``, the same chest a
year before as ``earlier/`` and a simulated abdomen as ``abdomen/``.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from imaging.phantom_abdomen import make_abdomen
from imaging.phantom_series import write_series
from pacs_bridge.settings import load_settings
from tests.e2e.server import bright_model
from tests.follow_up import NOW, RIGHT, THEN, write_examination

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "optional-dependencies"
]
FENCE = re.compile(
    r"(?:<!--(?P<note>(?:(?!-->).)*)-->\n)?^[ ]*```(?P<kind>\w+)\n(?P<text>.*?)^[ ]*```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    kind: str
    text: str
    not_run: str

    def commands(self) -> Iterator[str]:
        joined = self.text.replace("\\\n", " ")
        for line in joined.splitlines():
            assert line.startswith("$ "), f"a console line without a prompt: {line!r}"
            yield line.removeprefix("$ ")


def blocks() -> list[Block]:
    found = []
    for match in FENCE.finditer(README):
        note = (match["note"] or "").strip()
        reason = note.removeprefix("not run:").strip() if note.startswith("not run:") else ""
        found.append(Block(match["kind"], match["text"], reason))
    return found


def test_every_fence_is_seen() -> None:
    fences = len(re.findall(r"^\s*```", README, re.MULTILINE))
    assert fences == 2 * len(blocks())
    assert {block.kind for block in blocks()} <= {"console", "bash", "toml", "lua"}
    assert len([b for b in blocks() if b.kind == "console" and not b.not_run]) >= 2


def test_the_settings_are_settings(tmp_path: Path) -> None:
    """Each TOML block is a whole settings file that Preread accepts."""
    toml = [block for block in blocks() if block.kind == "toml"]
    assert toml
    for number, block in enumerate(toml):
        file = tmp_path / f"{number}.toml"
        file.write_text(block.text, encoding="utf-8")
        settings = load_settings(file, environment={})
        assert settings.destinations
        assert settings.assembly.source is not None


def test_blocks_that_are_not_run_still_name_real_commands() -> None:
    """`make x` is a target; `preread x` is a command with these arguments."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    skipped = [block for block in blocks() if block.kind == "console" and block.not_run]
    assert skipped
    for block in skipped:
        for command in block.commands():
            program, *arguments = shlex.split(command)
            if program == "make":
                assert re.search(rf"^{arguments[0]}:", makefile, re.MULTILINE), command
            elif program == "preread":
                named = arguments[: 2 if arguments[0] == "models" else 1]
                helped = preread([*named, "--help"], ROOT)
                assert helped.returncode == 0, helped.stderr
                for flag in (a for a in arguments if a.startswith("--")):
                    assert flag in helped.stdout, command
            elif program == "python3":
                for extra in re.findall(r"'\.\[(.*)\]'", command)[0].split(","):
                    assert extra in EXTRAS, command
                for file in re.findall(r"-c (\S+)", command):
                    assert (ROOT / file).is_file(), command
            else:
                assert program in ("docker", "export"), command


def preread(
    arguments: list[str], folder: Path, more: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pacs_bridge.cli", *arguments]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PREREAD_")}
    environment |= {"PYTHONPATH": str(ROOT), **more}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True,
        timeout=400, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def findings_of(folder: Path) -> dict[str, Any]:
    """findings.json of a folder of results."""
    found: dict[str, Any] = json.loads((folder / "findings.json").read_text(encoding="utf-8"))
    return found


def test_commands_run_and_do_what_the_text_says(tmp_path: Path) -> None:
    short = 64  # slices
    write_examination(tmp_path / "study", NOW, {RIGHT: 16.0}, slices=short)
    write_examination(
        tmp_path / "earlier", THEN, {RIGHT: 12.0}, shift_mm=(4.0, -6.0, 9.0), slices=short
    )
    write_series(make_abdomen(1, slice_mm=4.0), tmp_path / "abdomen")
    # the model that ships reads the first command's study; two more readings prove no more of it
    light = {
        "PREREAD_MODELS__FOLDER": str(bright_model(tmp_path / "light")),
        "PREREAD_MODELS__ENABLED": '["bright"]',
    }
    first: dict[str, Any] = {}
    ran = []
    for block in blocks():
        if block.kind not in ("console", "bash") or block.not_run:
            continue
        for command in block.commands():
            words, _, target = command.partition(" > ")
            program, *arguments = shlex.split(words)
            assert program == "preread", f"{command}: only preread's own commands are run here"
            done = preread(arguments, tmp_path, light if "--prior" in arguments else {})
            # doctor says 1 when something is bad here, such as the example's PACS not answering
            allowed = (0, 1) if arguments[0] == "doctor" else (0,)
            assert done.returncode in allowed, f"{command}\n{done.stdout}\n{done.stderr}"
            assert "Traceback" not in done.stderr, f"{command}\n{done.stderr}"
            if target:
                (tmp_path / target.strip()).write_text(done.stdout, encoding="utf-8")
            ran.append(arguments[0])
            if not first and arguments[0] == "analyse":
                first = findings_of(tmp_path / "result")
    assert {"analyse", "schema", "models", "settings", "doctor"} <= set(ran)

    named = re.search(r"`result/` then holds (.*?), a versioned contract", README, re.DOTALL)
    assert named
    for name in re.findall(r"`([\w.]+)`", named[1]):
        assert (tmp_path / "result" / name).stat().st_size > 0, name
    compared = findings_of(tmp_path / "result")
    keys = re.search(r"Every finding has (.*?); the report", README, re.DOTALL)
    assert keys
    wanted = re.findall(r"`(\w+)`", keys[1])
    assert len(wanted) >= 10
    assert [c["study_date"] for c in compared["comparisons"]] == [THEN]
    for report in (first, compared):
        assert report["findings"], "the 16 mm nodule of the simulated chest was not found"
        for finding in report["findings"]:
            assert not [key for key in wanted if key not in finding]
        assert "warnings" in report
    assert first["model"]["name"] == "lung_nodule_reference"
    abdomen = findings_of(tmp_path / "pancreas")
    assert abdomen["findings"] == [] and abdomen["gland"]["places_shown"]
    assert (tmp_path / "pancreas" / "rtstruct.dcm").stat().st_size > 0


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", README))
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).is_file(), link
