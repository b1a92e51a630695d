"""Made-up models for the engine, and what it loaded of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from models.engine.core import Engine
from models.engine.status import VersionStatus
from models.engine.warm import InUse
from models.loaded import LoadedModel
from models.runtime import Batch, Outputs
from models.spec import ModelSpec, read_spec
from tests.unit.models.made import write_model
from tests.unit.models.peers import Doubler, marked

GB = 2**30


class Times(Doubler):
    """As many times the input as its version says."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self._factor = factor

    def run(self, batch: Batch) -> Outputs:
        super().run(batch)
        return (np.float32(self._factor) * batch,)


class Loads:
    """Loads made-up models and remembers each."""

    def __init__(self) -> None:
        self.made: list[tuple[str, Doubler]] = []
        self.failing: list[BaseException] = []
        self.network: Callable[[ModelSpec], Doubler] = lambda spec: Times(float(spec.version))

    def __call__(self, spec: ModelSpec) -> LoadedModel:
        if self.failing:
            raise self.failing.pop(0)
        network = self.network(spec)
        self.made.append((f"{spec.name} {spec.version}", network))
        return LoadedModel(spec, {"detector": network})

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.made]

    @property
    def open(self) -> list[str]:
        return [name for name, network in self.made if not network.closed]


def spec(folder: Path, version: str = "1.0") -> ModelSpec:
    """A model's spec; the folder is written where it isn't there, else its version is set."""
    if not folder.exists():
        write_model(folder)
    path = folder / "preread.toml"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines = [f'version = "{version}"' if line.startswith("version") else line for line in lines]
    path.write_text("\n".join(lines), encoding="utf-8")
    return read_spec(folder)


def value(use: InUse, of: float = 1) -> float:
    """What the network makes of a patch."""
    return float(use.networks["detector"].run(marked(of)[np.newaxis])[0].flat[0])


def version(engine: Engine, name: str) -> VersionStatus:
    return next(m for m in engine.status().models if m.name == name).versions[0]
