"""Rules of the repository that no other tool watches."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("imaging", "models", "pacs_bridge")
LONGEST_FILE = 400
TOP_LEVEL = {
    ".ci", ".dockerignore", ".gitignore", "Dockerfile", "LICENSE", "Makefile", "README.md",
    "benchmarks", "imaging", "models", "pacs_bridge", "pyproject.toml", "requirements.lock",
    "tests",
}  # fmt: skip
TEXT = {".py", ".md", ".toml", ".txt", ".lock", ".html", ".css", ".js", ".ts", ".json", ""}


def tracked() -> list[str]:
    """What git keeps, relative to the root."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    names = [name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    assert "pyproject.toml" in names
    return names


def pins() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    found = dict(line.split("==") for line in wanted)
    assert len(found) == len(wanted) > 40
    return found


def test_nothing_else_at_the_top() -> None:
    assert {name.split("/")[0] for name in tracked()} <= TOP_LEVEL


def test_files_stay_short_enough_to_hold_one_concept() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST_FILE
    }
    assert long == {}, "find the second concept in each and give it a name"


def test_every_package_says_what_it_is_for() -> None:
    silent = []
    for package in PACKAGES:
        for path in (ROOT / package).rglob("__init__.py"):
            words = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
            if not words or len(words) < 20:
                silent.append(str(path.relative_to(ROOT)))
    assert silent == []


def test_no_file_knows_one_machine() -> None:
    """No home folders, mounts of one machine, or package hosts in what is shipped."""
    private = re.compile(
        r"/(?:home|Users)/\w+|/root/\w|"
        r"https?://(?:[\w.-]*\.)?(?:pythonhosted|pypi)\.org|--(?:extra-)?index-url"
    )
    here = Path(__file__).relative_to(ROOT).as_posix()
    found = []
    for name in tracked():
        if name == here or Path(name).suffix not in TEXT:
            continue
        text = (ROOT / name).read_text(encoding="utf-8")
        found += [f"{name}: {match[0]}" for match in private.finditer(text)]
    assert found == []


def test_the_lock_is_plain_and_pins_what_the_project_asks_for() -> None:
    """A constraints file of name==version: no hashes, no hosts, no local versions."""
    locked = pins()
    for name, version in locked.items():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name), name
        assert re.fullmatch(r"[0-9][0-9a-z.]*", version), f"{name}=={version}"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    asked = [*project["dependencies"], *(item for extra in extras for item in extra)]
    names = {re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~ ;]", item)[0]).lower() for item in asked}
    assert names - locked.keys() == set(), "run `make lock`"
    assert locked["torch"] == "2.13.0"


def test_no_gpl_in_the_lock() -> None:
    """By name where known, by licence for what is installed here. LGPL is not GPL."""
    assert not {"pylibjpeg-libjpeg", "pyqt5", "pyqt6", "unidecode", "mysqlclient"} & pins().keys()
    gpl, seen = [], 0
    for name in pins():
        try:
            said = metadata(name)
        except PackageNotFoundError:
            continue
        seen += 1
        classifiers = [c for c in said.get_all("Classifier") or [] if c.startswith("License")]
        licence = [said.get("License-Expression") or "", *classifiers]
        if not any(licence):
            licence = [(said.get("License") or "")[:80]]
        words = " ".join(licence)
        if re.search(r"(?<![A-Za-z])A?GPL|(?<!Lesser )General Public License", words):
            gpl.append(f"{name}: {words}")
    assert seen > 30
    assert gpl == []


def test_ci_and_the_image_use_the_same_files() -> None:
    """`.ci/run` calls make test; the image installs from the lock and runs as nobody special."""
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "set -euo pipefail" in run
    assert re.search(r"^make .*\btest\b", run, re.MULTILINE)
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "-c requirements.lock" in image
    last_user = re.findall(r"^USER (\S+)", image.rsplit("\nFROM ", 1)[-1], re.MULTILINE)
    assert last_user
    assert last_user[-1] not in ("root", "0")
    for port in ("11112", "8088", "/healthz"):
        assert port in image
