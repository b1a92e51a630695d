"""A folder with settings in which `preread models ...` is run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Site:
    """A folder with settings, and the command run in it."""

    folder: Path

    @property
    def models(self) -> Path:
        return self.folder / "data" / "models"

    def start(self, *arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PREREAD_")}
        environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", "pacs_bridge.cli", *arguments,
             "--config", str(self.folder / "settings.toml")],
            cwd=self.folder, env=environment, text=True, stdin=stdin,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            # Tests that were started in the background inherit that Ctrl-C is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip

    def run(self, *arguments: str, status: int = 0) -> str:
        """Standard output, or standard error where the command is to fail."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=300)
        assert process.returncode == status, f"{arguments}\n{out}\n{err}"
        assert "Traceback" not in err, err
        return err if status else out


def make_site(folder: Path) -> Site:
    """Models are kept under ``data``, and ``catalogue`` is looked into as well."""
    (folder / "settings.toml").write_text(
        f'[storage]\nfolder = "{folder / "data"}"\n[models]\nfolders = ["{folder / "catalogue"}"]\n'
    )
    return Site(folder)
