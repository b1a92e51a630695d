"""A model that is ready to run: its spec and its networks, loaded once and kept warm."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from models.evaluation.precision import network_for
from models.opening import open_networks
from models.runner import Direct, Runner
from models.runtime import Runtime
from models.runtime.choose import open_runtime, preferred
from models.runtime.source import Precision, RuntimeName, RuntimeOptions, Source
from models.spec import SPEC_NAME, ModelSpec, check_installed, verify_files
from models.splitting import Split

if TYPE_CHECKING:
    from models.opening import Plan


log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A spec, as it stands at the precision that runs, with its networks by role.

    ``plan`` says how they are run; None where the task has a path of its own. ``lock`` keeps
    several studies from running on the device at the same time, so that the memory they take
    has a ceiling. ``splits`` (how a patch may be cut) and ``fallbacks`` (loads the network on
    the CPU), by role, are for a device that runs out of memory.
    """

    spec: ModelSpec
    networks: Mapping[str, Runtime]
    plan: Plan | None = None
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    splits: Mapping[str, Split] = field(default_factory=dict)
    fallbacks: Mapping[str, Callable[[], Runtime]] = field(default_factory=dict)

    @property
    def runners(self) -> dict[str, Runner]:
        """The networks, each patch run at once, alone."""
        return {role: Direct(network) for role, network in self.networks.items()}


def load_model(
    spec: ModelSpec,
    *,
    runtime: RuntimeName = "auto",
    device: str = "auto",
    precision: Precision | Literal["auto"] = "auto",
    threads: int = 0,
    unjudged: Mapping[str, Source] | None = None,
) -> LoadedModel:
    """Check the weight files and load the networks.

    Args:
        runtime: ``auto``: what the model prefers, else the best that is installed.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``: what the model says. A reduced one must have passed its gate.
        threads: CPU threads; 0: all cores.
        unjudged: what to load for a reduced precision while its gate judges it, by role.

    Raises:
        SpecError: a file is missing, changed, or no network.
        RuntimeMissing: the library that runs it is not installed.
        PrecisionRefused: a reduced precision that no evaluation let through.
    """
    check_installed(spec)
    verify_files(spec)
    opened = open_networks(spec)
    options = RuntimeOptions(
        runtime=spec.runtime.prefer if runtime == "auto" else runtime,
        device=device,
        precision=spec.runtime.precision if precision == "auto" else precision,
        threads=threads,
    )
    networks: dict[str, Runtime] = {}
    try:
        for role, source in opened.sources.items():
            if options.precision == "fp32":
                networks[role] = open_runtime(source, options)
                continue
            name = options.runtime
            if name == "auto":
                name = preferred(source, options.device, options.precision)
            if unjudged is not None:
                reduced = unjudged[role]
            else:
                reduced = network_for(spec, role, source, options.precision, name)
            networks[role] = open_runtime(reduced, replace(options, runtime=name))
    except BaseException:
        for network in networks.values():
            network.close()
        raise
    # What was chosen for a GPU need not be the best, or possible, on the CPU.
    on_cpu = RuntimeOptions(device="cpu", threads=threads)
    fallbacks = {
        role: partial(open_runtime, source, on_cpu)
        for role, source in opened.sources.items()
        if networks[role].device.startswith("cuda")
    }
    running = spec.as_run_in(options.precision)
    if running is not spec:
        log.warning(
            "%s: runs in %s, which operating_point.validated does not hold for: it flags no study "
            "as urgent",
            spec.folder / SPEC_NAME,
            options.precision,
        )
    return LoadedModel(running, networks, opened.plan, splits=opened.splits, fallbacks=fallbacks)
