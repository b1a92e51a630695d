"""A model that is ready to run: its spec and its networks, loaded once and kept warm."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from models.runtime import Runtime
from models.runtime.onnx import OnnxRuntime
from models.spec import ModelSpec, verify_files


@dataclass(frozen=True)
class LoadedModel:
    """A spec with its networks by role.

    ``lock`` keeps several studies from running on the device at the same time, so that the
    memory they take has a ceiling.
    """

    spec: ModelSpec
    networks: Mapping[str, Runtime]
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)


def load_model(spec: ModelSpec, *, threads: int = 0) -> LoadedModel:
    """Check the weight files and load the networks.

    Raises:
        SpecError: a file is missing, changed, or no network.
        RuntimeMissing: the library that runs it is not installed.
    """
    verify_files(spec)
    return LoadedModel(
        spec, {role: OnnxRuntime(spec.path_of(role), threads) for role in spec.files}
    )
