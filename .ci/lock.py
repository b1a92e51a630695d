"""Write requirements.lock: the version of every package that the extras can bring in.

pip resolves them without installing anything (``--dry-run --report``), the two ONNX Runtime
extras apart because they exclude each other. The result is a constraints file: it holds names
and versions only, so any index, mirror or folder of wheels can serve it, and a platform that
needs fewer packages takes fewer.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
TOGETHER = ["cpu", "monai", "nnunet", "int8", "triton", "postgres", "dev", "samples"]
APART = ["gpu"]
OUGHT_NOT = {"preread", "pip", "setuptools", "wheel"}
# its CUDA build is several GB; with this release the CPU build and torchvision fit together
HELD = "torch==2.13.0\n"
REFUSED = {"pylibjpeg-libjpeg": "GPL-3; python-gdcm decodes JPEG Lossless"}
HEADER = """\
# The version of every package that preread's extras can bring in; made by `make lock`.
# Constraints, not requirements:  pip install -c requirements.lock -e '.[cpu]'
# onnxruntime and onnxruntime-gpu both stand here; an environment holds one of them.
"""


def resolve(extras: list[str], constraints: Path) -> dict[str, str]:
    """Names and versions that pip would install for these extras, on this Python."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"]
        command += ["--ignore-installed", "--report", str(report)]
        command += ["-c", str(constraints)]
        command += [f"{ROOT}[{','.join(extras)}]", *sys.argv[1:]]
        subprocess.run(command, check=True)
        items = json.loads(report.read_text(encoding="utf-8"))["install"]
    found = {}
    for item in items:
        name = re.sub(r"[-_.]+", "-", item["metadata"]["name"]).lower()
        # a local version (torch 2.13.0+cpu) says which build was at hand, not which is wanted
        found[name] = item["metadata"]["version"].split("+")[0]
    return found


def main() -> int:
    """Resolve, check, write."""
    with tempfile.TemporaryDirectory() as folder:
        so_far = Path(folder) / "constraints.txt"
        so_far.write_text(HELD)
        pins = resolve(TOGETHER, so_far)
        so_far.write_text("".join(f"{n}=={v}\n" for n, v in pins.items() if n != "preread"))
        for extra in APART:
            pins |= resolve([extra], so_far)
    refused = REFUSED.keys() & pins.keys()
    if refused:
        sys.stderr.write("".join(f"{name}: {REFUSED[name]}\n" for name in refused))
        return 1
    lines = [f"{name}=={pins[name]}\n" for name in sorted(pins.keys() - OUGHT_NOT)]
    LOCK.write_text(HEADER + "".join(lines), encoding="utf-8")
    sys.stdout.write(f"{LOCK.name}: {len(lines)} packages\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
