"""One version of a model, loaded, with a batcher for each of its networks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from models.engine.batcher import Batcher, BatcherOptions
from models.engine.room import Room
from models.engine.rungs import Degradation
from models.engine.session import Session
from models.engine.status import ModelState, NetworkStatus, VersionStatus
from models.loaded import LoadedModel
from models.runner import Runner

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class InUse:
    """A model for as long as one study uses it.

    Attributes:
        model: the version that is used, which stays as it is meanwhile.
        networks: what runs its patches, by role.
    """

    model: LoadedModel
    networks: Mapping[str, Runner]
    sessions: tuple[Session, ...]

    def degradations(self) -> tuple[Degradation, ...]:
        """What was done for want of memory, for this study; its result must say so."""
        found = {how for session in self.sessions for how in session.degradations}
        return tuple(how for how in Degradation if how in found)


class WarmModel:
    """A loaded model and its batchers. The pool's lock guards ``users`` and ``last_used``.

    Args:
        model: loaded; closed together with this.
        options: gives a network's options.
        rooms: gives a device's room.
        make_room: see :class:`~models.engine.batcher.Batcher`; called with the device.

    Attributes:
        users: studies that use it now.
        last_used: counts up; the smallest leaves first.
    """

    def __init__(
        self,
        model: LoadedModel,
        options: Callable[[str], BatcherOptions],
        rooms: Callable[[str], Room],
        make_room: Callable[[WarmModel, str], bool],
    ) -> None:
        self.model = model
        self.users = 0
        self.last_used = 0

        def batcher(role: str) -> Batcher:
            network = model.networks[role]
            device = network.device
            return Batcher(
                network,
                options(device),
                device=rooms(device),
                cpu=rooms("cpu"),
                split=model.splits.get(role),
                fallback=model.fallbacks.get(role) if device != "cpu" else None,
                make_room=lambda: make_room(self, device),
            )

        self._batchers = {role: batcher(role) for role in model.networks}

    @property
    def name(self) -> str:
        """The model's."""
        return self.model.spec.name

    @property
    def usable(self) -> bool:
        """Whether its batchers still take patches."""
        return not any(batcher.closed for batcher in self._batchers.values())

    @property
    def devices(self) -> set[str]:
        """Where its networks are."""
        return {network.device for network in self.model.networks.values()}

    def open(self, study: str, urgent: bool, shadow: bool) -> InUse:
        """A session for each network.

        Raises:
            SessionClosed: the model was closed.
        """
        sessions: dict[str, Session] = {}
        try:
            for role, batcher in self._batchers.items():
                sessions[role] = batcher.session(study, urgent, shadow=shadow)
        except BaseException:
            for session in sessions.values():
                session.close()
            raise
        return InUse(self.model, dict(sessions), tuple(sessions.values()))

    def stop(self) -> None:
        """Take no more patches; those that wait are completed."""
        for batcher in self._batchers.values():
            batcher.stop()

    def close(self) -> None:
        """Stop the batchers and give the networks' memory back."""
        spec = self.model.spec
        ended = [batcher.close() for batcher in self._batchers.values()]
        if all(ended):
            for network in self.model.networks.values():
                network.close()
            log.info("model %s %s was closed", spec.name, spec.version)
        else:
            log.error("model %s %s still runs and stays in memory", spec.name, spec.version)

    def status(self, state: ModelState) -> VersionStatus:
        """What it has done."""
        networks = []
        for role, batcher in self._batchers.items():
            counts = batcher.counts
            networks.append(
                NetworkStatus(
                    role=role,
                    runtime=batcher.runtime.name,
                    device=batcher.runtime.device,
                    studies=counts.sessions,
                    waiting=counts.waiting,
                    most_waiting=counts.most_waiting,
                    patches=counts.patches,
                    batches=counts.batches,
                    fill=counts.patches / counts.fitting if counts.fitting else None,
                    refused=counts.refused,
                    failed=counts.failed,
                    degraded=counts.degraded,
                )
            )
        version = self.model.spec.version
        return VersionStatus(
            version=version, state=state, studies=self.users, networks=tuple(networks)
        )
