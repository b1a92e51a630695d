"""Certificates for tests: an authority, and what it vouches for, made by openssl on the spot."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Certificate:
    """Two PEM files."""

    certificate: Path
    key: Path


def _openssl(*arguments: str) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here")
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)


def make_authority(folder: Path, name: str = "authority") -> Certificate:
    """A certificate that signs others, and itself."""
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    _openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-keyout", str(made.key), "-out", str(made.certificate), "-days", "2",
        "-subj", f"/CN={name}",
    )  # fmt: skip
    return made


def make_certificate(
    folder: Path, name: str, authority: Certificate, host: str = "IP:127.0.0.1"
) -> Certificate:
    """A certificate for a host, signed by the authority."""
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    request, names = folder / f"{name}.csr", folder / f"{name}.ext"
    names.write_text(f"subjectAltName={host}\n")
    _openssl(
        "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-keyout", str(made.key), "-out", str(request), "-subj", f"/CN={name}",
    )  # fmt: skip
    _openssl(
        "x509", "-req", "-in", str(request), "-CA", str(authority.certificate),
        "-CAkey", str(authority.key), "-CAcreateserial", "-days", "2",
        "-extfile", str(names), "-out", str(made.certificate),
    )  # fmt: skip
    return made
